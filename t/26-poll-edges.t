# SPDX-License-Identifier: Apache-2.0
#
# Long polling at its edges: what ends the waiting, what bounds it, what an answer may hide.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Socket ();
use Test::More;
use Time::HiRes ();

use Ragline::HTTP ();
use Ragline::Httpd ();
use Ragline::Redis ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'edges');
my $key = unique('ragline:edges');
my $tenant = unique('edges');
my $token = token($tenant, 7);
my @poll = ('RaglineSubscribe orders', 'RaglineWires sse ndjson poll');

my $httpd = Ragline::Httpd->new(name => 'poll-edges', conf => <<"EOF2")->start;
RaglineRedis @{[ $redis->url ]}
RaglineStream orders $key
RaglineMaxMessage 1MB
RaglineSendBuffer 16KB
SendBufferSize 32768
<Location /ragline-stats>
    SetHandler ragline-stats
    Require local
</Location>
@{[ join '', map { bearer_location(@$_) }
    ['/poll', @poll, 'RaglineEvents order_*'],
    ['/small', @poll, 'AddOutputFilterByType DEFLATE application/json'],
    ['/impatient', @poll, 'RaglineSlowConsumer resume stall=2s', 'RaglineHeartbeat off'],
    ['/mine', @poll, 'RaglineUserOnly on'],
    ['/group', @poll, 'RaglineStart group'] ]}
EOF2

sub ask
{
    my ($path, %r) = @_;
    return Ragline::SSE->open(port => $httpd->port, path => $path, token => $token, bulk => 1,
        wire => 'poll', %r);
}

sub answer { my ($poll, @seconds) = @_; return $poll->answer(@seconds) }

sub events { return ref $_[0] eq 'ARRAY' ? join(' ', map { $_->{event} } @{ $_[0] }) : '-' }
sub waiting { return stats($httpd)->{connections} }
sub all_wait { my ($n) = @_; return wait_until(sub { waiting() == $n }) }

