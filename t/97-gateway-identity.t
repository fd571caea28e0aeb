# SPDX-License-Identifier: Apache-2.0
#
# Identities of the gateway's connections: who replaces whom on whichever node, what is sent to them,
# and what is kept for one that is not there.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;

use Ragline::Backend ();
use Ragline::Httpd ();
use Ragline::HTTP ();
use Ragline::Proc qw(freeze);
use Ragline::Redis ();
use Ragline::SSE ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'gateway-identity');
my $backend = Ragline::Backend->start;
my $conf = <<"EOF";
RaglineRedis @{[ $redis->url ]}
RaglineRedisPool timeout=500ms
RaglineDrain 0
RaglineRetry 900ms
RaglineMaxMessage 40KB
RaglineGatewayCallback @{[ $backend->url ]}
RaglineGatewayTimeout 60s
RaglineHeartbeat off
RaglineIdentity %{ragline_query:request_id}
<Location /sse>
    SetHandler ragline-gateway
</Location>
<Location /old>
    SetHandler ragline-gateway
    RaglineGatewayDialect 2026-01
</Location>
<Location /allow>
    SetHandler ragline-gateway
    RaglineDuplicate allow
</Location>
<Location /reject>
    SetHandler ragline-gateway
    RaglineDuplicate reject
</Location>
<Location /send>
    SetHandler ragline-gateway-send
    Require local
</Location>
<Location /stats>
    SetHandler ragline-stats
    Require local
</Location>
<Location /keep>
    SetHandler ragline-gateway-send
    RaglineIdentityKeep 1h
    Require local
</Location>
EOF
my $one = Ragline::Httpd->new(name => 'one', children => 2, conf => $conf)->start;
my $two = Ragline::Httpd->new(name => 'two', children => 1, conf => $conf)->start;

my $n = 0;
sub open_at
{
    my ($node, $path) = @_;
    $path .= '&n=' . ++$n;
    my $stream = Ragline::SSE->open(port => $node->port, path => $path, wire => 'sse');
    $stream->{path} = $path;
    return $stream;
}
sub ready { my $stream = open_at(@_); $stream->take('ready'); return $stream }
sub ended { my ($stream) = @_; return $stream->wait(sub { $_[0]->ended }) }
sub reason { return $backend->disconnect_of($_[0]{path})->{body}{reason} }
sub data_of { return join ',', map { $_->{data} } grep { $_->{event} eq 'message' } $_[0]->events }
sub has { my ($stream, $data) = @_; return $stream->wait(sub { data_of($_[0]) eq $data }) }

