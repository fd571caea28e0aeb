# SPDX-License-Identifier: Apache-2.0
#
# What is wrong only together: `apachectl configtest` says it in a sentence, and says nothing
# where nothing is wrong (the sample, the demo, README's examples).
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use MIME::Base64 ();
use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(run_command slurp spew);
use Ragline::Test;

my $secret = $Ragline::Token::SECRET;
my $streams = "RaglineStream orders ragline:stream:orders\n"
    . "RaglineStream other ragline:stream:other\n";
my $key = "RaglineJWTKey secret:$secret\n";
my $guard = "AuthType RaglineJWT\nRequire valid-user\n";
my $sse = "SetHandler ragline-sse\nRaglineSubscribe orders\n";

sub location { return "<Location $_[0]>\n" . join('', @_[1 .. $#_]) . "</Location>\n" }
sub section { my ($tag, @in) = @_; return "<$tag>\n" . join('', @in) . '</' . ($tag =~ /^(\w+)/)[0]
    . ">\n" }

sub configtest
{
    my ($conf, %server) = @_;
    return Ragline::Httpd->new(name => 'checks', conf => $conf, %server)->configtest;
}

my $words = qr/RS06\d\d/;

sub fine
{
    my ($name, @conf) = @_;
    my ($status, $output) = configtest(join '', $streams, @conf);
    ok($status == 0 && $output !~ $words, "fine: $name") or diag($output);
    return;
}

# A sentence, once.
sub wrong
{
    my ($name, $sentence, @conf) = @_;
    my ($status, $output) = configtest(join '', $streams, @conf);
    isnt($status, 0, "wrong: $name");
    like($output, qr/$words: .*\Q$sentence\E/, "$name: the sentence");
    my @said = $output =~ /$words: /g;
    is(scalar(@said), 1, "$name: one sentence") or diag($output);
    return;
}

sub warned
{
    my ($name, $sentence, $conf, %server) = @_;
    my ($status, $output) = configtest($streams . $conf, %server);
    is($status, 0, "warned, not refused: $name") or diag($output);
    like($output, qr/warn\].*$words: .*\Q$sentence\E/, "$name: the sentence");
    return;
}

# --- an endpoint has all it needs ---------------------------------------------------------------

fine('a stream', location('/stream', $sse, $guard, $key));
fine('a stream with the key at the server', $key, location('/stream', $sse, $guard));
fine('a stream that gets all from the section above', location('/a', $guard, $key,
    "RaglineSubscribe orders\n"),
    location('/a/stream', "SetHandler ragline-sse\n"));
fine('a stream that gets all from a pattern', section('LocationMatch ^/a/', $guard, $key),
    location('/a/stream', $sse));
fine('a pattern with a name', section('LocationMatch ^/a/(b|c)$', $sse, $guard, $key,
    "RaglineProfile abc\n"));
fine('a pattern that gets all from elsewhere', location('/a', $guard, $key,
    "RaglineSubscribe orders\n"),
    section('LocationMatch ^/a/(b|c)$', "SetHandler ragline-sse\nRaglineProfile abc\n"));
wrong('no streams', '<Location /stream>: SetHandler ragline-sse needs RaglineSubscribe',
    location('/stream', "SetHandler ragline-sse\n", $guard, $key));
wrong('a WebSocket without streams', '<Location /ws>: SetHandler ragline-websocket needs RaglineSubscribe',
    location('/ws', "SetHandler ragline-websocket\n", $guard, $key));
fine('a WebSocket', location('/ws', "SetHandler ragline-websocket\nRaglineSubscribe orders\n", $guard, $key));
for my $ack ('', "RaglineAck client\n", "RaglineAck socket\n") {
    fine("a WebSocket with shared delivery $ack", "RaglineStream own ws:{tenant}\n", location('/ws',
        "SetHandler ragline-websocket\nRaglineSubscribe own\nRaglineDelivery shared\n", $ack, $guard, $key));
}
wrong("acknowledgements $_->[0]", '<Location /ws>: RaglineAck client is for ragline-websocket with '
        . 'RaglineDelivery shared', "RaglineStream own ws:{tenant}\n",
    location('/ws', "RaglineSubscribe own\nRaglineAck client window=5\n", $_->[1], $guard, $key))
    for ['without shared delivery', "SetHandler ragline-websocket\n"],
        ['of those who can say nothing', "SetHandler ragline-sse\nRaglineDelivery shared\n"];
wrong('a publish location without streams',
    '<Location /publish>: SetHandler ragline-publish needs RaglinePublish',
    location('/publish', "SetHandler ragline-publish\n", $guard, $key));
wrong('a gateway without back end',
    '<Location /sse>: SetHandler ragline-gateway needs RaglineGatewayCallback with the URL',
    location('/sse', "SetHandler ragline-gateway\n"));
wrong('identities without a Redis',
    '<Location /sse>: RaglineIdentity needs RaglineRedis in the main server',
    location('/sse', "SetHandler ragline-gateway\nRaglineGatewayCallback http://127.0.0.1:1/\n"
        . "RaglineIdentity %{ragline_query:id}\n"));
wrong('what is kept without a Redis',
    '<Location /send>: RaglineIdentityKeep needs RaglineRedis in the main server',
    location('/send', "SetHandler ragline-gateway-send\nRaglineIdentityKeep 1h\nRequire local\n"));
wrong("an unknown stream in $_->[0]",
    "$_->[0]: there is no stream nowhere: define it with RaglineStream nowhere KEY",
    location('/x', "SetHandler $_->[1]\n$_->[0] nowhere\n", $guard, $key))
    for ['RaglineSubscribe', 'ragline-sse'], ['RaglinePublish', 'ragline-publish'];
wrong('the root as an endpoint',
    '<Location />: this section\'s path names no endpoint: add RaglineProfile NAME',
    location('/', $sse, $guard, $key));
my $public = "RaglineTenant main\nRequire all granted\n";
wrong("$_ without a name", "add RaglineProfile NAME", section($_, $sse, $public))
    for 'LocationMatch ^/a/', 'Location ~ ^/a/', 'Location /a/*', 'If "true"';
wrong('the whole host without a name', 'add RaglineProfile NAME', $sse, "RaglineTenant main\n",
    section('LocationMatch ^/', "Require all granted\n"));
fine("$_ with a name", section($_, $sse, $public, "RaglineProfile a\n"))
    for 'LocationMatch ^/a/', 'Location /a/*', 'If "true"';
fine('the whole host with a name', "RaglineProfile a\n", $sse, "RaglineTenant main\n",
    location('/', "Require all granted\n"));
fine('<If> within a location', location('/x', $key, $guard, "RaglineSubscribe orders\n",
    section('If "true"', "SetHandler ragline-sse\n")));

# --- who may come in, and as whom ---------------------------------------------------------------

my $nobody = "nothing says whose events these are: add RaglineTenant";
wrong('no identity', $nobody, location('/x', $sse, "Require all granted\n"));
wrong('a key, but nobody asks for a token', $nobody, location('/x', $sse, $key,
    "Require all granted\n"));
wrong('Basic, and no tenant', $nobody, location('/x', $sse,
    "AuthType Basic\nAuthName x\nRequire valid-user\n"));
wrong('a claim, and nobody asks for a token', 'RaglineTenant reads a token\'s claim',
    location('/x', $sse, "RaglineTenant %{ragline_claim:org}\nRequire all granted\n"));
wrong('publish without identity', $nobody, location('/x',
    "SetHandler ragline-publish\nRaglinePublish orders\nRequire all granted\n"));
fine('publish for any tenant', location('/x',
    "SetHandler ragline-publish\nRaglinePublish orders any-tenant\nRequire local\n"));
my $asks_nobody = 'AuthType RaglineJWT asks nobody for a token';
wrong('no Require', $asks_nobody, location('/x', $sse, $key, "AuthType RaglineJWT\n"));
wrong("Require $_", $asks_nobody, location('/x', $sse, $key, "AuthType RaglineJWT\nRequire $_\n"))
    for 'all granted', 'local', 'ip 10.0.0.0/8';
wrong('a Require above that the section replaces', $asks_nobody, location('/x', $guard, $key),
    location('/x/y', $sse, "Require all granted\n"));
fine("Require $_", location('/x', $sse, $key, "AuthType RaglineJWT\nRequire $_\n"))
    for 'ragline-claim a b', 'user joe', "user joe\nRequire local",
        'expr "%{REMOTE_USER} == \'a\'"';
fine('Require in <RequireAny>', location('/x', $sse, $key, "AuthType RaglineJWT\n",
    "<RequireAny>\nRequire local\nRequire valid-user\n</RequireAny>\n"));
fine('AuthMerging', location('/x', $guard, $key), location('/x/y', $sse,
    "AuthMerging And\nRequire all granted\n"));
fine('AuthType within <If>', location('/x', $sse, $key, section('If "true"', $guard)));

wrong('AuthType without key',
    'AuthType RaglineJWT needs a key, and <Location /x> has none: add RaglineJWTKey',
    location('/x', $sse, $guard));
wrong('the key is elsewhere', '<Location /x> has none', location('/y', $key), location('/x', $sse,
    $guard));
wrong('the key is below', '<Location /x> has none', location('/x', $guard), location('/x/y', $key));
wrong('the key is of another host', '<Location /x> has none',
    "<VirtualHost *>\n$key</VirtualHost>\n",
    location('/x', $sse, $guard));
fine('the key is of this host', "<VirtualHost *>\n$key", location('/x', $sse, $guard),
    "</VirtualHost>\n");
wrong('a directory without key', '<Directory /srv> has none', section('Directory /srv', $guard),
    location('/y', $key));
fine('a directory with the key above', section('Directory /srv', $key), section('Directory /srv/x',
    $guard));
fine('a directory with the key of the server', $key, section('Directory /srv', $guard));
wrong('a pattern without any key', 'AuthType RaglineJWT needs a key',
    section('DirectoryMatch ^/srv', $guard));
fine('AuthType for sections below', $key =~ s/^/# /r, location('/', "AuthType RaglineJWT\n"),
    location('/x', $sse, $key, "Require valid-user\n"));

# --- keys ---------------------------------------------------------------------------------------

my $dir = Ragline::Proc::run_dir() . '/keys';
mkdir($dir);
my %make = (
    rsa => ['genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
    weak => ['genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024'],
    p256 => ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
    ed => ['genpkey', '-algorithm', 'ED25519'],
    x => ['genpkey', '-algorithm', 'X25519'],
);
for my $name (sort keys %make) {
    my ($status, $output) = run_command('openssl', @{ $make{$name} }, '-out', "$dir/$name.key");
    ($status, $output) = run_command('openssl', 'pkey', '-in', "$dir/$name.key", '-pubout', '-out',
        "$dir/$name.pem")
        if !$status;
    is($status, 0, "openssl makes $name") or diag($output);
}
spew("$dir/jwk", '{"kty":"oct","k":"c2hvcnQ"}');
spew("$dir/json", '{"secret":"abc"}');
spew("$dir/empty", '');
sub with_key { return location('/x', $sse, $guard, "RaglineJWTKey file:$dir/$_[0]\n") }
fine("a key for its algorithm: $_", with_key($_)) for 'rsa.pem alg=RS256', 'rsa.pem alg=PS512',
    'p256.pem alg=ES256',
    'ed.pem alg=EdDSA', 'rsa.key alg=RS256';
wrong("a key for another algorithm: $_->[0]", $_->[1], with_key($_->[0])) for
    ['rsa.pem', 'HS256 takes a secret: write alg=RS256 after it'],
    ['rsa.pem alg=ES256', 'which ES256 cannot use: write alg=RS256'],
    ['p256.pem alg=ES384', 'which ES384 cannot use: write alg=ES256'],
    ['p256.pem alg=RS256', 'which RS256 cannot use: write alg=ES256'],
    ['ed.pem alg=ES256', 'which ES256 cannot use: write alg=EdDSA'],
    ['x.pem alg=EdDSA', 'which EdDSA cannot use'],
    ['weak.pem alg=RS256', 'this RSA key has 1024 bits: make one of 2048'],
    ['jwk', 'the secret has 5 bytes'], ['json', 'this is JSON, but no JWK'], ['empty',
        'gives an empty secret'];
wrong('RaglineJWTAlg and a secret', 'RS256 takes a public key in PEM', "RaglineJWTAlg RS256\n",
    $key);
wrong('a password in two places', 'the URL of RaglineRedis has a password, too: leave it out there',
    "RaglineRedis redis://:one\@127.0.0.1/\nRaglineRedisAuth env:PATH\n");

# --- origins, streams, names --------------------------------------------------------------------

wrong('every origin, and cookies',
    'RaglineOrigins * and RaglineTokenFrom cookie: do not go together',
    location('/x', $sse, $guard, $key, "RaglineOrigins *\nRaglineTokenFrom header cookie:t\n"));
wrong('every origin above, cookies here', 'do not go together', "RaglineOrigins *\n",
    location('/x', $sse, $guard, $key, "RaglineTokenFrom cookie:t\n"));
fine('every origin, and headers', location('/x', $sse, $guard, $key, "RaglineOrigins *\n"));

wrong('one key with two meanings',
    'a and orders have the key ragline:stream:orders but different fields, or another idle=: one key has '
    . 'one meaning', "RaglineStream a ragline:stream:orders tenant=org\n");
wrong('one key that ends at two times', 'c and d have the key x:{tenant}',
    "RaglineStream d x:{tenant} idle=1d\nRaglineStream c x:{tenant} idle=2d\n");
wrong('... in two hosts', 'b and orders have the key ragline:stream:orders', "<VirtualHost *>\n",
    "RaglineStream b ragline:stream:orders data=x\n</VirtualHost>\n",
    "<VirtualHost *>\n</VirtualHost>\n");
fine('one key with one meaning', "RaglineStream a ragline:stream:orders\n");
fine('one key in two databases', "<VirtualHost *>\nRaglineRedis redis://127.0.0.1/5\n",
    "RaglineStream a ragline:stream:orders tenant=org\nRaglineStream orders elsewhere\n",
    "</VirtualHost>\n");

my $all = $sse . $guard . $key;
wrong('two endpoints of one name',
    '<Location /a/stream> and <Location /b/stream> are both named stream and read the key '
    . 'ragline:stream:orders, but with different streams or events', location('/a/stream', $all,
        "RaglineEvents a*\n"),
    location('/b/stream', $all, "RaglineEvents b*\n"));
wrong('... in two hosts', 'are both named stream', location('/a/stream', $all),
    "<VirtualHost *>\n", location('/b/stream', $all, "RaglineEvents b*\n"), "</VirtualHost>\n");
wrong('two endpoints of one name, one with more streams', 'are both named stream',
    location('/a/stream', $all),
    location('/b/stream', $all, "RaglineSubscribe orders\nRaglineSubscribe other\n"));
fine('... in two hosts, where orders are the same events', "<VirtualHost *>\n",
    location('/a/stream', $all),
    "</VirtualHost>\n<VirtualHost *>\n", location('/b/stream', $all, "RaglineSubscribe other\n"),
        "</VirtualHost>\n");
fine('two endpoints of two names', location('/a/stream', $all, "RaglineEvents a*\n"),
    location('/b/stream', $all, "RaglineEvents b*\nRaglineProfile b\n"));
fine('two paths of one endpoint', location('/a/stream', $all), location('/b/stream', $all));
fine('one name, nothing in common', location('/a/stream', $all), location('/b/stream', $guard, $key,
    "SetHandler ragline-sse\nRaglineSubscribe other\n"));
wrong('... and hosts that inherit both', 'are both named stream', location('/a/stream', $all,
    "RaglineEvents a\n"),
    location('/b/stream', $all),
        "<VirtualHost *>\n</VirtualHost>\n<VirtualHost *>\n</VirtualHost>\n");
fine('hosts that inherit', location('/a/stream', $all),
    "<VirtualHost *>\nServerName b\n</VirtualHost>\n");

# --- how much of everything there may be ----------------------------------------------------------

# Streams with numbers, and endpoints that subscribe to all of them, eight by eight.
sub many
{
    my ($name, @of) = @_;
    my $conf = join '', map { "RaglineStream $name$_ $name:$_\n" } @of;
    while (my @some = splice(@of, 0, 8)) {
        $conf .= location("/$name$some[0]", $guard, $key, "SetHandler ragline-sse\n",
            "RaglineSubscribe @{[ map { \"$name$_\" } @some ]}\n");
    }
    return $conf;
}
my $too_many = '65 streams are subscribed to, and 64 is the most that a server can read';
fine('64 streams', many('s', 1 .. 64));
wrong('65 streams', $too_many, many('s', 1 .. 65));
fine('a stream that nobody subscribes to does not count', many('s', 1 .. 64),
    "RaglineStream more more\n");
fine('nor does one with another name for a key', many('s', 1 .. 64), "RaglineStream again s:1\n",
    location('/again', $guard, $key, "SetHandler ragline-sse\nRaglineSubscribe again\n"));
sub hosts
{
    my ($n, $conf) = @_;
    return map { "<VirtualHost *>\nServerName h$_\nRaglineRedis redis://127.0.0.1:$_/\n"
        . ($conf // location('/x', $sse, $guard, $key)) . "</VirtualHost>\n" } 1 .. $n;
}
fine('16 Redis servers', hosts(16));
wrong('17 Redis servers',
    '17 Redis servers are subscribed to, and 16 is the most that a server can read', hosts(17));
fine('17 Redis servers, one of which nobody reads', hosts(16),
    "<VirtualHost *>\nServerName p\nRaglineRedis redis://127.0.0.1:17/\n",
    location('/p', "SetHandler ragline-publish\nRaglinePublish orders\n", $guard, $key),
    "</VirtualHost>\n");
fine('17 hosts with one Redis server', map { s/127.0.0.1:\d+/127.0.0.1:1/r } hosts(17));
wrong('streams of several servers count together',
    '68 streams are subscribed to, and 64 is the most that a server can read',
    hosts(4, many('s', 1 .. 17)));
wrong('two logins of one server are two', '66 streams are subscribed to',
    "<VirtualHost *>\nServerName a\nRaglineRedis redis://:one\@127.0.0.1/\n", many('s', 1 .. 33),
    "</VirtualHost>\n<VirtualHost *>\nServerName b\nRaglineRedis redis://:two\@127.0.0.1/\n",
    many('s', 1 .. 33), "</VirtualHost>\n");

# --- warnings -----------------------------------------------------------------------------------

{
    my $ends = "RaglineStream k x:{tenant} idle=1d\n";
    my @in = ("SetHandler ragline-sse\n", $guard, $key, "RaglineSubscribe k\n");
    warned("a key that ends, and $_", '<Location /x>: idle= of RaglineStream k is for tenants that '
        . "have no consumer group there, and $_ makes one", $ends . location('/x', @in, "$_\n"))
        for 'RaglineStart group', 'RaglineDelivery shared';
    my ($status, $output) = configtest($streams, $ends, location('/x', @in));
    unlike($output, qr/idle=/, 'a key that ends, without one: nothing to warn of');
}
warned('statistics for everybody', '<Location /s>: no Require says who may see the statistics',
    location('/s', "SetHandler ragline-stats\n"));
warned('publishing for everybody', '<Location /p>: no Require says who may publish',
    location('/p', "SetHandler ragline-publish\nRaglinePublish orders\nRaglineTenant main\n"));
SKIP: {
    skip 'prefork has one thread', 2 if vars('mpm') eq 'prefork';
    warned('more pumps than workers may be',
        'a child keeps 2 of its 16 threads for everything else, so it is 14 in all',
        "RaglineMaxPumps 16\n", threads => 16);
}
{
    spew("$dir/open", "$secret\n");
    chmod(0644, "$dir/open");
    my ($status, $output) = configtest($streams . with_key('open'));
    is($status, 0, 'a secret that everybody may read is taken');
    like($output,
        qr/warn\].*the secret in \S*\/open can be read by every user of this machine: chmod o-r/,
        'with a warning');
    chmod(0640, "$dir/open");
    fine('a secret that not everybody may read', with_key('open'));
    # Everybody may read what is public.
    my $ec = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=x";
    my ($failed, $why) = run_command(qw(openssl req -x509), split(/ /, $ec), '-keyout',
        "$dir/private.pem", '-out', "$dir/public.pem");
    is($failed, 0, 'openssl makes a key') or diag($why);
    my %jwk = (kty => 'OKP', crv => 'Ed25519', x => '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo');
    spew("$dir/public.jwk", JSON::PP::encode_json(\%jwk));
    spew("$dir/public.set", JSON::PP::encode_json({ keys => [\%jwk] }));
    spew("$dir/private.jwk", JSON::PP::encode_json({ %jwk, d => 'AA' }));
    spew("$dir/private.set", JSON::PP::encode_json({ keys => [\%jwk, { %jwk, d => 'AA' }] }));
    spew("$dir/secret.jwk", JSON::PP::encode_json({ kty => 'oct', alg => 'HS256',
        k => MIME::Base64::encode_base64url($secret) }));
    for my $case (['public.pem', 'alg=ES256'], ['private.pem', 'alg=ES256'],
        ['public.jwk', 'alg=EdDSA'], ['private.jwk', 'alg=EdDSA'], ['public.set', ''],
        ['private.set', ''], ['secret.jwk', '']) {
        my ($file, $alg) = @$case;
        chmod(0644, "$dir/$file");
        ($status, $output) = configtest($streams . location('/stream', $sse, $guard,
            "RaglineJWTKey file:$dir/$file $alg\n"));
        is($status, 0, "$file is taken") or diag($output);
        my $warned = $output =~ /can be read by every user/ ? 'warned' : 'silent';
        is($warned, $file =~ /^public/ ? 'silent' : 'warned', "$file of mode 644: $warned");
    }
}

# At start, where it is known: each once.
sub starts
{
    my ($name, $sentence, $conf, %server) = @_;
    my $class = delete $server{class} // 'Ragline::Httpd';
    my $httpd = $class->new(name => $name, conf => $streams . location('/x', $all) . $conf, %server);
    $httpd->start;
    my @said = ($httpd->error_log . slurp($httpd->root . '/output')) =~ /$sentence/g;
    is(scalar(@said), $conf =~ /none/ ? 0 : 1, "$name: said at start") or diag($httpd->error_log);
    $httpd->stop;
    return;
}
SKIP: {
    skip 'prefork has no spare threads', 9 if vars('mpm') eq 'prefork';
    starts('few-spare', 'RS0808: MinSpareThreads 2: httpd may not start as many children as 16 streams '
        . 'that keep a worker need \(HTTP/2, filters\): set MinSpareThreads to 3', "MinSpareThreads 2\n",
        children => 2, threads => 16);
    starts('enough-spare', 'RS0808', "MinSpareThreads 3\n# none\n", children => 2, threads => 16);
    starts('culled', 'RS0805: MaxSpareThreads 20 lets httpd end children', "MaxSpareThreads 20\n",
        children => 2, threads => 16);
    starts('not-culled', 'RS0805', "MaxSpareThreads 32\n# none\n", children => 2, threads => 16);
    starts('ended', 'RS0810: MaxConnectionsPerChild 50: httpd ends a child that has had so many',
        "MaxConnectionsPerChild 50\n");
    starts('not-ended', 'RS0810', "MaxConnectionsPerChild 50\nMaxConnectionsPerChild 0\n# none\n");
    starts('no-place', 'RS0813: ServerLimit 2: after a graceful restart no new child finds a place, and '
        . 'nobody is served, until .* set ServerLimit to 4', "ServerLimit 2\n", children => 2);
    starts('one-place', 'RS0813: ServerLimit 3: after a graceful restart only 1 of 2 children find a '
        . 'place', "ServerLimit 3\n", children => 2);
    starts('places', 'RS0813', "ServerLimit 4\n# none\n", children => 2);
}
# As root of a container: with no more descriptors than it was given.
{
    package Few;
    our @ISA = ('Ragline::Httpd');
    sub command
    {
        my ($self, @arguments) = @_;
        return ('setpriv', '--bounding-set', '-sys_resource', 'prlimit', "--nofile=$self->{files}:$self->{files}",
            $self->SUPER::command(@arguments));
    }
}
SKIP: {
    skip 'only root', 2 if $>;
    my $prefork = vars('mpm') eq 'prefork';
    my $said = sub { my ($needs, $has, $left) = @_;
        return "needs $needs file descriptors in each child and only $has are allowed; $left streams it is. Write "
            . "APACHE_ULIMIT_MAX_FILES=\"ulimit -n $needs\" into envvars" };
    starts('few-descriptors', 'RS0803: RaglineMaxConnections 1000 ' . $said->(1500, 1200, 700),
        "RaglineMaxConnections 1000\n", class => 'Few', files => 1200);
    starts('fewer-descriptors', 'RS0803: RaglineMaxConnections 300 ' . $said->($prefork ? 800 : 1200, 700,
        $prefork ? 200 : 175), "RaglineMaxConnections 300\n", class => 'Few', files => 700, threads => 100,
        processes => 1);
}
SKIP: {
    my $most = slurp('/proc/sys/fs/nr_open') || 0;
    skip 'this system has no lower limit', 2 if $most > 10_000_000;
    starts('descriptors', 'RS0803: RaglineMaxConnections 10000000 needs 10000500 file descriptors',
        "RaglineMaxConnections 10000000\n");
    starts('threads', 'RS0803: RaglineMaxConnections 10000000 needs 10000900 file descriptors',
        "RaglineMaxConnections 10000000\n", threads => 100) if vars('mpm') ne 'prefork';
    starts('waiting', 'RS0803: RaglineMaxConnections 10000000 needs 10001200 file descriptors',
        "RaglineMaxConnections 10000000\nAsyncRequestWorkerFactor 4.5\n", threads => 100)
        if vars('mpm') eq 'event';
}
SKIP: {
    my $most = slurp('/proc/sys/net/core/wmem_max') || 0;
    skip 'this system gives sockets more', 2 if !$most || $most >= 16 << 20;
    starts('send-buffer', "RS0814: RaglineSendBuffer: this system gives a socket \\d+ bytes, and no 16777216",
        "RaglineSendBuffer 16MB\n");
    starts('allowed', 'RS0814', "RaglineSendBuffer 128KB\n# none\n");
}
starts('prefork', 'RS0804: the prefork MPM ends children', '', mpm => 'prefork', children => 1,
    threads => 4);

# --- no false alarms ----------------------------------------------------------------------------

my ($source) = slurp('Makefile') =~ /^abs_top_srcdir = (.*)$/m;
$source //= '.';
spew("$dir/secret", "$secret\n");
chmod(0600, "$dir/secret");
my $certificate = certificate('localhost');

sub passes
{
    my ($name, $conf) = @_;
    $conf =~ s{/etc/apache2/ragline[\w-]*\.secret}{$dir/secret}g;
    $conf =~ s{/etc/ssl/certs/ssl-cert-snakeoil\.pem}{$certificate.pem};
    $conf =~ s{/etc/ssl/private/ssl-cert-snakeoil\.key}{$certificate.key};
    $conf =~ s{(RaglineGatewayCA) \S+}{$1 $dir/secret};
    $conf =~ s{DocumentRoot /var/www/html}{};
    my ($status, $output) = configtest($conf);
    ok($status == 0 && $output !~ $words, "$name passes") or diag($output);
    return;
}
{
    my $sample = slurp("$source/conf/ragline_stream.conf");
    ok(length $sample, 'there is a sample');
    passes('the sample as it is', $sample);
    my ($tail) = $sample =~ /^# --- A sample.*?\n(?=#Ragline)(.*)<\/IfModule>/ms;
    $tail =~ s/^#(?=\S|   )//mg;
    like($tail, qr/^<Location \/v1\/events\/stream>/m, 'its last part is an example');
    passes('the sample without comment signs', $tail);
    # Each line with a directive, below its own streams.
    my ($head) = $sample =~ /^(.*)# --- A sample/ms;
    $head =~ s/^<IfModule.*//m;
    my @lines = $head =~ /^#(Ragline\w+ .*)$/mg;
    ok(@lines > 25, 'its first part has a line for each directive');
    my %seen;
    for my $line (@lines) {
        $line =~ s/^RaglineRedisAuth file:.*/RaglineRedisAuth file:$dir\/secret/;
        $line =~ s/issuer\.pem/x.pem/;
        $line =~ s{/etc/apache2/x\.pem}{$dir/rsa.pem};
        $line =~ s{/etc/apache2/ragline\.secret}{$dir/secret};
        my $before = $line =~ /^RaglineStream orders / ? '' : "RaglineStream orders k\n";
        passes("the sample's line $line", "$before$line\n");
    }
    my $readme = slurp("$source/README.md");
    my @examples = $readme =~ /^```apache\n(.*?)^```/msg;
    ok(@examples >= 2, "README has examples");
    passes("README's example " . ($_ + 1), $examples[$_]) for 0 .. $#examples;
    passes("README's examples together", join '', @examples);
    passes("docs/SSEGATEWAY.md: $_", $_)
        for slurp("$source/docs/SSEGATEWAY.md") =~ /^```apache\n(.*?)^```/msg;
    # Every example that is a section by itself, wherever it stands.
    for my $doc (map { "docs/$_.md" } 'DIRECTIVES', 'WIRE', 'TROUBLESHOOTING', 'RELIABILITY') {
        my $text = slurp("$source/$doc");
        $text =~ s/^    ?//mg;
        my @sections = grep { /SetHandler/ } $text =~ /^(<Location .*?^<\/Location>)/msg;
        passes("$doc: " . (split /\n/, $_)[0], "RaglineStream orders k\n"
            . "RaglineJWTKey file:/etc/apache2/ragline.secret\n$_\n") for @sections;
    }
    my @defines = map { "Define $_\n" } "RAGLINE_DEMO_PORT 65001", "RAGLINE_DEMO_DIR \"$dir\"",
        "RAGLINE_DEMO_LIVE \"$dir\"", "RAGLINE_DEMO_MODULES \"" . vars('libexecdir') . '"',
        "RAGLINE_DEMO_MODULE \""
            . (slurp(vars('httpd_conf')) =~ /^LoadModule ragline_\S+ "(.*)"/m)[0] . '"';
    mkdir("$dir/$_") for 'htdocs', 'log';
    spew("$dir/demo.conf", join('', @defines) . slurp("$source/conf/demo.conf"));
    my ($status, $output) = run_command(vars('httpd'), '-f', "$dir/demo.conf", '-t');
    ok($status == 0 && $output !~ $words, "the demo's configuration passes") or diag($output);
}

# --- names with {tenant} in them ------------------------------------------------------------------

{
    my $own = "RaglineStream mine ragline:own:{tenant}\n";
    my $group = "RaglineStart group\n";
    my $subscribe = "SetHandler ragline-sse\nRaglineSubscribe mine\n";
    my $meet = 'for some tenant the keys of';
    fine('a key for each tenant', $own, location('/stream', $subscribe, $guard, $key));
    fine('keys that differ after the tenant', $own, "RaglineStream two ragline:own:{tenant}:two\n");
    fine('keys that differ before it', $own, "RaglineStream two ragline:other:{tenant}\n");
    wrong('a key that is some tenant\'s', "$meet mine (ragline:own:{tenant}) and two "
        . '(ragline:own:orders)', $own, "RaglineStream two ragline:own:orders\n");
    wrong('two kinds of one tenant\'s keys', $meet, $own, "RaglineStream two ragline:own:x{tenant}\n");
    wrong('keys that meet in the middle', $meet, "RaglineStream a {tenant}:b\n",
        "RaglineStream b a:{tenant}\n");
    wrong('a key that is nothing but the tenant', $meet, "RaglineStream a {tenant}\n",
        "RaglineStream b x-{tenant}-y\n");
    wrong('the same in two hosts of one Redis', $meet, $own, section('VirtualHost *:1',
        "RaglineStream two ragline:own:orders\n"));
    fine('the same in two hosts of two Redis servers', $own, section('VirtualHost *:1',
        "RaglineRedis redis://127.0.0.2\n", "RaglineStream mine ragline:own:orders\n"));
    wrong('one endpoint for both kinds', 'use one endpoint for each kind', $own,
        location('/stream', $subscribe, "RaglineSubscribe mine orders\n", $guard, $key));

    # The module's own keys.
    my $ours = 'is one of this module\'s own';
    wrong('a key that a tenant called dlq would have', "RaglineStream: for some tenant the key of a "
        . "(ragline:{tenant}:a) $ours (ragline:event:): choose another one, such as ragline:stream:"
        . '{tenant}:a', "RaglineStream a ragline:{tenant}:a\n");
    wrong("$_ as a stream", "the key of a ($_) $ours", "RaglineStream a $_\n")
        for 'ragline:control', 'ragline:groups:{ragline:stream:orders}', 'ragline:dlq:orders';
    fine('keys beside them', "RaglineStream a ragline:dlq\nRaglineStream b ragline:events\n");

    fine('groups', $own, location('/stream', $sse, $group, $guard, $key),
        location('/mine', $subscribe, $group, $guard, $key));
    fine('one group at two endpoints that share no key', $own, "RaglineGroup g-{tenant}\n",
        location('/stream', $sse, $group, $guard, $key),
        location('/mine', $subscribe, $group, $guard, $key));
    wrong('one group for two endpoints', 'give one of them another RaglineGroup',
        "RaglineGroup g-{tenant}\n", location('/stream', $sse, $group, $guard, $key),
        location('/two', $sse, $group, $guard, $key));
    fine('two endpoints of which one uses no group', "RaglineGroup g-{tenant}\n",
        location('/stream', $sse, $group, $guard, $key), location('/two', $sse, $guard, $key));
    # A tenant's "-" is written "~": so these never are one.
    fine('the groups of endpoints ws and ws-orders', location('/ws', $sse, $group, $guard, $key),
        location('/ws-orders', $sse, $group, $guard, $key));
    wrong('groups that some tenants could make one', 'have one consumer group',
        location('/a', $sse, $group, "RaglineGroup g{tenant}\n", $guard, $key),
        location('/b', $sse, $group, "RaglineGroup gx{tenant}\n", $guard, $key));
    wrong('one group for all tenants', 'all tenants would have one group', location('/stream', $sse,
        $group, "RaglineGroup everybody\n", $guard, $key));
    my $lit = "RaglineStream lit l tenant=literal:main\n";
    my $site = "SetHandler ragline-sse\nRaglineSubscribe lit\nRaglineGroup nightly\n";
    wrong('the group of one tenant, open to the tokens of others',
        'tenants other than main would have its group: write {tenant} into it, or RaglineTenant main',
        $lit, location('/lit', $site, $_, $guard, $key)) for $group, "RaglineDelivery shared\n";
    wrong('... and to whoever an expression names', 'tenants other than main would have its group',
        $lit, location('/lit', $site, $group, "RaglineTenant %{REMOTE_USER}\n", $guard, $key));
    fine('the group of one tenant, which is the only one', $lit, location('/lit', $site, $group,
        "RaglineTenant main\n", $guard, $key));
    fine('a group for each tenant', $lit, location('/lit', $site, $group,
        "RaglineGroup n-{tenant}\n", $guard, $key));
    wrong('streams of another tenant only', 'all its streams are those of other tenants', $lit,
        location('/lit', $site, "RaglineTenant mian\n", $guard, $key));
    fine('streams of several tenants', $lit, location('/lit', $site, "RaglineSubscribe orders\n",
        "RaglineTenant other\n", $guard, $key));
    fine('one group for each tenant\'s own key', $own, location('/mine', $subscribe, $group,
        "RaglineGroup everybody\n", $guard, $key));
    wrong('a group and RaglineUserOnly', 'RaglineUserOnly on and RaglineStart group do not go together',
        location('/stream', $sse, $group, "RaglineUserOnly on\n", $guard, $key));

    my $shared = "RaglineDelivery shared\n";
    fine('shared delivery of keys of tenants', $own, location('/mine', $subscribe, $shared, $guard,
        $key));
    fine('shared delivery to one tenant', "RaglineStream site s tenant=literal:main\n",
        location('/site', "SetHandler ragline-sse\nRaglineSubscribe site\nRaglineTenant main\n"
            . "Require all granted\n", $shared));
    wrong('shared delivery of what all tenants share', 'RaglineDelivery shared needs streams that each',
        location('/stream', $sse, $shared, $guard, $key));
    wrong('shared delivery and RaglineUserOnly', 'RaglineUserOnly on and RaglineDelivery shared',
        $own, location('/mine', $subscribe, $shared, "RaglineUserOnly on\n", $guard, $key));
}

done_testing();
