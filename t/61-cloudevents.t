# SPDX-License-Identifier: Apache-2.0
#
# CloudEvents 1.0 at a publish location: the structured, the batch and the binary mode, what becomes
# of their attributes and data, and what is refused.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Test::More;

use Ragline::Httpd ();
use Ragline::Test;

my $redis = redis_a();
my $tenant = unique('ce');
my $token = token($tenant, 9);
my $json = JSON::PP->new->canonical->utf8->allow_nonref;
my %key = map { $_ => unique("ragline:stream:$_") } qw(one two);
my %TYPE = (
    event => 'application/cloudevents+json; charset=utf-8',
    batch => 'application/cloudevents-batch+json',
);

my $httpd = Ragline::Httpd->new(conf => <<"EOF" . bearer_location('/stream',
RaglineRedis unix://@{[ $redis->socket_path ]}
RaglineStream one $key{one}
RaglineStream two $key{two}
RaglineMaxMessage 10KB
<Location /one>
    SetHandler ragline-publish
    RaglinePublish one
@{[ jwt_conf() ]}
</Location>
<Location /both>
    SetHandler ragline-publish
    RaglinePublish one two
@{[ jwt_conf() ]}
</Location>
<Location /page>
    SetHandler ragline-publish
    RaglinePublish one
    RaglineOrigins https://app.example https://other.example:8443
@{[ jwt_conf() ]}
</Location>
<Location /any>
    SetHandler ragline-publish
    RaglinePublish one any-tenant
@{[ jwt_conf() ]}
</Location>
EOF
    'RaglineSubscribe one two', 'RaglineHeartbeat off'))->start;

my $stream = $httpd->stream('/stream', token => $token);
$stream->connected;

my $serial = 0;

sub event
{
    return { specversion => '1.0', id => ++$serial, source => '/shop', type => 'order.created',
        @_ };
}

# JSON::PP would write a number for what was one.
sub encode
{
    my ($event) = @_;
    return $json->encode({ %$event, defined $event->{id}
        ? (id => "$event->{id}") : () });
}