my $n = 0;
sub add
{
    my ($type, %fields) = @_;
    return $redis->xadd($key, tenant_id => $fields{tenant} // $tenant,
        event_type => $type // 'order_made', payload => $fields{payload} // '{"n":' . ++$n . '}');
}

add();

# --- what ends the waiting ----------------------------------------------------------------------

my $stream = ask('/poll?wait=soon', wire => 'sse', bulk => 0);
ok($stream->connected, 'wait means nothing to a stream');
is($stream->status, 200, 'which is served');
$stream->close;

my $poll = ask('/poll?wait=30s');
all_wait(1);
my $began = Time::HiRes::time();
my $id = add('order_made', payload => '"' . 'x' x 1_100_000 . '"');
my $got = answer($poll);
is(events($got), 'connected reset', 'an event that is too large');
is($got->[-1]{data}{reason}, 'too_big', 'is told');
cmp_ok(Time::HiRes::time() - $began, '<', 20, 'at once');
is($poll->header('ETag'), "\"$id\"", 'with its id');
$began = Time::HiRes::time();
my $before = add();
$id = add('order_made', payload => '"' . 'x' x 1_100_000 . '"');
$got = answer(ask('/poll?wait=30s', last_event_id => $before));
like(events($got), qr/\breset\b/, 'also in what was missed');
cmp_ok(Time::HiRes::time() - $began, '<', 20, 'at once');

# --- one that has waited for longer than a stalled socket may -----------------------------------

for my $round (1 .. 3) {
    my @polls = map { ask('/impatient?wait=30s') } 1 .. 3;
    all_wait(3);
    select(undef, undef, undef, 3.5);
    $id = add();
    is(events(answer($_)), 'connected order_made', "patience begins with the event, $round") for @polls;
}
$stream = ask('/impatient', wire => 'sse');
$stream->wait(sub { $_[0]{http}{body} =~ /connected/ });
select(undef, undef, undef, 3.5);
# It is read meanwhile: what is written may take longer than a stalled socket has.
for (1 .. 10) {
    $redis->xadd_many($key, map { [tenant_id => $tenant, event_type => 'order_made',
        payload => '"' . 'x' x 1900 . '"'] } 1 .. 500);
    Ragline::SSE::pump(0);
}
ok($stream->wait(sub { $_[0]->ended || length $_[0]{http}{body} > 800 * 1900 }), 'a burst');
is($stream->ended, '', 'that fills a socket which was quiet ends nobody');
$stream->close;

# --- how much ---------------------------------------------------------------------------------

my $large = unique('large');
my $first = add('order_made', tenant => $large);
$redis->xadd_many($key, map { [tenant_id => $large, event_type => 'order_made',
    payload => '"' . 'x' x 900_000 . '"'] } 1 .. 12);
$poll = ask('/poll?wait=5s', token => token($large, 1), last_event_id => $first);
answer($poll);
cmp_ok(length $poll->body, '<', 2_000_000, 'an answer is bounded, however little a socket takes at once');

# --- lost answers -------------------------------------------------------------------------------

my $night = unique('night');
my $dark = token($night, 1);
is(events(answer(ask('/group?wait=0', token => $dark))), 'connected', 'the group begins');
all_wait(0);
$redis->xadd_many($key, map { [tenant_id => $night, event_type => 'order_made',
    payload => qq({"n":$_,"x":") . 'x' x 900_000 . '"}'] } 1 .. 3);
socket(my $deaf, Socket::PF_INET(), Socket::SOCK_STREAM(), 0) or die "socket: $!\n";
setsockopt($deaf, Socket::SOL_SOCKET(), Socket::SO_RCVBUF(), 2048);
connect($deaf, Socket::pack_sockaddr_in($httpd->port, Socket::inet_aton('127.0.0.1')))
    or die "connect: $!\n";
syswrite($deaf, Ragline::HTTP::request_bytes(port => $httpd->port, path => '/group?wait=5s',
    token => $dark, headers => [Accept => 'application/json']));
select(undef, undef, undef, 2.5);
setsockopt($deaf, Socket::SOL_SOCKET(), Socket::SO_LINGER(), pack('ii', 1, 0));
close $deaf;
all_wait(0);
select(undef, undef, undef, 1.5);
sub numbers { return join ' ', map { $_->{data}{n} // () } @{ $_[0] } }
# With prefork another child may answer next: by what Redis has of the group, the only one that moves.
sub positions
{
    return join ' ', sort map { my %group = @$_; "$group{name} $group{'last-delivered-id'}" }
        map { @{ $redis->client->xinfo('groups', $_) } }
        grep { $redis->client->type($_) eq 'stream' } $redis->client->keys('*');
}
my $positions = positions();
is(numbers(answer(ask('/group?wait=5s', token => $dark))), '1', 'an answer that was lost comes again');
ok(wait_until(sub { waiting() == 0 && positions() ne $positions }), 'and then');
is(numbers(answer(ask('/group?wait=5s', token => $dark))), '2', 'what was taken does not');

# --- compressed ---------------------------------------------------------------------------------

$poll = ask('/small?wait=0', headers => ['Accept-Encoding' => 'gzip']);
answer($poll);
my $tag = $poll->header('ETag');
is($poll->header('Content-Encoding'), 'gzip', 'compressed');
$poll = ask('/small?wait=0', headers => ['Accept-Encoding' => 'gzip', 'If-None-Match' => $tag]);
answer($poll);
is($poll->status, 304, 'the ETag of a compressed answer is an id');
$id = add();
$got = answer(ask('/small?wait=5s', headers => ['If-None-Match' => $tag]));
is($got->[0]{data}{recovery}, 'resumed', 'from which it goes on');

# --- what an Accept header weighs ---------------------------------------------------------------

for my $accept ('application/json;q=1e999', 'application/json;q=nan',
    'application/json;q=-1', 'application/json;q=.9') {
    my $head = Ragline::HTTP::request(port => $httpd->port, path => '/poll', token => $token,
        method => 'HEAD', headers => [Accept => "$accept, text/event-stream;q=0.5"]);
    is($head->header('Content-Type'),
        $accept =~ /1e999/ ? 'application/json' : 'text/event-stream', "Accept: $accept");
}

# --- Redis does not answer ----------------------------------------------------------------------

kill STOP => $redis->pid;
my $refused = ask("/poll?wait=1s&last_event_id=$before");
is(answer($refused)->{error}, 'redis_unavailable', 'it is told what is wrong');
is($refused->status, 503, 'by a status');
cmp_ok($refused->header('Retry-After'), '>', 0, 'and when to come again');
kill CONT => $redis->pid;
$httpd->stop;
done_testing();
