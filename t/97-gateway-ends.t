# SPDX-License-Identifier: Apache-2.0
#
# What back ends are told of ends survives: a back end that does not answer for a while, a child that
# is killed, a restart, and Redis being away.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Backend ();
use Ragline::Httpd ();
use Ragline::Proc qw(spew);
use Ragline::Redis ();
use Ragline::SSE ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'gateway-ends');
my $backend = Ragline::Backend->start;
my $dir = vars('run_dir');
for my $name (qw(another third)) {
    spew("$dir/$name", "of-$name");
    chmod(0600, "$dir/$name");
}
my $conf = <<"EOF";
RaglineRedis @{[ $redis->url ]}
RaglineDrain 0
RaglineGatewayCallback @{[ $backend->url('/callback?secret=hidden') ]}
RaglineGatewayTimeout 1s
RaglineHeartbeat off
<Location /sse>
    SetHandler ragline-gateway
</Location>
<Location /slow>
    SetHandler ragline-gateway
    RaglineGatewayTimeout 60s
</Location>
<Location /other>
    SetHandler ragline-gateway
    RaglineGatewayCallback @{[ $backend->url('/callback?secret=another') ]}
    RaglineGatewaySecret file:$dir/another
</Location>
<Location /third>
    SetHandler ragline-gateway
    RaglineGatewayCallback @{[ $backend->url('/callback?secret=another') ]}
    RaglineGatewaySecret file:$dir/third
</Location>
EOF
my $one = Ragline::Httpd->new(name => 'one', children => 2, conf => $conf)->start;

