# SPDX-License-Identifier: Apache-2.0
#
# Presence where something dies: a node, the child that speaks for one, Redis; or is stopped, and goes
# on. Each event once, whatever happens. And what users who stay cost Redis. Two httpd with one Redis.
#
# Only if full
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);

use Ragline::Httpd ();
use Ragline::Proc qw(freeze);
use Ragline::Redis ();
use Ragline::SSE ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'trouble');
my $people = 'ragline:stream:people';
my $slow = $ENV{RAGLINE_TEST_SLOW} || 1;

my $conf = <<"EOF"
RaglineRedis @{[ $redis->url ]}
RaglineStream people $people
RaglineDrain 0
EOF
    . bearer_location('/stream', 'RaglineSubscribe people', 'RaglinePresence people', 'RaglineRetry 500ms')
    . "<Location /all>\n    SetHandler ragline-admin\n    RaglineAdmin all\n    Require local\n</Location>\n";

sub node { return Ragline::Httpd->new(name => $_[0], children => 2, conf => $conf)->start }
my ($one, $two) = (node('one'), node('two'));
my $us = unique('a');

sub open_at
{
    my ($node, $user) = @_;
    my $stream = Ragline::SSE->open(port => $node->port, path => '/stream', token => token($us, $user));
    $stream->take('connected') or diag("$user: not connected");
    return $stream;
}

