# SPDX-License-Identifier: Apache-2.0
#
# Sending to the gateway's connections: what a client gets, what the sender is told, and what is
# wrong with a request.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;
use Time::HiRes ();

use Ragline::Backend ();
use Ragline::Httpd ();
use Ragline::HTTP ();
use Ragline::Proc qw(freeze);
use Ragline::SSE ();
use Ragline::Test;

my $backend = Ragline::Backend->start;
my $conf = <<"EOF";
RaglineRedis @{[ redis_a()->url ]}
RaglineDrain 0
RaglineMaxMessage 64KB
RaglineSendBuffer 4KB
<Location /sse>
    SetHandler ragline-gateway
    RaglineGatewayCallback @{[ $backend->url ]}
    RaglineGatewayTimeout 60s
    RaglineHeartbeat off
</Location>
<Location /sse/2026>
    RaglineGatewayDialect 2026-01
</Location>
<Location /sse/2025>
    RaglineGatewayDialect 2025-11
</Location>
<Location /default>
    SetHandler ragline-gateway
    RaglineGatewayCallback @{[ $backend->url ]}
</Location>
<Location /stats>
    SetHandler ragline-stats
    Require local
</Location>
<Location /internal/send>
    SetHandler ragline-gateway-send
    Require local
</Location>
EOF
my $httpd = Ragline::Httpd->new(threads => 8, processes => 1, conf => $conf)->start;
my $port = $httpd->port;
my $json = JSON::PP->new->canonical->utf8;

# Looked at in the end.
my $asked_at = Time::HiRes::time();
my $unanswered = Ragline::SSE->open(port => $port, path => '/default?never', wire => 'sse');

