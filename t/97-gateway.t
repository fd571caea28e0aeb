# SPDX-License-Identifier: Apache-2.0
#
# The gateway's connections: what the back end is asked, what its answer makes of the request, and
# what it is told in the end.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Digest::SHA ();
use JSON::PP ();
use MIME::Base64 ();
use Test::More;

use Ragline::Backend ();
use Ragline::H2 ();
use Ragline::Httpd ();
use Ragline::HTTP ();
use Ragline::Proc qw(free_port run_command spew);
use Ragline::SSE ();
use Ragline::Test;

my $backend = Ragline::Backend->start;
my $nobody = free_port();
my $secret = spew(vars('run_dir') . "/gateway-secret-$$", "of the gateway\n");
chmod(0600, $secret);
my $dir = vars('run_dir');
my ($made) = run_command('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
    '-subj', '/CN=localhost', '-keyout', "$dir/gateway-$$.key", '-out', "$dir/gateway-$$.pem");
is($made, 0, 'a certificate');
my $tls = free_port();
my $httpd = Ragline::Httpd->new(threads => 8, processes => 1, conf => <<"EOF")->start;
RaglineRedis @{[ redis_a()->url ]}
RaglineDrain 60s
RaglineGatewayTimeout 60s
Protocols h2c http/1.1
<Location /sse>
    SetHandler ragline-gateway
    RaglineGatewayCallback @{[ $backend->url('/callback?secret=xyz') ]}
    RaglineHeartbeat 1s
    RaglineRetry 3s
    Header set X-Of-Httpd yes
    RaglineOrigins https://app.example
</Location>
<Location /sse/named>
    RaglineGatewaySecret file:$secret
</Location>
<Location /healthz>
    SetHandler ragline-gateway-health
</Location>
<Location /readyz>
    SetHandler ragline-gateway-health
    RaglineGatewayCallback @{[ $backend->url ]}
</Location>
<Location /not/readyz>
    SetHandler ragline-gateway-health
</Location>
<Location /sse/soon>
    RaglineGatewayTimeout 300ms
</Location>
<Location /sse/nobody>
    RaglineGatewayCallback http://127.0.0.1:$nobody/
</Location>
<Location /sse/nowhere>
    RaglineGatewayCallback http://nobody.invalid/
</Location>
<Location /sse/deflate>
    SetOutputFilter DEFLATE
</Location>
<Location /sse/all>
    RaglineOrigins *
</Location>
<Location /sse/pump>
    RaglineHandoff off
</Location>
<Location /sse/filtered>
    SetOutputFilter RATE_LIMIT
    SetEnv rate-limit 4000
</Location>
<Location /sse/token>
@{[ jwt_conf() ]}
    RaglineTokenFrom header cookie:session
</Location>
<Location /sse/basic>
    AuthType Basic
    AuthName x
    AuthUserFile @{[ vars('run_dir') ]}/htpasswd
    Require valid-user
</Location>
<Location /sse/forward>
@{[ jwt_conf() ]}
    RaglineGatewayForwardToken on
</Location>
<LocationMatch "^/any/">
    SetHandler ragline-gateway
    RaglineProfile any
    RaglineGatewayCallback @{[ $backend->url ]}
</LocationMatch>
Listen 127.0.0.1:$tls
<VirtualHost *:$tls>
    ServerName localhost
    SSLEngine on
    SSLCertificateFile $dir/gateway-$$.pem
    SSLCertificateKeyFile $dir/gateway-$$.key
</VirtualHost>
<If "%{HTTP:X-Handler} == 'gateway'">
    SetHandler ragline-gateway
    RaglineProfile unset
</If>
EOF
my $port = $httpd->port;

sub open_stream
{
    my ($path, %r) = @_;
    return Ragline::SSE->open(port => $port, path => $path, wire => 'sse', %r);
}

sub ready { return $_[0]->take('ready') }

# Looked at later: a resolver may take its time.
my $nowhere = open_stream('/sse/nowhere');

