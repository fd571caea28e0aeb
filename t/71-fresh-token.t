# SPDX-License-Identifier: Apache-2.0
#
# A stream whose token ends is asked for a new one, and lives on with what is brought to its own URL:
# to whichever child, or to another node. It is nobody's but its user's. Two httpd with one Redis.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;

use Ragline::Httpd ();
use Ragline::Redis ();
use Ragline::SSE ();
use Ragline::Test;
use Ragline::Token ();
use Ragline::WebSocket ();

my $redis = Ragline::Redis->start(name => 'fresh');
my $key = 'ragline:stream:orders';
my $slow = $ENV{RAGLINE_TEST_SLOW} || 1;
my $life = 3 * $slow;
my @fresh = ('RaglineSubscribe orders', 'RaglineJWTLeeway 0s', 'RaglineRetry 300ms');
my $conf = <<"EOF"
RaglineRedis @{[ $redis->url ]}
RaglineStream orders $key
RaglineDrain 0
<Location /admin>
    SetHandler ragline-admin
@{[ jwt_conf() ]}
</Location>
<Location /public>
    SetHandler ragline-sse
    RaglineSubscribe orders
    RaglineTenant main
    Require all granted
</Location>
EOF
    . bearer_location('/stream', @fresh, 'RaglineOrigins https://app.example',
        'RaglineTokenFrom header cookie:t')
    . bearer_location('/other', @fresh)
    . bearer_location('/role', @fresh) =~ s/Require valid-user/Require ragline-claim role a/r
    . bearer_location('/off', @fresh, 'RaglineChallenge off')
    . websocket_location('/ws', @fresh)
    . websocket_location('/dialect', @fresh, 'RaglineWebSocketDialect ragline');
my $one = Ragline::Httpd->new(name => 'one', children => 3, conf => $conf)->start;
my $two = Ragline::Httpd->new(name => 'two', conf => $conf)->start;
my $tenant = unique('fresh');

# One that is asked at once: of a long life only its end is left.
sub old { my ($user, %more) = @_; return token($tenant, $user, iat => time - 1000, exp => time + 20, %more) }

sub there
{
    my ($node, $path, $token, %r) = @_;
    my $class = $path =~ m{^/(?:ws|dialect)} ? 'Ragline::WebSocket' : 'Ragline::SSE';
    my $stream = $class->open(port => $node->port, path => $path, token => $token, wire => 'sse', %r);
    my $connected = $stream->take('connected') or diag('is not there');
    my $data = $connected->{data};
    $stream->{id} = (ref $data ? $data : json_of($data))->{connection};
    return $stream;
}