my $n = 0;
# A stream and its token.
sub connected
{
    my ($query) = @_;
    my $path = '/sse?' . ($query // '') . '&n=' . ++$n;
    my $stream = Ragline::SSE->open(port => $port, path => $path, wire => 'sse');
    my $token = $backend->connect_of($path)->{body}{token};
    $stream->take('ready') if !$query;
    return ($stream, $token, $path);
}

sub post
{
    my ($body, %r) = @_;
    return Ragline::HTTP::request(port => $port, path => '/internal/send', method => 'POST',
        body => ref $body ? $json->encode($body) : $body,
        headers => ['Content-Type' => 'application/json'], %r);
}

# Sends, and "status body" of the answer.
sub sent
{
    my $response = post({@_});
    return $response->status . ' ' . $response->body;
}

my $ok = '200 {"status":"ok"}';
my $buffered = '200 {"status":"buffered"}';
my $not_found = '404 {"error":{"message":"Token not found","code":"TOKEN_NOT_FOUND"}}';

# --- what a client gets ---------------------------------------------------------------------------

{
    my ($stream, $token) = connected();
    my $seen = length $stream->body;
    for my $case (
        [{ data => 'plain' }, "data: plain\n\n", 'without a name'],
        [{ name => '', data => 'x' }, "data: x\n\n", 'with an empty one'],
        [{ data => "a\nb\n" }, "data: a\ndata: b\ndata: \n\n", 'of several lines'],
        [{ data => '' }, "data: \n\n", 'empty'],
        [{ data => "K\x{f6}ln \x{1f600}" }, "data: K\xc3\xb6ln \xf0\x9f\x98\x80\n\n", 'in UTF-8'],
        [{ name => 'user.updated', data => '{"id":7,"n":1.50}' },
            qq(data: {"type":"user.updated","payload":{"id":7,"n":1.50}}\n\n), 'with a name'],
        [{ name => 'a"b', data => '[1]' }, qq(data: {"type":"a\\"b","payload":[1]}\n\n),
            'with a strange name'],
        [{ name => 'e', data => "{\n \"a\": 1\n}" }, qq(data: {"type":"e","payload":{  "a": 1 }}\n\n),
            'whose JSON has lines'],
        [{ name => 'e', data => 'hello' }, qq(data: {"type":"e","payload":"hello"}\n\n),
            'whose data is no JSON'],
        [{ name => 'e', data => '' }, qq(data: {"type":"e","payload":""}\n\n), 'or nothing'],
        [{ name => 'ready', data => 'lost' }, "event: ready\ndata:\n\n", 'ready'],
        [{ name => 'rejected', data => '{"status":403}' },
            qq(event: rejected\ndata: {"status":403}\n\n), 'rejected'],
        [{ name => 'rejected', data => '' }, "event: rejected\ndata: \n\n", 'rejected, empty'],
    ) {
        my ($event, $bytes, $name) = @$case;
        is(sent(token => $token, event => $event), $ok, "an event $name");
        ok($stream->wait(sub { length $_[0]->body >= $seen + length $bytes }), 'arrives');
        is(substr($stream->body, $seen), $bytes, 'as it should');
        $seen = length $stream->body;
    }
    is(sent(token => $token), $ok, 'nothing may be sent');
    is(sent(token => $token, close => JSON::PP::false, other => { a => 1 }), $ok,
        'what is not known means nothing');
    my $response = post({ token => $token });
    is($response->header('content-type'), 'application/json', 'answers are JSON');
    is(post({ token => $token }, headers => ['Content-Type' => 'application/json; charset=utf-8'])
        ->status, 200, 'as requests are');
    $stream->close;
    $backend->call(sub { $_[0]{action} eq 'disconnect' && $_[0]{token} eq $token });
    is(sent(token => $token, event => { data => 'x' }), $not_found, 'who is gone is not found');
}

# --- an event, and the end ------------------------------------------------------------------------

{
    my ($stream, $token, $path) = connected();
    is(sent(token => $token, event => { data => 'last' }, close => JSON::PP::true), $ok,
        'an event and the end');
    is(sent(token => $token, event => { data => 'more' }), $not_found, 'nobody is there then');
    ok($stream->wait(sub { $_[0]->ended }), 'it ends');
    is($stream->ended, 'eof', 'as it should');
    like($stream->body, qr/\ndata: last\n\n\z/, 'after the event');
    is($backend->disconnect_of($path)->{body}{reason}, 'server_closed', 'and that is told');
    ($stream, $token, $path) = connected();
    is(sent(token => $token, close => JSON::PP::true), $ok, 'only the end');
    ok($stream->wait(sub { $_[0]->ended }), 'it ends');
    is($stream->body, "event: ready\ndata:\n\n", 'with nothing more');
    is($backend->disconnect_of($path)->{body}{reason}, 'server_closed', 'and that is told');
    is($backend->count_of($path, 'disconnect'), 1, 'once');
    ($stream, $token, $path) = connected();
    freeze($backend->{pid});
    is(sent(token => $token, close => JSON::PP::true), $ok, 'a back end that does nothing else meanwhile');
    ok($stream->wait(sub { $_[0]->ended }), 'may end one');
    kill(CONT => $backend->{pid});
    is($backend->disconnect_of($path)->{body}{reason}, 'server_closed', 'and is told then');
}

# --- before it is open ----------------------------------------------------------------------------

{
    my ($stream, $token) = connected('hold');
    my ($ends, $ends_token, $ends_path) = connected('hold&end');
    my ($refused, $refused_token) = connected('hold&status=401');
    my ($leaves, $leaves_token, $leaves_path) = connected('hold&leaves');
    is(sent(token => $token, event => { data => "n$_" }), $buffered, 'kept for it') for 1 .. 3;
    is(sent(token => $ends_token, event => { data => 'a' }), $buffered, 'and for another one');
    is(sent(token => $ends_token, close => JSON::PP::true), $buffered, 'and its end');
    is(sent(token => $ends_token, event => { data => 'b' }), $not_found, 'after which nothing comes');
    is(sent(token => $refused_token, event => { data => 'x' }), $buffered, 'and for who is not let in');
    is(sent(token => $leaves_token, event => { data => 'x' }), $buffered, 'and for who leaves');
    $leaves->close;
    ok(wait_until(sub { sent(token => $leaves_token) eq $not_found }), 'after which it is not there');
    $backend->release;
    ok($stream->take('ready'), 'it opens');
    is($stream->body, "data: n1\n\ndata: n2\n\ndata: n3\n\nevent: ready\ndata:\n\n",
        'with what was kept, in order, and then ready');
    ok($ends->wait(sub { $_[0]->ended }), 'the other one ends');
    is($ends->body, "data: a\n\n", 'after what was kept');
    is($backend->disconnect_of($ends_path)->{body}{reason}, 'server_closed', 'which is told');
    ok($refused->wait(sub { $_[0]->ended }), 'who is not let in');
    is($refused->body, qq(event: rejected\ndata: {"status":401,"message":"Whatever"}\n\n),
        'gets nothing of it');
    is(sent(token => $refused_token, event => { data => 'x' }), $not_found, 'and is not there');
    is($backend->count_of($leaves_path, 'disconnect'), 0, 'of who left before nobody is told');
    $backend->hold;
}

# --- older dialects -------------------------------------------------------------------------------

sub body_of
{
    my ($path, @send) = @_;
    my $stream = Ragline::SSE->open(port => $port, path => $path, wire => 'sse');
    my $token = $backend->connect_of($path)->{body}{token};
    # What was sent before it is open comes first.
    $stream->wait(sub { $_[0]->status });
    sent(token => $token, event => $_) for @send;
    sent(token => $token, close => JSON::PP::true);
    $stream->wait(sub { $_[0]->ended });
    return $stream->body;
}
my $named = { name => 'user.updated', data => "{\"id\":7}\nx" };
my $as_event = "event: user.updated\ndata: {\"id\":7}\ndata: x\n\n";
is(body_of('/sse/2026', $named, { data => 'y' }, { name => "a\nb", data => 'z' }),
    "${as_event}data: y\n\nevent: a\ndata: z\n\n", '2026-01: events by their names, and no ready');
is(body_of('/sse/2026?body={"event":{"data":"lost"}}', { name => 'ready', data => 'x' }),
    "event: ready\ndata: x\n\n", 'no event of the answer; ready is a name like others');
for my $path ('/sse/2026?status=401', '/sse/2025?status=403') {
    my $response = Ragline::HTTP::request(port => $port, path => $path);
    my ($status) = $path =~ /(\d+)$/;
    is($response->status . $response->body, qq($status\{"error":{"message":"Backend returned $status")
        . ',"code":"BACKEND_ERROR"}}', "$path is no stream");
}
my $opens = '{"event":{"name":"connection_open","data":"{\\"status\\":\\"connected\\"}"}}';
my $opened = qq(event: connection_open\ndata: {"status":"connected"}\n\n);
is(body_of("/sse/2025?body=$opens", $named), "$opened$as_event", '2025-11: the answer has an event');
is(body_of("/sse/2025?body=$_", $named), $as_event, "... or none: $_")
    for '', '{}', '[]', 'nothing', '{"event":{"data":7}}', '{"event":null,"close":false}';
{
    my $path = '/sse/2025?hold&body={"event":{"data":"bye"},"close":true}';
    my $stream = Ragline::SSE->open(port => $port, path => $path, wire => 'sse');
    my $token = $backend->connect_of($path)->{body}{token};
    is(sent(token => $token, event => { data => 'kept' }), $buffered, 'something is kept');
    $backend->release;
    ok($stream->wait(sub { $_[0]->ended }), 'and the answer has the end');
    is($stream->body, "data: bye\n\n", 'behind which nothing comes');
    is($backend->disconnect_of($path)->{body}{reason}, 'server_closed', 'which is told');
    $backend->hold;
}

# --- what is counted ------------------------------------------------------------------------------

{
    my $figures = sub { return Ragline::HTTP::request(port => $port, path => '/stats')->json->{gateway} };
    my $before = $figures->();
    my ($stream, $token) = connected();
    sent(token => $token, event => { data => "n$_" }) for 1 .. 3;
    sent(token => $token);
    sent(token => $token =~ s/....$/0000/r, event => { data => 'nobody' });
    my ($waits, $waits_token) = connected('hold');
    sent(token => $waits_token, event => { data => 'x' });
    is($figures->()->{events_sent} - $before->{events_sent}, 3, 'events that were sent');
    $backend->release;
    $waits->take('ready');
    $backend->hold;
    my $after = $figures->();
    is($after->{events_sent} - $before->{events_sent}, 4, 'and that were kept');
    is($after->{opened} - $before->{opened}, 2, 'connections');
    is($after->{sends} - $before->{sends}, 5, 'requests to send');
    cmp_ok($after->{send_seconds}, '>', $before->{send_seconds}, 'and how long they took');
    cmp_ok($after->{callbacks}{answered} - $before->{callbacks}{answered}, '>=', 2, 'callbacks');
    is(join(' ', sort keys %{ $after->{callbacks} }), 'answered full late stopped unreachable',
        'by what became of them');
    $_->close for $stream, $waits;
}

# --- a client that does not read ------------------------------------------------------------------

{
    my ($stream, $token) = connected();
    $stream->{paused} = 1;
    my $text = 'x' x 30000;
    my ($taken, $answer) = (0, $ok);
    while ($answer eq $ok && $taken < 2000) {
        $answer = sent(token => $token, event => { data => "$taken $text" });
        $taken += $answer eq $ok;
    }
    is($answer, '500 {"error":{"message":"Write failed: the client does not read",'
        . '"code":"WRITE_FAILED"}}', 'what has no room is refused');
    $stream->{paused} = 0;
    ok($stream->wait(sub { $_[0]->events >= $taken + 1 }), 'and what was taken arrives');
    is_deeply([map { $_->{data} =~ /^(\d+) / ? $1 : () } $stream->events], [0 .. $taken - 1],
        'all of it, in order');
    is(sent(token => $token, event => { data => 'again' }), $ok, 'and what comes then');
}

# --- what is wrong --------------------------------------------------------------------------------

{
    my ($stream, $token) = connected();
    is(post(qq({"token":"$token","m":@{[ '[' x 100 . ']' x 100 ]},"event":{"data":"a\\ud83d|\\u0000b"}}))->status, 200,
        'what is no text, beside what nobody knows');
    is($stream->take('message')->{data}, "a\xef\xbf\xbd|\xef\xbf\xbdb", 'arrives as U+FFFD');
    $stream->close;
}

my $some = '"token":"11111111-1111-4111-8111-111111111111"';
for my $case (
    ['{}', 'token is required and must be a string', 'INVALID_TOKEN_MISSING'],
    ['{"token":7}', 'token is required and must be a string', 'INVALID_TOKEN_MISSING'],
    ['{"token":""}', 'token is required and must be a string', 'INVALID_TOKEN_MISSING'],
    ['[]', 'token is required and must be a string', 'INVALID_TOKEN_MISSING'],
    ["{$some,\"event\":null}", 'event must be an object', 'INVALID_EVENT_TYPE'],
    ["{$some,\"event\":\"x\"}", 'event must be an object', 'INVALID_EVENT_TYPE'],
    ["{$some,\"event\":[]}", 'event.data is required and must be a string',
        'INVALID_EVENT_DATA_MISSING'],
    ["{$some,\"event\":{}}", 'event.data is required and must be a string',
        'INVALID_EVENT_DATA_MISSING'],
    ["{$some,\"event\":{\"data\":{}}}", 'event.data is required and must be a string',
        'INVALID_EVENT_DATA_MISSING'],
    ["{$some,\"event\":{\"data\":\"x\",\"name\":null}}", 'event.name must be a string',
        'INVALID_EVENT_NAME_TYPE'],
    ["{$some,\"event\":{\"data\":\"x\",\"name\":1}}", 'event.name must be a string',
        'INVALID_EVENT_NAME_TYPE'],
    ["{$some,\"close\":null}", 'close must be a boolean', 'INVALID_CLOSE_TYPE'],
    ["{$some,\"close\":\"true\"}", 'close must be a boolean', 'INVALID_CLOSE_TYPE'],
    ['{"token":', 'the body is not JSON', 'INVALID_JSON'],
    ['', 'the body is not JSON', 'INVALID_JSON'],
) {
    my ($body, $message, $code) = @$case;
    my $response = post($body);
    is($response->status, 400, "refused: $body");
    is_deeply($response->json,
        { error => { message => "Invalid request: $message", code => $code } }, $code);
}
is(post("{$some}")->status . post("{$some}")->body, $not_found =~ s/ //r, 'a token that is nobody\'s');

sub code_of
{
    my ($response) = @_;
    return $response->status . ' ' . ($response->json->{error}{code} // '');
}
is(code_of(post("{$some}", headers => ['Content-Type' => 'text/plain'])),
    '415 UNSUPPORTED_MEDIA_TYPE', 'not JSON');
is(code_of(post("{$some}", headers => [])), '415 UNSUPPORTED_MEDIA_TYPE', 'nothing');
is(code_of(post("{$some}", headers => ['Content-Type' => 'application/json',
    'Content-Encoding' => 'gzip'])), '415 UNSUPPORTED_MEDIA_TYPE', 'compressed');
is(code_of(post(qq({$some,"x":"@{[ 'x' x 500000 ]}"}))), '413 BODY_TOO_LARGE', 'too large');
{
    my ($stream, $token) = connected();
    is(code_of(post({ token => $token, event => { data => 'x' x 80000 } })), '413 BODY_TOO_LARGE',
        'an event that is');
    $stream->close;
}
my $get = Ragline::HTTP::request(port => $port, path => '/internal/send');
is(code_of($get), '405 METHOD_NOT_ALLOWED', 'POST it is');
is($get->header('allow'), 'POST', 'which is said');

# --- several at once ------------------------------------------------------------------------------

{
    my %of = map { my ($stream, $token) = connected(); ($token => $stream) } 1 .. 20;
    for my $round (1 .. 5) {
        is(join(' ', grep { $_ ne $ok } map { sent(token => $_, event => { data => "$_ $round" }) }
            sort keys %of), '', 'each takes its own');
    }
    for my $token (keys %of) {
        $of{$token}->wait(sub { $_[0]->events == 6 });
        is(join(',', map { $_->{data} } $of{$token}->events), join(',', '', map { "$token $_" } 1 .. 5),
            'and nobody else');
    }
}
# --- a back end that does not answer, if nothing else is said -------------------------------------

{
    ok($unanswered->wait(sub { $_[0]->status }), 'it has its time');
    is($unanswered->status, 504, 'and no more');
    cmp_ok(Time::HiRes::time() - $asked_at, '>', 4.9, 'five seconds');
    is($backend->count_of('/default?never', 'connect'), 1, 'and is asked once');
}
$httpd->stop;

done_testing();
