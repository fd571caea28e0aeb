# SPDX-License-Identifier: Apache-2.0
#
# Who the client is need not come from a token: the same endpoint behind Basic, behind a client
# certificate, behind what other modules put into the environment, with a literal; and README's
# site with one tenant.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use IO::Socket::SSL ();
use MIME::Base64 qw(encode_base64);
use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(run_command run_dir slurp spew);
use Ragline::Test;

my $dir = run_dir() . '/identity';
mkdir($dir);
my $key = 'ragline:stream:orders';

sub endpoint
{
    my ($path, @directives) = @_;
    return join("\n", "<Location $path>", 'SetHandler ragline-sse', 'RaglineSubscribe orders',
        @directives,
        "</Location>\n");
}

# Opens a stream; its `connected`, or the JSON of the refusal with its status.
sub who
{
    my ($httpd, $path, %r) = @_;
    my $stream = Ragline::SSE->open(port => $httpd->port, path => $path, %r);
    my $connected = $stream->connected;
    my $json = $connected ? $connected->{json} : { status => $stream->status,
        %{ $stream->json // {} } };
    return ($json, $stream);
}
sub identity { my ($json) = @_; return [$json->{tenant_id}, $json->{user_id}] }

# Of two events that are written, only the one of this tenant arrives.
sub gets_only
{
    my ($name, $stream, $tenant, $other) = @_;
    redis_a()->xadd($key, tenant_id => $_, event_type => "for-$_", payload => '{}') for $other,
        $tenant;
    ok($stream->take("for-$tenant"), "$name: gets its own events");
    is(scalar(grep { $_->{event} eq "for-$other" } $stream->events), 0, "$name: and no others");
    $stream->close;
    return;
}

# --- a client certificate -----------------------------------------------------------------------

sub openssl
{
    my ($status, $output) = run_command('openssl', @_);
    die "openssl @_:\n$output" if $status;
    return;
}
sub certificate
{
    my ($name, $subject) = @_;
    openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout',
        "$dir/$name.key",
        '-out', "$dir/$name.csr", '-subj', $subject);
    openssl('x509', '-req', '-in', "$dir/$name.csr", '-CA', "$dir/ca.pem", '-CAkey', "$dir/ca.key",
        '-CAcreateserial',
        '-days', '2', '-out', "$dir/$name.pem");
    return;
}
openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days',
    '2',
    '-keyout', "$dir/ca.key", '-out', "$dir/ca.pem", '-subj', '/CN=test authority');
