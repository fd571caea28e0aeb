# SPDX-License-Identifier: Apache-2.0
#
# Long polling: one answer with what was missed, or with the first events that come, over a
# connection that stays.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;
use Time::HiRes ();

use Ragline::HTTP ();
use Ragline::Httpd ();
use Ragline::Test;

my $redis = redis_a();
my $key = unique('ragline:poll');
my $second = unique('ragline:poll2');
my $tenant = unique('poll');
my $token = token($tenant, 7);
my @poll = 'RaglineWires sse poll';

my $httpd = Ragline::Httpd->new(name => 'poll', conf => <<"EOF2")->start;
KeepAlive On
MaxKeepAliveRequests 0
RaglineRedis @{[ $redis->url ]}
RaglineStream orders $key
RaglineStream others $second
RaglineStream jobs $key:{tenant}
<Location /ragline-stats>
    SetHandler ragline-stats
    Require local
</Location>
@{[ join '', map { bearer_location(@$_) }
    ['/poll', 'RaglineSubscribe orders', @poll, 'RaglineOrigins https://shop.example'],
    ['/two', 'RaglineSubscribe orders others', @poll],
    ['/some', 'RaglineSubscribe orders', 'RaglineEvents order_*', @poll],
    ['/mine', 'RaglineSubscribe orders', 'RaglineUserOnly on', @poll],
    ['/night', 'RaglineSubscribe orders', 'RaglineStart all', @poll],
    ['/shared', 'RaglineSubscribe jobs', 'RaglineDelivery shared', @poll],
    ['/stream', 'RaglineSubscribe orders'] ]}
EOF2

# One poll, not waited for: a "stream" that ends.
sub ask
{
    my ($path, %r) = @_;
    return Ragline::SSE->open(port => $httpd->port, path => $path, token => $token, bulk => 1,
        wire => 'poll', %r);
}

sub answer { my ($poll, @seconds) = @_; return $poll->answer(@seconds) }

sub poll { return answer(ask(@_)) }
sub events { return join ' ', map { $_->{event} } @{ $_[0] } }
sub ids { return join ' ', map { $_->{id} } grep { $_->{event} =~ /^(?:order|other)/ } @{ $_[0] } }

