# SPDX-License-Identifier: Apache-2.0
#
# What a token's claims may be: who the client is, and what of them leaves the module.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(slurp spew);
use Ragline::Test;

my $key = 'ragline:stream:orders';
my $httpd = Ragline::Httpd->new(name => 'claims', conf => <<"EOF");
RaglineRedis @{[ redis_a()->url ]}
RaglineStream orders $key
LogFormat "[%u]" user
CustomLog "\@ROOT\@/users" user
RaglineJWTKey secret:$Ragline::Token::SECRET
Header always set X-Seen "expr=[%{REMOTE_USER}|%{ragline_claim:name}|%{ragline_claim:a.b}]"
<Location />
    AuthType RaglineJWT
    Require valid-user
</Location>
<Location /stream>
    SetHandler ragline-sse
    RaglineSubscribe orders
</Location>
<Location /mine>
    SetHandler ragline-sse
    RaglineSubscribe orders
    RaglineUserOnly on
</Location>
<Location /named>
    SetHandler ragline-sse
    RaglineSubscribe orders
    RaglineUserOnly on
    RaglineUser "%{ragline_claim:name}"
</Location>
<Location /publish>
    SetHandler ragline-publish
    RaglinePublish orders
    RaglineUserOnly on
</Location>
<Location /seven>
    Require ragline-claim user_id 7
</Location>
EOF
spew($httpd->docroot . "/$_", 'a page') for 'page', 'seven';
$httpd->start;

# Claims as JSON text, without the braces.
sub of { return Ragline::Token::encode("{$_[0]}") }

