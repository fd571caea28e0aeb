# SPDX-License-Identifier: Apache-2.0
#
# An endpoint is an endpoint, whatever else the site does with its URLs; and what is no endpoint
# is none.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use File::Path ();
use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(free_port limit run_command spew);
use Ragline::Test;

my $dead = free_port(); # nothing listens there
my $endpoints = bearer_location('/stream', 'RaglineSubscribe orders',
    'RaglineOrigins https://app.example')
    . <<"EOF" . jwt_conf() . "</Location>\n";
<Location /stream/orders>
    RaglineEvents order*
</Location>
<Location /publish>
    SetHandler ragline-publish
    RaglinePublish orders
EOF
my $health = "<Location /health>\nSetHandler ragline-health\n</Location>\n";

# Each of these answers, or fails, for every URL that is not the module's.
my %site = (
    'proxy' => "ProxyPass / http://127.0.0.1:$dead/\n",
    'proxy-location' => "<Location />\nProxyPass http://127.0.0.1:$dead/\n</Location>\n",
    'proxy-rewrite' => "RewriteEngine on\nRewriteRule ^/(.*) http://127.0.0.1:$dead/\$1 [P]\n",
    'rewrite' => "RewriteEngine on\nRewriteRule ^ /index.html [L]\n",
    'rewrite-directory' => "<Directory \"\@DOCROOT\@\">\n"
        . "RewriteEngine on\nRewriteRule ^ index.html [L]\n</Directory>\n",
    'redirect' => "RedirectMatch ^/(?!index) /index.html\n",
    'fallback' => "FallbackResource /index.html\n",
    'htaccess' => "DocumentRoot \"\@DOCROOT\@/front\"\n"
        . "<Directory \"\@DOCROOT\@/front\">\nAllowOverride All\n</Directory>\n",
    'alias' => "Alias / \@DOCROOT\@/front/\n",
    'directories' => "DocumentRoot \"\@DOCROOT\@/dirs\"\n",
    'denied' => "<Directory \"\@DOCROOT\@\">\nRequire all denied\n</Directory>\n",
    'no-docroot' => "DocumentRoot \"\@DOCROOT\@/missing\"\n",
);
my $hosts = join '', map {
    "<VirtualHost *:\@PORT\@>\nServerName $_.test\n$site{$_}$endpoints$health</VirtualHost>\n"
} sort keys %site;
my $httpd = Ragline::Httpd->new(threads => 16, conf => <<"EOF" . $hosts);
RaglineRedis @{[ redis_a()->url ]}
RaglineStream orders ragline:stream:orders
RaglineDrain 1s
<VirtualHost *:\@PORT\@>
    ServerName plain.test
$endpoints
$health
    <Location /errors>
        SetHandler ragline-sse
        RaglineSubscribe orders
        @{[ jwt_conf() ]}
        ErrorDocument 401 "please log in"
        ErrorDocument 403 /forbidden.html
    </Location>
    <Location /pub>
        SetHandler ragline-publish
        RaglinePublish orders
        @{[ jwt_conf() ]}
    </Location>
    <Location /figures>
        SetHandler ragline-stats
    </Location>
    <Location /bare>
        SetHandler ragline-sse
        RaglineSubscribe orders
        @{[ jwt_conf() ]}
    </Location>
    ErrorDocument 403 /forbidden.html
    <Location /site>
        SetHandler ragline-sse
        RaglineSubscribe orders
        @{[ jwt_conf() ]}
        RaglineOrigins https://app.example
        Header set Access-Control-Allow-Origin "*"
        Header always set Access-Control-Allow-Origin "https://site.example"
        Header always set Access-Control-Allow-Methods "DELETE"
        Header set X-Site kept
    </Location>
    <Location /bare>
        Header set Access-Control-Allow-Origin "*"
    </Location>