certificate('localhost', '/CN=localhost');
certificate('acme', '/O=acme/CN=joe');
certificate('beta', '/O=beta/CN=ann');
certificate('odd', '/O=Odd Company Ltd/CN=bob');
{
    my $tls = Ragline::Httpd->new(name => 'tls', conf => <<"EOF");
SSLSessionCache shmcb:\@ROOT\@/sessions
RaglineRedis @{[ redis_a()->url ]}
RaglineStream orders $key
<VirtualHost *:\@PORT\@>
    SSLEngine on
    SSLCertificateFile $dir/localhost.pem
    SSLCertificateKeyFile $dir/localhost.key
    SSLCACertificateFile $dir/ca.pem
    SSLVerifyClient optional
@{[ endpoint('/stream', 'RaglineTenant "%{SSL_CLIENT_S_DN_O}"',
        'RaglineUser "%{SSL_CLIENT_S_DN_CN}"',
        'Require all granted') ]}
@{[ endpoint('/required', 'RaglineTenant "%{SSL_CLIENT_S_DN_O}"', 'Require ssl-verify-client') ]}
</VirtualHost>
EOF
    $tls->start;
    my $as = sub {
        my ($name, $path) = @_;
        IO::Socket::SSL::set_client_defaults($name
            ? (SSL_cert_file => "$dir/$name.pem", SSL_key_file => "$dir/$name.key")
            : (SSL_cert_file => undef, SSL_key_file => undef));
        return who($tls, $path // '/stream', tls => 1);
    };
    my ($json, $stream) = $as->('acme');
    is_deeply(identity($json), ['acme', 'joe'], 'a client certificate names tenant and user');
    gets_only('a client certificate', $stream, 'acme', 'beta');
    ($json, $stream) = $as->('beta', '/required');
    is_deeply(identity($json), ['beta', undef], 'another certificate is another tenant');
    gets_only('another certificate', $stream, 'beta', 'acme');
    is(($as->('odd'))[0]{error}, 'bad_tenant', 'an organisation that is no name: 403 bad_tenant');
    is(($as->(undef))[0]{error}, 'no_tenant', 'no certificate: 403 no_tenant');
    is(($as->(undef, '/required'))[0]{status}, 403, 'no certificate where it is required: 403');
    $tls->stop;
}

# --- Basic, the environment, literals -----------------------------------------------------------

my $users = "AuthUserFile @{[ vars('run_dir') ]}/htpasswd";
my $httpd = Ragline::Httpd->new(name => 'plain', conf => <<"EOF");
RaglineRedis @{[ redis_a()->url ]}
RaglineStream orders $key
RewriteEngine On
RewriteRule ^ - [E=SERVER_LEVEL:acme]
SetEnvIf Host "^([a-z]+)\\.tenants\\.test\$" TENANT=\$1
SetEnv FIXED acme
@{[ endpoint('/basic', 'AuthType Basic', 'AuthName x', $users,
        'Require valid-user', 'RaglineTenant acme', 'RaglineUser "%{REMOTE_USER}"') ]}
@{[ endpoint('/basic-user', 'AuthType Basic', 'AuthName x', $users,
        'Require valid-user', 'RaglineTenant acme') ]}
@{[ endpoint('/setenvif', 'RaglineTenant "%{reqenv:TENANT}"', 'Require all granted') ]}
@{[ endpoint('/setenv', 'RaglineTenant "%{reqenv:FIXED}"', 'Require all granted') ]}
@{[ endpoint('/rewrite', 'RaglineTenant "%{reqenv:REWRITTEN}"', 'Require all granted') ]}
# Not in the <Location> itself: there mod_rewrite takes its path for a directory without its
# slash.
<LocationMatch "^/rewrite\$">
    RewriteEngine On
    RewriteCond %{HTTP_HOST} ^([a-z]+)\\.
    RewriteRule ^ - [E=REWRITTEN:%1]
</LocationMatch>
@{[ endpoint('/rewrite-server', 'RaglineTenant "%{reqenv:SERVER_LEVEL}"', 'Require all granted') ]}
@{[ endpoint('/joined', 'RaglineTenant "t-%{reqenv:TENANT}"', 'Require all granted') ]}
@{[ endpoint('/header', 'RequestHeader unset X-Tenant', 'RaglineTenant "%{req:X-Tenant}"',
        'Require all granted') ]}
@{[ endpoint('/literal', 'RaglineTenant acme', 'RaglineUser everybody', 'Require all granted') ]}
EOF
$httpd->start;

{
    my @alice = (headers => [Authorization => 'Basic ' . encode_base64('alice:alice', '')]);
    my ($json, $stream) = who($httpd, '/basic', @alice);
    is_deeply(identity($json), ['acme', 'alice'], 'Basic: the user by expression');
    gets_only('Basic', $stream, 'acme', 'beta');
    ($json, $stream) = who($httpd, '/basic-user', @alice);
    is_deeply(identity($json), ['acme', 'alice'], "Basic: without RaglineUser it is httpd's user");
    $stream->close;
    is((who($httpd, '/basic'))[0]{status}, 401, 'Basic: without a password');
}
for my $case (['/setenvif', 'acme'], ['/rewrite', 'acme'], ['/joined', 't-acme']) {
    my ($path, $tenant) = @$case;
    my ($json, $stream) = who($httpd, $path, host => 'acme.tenants.test');
    is($json->{tenant_id}, $tenant, "$path: by the host's name") or diag(explain($json));
    gets_only($path, $stream, $tenant, 'beta');
    my ($other, $second) = who($httpd, $path, host => 'beta.tenants.test');
    is($other->{tenant_id}, $tenant =~ s/acme/beta/r, "$path: by another one");
    $second->close;
}
is((who($httpd, '/setenvif', host => 'www.example.org'))[0]{error}, 'no_tenant',
    'nothing set: 403 no_tenant');
is((who($httpd, '/setenv'))[0]{tenant_id}, 'acme', 'SetEnv');
# A location of ours is not for rewrite rules of the server, or they would take its URL.
is((who($httpd, '/rewrite-server'))[0]{error}, 'no_tenant',
    "the server's rewrite rules are not asked");
is((who($httpd, '/header', headers => ['X-Tenant' => 'acme']))[0]{error}, 'no_tenant',
    'a header that httpd removes is not there');
{
    my ($json, $stream) = who($httpd, '/literal');
    is_deeply(identity($json), ['acme', 'everybody'], 'literals');
    gets_only('a literal', $stream, 'acme', 'beta');
}
$httpd->stop;

# --- README's examples --------------------------------------------------------------------------

# Both, as they are but for ports and places: the endpoint for programs, and the site with one tenant
# over TLS, whose token is the one that README's PHP makes.
{
    my ($source) = slurp('Makefile') =~ /^abs_top_srcdir = (.*)$/m;
    my $readme = slurp("$source/README.md");
    my ($first, $conf) = $readme =~ /^```apache\n(.*?)^```/msg;
    ok($conf && $conf =~ /tenant=literal/, 'README has such a site') or BAIL_OUT('no example');
    my %secret = ('ragline' => 'fedcba9876543210' x 4, 'ragline-site' => 'abcdef0123456789' x 4);
    for my $name (sort keys %secret) {
        spew("$dir/$name.secret", "$secret{$name}\n");
        chmod(0600, "$dir/$name.secret");
    }
    my $tls = Ragline::Proc::free_port();
    for ($first, $conf) {
        s{/etc/apache2/}{$dir/}g;
        s{^RaglineRedis .*\n}{}m;
        s{\*:443}{*:$tls};
        s{/etc/ssl/certs/ssl-cert-snakeoil\.pem}{$dir/localhost.pem};
        s{/etc/ssl/private/ssl-cert-snakeoil\.key}{$dir/localhost.key};
        s{DocumentRoot /var/www/html}{DocumentRoot "\@DOCROOT\@"};
    }
    my $site = Ragline::Httpd->new(name => 'site', conf => "RaglineRedis @{[ redis_a()->url ]}\n"
        . "Listen 127.0.0.1:$tls\n<VirtualHost *:\@PORT\@>\n$first</VirtualHost>\n$conf");
    $site->start;
    my $over_tls = sub {
        my $stream = Ragline::SSE->open(port => $tls, tls => 1, sni => 'www.example.org',
            host => 'www.example.org', path => '/events', @_);
        my $connected = $stream->connected;
        return ($connected ? $connected->{json} : $stream->json, $stream);
    };
    # The members and the hexadecimal text as the key, as in README; below by its own PHP.
    my $token = Ragline::Token::encode({ sub => '7', exp => time() + 86400 },
        secret => $secret{'ragline-site'});
    my @cookie = (headers => [Cookie => "PHPSESSID=x; ragline_token=$token",
        'Sec-Fetch-Site' => 'same-origin']);
    my ($json, $stream) = $over_tls->(@cookie);
    is_deeply(identity($json), ['main', '7'], "README's site: who is logged in gets a stream");
    redis_a()->client->xadd('site:events', 'MAXLEN', '~', 10000, '*', event_type => 'comment',
        payload => '{"text":"hello"}');
    my $event = $stream->take('comment');
    is($event && $event->{data}, '{"text":"hello"}', "README's site: and what happens");
    $stream->close;
    is(($over_tls->())[0]{error}, 'no_token', "README's site: not without the cookie");
    is(($over_tls->(headers => [Cookie => "ragline_token=$token", 'Sec-Fetch-Site' => 'cross-site',
        Origin => 'https://evil.example']))[0]{error}, 'cookie_origin',
        "README's site: not from another site's page");
    is(($over_tls->(token => $token))[0]{error}, 'no_token', "README's site: only from the cookie");
    is((who($site, '/events'))[0]{status}, 404, "README's site: not without TLS");

    # What PHP can make opens the site, and nothing else.
    my ($php) = $readme =~ /^```php\n(.*?setcookie.*?)^```/ms;
    $php =~ s{/etc/apache2/}{$dir/}g;
    spew("$dir/login.php", "<?php\nnamespace login;\n"
        . "function setcookie(...\$arguments) { echo json_encode(\$arguments); }\n"
        . "\$user_id = 7;\n$php");
    my ($status, $output) = run_command('php', '-n', "$dir/login.php");
    my $sent = json_of($output);
    is($sent && $sent->[0], 'ragline_token', "README's PHP makes the cookie") or diag($output);
    is_deeply($sent->[2], { path => '/events', httponly => JSON::PP::true, secure => JSON::PP::true,
        samesite => 'Lax' }, 'for this URL, out of reach of scripts, over TLS');
    ($json, $stream) = $over_tls->(headers => [Cookie => "ragline_token=$sent->[1]",
        'Sec-Fetch-Site' => 'same-origin']);
    is_deeply(identity($json), ['main', '7'], 'with which the stream opens');
    $stream->close;
    my $forged = Ragline::Token::encode({ tenant_id => '42', sub => '7', exp => time() + 60 },
        secret => $secret{'ragline-site'});
    is((who($site, '/stream/orders', token => $_))[0]{error}, 'invalid_token',
        "it is no key to the other endpoint, whatever it says") for $sent->[1], $forged;
    ($json, $stream) = who($site, '/stream/orders', token => Ragline::Token::encode({
        tenant_id => '42', sub => '7', exp => time() + 60 }, secret => $secret{ragline}));
    is_deeply(identity($json), ['42', '7'], 'which has its own');
    gets_only("README's first example", $stream, '42', '7');
    $site->stop;
}

done_testing();
