# SPDX-License-Identifier: Apache-2.0
#
# WebSockets that keep their worker: who says goodbye and then nothing more is answered, as by those that leave it;
# and nothing is kept of what went through.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(slurp);
use Ragline::SSE ();
use Ragline::Test;
use Ragline::WebSocket ();

my $redis = redis_a();
my $key = unique('ragline:kept');
my $token = token(my $tenant = unique('kept'), 7);
my $httpd = Ragline::Httpd->new(name => 'kept', children => 1, conf => join('',
    "RaglineRedis @{[ $redis->url ]}\nRaglineStream orders $key\n",
    websocket_location('/ws', 'RaglineSubscribe orders'),
    websocket_location('/kept', 'RaglineSubscribe orders', 'RaglineHandoff off')))->start;

sub connected
{
    my ($path, %r) = @_;
    my $ws = Ragline::WebSocket->open(port => $httpd->port, path => $path, token => $token, %r);
    $ws->take('connected');
    return $ws;
}

use constant { TEXT => 1, CLOSE => 8 };
my $PING = '{"type":"ping"}';

# --- an end behind the goodbye ----------------------------------------------------------------------

my $goodbye = Ragline::WebSocket::frame(CLOSE, pack('n', 4321) . 'bye');
for my $path ('/ws', '/kept') {
    for my $before (0, 1, 500) {
        my $ws = connected($path, mute => 1);
        $ws->send_bytes(Ragline::WebSocket::frame(TEXT, $PING) x $before . $goodbye);
        $ws->end_of_words;
        is($ws->wait_close, '4321', "$path: what is said before the end is answered, a goodbye above all ($before messages)");
        is(scalar(grep { $_->{type} eq 'pong' } $ws->messages), $before, 'each');
    }
    my $ws = connected($path, mute => 1);
    $ws->end_of_words;
    is($ws->wait_close, 'eof', "$path: who ends without a goodbye is gone");
    # One that was told to go.
    $ws = connected($path, mute => 1);
    $ws->send_frame(2, 'binary');
    $ws->take_frame(CLOSE);
    $ws->end_of_words;
    is($ws->wait_close, '1003 only text messages', "$path: the end is an answer, too");
}

# --- what is kept -----------------------------------------------------------------------------------

SKIP: {
    skip('memory is not what it is with a sanitizer', 1) if $ENV{RAGLINE_TEST_SANITIZE};
    my $ws = connected('/kept');
    my $talk = sub {
        for (1 .. 4000) {
            $ws->send_bytes(Ragline::WebSocket::frame(TEXT, $PING));
            $ws->take('pong') or return 0;
        }
        return 1;
    };
    my $memory = sub {
        my $sum = 0;
        $sum += $_ for map { slurp("/proc/$_/smaps_rollup") =~ /^Private_\w+:\s+(\d+)/mg } $httpd->children;
        return $sum;
    };
    ok($talk->(), 'a conversation'); # the first one makes what is made once
    my $before = $memory->();
    ok($talk->(), 'and a second one');
    my $more = $memory->() - $before;
    cmp_ok($more, '<', 200, 'of which nothing is kept') or diag("$more KB");
}

done_testing();
