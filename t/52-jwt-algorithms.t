# SPDX-License-Identifier: Apache-2.0
#
# Each algorithm through httpd, with keys that openssl made and tokens that openssl signed;
# several keys with ids, sets of JWKs; tokens that try to be taken for another key's; claims by
# name.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Digest::SHA ();
use JSON::PP ();
use MIME::Base64 qw(decode_base64 encode_base64url);
use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(run_command run_dir slurp spew);
use Ragline::Test;

my $dir = run_dir() . '/algorithms';
mkdir($dir);

# --- keys and tokens ----------------------------------------------------------------------------

sub openssl
{
    my ($status, $output) = run_command('openssl', @_);
    die "openssl @_:\n$output" if $status;
    return $output;
}
my %make = (
    (map { $_ => ['RSA', 'rsa_keygen_bits:2048'] } qw(rsa rsa2)),
    (map { $_ => ['EC', 'ec_paramgen_curve:P-' . $_ =~ s/\D//gr] } qw(p256 p384 p521)),
    p256b => ['EC', 'ec_paramgen_curve:P-256'],
    (map { $_ => ['ED25519'] } qw(ed ed2)),
);
for my $name (sort keys %make) {
    my ($type, $option) = @{ $make{$name} };
    openssl('genpkey', '-algorithm', $type, $option ? ('-pkeyopt', $option) : (), '-out',
        "$dir/$name.key");
    openssl('pkey', '-in', "$dir/$name.key", '-pubout', '-out', "$dir/$name.pem");
    openssl('pkey', '-in', "$dir/$name.key", '-pubout', '-outform', 'DER', '-out',
        "$dir/$name.der");
}
my %secret = map { $_ => unpack('H*', pack('N*', map { int(rand(2**32)) } 1 .. 16)) } qw(one two);
spew("$dir/$_.secret", "$secret{$_}\n") for keys %secret;
chmod(0600, glob("$dir/*"));

# What r and s of an ECDSA signature are in DER, in a JWT both in full length.
sub raw_signature
{
    my ($der, $size) = @_;
    my $at = 2 + (ord(substr($der, 1, 1)) & 0x80 ? 1 : 0);
    my $raw = '';
    for (1 .. 2) {
        my $length = ord(substr($der, $at + 1, 1));
        my $number = substr($der, $at + 2, $length) =~ s/^\0+//r;
        $raw .= "\0" x ($size - length $number) . $number;
        $at += 2 + $length;
    }
    return $raw;
}

sub signature
{
    my ($alg, $key, $text) = @_;
    my ($kind, $bits) = $alg =~ /^(HS|RS|PS|ES|Ed)(\d*)/ or return '';
    return Digest::SHA->can("hmac_sha$bits")->($text, $secret{$key} // $key) if $kind eq 'HS';
    spew("$dir/text", $text);
    my @output = ('-out', "$dir/signature");
    if ($kind eq 'Ed') {
        openssl('pkeyutl', '-sign', '-rawin', '-in', "$dir/text", '-inkey', "$dir/$key.key",
            @output);
        return slurp("$dir/signature");
    }
    openssl('dgst', "-sha$bits", '-sign', "$dir/$key.key",
        $kind eq 'PS' ? ('-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:-1') : (),
        @output, "$dir/text");
    my $signature = slurp("$dir/signature");
    return $kind eq 'ES' ? raw_signature($signature, { 256 => 32, 384 => 48, 512 => 66 }->{$bits})
        : $signature;
}

my $json = JSON::PP->new->canonical->utf8;

# signed(alg, key, {header}, {claims}): `as` in the header's place of alg is what the header says.
sub signed
{
    my ($alg, $key, $header, $claims) = @_;
    my %header = (typ => 'JWT', alg => $alg, %{ $header // {} });
    delete $header{$_} for grep { !defined $header{$_} } keys %header;
    my $text = join '.', map { encode_base64url(ref($_) ? $json->encode($_) : $_) } \%header,
        $claims // { tenant_id => 'acme', sub => '1', exp => time() + 600 };
    return $text . '.' . encode_base64url(signature($alg, $key, $text));
}

# A public key as a JWK.
sub jwk
{
    my ($name, %more) = @_;
    my $der = slurp("$dir/$name.der");
    my %jwk;
    if ($name =~ /^p(\d+)/) {
        my $size = int(($1 + 7) / 8);
        my ($x, $y) = unpack("a$size a$size", substr($der, -2 * $size));
        %jwk = (kty => 'EC', crv => "P-$1", x => encode_base64url($x), y => encode_base64url($y));
    }
    elsif ($name =~ /^ed/) {
        %jwk = (kty => 'OKP', crv => 'Ed25519', x => encode_base64url(substr($der, -32)));
    }
    else {
        my ($n) = openssl('rsa', '-pubin', '-in', "$dir/$name.pem", '-modulus',
            '-noout') =~ /Modulus=(\w+)/;
        %jwk = (kty => 'RSA', n => encode_base64url(pack('H*', $n)), e => 'AQAB');
    }
    return { %jwk, %more };
}

# --- one server with a location for everything --------------------------------------------------

my %key_of = (
    (map { ("HS$_" => 'one', "RS$_" => 'rsa', "PS$_" => 'rsa') } 256, 384, 512),
    ES256 => 'p256', ES384 => 'p384', ES512 => 'p521', EdDSA => 'ed',
);
my $file = sub { return "RaglineJWTKey file:$dir/$_[0]" };
spew("$dir/set.json", $json->encode({ keys => [
    jwk('rsa', kid => 'r', alg => 'RS256', use => 'sig'), jwk('p256', kid => 'e'), jwk('ed',
        kid => 'o', alg => 'EdDSA'),
    { kty => 'oct', kid => 'h', alg => 'HS256', k => encode_base64url(pack('H*', $secret{two})) },
    jwk('rsa2', kid => 'x', use => 'enc'), { kty => 'unknown', kid => 'u' },
] }));
spew("$dir/one.json", $json->encode(jwk('p384', kid => 'single')));
spew("$dir/certificate.cnf", "[req]\ndistinguished_name=d\n[d]\n");
openssl('req', '-x509', '-new', '-key', "$dir/rsa.key", '-subj', '/CN=issuer', '-days', '2',
    '-config',
    "$dir/certificate.cnf", '-out', "$dir/certificate.pem");

sub endpoint
{
    my ($path, @directives) = @_;
    return join("\n", "<Location $path>", 'SetHandler ragline-sse', 'RaglineSubscribe orders',
        'AuthType RaglineJWT',
        (grep({ /^<?Require/ } @directives) ? () : 'Require valid-user'), @directives,
            "</Location>\n");
}
my $hs = $file->('one.secret');
my $httpd = Ragline::Httpd->new(name => 'algorithms', conf => join '',
    "RaglineRedis @{[ redis_a()->url ]}\nRaglineDrain 0\n",
    "RaglineStream orders ragline:stream:orders\n",
    (map { endpoint("/$_", $file->(/^HS/ ? 'one.secret' : "$key_of{$_}.pem")
        . " alg=$_") } sort keys %key_of),
    endpoint('/default', 'RaglineJWTAlg ES256', $file->('p256.pem')),
    endpoint('/certificate', $file->('certificate.pem') . ' alg=RS256'),
    endpoint('/all', $file->('rsa.pem') . ' alg=RS256 kid=a', $file->('rsa2.pem')
        . ' alg=RS256 kid=b',
        $file->('p256.pem') . ' alg=ES256 kid=c', $file->('one.secret') . ' kid=d',
            $file->('ed.pem') . ' alg=EdDSA'),
    endpoint('/set', $file->('set.json')),
    endpoint('/single', $file->('one.json')),
    endpoint('/claim', $hs, 'RaglineTenant "%{ragline_claim:org.id}"',
        'RaglineUser "%{ragline_claim:org.user.name}"'),
    endpoint('/url', $hs, 'RaglineTenant "%{ragline_claim:https://app.example/tenant}"'),
    endpoint('/url-in', $hs, 'RaglineTenant "%{ragline_claim:https://app.example/claims.tenant}"'),
    endpoint('/roles', $hs, 'AuthzSendForbiddenOnFailure On',
        'Require ragline-claim roles admin editor'),
    endpoint('/scope', $hs, 'AuthzSendForbiddenOnFailure On', 'Require ragline-claim scope read'),
    endpoint('/nested', $hs, 'AuthzSendForbiddenOnFailure On',
        'Require ragline-claim realm_access.roles admin'),
    endpoint('/both', $hs, 'AuthzSendForbiddenOnFailure On', '<RequireAll>',
        'Require ragline-claim scope read', 'Require not ragline-claim banned true',
            '</RequireAll>'),
    # %{REMOTE_USER} first: that is how httpd knows that the expression has to wait for the token.
    endpoint('/expr', $hs, 'AuthzSendForbiddenOnFailure On',
        'Require expr "-n %{REMOTE_USER} && %{ragline_claim:plan} -in { \'pro\', \'team\' }"'),
    endpoint('/must', $hs, 'RaglineJWTRequire type access', 'RaglineJWTRequire aud ragline',
        'RaglineJWTRequire iss https://login.example'),
);
$httpd->start;

# The status, and the `connected` or the body as JSON.
sub get
{
    my ($path, $token) = @_;
    my $stream = Ragline::SSE->open(port => $httpd->port, path => $path, token => $token);
    my $connected = $stream->connected;
    my $answer = $connected ? $connected->{json} : $stream->json;
    my $status = $stream->status;
    $stream->close;
    return ($status, $answer);
}
sub good
{
    my ($name, $path, $token, $tenant) = @_;
    my ($status, $answer) = get($path, $token);
    is("$status " . ($answer->{tenant_id} // $answer->{message} // ''), '200 '
        . ($tenant // 'acme'), $name);
    return $answer;
}
sub bad
{
    my ($name, $path, $token, $message, $want) = @_;
    my ($status, $answer) = get($path, $token);
    is($status, $want // 401, "$name: refused");
    like($answer->{message} // '', qr/$message/, "$name: why") if $message;
    return;
}

# --- each algorithm, and none in place of another -----------------------------------------------

my %token = map { $_ => signed($_, $key_of{$_}) } keys %key_of;
for my $alg (sort keys %key_of) {
    good("$alg", "/$alg", $token{$alg});
    good("$alg, again (from the cache)", "/$alg", $token{$alg});
    bad("$alg where another is pinned: $_", "/$_", $token{$alg}, 'algorithm not allowed')
        for grep { $_ ne $alg } $alg =~ /^(..)/ ? grep({ /^$1|^HS256|^RS256/ } sort keys %key_of)
            : ();
    my ($signed, $signature) = $token{$alg} =~ /^(.*)\.(.*)$/;
    my $bytes = MIME::Base64::decode_base64url($signature);
    substr($bytes, 5, 1) ^= "\x01";
    bad("$alg with a changed bit", "/$alg", "$signed." . encode_base64url($bytes),
        'signature does not match');
    bad("$alg with zeros", "/$alg", "$signed." . encode_base64url("\0" x length $bytes),
        'signature does not match');
    bad("$alg with a byte less", "/$alg", "$signed." . encode_base64url(substr($bytes, 1)),
        'signature does not match');
    bad("$alg with a byte more", "/$alg", "$signed." . encode_base64url("$bytes\0"),
        'signature does not match');
    my $other = { one => 'two', rsa => 'rsa2', p256 => 'p256b', ed => 'ed2' }->{ $key_of{$alg} };
    bad("$alg by another key", "/$alg", signed($alg, $other), 'signature does not match') if $other;
}
good('RaglineJWTAlg', '/default', $token{ES256});
good('a certificate', '/certificate', $token{RS256});

# --- algorithms that tokens choose for themselves -----------------------------------------------

for my $name (qw(rsa p256 ed)) {
    my %form = (pem => slurp("$dir/$name.pem"),
        'pem without line end' => slurp("$dir/$name.pem") =~ s/\n\z//r,
        der => slurp("$dir/$name.der"), 'jwk' => $json->encode(jwk($name)), 'no key' => '');
    my ($alg) = grep { $key_of{$_} eq $name && /256|Ed/ } sort keys %key_of;
    for my $form (sort keys %form) {
        my $token = signed('HS256', $form{$form});
        bad("HS256 with the public key as the secret ($name, $form) at /$_", "/$_", $token)
            for $alg, 'all', 'set';
    }
}
for my $none ('none', 'None', 'NONE', 'nOnE', '', 'HS256 ', 'hs256', 'RS256,none', 'HS1', 'dir',
    undef) {
    my $claims = { tenant_id => 'acme', sub => '1', exp => time() + 600 };
    my $text = join '.', map { encode_base64url($json->encode($_)) } { typ => 'JWT', defined $none
        ? (alg => $none) : () },
        $claims;
    for my $path ('/HS256', '/RS256', '/all') {
        my $name = defined $none ? "alg \"$none\"" : 'no alg';
        bad("$name at $path, without signature", $path, "$text.");
        bad("$name at $path, with one", $path, "$text."
            . encode_base64url(Digest::SHA::hmac_sha256($text, $secret{one})));
    }
}

# --- several keys -------------------------------------------------------------------------------

good("the key with the id $_->[0]", '/all', signed($_->[1], $_->[2], { kid => $_->[0] })) for
    ['a', 'RS256', 'rsa'], ['b', 'RS256', 'rsa2'], ['c', 'ES256', 'p256'], ['d', 'HS256', 'one'],
        ['any', 'EdDSA', 'ed'];
good("$_->[0] without an id", '/all', signed(@$_)) for ['RS256', 'rsa2'], ['ES256', 'p256'],
    ['HS256', 'one'];
bad('the id of another key', '/all', signed('RS256', 'rsa', { kid => 'b' }),
    'signature does not match');
bad('an id of another kind of key', '/all', signed('RS256', 'rsa', { kid => 'c' }),
    'unknown key id');
bad("the id $_", '/all', signed('RS256', 'rsa', { kid => $_ }), 'unknown key id') for
    '*', '../../../../dev/null', "$dir/rsa.pem", '%', 'a%00', "a' OR '1'='1", 'A', ' a', '', 'aa',
        'x' x 1000;
bad('an id with a NUL', '/all', signed('RS256', 'rsa', { kid => "a\0" }));
bad('an id that is no text', '/all', signed('RS256', 'rsa', { kid => $_ }), 'kid is not a string')
    for ['a'], { a => 1 }, 1;
bad("a key in the token ($_->[0])", '/all', signed($_->[1], $_->[2], { kid => 'a',
    $_->[0] => $_->[3] })) for
    ['jwk', 'RS256', 'rsa2', jwk('rsa2')], ['jku', 'RS256', 'rsa2', 'http://127.0.0.1/keys'],
    ['x5c', 'RS256', 'rsa2', ['MIIB']], ['x5u', 'RS256', 'rsa2', "file://$dir/rsa2.pem"];

good("a set of JWKs: $_->[0]", '/set', signed($_->[0], $_->[1], { kid => $_->[2] })) for
    ['RS256', 'rsa', 'r'], ['ES256', 'p256', 'e'], ['EdDSA', 'ed', 'o'], ['HS256', pack('H*',
        $secret{two}), 'h'];
good('a set of JWKs: without an id', '/set', signed('ES256', 'p256'));
bad('a key of the set that is not for signatures', '/set', signed('RS256', 'rsa2', { kid => 'x' }));
bad('an algorithm that the set does not say', '/set', signed('PS256', 'rsa', { kid => 'r' }),
    'algorithm not allowed');
good('one JWK', '/single', signed('ES384', 'p384'));

# --- claims -------------------------------------------------------------------------------------

sub token_with { return signed('HS256', 'one', {}, { sub => '1', exp => time() + 600,
    tenant_id => 'acme', @_ }) }

is(good('a claim within a claim', '/claim', token_with(org => { id => 'beta',
    user => { name => 'joe' } }), 'beta')->{user_id},
    'joe', 'and the user as well');
good('the whole name first', '/claim', token_with('org.id' => 'gamma', org => { id => 'beta' }),
    'gamma');
good('a number', '/claim', token_with(org => { id => 42 }), '42');
bad('no such claim', '/claim', token_with(org => {}), 'names no tenant', 403);
bad('a claim that is no text', '/claim', token_with(org => { id => ['beta'] }), 'names no tenant',
    403);
good('a claim named by a URL', '/url', token_with('https://app.example/tenant' => 'beta'), 'beta');
good('within one', '/url-in', token_with('https://app.example/claims' => { tenant => 'beta' }),
    'beta');

good("Require ragline-claim: $_->[0]", $_->[1], token_with(@{ $_->[2] })) for
    ['one of several values', '/roles', [roles => 'editor']], ['an array', '/roles',
        [roles => ['user', 'admin']]],
    ['a list of words', '/scope', [scope => 'write read']], ['one word', '/scope',
        [scope => 'read']],
    ['an array of words', '/scope', [scope => ['read']]],
    ['a claim within a claim', '/nested', [realm_access => { roles => ['admin'] }]],
    ['all of several', '/both', [scope => 'read', banned => JSON::PP::false]];
good('Require expr', '/expr', token_with(plan => 'team'));
bad("Require ragline-claim: $_->[0]", $_->[1], token_with(@{ $_->[2] }), '', 403) for
    ['no such claim', '/roles', []], ['another value', '/roles', [roles => 'user']],
        ['an array without', '/roles', [roles => ['user']]],
    ['a longer word', '/scope', [scope => 'reader readonly']], ['a part of a word', '/scope',
        [scope => 'rea d']],
    ['other case', '/scope', [scope => 'READ']], ['an object', '/scope', [scope => { read => 1 }]],
    ['a list of words in an array', '/scope', [scope => ['write read x']]], ['null', '/roles',
        [roles => undef]],
    ['all but the last of several', '/both', [scope => 'read', banned => JSON::PP::true]];

bad("Require expr: the claim's other value", '/expr', token_with(plan => 'free'));

my @must = (type => 'access', aud => ['other', 'ragline'], iss => 'https://login.example');
good('RaglineJWTRequire', '/must', token_with(@must));
good('RaglineJWTRequire, one audience', '/must', token_with(@must, aud => 'ragline'));
bad("RaglineJWTRequire, $_->[0]", '/must', token_with(@must, @$_),
    "claim \"$_->[0]\" is not what") for
    ['type', 'refresh'], ['aud', 'ragline other'], ['aud', []], ['iss',
        'https://login.example.evil'], ['type', undef];

$httpd->stop;
my $log = $httpd->error_log;
is(scalar(grep { index($log, (split /\./)[2]) >= 0 } values %token), 0,
    'no signature is in the log');

done_testing();
