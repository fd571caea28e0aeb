# SPDX-License-Identifier: Apache-2.0
#
# permessage-deflate (RFC 7692): what is agreed on, events that are compressed once for all, messages
# of clients within their bound, and what is neither.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(free_port slurp);
use Ragline::Test;
use Ragline::WebSocket ();

my $redis = redis_a();
my $key = unique('ragline:deflate');
my $tenant = unique('deflate');
my $token = token($tenant, 7);
my $agreed = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';

use constant { MORE => 0, TEXT => 1, BINARY => 2, PING => 9, PONG => 10, DEFLATED => 4 };

my $certificate = certificate('localhost');
my $tls_port = free_port();
my $httpd = Ragline::Httpd->new(name => 'deflate', conf => <<"EOF2")->start;
RaglineRedis @{[ $redis->url ]}
RaglineStream orders $key
RaglineStream others $key-2
RaglineHeartbeat off
@{[ join '', map { websocket_location(@$_) }
    ['/ws', 'RaglineSubscribe orders'],
    ['/off', 'RaglineSubscribe orders', 'RaglineWebSocketDeflate off'],
    ['/all', 'RaglineSubscribe orders', 'RaglineWebSocketDeflate on 1'],
    ['/large', 'RaglineSubscribe orders', 'RaglineWebSocketDeflate on 10KB'],
    ['/orders', 'RaglineSubscribe orders', 'RaglineWebSocketDialect ragline'],
    ['/two', 'RaglineSubscribe orders others', 'RaglineWebSocketDeflate on 1'],
    ['/small', 'RaglineSubscribe orders', 'RaglineWebSocketMaxMessage 1KB'],
    ['/kept', 'RaglineSubscribe orders', 'RaglineHandoff off'] ]}
Listen 127.0.0.1:$tls_port
SSLSessionCache none
<VirtualHost 127.0.0.1:$tls_port>
    SSLEngine on
    SSLCertificateFile $certificate.pem
    SSLCertificateKeyFile $certificate.key
    @{[ websocket_location('/ws', 'RaglineSubscribe orders') ]}
</VirtualHost>
EOF2

# A client that offers, or with deflate => undef one that does not.
sub ws
{
    my ($path, %r) = @_;
    return Ragline::WebSocket->open(port => $httpd->port, path => $path, token => $token,
        deflate => 'permessage-deflate; client_max_window_bits', %r);
}

sub connected
{
    my $ws = ws(@_);
    $ws->take('connected') or die 'no connection';
    return $ws;
}