my $n = 0;
sub add
{
    my ($type, %r) = @_;
    return $redis->xadd($r{key} // $key, tenant_id => $r{tenant} // $tenant,
        event_type => $type // 'order_made', payload => '{"n":' . ++$n . '}', %{ $r{fields} // {} });
}

sub waiting { return stats($httpd)->{connections} }

# --- nothing was missed: the first that come ----------------------------------------------------

my $poll = ask('/poll?wait=60s');
ok(wait_until(sub { waiting() == 1 }), 'it waits');
is(stats($httpd)->{pumps}{by_cause}{'long poll'}{open}, 1, 'in its worker');
add('order_made', tenant => unique('other'));
my $id = add();
my $got = answer($poll);
is($poll->status, 200, 'an answer');
is($poll->header('Content-Type'), 'application/json', 'in JSON');
is($poll->header('ETag'), "\"$id\"", 'whose ETag is the newest id');
is($poll->header('Cache-Control'), 'no-store', 'and that nobody keeps');
is(events($got), 'connected order_made', 'an array of messages');
is($got->[0]{data}{recovery}, 'new', 'with the verdict');
is($got->[1]{id}, $id, 'the event has its id');
is_deeply($got->[1]{data}, { n => $n }, 'and its data');
ok(wait_until(sub { waiting() == 0 }), 'then it is over');

# --- what was missed, by each way to bring an id ------------------------------------------------

my @more = map { add() } 1 .. 3;
$redis->all_read;
for (['a header', last_event_id => $id], ['If-None-Match', headers => ['If-None-Match' => "\"$id\""]],
    ['a weak one', headers => ['If-None-Match' => "W/\"$id\""]]) {
    my ($how, @r) = @$_;
    my $missed = poll('/poll', @r);
    is(events($missed), 'connected order_made order_made order_made caught_up', "what was missed, by $how");
    is(ids($missed), "@more", 'in order');
    is($missed->[0]{data}{recovery}, 'resumed', 'resumed');
}
is(ids(poll("/poll?last_event_id=$id&wait=0")), "@more", 'by the query, without waiting');
my $reset = poll('/poll', last_event_id => '1-1');
is($reset->[0]{data}{reason}, 'trimmed', 'an id from before there was anything');
is(poll('/poll', last_event_id => 'garbage')->[0]{data}{reason}, 'unknown',
    'a verdict that has to be heard is told at once');

# --- the end of the time ------------------------------------------------------------------------

my $began = Time::HiRes::time();
$got = poll('/poll?wait=1s');
cmp_ok(Time::HiRes::time() - $began, '>=', 0.9, 'it waits as long as it is asked to');
is(events($got), 'connected', 'nothing came');
is($got->[0]{id}, $more[2], 'and that is where it stands');
my $same = ask('/poll?wait=200ms', headers => ['If-None-Match' => "\"$more[2]\""]);
answer($same);
is($same->status, 304, 'who has that already is told so');
is($same->header('ETag'), "\"$more[2]\"", 'with the ETag');
for my $bad ('61s', '-1s', 'x', '') {
    my $refused = ask("/poll?wait=$bad");
    is(answer($refused)->{error}, 'bad_wait', "wait=$bad");
    is($refused->status, 400, 'is refused');
}

# --- only what is for it ends it ----------------------------------------------------------------

$poll = ask('/some?wait=60s');
my $mine = ask('/mine?wait=60s');
wait_until(sub { waiting() == 2 });
add('other_made', fields => { user_id => 'somebody' });
select(undef, undef, undef, 0.3);
is(waiting(), 2, 'what is not for them ends no waiting');
$id = add('order_made', fields => { user_id => 7 });
is(ids(answer($poll)), $id, 'the type that it wants');
is(ids(answer($mine)), $id, 'what is for the user');

# --- several streams: no event twice, none lost -------------------------------------------------

$redis->all_read;
my ($at, @seen, @all) = poll('/two?wait=0')->[-1]{id};
for (my $round = 1; $round <= 8 || @seen < @all; $round++) {
    push @all, map { add('order_made', key => $_) } $round % 2 ? ($key, $second) : ($second, $key)
        if $round <= 8;
    my $two = ask('/two', last_event_id => $at);
    my $part = answer($two);
    push @seen, map { $_->{data}{n} } grep { $_->{event} eq 'order_made' } @$part;
    ($at) = $two->header('ETag') =~ /"(.*)"/;
}
is(join(' ', sort { $a <=> $b } @seen), join(' ', $n - 15 .. $n), 'of two streams each event once');

# --- a night: more than one answer holds --------------------------------------------------------

my $night = unique('night');
my $big = token($night, 1);
$redis->xadd_many($key, map { [tenant_id => $night, event_type => 'order_made',
    payload => '"' . $_ . 'x' x 20_000 . '"'] } 1 .. 60);
$redis->all_read;
my ($last, $answers, @numbers);
while (@numbers < 60 && ++$answers < 60) {
    my $part = ask('/night?wait=5s', token => $big, $last ? (last_event_id => $last) : ());
    my $messages = answer($part);
    cmp_ok(length $part->body, '<', 1_000_000, 'an answer is bounded');
    push @numbers, map { $_->{data} =~ /^(\d+)/ } grep { $_->{event} eq 'order_made' } @$messages;
    ($last) = $part->header('ETag') =~ /"(.*)"/;
}
is("@numbers", join(' ', 1 .. 60), 'all of it, in order');
cmp_ok($answers, '>', 2, "in $answers answers");

# --- the connection stays -----------------------------------------------------------------------

my $socket = Ragline::HTTP::connect_to(port => $httpd->port);
for my $turn (1 .. 3) {
    my $http = Ragline::HTTP->new(method => 'GET');
    syswrite($socket, Ragline::HTTP::request_bytes(port => $httpd->port, path => '/poll?wait=0',
        token => $token, keep_alive => 1, headers => [Accept => 'application/json', Connection => 'keep-alive']));
    while (!$http->done && sysread($socket, my $bytes, 65536)) {
        $http->feed($bytes);
    }
    is($http->status, 200, "request $turn on one connection");
}
close $socket;

# --- who is not served --------------------------------------------------------------------------

is(ask('/stream')->wait(sub { $_[0]->header('Content-Type') }), 'text/event-stream',
    'an endpoint that does not allow it streams');
is(ask('/shared')->wait(sub { $_[0]->header('Content-Type') }), 'text/event-stream',
    'and so does shared delivery');
my $foreign = ask('/poll?wait=0', headers => [Origin => 'https://shop.example']);
answer($foreign);
like($foreign->header('Access-Control-Expose-Headers'), qr/\bETag\b/, 'scripts may see the ETag');
$poll = ask('/poll?wait=60s');
wait_until(sub { waiting() >= 1 });
$poll->close('reset');
ok(wait_until(sub { !stats($httpd)->{pumps}{by_cause}{'long poll'}{open} }),
    'who goes away frees the worker');

$poll = ask('/poll?wait=60s');
wait_until(sub { stats($httpd)->{pumps}{by_cause}{'long poll'}{open} });
my ($status) = $httpd->control('graceful');
is($status, 0, 'graceful');
$got = answer($poll);
is(events($got), 'connected error', 'a child that ends answers');
is($got->[1]{data}{code}, 'draining', 'and says why');
Ragline::SSE->close_port($httpd->port);
$httpd->stop;
done_testing();
