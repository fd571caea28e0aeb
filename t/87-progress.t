# SPDX-License-Identifier: Apache-2.0
#
# Nothing spins, floods, swells or stops: what Redis is asked, what it sends, the time and the
# memory that a child takes, when entries vanish under its hands or are very large.
#
# Modes if full: tenant
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;
use POSIX ();
use Time::HiRes ();

use Ragline::HTTP ();
use Ragline::Httpd ();
use Ragline::Proc qw(freeze slurp);
use Ragline::Redis ();
use Ragline::Test;

plan skip_all => 'memory is looked up in /proc' if !-r "/proc/$$/clear_refs";

my $redis = Ragline::Redis->start(name => 'progress', args => ['--appendonly', 'no']);
my %key = map { $_ => stream_key('progress', $_) } qw(one two);

sub conf
{
    my (@first) = @_;
    return join('', (map { "$_\n" } "RaglineRedis @{[ $redis->url ]}", 'RaglineDrain 0', @first),
        (map { "RaglineStream $_ $key{$_}\n" } sort keys %key),
        bearer_location('/one', 'RaglineSubscribe one', 'RaglineHeartbeat 1s'),
        bearer_location('/two', 'RaglineSubscribe one two', 'RaglineHeartbeat 1s'),
        bearer_location('/all', 'RaglineSubscribe one', 'RaglineStart all'),
        bearer_location('/group', 'RaglineSubscribe one', 'RaglineStart group'));
}

my $httpd;

sub restart
{
    my (@conf) = @_;
    $httpd->stop if $httpd;
    $redis->client->flushall;
    $httpd = Ragline::Httpd->new(processes => 1, conf => conf(@conf))->start;
    return;
}

sub reader
{
    my ($path, $tenant, $id) = @_;
    my $stream = $httpd->stream($path, token => token($tenant, 1), last_event_id => $id);
    $stream->connected;
    return $stream;
}

sub own { return grep { $_->{event} eq 'n' } $_[0]->events }
sub numbers { return join ' ', map { $_->{data} =~ /^(\w+)/ } own($_[0]) }
sub told { return join ' ', map { json_of($_->{data})->{reason} } grep { $_->{event} eq 'reset' } $_[0]->events }
sub recovery { return join '/', grep { defined } @{ json_of(($_[0]->events)[0]{data}) }{qw(recovery reason)} }
sub beats { return scalar grep { $_->{event} eq 'heartbeat' } $_[0]->events }
sub key { return key_of($key{one}, $_[0]) }

sub fields { my ($tenant, $data) = @_; return (tenant_id => $tenant, event_type => 'n', payload => $data) }
sub add
{
    my ($tenant, @data) = @_;
    return map { $redis->client->xadd(key($tenant), '*', fields($tenant, $_)) } @data;
}

sub caught_up
{
    my ($stream) = @_;
    my $event = $stream->take('caught_up', 120) or return '?';
    return json_of($event->{data})->{replayed};
}

# --- what is measured -------------------------------------------------------------------------------------

sub commands { return $redis->client->info('stats')->{total_commands_processed} }
sub bytes { return $redis->client->info('stats')->{total_net_output_bytes} }

# The most memory that children have had since forget_peak(), in kB.
sub forget_peak { Ragline::Proc::spew("/proc/$_/clear_refs", '5') for $httpd->children; return peak() }

sub peak
{
    my $sum = 0;
    $sum += $_ for map { slurp("/proc/$_/status") =~ /^VmHWM:\s+(\d+)/m } $httpd->children;
    return $sum;
}

# CPU time of all children and Redis, in seconds.
sub cpu
{
    my $sum = 0;
    for my $pid ($httpd->children, $redis->pid) {
        my @field = split / /, slurp("/proc/$pid/stat") =~ s/^.*\) //rs;
        $sum += $field[11] + $field[12]; # utime and stime
    }
    return $sum / POSIX::sysconf(POSIX::_SC_CLK_TCK());
}

