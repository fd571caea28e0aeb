# SPDX-License-Identifier: Apache-2.0
#
# What an administrator has done with connections of any child of any node: they are closed, or sent
# something. Two httpd with one Redis.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Redis ();
use Ragline::SSE ();
use Ragline::Test;
use Ragline::WebSocket ();

my $redis = Ragline::Redis->start(name => 'control');
my $key = 'ragline:stream:orders';

sub admin { my ($path, @more) = @_;
    return join("\n", "<Location $path>", '    SetHandler ragline-admin', @more, '</Location>', '') }

my $conf = <<"EOF"
RaglineRedis @{[ $redis->url ]}
RaglineStream orders $key
RaglineStream jobs ctl:{tenant}:jobs
RaglineDrain 0
RaglineMaxMessage 10KB
<Location /ragline-stats>
    SetHandler ragline-stats
    Require local
</Location>
EOF
    . bearer_location('/stream', 'RaglineSubscribe orders', 'RaglineRetry 900ms',
        'RaglineWires sse ndjson poll', 'RaglineEvents nothing')
    . bearer_location('/pumped', 'RaglineSubscribe orders', 'RaglineHandoff off')
    . bearer_location('/shared', 'RaglineSubscribe jobs', 'RaglineDelivery shared')
    . websocket_location('/ws', 'RaglineSubscribe orders')
    . websocket_location('/ws/orders', 'RaglineSubscribe orders', 'RaglineWebSocketDialect ragline',
        'RaglineProfile orders')
    . admin('/admin', jwt_conf());
my $one = Ragline::Httpd->new(name => 'one', children => 2,
    conf => $conf . admin('/all', 'RaglineAdmin all', 'Require local'))->start;
my $two = Ragline::Httpd->new(name => 'two', conf => $conf)->start;

my ($us, $them) = (unique('a'), unique('b'));

sub open_at
{
    my ($node, $path, $tenant, $user, %more) = @_;
    my $class = $path =~ /^\/ws/ ? 'Ragline::WebSocket' : 'Ragline::SSE';
    my $stream = $class->open(port => $node->port, path => $path, token => token($tenant, $user), %more);
    my $said = $stream->take('connected');
    $stream->{name} = $path =~ /^\/ws/ ? $said->{data}{connection} : json_of($said->{data})->{connection};
    return $stream;
}