sub bring
{
    my ($node, $stream, $token, %r) = @_;
    return $node->request(path => $r{path} // '/stream', method => 'POST', body => $r{body} // '', token => $token,
        headers => ['X-Ragline-Connection' => ref $stream ? $stream->{id} : $stream, @{ $r{headers} // [] }]);
}

sub is_answered
{
    my ($name, $want, @request) = @_;
    my $response = bring(@request);
    my $code = ($response->json // {})->{error};
    is(join(' ', $response->status, $code // ()), $want, $name);
    return $response;
}

# The code of the error with which it ends, and whether it was asked before.
sub end_of
{
    my ($stream) = @_;
    my $event = $stream->take(sub { $_[0]{event} =~ /^(?:challenge|error)$/ }) // {};
    my $asked = ($event->{event} // '') eq 'challenge';
    $event = $stream->take('error') // {} if $asked;
    return join ' ', $asked ? 'asked' : (), json_of($event->{data} // '{}')->{code} // 'no end';
}

# --- asking --------------------------------------------------------------------------------------

for my $wire (qw(sse ndjson)) {
    my $stream = there($one, '/stream', old(7), wire => $wire);
    my $challenge = $stream->take('challenge');
    my $data = json_of($challenge->{data});
    is(join(' ', sort keys %$data), 'connection expires_in', "$wire: a challenge");
    is($data->{connection}, $stream->{id}, 'with what the connection is called');
    my $left = $data->{expires_in};
    ok($left > 20 - 5 * $slow && $left <= 20, 'and until when its token is good') or diag($left);
    unlike($stream->body, $wire eq 'sse' ? qr/^event: challenge\ndata: .*\nid:/m : qr/"id":[^{]*"challenge"/,
        'it is no position');
}
{
    my $ws = there($one, '/ws', old(7));
    like($ws->take('challenge')->{raw},
        qr/^\{"type":"challenge","data":\{"connection":"$ws->{id}","expires_in":\d+\}\}$/, 'a WebSocket');
    $ws->send_text({ type => 'auth', token => old(7, exp => time + 40) });
    is($ws->take(sub { 1 })->{type}, 'auth_updated', 'its answer');
    ok($ws->take('challenge'), 'which is the next one to end');
}

# --- bringing one --------------------------------------------------------------------------------

sub brief { return token($tenant, $_[0], exp => time + $life) }
sub later { my ($user, %more) = @_; return token($tenant, $user, exp => time + 600, %more) }

my $dialect = there($one, '/dialect', brief(7));
my $ends = there($one, '/stream', brief('ends'));
my $unasked = there($one, '/off', brief('ends'));
my @lives = map { there($one, '/stream', brief("u$_"), wire => $_ % 2 ? 'sse' : 'ndjson') } 1 .. 6;
my $far = there($one, '/stream', brief('far'));
my $role = there($one, '/role', token($tenant, 'r', exp => time + $life, role => 'a'));
my $foreign = there($one, '/stream', brief('foreign'));
my $list = $one->request(path => '/admin/connections?limit=1000', token => token($tenant, 'boss'))->json;
my %pids = map { $_->{pid} => 1 } @{ $list->{connections} };
cmp_ok(scalar keys %pids, '>', 1, 'streams of several children');

my $n = 0;
my @brought = map { later('u' . ++$n) } @lives;
is_answered("a new one for stream $_ of " . @lives, '204', $one, $lives[$_], $brought[$_]) for 0 .. $#lives;
is(is_answered('by way of another node', '202', $two, $far, later('far', jti => 'far-1'))->body, '', 'no more is known');
is_answered('with the role', '204', $one, $role, later('r', role => 'a', more => 1), path => '/role');

is_answered('another user', '403 not_yours', $one, $foreign, later('ends'));
is_answered('another tenant', '403 not_yours', $one, $foreign, token("$tenant-x", 'foreign', exp => time + 600));
is_answered('another URL', '404 not_connected', $one, $foreign, later('foreign'), path => '/other');
is_answered('less than the URL asks for', '401 unauthorized', $one, $role, later('r'), path => '/role');
is_answered('a token that is over', '401 invalid_token', $one, $foreign, token($tenant, 'foreign', exp => 5));
is_answered('none', '401 no_token', $one, $foreign, undef);
is_answered('where there are none', '401 no_token', $one, $foreign, undef, path => '/public');
is_answered('what is no id', '404 not_connected', $one, 'x', later('foreign'));
is_answered('one that is not there', '404 not_connected', $one,
    $foreign->{id} =~ s/(.)$/$1 eq 'a' ? 'b' : 'a'/er, later('foreign'));
is($one->request(path => '/stream', method => 'POST', body => '', token => later('foreign'))->status, 405,
    'a POST that names no connection');
is_answered('the other node says nothing of a wrong one', '202', $two, $foreign, later('ends'));

my $challenge = $ends->take(sub { $_[0]{event} =~ /^(?:challenge|error)$/ });
is($challenge->{event}, 'challenge', 'before its end');
cmp_ok(json_of($challenge->{data})->{expires_in} // 99, '<=', $life / 5 + 1, 'a fifth of its life');
is(end_of($ends), 'token_expired', 'without a new one it ends');
$dialect->wait_close;
is(join(' ', map { $_->{type} } @{ $dialect->heard }), 'connected error', 'clients of another service know no such thing');
is(end_of($unasked), 'token_expired', 'RaglineChallenge off: without a word');
is(end_of($foreign), 'asked token_expired', 'what others brought prolonged nothing');
$redis->xadd($key, tenant_id => $tenant, event_type => 'order', payload => '1');
for (@lives, $far, $role) {
    ok($_->take('order') && !$_->ended, 'one that was prolonged goes on');
}

# --- what is brought ends it ---------------------------------------------------------------------

sub revoke
{
    return $one->request(path => '/admin/revoke', method => 'POST', token => token($tenant, 'boss'),
        headers => ['Content-Type' => 'application/json'],
        body => JSON::PP::encode_json({ jti => $_[0], until => time + 1000 }))->status;
}

is_answered('one with a number', '204', $one, $lives[0], later('u1', jti => 'near-1'));
is(revoke($_), 200, "$_ is revoked") for qw(near-1 far-1);
is(end_of($_) =~ s/asked //r, 'revoked', 'the stream ends with it') for $lives[0], $far;
is_answered('and it is not taken again', '401 revoked', $one, $lives[1], later('u2', jti => 'near-1'));
is_answered('an older one', '204', $one, $lives[1], brief('u2'));

# --- pages ---------------------------------------------------------------------------------------

my $page = there($one, '/stream', undef, headers => [Cookie => 't=' . brief('page'), 'Sec-Fetch-Site' => 'same-origin']);
my @cookie = (Cookie => 't=' . later('page'));
is_answered('a cookie', '204', $one, $page, undef, headers => [@cookie, 'Sec-Fetch-Site' => 'same-origin']);
is(is_answered('of an origin that is listed', '204', $one, $page, undef,
    headers => [@cookie, Origin => 'https://app.example'])->header('Access-Control-Allow-Origin'), 'https://app.example',
    'which may know');
is_answered('of one that is not', '401 cookie_origin', $one, $page, undef,
    headers => [@cookie, Origin => 'https://evil.example']);
my $preflight = $one->request(path => '/stream', method => 'OPTIONS', headers => [Origin => 'https://app.example',
    'Access-Control-Request-Method' => 'POST', 'Access-Control-Request-Headers' => 'authorization, x-ragline-connection']);
is($preflight->status, 204, 'a preflight');
like($preflight->header('Access-Control-Allow-Methods'), qr/\bPOST\b/, 'POST');
like($preflight->header('Access-Control-Allow-Headers'), qr/\bX-Ragline-Connection\b/i, 'with the connection');

# --- too often -----------------------------------------------------------------------------------

SKIP: {
    skip 'the limit is of a child, and prefork has many', 1 if vars('mpm') eq 'prefork';
    my %status;
    for (1 .. 300) {
        last if $status{429};
        $status{ bring($two, 'qqqqqqqq' . substr($foreign->{id}, 8), later('many'))->status }++;
    }
    is(join(' ', sort keys %status), '202 429', 'what is told to others has a limit');
}
is_answered('for each user', '202', $two, $foreign, later('another'));

# --- where the token is --------------------------------------------------------------------------

my $written = JSON::PP::encode_json($redis->client->xrange('ragline:control', '-', '+'));
like($written, qr/"renew"/, 'the control stream has what was brought to the other node');
my @places = ($written, map { ($_->error_log, $_->access_log) } $one, $two);
my @signatures = map { /\.([^.]+)$/ } @brought;
is(scalar(grep { my $token = $_; grep { index($_, $token) >= 0 } @places } @signatures), 0, 'no token is anywhere');
unlike($written, qr/eyJ/, 'nor a part of one');

done_testing();