# A client that comes back by itself.
sub again_at
{
    my ($node, $user) = @_;
    my $stream;
    wait_until(sub {
        $stream = Ragline::SSE->open(port => $node->port, path => '/stream', token => token($us, $user));
        return ($stream->take(sub { 1 }) // { event => '' })->{event} eq 'connected';
    }) or diag("$user: not back");
    return $stream;
}

sub there { my ($node) = @_;
    my $answer = $node->request(path => "/all/presence?tenant=$us&limit=1000")->json // {};
    return join ' ', map { "$_->{user_id}:$_->{connections}" } @{ $answer->{users} // [] } }
sub becomes
{
    my ($node, $what, $name, $limit) = @_;
    my $last;
    ok(wait_until(sub { ($last = there($node)) eq $what }, $limit), $name) or diag("it is $last");
    return;
}

my $seen = 0;
# What was told since the last call.
sub told
{
    my @all = $redis->client->xrange($people, '-', '+');
    my @news = @all[$seen .. $#all];
    $seen = @all;
    return join ', ', sort map { my %f = @{ $_->[1] };
        ($f{event_type} =~ s/^presence_//r) . ' ' . json_of($f{payload})->{user_id} } @news;
}
sub is_told
{
    my ($what, $name, $limit) = @_;
    my $n = () = $what =~ /\w+ \w+/g;
    wait_until(sub { $redis->client->xlen($people) >= $seen + $n }, $limit // 10 * $slow);
    sleep(1.5) if !$n;
    is(told(), $what, $name);
    return;
}

# The child that speaks for its node, by its log.
sub speaker { my ($node) = @_;
    my @said = $node->error_log =~ /\[pid (\d+):tid \d+\] RS0524/g;
    return $said[-1] }
sub other_speaks { my ($node, $before, $name) = @_;
    ok(wait_until(sub { speaker($node) != $before }, 10 * $slow), $name); return }
my %at = (one => [map { open_at($one, $_) } qw(a b both)], two => [map { open_at($two, $_) } qw(c both)]);
becomes($two, 'a:1 b:1 both:2 c:1', 'all are there');
is_told('join a, join b, join both, join c', 'and told of');

# --- a node is killed ----------------------------------------------------------------------------

my $killed = time;
kill('KILL', $two->pid, $two->children);
$two->stop(0);
becomes($one, 'a:1 b:1 both:1', 'a node was killed: its users are gone', 20);
is_told('leave c', 'and told of, once; who is elsewhere is still there', 20 - (time - $killed));
cmp_ok(time - $killed, '<', 20 * $slow, 'within 20 s');
$two = node('three');
$at{two} = [map { open_at($two, $_) } qw(c both)];
becomes($one, 'a:1 b:1 both:2 c:1', 'another one has come');
is_told('join c', 'who is new is told of');

# --- the child that speaks -----------------------------------------------------------------------

my $speaker = speaker($one);
kill('KILL', $speaker);
other_speaks($one, $speaker, 'the child that speaks is killed: another one does');
$_->close for @{ $at{one} };
$at{one} = [map { again_at($one, $_) } qw(a b both)];
becomes($two, 'a:1 b:1 both:2 c:1', 'who comes back is there');
is_told('', 'nobody had gone');
$speaker = speaker($one);
freeze($speaker);
other_speaks($one, $speaker, 'it is stopped: another one speaks');
kill('CONT', $speaker);
sleep(3);
becomes($two, 'a:1 b:1 both:2 c:1', 'all are still there');
is_told('', 'which is nothing to tell');

# --- a node hangs --------------------------------------------------------------------------------

my @all = $two->children;
freeze(@all);
becomes($one, 'a:1 b:1 both:1', 'a node hangs: its users are gone', 20 * $slow);
is_told('leave c', 'which is told', 10 * $slow);
kill('CONT', @all);
becomes($one, 'a:1 b:1 both:2 c:1', 'it goes on: they are there');
is_told('join c', 'which is told, too');

# --- restarts ------------------------------------------------------------------------------------

$speaker = speaker($one);
for (1 .. (full() ? 3 : 1)) {
    $one->control('graceful');
    $_->wait_end for @{ $at{one} };
    $at{one} = [map { again_at($one, $_) } qw(a b both)];
}
other_speaks($one, $speaker, 'graceful restarts: a new child speaks');
becomes($two, 'a:1 b:1 both:2 c:1', 'all came back');
sleep(6);
is_told('', 'nobody had gone');

# --- Redis ---------------------------------------------------------------------------------------

$redis->client->client_kill('TYPE', 'normal', 'SKIPME', 'yes') for 1 .. 3;
my $late = again_at($one, 'late');
becomes($two, 'a:1 b:1 both:2 c:1 late:1', "Redis's connections are cut");
is_told('join late', 'only news are told');
$redis->stop;
sleep(14);
$redis->start_again;
becomes($two, 'a:1 b:1 both:2 c:1 late:1', 'Redis was away for longer than any lease');
sleep(4);
is_told('', 'nobody had gone');
$redis->client->flushall;
$seen = 0;
becomes($two, 'a:1 b:1 both:2 c:1 late:1', 'it has lost everything: it is told again');
is_told('join a, join b, join both, join c, join late', 'once');
$redis->client->del($people);
$redis->client->set($people, 'no stream');
my $held = Ragline::SSE->open(port => $one->port, path => '/stream', token => token($us, 'held'));
sleep(2);
is(there($two), 'a:1 b:1 both:2 c:1 late:1', 'a stream that cannot be written: nothing is changed without being told');
like($one->error_log, qr/RS0523: .* it cannot be told which users are there \(RaglinePresence\): .*WRONGTYPE/, 'which is logged');
$redis->client->del($people);
$seen = 0;
becomes($two, 'a:1 b:1 both:2 c:1 held:1 late:1', 'it can be: then it is');
is_told('join held', 'and told');

# --- one tenant's key -----------------------------------------------------------------------------

{
    my $other = unique('other');
    my $users = "ragline:presence:users:$other";
    $redis->client->set($users, 'no sorted set');
    my $theirs = Ragline::SSE->open(port => $one->port, path => '/stream', token => token($other, 'x'));
    $theirs->connected;
    my $ours = open_at($one, 'ours');
    becomes($two, 'a:1 b:1 both:2 c:1 held:1 late:1 ours:1', "a tenant's key of another type holds up nobody else");
    is_told('join ours', 'who is told of');
    $redis->client->del($users);
    ok(wait_until(sub { $redis->client->zcard($users) == 1 }, 10 * $slow), 'when it is gone that tenant is told of, too');
    is_told('join x', 'by an event');
    $_->close for $ours, $theirs;
    is_told('leave ours, leave x', 'both go', 12 * $slow);
}

# --- what it costs -------------------------------------------------------------------------------

my @many = map { open_at($_ % 2 ? $one : $two, "m$_") } 1 .. 300;
ok(wait_until(sub { (() = there($one) =~ /m\d+:1/g) == 300 }), 'many');
is(scalar(() = told() =~ /join m\d+/g), 300, 'each is told of once');
sleep(1);
my $scripts = sub { my $s = $redis->client->info('commandstats'); my $line = ref $s ? $s->{cmdstat_eval} : '';
    return ($line =~ /calls=(\d+)/)[0] };
my $before = $scripts->();
sleep(9);
my $n = $scripts->() - $before;
cmp_ok($n, '<=', 9, "who stays costs no more: $n scripts of two nodes in nine seconds");
cmp_ok($n, '>=', 4, 'that they live they say');

# --- and many are gone at once -------------------------------------------------------------------

$seen = $redis->client->xlen($people);
kill('KILL', $two->pid, $two->children);
$two->stop(0);
ok(wait_until(sub { (() = there($one) =~ /m\d+:1/g) == 150 }, 20 * $slow), 'half of them were at a node that was killed');
wait_until(sub { $redis->client->xlen($people) >= $seen + 151 }, 20 * $slow);
sleep(1);
my $left = told();
is(scalar(() = $left =~ /leave m\d+/g) . ', ' . scalar(() = $left =~ /leave/g), '150, 151', 'each has left once');
is($redis->client->exists('ragline:presence:nodes') . ' ' . $redis->client->zcard('ragline:presence:nodes'), '1 1',
    'nothing is left of the node');

done_testing();