sub post_to
{
    my ($node, $path, $body) = @_;
    my $response = Ragline::HTTP::request(port => $node->port, path => $path, method => 'POST',
        headers => ['Content-Type' => 'application/json'], body => JSON::PP->new->utf8->encode($body));
    my $said = $response->json // {};
    return $response->status . ' ' . ($said->{status} // $said->{error}{code} // '');
}
sub sent
{
    my ($node, $identity, $data, $path) = @_;
    return post_to($node, $path // '/send',
        { identity => $identity, ref $data ? %$data : (event => { data => "$data" }) });
}

# --- which ---------------------------------------------------------------------------------------

for my $id ('', 'a:b', 'a%20b', 'x' x 129) {
    my $path = "/sse?request_id=$id&wrong";
    my $response = Ragline::HTTP::request(port => $one->port, path => $path);
    is($response->status . $response->body,
        qq(200event: rejected\ndata: {"status":400,"message":"Bad Request"}\n\n), "none: $id");
    is($backend->count_of($path, 'connect'), 0, 'and the back end is not asked');
}
is(Ragline::HTTP::request(port => $one->port, path => '/old?x=1')->status, 400, 'an older dialect');
is(sent($one, 'a:b', 'x'), '400 INVALID_IDENTITY', 'nor can that be sent to');

# --- one replaces the other ----------------------------------------------------------------------

my $first = ready($one, '/sse?request_id=r1');
is(sent($_, 'r1', 'x'), '200 ok', 'it is sent something, from either node') for $one, $two;
ok(has($first, 'x,x'), 'which arrives');
for my $node ($one, $two, $one) {
    my $second = open_at($node, '/sse?request_id=r1');
    ok(ended($first), 'another one with its identity comes, and it ends');
    ok($second->take('ready'), 'and that one is open');
    is(reason($first), 'server_closed', 'the back end is told');
    is(join(' ', @{ ($first->events)[-1] }{qw(event data)}), 'rejected {"status":409,"message":"Replaced"}',
        'and its page');
    is(sent($_, 'r1', 'y'), '200 ok', 'what is sent then') for $one, $two;
    ok(has($second, 'y,y'), 'is for the new one');
    $first = $second;
}
is(sent($one, 'r2', 'x'), '404 IDENTITY_NOT_FOUND', 'nobody has another one');
my $held = open_at($one, '/sse?request_id=r1&hold');
ok($backend->connect_of($held->{path}), 'one that is not let in yet');
is(sent($two, 'r1', 'z'), '200 ok', 'replaces nobody');
ok(has($first, 'y,y,z'), 'and gets nothing');
$backend->release;
ok($held->take('ready'), 'then it is');
ok(ended($first), 'and does');
$backend->hold;
is(sent($two, 'r1', { event => { data => 'bye' }, close => JSON::PP::true }), '200 ok', 'it is ended');
ok(ended($held) && data_of($held) eq 'bye', 'by its identity');
is(sent($two, 'r1', 'x'), '404 IDENTITY_NOT_FOUND', 'which nobody has then');

# --- what is kept, by somebody who writes nonsense there -------------------------------------------

{
    my $junk = ready($one, '/sse?request_id=junk');
    $redis->client->set('ragline:gateway:kept:junk', 'x');
    my $next = ready($two, '/sse?request_id=junk');
    ok(ended($junk), 'is no reason not to replace');
    is(sent($one, 'junk', 'x'), '200 ok', 'nor not to find it');
    ok(has($next, 'x'), 'which has it');
    $next->close;
}

# --- who leaves before it has its identity ---------------------------------------------------------

{
    my $pid = $redis->pid;
    my $path = '/sse?request_id=early&leaves';
    my $answered = sub { stats($one, '/stats')->{gateway}{callbacks}{answered} };
    my $before = $answered->();
    ok(freeze($pid), 'Redis stands still');
    my $stream = Ragline::SSE->open(port => $one->port, path => $path, wire => 'sse');
    my $token = $backend->connect_of($path)->{body}{token};
    ok(wait_until(sub { $answered->() > $before }), 'the back end lets somebody in');
    # What comes behind the answer is behind it everywhere.
    is(post_to($one, '/send', { token => $token, event => { data => "$_" } }), '200 buffered',
        'who waits for its identity') for 1, 2;
    $stream->close;
    kill(CONT => $pid);
    ok($backend->disconnect_of($path), 'and who leaves then has been there: it is told');
}

# --- one that cannot be ended at once ------------------------------------------------------------

my $slow = ready($one, '/sse?request_id=slow');
$slow->{paused} = 1;
my ($most, $taken) = ('x' x 40_960, 0);
$taken++ while $taken < 2000 && sent($two, 'slow', $most) eq '200 ok';
is(sent($two, 'slow', $most), '500 WRITE_FAILED', 'one that does not read gets no more');
my $quick = ready($two, '/sse?request_id=slow');
$slow->{paused} = 0;
ok(ended($slow), 'but ends when another one comes');
is(reason($slow), 'server_closed', 'the back end is told');
is(scalar(grep { $_->{event} eq 'message' } $slow->events), $taken, 'and what was taken has arrived');
$quick->close;

my $still = ready($one, '/sse?request_id=still');
my @children = $one->children;
my $admin = $redis->client;
$admin->persist($_) for map { $admin->keys("ragline:gateway:$_:*") } qw(node alive);
ok(freeze(@children), 'the node of one stands still');
my $early = open_at($two, '/sse?request_id=still');
ok(ended($early), 'another one that comes');
is($early->body, "retry: 900\n\n", 'is to come back: the first one may be there still');
is(reason($early), 'server_closed', 'as the back end is told');
kill(CONT => @children);
my $later;
ok(wait_until(sub { $later = open_at($two, '/sse?request_id=still');
    $later->wait(sub { $_[0]->events || $_[0]->ended });
    $later->events }), 'when the node goes on it may');
ok(ended($still), 'and the first one has ended');
$later->close;

# --- several, or the first -----------------------------------------------------------------------

my @all = map { ready($_, '/allow?request_id=all') } $one, $one, $two;
is(sent($one, 'all', 'x'), '200 ok', 'where several may have it');
ok(has($_, 'x'), 'each gets it') for @all;
$_->close for @all;
ok(wait_until(sub { sent($one, 'all', 'x') eq '404 IDENTITY_NOT_FOUND' }), 'until all have gone');

my $only = ready($one, '/reject?request_id=only');
for my $node ($one, $two) {
    my $more = open_at($node, '/reject?request_id=only');
    ok(ended($more), 'where the first stays another one ends');
    is($more->body, qq(event: rejected\ndata: {"status":409,"message":"Conflict"}\n\n), 'and why');
    is(reason($more), 'server_closed', 'its back end, which let it in, is told');
}
is(sent($two, 'only', 'x'), '200 ok', 'the first one');
ok(has($only, 'x'), 'is there');
kill(KILL => $one->children);
ok(ended($only), 'its process is killed');
ok(wait_until(sub { my $again = open_at($two, '/reject?request_id=only');
    $again->wait(sub { $_[0]->events || $_[0]->ended });
    $only = $again;
    ($again->events)[0]{event} eq 'ready' }), 'and another one may come');
$only->close;

# --- kept ----------------------------------------------------------------------------------------

is(sent($one, 'late', $_, '/keep'), '200 buffered', 'kept for one that is not there') for 1 .. 3;
is(sent($two, 'late', { event => { name => 'n', data => '{"a":1}' } }, '/keep'), '200 buffered',
    'from any node');
is(sent($one, 'late', {}, '/keep'), '404 IDENTITY_NOT_FOUND', 'nothing is not');
my $late = ready($two, '/sse?request_id=late');
is($late->body, "data: 1\n\ndata: 2\n\ndata: 3\n\ndata: {\"type\":\"n\",\"payload\":{\"a\":1}}\n\n"
    . "event: ready\ndata:\n\n", 'it comes, and has it, in order, before ready');
is(sent($one, 'late', 'then', '/keep'), '200 ok', 'what is sent then is not kept');
{
    my $ttl = $redis->client->pttl('ragline:gateway:identity:late');
    ok($ttl > 3_600_000 && $ttl <= 86_400_000, 'a name is not for ever, should nobody take it away');
}
$late->close;
$late = undef;
ok(wait_until(sub { sent($one, 'late', 'again', '/keep') eq '200 buffered' }), 'it goes');
$late = ready($one, '/sse?request_id=late');
is(data_of($late) =~ s/again,?//gr, '', 'nothing comes twice');
my $large = 'x' x 15_000;
is(join(' ', map { sent($one, 'much', $large, '/keep') } 1 .. 3), '200 buffered 200 buffered '
    . '500 WRITE_FAILED', 'so many bytes are kept');
is(join(' ', map { sent($one, 'many', $_, '/keep') } 99 .. 100), '200 buffered 200 buffered', 'few');
is((grep { sent($one, 'many', $_, '/keep') eq '200 buffered' } 1 .. 100), 98, 'so many events');

# --- without Redis -------------------------------------------------------------------------------

$redis->stop;
is(sent($one, 'late', 'x'), '503 REDIS_UNAVAILABLE', 'nobody knows who has it');
my $away = open_at($one, '/sse?request_id=away');
ok(ended($away), 'nor who comes');
is($away->status . $away->body, "200retry: 900\n\n", 'who is to come back');
is(reason($away), 'server_closed', 'and the back end is told');
$redis->start_again;
ok(wait_until(sub { my $stream = open_at($one, '/sse?request_id=away');
    $stream->wait(sub { $_[0]->events || $_[0]->ended });
    $stream->events }), 'when Redis is back it may');
ok(wait_until(sub { sent($two, 'late', 'y') eq '200 ok' }), 'and who was there is there');
$_->stop for $one, $two;
done_testing();
