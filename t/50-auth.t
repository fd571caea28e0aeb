# SPDX-License-Identifier: Apache-2.0
#
# Who may open a stream, as which tenant; what the others are told; and that no token is ever seen
# in a log.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use MIME::Base64 qw(encode_base64);
use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(slurp);
use Ragline::Test;

# An answer that must not be a stream: its head and JSON body.
sub refused
{
    my ($name, $want, $path, %r) = @_;
    my $response = fetch($path, %r);
    like($response->status, qr/^(?:$want)$/, "$name: $want");
    my $type = $response->header('content-type') // '';
    like($type, qr{^application/json\b}, "$name: JSON");
    ok(ref $response->json eq 'HASH', "$name: an object") or diag($response->body);
    for my $token (grep { defined } $r{token}, $r{secret}) {
        is(index($response->head . $response->body, $token), -1, "$name: the token is not echoed")
            if length $token;
    }
    return $response;
}

sub opens
{
    my ($name, $path, %r) = @_;
    my $stream = stream($path, %r);
    my $connected = $stream->connected;
    ok($connected, "$name: a stream") or diag($stream->status . ' ' . $stream->body);
    $stream->close;
    return $connected && $connected->{json};
}

# --- bearer tokens ------------------------------------------------------------------------------

opens('a good token', '/stream', token => token(1, 1));
opens('the scheme in small letters', '/stream',
    headers => [Authorization => 'bearer ' . token(1, 1)]);
opens('a token that expired within the leeway', '/stream', token => token(1, 1, exp => time() - 5));

{
    my $none = refused('no token', 401, '/stream');
    like($none->header('www-authenticate') // '', qr/^Bearer\b/, 'no token: which scheme to use');
    refused('another scheme', 401, '/stream',
        headers => [Authorization => 'Basic ' . encode_base64('alice:alice', '')]);
    refused('an empty token', 401, '/stream', headers => [Authorization => 'Bearer ']);
}

my $good = token(1, 1);
my ($head, $claims, $signature) = split /\./, $good;
my %bad = (
    'not a token' => 'nonsense',
    'two parts' => "$head.$claims",
    'four parts' => "$good.$claims",
    'no signature' => "$head.$claims.",
    'a cut signature' => substr($good, 0, -2),
    'another secret' => token(1, 1) =~ s/\.[^.]*$//r . '.' . (split /\./, Ragline::Token::encode(
        { type => 'access', tenant_id => 1, sub => '1' }, secret => 'x' x 40))[2],
    'changed claims' => "$head." . (split /\./, token(2, 1))[1] . ".$signature",
    'alg none' => Ragline::Token::encode({ type => 'access', tenant_id => 1, sub => '1' },
        alg => 'none'),
    'another algorithm' => Ragline::Token::encode({ type => 'access', tenant_id => 1, sub => '1',
        exp => time() + 60 }, alg => 'HS512'),
    'expired' => token(1, 1, exp => time() - 3600),
    'not yet valid' => token(1, 1, nbf => time() + 3600),
    'a refresh token' => token(1, 1, type => 'refresh'),
    'no type' => Ragline::Token::encode({ tenant_id => 1, sub => '1', exp => time() + 60 }),
    'expiry as text' => token(1, 1, exp => 'never'),
    'claims that are no object' => Ragline::Token::encode('[1]'),
    'claims that are no JSON' => Ragline::Token::encode('{"type":"access"'),
    'a huge token' => 'a' x 7000 . '.b.c',
    'a claim twice' => Ragline::Token::encode(
        '{"type":"access","sub":"1","tenant_id":"acme","tenant_id":"beta"}'),
    'deep claims' => Ragline::Token::encode(
        '{"type":"access","sub":"1","tenant_id":"acme","x":' . '[' x 2000 . ']' x 2000 . '}'),
    'a claim with a NUL in its name' => Ragline::Token::encode(
        '{"type":"access","sub":"1","tenant_id\u0000":"beta","tenant_id":"acme"}'),
);
for my $name (sort keys %bad) {
    my $response = refused($name, 401, '/stream', token => $bad{$name});
    like($response->header('www-authenticate') // '', qr/^Bearer\b.*error="invalid_token"/,
        "$name: error=\"invalid_token\"");
}
# Cut at each byte; over one connection each, since a refusal ends none.
is(join(' ', grep { fetch('/stream', token => substr($good, 0, $_))->status ne '401' }
    1 .. length($good) - 1), '', 'a token that is cut, wherever');
like(fetch('/stream', token => 'x' x 20000)->status, qr/^4/, 'a token beyond all limits');

# --- where a token may stand --------------------------------------------------------------------

opens('in the query', "/stream?token=$good");
opens('among other parameters', "/stream?a=b&token=$good&last_event_id=");
refused('a bad one in the query', 401, '/stream?token=' . $bad{expired}, secret => $bad{expired});
refused('a parameter of another name', 401, "/stream?token2=$good", secret => $good);
refused('the query where it was not allowed', 401, "/t/quiet?token=$good", secret => $good);
refused('a cookie where it was not allowed', 401, '/stream',
    headers => [Cookie => "ragline_token=$good", Origin => 'http://127.0.0.1:' . vars('port')]);

{
    my @cookie = (Cookie => "a=b; ragline_token=$good; c=d");
    my $own = 'http://127.0.0.1:' . vars('port');
    opens('a cookie from the same origin', '/cookie', headers => [@cookie, Origin => $own]);
    opens('a cookie from an allowed origin', '/cookie',
        headers => [@cookie, Origin => 'https://app.example']);
    refused('a cookie without Origin', '401|403', '/cookie', headers => [@cookie], secret => $good);
    refused("a cookie with Origin $_", '401|403', '/cookie', headers => [@cookie, Origin => $_],
        secret => $good)
        for 'https://evil.example', 'null', 'https://app.example.evil.example',
            'https://app.example:8443', 'http://app.example', "$own.evil.example";
    opens('a header needs no Origin', '/cookie', token => $good);
    opens('a header counts before a cookie', '/cookie', token => $good,
        headers => [Cookie => "ragline_token=$bad{expired}", Origin => $own]);
}

