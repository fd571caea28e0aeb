# SPDX-License-Identifier: Apache-2.0
#
# WebSockets: the handshake, the messages of either side, coming back, subscriptions, the close codes.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;
use Time::HiRes ();

use Ragline::HTTP ();
use Ragline::Httpd ();
use Ragline::Proc qw(free_port);
use Ragline::Test;
use Ragline::Token ();
use Ragline::WebSocket ();

my $redis = redis_a();
my $key = unique('ragline:ws');
my $second = unique('ragline:ws2');
my $tenant = unique('ws');
my $token = token($tenant, 7);
my @from = 'RaglineTokenFrom header query:token cookie:session';
my $origins = 'RaglineOrigins https://shop.example';

my $certificate = certificate('localhost');
my $tls_port = free_port();

my $httpd = Ragline::Httpd->new(name => 'websocket', threads => 32, conf => <<"EOF2")->start;
KeepAlive On
RaglineRedis @{[ $redis->url ]}
RaglineStream orders $key
RaglineStream others $second
RaglineStream large $key-large
RaglineMaxMessage 2000
RaglineWebSocketPing 30s
LogLevel ragline_stream:info
RequestReadTimeout body=1
<Location /ragline-stats>
    SetHandler ragline-stats
    Require local
</Location>
@{[ join '', map { websocket_location(@$_) }
    ['/ws', 'RaglineSubscribe orders', @from, $origins, 'RaglineRetry 3s'],
    ['/ws/orders', 'RaglineSubscribe orders', 'RaglineWebSocketDialect ragline', 'RaglineHeartbeat 1s'],
    ['/ws/plain', 'RaglineSubscribe orders', 'RaglineWebSocketDialect ragline', 'RaglineHeartbeat 1s'],
    ['/two', 'RaglineSubscribe orders others'],
    ['/large', 'RaglineSubscribe large'],
    ['/some', 'RaglineSubscribe orders', 'RaglineEvents order_*'],
    ['/mine', 'RaglineSubscribe orders', 'RaglineUserOnly on'],
    ['/group', 'RaglineSubscribe orders', 'RaglineStart group'],
    ['/beat', 'RaglineSubscribe orders', 'RaglineHeartbeat 1s'],
    ['/quiet', 'RaglineSubscribe orders', 'RaglineHeartbeat 1s comment'],
    ['/alive', 'RaglineSubscribe orders', 'RaglineHeartbeat off', 'RaglineWebSocketPing 1s'],
    ['/brief', 'RaglineSubscribe orders', 'RaglineJWTLeeway 0s'],
    ['/small', 'RaglineSubscribe orders', 'RaglineWebSocketMaxMessage 1KB'],
    ['/kept', 'RaglineSubscribe orders', 'RaglineHandoff off'],
    ['/kept/long', 'RaglineHeartbeat 1s'],
    ['/anybody', 'RaglineSubscribe orders', 'RaglineOrigins *'] ]}
@{[ bearer_location('/stream', 'RaglineSubscribe orders') ]}
SSLSessionCache none
Listen 127.0.0.1:$tls_port
<VirtualHost 127.0.0.1:$tls_port>
    SSLEngine on
    SSLCertificateFile $certificate.pem
    SSLCertificateKeyFile $certificate.key
    @{[ websocket_location('/ws', 'RaglineSubscribe orders') ]}
</VirtualHost>
EOF2

sub ws
{
    my ($path, %r) = @_;
    return Ragline::WebSocket->open(port => $httpd->port, path => $path, token => $token, %r);
}

sub add
{
    my ($payload, %r) = @_;
    return $redis->xadd($r{key} // $key, tenant_id => $r{tenant} // $tenant,
        event_type => $r{type} // 'order_status', payload => $payload,
        defined $r{user} ? (user_id => $r{user}) : ());
}

my $time = qr/"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00"/;
my $named = qr/"[a-z2-7]{8}-[a-z2-7]{32}"/;

sub data_of { return JSON::PP->new->canonical->allow_nonref->encode($_[0]{data}) }

# --- the handshake ------------------------------------------------------------------------------