sub post
{
    my ($path, $body, %more) = @_;
    $body = JSON::PP->new->canonical->encode($body) if ref $body;
    $more{headers} = ['Content-Type' => 'application/json', @{ $more{headers} // [] }];
    return $one->request(path => $path, method => 'POST', body => $body, %more);
}

# As an administrator of our tenant.
sub order
{
    my ($what, $body, $here, $name) = @_;
    my $response = post("/admin/$what", $body, token => token($us, 'boss'));
    is($response->body, qq({"here":$here,"elsewhere":true}\n), "$name: $here here");
    return;
}

sub is_closed
{
    my ($stream, $name, $why) = @_;
    $why //= 'an administrator has closed this connection';
    if ($stream->isa('Ragline::WebSocket')) {
        my $error = $stream->take('error') // {};
        is("$error->{code}: $error->{error}", "closed: $why", "$name: told");
        is($stream->wait_close, '4000 closed', "$name: closed with 4000");
        return;
    }
    my $error = json_of(($stream->take('error') // {})->{data} // '{}');
    is(($error->{code} // '') . ': ' . ($error->{error} // ''), "closed: $why", "$name: told");
    $stream->wait_end;
    return;
}

sub is_open { my ($stream, $name) = @_;
    ok(!$stream->ended, "$name is still there"); return }

# --- clocks --------------------------------------------------------------------------------------

# Ids are times of Redis's clock, by which it is long ago that this was written.
my $early = open_at($one, '/stream', $us, 'u');
$redis->client->xadd('ragline:control', '1000000000000-0', do => 'close', id => $early->{name});
is_closed($early, 'whatever the clock of Redis says');

# --- closing -------------------------------------------------------------------------------------

my @all = map { open_at($one, $_, $us, 'u') } '/stream', '/pumped', '/shared', '/ws';
my $lines = open_at($one, '/stream', $us, 'u', wire => 'ndjson');
my $far = open_at($two, '/stream', $us, 'u');
my $v = open_at($one, '/stream', $us, 'v');
my $stranger = open_at($one, '/stream', $them, 'u');

order('close', { id => $v->{name} }, 1, 'by id');
is_closed($v, 'by id');
is($v->retry, 900, 'it may come back');
order('close', { id => $far->{name}, reason => 'go "home"' }, 0, 'by an id of another node');
is_closed($far, 'by an id of another node', 'go "home"');
is_open($all[0], 'another one');
$far = open_at($two, '/ws', $us, 'u');
order('close', { user => 'u' }, 5, 'by user');
is_closed($all[$_->[0]], "by user, $_->[1]")
    for [0, 'a stream'], [1, 'in a worker'], [2, 'of shared delivery'], [3, 'a WebSocket'];
is_closed($lines, 'by user, NDJSON');
is_closed($far, 'by user, on the other node');
is_open($stranger, 'the same name of another tenant');
my @tenants = map { open_at($_->[0], '/stream', $us, $_->[1]) } [$one, 'x'], [$one, 'y'], [$two, 'z'];
order('close', { tenant => $us }, 2, 'by tenant');
is_closed($_, 'by tenant') for @tenants;
is_open($stranger, 'another tenant');
my $response = post('/all/close', { user => 'u', tenant => $them });
is($response->body, qq({"here":1,"elsewhere":true}\n), 'RaglineAdmin all: whom it likes');
is_closed($stranger, 'of any tenant');
my $back = open_at($one, '/stream', $us, 'u');
is_open($back, 'who was closed comes back, and');

# --- sending -------------------------------------------------------------------------------------

my $sse = open_at($one, '/stream', $us, 'u');
my $other = open_at($two, '/stream', $us, 'u');
$lines = open_at($one, '/stream', $us, 'u', wire => 'ndjson');
my $ws = open_at($one, '/ws', $us, 'u');
my $ws_orders = open_at($one, '/ws/orders', $us, 'u');
my $poll = Ragline::SSE->open(port => $one->port, path => '/stream?wait=20s', wire => 'poll',
    token => token($us, 'p'), last_event_id => $sse->last_event_id);
ok(wait_until(sub { stats_connections(stats($one)) >= 6 }), 'a long poll waits');
order('send', { user => 'u', event_type => 'notice', payload => { text => "a\nb", n => 1.50 } }, 5, 'to a user');
my $last_id = $sse->last_event_id;
is($sse->take('notice')->{data}, '{"n":1.5,"text":"a\nb"}', 'SSE: the payload');
is($sse->last_event_id, $last_id, 'which is in no stream and has no id');
is($other->take('notice')->{data}, '{"n":1.5,"text":"a\nb"}', 'on the other node');
is($lines->take('notice')->{raw}, '{"event":"notice","data":{"n":1.5,"text":"a\nb"}}', 'NDJSON');
like($ws->take('event')->{raw},
    qr/^\{"type":"event","event_type":"notice","data":\{"n":1\.5,"text":"a\\nb"\},"timestamp":"[^"]+"\}$/, 'WebSocket');
like($ws_orders->take('order_event')->{raw}, qr/"event_type":"notice"/, 'in its dialect');
order('send', { user => 'p', event_type => 'notice', payload => 'x' }, 1, 'to a long poll');
$poll->wait_end;
like($poll->body, qr/\{"event":"notice","data":"x"\}\]\n$/, 'which has its answer then');
order('send', { id => $ws->{name}, event_type => 'only', payload => undef }, 1, 'to one connection');
is($ws->take('event')->{event_type}, 'only', 'which gets it');
order('send', { tenant => $us, event_type => 'last', payload => [] }, 5, 'to a tenant');
is($sse->take('last')->{data}, '[]', 'which gets it');
ok(!(grep { $_->{event} eq 'only' } $sse->events), 'and nothing that was for another connection');
$redis->xadd($key, tenant_id => $us, event_type => 'nothing', payload => '7');
is($sse->take('nothing')->{data}, '7', 'then the stream goes on');

# --- a hub that was away -------------------------------------------------------------------------

{
    my $admin = $redis->client;
    $admin->client_kill('TYPE', 'normal', 'SKIPME', 'yes') for 1 .. 3;
    $admin->xadd('ragline:control', '*', do => 'close', tenant => $us, user => 'u');
    is_closed($_, 'whose hub was away') for $sse, $other, $ws, $ws_orders, $lines, $back;
}

# --- what nobody obeys ---------------------------------------------------------------------------

# A child that still has no Redis sends its clients away.
my $stays;
ok(wait_until(sub {
    $stays = Ragline::SSE->open(port => $one->port, path => '/stream', token => token($us, 'u'));
    return ($stays->take(sub { 1 }) // { event => '' })->{event} eq 'connected';
}), 'all have Redis again');
$stays->{name} = json_of(($stays->events)[0]{data})->{connection};
for ([do => 'dance', tenant => $us], [do => 'close', user => 'u'], [do => 'close'], [x => 'y'],
    [do => 'close', tenant => 'x' x 200], [do => 'close', id => 'x' x 5000], [do => 'send', tenant => $us],
    [do => 'close', tenant => $them],
    # One command, and never lines of a stream.
    (map { [do => 'send', tenant => $us, event_type => $_, payload => 1] } "x\nid: 9-9\ndata:", 'reset',
        'connected', 'x' x 129, "a\0b", ''),
    [do => 'send', tenant => $us, event_type => 'huge', payload => 'x' x 10241])
{
    $redis->client->xadd('ragline:control', '*', @$_);
}
order('send', { user => 'u', event_type => 'after', payload => 1 }, 1, 'after what means nothing');
is($stays->take('after')->{data}, '1', 'it is still there');
is(join(' ', map { $_->{event} } $stays->events), 'connected after', 'and has heard nothing else');
{
    my $strange = open_at($one, '/stream', $us, 'strange');
    $redis->client->xadd('ragline:control', '*', do => 'close', tenant => $us, user => 'strange',
        reason => "x\n\nid: 9-9\n");
    is_closed($strange, 'for a reason that is none');
}

# --- a stream that goes and comes back -----------------------------------------------------------

{
    my $client = $redis->client;
    # Who waits in a read does not notice that a key is gone: all are looked at after a while.
    my $looks = sub { ($client->info('commandstats')->{'cmdstat_xinfo|stream'} // '') =~ /calls=(\d+)/ ? $1 : 0 };
    my $looked = sub { my $before = $looks->(); wait_until(sub { $looks->() > $before + 9 }) };
    order('send', { user => 'u', event_type => 'once', payload => 1 }, 1, 'once');
    ok($stays->take('once'), 'told');
    $client->rename('ragline:control', 'elsewhere');
    $looked->();
    $client->rename('elsewhere', 'ragline:control');
    $looked->();
    order('send', { user => 'u', event_type => 'then', payload => 1 }, 1, 'then');
    ok($stays->take('then'), 'what is new is told');
    is(scalar(grep { $_->{event} eq 'once' } $stays->events), 1, 'and nothing again');
}

# --- errors --------------------------------------------------------------------------------------

my $id = $stays->{name};
my $unknown = substr($id, 0, -1) . (substr($id, -1) eq 'a' ? 'b' : 'a');
my $send = sub { +{ user => 'u', event_type => 'x', payload => 1, @_ } };
for (
    ['close', { id => $unknown }, 404, 'not_connected', 'an id that nobody has'],
    ['close', { id => 'x' }, 400, 'bad_id', 'what is no id'],
    ['close', {}, 400, 'bad_target', 'nobody'],
    ['close', { id => $id, user => 'u' }, 400, 'bad_target', 'two of them'],
    ['close', { user => 'a b' }, 400, 'bad_name', 'a user that cannot be one'],
    ['close', { tenant => $them }, 403, 'tenant', 'another tenant'],
    ['close', { user => 'u', tenant => $them }, 403, 'tenant', 'a user of another tenant'],
    ['close', { user => 'u', reason => "a\nb" }, 400, 'bad_reason', 'a reason of two lines'],
    ['close', { user => 'u', reason => 'x' x 201 }, 400, 'bad_reason', 'a long reason'],
    ['close', { user => 'u', why => 1 }, 400, 'bad_member', 'a member that is not known'],
    ['close', { user => [] }, 400, 'bad_member', 'a user that is no string'],
    ['close', { user => 'u', payload => 1 }, 400, 'bad_member', 'a payload'],
    ['close', '{"user":"u","user":"v"}', 400, 'bad_member', 'a member twice'],
    ['close', '{', 400, 'invalid_json', 'what is no JSON'],
    ['close', '[]', 400, 'invalid_json', 'an array'],
    ['close', '', 400, 'invalid_json', 'nothing at all'],
    ['send', $send->(event_type => 'reset'), 400, 'reserved_type', 'an event of our own'],
    ['send', $send->(event_type => 'a b'), 400, 'invalid_event_type', 'what is no type'],
    ['send', { user => 'u', event_type => 'x' }, 400, 'invalid_payload', 'no payload'],
    ['send', $send->(reason => 'x'), 400, 'bad_reason', 'a reason to send'],
    ['send', $send->(payload => 'x' x 10240), 413, 'too_big', 'a payload that is too big'],
    ['send', 'x' x 40000, 413, 'body_too_large', 'a body that is too large'],
) {
    my ($what, $body, $status, $code, $name) = @$_;
    my $answer = post("/admin/$what", $body, token => token($us, 'boss'));
    is($answer->status . ' ' . (($answer->json // {})->{error} // ''), "$status $code", $name);
}
is(post('/admin/close', { id => $id }, token => token($them, 'boss'))->status, 404,
    "another tenant's connection is none");
is(post('/all/close', { user => 'u' })->json->{error}, 'bad_target', 'a user without a tenant, of all');
is($one->request(path => '/admin/close', token => token($us, 'boss'))->status, 405, 'GET of close');
is(post('/all/close', { id => $id }, headers => [Origin => 'https://evil.example'])->json->{error},
    'origin', 'a page of another host');
is($one->request(path => '/all/close', method => 'POST', body => '{"user":"u"}',
    headers => ['Content-Type' => 'application/x-www-form-urlencoded'])->json->{error},
    'unsupported_media_type', 'JSON that says it is a form, as curl -d does');
is(post('/admin/send', '{"user":"u","event_type":"x","payload":1,"payload":2}', token => token($us, 'boss'))
    ->json->{error}, 'bad_member', 'a payload twice');
is($one->request(path => '/all/close', method => 'POST', body => "id=$id",
    headers => ['Content-Type' => 'text/plain'])->json->{error}, 'unsupported_media_type', 'text');
is($one->request(path => '/all/send', method => 'POST', body => "id=$id",
    headers => ['Content-Type' => 'application/x-www-form-urlencoded'])->json->{error},
    'unsupported_media_type', 'a form, to send');
is_open($stays, 'after all that it');

# --- the page's button ---------------------------------------------------------------------------

my $page = $one->request(path => '/all/connections', headers => [Accept => 'text/html'])->body;
like($page, qr/<form method=post action="close"><input type=hidden name=id value="\Q$id\E">/, 'a button');
my $form = $one->request(path => '/all/close', method => 'POST', body => "id=$id",
    headers => ['Content-Type' => 'application/x-www-form-urlencoded', Origin => 'http://127.0.0.1:' . $one->port]);
is($form->status, 303, 'pressed: back to the list');
like($form->header('Location'), qr/connections$/, 'which is shown again');
unlike($one->request(path => '/all/connections')->body, qr/\Q$id\E/, 'without it');
is_closed($stays, 'by the button');

# --- where Redis is away, and where nobody obeys -------------------------------------------------

$redis->stop;
my $down = post('/all/close', { tenant => $us });
is($down->status . ' ' . $down->json->{error}, '503 redis_unavailable', 'without Redis: 503');
ok($down->header('Retry-After'), 'and when to try again');
$redis->start_again;
$two->write_conf($two->{conf} . "RaglineControl off\n");
$two->graceful;
my $off = wait_until(sub { my $r = $two->request(path => '/admin/close', method => 'POST',
    body => '{}', token => token($us, 'boss'), headers => ['Content-Type' => 'application/json']);
    $r->status == 503 && $r->json->{error} eq 'unavailable' });
ok($off, 'RaglineControl off: nothing is taken');

done_testing();
