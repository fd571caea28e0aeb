# SPDX-License-Identifier: Apache-2.0
#
# Streams with very much in them: large entries by the hundred, and very many entries. Memory stays
# within bounds, Redis is not kept busy, and who comes back gets what RaglineReplayLimit allows.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes ();

use Ragline::HTTP ();
use Ragline::Httpd ();
use Ragline::Proc qw(slurp);
use Ragline::Redis ();
use Ragline::Test;

plan skip_all => 'memory is looked up in /proc' if !-r "/proc/$$/clear_refs";

my $redis = Ragline::Redis->start(name => 'large', args => ['--appendonly', 'no']);
my %key = map { $_ => "large:$_" } qw(heavy light long);

my $httpd = Ragline::Httpd->new(name => 'main', conf => join('',
    "RaglineRedis @{[ $redis->url ]}\nRaglineDrain 0\nRaglineCache 16m\n",
    (map { "RaglineStream $_ $key{$_}\n" } sort keys %key),
    "<Location /ragline-health>\nSetHandler ragline-health\n</Location>\n",
    "<Location /ragline-stats>\nSetHandler ragline-stats\nRequire local\n</Location>\n",
    (map { bearer_location("/$_", "RaglineSubscribe $_", 'RaglineHeartbeat 1s') } sort keys %key),
    bearer_location('/far', 'RaglineSubscribe long', 'RaglineReplayLimit 50000')))->start;

sub open_stream
{
    my ($path, $tenant, @more) = @_;
    my $stream = $httpd->stream($path, token => token($tenant, 1), @more);
    $stream->connected;
    return $stream;
}

sub recovery { return $_[0]->recovery }

sub own { return grep { $_->{event} eq 'n' } $_[0]->events }

sub caught_up { return $_[0]->caught_up(120) }

# The most memory that a child has had since forget_peak(), in kB; of all children together.
sub forget_peak { Ragline::Proc::spew("/proc/$_/clear_refs", '5') for $httpd->children; return }

sub peak
{
    my $sum = 0;
    $sum += $_ for map { slurp("/proc/$_/status") =~ /^VmHWM:\s+(\d+)/m } $httpd->children;
    return $sum;
}

# {calls, usec} of a command of Redis.
sub command
{
    my ($name) = @_;
    my $stats = $redis->client->info('commandstats');
    my %of = map { /^(\w+)=(.*)$/ } split /,/, $stats->{"cmdstat_$name"} // '';
    return { calls => 0, usec => 0, %of };
}

my $prefork = vars('mpm') eq 'prefork';

sub grows_less
{
    my ($more, $limit) = @_;
    SKIP: {
        skip 'memory is not what it is with a sanitizer', 1 if $ENV{RAGLINE_TEST_SANITIZE};
        skip 'each process has memory of its own', 1 if $prefork;
        cmp_ok($more, '<', $limit, "with $more kB more memory");
    }
    return;
}

# --- large entries --------------------------------------------------------------------------------------

{
    my $tenant = unique();
    my $n = 200;
    my $fill = 'x' x 900_000;
    my @streams = map { open_stream("/$_", $tenant) } qw(heavy light);
    # Not read meanwhile, so that all of it is there at once.
    $redis->client->acl('setuser', 'default', '-xread');
    $redis->client->client('kill', 'type', 'normal', 'skipme', 'yes');
    ok(wait_until(sub { $httpd->request(path => '/ragline-health')->status == 503 }),
        'nothing is read');
    $redis->client->xadd($key{heavy}, '*', tenant_id => 'nobody', event_type => 'n',
        payload => $fill) for 1 .. $n;
    $redis->xadd($key{$_}, tenant_id => $tenant, event_type => 'n', payload => 1) for qw(heavy light);
    forget_peak();
    my $before = peak();
    $redis->client->acl('setuser', 'default', '+@all');
    ok(Ragline::SSE->wait_all(\@streams, sub { own($_[0]) == 1 }),
        "$n entries of 900 kB are read") or diag($httpd->log_tail);
    my $more = peak() - $before;
    my $children = () = $httpd->children;
    grows_less($more, 60_000 * $children);
    SKIP: {
        skip 'a process reads what its clients need', 1 if $prefork;
        is(stats_stream(stats($httpd), 'heavy')->{read}, ($n + 1) * $children, 'all of them');
    }
    # Small ones are read many at a time again.
    my $reads = command('xread')->{calls};
    $redis->client->multi;
    $redis->client->xadd($key{light}, '*', tenant_id => $tenant, event_type => 'n', payload => $_)
        for 2 .. 5000;
    $redis->client->exec;
    ok($streams[1]->wait(sub { own($_[0]) == 5000 }), '5,000 small ones');
    cmp_ok(command('xread')->{calls} - $reads, '<', 100 * $children, 'in large batches');
    $_->close for @streams;
    $redis->client->del($key{heavy});
}

# --- large entries, for one who does not read -----------------------------------------------------------