# --- what is asked --------------------------------------------------------------------------------

{
    my $path = '/sse?x=1&y=%2F&a%20b';
    my $stream = open_stream($path, headers => ['X-Dup' => 1, 'X-Dup' => 2,
        Cookie => 'a=1; b=2', 'Last-Event-ID' => 9, Authorization => 'Bearer z']);
    my $event = ready($stream);
    ok($event, 'the back end says yes, and the stream is open');
    is($event->{data}, '', 'ready has no data');
    my $call = $backend->connect_of($path);
    is($call->{line}, 'POST /callback?secret=xyz HTTP/1.1', 'the back end is asked by POST');
    is($call->{headers}{'content-type'}, 'application/json', 'in JSON');
    my $headers = $call->{body}{request}{headers};
    like($call->{text}, qr/^\{"action":"connect","token":"[0-9a-f-]{36}","request":\{"url":/,
        'in this order, without spaces');
    like($call->{body}{token},
        qr/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
        'a token, which is a UUID');
    is_deeply([@$headers{qw(x-dup cookie last-event-id authorization host accept)}],
        ['1, 2', 'a=1; b=2', '9', 'Bearer z', "127.0.0.1:$port", 'text/event-stream'],
        'with the headers of the request');
    ok(!exists $call->{headers}{'x-ragline-secret'}, 'no secret where there is none');

    is($stream->status, 200, 'the status');
    is($stream->header('content-type'), 'text/event-stream', 'a stream, without a charset');
    is($stream->header('cache-control'), 'no-cache, no-transform', 'not to be kept');
    is($stream->header('x-accel-buffering'), 'no', 'nor held back');
    is($stream->header('x-of-httpd'), 'yes', 'with what httpd has to say');
    ok(!$stream->header('content-length') && !$stream->header('transfer-encoding'), 'and no length');
    my ($first) = $stream->body =~ /\A(.*?\n\n)/s;
    is($first, "event: ready\ndata:\n\n", 'ready as it is');
    ok($stream->wait(sub { $_[0]->body =~ /\n\n: heartbeat\n\n/ }), 'heartbeats');
    is($backend->count_of($path, 'disconnect'), 0, 'nobody has been told of an end');
    $stream->close;
    my $told = $backend->disconnect_of($path);
    is($told->{body}{reason}, 'client_closed', 'the client is gone, and the back end is told');
    is_deeply($told->{body}{request}, $call->{body}{request}, 'of the same request');
    is($told->{body}{token}, $call->{body}{token}, 'and the same token');
    like($told->{text},
        qr/^\{"action":"disconnect","reason":"client_closed","token":"[^"]+","request":\{/,
        'in this order');
}

{
    my $stream = open_stream('/sse/named');
    ready($stream);
    my $call = $backend->connect_of('/sse/named');
    is($call->{headers}{'x-ragline-secret'}, 'of the gateway', 'the secret');
    my ($time, $mac) =
        ($call->{headers}{'x-ragline-signature'} // '') =~ /^t=(\d+),v1=([0-9a-f]{64})$/;
    ok($time && abs($time - time) < 600, 'a signature with its time');
    is($mac, Digest::SHA::hmac_sha256_hex("$time.$call->{text}", 'of the gateway'), 'is right');
    $stream->close;
    ok($backend->disconnect_of('/sse/named')->{headers}{'x-ragline-signature'},
        'an end is signed, too');
}

# Any 2xx is a yes, and what else the answer says means nothing.
for my $answer ('status=200&body=', 'status=201&body=no%20JSON', 'status=204&body=', 'status=299&body=[]',
    'body={"event":{"name":"connection_open","data":"{}"},"close":true}',
    'body={"request_id":"r","bindings":["connection.r","broadcast"]}') {
    my $stream = open_stream("/sse?$answer");
    ready($stream);
    is($stream->status . $stream->body, "200event: ready\ndata:\n\n", "yes: $answer");
    $stream->close;
    is($backend->disconnect_of("/sse?$answer")->{body}{reason}, 'client_closed', 'and its end is told');
}
{
    my $stream = open_stream('/sse/deflate', headers => ['Accept-Encoding' => 'gzip, br']);
    ok(ready($stream), 'where all is compressed');
    ok(!defined $stream->header('content-encoding'), 'a stream is not');
    $stream->close;
    my $other = open_stream('/sse/all', headers => [Origin => 'https://other.example']);
    ready($other);
    is($other->header('access-control-allow-origin'), '*', 'pages of any origin, where they may');
    $other->close;
    my $preflight = Ragline::HTTP::request(port => $port, path => '/sse/all', method => 'OPTIONS',
        headers => [Origin => 'https://other.example', 'Access-Control-Request-Method' => 'GET',
            'Access-Control-Request-Headers' => 'cache-control']);
    is($preflight->status, 204, 'as a preflight says');
    is($preflight->header('access-control-allow-origin'), '*', 'to them');
    like($preflight->header('access-control-allow-headers') // '', qr/cache-control/i, 'with its header');
}

# --- who is not let in ----------------------------------------------------------------------------

for my $status (400, 401, 403) {
    my $stream = open_stream("/sse?status=$status&phrase=Not%20%22you%22");
    my $event = $stream->take('rejected');
    is($stream->status, 200, "$status of the back end is a stream");
    is($event->{data}, qq({"status":$status,"message":"Not \\"you\\""}), 'that says so');
    is($stream->body, qq(event: rejected\ndata: $event->{data}\n\n), 'and nothing else');
    ok($stream->wait(sub { $_[0]->ended }), 'and ends');
}
is(open_stream('/sse?status=403&phrase=D%C3%A9j%C3%A0')->take('rejected')->{data},
    qq({"status":403,"message":"D\xc3\xa9j\xc3\xa0"}), 'in any language');
is(open_stream('/sse?status=401&phrase=')->take('rejected')->{data},
    '{"status":401,"message":"Unauthorized"}', 'the standard words where there are none');

sub refused
{
    my ($path, $status, $message, $code, $name, %r) = @_;
    my $response = Ragline::HTTP::request(port => $port, path => $path, %r);
    is($response->status, $status, $name);
    is_deeply($response->json, { error => { message => $message, code => $code } }, 'in JSON');
    is($response->header('content-type'), 'application/json', 'called so');
    return $response;
}

for my $status (302, 404, 409, 429, 500, 503) {
    my $response = refused("/sse?status=$status", $status, "Backend returned $status",
        'BACKEND_ERROR', "$status of the back end is that of the request");
    ok(!defined $response->header('location'), 'which goes nowhere');
    is($response->header('x-of-httpd'), 'yes', 'with what httpd has to say') if $status == 404;
}
refused('/sse?headers', 431, 'Request headers are too large', 'HEADERS_TOO_LARGE', 'more than 32 KB',
    headers => [map { ("X-$_" => 'x' x 7000) } 1 .. 5]);
refused('/sse?garbage', 503, 'Backend unavailable', 'BACKEND_UNAVAILABLE', 'nonsense');
refused('/sse/nobody', 503, 'Backend unavailable', 'BACKEND_UNAVAILABLE', 'nobody is there');
ok($nowhere->wait(sub { $_[0]{http}->done }), 'a name that is nobody\'s') or diag($nowhere->head);
is($nowhere->status . $nowhere->body,
    '503{"error":{"message":"Backend unavailable","code":"BACKEND_UNAVAILABLE"}}', 'is nobody there');
refused('/sse/soon?never', 504, 'Gateway timeout', 'GATEWAY_TIMEOUT', 'no answer in time');
refused('/other', 503, 'Service not configured', 'SERVICE_NOT_CONFIGURED', 'no callback',
    headers => ['X-Handler' => 'gateway']);
is(Ragline::HTTP::request(port => $port, path => '/sse?status=404',
    headers => [Origin => 'https://app.example'])->header('access-control-allow-origin'),
    'https://app.example', 'a page may read why');
is(Ragline::HTTP::request(port => $port, path => '/sse', method => 'POST', body => '')->status, 405,
    'GET it is');
is(Ragline::HTTP::request(port => $port, path => '/sse?head', method => 'HEAD')
    ->header('content-type'), 'text/event-stream', 'HEAD says what it would be');
is(scalar(grep { $_->{body}{action} eq 'disconnect'
    && $_->{body}{request}{url} !~ m{^/sse(\?x=.*|/named|\?(?:status=2|body=).*|/deflate|/all)$} }
    $backend->calls), 0,
    'nobody is told of the end of what never was open');
is(scalar(grep { ($_->{body}{request}{url} // '') =~ /head/ } $backend->calls), 0,
    'and nobody asked for a head');

# --- health ---------------------------------------------------------------------------------------

for my $case (['/healthz', 200, '{"status":"ok"}'],
    ['/readyz', 200, '{"status":"ready","configured":true,"rabbitmq":"disabled"}'],
    ['/not/readyz', 503, '{"status":"not_ready","configured":false,"rabbitmq":"disabled",'
        . '"reasons":["CALLBACK_URL not configured"]}']) {
    my ($path, $status, $body) = @$case;
    my $response = Ragline::HTTP::request(port => $port, path => $path);
    is($response->status . $response->body, $status . $body, $path);
}

# --- while it is asked ----------------------------------------------------------------------------

{
    my @waiting = map { open_stream("/sse?hold&n=$_") } 1 .. 40;
    ok($backend->connect_of("/sse?hold&n=$_"), 'asked') for 1, 40;
    is(Ragline::HTTP::request(port => $port, path => '/')->status, 200,
        'eight workers, forty that wait, and another request is answered');
    is(scalar(grep { $_->status } @waiting), 0, 'those that wait have no answer');
    (pop @waiting)->close;
    $backend->release;
    ok(Ragline::SSE->wait_all(\@waiting, sub { grep { $_->{event} eq 'ready' } $_[0]->events }),
        'the others are open when the back end has answered');
    is($backend->count_of('/sse?hold&n=40', 'disconnect'), 0, 'who left before that never was');
    Ragline::SSE->close_all(@waiting);
    $backend->disconnect_of("/sse?hold&n=$_") for 1 .. 39;
    is($backend->count_of('/sse?hold&n=39', 'disconnect'), 1, 'each is told of once');
    $backend->hold;
}

# --- over TLS, and by a pattern -------------------------------------------------------------------

{
    my $stream = open_stream('/sse?tls', port => $tls, tls => 1);
    ok(ready($stream), 'a stream over TLS');
    is($stream->header('x-of-httpd'), 'yes', 'with its head');
    $stream->close;
    is($backend->disconnect_of('/sse?tls')->{body}{reason}, 'client_closed', 'and its end');
    my $refused = open_stream('/sse?tls&status=404', port => $tls, tls => 1);
    ok($refused->wait(sub { $_[0]{http}->done }), 'a refusal over TLS');
    is($refused->status, 404, 'has its status');
    unlike($httpd->error_log, qr/RS0732/, 'none of them kept a worker');
    my $any = open_stream('/any/channel/7?x');
    ok(ready($any), 'any path, by a pattern');
    ok($backend->connect_of('/any/channel/7?x'), 'and the back end is told which');
    $any->close;
}

# --- where the worker stays -----------------------------------------------------------------------

for my $path ('/sse/pump', '/sse/filtered') {
    my $stream = open_stream($path);
    ok(ready($stream), "$path: open");
    is($stream->header('content-type'), 'text/event-stream', 'a stream');
    is($stream->header('x-of-httpd'), 'yes', 'with what httpd has to say');
    ok($stream->wait(sub { $_[0]->body =~ /: heartbeat/ }), 'that goes on');
    $stream->close;
    is($backend->disconnect_of($path)->{body}{reason}, 'client_closed', 'its end is told');
    refused("$path?status=$_", $_, "Backend returned $_", 'BACKEND_ERROR', "$path: refused by $_")
        for 409, 418;
    is(open_stream("$path?status=403")->take('rejected')->{data},
        '{"status":403,"message":"Whatever"}', "$path: rejected");
}

{
    my $h2 = Ragline::H2->new(port => $port);
    my $id = $h2->get('/sse?h2');
    ok($h2->wait(sub { ($h2->body($id) // '') =~ /event: ready\n/ }), 'HTTP/2');
    $h2->cancel($id);
    is($backend->disconnect_of('/sse?h2')->{body}{reason}, 'client_closed', 'and its end');
    $h2->close;
    $h2 = Ragline::H2->new(port => $port);
    $id = $h2->get('/sse?h2&status=404');
    ok($h2->wait(sub { $h2->ended($id) }), 'a refusal');
    is($h2->body($id), '{"error":{"message":"Backend returned 404","code":"BACKEND_ERROR"}}',
        'over HTTP/2');
}

# --- tokens ---------------------------------------------------------------------------------------

{
    my $token = token(unique('gw'), 5);
    my $stream = open_stream('/sse/token', token => $token);
    ready($stream);
    ok(!exists $backend->connect_of('/sse/token')->{body}{request}{headers}{authorization},
        'a token that was checked here is not passed on');
    my $other = open_stream('/sse/token?cookie', headers => [Cookie => "a=1; session=$token; b=2",
        'Sec-Fetch-Site' => 'same-origin']);
    ready($other);
    is($backend->connect_of('/sse/token?cookie')->{body}{request}{headers}{cookie}, 'a=1; b=2',
        'nor in a cookie');
    my $forward = open_stream('/sse/forward', token => $token);
    ready($forward);
    is($backend->connect_of('/sse/forward')->{body}{request}{headers}{authorization},
        "Bearer $token", 'RaglineGatewayForwardToken');
    my $basic = 'Basic ' . MIME::Base64::encode_base64('alice:alice', '');
    ready(open_stream('/sse/basic', headers => [Authorization => $basic]));
    ok(!exists $backend->connect_of('/sse/basic')->{body}{request}{headers}{authorization},
        'nor is a password that httpd has checked');
    ready(open_stream('/sse?own', headers => [Authorization => $basic]));
    is($backend->connect_of('/sse?own')->{body}{request}{headers}{authorization}, $basic,
        'what is for the application is');
    is(open_stream('/sse/token')->wait(sub { $_[0]->status }), 401, 'without one nobody is asked');
}

# --- the end of the child -------------------------------------------------------------------------

{
    my @open = map { open_stream("/sse?end=$_") } 1 .. 3;
    ready($_) for @open;
    my $waits = open_stream('/sse?hold&end');
    $backend->connect_of('/sse?hold&end');
    $httpd->control('graceful');
    ok($open[0]->wait(sub { $_[0]->ended }), 'a stream ends with its child');
    ok(defined $open[0]->retry, 'and is told when to come back');
    is($backend->disconnect_of("/sse?end=$_")->{body}{reason}, 'server_closed',
        'the back end is told') for 1 .. 3;
    $backend->release;
    ok($waits->wait(sub { $_[0]->ended }), 'one that was waiting is answered');
    is($waits->status, 200, 'so that it comes back');
    ok(defined $waits->retry, 'when it may');
    is($backend->disconnect_of('/sse?hold&end')->{body}{reason}, 'server_closed',
        'it was open for a moment, and that is told');
}

$httpd->stop;
my $log = $httpd->error_log;
like($log, qr/RS1102: callbacks fail: /, 'trouble is in the log');
unlike($log, qr/secret=xyz|of the gateway/, 'and no secret');
done_testing();