my $ws = ws('/ws');
ok($ws->accepted, 'accepted, with the answer to the key');
is(lc $ws->header('Upgrade'), 'websocket', 'Upgrade');
is($ws->header('Connection'), 'Upgrade', 'Connection');
is($ws->header('Sec-WebSocket-Protocol'), undef, 'no protocol that was not offered');
ok(!defined $ws->header('Sec-WebSocket-Extensions') && !defined $ws->header('Content-Length')
        && !defined $ws->header('Transfer-Encoding'), 'nothing that it is not');
my $connected = $ws->take('connected');
like($connected->{raw}, qr/^\{"type":"connected","stream":"ws","data":\{"client_id":$named,
    "tenant_id":"\Q$tenant\E","user_id":7,"timestamp":$time,"subscriptions":\[\],
    "recovery":"new","connection":$named\},"retry":3000,"id":"\d+-\d+"\}$/x, 'connected');

sub handshake
{
    my ($path, %r) = @_;
    my %h = (Upgrade => 'websocket', Connection => 'Upgrade', 'Sec-WebSocket-Version' => 13,
        'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==', %{ $r{headers} // {} });
    return Ragline::HTTP::request(port => $httpd->port, path => $path, token => $token,
        head_only => 1, close => 0, method => $r{method},
        headers => [map { defined $h{$_} ? ($_ => $h{$_}) : () } sort keys %h]);
}
is(handshake('/ws')->header('Sec-WebSocket-Accept'), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
    'the key of RFC 6455');
for (
    ['no Upgrade', 426, Upgrade => undef], ['another one', 426, Upgrade => 'h2c'],
    ['no Connection', 426, Connection => 'keep-alive'],
    ['an old version', 426, 'Sec-WebSocket-Version' => 8], ['no key', 400, 'Sec-WebSocket-Key' => undef],
    ['a short key', 400, 'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25j'],
    ['no base64', 400, 'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub2*jZQ=='],
) {
    my ($what, $status, @headers) = @$_;
    my $answer = handshake('/ws', headers => {@headers});
    is($answer->status, $status, "$what: $status");
}
my $old = handshake('/ws', headers => { 'Sec-WebSocket-Version' => 8 });
is($old->header('Sec-WebSocket-Version'), 13, 'which version it is');
is($old->header('Upgrade'), 'websocket', 'and of what');
is(handshake('/ws', method => 'POST')->status, 405, 'POST');
is(handshake('/ws', method => 'HEAD')->status, 426, 'HEAD');
is(handshake('/ws', headers => { Connection => 'keep-alive, uPGRADE', Upgrade => 'h2c, WebSocket' })->status,
    101, 'lists, in any case');
is(handshake('/stream')->header('Content-Type'), 'text/event-stream', 'elsewhere it means nothing');

# --- events -------------------------------------------------------------------------------------

my $id = add('{"order_id":7,"status":"paid"}');
my $event = $ws->take('event');
like($event->{raw}, qr/^\{"type":"event","event_type":"order_status",
    "data":\{"order_id":7,"status":"paid"\},"timestamp":$time,"id":"\Q$id\E"\}$/x, 'an event');
for (['a number', '17', '17'], ['null', 'null', 'null'], ['an array', "[1,\n2]", '[1, 2]'],
    ['no JSON', 'it\'s "so"', '"it\'s \"so\""'], ['half of JSON', '{"a":', '"{\"a\":"'],
    ['a NUL', "a\0b", '"a\u0000b"'], ['a mark in front', "\xef\xbb\xbf{}", "\"\xef\xbb\xbf{}\""],
    ['white space alone', " \n", '" \u000a"'], ['two values', '{} {}', '"{} {}"'],
    ['nothing', '', '""'], ['no UTF-8', "a\xffb", "\"a\xef\xbf\xbdb\""],
    ['a number beyond a double', '123456789012345678901234567890', '123456789012345678901234567890']) {
    my ($name, $payload, $data) = @$_;
    add($payload);
    my $got = $ws->take('event')->{raw};
    like($got, qr/"data":\Q$data\E,"timestamp"/, "data: $name");
}
my $long = 'x' x 1900;
for my $size (60 .. 70, 1890) {
    add('"' . substr($long, 0, $size) . '"');
    is(length $ws->take('event')->{data}, $size, "a length around where the header grows: $size");
}
$id = add('"' . 'x' x 3000 . '"');
is($ws->take('reset')->{raw}, "{\"type\":\"reset\",\"data\":{\"reason\":\"too_big\"},\"id\":\"$id\"}",
    'an event that is too large');
is($ws->fault, '', 'and every frame was as it must be');

is($ws->ended, '', 'and what is no JSON has ended nothing');

# --- what clients say ---------------------------------------------------------------------------

$ws->send_text({ type => 'ping' });
like($ws->take('pong')->{raw}, qr/^\{"type":"pong","timestamp":$time\}$/, 'ping');
for (
    ['{"type":', '{"type":"error","message":"Invalid JSON message"}'],
    ['{"type":"foo"}', '{"type":"error","message":"Unknown message type: foo"}'],
    ['{"type":5}', '{"type":"error","message":"Unknown message type: "}'],
    ['{}', '{"type":"error","message":"Unknown message type: "}'],
    ['{"type":"acknowledge"}', '{"type":"error","message":"Unknown message type: acknowledge"}'],
    ['{"type":"ack","id":"1-1"}', '{"type":"error","message":"Message handling failed",'
        . '"error":"this endpoint waits for no acknowledgements"}'],
    ['[]', '{"type":"error","message":"Message handling failed","error":"a message is a JSON object"}'],
) {
    my ($said, $answer) = @$_;
    $ws->send_text($said);
    is($ws->take('error')->{raw}, $answer, $said);
}

# How many the tenant has here, and nobody else's.
my $census = unique('census');
my @counted = map { ws('/ws', token => token($census, $_)) } 1, 2, 2;
$_->take('connected') for @counted;
$counted[0]->send_text({ type => 'get_stats' });
my $stats = $counted[0]->take('stats');
is(data_of($stats), '{"connections_by_tenant":{"' . $census . '":3},"connections_by_user":{"1":1,"2":2},'
    . '"healthy_connections":3,"total_connections":3}', 'get_stats');
like($stats->{timestamp}, qr/^20/, 'with the time');
$_->close for @counted[1, 2];
ok(wait_until(sub {
    $counted[0]->send_text({ type => 'get_stats' });
    return $counted[0]->take('stats')->{data}{total_connections} == 1;
}), 'until they leave');
$counted[0]->close;

# --- subscriptions ------------------------------------------------------------------------------

sub subscribe
{
    my ($on, @types) = @_;
    $on->send_text({ type => 'subscribe', subscriptions => \@types });
    return $on->take('subscription_updated');
}
like(subscribe($ws, qw(b a b))->{raw},
    qr/^\{"type":"subscription_updated","subscriptions":\["a","b"\],"timestamp":$time\}$/, 'subscribed');
add("{\"n\":\"$_\"}", type => $_) for qw(c a order b ab a);
is(join(' ', map { $ws->take('event')->{event_type} } 1 .. 3), 'a b a', 'and that is what comes');
subscribe($ws, 'order_*');
add('1', type => $_) for qw(a order_x orders order_);
is(join(' ', map { $ws->take('event')->{event_type} } 1 .. 2), 'order_x order_', 'what types begin with');
for ([], ['all'], ['x', '*']) {
    subscribe($ws, 'nothing');
    is(JSON::PP->new->encode(subscribe($ws, @$_)->{subscriptions}), '[]', 'everything: ' . "[@$_]");
    add('2', type => 'anything');
    is($ws->take('event')->{event_type}, 'anything', 'comes');
}
for ('"all"', '[1]', '[""]', '["a*b"]', '["' . 'x' x 129 . '"]', '["a\u0000b"]', 'null',
    '[' . join(',', map { "\"t$_\"" } 0 .. 64) . ']') {
    $ws->send_text("{\"type\":\"subscribe\",\"subscriptions\":$_}");
    is($ws->take('error')->{message}, 'Message handling failed', 'refused: ' . substr $_, 0, 20);
}
my $some = ws('/some');
$some->take('connected');
subscribe($some, 'order_a', 'other');
add("\"$_\"", type => $_) for qw(order_b other order_a);
is($some->take('event')->{event_type}, 'order_a', 'within what the endpoint gives');
my $group = ws('/group');
$group->take('connected');
$group->send_text({ type => 'subscribe', subscriptions => ['a'] });
like($group->take('error')->{error}, qr/consumer group/, 'not where others depend on it');

# A change while events come: nothing is lost, nothing comes twice.
my $changes = ws('/ws');
$changes->take('connected');
my (@all, $answers);
for my $n (1 .. 300) {
    push @all, add("$n", type => 'even') if $n % 3;
    $changes->send_text({ type => 'subscribe', subscriptions => $n % 2 ? ['even', "x$n"] : ['e*'] });
    push @all, add("$n", type => 'even') if !($n % 3);
}
$changes->wait(sub { 300 == grep { $_->{type} eq 'event' } $changes->messages });
is(join(' ', map { $_->{id} } grep { $_->{type} eq 'event' } $changes->messages), "@all",
    'in order, each once, across 300 changes');
$changes->wait(sub { 300 == grep { $_->{type} eq 'subscription_updated' } $changes->messages });
is($changes->fault, '', 'frames as they must be');
$changes->close;

# --- coming back --------------------------------------------------------------------------------

my $there = ws('/ws');
$there->take('connected');
my @ids = map { add("{\"n\":$_}") } 1 .. 3;
$there->take(sub { ($_[0]{id} // '') eq $ids[2] }); # it is read
$there->close;
for (['header', '/ws', last_event_id => $ids[0]], ['query', "/ws?last_event_id=$ids[0]"]) {
    my ($how, $path, @more) = @$_;
    my $again = ws($path, @more);
    is($again->take('connected')->{data}{recovery}, 'resumed', "resumed by $how");
    like($again->take('caught_up')->{raw}, qr/^\{"type":"caught_up","data":\{"stream":"ws",
        "replayed":2\},"id":"\Q$ids[2]\E"\}$/x, 'caught up');
    is(join(' ', map { $_->{id} } grep { $_->{type} eq 'event' } $again->messages), "@ids[1, 2]",
        'what was missed');
    $again->close;
}
my $unknown = ws('/ws?last_event_id=garbage')->take('connected');
is("$unknown->{data}{recovery} $unknown->{data}{reason}", 'reset unknown', 'an id that is none');

# Of two streams each reader has a position of its own for a while.
my $two = ws('/two');
my $from = $two->take('connected')->{id};
add("{\"n\":$_}", key => $_ % 2 ? $key : $second) for 4 .. 9;
$two->wait(sub { 6 == grep { $_->{type} eq 'event' } $_[0]->messages });
my ($last) = reverse grep { $_->{type} eq 'event' } $two->messages;
my $both = ws('/two', last_event_id => $from);
my $caught = $both->take('caught_up');
is(join(' ', sort map { data_of($_) } grep { $_->{type} eq 'event' } $both->messages),
    join(' ', map { "{\"n\":$_}" } 4 .. 9), 'an endpoint with two streams');
is($caught->{id}, $last->{id}, 'and one position');
is($both->fault . $two->fault, '', 'in frames that fit');

my $mine = ws('/mine');
$mine->take('connected');
add('1', user => 8);
$id = add('2', user => 7);
is($mine->take('event')->{id}, $id, 'only what is for the user');

# --- frames that come with the handshake --------------------------------------------------------

my $early = ws('/ws', extra => Ragline::WebSocket::frame(1, '{"type":"subscribe","subscriptions":["x"]}')
        . Ragline::WebSocket::frame(9, 'early') . substr(Ragline::WebSocket::frame(1, '{"type":"ping"}'), 0, 7));
ok($early->accepted, 'a handshake with frames behind it');
is(join(' ', map { $early->take->{type} } 1 .. 2), 'connected subscription_updated', 'in their turn');
is($early->take_frame(10)->[1], 'early', 'a pong');
$early->send_bytes(substr(Ragline::WebSocket::frame(1, '{"type":"ping"}'), 7));
is($early->take->{type}, 'pong', 'and the half of one is not lost');
my $flood = ws('/ws', extra => Ragline::WebSocket::frame(9, 'x' x 100) x 300);
$flood->wait(sub { 300 == grep { $_->[0] == 10 } $flood->frames });
is(scalar(grep { $_->[0] == 10 && $_->[1] eq 'x' x 100 } $flood->frames), 300, '30 KB of them');

# --- who does not read is not listened to -------------------------------------------------------

my $slow = ws('/large', bulk => 1);
$slow->take('connected');
$slow->{paused} = 1;
my @many = map { add("{\"n\":$_,\"x\":\"" . 'x' x 1800 . '"}', key => "$key-large") } 1 .. 3000;
$slow->send_text({ type => 'ping' }) for 1 .. 500;
$slow->{paused} = 0;
$slow->wait(sub {
    3000 == (grep { $_->{type} eq 'event' } $_[0]->messages) && 500 == grep { $_->{type} eq 'pong' } $_[0]->messages
});
is(scalar(grep { $_->{type} eq 'pong' } $slow->messages), 500, 'who reads again is answered, 500 times');
my @has = map { $_->{id} } grep { $_->{type} eq 'event' } $slow->messages;
my ($wrong) = grep { ($has[$_] // '') ne $many[$_] } 0 .. $#many;
ok(@has == @many && !defined $wrong, 'and has 3000 events, in order, each once')
    or diag(scalar(@has) . ' events, the first wrong one is ' . ($wrong // 'none'),
        map { " $_->{type}" } grep { $_->{type} =~ /reset|caught/ } $slow->messages);
is($slow->fault, '', 'with whole frames, whatever stood between them');
$slow->{paused} = 1;
add('"' . 'y' x 1900 . '"', key => "$key-large") for 1 .. 3000;
$slow->send_close(1000);
$slow->{paused} = 0;
is($slow->wait_close, '1000', 'a close behind all that is heard, too');
my $gone = ws('/large', bulk => 1);
$gone->take('connected');
$gone->{paused} = 1;
add('"' . 'z' x 1900 . '"', key => "$key-large") for 1 .. 1500;
my $before = stats_connections(stats($httpd));
$gone->close('reset');
ok(wait_until(sub { stats_connections(stats($httpd)) < $before }), 'who is gone while it has no room is noticed');

# --- authentication: accepted first, then closed ------------------------------------------------

sub closed
{
    my ($path, %r) = @_;
    my $socket = ws($path, token => undef, %r);
    return $socket->accepted ? $socket->wait_close : 'status ' . $socket->status;
}
is(closed('/ws'), '1008 Authentication required', 'no token');
is(closed('/ws?token='), '1008 Authentication required', 'an empty one');
is(closed('/ws?token=garbage'), '1008 Invalid token', 'one that is none');
is(closed('/ws', token => 'garbage'), '1008 Invalid token', 'in the header');
is(closed('/ws', token => token($tenant, 7, exp => time() - 3600)), '1008 Invalid token', 'an expired one');
is(closed('/ws', token => Ragline::Token::encode({ type => 'access', sub => '7', exp => time() + 60 })),
    '1008 Invalid token', 'one without a tenant');
is(closed('/ws', headers => [Cookie => "session=$token"]), '1008 Authentication failed',
    'a cookie that anybody may have sent');
for (
    ['query', "/ws?token=$token"], ['protocol', '/ws', protocols => "ragline.v1, bearer.$token"],
    ['protocol alone', '/ws', protocols => "bearer.$token"],
    ['cookie', '/ws', headers => [Cookie => "session=$token", Origin => 'https://shop.example']],
) {
    my ($how, $path, @more) = @$_;
    my $socket = ws($path, token => undef, @more);
    is($socket->take('connected') && $socket->header('Sec-WebSocket-Protocol'),
        $how eq 'protocol' ? 'ragline.v1' : undef, "token by $how");
    $socket->close;
}
is(closed('/ws', token => $token, headers => [Origin => 'https://evil.example']), 'status 403',
    'another origin');
like($httpd->error_log, qr{RS0713: refused: a page of https://evil\.example, and for httpd this host is http://127},
    'of which the log tells, for the page hears nothing');
is(ws('/anybody', headers => [Origin => 'https://evil.example'])->take('connected')->{type}, 'connected',
    'any origin, where it brings a token');
my $short = ws('/brief', token => token($tenant, 7, exp => time() + 3));
is($short->take('error')->{code}, 'token_expired', 'a token that expires');
is($short->wait_close, '1008 token_expired', 'closes');

# --- where it cannot be --------------------------------------------------------------------------

my $kept = ws('/kept', extra => Ragline::WebSocket::frame(9, 'early'));
ok($kept->take('connected'), 'a connection that stays in httpd');
is($kept->take_frame(10)->[1], 'early', 'is heard from the start');
$kept->send_text('{"type":"ping","x":"' . 'x' x 60_000 . '"}') for 1 .. 10;
is(join(' ', map { $kept->take->{type} } 1 .. 10), join(' ', ('pong') x 10), 'whatever it says');
$id = add('{"kept":1}');
is($kept->take('event')->{id}, $id, 'and gets what the others get');
$kept->send_close(1000);
is($kept->wait_close, '1000', 'until it leaves');
ok(wait_until(sub { !stats($httpd)->{pumps}{open} }), 'which frees its worker');
my $longer = ws('/kept/long');
is(join(' ', map { ($longer->take('heartbeat') // {})->{type} // 'none' } 1 .. 3), join(' ', ('heartbeat') x 3),
    'longer than a body may take');
$longer->send_text('{"type":"ping"}');
ok($longer->take('pong'), 'it is heard');
$longer->close;

# TLS, with the handshake and the first frames in one record.
my $secure = ws('/ws', port => $tls_port, tls => 1,
    extra => Ragline::WebSocket::frame(1, '{"type":"subscribe","subscriptions":["secret"]}'));
ok($secure->accepted, 'wss');
is(join(' ', map { $secure->take->{type} } 1 .. 2), 'connected subscription_updated', 'heard from the start');
add('1');
$id = add('"' . 'x' x 1500 . '"', type => 'secret');
is($secure->take->{id}, $id, 'and gets what it wants');
$secure->send_text('{"type":"ping","x":"' . 'x' x 60_000 . '"}') for 1 .. 10;
is(join(' ', map { $secure->take->{type} } 1 .. 10), join(' ', ('pong') x 10), 'large messages');
$secure->send_close(4000, 'enough');
is($secure->wait_close, '4000', 'good-bye');
is($secure->fault, '', 'and every frame was whole');

# --- heartbeats, and signs of life --------------------------------------------------------------

like(ws('/beat')->take('heartbeat')->{raw}, qr/^\{"type":"heartbeat","stream":"beat","timestamp":$time,
    "id":"[^"]+"\}$/x, 'a heartbeat');
ok(ws('/quiet')->take_frame(9), 'or a ping');
my $alive = ws('/alive');
ok($alive->take_frame(9), "a ping $_") for 1 .. 3;
is($alive->ended, '', 'who answers stays');
my $dead = ws('/alive', mute => 1);
$dead->take('connected');
is($dead->wait_close, 'eof', 'who does not is gone');

# --- the dialect --------------------------------------------------------------------------------

my $orders = ws('/ws/orders');
like($orders->take('connected')->{raw}, qr/^\{"type":"connected","stream":"orders","data":\{"client_id":$named,
    "tenant_id":"\Q$tenant\E","user_id":7,"subscriptions":\["order_created","order_updated",
    "order_completed","order_failed"\],"timestamp":$time,"recovery":"new","connection":$named\}/x, '/ws/orders');
my $plain = ws('/ws/plain');
like($plain->take('connected')->{raw}, qr/^\{"type":"connected","data":\{"client_id":$named,
    "tenant_id":"\Q$tenant\E","user_id":7,"timestamp":$time,"subscriptions":\[\],/x, '/ws');
$id = add('{"a":1}');
like($orders->take('order_event')->{raw}, qr/^\{"type":"order_event","event_type":"order_status","data":\{"a":1\},
    "timestamp":$time,"id":"\Q$id\E"\}$/x, 'its events');
is($plain->take('event')->{id}, $id, 'the same event');
like($orders->take('heartbeat')->{raw}, qr/^\{"type":"heartbeat","stream":"orders","timestamp":$time/,
    'its keepalive');
like($plain->take('ping')->{raw}, qr/^\{"type":"ping","timestamp":$time/, 'and that of /ws');

# --- the end ------------------------------------------------------------------------------------

my $small = ws('/small');
$small->take('connected');
$small->send_text('{"type":"ping","x":"' . 'x' x 1100 . '"}');
is($small->wait_close, '1009 too_big', 'a message that is too large');
my $leaving = ws('/ws');
$leaving->take('connected');
$leaving->send_close(1000, 'bye');
is($leaving->wait_close, '1000', 'a client that says good-bye');
is($leaving->ended, 'eof', 'and the server closes first');

# Over TLS some clients cannot answer a close any more when the server's end has come: it waits two seconds for
# that, of which nothing is left for one that had its answer.
my %closed_by = (
    'a stream' => [sub { ws('/ws', mute => 1, @_) }, '1003 only text messages'],
    'a token' => [sub { ws('/ws', token => 'garbage', mute => 1, @_) }, '1008 Invalid token'],
);
my @secure = (port => $tls_port, tls => 1);

sub closed_one
{
    my ($what, @with) = @_;
    my $since = Time::HiRes::time();
    my $on = $closed_by{$what}[0]->(@with);
    if ($what eq 'a stream') {
        $on->take('connected');
        $since = Time::HiRes::time();
        $on->send_frame(2, 'ab');
    }
    $on->take_frame(8);
    return ($on, $since);
}

my @patient = map { my $what = $_; map { [$what, closed_one($what, @$_)] } [], \@secure } sort keys %closed_by;
for (@patient) {
    my ($what, $on, $since) = @$_;
    my $of = $what . ($on->{tls} ? ', TLS' : '');
    is($on->wait_close, $closed_by{$what}[1], "$of: closed");
    is($on->ended, 'eof', "$of: and the end");
    cmp_ok(Time::HiRes::time() - $since, '>=', 2, "$of: the server waits for its answer");
}
for (map { my $what = $_; map { [$what, @$_] } [], \@secure } sort keys %closed_by) {
    my ($what, @with) = @$_;
    my $took = 2;
    # Once is enough: what takes long may have other reasons.
    wait_until(sub {
        my ($on, $since) = closed_one($what, @with);
        # What comes before the answer is read and means nothing, be it in pieces.
        $on->send_frame(9, 'late');
        $on->send_frame(1, 'x' x 3000, fin => 0);
        my $answer = Ragline::WebSocket::frame(8, pack('n', 1003) . 'bye');
        $on->send_bytes($_) for split //, $answer;
        $on->wait_close;
        $took = Time::HiRes::time() - $since;
        ok(!$on->take_frame(10), "$what: no answer") if $on->ended eq 'eof' && $took < 2;
        return $took < 2;
    });
    cmp_ok($took, '<', 2, "$what, @with: and no longer");
}
ok(wait_until(sub { stats_connections(stats($httpd)) > 0 }), 'counted');
my ($status) = $httpd->control('graceful');
is($status, 0, 'graceful');
is($ws->take('error')->{code}, 'draining', 'told that it ends');
is($ws->wait_close, '1001 draining', 'and closed');
is($ws->fault, '', 'whole frames to the end');
$_->close for $some, $group, $two, $both, $mine, $early, $flood, $alive, $orders, $plain, $changes;
$httpd->stop;

# --- who cannot be had for now is told so -------------------------------------------------------

my $full = Ragline::Httpd->new(name => 'full', conf => <<"EOF2")->start;
RaglineRedis @{[ $redis->url ]}
RaglineMaxConnections 1
RaglineStream orders $key
@{[ websocket_location('/ws', 'RaglineSubscribe orders') ]}
EOF2
SKIP: {
    skip 'prefork has a child for each', 3 if vars('mpm') eq 'prefork';
    my $first = ws('/ws', port => $full->port);
    $first->take('connected');
    my $other = ws('/ws', port => $full->port);
    ok($other->accepted, 'one too many is accepted');
    is($other->take('error')->{raw}, '{"type":"error","message":"Stream failed","error":"too many streams are open",'
        . '"stream":"ws","code":"over_limit","retry":2000}', 'told why');
    is($other->wait_close, '1013 over_limit', 'and closed');
}
$full->stop;
my $down = Ragline::Httpd->new(name => 'down', conf => <<"EOF2")->start;
RaglineRedis redis://127.0.0.1:@{[ free_port() ]}/0
RaglineStream orders $key
@{[ websocket_location('/ws', 'RaglineSubscribe orders') ]}
EOF2
is(ws('/ws', port => $down->port)->wait_close, '1013 redis_unavailable', 'no Redis');
$down->stop;
done_testing();
