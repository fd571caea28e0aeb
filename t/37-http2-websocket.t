# SPDX-License-Identifier: Apache-2.0
#
# WebSockets over HTTP/2 (RFC 8441), which mod_http2 makes requests of HTTP/1.1 for us: each keeps a
# worker, beside pages, and both sides are heard.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::H2 ();
use Ragline::Httpd ();
use Ragline::Test;
use Ragline::WebSocket ();

plan skip_all => 'mod_http2 does not work with prefork' if vars('mpm') eq 'prefork';

my $redis = redis_a();
my $key = unique('ragline:h2ws');
my $token = token('t', 1);

my $location = websocket_location('/ws', 'RaglineSubscribe orders', 'RaglineRetry 1s');
my $httpd = Ragline::Httpd->new(name => 'h2ws', conf => <<"EOF" . $location)->start;
Protocols h2c http/1.1
H2WebSockets on
Timeout 300
RaglineRedis @{[ $redis->url ]}
RaglineStream orders $key
RaglineDrain 1s
<Location /ragline-stats>
    SetHandler ragline-stats
    Require local
</Location>
EOF

sub connection
{
    my $h2 = Ragline::H2->new(port => $httpd->port);
    ok($h2->wait(sub { defined $h2->{connect} }) && $h2->{connect}, 'WebSockets are offered');
    return $h2;
}

sub text { return Ragline::WebSocket::frame(Ragline::WebSocket::TEXT, @_) }

sub page
{
    my ($h2, $name) = @_;
    my $n = $h2->get('/');
    return ok($h2->wait(sub { $h2->ended($n) }) && $h2->body($n) =~ /front page/, $name);
}

my $h2 = connection();
my $n = $h2->websocket('/ws', token => $token);
ok($h2->wait(sub { $h2->body($n) =~ /"type":"connected"/ }), 'a WebSocket') or diag($h2->ended($n), $h2->body($n));
is(ord($h2->body($n)), 0x81, 'whose first byte is that of a frame');
my $id = $redis->xadd($key, tenant_id => 't', event_type => 'news', payload => '{"n":1}');
ok($h2->wait(sub { $h2->body($n) =~ /"id":"\Q$id\E"/ }), 'gets an event');
page($h2, 'beside a page');

sub pongs { return scalar(() = $h2->body($n) =~ /"type":"pong"/g) }

for my $round (1 .. 20) {
    $h2->say($n, text('{"type":"ping"}'));
    ok($h2->wait(sub { pongs() == $round }), "what it says is heard: $round") or last;
}
$h2->say($n, $_) for split //, text('{"type":"ping"}');
ok($h2->wait(sub { pongs() == 21 }), 'also byte by byte');
is(stats($httpd)->{pumps}{by_cause}{http2}{open}, 1, 'it keeps one worker');

$h2->say($n, Ragline::WebSocket::frame(Ragline::WebSocket::CLOSE, pack('n', 1000)));
ok($h2->wait(sub { $h2->ended($n) }), 'its close ends it');
is(unpack('H*', substr($h2->body($n), -4)), '880203e8', 'with a close frame');
ok(wait_until(sub { stats($httpd)->{pumps}{open} == 0 }), 'and frees the worker');

$n = $h2->websocket('/ws', token => $token, headers => ['sec-websocket-extensions', 'permessage-deflate']);
ok($h2->wait(sub { $h2->body($n) =~ /"type":"connected"/ }), 'one that offers compression');
$h2->say($n, Ragline::WebSocket::frame(Ragline::WebSocket::TEXT, Ragline::WebSocket::deflated('{"type":"ping"}'), rsv => 4));
ok($h2->wait(sub { pongs() == 1 }), 'may say something compressed');
my $start = length $h2->body($n);
$redis->xadd($key, tenant_id => 't', event_type => 'news', payload => '"' . 'news ' x 1000 . '"');
ok($h2->wait(sub { length $h2->body($n) > $start + 4 }), 'and gets an event');
is(ord(substr $h2->body($n), $start), 0xC1, 'compressed');
$h2->cancel($n);
ok(wait_until(sub { stats($httpd)->{pumps}{open} == 0 }), 'it has gone');

$n = $h2->websocket('/ws', token => 'nonsense');
ok($h2->wait(sub { $h2->ended($n) }), 'a bad token');
like($h2->body($n), qr/\A\x88.\x03\xf0/s, 'is accepted first, and closed with 1008');

$n = $h2->websocket('/ws', token => $token, headers => ['last-event-id', $id]);
ok($h2->wait(sub { $h2->body($n) =~ /"recovery":"resumed"/ }), 'it comes back');
$h2->cancel($n);
ok(wait_until(sub { stats($httpd)->{pumps}{open} == 0 }), 'taken back, it frees its worker');
page($h2, 'pages go on');

$n = $h2->websocket('/ws', token => $token);
ok($h2->wait(sub { $h2->body($n) =~ /"type":"connected"/ }), 'one more');
ok($httpd->graceful, 'a graceful restart');
ok($h2->wait(sub { $h2->ended($n) }), 'ends it');
like($h2->body($n), qr/\x88.\x03[\xe9\xf4]/s, 'with a close frame to come back on');
$h2->close;

# What a client says of upgrades in HTTP/2 itself is malformed there.
$h2 = connection();
$n = $h2->get('/ws', token => $token, headers => ['upgrade', 'websocket', 'connection', 'upgrade',
    'sec-websocket-version', 13, 'sec-websocket-key', 'x' x 22 . '==']);
ok($h2->wait(sub { $h2->ended($n) || $h2->{closed} }), 'an Upgrade in HTTP/2');
is($h2->body($n) =~ /"connected"/ ? 'served' : 'refused', 'refused', 'is none');
$h2->close;

$httpd->stop;
unlike($httpd->error_log, qr/exit signal|AH00046/, 'nobody crashed or had to be killed');

# A host without HTTP/2, on another one's connection.
$httpd = Ragline::Httpd->new(name => 'h2wsaway', conf => <<"EOF" . $location)->start;
H2WebSockets on
RaglineRedis @{[ $redis->url ]}
RaglineStream orders $key
<VirtualHost *:\@PORT\@>
    ServerName pages.test
    Protocols h2c http/1.1
</VirtualHost>
<VirtualHost *:\@PORT\@>
    ServerName streams.test
    Protocols http/1.1
</VirtualHost>
EOF
$h2 = connection();
$n = $h2->websocket('/ws', token => $token, authority => 'streams.test');
ok($h2->wait(sub { $h2->ended($n) }) && $h2->body($n) =~ /"misdirected"/, 'a WebSocket of a host without HTTP/2 is told so');
$n = $h2->websocket('/ws', token => $token, authority => 'pages.test');
ok($h2->wait(sub { $h2->body($n) =~ /"type":"connected"/ }), 'one of the other host is served');
$h2->close;
$httpd->stop;
done_testing();
