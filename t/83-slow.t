# SPDX-License-Identifier: Apache-2.0
#
# Readers that stop reading: they cost next to nothing, disturb nobody, and get everything when they
# read again.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes ();

use Ragline::HTTP ();
use Ragline::Httpd ();
use Ragline::Load ();
use Ragline::Proc qw(slurp);
use Ragline::Redis ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'slow', args => ['--appendonly', 'no']);
my @keys = map { "slow:$_" } qw(one two three);
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
    my ($class, $path, $tenant, $keys) = @_;
    my $self = bless { http => Ragline::HTTP->new, last => [], keys => $keys, count => 0, bytes => 0,
        problems => [], ended => 0, told => {} }, $class;
    $self->{socket} = Ragline::HTTP::connect_to(port => $httpd->port);
    syswrite($self->{socket}, Ragline::HTTP::request_bytes(port => $httpd->port, path => $path,
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
    while ($text =~ /^event: (\w+)\nid: (\S+)\ndata: (?:\{"n":(\d+))?/mg) {
        my ($event, $n) = ($1, $3);
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

sub step_all { $_->step for @_; return 1 }

for my $case (['/one', 1], ['/three', 3]) {
    my ($path, $keys) = @$case;
    my $tenant = unique();
    my ($trickle, @stopped) = map { Reader->new($path, $tenant, $keys) } 1 .. 11;
    my @fast = map { Reader->new($path, $tenant, $keys) } 1 .. 5;
    my @all = (@fast, @stopped, $trickle);
    ok(wait_until(sub { step_all(@all); !grep { !$_->{told}{connected} } @all }),
        "$path: sixteen readers");

    my %load = (redis => $redis, keys => [@keys[0 .. $keys - 1]], tenants => [$tenant], rate => 1300,
        size => 1000);
    my $load = Ragline::Load->start(%load);
    # Everything is as large as it gets without anybody being slow.
    wait_until(sub { step_all(@all); $fast[0]{bytes} > 4_000_000 });
    my ($before, $start) = (private_memory(), $fast[0]{bytes});
    my ($most, $apart) = ($before, 0);
    ok(wait_until(sub {
        step_all(@fast);
        $trickle->step(100);
        my $now = private_memory();
        $most = $now if $now > $most;
        my ($low, $high) = (sort { $a <=> $b } map { $_->{count} } @fast)[0, -1];
        $apart = $high - $low if $high - $low > $apart;
        $fast[0]{bytes} - $start > 12_000_000
    }, 60), "$path: 12 MB while ten readers have stopped and one takes a few bytes at a time");
    my $rounds = $load->stop;
    ok(wait_until(sub { step_all(@fast); !grep { !$_->complete($rounds) } @fast }, 3),
        "$path: the others have everything at once");
    cmp_ok($apart, '<', 1500, "$path: and are never far apart");
    cmp_ok($most - $before, '<', 8192, "$path: memory has grown by @{[ $most - $before ]} kB");
    my ($furthest) = sort { $b <=> $a } map { $_->{count} } @stopped;
    cmp_ok($rounds - $furthest, '>', 9000, "$path: each of those that stopped has missed thousands");

    ok(wait_until(sub { step_all(@all); !grep { !$_->complete($rounds) } @all }, 60),
        "$path: when they read again they get all $rounds");
    my @problems = map { @{ $_->{problems} } } @all;
    is(scalar(@problems), 0, "$path: in order, each once") or diag(@problems[0 .. 5]);
    is(scalar(grep { $_->{told}{reset} || $_->{told}{error} || $_->{ended} } @all), 0,
        "$path: nobody was sent away or told of a gap");
    cmp_ok(private_memory() - $before, '<', 8192, "$path: nor has that cost memory");

    my $from = $rounds + 1;
    my @ids = $redis->xadd_many($keys[0], map { [tenant_id => $tenant, event_type => 'after',
        payload => $_] } 1 .. 100);
    ok(wait_until(sub { step_all(@all); !grep { ($_->{told}{after} // 0) < 100 } @all }),
        "$path: and go on with the others");
    is(scalar(grep { $_->{told}{after} != 100 || $_->{count} != $rounds } @all), 0,
        "$path: nothing came twice");
    close($_->{socket}) for @all;
}

# One that never reads again is ended where that is asked for.
SKIP: {
    my $other = Ragline::Httpd->new(name => 'ended', conf => $common
        . bearer_location('/one', 'RaglineSubscribe one', 'RaglineSlowConsumer resume stall=2s')
        . bearer_location('/drop', 'RaglineSubscribe one', 'RaglineSlowConsumer disconnect'));
    my ($status, $output) = $other->configtest;
    skip('this build has no RaglineSlowConsumer', 3) if $output =~ /Invalid command/;
    is($status, 0, 'RaglineSlowConsumer') or diag($output);
    $httpd->stop;
    $httpd = $other->start;
    my $tenant = unique();
    my @all = map { Reader->new($_, $tenant, 1) } '/one', '/drop';
    wait_until(sub { step_all(@all); !grep { !$_->{told}{connected} } @all });
    my $load = Ragline::Load->start(redis => $redis, keys => [$keys[0]], tenants => [$tenant],
        rate => 1000, size => 4000);
    ok(wait_until(sub { stats_connections(stats($httpd)) == 0 }), 'both are ended');
    $load->stop;
    ok(wait_until(sub { step_all(@all); !grep { !$_->{ended} } @all }), 'and see it');
}

$httpd->stop;
unlike($httpd->error_log, qr/exit signal|AH00046/, 'nobody crashed or had to be killed');
done_testing();