# While nothing happens, after what happened has been worked off: a look and a read a second.
sub is_quiet
{
    my ($name) = @_;
    my ($commands, $cpu);
    for my $seconds (0.5, 1.5) {
        ($commands, $cpu) = (commands(), cpu());
        my $until = Time::HiRes::time() + $seconds;
        Ragline::SSE::pump(0.1) while Time::HiRes::time() < $until;
    }
    cmp_ok(commands() - $commands, '<', 200, "$name: Redis is left alone");
    cmp_ok(cpu() - $cpu, '<', 1, "$name: and nothing spins");
    return;
}

sub grows_less
{
    my ($before, $limit, $name) = @_;
    SKIP: {
        skip 'memory is not what it is with a sanitizer', 1 if $ENV{RAGLINE_TEST_SANITIZE};
        my $more = peak() - $before;
        cmp_ok($more, '<', $limit, "$name: $more kB more memory");
    }
    return;
}

# --- entries that vanish under its hands ------------------------------------------------------------------

my %vanish = (
    'added and deleted in one' => sub {
        my ($tenant) = @_;
        my $c = $redis->client;
        $c->multi;
        $c->xadd(key($tenant), '999999999999999-1', fields($tenant, 'x'));
        $c->xdel(key($tenant), '999999999999999-1');
        $c->exec;
    },
    'a worker that deletes' => sub {
        my ($tenant) = @_;
        $redis->client->xdel(key($tenant), add($tenant, $_)) for 1 .. 20;
    },
    'XSETID' => sub {
        my ($tenant) = @_;
        $redis->client->xsetid(key($tenant), '999999999999999-1');
    },
    'trimmed to nothing' => sub {
        my ($tenant) = @_;
        add($tenant, 1 .. 20);
        $redis->client->xtrim(key($tenant), 'MAXLEN', '=', 0);
    },
    'deleted' => sub { my ($tenant) = @_; $redis->client->del(key($tenant)) },
);

for my $how (sort keys %vanish) {
    for my $path ('/one', again() ? () : '/two') {
        my $name = "$path, $how";
        restart();
        my $tenant = unique();
        my $there = reader($path, $tenant);
        my ($first) = add($tenant, 'first');
        $there->wait(sub { own($_[0]) == 1 });
        $vanish{$how}->($tenant);
        my $back = reader($path, $tenant, $there->last_event_id);
        isnt(caught_up($back), '?', "$name: who comes back is caught up");
        is_quiet($name);
        my $seen = beats($there);
        ok($there->wait(sub { beats($_[0]) > $seen }), "$name: heartbeats go on");
        my $c = $redis->client;
        $c->xadd(key($tenant), $how eq 'deleted' ? '*' : '999999999999999-2', fields($tenant, 'last'));
        ok(Ragline::SSE->wait_all([$there, $back], sub { numbers($_[0]) =~ /last$/ }),
            "$name: the next event comes");
        cmp_ok(scalar(() = told($there) =~ /\w+/g), '<=', 1, "$name: told once at most");
        $_->close for $there, $back;
    }
}

# --- a reader that stops, and what it has yet to get vanishes ---------------------------------------------