# Tenant and user by `connected`, or the status and code of a refusal.
sub who
{
    my ($path, $claims) = @_;
    my $stream = $httpd->stream($path, token => of($claims));
    my $connected = $stream->connected;
    my $said = $connected
        ? join(' ', map { $_ // 'null' } @{ $connected->{json} }{ 'tenant_id', 'user_id' })
        : join(' ', $stream->status, ($stream->json // {})->{error} // '');
    $stream->close;
    return $said;
}

# --- who it is ----------------------------------------------------------------------------------

# Of the claims: at an endpoint that asks for a user, and at one that does not.
for my $case (
    ['an integer', '"user_id":7', '42 7', '42 7'],
    ['a string', '"user_id":"joe"', '42 joe', '42 joe'],
    ['an integer with an exponent', '"user_id":1e+06,"sub":"8"', '42 1000000', '42 1000000'],
    ['an integer with a point', '"user_id":7.0,"sub":"8"', '42 7', '42 7'],
    ['only sub', '"sub":"8"', '42 8', '42 8'],
    ['none', '"x":1', '42 null', '42 null'],
    ['null', '"user_id":null,"sub":"8"', '42 null', '42 null'],
    ['an empty one', '"user_id":"","sub":"8"', '42 null', '42 null'],
    ['a fraction', '"user_id":4.2,"sub":"8"', '403 bad_user', '42 null'],
    ['more than 64 bits', '"user_id":12345678901234567890,"sub":"8"', '403 bad_user', '42 null'],
    ['more than a double has', '"user_id":9.007199254740993e15,"sub":"8"', '403 bad_user',
        '42 null'],
    ['1e400', '"user_id":1e400,"sub":"8"', '403 bad_user', '42 null'],
    ['true', '"user_id":true,"sub":"8"', '403 bad_user', '42 null'],
    ['an array', '"user_id":["8"],"sub":"8"', '403 bad_user', '42 null'],
    ['an object', '"user_id":{"id":8},"sub":"8"', '403 bad_user', '42 null'],
    ['a NUL', '"user_id":"8\u0000","sub":"8"', '403 bad_user', '42 null'],
    ['half of a pair', '"user_id":"\ud800","sub":"8"', '403 bad_user', '42 null'],
    ['a line feed', '"user_id":"8\nx","sub":"8"', '403 bad_user', '42 null'],
    ['a name of another kind', '"sub":"auth0|5f7c8ec7c33c6c004bbafe82"', '403 bad_user',
        '42 null'],
) {
    my ($name, $claims, $asked, $not_asked) = @$case;
    is(who('/mine', qq("tenant_id":42,$claims)), $asked, "$name, where a user is asked for");
    is(who('/stream', qq("tenant_id":42,$claims)), $not_asked, "$name, where none is");
    my $response = $httpd->request(path => '/publish', method => 'POST', body => '{"stream":'
            . '"orders","event_type":"t","payload":1}', token => of(qq("tenant_id":42,$claims)),
        headers => ['Content-Type' => 'application/json']);
    is($response->status, 201, "$name, for publishing") or diag($response->body);
}
is(who('/named', '"tenant_id":42,"user_id":8,"name":"auth0|8"'), '403 bad_user',
    'a user by an expression is not replaced either');

for my $case (['1e+06', '1000000 null'], ['42.0', '42 null'], ['null', '403 no_tenant'],
    ['""', '403 no_tenant'], ['4.2', '403 bad_tenant'], ['1e400', '403 bad_tenant'],
    ['true', '403 bad_tenant'], ['"a\u0000b"', '403 bad_tenant'], ['["a"]', '403 bad_tenant']) {
    my ($tenant, $said) = @$case;
    is(who('/stream', qq("tenant_id":$tenant)), $said, "the tenant $tenant");
}

# What user_id says is what is delivered, whatever sub is.
{
    my $stream = $httpd->stream('/mine', token => of('"tenant_id":42,"user_id":1e+06,"sub":"8"'));
    ok($stream->connected, 'a user by a number with an exponent');
    redis_a()->xadd($key, tenant_id => 42, user_id => $_, event_type => "for-$_", payload => '{}')
        for 8, 1000000;
    ok($stream->take('for-1000000'), 'gets the events of that user');
    is(scalar(grep { $_->{event} eq 'for-8' } $stream->events), 0, 'and not those of sub');
    $stream->close;
}

# An entry that leaves the tenant to its payload means the same one.
{
    my $stream = $httpd->stream('/stream', token => of('"tenant_id":4.2e1'));
    ok($stream->connected, 'a tenant by a number with a point');
    redis_a()->xadd($key, event_type => 'by-payload', payload => qq({"tenant_id":$_,"a":1e400}))
        for '42.5', '4.2E+01';
    my $event = $stream->take('by-payload');
    is($event && $event->{data}, '{"tenant_id":4.2E+01,"a":1e400}', 'gets what a payload says so');
    $stream->close;
}

# --- what nobody asks for -----------------------------------------------------------------------

is(who('/stream', '"tenant_id":42,"a":1e400,"b":12345678901234567890,"c":"\u0000","d":["\ud800"],'
    . '"e":"x\r\ny"'), '42 null', 'claims that are only carried may be anything');
is($httpd->request(path => '/seven', token => of('"user_id":7.0'))->status, 200,
    'Require ragline-claim reads numbers the same way');
is($httpd->request(path => '/seven', token => of('"user_id":"7\u0000"'))->status, 401,
    'and takes nothing for what it is not');

# --- what leaves the module ---------------------------------------------------------------------

sub seen
{
    my ($claims) = @_;
    my $response = $httpd->request(path => '/page', token => of($claims));
    is($response->status, 200, "a page with $claims");
    is($response->header('x-admin'), undef, 'no header of its own making');
    return $response->header('x-seen');
}

is(seen('"sub":"auth0|5f7c","name":"B\u00f6b","a":{"b":7}'), "[auth0|5f7c|B\xc3\xb6b|7]",
    'text, and numbers');
is(seen('"user_id":1e3,"sub":"x","name":true,"a":{"b":4.2}'), '[1000|true|]',
    'numbers as integers');
for my $text ('bob\r\nX-Admin: 1', 'bob\nX-Admin: 1', 'bob\u0000x', 'bob\tx', '\u001bbob',
    'bob\u007f', 'bob\ud800') {
    is(seen(qq("sub":"$text","tenant_id":"other","name":"$text","a":{"b":"$text"})), '[||]',
        'with a control character in it, or no text: nothing of it, and no other claim');
}
is(seen('"user_id":{"id":1},"sub":"8"'), '[||]', 'REMOTE_USER is never a second choice');
is(seen('"name":"x"'), '[|x|]', 'REMOTE_USER is empty without any of them');
$httpd->stop;
unlike(slurp($httpd->root . '/users'), qr/X-Admin|bob/, 'nor in a log');

done_testing();