{
    my $tenant = unique();
    my $n = 150;
    my $fill = 'x' x 900_000;
    my $slow = Ragline::HTTP::connect_to(port => $httpd->port);
    syswrite($slow, Ragline::HTTP::request_bytes(port => $httpd->port, path => '/heavy',
        token => token($tenant, 1)));
    my $got = '';
    1 while $got !~ /^event: connected/m && sysread($slow, $got, 65536, length $got);
    for my $i (1 .. $n) {
        $redis->client->xadd($key{heavy}, '*', tenant_id => $tenant, event_type => 'n',
            payload => "$i $fill");
    }
    my $sent = $redis->client->info('stats')->{total_net_output_bytes};
    forget_peak();
    my $before = peak();
    my (@numbers, $began);
    $slow->blocking(0);
    $began = Time::HiRes::time();
    ok(wait_until(sub {
        while (sysread($slow, my $bytes, 1_000_000)) {
            $got .= $bytes;
            push @numbers, $1 while $got =~ s/^data: (\d+) x+$//m;
            $got =~ s/x+/x/g;
        }
        @numbers == $n
    }, 120), "one who had stopped reads $n entries of 900 kB") or diag("@numbers");
    my $seconds = Time::HiRes::time() - $began;
    is("@numbers", join(' ', 1 .. $n), 'in order, each once');
    my $more = peak() - $before;
    grows_less($more, 130_000);
    $sent = ($redis->client->info('stats')->{total_net_output_bytes} - $sent) / 1e6;
    SKIP: {
        skip 'each process reads for itself', 1 if $prefork;
        cmp_ok($sent, '<', 5 * $n, sprintf('%d MB of Redis in %.1f s', $sent, $seconds));
    }
    close($slow);
    $redis->client->del($key{heavy});
}

# --- very many entries ------------------------------------------------------------------------------------

{
    my ($tenant, $other) = (unique(), unique());
    my $n = full() ? 1_000_000 : 100_000;
    $httpd->stop;
    # One of a hundred is for us. In steps, since a script blocks Redis.
    my $script = <<'LUA';
        for i = ARGV[1], ARGV[1] + 9999 do
            redis.call('XADD', KEYS[1], '1000000-' .. i, 'tenant_id', i % 100 == 0 and ARGV[2] or ARGV[3],
                'event_type', 'n', 'payload', i .. ' ' .. string.rep('x', 200))
        end
        return 1
LUA
    $redis->client->eval($script, 1, $key{long}, $_ * 10_000 + 1, $tenant, $other)
        for 0 .. $n / 10_000 - 1;
    is($redis->client->xlen($key{long}), $n, "a stream of $n entries");
    $redis->client->config('resetstat');
    $httpd->start;
    ok(wait_until(sub { $httpd->request(path => '/ragline-health')->status == 200 }), 'is read');
    cmp_ok(command('xread')->{calls}, '<', 20 * (() = $httpd->children),
        'from its end on, not from the beginning');
    forget_peak();
    my $before = peak();
    my $began = Time::HiRes::time();
    my $near = open_stream('/long', $tenant, last_event_id => '1000000-' . ($n - 5000));
    is(recovery($near) . ' ' . caught_up($near), 'resumed 50', 'back from within the limit');
    # What is in memory already comes, too.
    my $far = open_stream('/long', $tenant, last_event_id => '1000000-1');
    like(recovery($far) . ' ' . caught_up($far), qr{^reset/limit 1\d\d$},
        'from far back: the newest, and told');
    my @got = map { $_->{data} =~ /^(\d+) / } own($far);
    is_deeply(\@got, [map { $n - 100 * $_ } reverse 0 .. $#got], 'all within the limit');
    my $further = open_stream('/far', $tenant, last_event_id => '1000000-1');
    # Not all of that has room in memory: then the oldest come from Redis, as far as the limit goes.
    my $all = caught_up($further);
    like($all, qr{^(?:[5-9]\d\d|10\d\d)$}, 'a higher limit');
    ok($all >= 1000 || (grep { $_->{event} eq 'reset' && json_of($_->{data})->{reason} eq 'limit' } $further->events)
        || recovery($further) eq 'reset/limit', 'which it is told of');
    # Everything is for this one: more than RaglineCache holds.
    my $whole = open_stream('/far', $other, last_event_id => '1000000-' . ($n - 49_000));
    like(recovery($whole), qr{^(?:resumed|reset/limit)$}, 'very much to replay');
    my $replayed = caught_up($whole);
    @got = map { $_->{data} =~ /^(\d+) / } own($whole);
    is(scalar(@got), $replayed, "$replayed events come");
    my @want = grep { $_ % 100 } $n - 49_000 + 1 .. $n;
    splice(@want, 0, @want - @got) if recovery($whole) ne 'resumed';
    is_deeply(\@got, \@want, 'without a gap up to the newest');
    my $seconds = Time::HiRes::time() - $began;
    my $more = peak() - $before;
    grows_less($more, 64_000 * (() = $httpd->children));
    # What it did for a second at most must not keep others waiting.
    for my $name (qw(xrevrange xrange xread xinfo|stream)) {
        my $did = command($name);
        next if !$did->{calls};
        my $each = $did->{usec} / $did->{calls};
        cmp_ok($each, '<', 50_000,
            sprintf('%s: %d calls of %.0f us keep nobody waiting', $name, $did->{calls}, $each));
    }
    is(command('xlen')->{calls}, 0, 'nothing is counted');
    cmp_ok(command('xrevrange')->{calls}, '<=', 4 * (50_000 / 512 + 1),
        sprintf('all of it in %.1f s', $seconds));
    $redis->xadd($key{long}, tenant_id => $_, event_type => 'n', payload => 'live') for $tenant, $other;
    ok(Ragline::SSE->wait_all([$near, $far, $further, $whole],
        sub { (own($_[0]))[-1]{data} eq 'live' }), 'and they are live');
    $_->close for $near, $far, $further, $whole;
}

$httpd->stop;
unlike($httpd->error_log, qr/exit signal|AH00046/, 'nobody crashed or had to be killed');
done_testing();