sub post
{
    my ($path, $type, $body, %r) = @_;
    if (ref $body eq 'ARRAY') {
        $body = '[' . join(',', map { ref ? encode($_) : $_ } @$body) . ']';
    }
    elsif (ref $body) {
        $body = encode($body);
    }
    return $httpd->request(path => $path, method => 'POST', token => $token, %r, body => $body,
        headers => [$type ? ('Content-Type' => $type) : (), @{ $r{headers} // [] }]);
}

# Attributes as headers; those given replace, undef takes away.
sub binary
{
    my ($path, $type, $body, %attributes) = @_;
    my %header = (%{ event() }, %attributes);
    return post($path, $type, $body,
        headers => [map { defined $header{$_} ? ("ce-$_" => $header{$_}) : () } sort keys %header]);
}

sub lengths { return join ' ', map { $redis->client->xlen($key{$_}) } qw(one two) }

sub newest
{
    my ($name) = @_;
    my ($entry) = @{ $redis->client->xrevrange($key{$name}, '+', '-', 'COUNT', 1) };
    return $entry ? ($entry->[0], { @{ $entry->[1] } }) : ('', {});
}

# --- structured ---------------------------------------------------------------------------------

{
    my $event = event(id => 'A-1', time => '2026-11-20T12:00:00Z', subject => '17',
        datacontenttype => 'application/json', dataschema => 'urn:x', comexampleextra => 5,
        data => { total => 'DATA' });
    my $body = encode($event) =~ s/"DATA"/19.90/r;
    my $response = post('/one', $TYPE{event}, $body);
    is($response->status, 201, 'a CloudEvent') or diag($response->body);
    my ($id, $fields) = newest('one');
    is_deeply($response->json, { id => $id }, 'its id is that of the entry');
    is_deeply($fields, { tenant_id => $tenant, event_type => 'order.created',
        payload => '{"total":19.90}', event_id => '/shop|A-1' }, 'which has these fields');
    my $got = $stream->take('order.created');
    is($got && $got->{data}, '{"total":19.90}', 'a subscriber gets the data as it was written');
    is(post('/one', $TYPE{event}, $body)->json->{duplicate}, JSON::PP::true(),
        'the same again is a duplicate');
    is(post('/one', $TYPE{event}, { %$event, source => '/till' })->json->{duplicate}, undef,
        'the same id from another source is not');
    is((newest('one'))[1]{event_id}, '/till|A-1', 'but another event');
    is(post('/one', 'application/json', $json->encode({ stream => 'one', event_type => 'x',
        payload => 1, event_id => '/shop|A-1' }))->json->{duplicate}, JSON::PP::true(),
        'in the other form it is the event_id SOURCE|ID');
}

{
    is(post('/one', $TYPE{event}, event(userid => 7, tenantid => $tenant))->status, 201,
        "user and one's own tenant");
    my (undef, $fields) = newest('one');
    is($fields->{user_id}, '7', 'the user');
    is($fields->{payload}, 'null', 'no data is null');
    post('/one', $TYPE{event}, event(id => "a b\x{e9}%"));
    is((newest('one'))[1]{event_id}, '/shop|a%20b%C3%A9%25', 'any text may be an id');
    is(post('/one', 'APPLICATION/CloudEvents+JSON', event())->status, 201,
        'a media type in capitals');
}

for my $case (['JSON', undef, '"text"', '"text"'], ['null', undef, 'null', 'null'],
    ['+json', 'application/vnd.x+json', '[1, 2]', '[1,2]'],
    ['text', 'text/plain', '"a\nb"', '"a\nb"'],
    ['XML as text', 'text/xml; charset=utf-8', '"<a/>"', '"<a/>"']) {
    my ($name, $type, $data, $want) = @$case;
    my $body = encode(event($type ? (datacontenttype => $type) : (), data => 'DATA'));
    is(post('/one', $TYPE{event}, $body =~ s/"DATA"/$data/r)->status, 201, "data is $name");
    is((newest('one'))[1]{payload}, $want, 'as it is');
}
for my $case (['JSON', undef, '{ "a": 1.0 }', '{"a":1.0}'],
    ['text', 'text/plain', "a\"\n", '"a\"\u000a"'], ['nothing', undef, '', 'null']) {
    my ($name, $type, $data, $want) = @$case;
    is(post('/one', $TYPE{event}, event($type ? (datacontenttype => $type) : (),
        data_base64 => encode_base64($data, '')))->status, 201, "data_base64 is $name");
    is((newest('one'))[1]{payload}, $want, 'as if it were not wrapped');
}

# --- which stream, whose ------------------------------------------------------------------------

{
    is(post('/both', $TYPE{event}, event(raglinestream => 'two', data => 2))->status, 201,
        'raglinestream');
    is((newest('two'))[1]{payload}, '2', 'names the stream');
    is(post('/one', $TYPE{event}, event(raglinestream => 'one'))->status, 201,
        'also where there is only one');
    my $other = unique('other');
    is(post('/any', $TYPE{event}, event(tenantid => $other))->status, 201, 'any-tenant');
    is((newest('one'))[1]{tenant_id}, $other, 'tenantid');
}

# --- batch --------------------------------------------------------------------------------------

{
    my $response = post('/one', $TYPE{batch},
        [event(type => 'batch', data => 1), event(type => 'batch', id => 'A-1'),
         event(type => 'batch', data => 2)]);
    is($response->status, 201, 'a batch') or diag($response->body);
    is(scalar(@{ $response->json->{ids} }), 3, 'has ids');
    is_deeply($response->json->{duplicates}, [1], 'and names what was a duplicate');
    is($stream->take('batch')->{data}, '1', 'the others');
    is($stream->take('batch')->{data}, '2', 'are delivered');
}

# --- binary -------------------------------------------------------------------------------------

{
    my $response = binary('/both', 'application/json', '{ "n" : 1.50 }', id => 'B-1',
        type => 'order.paid', raglinestream => 'two', userid => 7, tenantid => $tenant,
        time => '2026-11-20T12:00:00Z');
    is($response->status, 201, 'binary mode') or diag($response->body);
    my ($id, $fields) = newest('two');
    is_deeply($response->json, { id => $id }, 'its id');
    is_deeply($fields, { tenant_id => $tenant, user_id => '7', event_type => 'order.paid',
        payload => '{"n":1.50}', event_id => '/shop|B-1' }, 'its fields');
    is(binary('/both', 'application/json', '1', id => 'B-1', raglinestream => 'two')
        ->json->{duplicate}, JSON::PP::true(), 'again');
    is(post('/both', $TYPE{event}, event(id => 'B-1', raglinestream => 'two'))->json->{duplicate},
        JSON::PP::true(), 'and in structured mode');
    is(binary('/one', undef, '[1]')->status, 201, 'without a type');
    is((newest('one'))[1]{payload}, '[1]', 'it is JSON');
    is(binary('/one', undef, '')->status, 201, 'without data');
    is((newest('one'))[1]{payload}, 'null', 'it is null');
    is(binary('/one', 'text/plain', "\xc3\xa9\n")->status, 201, 'text');
    is((newest('one'))[1]{payload}, "\"\xc3\xa9\\u000a\"", 'is a JSON string');
    is(binary('/one', undef, '1', id => '"a%20b%25"')->status, 201, 'an encoded header');
    is((newest('one'))[1]{event_id}, '/shop|a%20b%25', 'is decoded');
    is(post('/one', $TYPE{event}, event(type => 'kept'), headers => ['ce-type' => 'other',
        'ce-specversion' => '9'])->status, 201, 'headers beside a structured event');
    is((newest('one'))[1]{event_type}, 'kept', 'mean nothing');
}

# --- refused ------------------------------------------------------------------------------------

sub refused
{
    my ($name, $want, $send) = @_;
    my $before = lengths();
    my $response = $send->();
    my $json = $response->json // {};
    is(join(' ', $response->status, $json->{error} // '-', map { $_->{code} }
        @{ $json->{errors} // [] }), $want, $name) or diag($response->body);
    is(lengths(), $before, 'nothing is written');
    return;
}

for my $case (
    ['no specversion', { specversion => undef }, 'invalid_specversion'],
    ['another specversion', { specversion => '0.3' }, 'invalid_specversion'],
    ['no id', { id => undef }, 'invalid_id'],
    ['no source', { source => undef }, 'invalid_source'],
    ['a source that is no URI', { source => 'two words' }, 'invalid_source'],
    ['no type', { type => undef }, 'invalid_event_type'],
    ['a type of two words', { type => 'two words' }, 'invalid_event_type'],
    ['a reserved type', { type => 'heartbeat' }, 'reserved_type'],
    ['a bad tenant', { tenantid => 'a:b' }, 'invalid_tenant_id'],
    ['a bad user', { userid => 'a b' }, 'invalid_user_id'],
    ['an attribute with an underscore', { tenant_id => $tenant }, 'unknown_member']) {
    my ($name, $attributes, $code) = @$case;
    refused($name, "400 invalid_events $code", sub {
        post('/one', $TYPE{event}, event(%$attributes)) });
    refused("$name, binary", "400 invalid_events $code", sub {
        binary('/one', 'application/json', '{}', %$attributes) });
}
for my $mode (\&structured, \&binary_event) {
    refused("another's tenant", '403 forbidden tenant',
        sub { $mode->('/one', tenantid => 'another') });
    refused('an unknown stream', '403 forbidden stream',
        sub { $mode->('/one', raglinestream => 'nowhere') });
    refused('a stream of another location', '403 forbidden stream',
        sub { $mode->('/one', raglinestream => 'two') });
    refused('no stream where there are several', '400 invalid_events invalid_stream',
        sub { $mode->('/both') });
}
sub structured { my ($path, @event) = @_; return post($path, $TYPE{event}, event(@event)) }
sub binary_event { my ($path, @event) = @_; return binary($path, undef, '{}', @event) }

for my $case (
    ['an image', { datacontenttype => 'image/png', data_base64 => 'iVBORw==' }, 'unsupported_data'],
    ['XML that is not text/*', { datacontenttype => 'application/xml', data => '<a/>' },
        'unsupported_data'],
    ['text that is an object', { datacontenttype => 'text/plain', data => {} }, 'invalid_data'],
    ['data twice', { data => 1, data_base64 => 'MQ==' }, 'invalid_data'],
    ['broken base64', { data_base64 => 'MQ=' }, 'invalid_data'],
    ['base64 of what is no JSON', { data_base64 => 'Zm9v' }, 'invalid_data'],
    ['base64 of what is no text', { datacontenttype => 'text/plain', data_base64 => '/w==' },
        'invalid_data']) {
    my ($name, $attributes, $code) = @$case;
    refused($name, "400 invalid_events $code", sub {
        post('/one', $TYPE{event}, event(%$attributes)) });
}
refused('data over RaglineMaxMessage', '413 too_big too_big',
    sub { structured('/one', data => 'x' x 11_000) });
refused('the same, binary', '413 too_big too_big',
    sub { binary('/one', 'text/plain', 'x' x 11_000) });
refused('a bad one in a batch', '400 invalid_events invalid_id invalid_event', sub {
    post('/one', $TYPE{batch}, [event(), event(id => ''), event(), '7']) });
refused('an array that is no batch', '400 invalid_json',
    sub { post('/one', $TYPE{event}, [event()]) });
refused('a batch that is no array', '400 invalid_json',
    sub { post('/one', $TYPE{batch}, event()) });
refused('an empty batch', '400 invalid_json', sub { post('/one', $TYPE{batch}, '[]') });
refused('no JSON', '400 invalid_json', sub { post('/one', $TYPE{event}, 'x') });
refused('no JSON, binary', '400 invalid_events invalid_data',
    sub { binary('/one', 'application/json', 'x') });
refused('no UTF-8, binary', '400 invalid_events invalid_data',
    sub { binary('/one', 'text/plain', "\xff") });
refused('an image, binary', '415 unsupported_media_type',
    sub { binary('/one', 'image/png', 'x') });
refused('text in another charset, binary', '415 unsupported_media_type',
    sub { binary('/one', 'text/plain; charset=iso-8859-1', 'x') });
refused('CloudEvents in another format', '415 unsupported_media_type',
    sub { post('/one', 'application/cloudevents+avro', 'x') });
refused('the same with headers', '415 unsupported_media_type',
    sub { binary('/one', 'application/cloudevents+avro', 'x') });
refused('a CloudEvent as plain JSON', '400 invalid_events unknown_member',
    sub { post('/one', 'application/json', event()) });
is($httpd->request(path => '/one', method => 'POST', body => encode(event()),
    headers => ['Content-Type' => $TYPE{event}])->status, 401, 'without a token: 401');

# --- a page of another origin --------------------------------------------------------------------

# The names that the preflight allows, as a set.
sub allowed
{
    my ($path, $headers, %r) = @_;
    my $response = $httpd->request(path => $path, method => 'OPTIONS', headers => [
        Origin => $r{origin} // 'https://app.example', 'Access-Control-Request-Method' => 'POST',
        defined $headers ? ('Access-Control-Request-Headers' => $headers) : ()]);
    my %name = map { lc() => 1 } split /\s*,\s*/,
        $response->header('access-control-allow-headers') // '';
    return (\%name, $response);
}
{
    my @always = sort map { lc } 'Authorization', 'Cache-Control', 'Content-Type', 'Last-Event-ID';
    my @mine = qw(ce-id ce-source ce-specversion ce-type ce-comexampleextra ce-raglinestream);
    for my $origin ('https://app.example', 'https://other.example:8443') {
        my ($name, $response) = allowed('/page',
            join(', ', 'authorization', 'content-type', @mine), origin => $origin);
        is($response->status, 204, "binary mode, $origin: the preflight");
        is_deeply([sort keys %$name], [sort @always, @mine], 'each ce- header that was asked for');
        is($response->header('access-control-allow-origin'), $origin, 'that origin, no other');
        is($response->header('access-control-allow-credentials'), 'true', 'with credentials');
        is($response->header('access-control-max-age'), 600, 'to be kept for ten minutes');
        like($response->header('vary') // '', qr/\b$_\b/i, "with Vary: $_")
            for 'Origin', 'Access-Control-Request-Headers';
    }
    is_deeply([sort keys %{ (allowed('/page', 'CE-ID,ce-source ,,  ce-type'))[0] }],
        [sort @always, qw(ce-id ce-source ce-type)], 'however the list is written');
    is_deeply([sort keys %{ (allowed('/page', $_))[0] }], \@always, 'not: ' . ($_ // 'nothing'))
        for undef, '', 'ce-', 'ce', 'x-other, cookie', 'ce-a_b', 'ce-a.b', 'ce-*', 'xce-id', '*',
            "ce-\xfc";
    is((allowed('/page', 'ce-id', origin => 'https://evil.example'))[1]
            ->header('access-control-allow-headers'), undef, 'nothing for another origin');
    is_deeply([sort keys %{ (allowed('/stream', 'ce-id'))[0] }], [],
        'nor where no origin is allowed');
    my ($name, $response) = allowed('/page', join ',', map { "ce-a$_" } 1 .. 700);
    is(scalar(keys %$name), 704, 'as many as httpd lets through');

    # And then the request itself.
    my @page = (Origin => 'https://app.example');
    my %of = %{ event() };
    $response = post('/page', 'application/json', '{}',
        headers => [@page, map { ("ce-$_" => $of{$_}) } sort keys %of]);
    is($response->status, 201, 'binary mode from such a page') or diag($response->body);
    is($response->header('access-control-allow-origin'), 'https://app.example',
        'which can read the answer');
    like($response->header('access-control-expose-headers') // '', qr/\bRetry-After\b/i,
        'and when to try again');
    $response = post('/page', 'application/json', '{}', headers => [@page]);
    is($response->status . ' ' . $response->header('access-control-allow-origin'),
        '400 https://app.example', 'also the answer to a bad one');
}

$stream->close;
$httpd->stop;
done_testing();
