# SPDX-License-Identifier: Apache-2.0
#
# A new token on an open WebSocket: one that says the same prolongs it, any other changes nothing.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Test;
use Ragline::Token ();
use Ragline::WebSocket ();

my $redis = redis_a();
my $key = unique('ragline:renewed');
my $tenant = unique('renewed');
my $httpd = Ragline::Httpd->new(name => 'renewed', conf => "RaglineRedis @{[ $redis->url ]}\n"
    . "RaglineStream orders $key\n"
    . websocket_location('/brief', 'RaglineSubscribe orders', 'RaglineJWTLeeway 0s')
    . <<'EOF')->start;
<Location /public>
    SetHandler ragline-websocket
    RaglineSubscribe orders
    RaglineTenant main
    Require all granted
</Location>
EOF

sub ws
{
    my ($path, $with) = @_;
    my $ws = Ragline::WebSocket->open(port => $httpd->port, path => $path, token => $with);
    $ws->take('connected');
    return $ws;
}

my $time = qr/"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00"/;

# How long a token lives that is to end during the test, and begin to be used before.
my $life = 4 * ($ENV{RAGLINE_TEST_SLOW} || 1);

sub auth { my ($on, $with) = @_; $on->send_text({ type => 'auth', token => $with }); return $on->take(sub { 1 }) }

my %soon = map { $_ => ws('/brief', token($tenant, 7, exp => time() + $life, role => 'a')) }
    qw(same other);
my $longer = token($tenant, 7, exp => time() + 300, iat => 5, jti => 'x', role => 'a');
like(auth($soon{same}, $longer)->{raw}, qr/^\{"type":"auth_updated","expires_in":29\d,"timestamp":$time\}$/,
    'a token on an open connection');
is(auth($soon{same}, $longer)->{error}, 'one token a second', 'not too many');
for (
    ['another user', token($tenant, 8, role => 'a'), qr/^Authentication failed: the token says something else/],
    ['another tenant', token("$tenant-x", 7, role => 'a'), qr/^Authentication failed:/],
    ['more than before', token($tenant, 7, role => 'b'), qr/^Authentication failed:/],
    ['one that is over', token($tenant, 7, exp => 5, role => 'a'), qr/^Invalid token: expired$/],
    ['one of somebody else', Ragline::Token::encode({ sub => 7 }, secret => 'x' x 64),
        qr/^Invalid token: the signature does not match$/],
    ['none', 'garbage', qr/^Invalid token: /],
) {
    my ($what, $with, $answer) = @$_;
    my $on = ws('/brief', token($tenant, 7, role => 'a'));
    my $got = auth($on, $with);
    like("$got->{message}: $got->{error}", $answer, "refused: $what");
    $on->send_text({ type => 'ping' });
    is($on->take->{type}, 'pong', 'and the connection stays');
    $on->close;
}
auth($soon{other}, token($tenant, 8, exp => time() + 300, role => 'a'));
for ('{"type":"auth"}', '{"type":"auth","token":7}', '{"type":"auth","token":"' . 'x' x 8193 . '"}') {
    $soon{same}->send_text($_);
    is($soon{same}->take('error')->{error}, 'token has to be a token', substr $_, 0, 30);
}
my $public = ws('/public', undef);
is(auth($public, $longer)->{error}, 'this connection did not come with a token', 'where there was none');
is($soon{other}->wait_close, '1008 token_expired', 'a token that was refused prolongs nothing');
$soon{same}->send_text({ type => 'ping' });
is($soon{same}->take->{type}, 'pong', 'one that was taken does');
my $shorter = ws('/brief', $longer);
my $left = auth($shorter, token($tenant, 7, exp => time() + 20, role => 'a'))->{expires_in};
cmp_ok($left, '>', 200, 'and shortens nothing') or diag($left);

ok(wait_until(sub { $httpd->error_log =~ /RS0102: brief: a token on an open connection is refused: expired/ }),
    'refusals are in the log');

done_testing();