</VirtualHost>
# Sections around endpoints that only set a value.
<VirtualHost *:\@PORT\@>
    ServerName places.test
    RaglineOrigins https://app.example
    <Location /figures>
        SetHandler ragline-stats
        @{[ jwt_conf() ]}
        RaglineTokenFrom cookie:token
        Require local
    </Location>
    <Location /health>
        SetHandler ragline-health
    </Location>
    RaglineSubscribe orders
    RaglineTenant acme
    <Location /stream>
        SetHandler ragline-sse
        Require all granted
    </Location>
    <Location /stream/low>
        Require all granted
    </Location>
    <Location /stream/slash/>
        RaglineRetry 4s
    </Location>
    <LocationMatch "^/m/(a|b)\$">
        SetHandler ragline-sse
        RaglineProfile letters
        Require all granted
    </LocationMatch>
    <Location /m>
        RaglineRetry 5s
    </Location>
    <Location /if>
        RaglineRetry 6s
        Require all granted
        <If "true">
            SetHandler ragline-sse
        </If>
    </Location>
    <LocationMatch "^/(stream|if)">
        RaglineRetry 3s
    </LocationMatch>
    <Location /stream/*>
        RaglineHeartbeat 9s
    </Location>
</VirtualHost>
EOF
my $root = $httpd->docroot;
File::Path::make_path("$root/front", "$root/dirs/stream/orders", "$root/dirs/publish");
spew("$root/front/.htaccess",
    "RewriteEngine on\nRewriteCond %{REQUEST_FILENAME} !-f\nRewriteRule ^ index.html [L]\n");
spew("$root/front/index.html", "front controller\n");
spew("$root/dirs/stream/index.html", "a real directory\n");
spew("$root/forbidden.html", "go away\n");
system('chmod', '-R', 'a+rX', $root);
$httpd->start;

my $token = token('site', 1);

for my $site ('plain', sort keys %site) {
    my $host = "$site.test";
    for my $path ('/stream', '/stream/orders') {
        my $stream = $httpd->stream($path, host => $host, token => $token);
        my $connected = $stream->connected(10);
        ok($connected, "$site: $path is a stream") or diag($stream->head . $stream->body);
        is($connected && $connected->{json}{stream}, (split m{/}, $path)[-1],
            "$site: with its profile");
        $stream->close;
    }
    is($httpd->request(host => $host, path => '/stream')->status, 401,
        "$site: guarded by its own rules");
    my $published = $httpd->request(host => $host, path => '/publish', method => 'POST',
        token => $token,
        headers => ['Content-Type' => 'application/json'],
        body => '{"stream":"orders","event_type":"order_created","payload":{}}');
    is($published->status, 201, "$site: publishing works")
        or diag($published->head . $published->body);
    ok(ref $httpd->request(host => $host, path => '/health')->json, "$site: and the health check");
}

# The rest of each site is left to it.
my %status = (proxy => 503, 'proxy-location' => 503, 'proxy-rewrite' => 503, rewrite => 200,
    'rewrite-directory' => 200, redirect => 302, fallback => 200, htaccess => 200, alias => 404,
    directories => 404, denied => 403, 'no-docroot' => 404, plain => 404);
for my $site (sort keys %status) {
    is($httpd->request(host => "$site.test", path => '/elsewhere')->status, $status{$site},
        "$site: a URL that is not ours is the site's");
    is($httpd->request(host => "$site.test", path => '/streaming')->status, $status{$site},
        "$site: also one that only begins like ours");
}

# --- below an endpoint --------------------------------------------------------------------------

for my $path ('/stream/typo', '/stream/orders/typo', '/stream/orders.json', '/stream/typo/orders') {
    my $response = $httpd->request(host => 'plain.test', path => $path, token => $token);
    is($response->status, 404, "$path is 404");
    like($response->header('content-type') // '', qr{^application/json}, 'as JSON');
}
for my $path ('/publish/typo', '/publish/typo/publish') {
    my $response = $httpd->request(host => 'plain.test', path => $path, token => $token,
        method => 'POST', body => '{"stream":"orders","event_type":"t","payload":1}',
        headers => ['Content-Type' => 'application/json']);
    is($response->status, 404, "$path is 404");
    is($response->json->{error}, 'not_found', 'not_found');
}
is($httpd->request(host => 'plain.test', path => '/publish/', token => $token, method => 'POST',
    headers => ['Content-Type' => 'application/json'])->status, 400, 'with a slash it is there');
is($httpd->request(host => 'proxy.test', path => '/stream/typo', token => $token)->status, 404,
    'also where everything else is proxied');

for my $path ('/figures/x', '/figures/') {
    is($httpd->request(host => 'plain.test', path => $path)->status, $path =~ /x/ ? 404 : 200,
        "GET $path: below the statistics there is nothing");
}
is($httpd->request(host => 'plain.test', path => '/pub/x', token => $token, method => 'POST',
    headers => ['Content-Type' => 'application/json'],
    body => '{"event_type":"order_created","payload":{}}')->status, 404,
    'nor below a place to publish');
is($httpd->request(host => 'plain.test', path => '/health/live')->status, 200,
    'health has one place more');
is($httpd->request(host => 'plain.test', path => "/health/$_")->status, 404, "and no /$_")
    for 'alive', 'x/live', 'live/live';

# Which URLs are endpoints, and their names: by the section that has SetHandler, and by a <Location>
# that is the URL itself. Patterns and other sections that only set a value make none.
{
    my %name = ('/stream' => 'stream', '/stream/' => 'stream', '/stream/low' => 'low',
        '/stream/slash/' => 'slash', '/m/a' => 'letters', '/m/b' => 'letters', '/if' => 'if');
    for my $path (sort keys %name) {
        my $stream = $httpd->stream($path, host => 'places.test');
        my $connected = $stream->connected(10);
        is($connected && $connected->{json}{stream}, $name{$path}, "$path is $name{$path}")
            or diag($stream->head . $stream->body);
        $stream->close;
    }
    is($httpd->request(host => 'places.test', path => $_)->status, 404, "$_ is none")
        for '/stream/low/x', '/stream/x', '/stream/slash', '/stream/slash/x', '/m', '/m/c', '/m/a/b',
        '/if/x', '/streams';
}

# --- CORS ---------------------------------------------------------------------------------------

sub preflight
{
    my ($origin, $path) = @_;
    return $httpd->request(host => 'plain.test', path => $path // '/stream', method => 'OPTIONS',
        headers => [Origin => $origin, 'Access-Control-Request-Method' => 'GET',
            'Access-Control-Request-Headers' => 'authorization, last-event-id']);
}

{
    my $response = preflight('https://app.example');
    is($response->status, 204, 'a preflight needs no token');
    is($response->header('access-control-allow-origin'), 'https://app.example',
        'its origin is allowed');
    my $headers = $response->header('access-control-allow-headers') // '';
    like($headers, qr/authorization/i, 'with Authorization');
    like($headers, qr/last-event-id/i, 'and Last-Event-ID');
    is($response->header('access-control-allow-credentials'), 'true', 'with credentials');
    is($response->header('access-control-max-age'), 600, 'to be kept for ten minutes');
    is($response->body, '', 'and nothing else');
    like($response->header('access-control-allow-methods') // '', qr/\bGET\b/, 'for GET');
    like($response->header('vary') // '', qr/\bOrigin\b/i, 'and caches know');
    is(preflight($_)->header('access-control-allow-origin'), undef, "$_ is not")
        for 'https://evil.example', 'null', 'https://app.example.evil.example',
            'http://app.example';

    my $stream = $httpd->stream('/stream', host => 'plain.test',
        token => $token, headers => [Origin => 'https://app.example']);
    $stream->connected;
    is($stream->header('access-control-allow-origin'), 'https://app.example',
        'the stream says so, too');
    like($stream->header('vary') // '', qr/\bOrigin\b/i, 'with Vary');
    my $other = $httpd->stream('/stream', host => 'plain.test',
        token => $token, headers => [Origin => 'https://evil.example']);
    $other->wait(sub { $_[0]->status });
    is($other->header('access-control-allow-origin'), undef, 'but to nobody else');
    my $denied = $httpd->request(host => 'plain.test', path => '/stream',
        headers => [Origin => 'https://app.example']);
    is($denied->status, 401, 'a refusal');
    is($denied->header('access-control-allow-origin'), 'https://app.example',
        'can be read by the page');
    like($denied->header('access-control-expose-headers') // '', qr/\bWWW-Authenticate\b/i,
        'with the reason that WWW-Authenticate gives');
    $denied = $httpd->request(host => 'plain.test', path => '/stream',
        headers => [Origin => 'https://evil.example']);
    is($denied->header('access-control-expose-headers'), undef, 'another page sees nothing of it');
    is(preflight('https://app.example', '/elsewhere')->header('access-control-allow-origin'), undef,
        'other URLs are not ours to answer for');
}

# One header, whatever the site says of all its URLs: where RaglineOrigins is, it decides.
{
    my $all = sub {
        my ($head) = @_;
        return join ',', $head =~ /^access-control-allow-(?:origin|methods|credentials): *(.*?)\r?$/mgi;
    };
    for my $case (['https://app.example', 'https://app.example,true'],
        ['https://evil.example', ''], [undef, '']) {
        my ($origin, $want) = @$case;
        my @headers = $origin ? (headers => [Origin => $origin]) : ();
        my $name = $origin // 'no origin';
        my $stream = $httpd->stream('/site', host => 'plain.test', token => $token, @headers);
        $stream->connected;
        is($all->($stream->head), $want, "a stream beside Header set, for $name");
        is($stream->header('x-site'), 'kept', 'other headers are the site\'s');
        $stream->close;
        for my $status (401, 403) {
            my $response = $httpd->request(host => 'plain.test', path => '/site', @headers,
                $status == 403 ? (token => token('bad name', 1)) : ());
            is($response->status, $status, "a refusal");
            is($all->($response->head), $want, "an answer $status, for $name");
        }
    }
    is($all->(preflight('https://app.example', '/site')->head), 'https://app.example,true,GET, POST',
        'a preflight');
    my $stream = $httpd->stream('/bare', host => 'plain.test', token => $token,
        headers => [Origin => 'https://evil.example']);
    $stream->connected;
    is($all->($stream->head), '*', 'without RaglineOrigins the site has its say');
    $stream->close;
}

# A host's RaglineOrigins is for streams and publishing.
for my $path ('/figures', '/health') {
    my $response = $httpd->request(host => 'places.test', path => $path,
        headers => [Origin => 'https://app.example']);
    is($response->header($_), undef, "$path: no $_") for 'access-control-allow-origin',
        'access-control-allow-credentials';
    is($httpd->request(host => 'places.test', path => $path, method => 'OPTIONS',
        headers => [Origin => 'https://app.example', 'Access-Control-Request-Method' => 'GET'])->status,
        405, "$path: no preflight");
}
is(preflight('https://app.example')->status, 204, 'which streams have');

# --- the administrator's own error pages --------------------------------------------------------

{
    my $login = $httpd->request(host => 'plain.test', path => '/errors');
    is($login->status, 401, 'ErrorDocument: the status stays');
    is($login->body, 'please log in', 'the body is the text');
    like($login->header('www-authenticate') // '', qr/^Bearer/, 'WWW-Authenticate stays');
    my $forbidden = $httpd->request(host => 'plain.test', path => '/errors',
        token => token('bad name', 1));
    is($forbidden->status, 403, 'ErrorDocument with a page: the status stays');
    is($forbidden->body, "go away\n", 'the body is the page');
}

# --- refused, and not for the token -------------------------------------------------------------

{
    my $own = Ragline::Httpd->new(name => 'refused', conf => join '', <<"EOF",
RaglineRedis @{[ redis_a()->url ]}
RaglineStream orders ragline:stream:orders
<LocationMatch "^/behind\$">
    RewriteEngine on
    RewriteRule ^ - [F]
</LocationMatch>
EOF
        map { bearer_location("/$_->[0]", 'RaglineSubscribe orders', $_->[1]) }
            ['before', "AuthMerging And\n</Location>\n<Location /before>\n    AuthMerging And\n"
                . '    Require ip 192.0.2.1'],
            ['claim', "</Location>\n<Location /claim>\n    AuthMerging And\n"
                . "    AuthzSendForbiddenOnFailure On\n    Require ragline-claim scope publish"],
            ['behind', ''])->start;
    my $ask = sub {
        my $response = $own->request(path => "/$_[0]", $_[1] ? (token => token(unique(), 1)) : ());
        return $response->status . ' '
            . ($response->header('content-type') =~ /json/ ? $response->json->{error} : 'a page');
    };
    is($ask->('claim', 1), '403 forbidden', 'a token without the claim is told so');
    is($ask->('before', $_), '403 a page', 'an address is refused, and no token is blamed for it')
        for 0, 1;
    is($ask->('behind', 1), '403 a page', 'nor where another module refuses afterwards');
    is($ask->('behind', 0), '401 no_token', 'which it does afterwards');
    $own->stop;
}

# --- a host without HTTP/2, on a connection with it ---------------------------------------------

# Browsers send there what their certificate lets them; 421 tells them to open another one.
SKIP: {
    skip 'mod_http2 does not work with prefork', 5 if vars('mpm') eq 'prefork';
    my $httpd = Ragline::Httpd->new(name => 'misdirected', conf => <<"EOF")->start;
RaglineRedis @{[ redis_a()->url ]}
RaglineStream orders ragline:stream:orders
$endpoints
<VirtualHost *:\@PORT\@>
    ServerName pages.test
    Protocols h2c http/1.1
</VirtualHost>
<VirtualHost *:\@PORT\@>
    ServerName streams.test
    Protocols http/1.1
</VirtualHost>
EOF
    my $token = token(unique(), 1);
    my $ask = sub {
        my ($host, @how) = @_;
        my (undef, $output) = run_command('curl', '-sN', '-m', limit(3), '-D', '-', '-H',
            "Host: $host", '-H', "Authorization: Bearer $token", @how,
            'http://127.0.0.1:' . $httpd->port . '/stream');
        return $output;
    };
    my $other = $ask->('streams.test', '--http2-prior-knowledge');
    like($other, qr{^HTTP/2 421}, 'a stream of a host without HTTP/2 is refused on HTTP/2');
    is(json_of($other =~ /\r\n\r\n(.*)/s)->{error}, 'misdirected', 'and says why');
    like($ask->($_->[0], @{ $_->[1] }), qr{^$_->[2] 200.*^event: connected}ms, "$_->[0], $_->[2]")
        for ['streams.test', [], 'HTTP/1.1'], ['pages.test', [], 'HTTP/1.1'],
        ['pages.test', ['--http2-prior-knowledge'], 'HTTP/2'];
}

done_testing();
