# SPDX-License-Identifier: Apache-2.0
#
# Publishing over HTTP: what is written, for whom, what is refused, and that nothing is ever
# written by halves.
#
# Runs alone: it counts what is in the main server's streams.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;

use Ragline::Httpd ();
use Ragline::Test;

my $redis = redis_a();
my $tenant = unique('pub');
my $token = token($tenant, 9);
my %key = map { $_ => "ragline:stream:$_" } qw(orders notifications limited system);
my $json = JSON::PP->new->canonical->utf8->allow_nonref;

sub post
{
    my ($body, %r) = @_;
    $body = $json->encode($body) if ref $body;
    return fetch(delete $r{path} // '/publish', method => 'POST', token => $token, body => $body,
        headers => delete $r{headers} // ['Content-Type' => 'application/json'], %r);
}

sub event
{
    return { stream => 'orders', event_type => 'order_created', payload => { n => 1 }, @_ };
}

# The newest entry of a stream: (id, {field => value}).
sub newest
{
    my ($name) = @_;
    my ($entry) = @{ $redis->client->xrevrange($key{$name}, '+', '-', 'COUNT', 1) };
    return $entry ? ($entry->[0], { @{ $entry->[1] } }) : ('', {});
}

sub length_of { return $redis->client->xlen($key{ $_[0] }) }

my $stream = stream('/t/three', token => $token);
$stream->connected;

# --- one event ----------------------------------------------------------------------------------

{
    my $response = post(event(payload => { order => 7, note => "K\x{f6}ln" }));
    is($response->status, 201, 'an event is created') or diag($response->head . $response->body);
    like($response->header('content-type') // '', qr{^application/json}, 'answered in JSON');
    my $id = $response->json->{id};
    like($id, qr/^\d+-\d+$/, 'with its id');
    my ($written, $fields) = newest('orders');
    is($written, $id, 'which is the entry in Redis');
    is($fields->{tenant_id}, $tenant, "the tenant is the caller's");
    is($fields->{event_type}, 'order_created', 'the type');
    is_deeply($json->decode($fields->{payload}), { order => 7, note => "K\x{f6}ln" },
        'the payload');
    my $event = $stream->take('order_created');
    ok($event, 'the subscriber gets it');
    is_deeply($json->decode($event->{data}), { order => 7, note => "K\x{f6}ln" }, 'whole');
}

for my $case (['a string', '"text"'], ['a number', '12.50'], ['null', 'null'],
    ['a list', '[1,"2",null]'],
    ['the largest integer of many', '9223372036854775807'], ['an empty object', '{}'],
    ['nested', '{"b":[{"a":1.50e3}],"a":""}'],
    ['an integer of 23 digits', '12345678901234567890123'], ['beyond a double', '-1e400'],
    ['a NUL', '"\u0000"'], ['half of a surrogate pair', '["\ud800","\udc00\ud800"]'],
    ['a member twice', '{"a":1,"a":2}']) {
    my ($name, $text) = @$case;
    my $response = post(qq({"stream":"orders","event_type":"kind","payload":$text}));
    is($response->status, 201, "a payload may be $name");
    my $event = $stream->take('kind');
    is($event && $event->{data}, $text, 'and stays what it is');
}

{
    my $response = post(event(tenant_id => $tenant, user_id => '9'));
    is($response->status, 201, "one's own tenant may be named");
    my (undef, $fields) = newest('orders');
    is($fields->{user_id}, '9', 'and a user');
    is(post(event(stream => 'notifications'))->status, 201, 'to another stream of the location');
}

{
    my $response = post(
        qq({"stream":"orders","event_type":"spaced","payload":{ "a" : [ 1,\n2 ] }}));
    is($response->status, 201, 'white space');
    is($stream->take('spaced')->{data}, '{"a":[1,2]}',
        'between the parts of a payload is not kept');
}

# --- several ------------------------------------------------------------------------------------

{
    my $before = length_of('orders');
    my $response = post([map { event(event_type => 'batch', payload => { n => $_ }) } 1 .. 50]);
    is($response->status, 201, 'a list of events') or diag($response->body);
    my $ids = $response->json->{ids};
    is(scalar(@{ $ids // [] }), 50, 'has a list of ids');
    is(length_of('orders'), $before + 50, 'all are written');
    $stream->wait(sub { (grep { $_->{event} eq 'batch' } $_[0]->events) >= 50 });
    is(join(' ', map { $_->{data} } grep { $_->{event} eq 'batch' } $stream->events),
        join(' ', map { "{\"n\":$_}" } 1 .. 50), 'and delivered in their order');
}

# --- what is refused ----------------------------------------------------------------------------

sub refused
{
    my ($name, $want, $body, %r) = @_;
    my %before = map { $_ => length_of($_) } keys %key;
    my $response = post($body, %r);
    like($response->status, qr/^(?:$want)$/, "$name: $want") or diag($response->body);
    ok(ref $response->json, "$name: the reason in JSON") or diag($response->head . $response->body);
    is_deeply({ map { $_ => length_of($_) } keys %key }, \%before, "$name: nothing is written");
    return $response;
}

# The body as a whole: invalid_json. An event: invalid_events or forbidden, with what is wrong.
sub refused_body
{
    my ($name, $body) = @_;
    is(refused($name, 400, $body)->json->{error}, 'invalid_json', "$name: invalid_json");
    return;
}

sub refused_event
{
    my ($name, $status, $code, $event, %r) = @_;
    my $json = refused($name, $status, $event, %r)->json;
    is($json->{error}, { 403 => 'forbidden', 413 => 'too_big' }->{$status} // 'invalid_events',
        "$name: which kind");
    is_deeply([map { [@$_{'index', 'code'}] } @{ $json->{errors} }], [[0, $code]], "$name: $code");
    return;
}

refused_body('no JSON', 'hello');
refused_body('an empty body', '');
like(refused('a BOM', 400, "\xEF\xBB\xBF" . $json->encode(event()))->json->{message}, qr/BOM/,
    'a BOM: is named');
refused_body('cut JSON', '{"stream":"orders","event_type":"x","payload":');
refused_body('two values', $json->encode(event()) . $json->encode(event()));
refused_body('a number', '12');
refused_body('bytes that are not UTF-8', qq({"stream":"orders","event_type":"x","payload":"\xff"}));
refused_body('a deep payload', '{"stream":"orders","event_type":"x","payload":'
    . '[' x 50_000 . ']' x 50_000 . '}');
refused_body('an empty list', '[]');
refused_body('1001 events', [map { event() } 1 .. 1001]);
refused_event('no stream', 400, 'invalid_stream', { event_type => 'x', payload => {} });
refused_event('no type', 400, 'invalid_event_type', { stream => 'orders', payload => {} });
refused_event('no payload', 400, 'missing_payload', { stream => 'orders', event_type => 'x' });
refused_event('a type of two words', 400, 'invalid_event_type', event(event_type => 'two words'));
refused_event('a type with a line feed', 400, 'invalid_event_type',
    event(event_type => "a\nid: 1"));
refused_event('a type that is no string', 400, 'invalid_event_type', event(event_type => ['x']));
refused_event('an unknown member', 400, 'unknown_member', event(colour => 'red'));
refused_event('an unknown stream', 403, 'stream', event(stream => 'nowhere'));
refused_event('a stream that is not open here', 403, 'stream', event(stream => 'system'));
refused_event('a key instead of a name', 403, 'stream', event(stream => 'ragline:stream:orders'));
refused_event("another's tenant", 403, 'tenant', event(tenant_id => 'another'));
refused_event('a bad tenant', 400, 'invalid_tenant_id', event(tenant_id => 'a b'));
refused_event('a bad user', 400, 'invalid_user_id', event(user_id => 'a b'));
for my $type (qw(connected heartbeat error reset caught_up challenge)) {
    refused_event("$type, which a stream says of itself", 400, 'reserved_type',
        event(event_type => $type));
}
refused_event('an event_id of two words', 400, 'invalid_event_id', event(event_id => 'a b'));
refused_event('an event_id of 129 characters', 400, 'invalid_event_id',
    event(event_id => 'x' x 129));
refused("another's tenant in a list", 403, [event(), event(tenant_id => 'another')]);
refused('a body over the limit', 413, '"' . 'x' x 9_000_000 . '"');
refused('another type of body', 415, event(), headers => ['Content-Type' => 'text/plain']);

{
    my $response = refused('bad events in a list', 400, [event(), event(event_type => 'two words'),
        event(stream => 'nowhere'), event()]);
    is_deeply([map { $_->{index} } @{ $response->json->{errors} }], [1, 2],
        'the answer names them');
    ok(!(grep { !$_->{message} } @{ $response->json->{errors} }), 'each with a sentence');
}

{
    my $anonymous = fetch('/publish', method => 'POST', body => $json->encode(event()),
        headers => ['Content-Type' => 'application/json']);
    is($anonymous->status, 401, 'without a token: 401');
    my $get = fetch('/publish', token => $token);
    is($get->status, 405, 'GET is 405');
    like($get->header('allow') // '', qr/\bPOST\b/, 'with Allow: POST');
}

# --- limits -------------------------------------------------------------------------------------

{
    my $big = event(payload => 'x' x (1024 * 1024 - 1));
    refused_event('a payload over RaglineMaxMessage', 413, 'too_big', $big);
    my $response = refused('two of them and a good one', 413, [$big, event(), $big]);
    is_deeply([map { $_->{index} } @{ $response->json->{errors} }], [0, 2], 'both are named');
    is(refused('one of them and another mistake', 400, [$big, event(event_type => 'a b')])
        ->json->{error}, 'invalid_events', 'which is not only a matter of size');
    is(refused("one of them and another's", 400, [$big, event(tenant_id => 'another')])
        ->json->{error}, 'invalid_events', 'nor of permission');
    is(post(event(payload => 'x' x (1024 * 1024 - 2)))->status, 201,
        'a payload of RaglineMaxMessage');
    is(post(event(event_type => 't' x 128, event_id => unique('x' x 100)))->status, 201,
        'the longest names');
    # Eight times RaglineMaxMessage; white space counts for the body, not for the payload.
    my $body = $json->encode(event());
    my $limit = 8 * 1024 * 1024;
    is(post($body . ' ' x ($limit - length $body))->status, 201, 'the largest body');
    is(refused('a byte more', 413, $body . ' ' x ($limit + 1 - length $body))->json->{error},
        'body_too_large', 'the body and not an event');
    my $chunk = "100000\r\n" . ' ' x (1024 * 1024) . "\r\n";
    is(refused('a larger one whose length is not told', 413, undef,
        headers => ['Content-Type' => 'application/json', 'Transfer-Encoding' => 'chunked'],
        extra => $chunk x 9 . "0\r\n\r\n")->json->{error}, 'body_too_large', 'is found out');
    # The object itself is the first level.
    my $deep = '[' x 31 . ']' x 31;
    is(post(qq({"stream":"orders","event_type":"x","payload":$deep}))->status, 201, '32 levels');
    refused_body('33 levels', qq({"stream":"orders","event_type":"x","payload":[$deep]}));
    is(post([map { event() } 1 .. 1000])->status, 201, '1000 events');
}

# --- event_id -----------------------------------------------------------------------------------

# How many entries of the stream have this event_id.
sub written
{
    my ($id) = @_;
    my $n = 0;
    for my $entry (@{ $redis->client->xrange($key{orders}, '-', '+') }) {
        my %field = @{ $entry->[1] };
        $n++ if ($field{event_id} // '') eq $id;
    }
    return $n;
}

{
    my $id = unique('e');
    my $first = post(event(event_id => $id));
    is($first->status, 201, 'an event with event_id');
    is_deeply([keys %{ $first->json }], ['id'], 'has an id');
    my $second = post(event(event_id => $id, event_type => 'other', payload => 2));
    is($second->status, 201, 'published again');
    is_deeply($second->json, { id => $first->json->{id}, duplicate => JSON::PP::true() },
        'it has that id, and is a duplicate');
    is(written($id), 1, 'it is written once');
    my $ttl = $redis->client->ttl("ragline:event:$tenant:21:{$key{orders}}:$id");
    ok($ttl > 86_300 && $ttl <= 86_400, 'it is remembered for a day') or diag($ttl);

    my $list = post([event(), event(event_id => $id), event(event_id => "$id:b"), event(),
        event(event_id => "$id:b")]);
    is($list->status, 201, 'in a list');
    is_deeply($list->json->{duplicates}, [1, 4], 'the duplicates are named');
    is($list->json->{ids}[1], $first->json->{id}, 'with the id of then');
    is($list->json->{ids}[4], $list->json->{ids}[2], 'also of one in the same list');
    is(scalar(@{ $list->json->{ids} }), 5, 'each has an id');
    is(written($id) + written("$id:b"), 2, 'and each is written once');
    ok(!exists post([event(), event(event_id => unique('e'))])->json->{duplicates},
        'no duplicates, no member');

    is(post(event(stream => 'notifications', event_id => $id))->json->{duplicate}, undef,
        'another stream has ids of its own');
    is(post(event(event_id => $id), token => token("$tenant-b", 9))->json->{duplicate}, undef,
        'so has another tenant');
    # Names that run together could be taken for each other.
    is(post(event(event_id => 'c'), token => token("$tenant.b", 1))->json->{duplicate}, undef,
        'a.b and c');
    is(post(event(event_id => 'b:c'))->json->{duplicate}, undef, 'are not a and b:c');
    refused_event('a bad event with a known event_id', 400, 'invalid_event_type',
        event(event_id => $id, event_type => 'a b'));
}

# Somebody else has written to the key of an event_id.
{
    my $id = unique('e');
    my $note = "ragline:event:$tenant:21:{$key{orders}}:$id";
    my $list = [event(), event(event_id => $id), event(event_id => "$id:b")];
    my $before = length_of('orders');
    for my $make (sub { $redis->client->set($note, 'ok') }, sub { $redis->client->rpush($note, 1) }) {
        $make->();
        my $response = post($list);
        is($response->status, 500, 'the key of an event_id holds something else');
        is($response->json->{error}, 'redis_refused', 'in JSON');
        is($response->json->{message}, 'Redis refused to write (BADNOTE); nothing was written',
            'that says what happened');
        is_deeply($response->json->{errors}, [{ index => 1, code => 'BADNOTE',
            message => 'what Redis remembers of this event_id is no entry\'s id' }], 'and with which');
        is(length_of('orders'), $before, 'nothing is written');
        $redis->client->del($note);
    }
    is(post($list)->json->{duplicates}, undef, 'without that key it is new, and so are the others');
    is(length_of('orders'), $before + 3, 'they are written');
}

# Many at once, with the same event_id: one is new.
{
    my $id = unique('race');
    my @posts = map {
        stream('/publish', method => 'POST', token => $token, body => $json->encode($_ % 2
                ? event(event_id => $id) : [event(event_type => 'filler'), event(event_id => $id)]),
            headers => ['Content-Type' => 'application/json', Connection => 'close'])
    } 1 .. 50;
    ok(Ragline::SSE->wait_all(\@posts, sub { $_[0]->ended }), 'fifty publishers of one event');
    is(scalar(grep { $_->status == 201 } @posts), 50, 'are all served');
    my %id = map { ($_->json->{id} // $_->json->{ids}[1]) => 1 } @posts;
    is(scalar(keys %id), 1, 'and get the same id');
    is(scalar(grep { !$_->json->{duplicate} && !$_->json->{duplicates} } @posts), 1,
        'one of them wrote it');
    is(written($id), 1, 'once');
}

# --- other tenants, where allowed ---------------------------------------------------------------

{
    my $other = unique('elsewhere');
    my $theirs = stream('/t/quiet', token => token($other, 1));
    $theirs->connected;
    is(post(event(tenant_id => $other), path => '/publish/any')->status, 201, 'any-tenant');
    ok($theirs->take('order_created'), 'reaches the tenant that is named');
    is(post(event(event_type => 'mine'), path => '/publish/any')->status, 201, 'without a name');
    ok($stream->take('mine'), "it is the caller's");
    refused_event('a bad tenant', 400, 'invalid_tenant_id', event(tenant_id => 'a b'),
        path => '/publish/any');
    refused_event('a stream that only the outer section has', 403, 'stream',
        event(stream => 'notifications'), path => '/publish/any');
}

# --- maxlen -------------------------------------------------------------------------------------

{
    post([map { event(stream => 'limited', payload => $_) } 1 .. 100]) for 1 .. 6;
    my $n = length_of('limited');
    cmp_ok($n, '<', 400, 'maxlen=100 keeps the stream short') ;
    cmp_ok($n, '>=', 100, 'but not shorter');
}

# --- many at once -------------------------------------------------------------------------------

{
    my $before = length_of('orders');
    my @posts = map {
        stream('/publish', method => 'POST', token => $token,
            headers => ['Content-Type' => 'application/json', Connection => 'close'],
            body => $json->encode([map { event(event_type => 'load') } 1 .. 10]))
    } 1 .. 100;
    ok(Ragline::SSE->wait_all(\@posts, sub { $_[0]->ended }), 'a hundred publishers');
    is(scalar(grep { $_->status == 201 } @posts), 100, 'are all served');
    is(length_of('orders'), $before + 1000, 'and all is written');
    $stream->wait(sub { (grep { $_->{event} eq 'load' } $_[0]->events) >= 1000 });
    my %id = map { $_->{id} => 1 } grep { $_->{event} eq 'load' } $stream->events;
    is(scalar(keys %id), 1000, 'and delivered, each once');
}

# --- who may publish, and from where ------------------------------------------------------------

{
    my $httpd = Ragline::Httpd->new(name => 'guarded', conf => <<"EOF")->start;
RaglineRedis unix://@{[ $redis->socket_path ]}
RaglineStream orders $key{orders}
RaglineMaxMessage 1KB
<Location /scope>
    SetHandler ragline-publish
    RaglinePublish orders
    AuthType RaglineJWT
    RaglineJWTKey secret:$Ragline::Token::SECRET
    AuthzSendForbiddenOnFailure On
    Require ragline-claim scope publish
</Location>
<Location /cookie>
    SetHandler ragline-publish
    RaglinePublish orders
@{[ jwt_conf() ]}
    RaglineTokenFrom header cookie:ragline_token
    RaglineOrigins https://app.example
</Location>
<Location /small>
    SetHandler ragline-publish
    RaglinePublish orders
@{[ jwt_conf() ]}
    LimitRequestBody 100
</Location>
EOF
    # The response, and "STATUS ENTRIES".
    my $publish = sub {
        my ($path, $body, %r) = @_;
        my $before = length_of('orders');
        my $response = $httpd->request(path => $path, method => 'POST', %r,
            body => ref $body ? $json->encode($body) : $body,
            headers => ['Content-Type' => 'application/json', @{ $r{headers} // [] }]);
        return ($response, $response->status . ' ' . (length_of('orders') - $before));
    };
    my $publisher = token($tenant, 9, scope => 'read publish');

    # As in the sample configuration.
    my ($response, $outcome) = $publish->('/scope', event(), token => $publisher);
    is($outcome, '201 1', 'a token with the scope');
    for my $scope ('read', 'publisher', 'PUBLISH', '', undef, ['read'], { publish => 1 }) {
        my $name = 'scope ' . $json->encode($scope);
        ($response, $outcome) = $publish->('/scope', event(),
            token => token($tenant, 9, defined $scope ? (scope => $scope) : ()));
        is($outcome, '403 0', "$name: 403");
        is($response->json->{error}, 'forbidden', "$name: in JSON");
    }

    # A token in a cookie comes with any page's form: it counts for pages that may.
    my $own = 'http://127.0.0.1:' . $httpd->port;
    my @cookie = (Cookie => "ragline_token=$token");
    for my $good ([Origin => $own], [Origin => 'https://app.example'],
        ['Sec-Fetch-Site' => 'same-origin'], [Referer => "$own/page"]) {
        ($response, $outcome) = $publish->('/cookie', event(), headers => [@cookie, @$good]);
        is($outcome, '201 1', "a cookie with $good->[0]: $good->[1]");
    }
    for my $bad ([], [Origin => 'https://evil.example'], [Origin => 'null'],
        [Origin => "$own.evil.example"], [Referer => "$own.evil.example/"],
        [Origin => 'https://evil.example', 'Sec-Fetch-Site' => 'same-origin'],
        [Origin => 'https://evil.example', Referer => "$own/page"],
        [Referer => 'https://evil.example/'], map { ['Sec-Fetch-Site' => $_] }
            qw(cross-site same-site none)) {
        ($response, $outcome) = $publish->('/cookie', event(), headers => [@cookie, @$bad]);
        is($outcome, '401 0', "a cookie with @$bad");
        is($response->json->{error}, 'cookie_origin', 'and why');
    }
    ($response, $outcome) = $publish->('/cookie', event(), token => $token,
        headers => [Origin => 'https://evil.example']);
    is($outcome, '201 1', 'a token in a header needs no Origin');
    is($response->header('access-control-allow-origin'), undef, 'but that page reads no answer');
    my $preflight = $httpd->request(path => '/cookie', method => 'OPTIONS', headers => [
        Origin => 'https://app.example', 'Access-Control-Request-Method' => 'POST']);
    is($preflight->status, 204, 'a preflight');
    like($preflight->header('access-control-allow-methods') // '', qr/\bPOST\b/, 'allows POST');

    # What the configuration limits.
    ($response, $outcome) = $publish->('/scope', event(payload => 'x' x 1022), token => $publisher);
    is($outcome, '201 1', 'a payload of RaglineMaxMessage');
    ($response, $outcome) = $publish->('/scope', event(payload => 'x' x 1023), token => $publisher);
    is($outcome, '413 0', 'and one of a byte more');
    ($response, $outcome) = $publish->('/cookie', ' ' x (64 * 1024 + 1), token => $token);
    is($outcome, '413 0', 'a body of more than 64 KB');
    ($response, $outcome) = $publish->('/small', $json->encode(event()) . ' ' x 100,
        token => $token);
    is($outcome, '413 0', 'LimitRequestBody');
    is(ref $response->json && $response->json->{error}, 'body_too_large', 'in JSON');
    $httpd->stop;
}

# --- when Redis refuses some --------------------------------------------------------------------

{
    my $wrong = unique('ragline:stream:wrong');
    $redis->client->set($wrong, 'x');
    my $httpd = Ragline::Httpd->new(name => 'wrong', conf => <<"EOF")->start;
RaglineRedis unix://@{[ $redis->socket_path ]}
RaglineStream orders $key{orders}
RaglineStream wrong $wrong
<Location /publish>
    SetHandler ragline-publish
    RaglinePublish orders wrong
@{[ jwt_conf() ]}
</Location>
EOF
    my $send = sub {
        return $httpd->request(path => '/publish', method => 'POST', token => $token,
            body => $json->encode($_[0]), headers => ['Content-Type' => 'application/json']);
    };
    my $id = unique('e');
    my $first = $send->(event(event_id => $id))->json->{id};
    my $list = [event(event_id => $id), event(stream => 'wrong', event_id => $id),
        event(event_id => "$id-2")];
    my $response = $send->($list);
    is($response->status, 500, 'a key that is no stream');
    is($response->json->{error}, 'partly_written', 'some are written');
    is($response->json->{ids}[0], $first, 'one was before');
    is_deeply($response->json->{duplicates}, [0], 'and is a duplicate');
    is($response->json->{ids}[1], undef, 'one was not written');
    is_deeply([map { @$_{'index', 'code'} } @{ $response->json->{errors} }], [1, 'WRONGTYPE'],
        'and why');
    $redis->client->del($wrong);
    $response = $send->($list);
    is($response->status, 201, 'published again when it is repaired');
    is_deeply($response->json->{duplicates}, [0, 2], 'only what was missing is written');
    is($redis->client->xlen($wrong), 1, 'which is there');
    $redis->client->del($wrong);
    $httpd->stop;
}

done_testing();
