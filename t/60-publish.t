# SPDX-License-Identifier: Apache-2.0
#
# Publishing over HTTP: what is written, for whom, what is refused, and that nothing is ever
# written by halves.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;

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
    ['nested', '{"b":[{"a":1.50e3}],"a":""}']) {
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
    # A number that no C type holds must not come out as another one.
    my $big = '12345678901234567890123';
    $response = post(qq({"stream":"orders","event_type":"big","payload":$big}));
    if ($response->status == 201) {
        is($stream->take('big')->{data}, $big, 'a number of 23 digits stays what it is');
    }
    else {
        is($response->status, 400, 'a number of 23 digits is refused rather than changed');
    }
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
    is($json->{error}, $status == 403 ? 'forbidden' : 'invalid_events', "$name: which kind");
    is_deeply([map { [@$_{'index', 'code'}] } @{ $json->{errors} }], [[0, $code]], "$name: $code");
    return;
}

refused_body('no JSON', 'hello');
refused_body('an empty body', '');
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
refused_event('a payload over RaglineMaxMessage', 400, 'too_big',
    event(payload => 'x' x 3_000_000));
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

done_testing();