my $n = 0;
sub ready
{
    my ($node, $path) = @_;
    $path = ($path // '/sse?') . '&n=' . ++$n;
    my $stream = Ragline::SSE->open(port => $node->port, path => $path, wire => 'sse',
        headers => [Cookie => 'a=1']);
    $stream->take('ready');
    $stream->{path} = $path;
    $stream->{token} = $backend->connect_of($path)->{body}{token};
    return $stream;
}
sub told { my ($stream, $seconds) = @_;
    return wait_until(sub { $backend->count_of($stream->{path}, 'disconnect') }, $seconds) }
sub disconnects
{
    my ($stream) = @_;
    return grep { $_->{body}{action} eq 'disconnect' && $_->{body}{token} eq $stream->{token} }
        $backend->calls;
}
sub reasons { return join ',', map { $_->{body}{reason} } disconnects($_[0]) }
sub left { return scalar map { $redis->client->hkeys($_) } $redis->client->keys('ragline:gateway:ends:*') }

# --- as always -----------------------------------------------------------------------------------

my $stream = ready($one);
ok(wait_until(sub { left() == 1 }), 'what is open stands in Redis');
unlike(join('', map { $redis->client->hvals($_) } $redis->client->keys('ragline:gateway:ends:*')),
    qr/hidden/, 'without the secret of the back end');
$stream->close;
ok(told($stream), 'it ends, and the back end is told');
my ($call) = disconnects($stream);
is($call->{headers}{'idempotency-key'}, qq("$stream->{token}-disconnect"), 'with what it is known by');
ok(wait_until(sub { left() == 0 }), 'then nothing is left');

# --- a back end that is away ---------------------------------------------------------------------

my ($first, $second) = map { ready($one) } 1 .. 2;
my $port = $backend->port;
$backend->stop;
$_->close for $first, $second;
ok(wait_until(sub { $one->error_log =~ /RS1102: callbacks fail/ }), 'a back end that is away');
$backend = Ragline::Backend->start(port => $port);
ok(told($first) && told($second), 'is told when it is back');
is(reasons($_), 'client_closed', 'once, and why') for $first, $second;
ok(wait_until(sub { left() == 0 }), 'then nothing is left');

# --- a child that is killed ----------------------------------------------------------------------

my @streams = map { ready($one) } 1 .. 6;
ok(wait_until(sub { left() == 6 }), 'some are open');
# With prefork most have none of them.
kill(KILL => vars('mpm') eq 'prefork' ? $one->children : ($one->children)[0]);
wait_until(sub { grep { $_->wait(sub { $_[0]->ended }, 0.01) } @streams });
my @gone = grep { $_->wait(sub { $_[0]->ended }, 0.2) } @streams;
ok(@gone > 0, 'a child is killed');
ok(told($_), 'another one tells of what it had') for @gone;
is(reasons($_), 'error', 'as what it was') for @gone;
is($_->{body}{request}{headers}{cookie}, 'a=1', 'with the request') for map { disconnects($_) } @gone;
my @left = grep { !$_->ended } @streams;
is(scalar(map { disconnects($_) } @left), 0, 'and not of what others have');
ok(wait_until(sub { left() == @left }), 'then of these alone there are records');

# --- back ends that only their queries, or their secrets, tell apart -------------------------------

my %of = map { $_ => ready($one, "$_?") } qw(/other /third);
push @left, values %of;
kill(KILL => $one->children);
for my $path (qw(/other /third)) {
    ok(told($of{$path}), "a child with one of $path is killed");
    my ($end) = disconnects($of{$path});
    like($end->{line}, qr{^POST /callback\?secret=another }, 'its own back end is told');
    is($end->{headers}{'x-ragline-secret'}, { '/other' => 'of-another', '/third' => 'of-third' }->{$path},
        'with its own secret');
}
ok(told($_), 'all are') for @left;
ok(wait_until(sub { left() == 0 }), 'nothing is left');

# --- a back end that answers, but does not take it -------------------------------------------------

my ($unbelieved, $unwanted) = map { ready($one, "/sse?end=$_") } 401, 404;
$unbelieved->close;
ok(wait_until(sub { disconnects($unbelieved) >= 2 }), 'who is not believed tells it again');
ok(wait_until(sub { $one->error_log =~ /RS1104: \S+ answers 401 when it is told of an end: it is told again/ }),
    'which is in the log');
is(left(), 2, 'and stands in Redis');
$backend->release;
ok(wait_until(sub { left() == 1 }), 'until it is believed');
$backend->hold;
$unwanted->close;
ok(wait_until(sub { left() == 0 }), 'an end that is not wanted');
is(scalar(disconnects($unwanted)), 1, 'is told once');
@left = map { ready($one) } 1 .. 2;

# --- before the back end has answered ------------------------------------------------------------

sub asked
{
    my ($path) = @_;
    my $asked = Ragline::SSE->open(port => $one->port, path => $path, wire => 'sse', headers => []);
    $asked->{path} = $path;
    $asked->{token} = $backend->connect_of($path)->{body}{token};
    return $asked;
}
my $open = @left;
my $leaves = asked('/slow?hold&leaves');
ok(wait_until(sub { left() == $open + 1 }), 'there is a record while the back end is asked');
$leaves->close;
ok(wait_until(sub { left() == $open }), 'which goes with who does not wait');
is(scalar(disconnects($leaves)), 0, 'the back end is not told: it never was open');
ok(asked('/slow?status=403')->wait_end, 'one is turned away');
ok(wait_until(sub { left() == $open }), 'and leaves none, either');
my $waits = asked('/slow?hold&waits');
ok(wait_until(sub { left() == $open + 1 }), 'one is being asked of');
kill(KILL => $one->children);
ok($waits->wait_end, 'its child is killed');
ok(told($waits), 'the back end, which may let it in, is told');
is(reasons($waits), 'error', 'of its end');
ok(told($_), 'and of those that were open') for @left;
ok(wait_until(sub { left() == 0 }), 'then nothing is left');
@left = map { ready($one) } 1 .. 2;

# --- a restart while the back end is away --------------------------------------------------------

$backend->stop;
$one->graceful;
$backend = Ragline::Backend->start(port => $port);
ok(told($_), 'after a restart the new children tell it') for @left;
is(reasons($_), 'server_closed', 'of the end') for @left;
ok(wait_until(sub { left() == 0 }), 'and nothing is left');

# --- Redis away ----------------------------------------------------------------------------------

my ($before, $over) = map { ready($one) } 1 .. 2;
$redis->stop;
my $during = ready($one);
$before->close;
ok(told($before), 'without Redis it is told as well');
$redis->start_again;
ok(wait_until(sub { left() == 2 }), 'when Redis is back it has what is open') or diag(left());
$_->close for $over, $during;
ok(told($_), 'which is told') for $over, $during;
ok(wait_until(sub { left() == 0 }), 'and then nothing is left');

# --- a node that is killed -----------------------------------------------------------------------

SKIP: {
    skip('a node is taken for dead after ten seconds: --full', 3) if !full();
    my $two = Ragline::Httpd->new(name => 'two', children => 1, conf => $conf)->start;
    my $far = ready($two);
    ok(wait_until(sub { left() == 1 }), 'a connection of another node');
    kill(KILL => $two->pid, $two->children);
    $two->stop(0);
    ok(told($far, 90), 'which is killed: this one tells of it');
    is(reasons($far), 'error', 'as what it was');
}
$one->stop;
done_testing();
