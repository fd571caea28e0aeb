# SPDX-License-Identifier: Apache-2.0
#
# Messages that WebSockets' clients begin and do not finish: for so long, and so much of them is kept at most,
# and who does finish what he says notices nothing.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes ();

use Ragline::Httpd ();
use Ragline::Test;
use Ragline::WebSocket ();

my $redis = redis_a();
my $key = unique('ragline:unfinished');
my $tenant = unique('unfinished');
my $httpd = Ragline::Httpd->new(name => 'unfinished', children => 1, conf => join('',
    "RaglineRedis @{[ $redis->url ]}\nRaglineStream orders $key\nRaglineCache 1MB\nRaglineStreamers 2\n",
    map { websocket_location(@$_) }
        ['/large', 'RaglineSubscribe orders', 'RaglineWebSocketMaxMessage 500KB', 'RaglineWebSocketPing off'],
        ['/brief', 'RaglineSubscribe orders', 'RaglineWebSocketPing 2s'],
        ['/kept', 'RaglineSubscribe orders', 'RaglineWebSocketPing 2s', 'RaglineHandoff off']))->start;

sub ws
{
    my ($path, %r) = @_;
    my $ws = Ragline::WebSocket->open(port => $httpd->port, path => $path, token => token($tenant, 7), %r);
    $ws->take('connected');
    return $ws;
}

sub answered
{
    my ($ws) = @_;
    $ws->send_text({ type => 'ping' });
    return $ws->take('pong');
}

# --- how long -------------------------------------------------------------------------------------

# A message in as many parts as it takes, with pings between, is one message.
my %begin = (
    'a fragment' => Ragline::WebSocket::frame(1, '{"type":', fin => 0),
    'half a frame' => substr(Ragline::WebSocket::frame(1, '{"type":"ping"}'), 0, 12),
    'half a header' => substr(Ragline::WebSocket::frame(1, 'x' x 300), 0, 3),
    'one byte' => "\x81",
);
# Pings are not answered within a frame.
my @slow = map { { what => $_, ws => ws($_ eq 'one byte' ? '/kept' : '/brief', mute => 1), since => Time::HiRes::time() } }
    sort keys %begin;
my ($talks, $finishes) = (ws('/large'), ws('/brief', mute => 1));
$_->{ws}->send_bytes($begin{ $_->{what} }) for @slow;
my ($said, $rest) = (0, '');
wait_until(sub {
    Ragline::WebSocket::pump(0.05);
    # The end of one and the beginning of the next in each write, for as long as all that takes.
    my $frame = Ragline::WebSocket::frame(1, '{"type":"ping"}');
    $finishes->send_bytes($rest . substr $frame, 0, 12);
    $rest = substr $frame, 12;
    $said++;
    # A fragment without its end, and signs of life: these are no excuse.
    $slow[0]{ws}->send_frame(10, '') if !$slow[0]{ws}->ended;
    return !grep { !$_->{ws}->ended } @slow;
});
for (@slow) {
    is($_->{ws}->wait_close, '1008 unfinished', "$_->{what}: closed");
    my $error = ($_->{ws}->messages)[-1];
    is("$error->{code}: $error->{error}", 'unfinished: a message was begun and not finished in time', 'and told why');
    cmp_ok(Time::HiRes::time() - $_->{since}, '>=', 4, 'not before its time');
}
$finishes->send_bytes($rest);
$finishes->wait(sub { $said == grep { $_->{type} eq 'pong' } $_[0]->messages });
is(scalar(grep { $_->{type} eq 'pong' } $finishes->messages), $said, 'who finishes each is answered each');
ok(answered($finishes), 'and stays');
ok(answered($talks), 'as does who was quiet');

# --- how much -------------------------------------------------------------------------------------

# Of 1 MB: what has 400 KB takes 512 KB, since it grows by doubling.
my $half = Ragline::WebSocket::frame(1, '"' . 'x' x 400_000, fin => 0);

sub begun
{
    my $ws = ws('/large');
    $ws->send_bytes($half);
    $ws->send_frame(9, 'there');
    $ws->take_frame(10);
    return $ws;
}

SKIP: {
    skip 'prefork has a child for each of them', 7 if vars('mpm') eq 'prefork';
    my @holders = map { begun() } 1 .. 3;
    is(join(' ', map { $_->ended || 'open' } @holders), 'open open eof', 'more than RaglineCache is not kept');
    my ($holder, undef, $refused) = @holders;
    is($refused->wait_close, '1013 over_limit', 'who adds to it may come again');
    is(($refused->messages)[-1]{error}, 'too much is kept of messages that were begun and not finished', 'and is told why');
    ok(answered($talks), 'others are heard, whose messages come whole');
    $holder->send_frame(0, '"');
    like($holder->take('error')->{error}, qr/a message is a JSON object/, 'what is finished is read');
    $_->close for @holders;
    my $again;
    ok(wait_until(sub { $again = begun(); return !$again->ended }), 'and there is room again for others');
    is($again->ended, '', 'who stay');
}

done_testing();