for my $how ('trimmed', 'deleted') {
    for my $path ($how eq 'trimmed' ? ('/one', '/two') : '/one') {
        my $name = "$path, a reader that had stopped, $how";
        restart();
        my $tenant = unique();
        my $there = reader($path, $tenant);
        my $slow = Ragline::HTTP::connect_to(port => $httpd->port);
        syswrite($slow, Ragline::HTTP::request_bytes(port => $httpd->port, path => $path,
            token => token($tenant, 1)));
        my $got = '';
        1 while $got !~ /^event: connected/m && sysread($slow, $got, 65536, length $got);
        my @ids = map { my ($id) = add($tenant, "$_ " . 'x' x 30_000);
            Ragline::SSE::pump(0); $id } 1 .. 200;
        $there->wait(sub { own($_[0]) == 200 });
        # What it kept of the last two seconds is not kept any more when more comes.
        sleep(3);
        add($tenant, map { "more$_ " . 'x' x 30_000 } 1 .. 40);
        $there->wait(sub { own($_[0]) == 240 });
        if ($how eq 'trimmed') {
            $redis->client->xtrim(key($tenant), 'MAXLEN', '=', 0);
        }
        else {
            $redis->client->xdel(key($tenant), @ids[100 .. $#ids]);
            $redis->client->xtrim(key($tenant), 'MAXLEN', '=', 0);
        }
        my $before = commands();
        $slow->blocking(0);
        my $read = sub { while (sysread($slow, my $bytes, 1_000_000)) { $got .= $bytes; $got =~ s/x{100,}/x/g } };
        ok(wait_until(sub { $read->(); $got =~ /^event: reset/m || $got =~ /^data: more40 /m }),
            "$name: it goes on");
        my $until = Time::HiRes::time() + 3;
        while (Time::HiRes::time() < $until) { $read->(); Ragline::SSE::pump(0.05) }
        my $resets = () = $got =~ /^event: reset/mg;
        cmp_ok($resets, '<=', 1, "$name: told once");
        cmp_ok(commands() - $before, '<', 1000, "$name: Redis is left alone");
        my $beats = () = $got =~ /^event: heartbeat/mg;
        ok(wait_until(sub { $read->(); (() = $got =~ /^event: heartbeat/mg) > $beats + 1 }),
            "$name: heartbeats");
        add($tenant, 'last');
        ok(wait_until(sub { $read->(); $got =~ /^data: last$/m }), "$name: and it is live");
        close($slow);
        $there->close;
    }
}

# --- large entries ------------------------------------------------------------------------------------------

my $text = 'x' x 900_000;

# A stream of so many bytes that it is looked at only where it ends, without a copy.
sub bulk
{
    my ($path, $tenant, $id) = @_;
    return $httpd->stream($path, token => token($tenant, 1), last_event_id => $id, bulk => 1);
}

sub ends_with
{
    my ($stream, $what) = @_;
    return $stream->wait(sub { my $body = \$_[0]{http}{body};
        length($$body) && substr($$body, length($$body) > 1000 ? -1000 : 0) =~ $what }, 120);
}

# One who brings an old id, and one who was away for a moment. Of a tenant's own keys these are two.
{
    my $name = 'an old id before large entries';
    my ($tenant, $other) = (unique(), unique());
    restart('RaglineCache 8MB');
    add(mode('tenant') ? $tenant : $other, "$_ $text") for 1 .. 200;
    my ($last) = add($other, 'b');
    add($other, 'c');
    $httpd->stop;
    $httpd->start;
    my $before = forget_peak();
    my $sent = bytes();
    my $far = bulk('/one', $tenant, '0-1');
    ok(wait_until(sub { bytes() - $sent > 10_000_000 }, undef, 0.001), "$name: much is read");
    my $near = reader('/one', $other, $last);
    is(caught_up($near) . ' ' . numbers($near), '1 c', "$name: another one");
    cmp_ok((bytes() - $sent) / 1e6, '<', 120, "$name: does not wait for that");
    ok(ends_with($far, qr/^event: caught_up/m), "$name: it ends");
    grows_less($before, 60_000, $name);
    cmp_ok((bytes() - $sent) / 1e6, '<', mode('tenant') ? 600 : 300, "$name: bytes are read once");
    $far->close;
    for (1 .. 3) {
        last if mode('tenant'); # it has all of them to get
        $sent = bytes();
        my $again = bulk('/one', $tenant, '0-1');
        ok(ends_with($again, qr/^event: caught_up/m), "$name: and again");
        cmp_ok((bytes() - $sent) / 1e6, '<', 20, "$name: next to nothing is read for that");
        $again->close;
    }
    $near->close;
}

for my $path ('/one', '/two') {
    my $name = "$path, large entries, live";
    restart('RaglineCache 8MB');
    my $tenant = unique();
    my $there = bulk($path, $tenant);
    ok(ends_with($there, qr/^event: connected/m), "$name: connected");
    my $before = forget_peak();
    my @children = $httpd->children;
    freeze(@children);
    add($tenant, "$_ $text") for 1 .. 200;
    kill('CONT', @children);
    add($tenant, 'last');
    ok(ends_with($there, qr/^data: last$/m), "$name: 200 of 900 kB");
    grows_less($before, 60_000, $name);
    $there->close;
}

# --- many events from memory --------------------------------------------------------------------------------

for my $path ('/one', '/two') {
    my $name = "$path, 9,000 events";
    restart();
    my $tenant = unique();
    my $there = reader($path, $tenant);
    my $begin = $there->last_event_id;
    $redis->xadd_many($key{one}, map { [fields($tenant, $_)] } 1 .. 9000);
    $there->wait(sub { own($_[0]) == 9000 });
    $there->close;
    my @seconds;
    for my $i (0, 1) {
        my $began = Time::HiRes::time();
        my $again = reader($path, $tenant, $begin);
        is(caught_up($again), 9000, "$name are replayed");
        push @seconds, Time::HiRes::time() - $began;
        # The first one is closed first: its feed is new each time.
        $again->close;
    }
    # It was 7 s, for as many as came, when each turn waited for the wheel. Work takes longer for more.
    my $began = Time::HiRes::time();
    my @many = map { reader($path, $tenant, $begin) } 1 .. 8;
    is(scalar(grep { caught_up($_) == 9000 } @many), 8, "$name for eight");
    my $many = Time::HiRes::time() - $began;
    $_->close for @many;
    my ($one) = sort { $a <=> $b } @seconds;
    ok($one < 4 || $many > 2 * $one, sprintf('%s: in %.2f s, %.2f s for eight', $name, $one, $many));
}

# --- a long block -------------------------------------------------------------------------------------------

{
    restart('RaglineRead block=15s');
    my $tenant = unique();
    my @there = map { reader($_, $tenant) } '/one', '/two';
    add($tenant, 1);
    Ragline::SSE->wait_all(\@there, sub { own($_[0]) == 1 });
    my $began = Time::HiRes::time();
    $redis->client->del(key($tenant));
    ok(Ragline::SSE->wait_all(\@there, sub { told($_[0]) eq 'redis_reset' }),
        'RaglineRead block=15s: a deleted stream is told');
    cmp_ok(Time::HiRes::time() - $began, '<', 12, 'before that time');
    my $from = Time::HiRes::time();
    my %seen = map { $_ => beats($_) } @there;
    ok(Ragline::SSE->wait_all(\@there, sub { beats($_[0]) >= $seen{$_[0]} + 3 }), 'heartbeats');
    cmp_ok(Time::HiRes::time() - $from, '<', 12, 'come in time');
    $_->close for @there;
}

# --- positions that cannot be written -----------------------------------------------------------------------

SKIP: {
    skip 'it takes long', 1 if again();
    my $name = 'positions that cannot be written';
    restart();
    my $tenant = unique();
    my $there = reader('/group', $tenant);
    add($tenant, 1);
    $there->wait(sub { own($_[0]) == 1 });
    my $calls = sub { ($redis->client->info('commandstats')->{cmdstat_eval} // '') =~ /calls=(\d+)/ ? $1 : 0 };
    $redis->client->set('ragline:groups:{' . key($tenant) . '}', 'text');
    add($tenant, 2);
    ok($there->wait(sub { $httpd->error_log =~ /RS0521/ }), "$name: said");
    $there->close;
    # Each second, for a while.
    my ($last, $since) = ($calls->(), Time::HiRes::time());
    ok(wait_until(sub { my $now = $calls->(); my $time = Time::HiRes::time();
        ($last, $since) = ($now, $time) if $now > $last; $time - $since > 5 }, 100, 0.5),
        "$name: it is given up when nobody is there");
    $redis->client->del('ragline:groups:{' . key($tenant) . '}');
    $there = reader('/group', $tenant);
    ok($there->take('caught_up'), "$name: and works again");
    $there->close;
}

$httpd->stop;
unlike($httpd->error_log, qr/exit signal|AH00046/, 'nobody crashed or had to be killed');
done_testing();
