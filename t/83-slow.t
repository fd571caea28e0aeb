# SPDX-License-Identifier: Apache-2.0
#
# Readers that stop reading: they cost next to nothing, disturb nobody, and get everything when they
# read again.
#
# Modes if full: tenant group ndjson
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes ();

use Ragline::HTTP ();
use Ragline::Httpd ();
use Ragline::Load ();
use Ragline::Proc qw(limit slurp);
use Ragline::Redis ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'slow', args => ['--appendonly', 'no']);
my @keys = map { stream_key('slow', $_) } qw(one two three);
my $common = <<"EOF";
RaglineRedis @{[ $redis->url ]}
RaglineDrain 0
RaglineStream one $keys[0]
RaglineStream two $keys[1]
RaglineStream three $keys[2]
<Location /ragline-stats>
    SetHandler ragline-stats
    Require local
</Location>
EOF
my $httpd = Ragline::Httpd->new(name => 'main', conf => $common
    . bearer_location('/one', 'RaglineSubscribe one', 'RaglineHeartbeat 1s')
    . bearer_location('/three', 'RaglineSubscribe one two three', 'RaglineHeartbeat 1s'))->start;

# A stream that is read only when asked to. Events are those of Ragline::Load.
package Reader;

sub new
{
    my ($class, $path, $tenant, $keys, $before) = @_;
    my $self = bless { http => Ragline::HTTP->new, keys => $keys, count => 0, bytes => 0,
        last => [@{ $before ? $before->{last} : [] }], id => $before && $before->{id},
        problems => [], ended => 0, told => {}, resets => [] }, $class;
    $self->{socket} = Ragline::HTTP::connect_to(port => $httpd->port);
    syswrite($self->{socket}, Ragline::HTTP::request_bytes(port => $httpd->port, path => $path,
        headers => [defined $self->{id} ? ('Last-Event-ID' => $self->{id}) : ()],
        token => Ragline::Token::access($tenant, 1)));
    $self->{socket}->blocking(0);
    return $self;
}

