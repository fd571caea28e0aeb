# SPDX-License-Identifier: Apache-2.0
#
# Newline-delimited JSON: the same streams for command lines and back ends, line by line, and which
# of the wires a request gets.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;

use Ragline::Httpd ();
use Ragline::Test;

my $redis = redis_a();
my $key = unique('ragline:ndjson');
my $second = unique('ragline:ndjson2');
my $tenant = unique('lines');
my $token = token($tenant, 7);

my $httpd = Ragline::Httpd->new(name => 'ndjson', conf => <<"EOF2")->start;
RaglineRedis @{[ $redis->url ]}
RaglineStream orders $key
RaglineStream others $second
RaglineMaxMessage 2000
@{[ join '', map { bearer_location(@$_) }
    ['/stream', 'RaglineSubscribe orders', 'RaglineHeartbeat 30s', 'RaglineRetry 3s'],
    ['/two', 'RaglineSubscribe orders others', 'RaglineHeartbeat 30s'],
    ['/beat', 'RaglineSubscribe orders', 'RaglineHeartbeat 1s'],
    ['/quiet', 'RaglineSubscribe orders', 'RaglineHeartbeat 1s comment'],
    ['/only-lines', 'RaglineSubscribe orders', 'RaglineWires ndjson'],
    ['/only-sse', 'RaglineSubscribe orders', 'RaglineWires sse'] ]}
EOF2

sub lines
{
    my ($path, %r) = @_;
    return Ragline::SSE->open(port => $httpd->port, path => $path, token => $token,
        wire => 'ndjson', %r);
}

sub add
{
    my ($payload, %r) = @_;
    return $redis->xadd($r{key} // $key, tenant_id => $tenant, event_type => $r{type} // 'order',
        payload => $payload);
}

# --- byte by byte -------------------------------------------------------------------------------

my $stream = lines('/stream');
my $connected = $stream->connected;
is($stream->status, 200, 'a stream');
is($stream->header('Content-Type'), 'application/x-ndjson', 'of lines');
is($stream->header('Incremental'), '?1', 'which proxies pass on as they come');
like($connected->{raw}, qr/^\{"id":"\d+-\d+","event":"connected","retry":3000,"data":\{
    "stream":"stream","tenant_id":"\Q$tenant\E","user_id":"?7"?,"timestamp":"[^"]+",
    "recovery":"new","connection":"[a-z2-7]{8}-[a-z2-7]{32}"\}\}$/x, 'connected');

for (
    ['{"a":1}', '{"a":1}', 'an object'],
    ["{\n \"a\": [1,\r\n2]\t}", '{  "a": [1,  2]' . "\t}", 'line ends between tokens are spaces'],
    ['"text"', '"text"', 'a string'],
    ['12345678901234567890.5e400', '12345678901234567890.5e400', 'a number that no type holds'],
    ['{"s":"\u0000\ud800"}', '{"s":"\u0000\ud800"}', 'escapes that are no text'],
    ['no JSON', '"no JSON"', 'what is no JSON is a string'],
    ["a\nb\"c\\", '"a\u000ab\"c\\\\"', 'with escapes'],
    ["\xff{}", "\"\xEF\xBF\xBD{}\"", 'in UTF-8'],
    ['', '""', 'nothing'],
    ['{"a":1} {"b":2}', '"{\"a\":1} {\"b\":2}"', 'two values are none'],
) {
    my ($payload, $data, $name) = @$_;
    my $id = add($payload);
    my $event = $stream->take('order');
    is($event && $event->{raw}, "{\"id\":\"$id\",\"event\":\"order\",\"data\":$data}", $name);
}
my $id = add('1', type => '"\\');
is($stream->take('"\\')->{raw}, "{\"id\":\"$id\",\"event\":\"\\\"\\\\\",\"data\":1}",
    'a type with quotes');
$id = add('"' . 'x' x 3000 . '"');
is($stream->take('reset')->{raw}, "{\"id\":\"$id\",\"event\":\"reset\",\"data\":{\"reason\":\"too_big\"}}",
    'an event that is too large');

# --- coming back, also from the other wire ------------------------------------------------------

