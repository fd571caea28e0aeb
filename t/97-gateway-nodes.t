# SPDX-License-Identifier: Apache-2.0
#
# Sends reach the gateway's connections whichever child of whichever node has them, and what is
# answered is true: also when children are killed or stopped meanwhile, and while Redis is away.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use IO::Socket::UNIX ();
use JSON::PP ();
use Test::More;
use Time::HiRes ();

use Ragline::Backend ();
use Ragline::Httpd ();
use Ragline::HTTP ();
use Ragline::Proc qw(slurp);
use Ragline::Redis ();
use Ragline::SSE ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'gateway-nodes');
my $backend = Ragline::Backend->start;
my $sends = <<"EOF";
RaglineRedis @{[ $redis->url ]}
RaglineRedisPool timeout=500ms
RaglineDrain 0
RaglineMaxMessage 600KB
<Location /internal/send>
    SetHandler ragline-gateway-send
    Require local
</Location>
EOF
my $conf = $sends . <<"EOF";
RaglineGatewayCallback @{[ $backend->url ]}
RaglineGatewayTimeout 60s
RaglineHeartbeat off
<Location /sse>
    SetHandler ragline-gateway
</Location>
<Location /old>
    SetHandler ragline-gateway
    RaglineGatewayDialect 2026-01
</Location>
<Location /stats>
    SetHandler ragline-stats
    Require local
</Location>
<Location /all>
    SetHandler ragline-admin
    RaglineAdmin all
    Require local
</Location>
EOF
my $one = Ragline::Httpd->new(name => 'one', children => 3, conf => $conf)->start;
my $two = Ragline::Httpd->new(name => 'two', children => 1, conf => $conf)->start;
my $sender = Ragline::Httpd->new(name => 'sender', children => 1, conf => $sends)->start;

my $n = 0;
sub connected
{
    my ($node, $path) = @_;
    $path .= ($path =~ /\?/ ? '&' : '?') . 'n=' . ++$n;
    my $stream = Ragline::SSE->open(port => $node->port, path => $path, wire => 'sse');
    $stream->{path} = $path;
    $stream->{token} = $backend->connect_of($path)->{body}{token};
    $stream->take('ready') if $path =~ /sse/ && $path !~ /hold/;
    return $stream;
}