# Reads what is there, or at most some bytes of it.
sub step
{
    my ($self, $max) = @_;
    while (!$self->{ended}) {
        my $n = sysread($self->{socket}, my $bytes, $max // 262_144);
        last if !defined($n) && ($!{EAGAIN} || $!{EINTR});
        $self->{ended} = 1, last if !$n;
        $self->{bytes} += $n;
        $self->{http}->feed($bytes);
        $self->take;
        last if $max;
    }
    return;
}

sub take
{
    my ($self) = @_;
    my $end = rindex($self->{http}{body}, "\n\n");
    return if $end < 0;
    my $text = substr($self->{http}{body}, 0, $end + 2, '');
    while ($text =~ /^event: (\w+)\ndata: (?:\{"n":(\d+))?.*\n(?:id: (\S+)\n)?/mg) {
        my ($event, $n) = ($1, $2);
        $self->{id} = $3 // $self->{id};
        push @{ $self->{resets} }, $self->{last} if $event eq 'reset';
        $self->{code} = $text =~ /"code":"(\w+)"/ && $1 if $event eq 'error';
        if ($event =~ /^s(\d)$/) {
            my $last = $self->{last}[$1] // ($1 || $self->{keys}) - $self->{keys};
            push @{ $self->{problems} }, "$n after $last in $event" if $n != $last + $self->{keys};
            $self->{last}[$1] = $n;
            $self->{count}++;
        }
        $self->{told}{$event}++;
    }
    return;
}

sub complete
{
    my ($self, $n) = @_;
    return !grep { ($self->{last}[$_] // 0) <= $n - $self->{keys} } 0 .. $self->{keys} - 1;
}

package main;

# What the children have for themselves, in kB.
sub private_memory
{
    my $sum = 0;
    for my $pid ($httpd->children) {
        $sum += $_ for slurp("/proc/$pid/smaps_rollup") =~ /^Private_\w+:\s+(\d+)/mg;
    }
    return $sum;
}

# A sanitizer keeps what is freed. With prefork each process reads for itself, at its own pace, and has
# memory of its own.
my $sanitized = $ENV{RAGLINE_TEST_SANITIZE};
my $prefork = vars('mpm') eq 'prefork';

sub step_all { $_->step for @_; return 1 }

for my $case (['/one', 1], ['/three', 3]) {
    my ($path, $keys) = @$case;
    my $tenant = unique();
    my ($trickle, @stopped) = map { Reader->new($path, $tenant, $keys) } 1 .. 11;
    my @fast = map { Reader->new($path, $tenant, $keys) } 1 .. 19;
    my @all = (@fast, @stopped, $trickle);
    ok(wait_until(sub { step_all(@all); !grep { !$_->{told}{connected} } @all }),
        "$path: thirty readers");

    my %load = (redis => $redis, keys => [@keys[0 .. $keys - 1]], tenants => [$tenant], rate => 1300,
        size => 1000);
    my $load = Ragline::Load->start(%load);
    # Everything is as large as it gets without anybody being slow.
    wait_until(sub { step_all(@all); $fast[0]{bytes} > 4_000_000 });
    my ($before, $start) = (private_memory(), $fast[0]{bytes});
    my $most = $before;
    ok(wait_until(sub {
        step_all(@fast);
        $trickle->step(100);
        my $now = private_memory();
        $most = $now if $now > $most;
        $fast[0]{bytes} - $start > 12_000_000
    }, 60), "$path: 12 MB while ten readers have stopped and one takes a few bytes at a time");
    my $rounds = $load->stop;
    ok(wait_until(sub { step_all(@fast); !grep { !$_->complete($rounds) } @fast }, 120),
        "$path: the others have everything");
    SKIP: {
        skip('memory is not what it is with a sanitizer', 1) if $sanitized;
        skip('each process has memory of its own', 1) if $prefork;
        cmp_ok($most - $before, '<', 2048, "$path: memory has grown by @{[ $most - $before ]} kB");
    }
    my ($furthest) = sort { $b <=> $a } map { $_->{count} } @stopped;
    cmp_ok($rounds - $furthest, '>', 5000, "$path: each of those that stopped has missed thousands");

    ok(wait_until(sub { step_all(@all); !grep { !$_->complete($rounds) } @all }, 60),
        "$path: when they read again they get all $rounds");
    my @problems = map { @{ $_->{problems} } } @all;
    is(scalar(@problems), 0, "$path: in order, each once") or diag(@problems[0 .. 5]);
    is(scalar(grep { $_->{told}{reset} || $_->{told}{error} || $_->{ended} } @all), 0,
        "$path: nobody was sent away or told of a gap");
    SKIP: {
        skip('memory is not what it is with a sanitizer', 1) if $sanitized;
        skip('each process has memory of its own', 1) if $prefork;
        cmp_ok(private_memory() - $before, '<', 8192, "$path: nor has that cost memory");
    }

    my $from = $rounds + 1;
    my @ids = $redis->xadd_many($keys[0], map { [tenant_id => $tenant, event_type => 'after',
        payload => $_] } 1 .. 100);
    ok(wait_until(sub { step_all(@all); !grep { ($_->{told}{after} // 0) < 100 } @all }),
        "$path: and go on with the others");
    is(scalar(grep { $_->{told}{after} != 100 || $_->{count} != $rounds } @all), 0,
        "$path: nothing came twice");
    close($_->{socket}) for @all;
}

# An entry that is too large is told in its place, also to one who gets that from Redis.
for my $case (['/one', 1], ['/three', 3]) {
    my ($path, $keys) = @$case;
    my $tenant = unique();
    my ($stopped, $fast) = map { Reader->new($path, $tenant, $keys) } 1 .. 2;
    ok(wait_until(sub { step_all($stopped, $fast);
        $stopped->{told}{connected} && $fast->{told}{connected} }), "$path: two readers");
    my $client = $redis->client;
    my $fill = 'x' x 1000;
    my $add = sub {
        my ($from, $to) = @_;
        for my $n ($from .. $to) {
            my $k = $n % $keys;
            $client->xadd(key_of($keys[$k], $tenant), '*', tenant_id => $tenant, event_type => "s$k",
                payload => qq({"n":$n,"p":"$fill"}));
            $fast->step if $n % 100 == 0;
        }
    };
    my $fetches = stats($httpd)->{fetches};
    $add->(1, 2000);
    $redis->xadd($keys[0], tenant_id => $tenant, event_type => 's0', payload => 'x' x 1_100_000);
    $add->(2001, 5000);
    wait_until(sub { step_all($fast); $fast->complete(5000) });
    # What is older than two seconds makes room for what comes now.
    Time::HiRes::sleep(2.5);
    $add->(5001, 5003);
    ok(wait_until(sub { step_all($stopped, $fast);
        !grep { !$_->complete(5003) } $stopped, $fast }), "$path: they have everything");
    cmp_ok(stats($httpd)->{fetches}, '>', $fetches, "$path: one got it from Redis");
    for my $reader ($stopped, $fast) {
        is(scalar(@{ $reader->{resets} }), 1, "$path: told once");
        is(scalar(@{ $reader->{problems} }), 0, "$path: nothing else is missing");
    }
    close($_->{socket}) for $stopped, $fast;
}

# One that never reads again is ended, and where that is asked for one that is too far behind.
{
    my $other = Ragline::Httpd->new(name => 'ended', conf => $common
        . bearer_location('/one', 'RaglineSubscribe one', 'RaglineSlowConsumer resume stall=2s')
        . bearer_location('/drop', 'RaglineSubscribe one', 'RaglineSlowConsumer disconnect')
        . bearer_location('/more', 'RaglineSubscribe one', 'RaglineReplayLimit 100000'));
    my ($status, $output) = $other->configtest;
    is($status, 0, 'RaglineSlowConsumer') or diag($output);
    $httpd->stop;
    $httpd = $other->start;
    my $tenant = unique();
    my ($stuck, $slow, $late) = map { Reader->new($_, $tenant, 1) } '/one', '/drop', '/drop';
    my @all = ($stuck, $slow, $late);
    wait_until(sub { step_all(@all); !grep { !$_->{told}{connected} } @all });
    my $load = Ragline::Load->start(redis => $redis, keys => [$keys[0]], tenants => [$tenant],
        rate => 1000, size => 4000);
    ok(wait_until(sub { $late->step(Ragline::Load::rate(30_000)); stats_connections(stats($httpd)) == 0 }),
        'all are ended');
    my $rounds = $load->stop;
    ok(wait_until(sub { step_all(@all); !grep { !$_->{ended} } @all }), 'and see it');
    is($late->{code}, 'slow_consumer', 'one who still reads is told why');
    is(scalar(grep { $_->{told}{reset} || @{ $_->{problems} } } @all), 0, 'nothing is left out');
    my @again = map { Reader->new('/more', $tenant, 1, $_) } @all;
    ok(wait_until(sub { step_all(@again); !grep { !$_->complete($rounds) } @again }),
        'who comes back gets the rest');
    is(scalar(grep { $_->{told}{reset} || @{ $_->{problems} } } @again), 0, 'in order, each once');
    close($_->{socket}) for @again;
}

# Those that stick within events that nobody else holds: not for long while that is more than memory
# is for.
SKIP: {
    skip('each process has a RaglineCache of its own', 5) if $prefork;
    my $tight = Ragline::Httpd->new(name => 'tight', conf => $common . "RaglineCache 1MB\n"
        . bearer_location('/one', 'RaglineSubscribe one'));
    $httpd->stop;
    $httpd = $tight->start;
    my @tenants = map { unique() } 1 .. 12;
    my @all = map { Reader->new('/one', $_, 1) } @tenants;
    ok(wait_until(sub { step_all(@all); !grep { !$_->{told}{connected} } @all }), 'twelve readers');
    for my $n (1 .. 12) {
        for my $tenant (@tenants) {
            $redis->xadd($keys[0], tenant_id => $tenant, event_type => 's0',
                payload => qq({"n":$n,"p":") . 'x' x 600_000 . '"}');
        }
    }
    ok(wait_until(sub { stats_connections(stats($httpd)) <= 2 }, 60), 'most are closed');
    cmp_ok(stats_connections(stats($httpd)), '>', 0, 'but not more than must be');
    ok(wait_until(sub { step_all(@all); !grep { !$_->{ended} && !$_->complete(12) } @all }),
        'and see it');
    is(scalar(map { @{ $_->{problems} } } @all), 0, 'nothing is left out before');
    close($_->{socket}) for @all;
}

# One of a thousand takes a little at a time. What is published next waits for the others to have
# what was before: if it delayed them, this would not come to an end before it has everything.
{
    my $one = Ragline::Httpd->new(name => 'thousand', conf => $common . "RaglineSendBuffer 4KB\n"
        . bearer_location('/one', 'RaglineSubscribe one'));
    $httpd->stop;
    $httpd = $one->start;
    my $tenant = unique();
    my ($published, $client, $fill, @fast) = (0, $redis->client, 'x' x 1000);
    while (@fast < 1000) {
        push @fast, map { Reader->new('/one', $tenant, 1) } 1 .. 100;
        wait_until(sub { step_all(@fast[-100 .. -1]);
            !grep { !$_->{told}{connected} } @fast[-100 .. -1] });
    }
    my $rounds = sub {
        my ($slow) = @_;
        my $started = Time::HiRes::time();
        my $end = $published + 300;
        while ($published < $end) {
            $client->xadd(key_of($keys[0], $tenant), '*', tenant_id => $tenant, event_type => 's0',
                payload => '{"n":' . ++$published . qq(,"p":"$fill"})) for 1 .. 10;
            wait_until(sub { $slow->step(1000) if $slow; step_all(@fast);
                !grep { !$_->complete($published) } @fast }) or return 0;
        }
        return Time::HiRes::time() - $started;
    };
    my $without = $rounds->();
    ok($without, 'a thousand readers, in step');
    my $slow = Reader->new('/one', $tenant, 1, $fast[0]);
    wait_until(sub { $slow->step(1000); $slow->{told}{connected} });
    my $with = $rounds->($slow);
    ok($with, 'and with a slow one among them');
    diag(sprintf('300 events to 1000 readers: %.1f s, with a slow one %.1f s', $without, $with));
    cmp_ok($published - $slow->{count}, '>', 300 + 100, 'which is far behind then');
    is(scalar(map { @{ $_->{problems} } } @fast, $slow), 0, 'nobody missed anything');
    ok(wait_until(sub { $slow->step; $slow->complete($published) }), 'and it has the rest');
    is(scalar(@{ $slow->{problems} }), 0, 'in order, each once');
    close($_->{socket}) for @fast, $slow;
}

$httpd->stop;
unlike($httpd->error_log, qr/exit signal|AH00046/, 'nobody crashed or had to be killed');
done_testing();