my $sse = lines('/stream', wire => 'sse');
$sse->connected;
my @ids = map { add("{\"n\":$_}") } 1 .. 3;
is($sse->take(sub { $_[0]{data} eq '{"n":3}' })->{id}, $ids[2], 'the same ids on both wires');
is($stream->take(sub { $_[0]{data} eq '{"n":3}' })->{id}, $ids[2], 'at the same time');
$stream->close;
for (['header', last_event_id => $ids[0]], ['query', query => $ids[0]]) {
    my ($how, $what, $value) = @$_;
    my $again = $what eq 'query' ? lines("/stream?last_event_id=$value")
        : lines('/stream', last_event_id => $value);
    is($again->connected->{json}{recovery}, 'resumed', "resumed by $how");
    my $caught_up = $again->take('caught_up');
    is($caught_up->{raw}, "{\"id\":\"$ids[2]\",\"event\":\"caught_up\",\"data\":{\"stream\":\"stream\",\"replayed\":2}}",
        'caught_up');
    is(has_ids(grep { $_->{event} eq 'order' } $again->events), "@ids[1, 2]", 'what was missed');
    $again->close;
}
my $unknown = lines('/stream', last_event_id => 'garbage')->connected;
is($unknown->{json}{recovery} . $unknown->{json}{reason}, 'resetunknown', 'an id that is none');

# Of two streams each reader has a position of its own for a while.
my $two = lines('/two');
my $from = $two->connected->{id};
add("{\"n\":$_}", key => $_ % 2 ? $key : $second) for 4 .. 9;
$two->take(sub { $_[0]{data} eq '{"n":9}' });
my $both = lines('/two', last_event_id => $from);
$both->take('caught_up');
is(join(' ', sort map { $_->{data} } grep { $_->{event} eq 'order' } $both->events),
    join(' ', map { "{\"n\":$_}" } 4 .. 9), 'an endpoint with two streams');
is($both->last_event_id, $two->last_event_id, 'and one position');

# --- heartbeats, the end ------------------------------------------------------------------------

like(lines('/beat')->take('heartbeat')->{raw},
    qr/^\{"id":"[^"]+","event":"heartbeat","data":\{"stream":"beat","timestamp":\d+\.\d{3},
       "tenant_id":"\Q$tenant\E"\}\}$/x, 'a heartbeat');
ok(lines('/quiet')->wait(sub { $_[0]->comments }), 'or an empty line');
my $open = lines('/stream');
$open->connected;
my ($status) = $httpd->control('graceful');
is($status, 0, 'graceful');
my $error = $open->take('error');
like($error && $error->{raw}, qr/^\{"event":"error","retry":\d+,"data":\{"stream":"stream",
    "message":"Stream\ ended","error":"[^"]+","code":"draining"\}\}$/x, 'told that it ends');
$open->wait_end;

# --- which wire ---------------------------------------------------------------------------------

sub type_of
{
    my ($path, $accept) = @_;
    my $response = Ragline::HTTP::request(port => $httpd->port, path => $path, token => $token,
        method => 'HEAD', headers => defined $accept ? [Accept => $accept] : []);
    return $response->header('Content-Type');
}
my ($lines, $events) = ('application/x-ndjson', 'text/event-stream');
for (
    ['/stream', undef, $events], ['/stream', '*/*', $events], ['/stream', $lines, $lines],
    ['/stream', 'Application/X-NDJSON', $lines], ['/stream', "$events, $lines", $events],
    ['/stream', "$events;q=0.5, $lines", $lines], ['/stream', "$lines ; q=0.2,$events; q=0.3", $events],
    ['/stream', "$lines;q=0", $events], ['/stream', 'application/json', $events],
    ['/stream', "text/html,,;q=x , $lines", $lines], ['/stream', "${lines}x", $events],
    ['/only-lines', $events, $lines], ['/only-lines', undef, $lines], ['/only-sse', $lines, $events],
) {
    my ($path, $accept, $type) = @$_;
    is(type_of($path, $accept), $type, "$path, Accept: " . ($accept // 'none'));
}

$httpd->stop;
done_testing();