sub sent
{
    my ($node, @body) = @_;
    my $response = Ragline::HTTP::request(port => $node->port, path => '/internal/send',
        method => 'POST', body => JSON::PP->new->utf8->encode({@body}),
        headers => ['Content-Type' => 'application/json']);
    my $said = $response->json // {};
    return $response->status . ' ' . ($said->{status} // $said->{error}{code} // '');
}
sub send_data { my ($node, $stream, $data) = @_;
    return sent($node, token => $stream->{token}, event => { data => $data }) }
sub data_of { return join ',', map { $_->{data} } grep { $_->{event} eq 'message' } $_[0]->events }

my %pid_of;
sub pids
{
    my $list = $one->request(path => '/all/connections?limit=1000')->json->{connections};
    return map { $_->{pid} } @$list;
}

# --- whichever child -----------------------------------------------------------------------------

my @streams = map { connected($one, '/sse') } 1 .. 12;
my %pids = map { $_ => 1 } pids();
cmp_ok(scalar keys %pids, '>', 1, 'connections of several children');
for my $round (1 .. 4) {
    is(join(' ', grep { $_ ne '200 ok' } map { send_data($one, $_, "$round") } @streams), '',
        'each is reached from any of them');
}
for my $stream (@streams) {
    $stream->wait(sub { data_of($_[0]) eq '1,2,3,4' });
}
is(join(' ', map { data_of($_) } @streams), join(' ', ('1,2,3,4') x 12), 'all of it arrives, in order');
my $figures = $one->request(path => '/stats')->json->{gateway};
is(join(' ', @$figures{qw(opened events_sent sends)}), '12 48 48', 'counted over all children');
cmp_ok($figures->{send_seconds}, '>', 0, 'with the time that it took');
like($_->{token}, qr/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    'a token is a UUID') for $streams[0];

# What a dead child's socket was called is taken by somebody else.
SKIP: {
    skip('needs another user than that of httpd', 4) if $>;
    my $taken = Ragline::Httpd->new(name => 'taken', children => 2, conf => $conf)->start;
    my (@names, @children);
    my $look = sub {
        @children = $taken->children;
        my %own = map { (readlink($_) // '') =~ /^socket:\[(\d+)\]/ ? ($1 => 1) : () }
            map { glob("/proc/$_/fd/*") } @children;
        @names = map { /^\S+ (?:\S+ ){5}\s*(\d+) \@(ragline-gateway-\S+)$/ && $own{$1} ? $2 : () }
            split /\n/, slurp('/proc/net/unix');
        return @names > 1 && @names == @children;
    };
    ok(wait_until($look), 'children have sockets');
    kill(KILL => @children);
    my @squat = map { my $name = $_; my $socket; wait_until(sub {
        $socket = IO::Socket::UNIX->new(Local => "\0$name", Listen => 1) }); $socket } @names;
    is(scalar(grep { $_ } @squat), scalar @children, 'which others take');
    my @new;
    ok(wait_until(sub { @new = map { connected($taken, '/sse') } 1 .. 6; @new == 6 }), 'new children');
    is(join(' ', map { my $to = $_; map { send_data($taken, $to, 'x') } 1 .. 3 } @new),
        join(' ', ('200 ok') x 18), 'are reached');
    $taken->stop;
}

# --- whichever node ------------------------------------------------------------------------------

my $far = connected($two, '/sse');
for my $case ([$one, 'from another node'], [$sender, 'from one that has no streams'],
    [$two, 'from its own']) {
    my ($node, $name) = @$case;
    is(send_data($node, $far, $name), '200 ok', "$name: it is sent");
    ok($far->wait(sub { data_of($_[0]) =~ /\Q$name\E$/ }), 'and arrives');
}
is(join(' ', map { send_data($two, $_, 'far') } @streams), join(' ', ('200 ok') x 12),
    'to any child of another node');
my $old = connected($one, '/old');
is(sent($two, token => $old->{token}, event => { name => 'n', data => "a\nb" }), '200 ok',
    'an older dialect, elsewhere');
ok($old->wait(sub { $_[0]->body eq "event: n\ndata: a\ndata: b\n\n" }), 'is spoken as it is there');
my $large = 'x' x 500_000;
is(send_data($_->[0], $far, $large), '200 ok', "a large event, $_->[1]") for [$one, 'over Redis'];
is(send_data($one, $streams[$_], $large), '200 ok', 'and between children') for 0 .. 2;
ok($far->wait(sub { ($_[0]->events)[-1]{data} eq $large }), 'arrives whole');
is(send_data($one, $far, 'x' x 700_000), '413 BODY_TOO_LARGE', 'too large a one does not');
my $held = connected($one, '/sse?hold');
is(sent($two, token => $held->{token}, event => { name => 'x', data => '1' }), '200 buffered',
    'kept for one that is not open');
$backend->release;
ok($held->take('ready'), 'it opens');
like($held->body, qr/^data: \{"type":"x","payload":1\}\n\nevent: ready/, 'and has it first');
$backend->hold;
is(sent($two, token => $held->{token}, event => { data => 'bye' }, close => JSON::PP::true),
    '200 ok', 'it is ended from another node');
ok($held->wait(sub { $_[0]->ended }), 'and ends');
is($backend->disconnect_of($held->{path})->{body}{reason}, 'server_closed', 'which is told');
is(sent($two, token => $held->{token}), '404 TOKEN_NOT_FOUND', 'nobody has it then');
for my $token ('x', '11111111-1111-4111-8111-111111111111', $held->{token} =~ s/....$/0000/r) {
    is(sent($_, token => $token), '404 TOKEN_NOT_FOUND', "nobody has $token") for $one, $sender;
}

# --- a child that does not run -------------------------------------------------------------------

# Each thread stops by itself.
sub stop_all
{
    my (@pids) = @_;
    kill(STOP => @pids);
    ok(wait_until(sub { !grep { slurp($_) !~ /\) T / } map { glob("/proc/$_/task/*/stat") } @pids }),
        'stopped');
    return;
}

my @children = grep { $pids{$_} } $one->children;
my $cut = connected($two, '/sse');
stop_all($two->children);
my $began = Time::HiRes::time();
is(send_data($one, $far, 'never'), '500 WRITE_FAILED', 'a node that does not answer: not sent');
cmp_ok(Time::HiRes::time() - $began, '<', 10, 'which is said in time');
# Sent in vain, whether it is seen first that the client is gone or that it cannot be written to.
$cut->close('reset');
my $vain = Ragline::SSE->open(port => $one->port, path => '/internal/send', method => 'POST',
    headers => ['Content-Type' => 'application/json'],
    body => JSON::PP->new->utf8->encode({ token => $cut->{token}, event => { data => 'x' } }));
kill(CONT => $two->children);
ok($vain->wait(sub { $_[0]{http}->done }), 'a client that is gone');
like($vain->status . $vain->body, qr/^(?:404.*TOKEN_NOT_FOUND|500.*"Write failed: .*WRITE_FAILED)/,
    'has not been sent anything');
is(send_data($one, $far, 'later'), '200 ok', 'when it runs again');
ok($far->wait(sub { data_of($_[0]) =~ /later$/ }), 'it gets what comes then');
ok(data_of($far) !~ /never/, 'and not what was given up');
{
    my ($pid) = @children;
    stop_all($pid);
    my %said;
    # From the other node: none of its workers is stopped.
    for my $stream (@streams) {
        $said{ send_data($two, $stream, 'stopped') }++;
        last if keys %said > 1;
    }
    kill(CONT => $pid);
    ok($said{'200 ok'}, 'of a stopped child and others: some are reached');
    is(join(' ', grep { !/^(200 ok|500 WRITE_FAILED|503 SEND_UNKNOWN)$/ } keys %said), '',
        'and of the others it is said that they are not, or may not be');
}
{
    my ($pid) = @children;
    kill(KILL => $pid);
    wait_until(sub { grep { $_->wait(sub { $_[0]->ended }, 0.01) } @streams });
    my @gone = grep { $_->wait(sub { $_[0]->ended }, 0.1) } @streams;
    ok(@gone > 0 && @gone < @streams, 'a child is killed');
    is(join(' ', map { send_data($one, $_, 'x') } @gone), join(' ', ('404 TOKEN_NOT_FOUND') x @gone),
        'what it had is gone');
    my @left = grep { !$_->ended } @streams;
    is(join(' ', map { send_data($_, $left[0], 'x') } $one, $two), '200 ok 200 ok', 'others are there');
    @streams = @left;
}

# --- Redis ---------------------------------------------------------------------------------------

$redis->stop;
is(send_data($one, $_, 'y'), '200 ok', 'without Redis: this node is reached') for @streams;
is(send_data($one, $far, 'y'), '503 REDIS_UNAVAILABLE', 'of another one nothing can be said');
$redis->start_again;
ok(wait_until(sub { send_data($one, $far, 'z') eq '200 ok' }), 'Redis is back');
SKIP: {
    skip('a node is forgotten after ten seconds: --full', 1) if !full();
    kill(KILL => $two->pid, $two->children);
    $two->stop(0);
    ok(wait_until(sub { send_data($one, $far, 'z') eq '404 TOKEN_NOT_FOUND' }, 60),
        'a node that was killed is forgotten');
}
$_->stop for $one, $two, $sender;
done_testing();