sub add
{
    my ($payload, $to) = @_;
    return $redis->xadd($to // $key, tenant_id => $tenant, event_type => 'order_status', payload => $payload);
}

# JSON of about so many bytes.
sub order
{
    my ($size) = @_;
    my $n = 0;
    my @items = map { $n = ($n * 7919 + 13) % 100_003; qq({"sku":"S-$n","qty":3}) } 1 .. $size / 24 + 1;
    return '{"items":[' . join(',', @items) . ']}';
}

# --- the handshake ------------------------------------------------------------------------------

sub agree
{
    my ($path, $offer, $want, $name, @headers) = @_;
    my $ws = ws($path, deflate => $offer, headers => \@headers);
    ok($ws->accepted && $ws->take('connected'), "$name: accepted");
    is($ws->header('Sec-WebSocket-Extensions'), $want, $name);
    $ws->close;
    return;
}

agree('/ws', 'permessage-deflate', $agreed, 'offered');
agree('/ws', 'permessage-deflate; client_max_window_bits; server_max_window_bits=15', "$agreed; server_max_window_bits=15",
    'the window is answered');
agree('/ws', 'permessage-deflate; server_max_window_bits=9, permessage-deflate; client_no_context_takeover', $agreed,
    'the second offer');
agree('/ws', 'x-webkit-deflate-frame', $agreed, 'in a header of its own', 'Sec-WebSocket-Extensions' => 'permessage-deflate');
agree('/ws', undef, undef, 'not offered');
agree('/ws', 'permessage-deflate; server_max_window_bits=9', undef, 'for a smaller window');
agree('/ws', 'permessage-deflate; client_max_window_bits=16', undef, 'an offer that is wrong');
agree('/ws', '"', undef, 'what is none');
agree('/off', 'permessage-deflate', undef, 'off');
my $refused = ws('/ws', token => 'x.y.z');
ok($refused->accepted && !defined $refused->header('Sec-WebSocket-Extensions'), 'nothing is agreed on with who is sent away');
is($refused->wait_close, '1008 Invalid token', 'who is told why');

# --- events -------------------------------------------------------------------------------------

my %reader = (map({ $_ => connected((split)[0]) } '/ws', '/ws again', '/off', '/all', '/large', '/orders', '/two', '/kept'),
    plain => connected('/ws', deflate => undef), tls => connected('/ws', port => $tls_port, tls => 1));

# An event of so many bytes: who has it compressed.
sub event_is_compressed_for
{
    my ($size, $name, @who) = @_;
    my $data = order($size);
    my $id = add($data);
    my %got = map { $_ => $reader{$_}->take(sub { ($_[0]{id} // '') =~ /^\Q$id\E\b/ || $_[0]{event_type} }) } keys %reader;
    is_deeply([grep { !$got{$_} || index($got{$_}{raw}, qq("data":$data,)) < 0 } sort keys %got], [], "$name: everybody has it");
    is_deeply([grep { $got{$_} && $got{$_}{deflated} } sort keys %got], [sort @who], "$name: who has it compressed");
    return \%got;
}

event_is_compressed_for(100, 'a small event', '/all', '/two');
my $got = event_is_compressed_for(2000, 'a larger one', '/ws', '/ws again', '/all', '/orders', '/two', '/kept', 'tls');
is($got->{'/ws'}{raw}, $got->{$_}{raw}, "one frame is for all ($_)")
    for vars('mpm') eq 'prefork' ? () : ('/ws again', '/kept', 'tls'); # there each has a child that makes it
cmp_ok($got->{'/ws'}{deflated}, '<', 1500, 'it is smaller');
is($got->{'/orders'}{type}, 'order_event', 'a dialect has its own');
event_is_compressed_for(20_000, 'a large one', grep { !/off|plain/ } keys %reader);
$_->send_text({ type => 'ping' }) for values %reader;
ok(!(grep { !$_->take('pong') || $_->{taken} < $_->messages } values %reader), 'answers are what they were');
is_deeply([grep { $reader{$_}->fault } keys %reader], [], 'nothing was wrong');

# --- coming back --------------------------------------------------------------------------------

my $last = add('{"n":1}');
add(order(3000)) for 1 .. 3;
my $ids = join ' ', map { $reader{'/ws'}->take('event')->{id} } 1 .. 4;
my $back = ws('/ws', last_event_id => $last);
is($back->take('connected')->{data}{recovery}, 'resumed', 'who comes back');
is(join(' ', $last, map { my $m = $back->take('event'); $m->{deflated} ? $m->{id} : 'plain' } 1 .. 3), $ids,
    'has what it missed compressed');
my $two = $reader{'/two'};
my ($from) = map { $two->take('event')->{id} } 1;
$two->take('event') for 1 .. 3;
add(order(3000), "$key-2");
$two->take('event');
my $back_two = ws('/two', last_event_id => $from);
is($back_two->take('connected')->{data}{recovery}, 'resumed', 'with a position in two streams');
ok(!(grep { !$back_two->take('event') } 1 .. 4), 'has what it missed, with ids of its own');
add(order(3000));
ok($back_two->take('event')->{deflated} && $two->take('event')->{deflated}, 'and what is new like all others');
is($back_two->fault, '', 'nothing was wrong');

# --- who is slow --------------------------------------------------------------------------------

$_->close for values %reader, $back, $back_two;
$redis->all_read;
my ($slow, $fast) = map { connected('/all', bulk => 1) } 1, 2;
$slow->{paused} = 1;
my $noise = join '', map { chr(35 + ($_ * 7919 ^ $_ >> 3) % 57) } 1 .. 200_000;
my @sent = map { add(qq("$_$noise")) } 1 .. 20;
my $has_all = sub { ($_[0]{messages}[-1]{id} // '') eq $sent[-1] };
ok($fast->wait($has_all), 'what fills a socket');
delete $slow->{paused};
ok($slow->wait($has_all), 'comes to who did not read');
is(join(' ', map { $_->{id} } grep { $_->{type} eq 'event' } $slow->messages), join(' ', @sent), 'once, in order');
ok(!(grep { $_->{type} eq 'event' && !$_->{deflated} } $slow->messages) && !$slow->fault, 'as whole frames');

# --- what clients say ---------------------------------------------------------------------------

my $PING = '{"type":"ping"}';

# What the server answers to these bytes: types, pongs, then how it closes, or `open`.
sub talk
{
    my ($bytes, %r) = @_;
    my $ws = connected('/small', mute => 1, %r);
    $ws->send_bytes($_) for $r{how} ? unpack("(a$r{how})*", $bytes) : $bytes;
    $ws->send_frame(PING, 'the last');
    $ws->wait(sub { $_[0]->ended || defined $_[0]->close_code
        || grep { $_->[0] == PONG && $_->[1] eq 'the last' } $_[0]->frames });
    my @said = map { $_->[0] == PONG ? "pong:$_->[1]" : $_->[0] == TEXT ? json_of($_->[1])->{type} : () }
        grep { $_->[1] ne 'the last' } $ws->frames;
    shift @said; # connected
    push @said, $ws->fault || (), defined $ws->close_code || $ws->ended ? $ws->end_said : 'open';
    $ws->close;
    return join ' ', @said;
}

sub frame { return Ragline::WebSocket::frame(@_) }
sub packed { return Ragline::WebSocket::deflated(@_) }

my $small = packed($PING);
my $whole = frame(TEXT, $small, rsv => DEFLATED);
my ($one, $rest) = unpack 'a5a*', $small;
my $two_parts = frame(TEXT, $one, rsv => DEFLATED, fin => 0) . frame(PING, 'p') . frame(MORE, $rest);
is(talk($whole), 'pong open', 'compressed');
is(talk($whole . frame(TEXT, $PING) . $whole), 'pong pong pong open', 'and not, as they like');
is(talk($two_parts . $whole), 'pong:p pong pong open', 'in fragments, with a ping between');
is(talk($two_parts . $whole, how => 1), 'pong:p pong pong open', 'byte by byte');
is(talk(frame(TEXT, "\0", rsv => DEFLATED)), 'error open', 'a text of no bytes');
my $full = '{"type":"ping","x":"' . 'x' x (1024 - 22) . '"}';
is(length $full, 1024, 'as large as may be');
is(talk(frame(TEXT, packed($full), rsv => DEFLATED)), 'pong open', 'is taken');
is(talk(frame(TEXT, packed("$full "), rsv => DEFLATED)), '1009 too_big', 'one byte more is not');
is(talk(frame(TEXT, packed("\0" x 16_000_000), rsv => DEFLATED, claim => 1025)), '1009 too_big', 'nor is more that comes');
is(talk(frame(TEXT, packed("\0" x 900_000), rsv => DEFLATED)), '1009 too_big', 'a bomb');
is(talk(frame(TEXT, "\xff\xff\xff", rsv => DEFLATED)), '1007 protocol', 'what is not compressed');
is(talk(frame(TEXT, substr($small, 0, -3), rsv => DEFLATED)), '1007 protocol', 'what ends too early');
is(talk(frame(TEXT, packed("{\"type\":\"\xff\"}"), rsv => DEFLATED)), '1007 protocol', 'what is not UTF-8');
is(talk(frame(TEXT, packed("\"\xe2\x82"), rsv => DEFLATED)), '1007 protocol', 'a text that ends within a character');
is(talk(frame(BINARY, $small, rsv => DEFLATED)), '1003 only text messages', 'binary');
is(talk(frame(TEXT, '{', fin => 0) . frame(MORE, $rest, rsv => DEFLATED)), '1002 protocol', 'the bit in a later fragment');
is(talk(frame(PING, '', rsv => DEFLATED)), '1002 protocol', 'in a ping');
is(talk(frame(TEXT, $small, rsv => 2)), '1002 protocol', 'another bit');
is(talk(frame(TEXT, $small, rsv => 6)), '1002 protocol', 'one too many');
is(talk($whole, deflate => undef), '1002 protocol', 'what was not agreed on');
is(talk($whole, deflate => 'permessage-deflate; server_max_window_bits=9'), '1002 protocol', 'or was declined');

# --- what it costs to be connected --------------------------------------------------------------

# What the children have for themselves, in bytes.
sub private_memory
{
    my $sum = 0;
    for my $pid ($httpd->children) {
        $sum += $_ for slurp("/proc/$pid/smaps_rollup") =~ /^Private_\w+:\s+(\d+)/mg;
    }
    return 1024 * $sum;
}

# So many more connections, of which each has had and said something compressed, if it may.
sub memory_of
{
    my ($n, $offer) = @_;
    my $before = private_memory();
    my @many = map { connected('/ws', deflate => $offer, bulk => 1) } 1 .. $n;
    my $id = add(order(2000));
    $_->wait(sub { ($_[0]{messages}[-1]{id} // '') eq $id }) for @many;
    $_->send_bytes(defined $offer ? $whole : frame(TEXT, $PING)) for @many;
    ok(!(grep { !$_->take('pong') } @many), "$n " . ($offer // 'plain'));
    my $each = (private_memory() - $before) / $n;
    return ($each, @many);
}

# zlib's state would be 7 KB at least. The allocator's own pages are more than what is looked for.
if (full() && !$ENV{RAGLINE_TEST_SANITIZE}) {
    # The first ones make what is made once.
    my (undef, @first) = memory_of(500, 'permessage-deflate');
    my ($plain, @plain) = memory_of(1000, undef);
    my ($deflate, @deflate) = memory_of(1000, 'permessage-deflate');
    cmp_ok($deflate, '<', $plain + 500, 'a connection is as small as without compression');
    diag(sprintf 'private memory of a connection: plain %.0f bytes, with compression %.0f', $plain, $deflate);
}

$httpd->stop;
done_testing();