# --- other identities ---------------------------------------------------------------------------

{
    my @alice = (headers => [Authorization => 'Basic ' . encode_base64('alice:alice', '')]);
    is(opens('Basic authentication', '/basic', @alice)->{tenant_id}, 'alice',
        'RaglineTenant "%{REMOTE_USER}"');
    my $stream = stream('/basic', @alice);
    $stream->connected;
    redis_a()->xadd('ragline:stream:orders', tenant_id => $_, event_type => "for_$_",
        payload => '{}') for 'bob', 'alice';
    ok($stream->take('for_alice'), 'alice gets her events');
    is(scalar(grep { $_->{event} eq 'for_bob' } $stream->events), 0, 'and not those of bob');
    my $wrong = fetch('/basic',
        headers => [Authorization => 'Basic ' . encode_base64('alice:bob', '')]);
    is($wrong->status, 401, 'a wrong password');
    like($wrong->header('www-authenticate') // '', qr/^Basic /, "is the other module's 401");
    refused('a user who cannot be a tenant', 403, '/basic',
        headers => [Authorization => 'Basic ' . encode_base64('bad*name:bad*name', '')]);
}
is(opens('a literal tenant', '/site')->{tenant_id}, 'main', 'needs no login');

# --- tenants ------------------------------------------------------------------------------------

refused('nobody says which tenant', 403, '/no-tenant');
refused('a token without tenant', 403, '/stream', token => Ragline::Token::encode(
    { type => 'access', sub => '1', exp => time() + 60 }));
my %claim = (
    'a space' => '"a b"', 'a star' => '"*"', 'a colon' => '"a:b"', 'a line feed' => '"a\\nb"',
    'a brace' => '"{tenant}"', 'a slash' => '"a/b"', 'a letter beyond ASCII' => '"\\u00fc"',
    '65 characters' => '"' . 'x' x 65 . '"', 'nothing' => '""', 'null' => 'null',
    'a NUL' => '"a\\u0000b"', 'half of a surrogate pair' => '"\\ud800"', 'true' => 'true',
    'an array' => '["acme"]', 'an object' => '{"acme":1}', 'a fraction' => '4.2',
);
for my $name (sort keys %claim) {
    refused("a tenant with $name", 403, '/stream', token => Ragline::Token::encode(
        qq({"type":"access","sub":"1","tenant_id":$claim{$name}})));
}
for my $tenant ('x' x 64, 'aZ09._@-') {
    is(opens('a tenant', '/stream', token => token($tenant, 1))->{tenant_id}, $tenant, $tenant);
}
refused('a user with a space', 403, '/t/user-only', token => token('acme', 'joe doe'));

# --- a stream ends with its token ---------------------------------------------------------------

{
    # The leeway (30 s by default) counts, so this one has four seconds left.
    my $stream = stream('/stream', token => token('acme', 1, exp => time() - 26));
    ok($stream->connected, 'a token about to expire opens a stream');
    is($stream->wait_end, 'eof', 'that ends with it');
    my ($error) = grep { $_->{event} eq 'error' } $stream->events;
    is($error && json_of($error->{data})->{code}, 'token_expired', 'and says why');
    is($stream->retry, 10_000, 'and gives the page time for a new one, before a 401');
}

# --- no token in any log ------------------------------------------------------------------------

{
    my $httpd = Ragline::Httpd->new(name => 'logs', loglevel => 'debug ragline_stream:trace8',
        conf => <<"EOF");
LogFormat "%h %u \\"%r\\" %q %U %>s \\"%{Referer}i\\" \\"%{unparsed}n\\" %{QUERY_STRING}e" full
CustomLog "@{[ vars('t_logs') ]}/50-auth-full-access_log" full
RaglineRedis @{[ redis_a()->url ]}
RaglineStream orders ragline:stream:orders
<Location /stream>
    SetHandler ragline-sse
    RaglineSubscribe orders
    RaglineTokenFrom header cookie:token query:token
@{[ jwt_conf() ]}
</Location>
EOF
    my $log = vars('t_logs') . '/50-auth-full-access_log';
    unlink($log);
    $httpd->start;
    my @tokens = map { token(unique(), 1) } 1 .. 3;
    my $expired = $bad{expired};
    my @streams = (
        $httpd->stream('/stream', token => $tokens[0]),
        $httpd->stream("/stream?x=1&token=$tokens[1]&y=2"),
        $httpd->stream('/stream', headers => [Cookie => "token=$tokens[2]",
            Origin => 'http://127.0.0.1:' . $httpd->port]),
    );
    ok($_->connected, 'a stream with the log at debug') for @streams;
    $httpd->request(path => '/stream', token => $expired);
    $httpd->request(path => "/stream?token=$expired");
    $httpd->request(path => "/stream?token=garbage-with-secrets");
    $httpd->request(path => '/stream', headers => [Cookie => "token=$expired"]);
    Ragline::SSE->close_all(@streams);
    $httpd->stop;
    my $written = $httpd->error_log . $httpd->access_log . slurp($log);
    like($written, qr{GET /stream\?\S*x=1\S*}, 'the rest of the query is in the access log');
    my @parts = map { my @p = split /\./; ($p[1], $p[2]) } @tokens, $expired;
    is(scalar(grep { index($written, $_) >= 0 } @parts, 'garbage-with-secrets'), 0,
        'no part of a token is in any log');
}

done_testing();
