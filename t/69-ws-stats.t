# SPDX-License-Identifier: Apache-2.0
#
# ragline-ws-stats: the numbers of WebSockets, as the service Ragline tells them, of all children and
# of the caller's tenant.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Redis ();
use Ragline::Test;
use Ragline::WebSocket ();

my $redis = Ragline::Redis->start(name => 'wsstats');

sub stats_at { my ($path, @more) = @_;
    return join("\n", "<Location $path>", '    SetHandler ragline-ws-stats', @more, '</Location>', '') }

my $httpd = Ragline::Httpd->new(children => 2, conf => <<"EOF"
RaglineRedis @{[ $redis->url ]}
RaglineStream orders ragline:stream:orders
RaglineDrain 0
EOF
    . bearer_location('/stream', 'RaglineSubscribe orders')
    . websocket_location('/ws', 'RaglineSubscribe orders', 'RaglineHeartbeat off')
    . websocket_location('/alive', 'RaglineSubscribe orders', 'RaglineHeartbeat off', 'RaglineWebSocketPing 1s')
    . stats_at('/ws/stats', jwt_conf())
    . stats_at('/all', 'RaglineAdmin all', 'Require local'))->start;
my ($us, $them) = (unique('a'), unique('b'));
my $time = qr/"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00"/;

sub ask { my ($path, %more) = @_; return $httpd->request(path => $path, %more) }
sub own { return ask('/ws/stats', token => token($us, 'boss'))->json->{websocket_stats} }
sub ws { my ($path, $tenant, $user, %more) = @_;
    my $ws = Ragline::WebSocket->open(port => $httpd->port, path => $path, token => token($tenant, $user), %more);
    $ws->take('connected');
    return $ws }

my $none = ask('/ws/stats', token => token($us, 'boss'));
like($none->body, qr/^\{"websocket_stats":\{"total_connections":0,"connections_by_tenant":\{\},"connections_by_user":\{\},
    "healthy_connections":0,"stale_connections_cleaned":0\},"timestamp":$time\}$/x, 'nobody, to the byte');
is($none->header('Content-Type'), 'application/json', 'JSON');
my @ws = map { ws('/ws', @$_) } [$us, 1], [$us, 1], [$us, 2], [$us, 1], [$them, 1];
my $sse = $httpd->stream('/stream', token => token($us, 1));
$sse->connected;
is_deeply(own(), { total_connections => 4, connections_by_tenant => { $us => 4 }, connections_by_user => { 1 => 3, 2 => 1 },
    healthy_connections => 4, stale_connections_cleaned => 0 }, 'of all children, of the own tenant, WebSockets alone');
# Whichever child a client is in: it is told the same.
sub of_client { my ($ws) = @_;
    $ws->send_text('{"type":"get_stats"}');
    return ($ws->take('stats') // {})->{data} }
my $same = own();
delete $same->{stale_connections_cleaned};
is_deeply([map { of_client($_) } @ws[0 .. 3]], [($same) x 4], 'get_stats says the same, in any child');
is(of_client($ws[4])->{total_connections}, 1, 'of its own tenant alone');
is_deeply(ask('/all')->json->{websocket_stats}{connections_by_tenant}, { $us => 4, $them => 1 }, 'RaglineAdmin all: of all');
$ws[0]->close;
ok(wait_until(sub { own()->{total_connections} == 3 }), 'one has gone');
my $mute = ws('/alive', $us, 3, mute => 1);
is(own()->{total_connections}, 4, 'one that does not answer');
is($mute->wait_close, 'eof', 'is ended');
is(own()->{stale_connections_cleaned}, 1, 'and counted');
is(own()->{total_connections}, 3, 'among those who are not there');
is(ask('/ws/stats')->status, 401, 'without a token: 401');
is(ask('/all', method => 'POST', body => 'x')->status, 405, 'POST: 405');
is(ask('/all/x')->status, 404, 'below it: 404');

done_testing();
