# SPDX-License-Identifier: Apache-2.0
#
# RFC 6455 frame by frame: what a server has to take, and what it has to refuse, and how. The numbers
# are those of the sections of the Autobahn test suite whose cases these are like: 1 framing, 2 pings and
# pongs, 3 reserved bits, 4 opcodes, 5 fragments, 6 UTF-8, 7 closing, 9 sizes, 12 compressed messages. A message that was taken is
# known by its answer: the server repeats a type that it does not know. With RAGLINE_TEST_FULL each
# case is shown to servers by others as well (t/peers), which answer the same; the table at the end has
# what each of them made of it.
use strict;
use warnings;
use utf8;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Peers qw(websocket_servers);
use Ragline::Test;
use Ragline::WebSocket ();

my $redis = redis_a();
my $most = (full() ? 16384 : 256) * 1024;
my $token = token(unique('frames'), 7);
my $location = websocket_location('/ws', 'RaglineSubscribe orders', 'RaglineHeartbeat off');
my $httpd = Ragline::Httpd->new(name => 'frames', conf => <<"EOF2")->start;
RaglineRedis @{[ $redis->url ]}
RaglineStream orders @{[ unique('ragline:frames') ]}
RaglineWebSocketMaxMessage @{[ $most / 1024 ]}KB
$location
EOF2

binmode(Test::More->builder->$_, ':utf8') for qw(output failure_output);

use constant { MORE => 0, TEXT => 1, BINARY => 2, CLOSE => 8, PING => 9, PONG => 10 };
my $PING = '{"type":"ping"}';

sub connect_one
{
    my ($port, $offer) = @_;
    my $ws = Ragline::WebSocket->open(port => $port // $httpd->port, path => '/ws', token => $token, mute => 1,
        deflate => $offer);
    $ws->take('connected') or die 'no connection';
    return $ws;
}

# What the server at $port sends back: frames as "pong:PAYLOAD", "TYPE" of messages, then how it closes, or
# `open` if it answers what comes last. `how`: bytes a write, each a packet of its own if they are few;
# `offer`: of extensions.
sub talk
{
    my ($bytes, $port, %o) = @_;
    my $how = $o{how};
    my $ws = connect_one($port, $o{offer});
    $ws->{frames} = [];
    my $sent = 1;
    for my $part ($how ? unpack("(a$how)*", $bytes) : $bytes) {
        $sent &&= $ws->send_bytes($part);
        Ragline::WebSocket::pump(0) if $how;
    }
    $ws->send_frame(PING, 'the last');
    # Others answer pings before the messages that came first. After a close each waits for ours.
    $ws->send_frame(TEXT, echo('the last')) if $port;
    $ws->wait(sub {
        return 1 if $_[0]->ended || defined $_[0]->close_code;
        return (grep { $_->[0] == PONG && $_->[1] eq 'the last' } $_[0]->frames)
            && (!$port || grep { $_->[1] =~ /type: the last"/ } $_[0]->frames);
    });
    my @said;
    for my $frame ($ws->frames) {
        my ($opcode, $payload) = @$frame;
        push @said, "pong:$payload" if $opcode == PONG && $payload ne 'the last';
        if ($opcode == TEXT) {
            my $message = json_of($payload);
            push @said, $message->{type} eq 'error'
                ? $message->{message} =~ s/^Unknown message type: //r : $message->{type};
        }
    }
    @said = grep { $_ ne 'the last' } @said if $port;
    # Others compress also what becomes larger by it.
    push @said, $ws->fault if $ws->fault && !($port && $ws->fault =~ /no larger/);
    push @said, defined $ws->close_code || $ws->ended ? $ws->end_said : 'open';
    $ws->close;
    return join ' ', @said;
}

sub frame { return Ragline::WebSocket::frame(@_) }

# One that is answered by `pong`, of so many bytes.
sub ping_of { return '{"type":"ping","x":"' . 'x' x ($_[0] - 22) . '"}' }

# A message with this text as its type, to be repeated.
sub echo { return '{"type":"' . $_[0] . '"}' }

# --- servers by others ----------------------------------------------------------------------------

# With them each case is shown to be no matter of our own reading. What they do does not depend on our MPM.
my %peer = full() && vars('mpm') eq 'event' ? websocket_servers($most) : ();
my @table;

# What is compared with others: messages in whatever order if it stays open, else the close code alone.
# Its reason is theirs, and so is whether an answer still gets out before it.
sub verdict
{
    my ($answer) = @_;
    return join ' ', sort split / /, $answer if $answer =~ /(?:^| )open$/;
    return $answer =~ s/^(?:.* )?(\d{1,4})(?: \D.*|)$/$1/sr;
}

# One case: our $answer to the bytes, word by word, and the verdict of others. What is `differs` of a name
# is what that one may do, too, and does; `rest`: a server may wait for it before it refuses.
sub is_case
{
    my ($case, $name, $bytes, $answer, %o) = @_;
    my $got = talk($bytes, undef, %o);
    is($got, $answer, "$case $name");
    my @row = ($got);
    for my $peer (sort keys %peer) {
        my $theirs = talk($bytes . ($o{rest} // ''), $peer{$peer}, %o);
        my $want = ($o{differs} // {})->{$peer} // verdict($answer);
        is(verdict($theirs), $want, "$case by $peer");
        push @row, $theirs;
    }
    @row = map { /open$/ ? 'taken' : verdict($_) } @row;
    push @row, 'they, when it is whole' if $o{rest};
    push @row, 'they may' if $o{differs};
    push @table, ["$case $name", @row] if %peer;
    return;
}

sub good
{
    my ($case, $name, $bytes, $answer, %o) = @_;
    return is_case($case, $name, $bytes, length $answer ? "$answer open" : 'open', %o);
}

# Refused with this code, after what it has `before`.
sub bad
{
    my ($case, $name, $bytes, $code, %o) = @_;
    my %word = (1002 => 'protocol', 1003 => 'only text messages', 1007 => 'protocol', 1009 => 'too_big');
    return is_case($case, $name, $bytes, join(' ', $o{before} // (), $code, $word{$code}), %o);
}

# --- 1 framing ----------------------------------------------------------------------------------

my $n = 0;
good('1.1.' . ++$n, 'a text of no bytes', frame(TEXT, ''), 'Invalid JSON message');
for my $size (125, 126, 127, 128, 65535, 65536) {
    good('1.1.' . ++$n, "a text of $size bytes", frame(TEXT, ping_of($size)), 'pong');
}
good('1.1.' . ++$n, '65536 bytes in pieces of 997', frame(TEXT, ping_of(65536)), 'pong', how => 997);
good('1.1.' . ++$n, 'byte by byte', frame(TEXT, '{"type":"ping","x":"' . 'x' x 200 . '"}'), 'pong', how => 1);
good('1.1.' . ++$n, 'many in one write', frame(TEXT, $PING) x 500, join ' ', ('pong') x 500);
good('1.1.' . ++$n, 'a mask of zeros', frame(TEXT, $PING, mask => "\0" x 4), 'pong');
$n = 0;
bad('1.2.' . ++$n, "binary of $_ bytes", frame(BINARY, 'x' x $_), 1003) for 0, 125, 126, 65536;
$n = 0;
bad('1.3.' . ++$n, 'not masked', frame(TEXT, $PING, mask => ''), 1002);
bad('1.3.' . ++$n, 'a ping that is not masked', frame(PING, '', mask => ''), 1002);
# Who sends has to use as few as it can; who receives may leave it at that. We do not: it is no client then.
my @lenient = (differs => { map { $_ => 'open pong' } keys %peer });
bad('1.3.' . ++$n, 'a length in more bytes than it needs', frame(TEXT, $PING, form => 16), 1002, @lenient);
bad('1.3.' . ++$n, 'in many more', frame(TEXT, $PING, form => 64), 1002, @lenient);
bad('1.3.' . ++$n, '65535 as if it were larger', frame(TEXT, ping_of(65535), form => 64), 1002, @lenient);
# The first bit has to be 0. To others such a length is too large before it is wrong.
bad('1.3.' . ++$n, 'a length of 64 bits', frame(TEXT, '', form => 64, claim => 1 << 63), 1002,
    differs => { map { $_ => '1009' } keys %peer });
bad('1.3.' . ++$n, 'one byte more than may be, refused before it comes', frame(TEXT, '', claim => $most + 1), 1009);
bad('1.3.' . ++$n, 'in two fragments', frame(TEXT, '"' . 'x' x ($most - 1), fin => 0) . frame(MORE, '', claim => 1), 1009);

# --- 2 pings and pongs --------------------------------------------------------------------------

$n = 0;
good('2.' . ++$n, 'an empty ping', frame(PING, ''), 'pong:');
good('2.' . ++$n, 'a ping', frame(PING, 'Hello, world!'), 'pong:Hello, world!');
good('2.' . ++$n, 'bytes', frame(PING, "\0\xff\xfe\xfd\xfc\xfb\0\xff"), "pong:\0\xff\xfe\xfd\xfc\xfb\0\xff");
good('2.' . ++$n, '125 bytes', frame(PING, "\xfe" x 125), 'pong:' . "\xfe" x 125);
bad('2.' . ++$n, '126 bytes', frame(PING, "\xfe" x 126), 1002);
good('2.' . ++$n, '125 bytes, one by one', frame(PING, "\xfe" x 125), 'pong:' . "\xfe" x 125, how => 1);
good('2.' . ++$n, 'a pong that nobody asked for', frame(PONG, ''), '');
good('2.' . ++$n, 'with a payload', frame(PONG, 'unasked'), '');
good('2.' . ++$n, 'and a ping', frame(PONG, 'unasked') . frame(PING, 'p'), 'pong:p');
my @ten = map { "payload-$_" } 0 .. 9;
good('2.' . ++$n, 'ten pings', join('', map { frame(PING, $_) } @ten), join ' ', map { "pong:$_" } @ten);
good('2.' . ++$n, 'byte by byte', join('', map { frame(PING, $_) } @ten), join(' ', map { "pong:$_" } @ten), how => 1);

# --- 3 reserved bits ----------------------------------------------------------------------------

$n = 0;
bad('3.' . ++$n, "bits $_ of a text", frame(TEXT, $PING) . frame(TEXT, $PING, rsv => $_) . frame(PING, ''), 1002, before => 'pong')
    for 1 .. 5;
bad('3.' . ++$n, 'of a ping', frame(PING, '', rsv => 6), 1002);
bad('3.' . ++$n, 'of a close', frame(CLOSE, '', rsv => 7), 1002);
bad('3.' . ++$n, 'byte by byte', frame(TEXT, $PING, rsv => 4), 1002, how => 1);

# --- 4 opcodes ----------------------------------------------------------------------------------

$n = 0;
bad('4.1.' . ++$n, "opcode $_", frame($_, $n % 2 ? 'x' : ''), 1002) for 3 .. 7;
$n = 0;
bad('4.2.' . ++$n, "opcode $_", frame(TEXT, $PING) . frame($_, $n % 2 ? 'x' : ''), 1002, before => 'pong') for 11 .. 15;

# --- 5 fragments --------------------------------------------------------------------------------

$n = 0;
my ($head, $tail) = ('{"type":', '"ping"}');
bad('5.' . ++$n, 'a ping in two fragments', frame(PING, 'a', fin => 0) . frame(MORE, 'b'), 1002);
bad('5.' . ++$n, 'a pong', frame(PONG, 'a', fin => 0) . frame(MORE, 'b'), 1002);
good('5.' . ++$n, 'a text', frame(TEXT, $head, fin => 0) . frame(MORE, $tail), 'pong');
good('5.' . ++$n, 'in two writes', frame(TEXT, $head, fin => 0) . frame(MORE, $tail), 'pong', how => 14);
good('5.' . ++$n, 'byte by byte', frame(TEXT, $head, fin => 0) . frame(MORE, $tail), 'pong', how => 1);
good('5.' . ++$n, 'with a ping between', frame(TEXT, $head, fin => 0) . frame(PING, 'p') . frame(MORE, $tail), 'pong:p pong');
good('5.' . ++$n, 'byte by byte', frame(TEXT, $head, fin => 0) . frame(PING, 'p') . frame(MORE, $tail), 'pong:p pong', how => 1);
good('5.' . ++$n, 'with pings of all lengths', join('', frame(TEXT, $head, fin => 0),
    (map { frame(PING, 'x' x $_) } 0 .. 125), frame(MORE, $tail)), join ' ', (map { 'pong:' . 'x' x $_ } 0 .. 125), 'pong');
bad('5.' . ++$n, 'more of nothing', frame(MORE, 'more') . frame(TEXT, $PING), 1002);
bad('5.' . ++$n, 'not the last of nothing', frame(MORE, 'more', fin => 0) . frame(TEXT, $PING), 1002);
bad('5.' . ++$n, 'more after the last', frame(TEXT, $head, fin => 0) . frame(MORE, $tail) . frame(MORE, 'x'), 1002, before => 'pong');
bad('5.' . ++$n, 'a text within a text', frame(TEXT, $head, fin => 0) . frame(TEXT, $tail), 1002);
bad('5.' . ++$n, 'after a fragment of no bytes, too', frame(TEXT, '', fin => 0) . frame(TEXT, $tail), 1002);
good('5.' . ++$n, 'fragments of no bytes', frame(TEXT, '', fin => 0) . frame(MORE, '', fin => 0) x 3
    . frame(MORE, $PING, fin => 0) . frame(MORE, ''), 'pong');
good('5.' . ++$n, 'a message without bytes', frame(TEXT, '', fin => 0) . frame(MORE, ''), 'Invalid JSON message');
good('5.' . ++$n, 'one byte each', join('', frame(TEXT, '{', fin => 0),
    (map { frame(MORE, $_, fin => 0) } split //, substr $PING, 1), frame(MORE, '')), 'pong');
good('5.' . ++$n, 'two messages, pings between and after', join('', map { frame(TEXT, $head, fin => 0) . frame(PING, 'a')
    . frame(MORE, $tail) . frame(PING, 'b') } 1, 2), 'pong:a pong pong:b pong:a pong pong:b');

# --- 6 UTF-8 ------------------------------------------------------------------------------------

$n = 0;
for my $text ('Hello-µ@ßöäüàá-UTF-8!!', "\x{7f}", "\x{80}", "\x{7ff}", "\x{800}", "\x{fff}", "\x{1000}", "\x{cfff}",
    "\x{d000}", "\x{d7ff}", "\x{e000}", "\x{fffd}", "\x{ffff}", "\x{10000}", "\x{3ffff}", "\x{40000}", "\x{fffff}",
    "\x{100000}", "\x{10ffff}", "\x{fdd0}κόσμε", 'שלום') {
    utf8::encode(my $bytes = $text); # Encode would leave out what are no characters
    my $whole = echo($bytes);
    $n++;
    my $character = sprintf 'U+%04X', ord $text;
    good("6.1.$n", $character, frame(TEXT, $whole), $text);
    good("6.2.$n", "$character in fragments", join('', frame(TEXT, '', fin => 0),
        (map { frame(MORE, $_, fin => 0) } unpack '(a1)*', $whole), frame(MORE, '')), $text);
}
$n = 0;
for my $bytes ("\x80", "\xbf", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\xaf",
    "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80", "\xfe", "\xff",
    "\xc3(", "\xe2\x82(", "\xf0\x9f\x98(", "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65") {
    my $name = join ' ', map { sprintf '%02x', ord } split //, $bytes;
    bad('6.3.' . ++$n, $name, frame(TEXT, echo($bytes)), 1007);
    bad("6.4.$n", 'refused before the rest of the message comes', frame(TEXT, echo($bytes), fin => 0), 1007, rest => frame(MORE, ''));
}
bad('6.5.1', 'the end of a text within a character', frame(TEXT, "\"\xc3"), 1007);
bad('6.5.2', 'of one in fragments', frame(TEXT, "\"\xe2\x82", fin => 0) . frame(MORE, ''), 1007);
bad('6.5.3', 'the first bytes of a frame are judged when they come', substr(frame(TEXT, "\"\xff" . 'x' x 1000), 0, 20), 1007,
    rest => substr frame(TEXT, "\"\xff" . 'x' x 1000), 20);
good('6.5.4', 'a character around a ping', frame(TEXT, '{"type":"' . "\xe2", fin => 0) . frame(PING, "\xff") . frame(MORE, "\x82\xac\"}"),
    "pong:\xff €");

# --- 7 closing ----------------------------------------------------------------------------------

sub closes { return is_case(@_) }
closes('7.1.1', 'after a message', frame(TEXT, $PING) . frame(CLOSE, pack 'n', 1000), 'pong 1000');
closes('7.1.2', 'twice', frame(CLOSE, pack 'n', 1000) x 2, '1000');
closes('7.1.3', 'a ping behind it', frame(CLOSE, pack 'n', 1000) . frame(PING, ''), '1000');
closes('7.1.4', 'a text behind it', frame(CLOSE, pack 'n', 1000) . frame(TEXT, $PING), '1000');
closes('7.1.5', 'within a message', frame(TEXT, $head, fin => 0) . frame(CLOSE, pack 'n', 1000) . frame(MORE, $tail), '1000');
closes('7.1.6', 'what is wrong behind it', frame(CLOSE, pack 'n', 1000) . "\xff" x 100, '1000');
# Who is closed without a code has none to repeat: we say 1000, others say none, either may be.
closes('7.3.1', 'no payload', frame(CLOSE, ''), '1000', differs => { map { $_ => '0' } keys %peer });
closes('7.3.2', 'one byte', frame(CLOSE, 'x'), '1002 protocol');
closes('7.3.3', 'a code', frame(CLOSE, pack 'n', 1000), '1000');
closes('7.3.4', 'and a reason', frame(CLOSE, pack('n', 1000) . 'Hello World!'), '1000');
closes('7.3.5', 'of 123 bytes', frame(CLOSE, pack('n', 1000) . '*' x 123), '1000');
closes('7.3.6', 'of 124', frame(CLOSE, pack('n', 1000) . '*' x 124), '1002 protocol');
closes('7.5.1', 'that is not UTF-8', frame(CLOSE, pack('n', 1000) . "\xce\xba\xed\xa0\x80"), '1007 protocol');
closes('7.5.2', 'in two fragments', frame(CLOSE, pack('n', 1000), fin => 0), '1002 protocol');
$n = 0;
closes('7.7.' . ++$n, $_, frame(CLOSE, pack 'n', $_), $_)
    for 1000 .. 1003, 1007 .. 1011, 3000, 3999, 4000, 4999;
$n = 0;
closes('7.9.' . ++$n, $_, frame(CLOSE, pack 'n', $_), '1002 protocol')
    for 0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535;
my $ws = connect_one();
$ws->close('reset');
$ws = connect_one();
$ws->send_bytes(substr frame(TEXT, $PING), 0, 5);
$ws->close;
is(talk(frame(PING, 'still here')), 'pong:still here open', '7.13 who just leaves is nobody\'s trouble');


# --- 9 sizes --------------------------------------------------------------------------------------

if (full()) {
    my $KB = 1024;
    $n = 0;
    good('9.1.' . ++$n, "$_ KB in one frame", frame(TEXT, ping_of($_ * $KB)), 'pong')
        for 64, 256, 1024, 4096, 8192, 16384;
    $n = 0;
    bad('9.2.' . ++$n, "$_ KB, binary", frame(BINARY, 'x' x ($_ * $KB)), 1003) for 64, 4096, 16384;
    $n = 0;
    for my $size (64, 256, 1024, 4096, 16384, 65536, 1024 * $KB, 4096 * $KB) {
        my @parts = unpack "(a$size)*", ping_of(4096 * $KB);
        my @frames = map { frame($_ ? MORE : TEXT, $parts[$_], fin => $_ == $#parts) } 0 .. $#parts;
        good('9.3.' . ++$n, "4 MB in fragments of $size bytes", join('', @frames), 'pong');
    }
    $n = 0;
    good('9.5.' . ++$n, "1 MB in pieces of $_ bytes", frame(TEXT, ping_of(1024 * $KB)), 'pong', how => $_)
        for 64, 128, 256, 512, 1024, 2048;
    good('9.5.' . ++$n, '64 KB byte by byte', frame(TEXT, ping_of(64 * $KB)), 'pong', how => 1);
    $n = 0;
    good('9.7.' . ++$n, "1000 texts of $_ bytes", frame(TEXT, ping_of($_)) x 1000, join ' ', ('pong') x 1000)
        for 22, 64, 256, 1024, 4096, 16384;
}

# --- 12 compressed messages -------------------------------------------------------------------------

# Each by itself, in either direction: the only way that all servers agree on.
my @offered = (offer => 'permessage-deflate; server_no_context_takeover; client_no_context_takeover');
sub packed { return Ragline::WebSocket::deflated(@_) }
my $packed = packed($PING);
# Answered by `pong`, and no more than words get smaller by it: zlib looks back for 32 KB.
my $noise = join '', map { sprintf '%04x', $_ * 40_503 & 0xffff } 1 .. 16_384;
sub noise_of { return '{"type":"ping","x":"' . substr($noise x ($_[0] / 65_536 + 1), 0, $_[0] - 22) . '"}' }
my ($one, $two) = unpack 'a5a*', $packed;
my @z = (rsv => 4);
my $in_parts = frame(TEXT, $one, @z, fin => 0) . frame(PING, 'p') . frame(MORE, $two);
$n = 0;
good('12.1.' . ++$n, 'a message', frame(TEXT, $packed, @z), 'pong', @offered);
good('12.1.' . ++$n, 'and some that are not compressed', frame(TEXT, $packed, @z) . frame(TEXT, $PING) . frame(TEXT, $packed, @z),
    'pong pong pong', @offered);
good('12.1.' . ++$n, 'in fragments with a ping between', $in_parts, 'pong:p pong', @offered);
good('12.1.' . ++$n, 'byte by byte', $in_parts, 'pong:p pong', @offered, how => 1);
good('12.1.' . ++$n, 'no bytes', frame(TEXT, "\0", @z), 'Invalid JSON message', @offered);
good('12.1.' . ++$n, 'a text of many alphabets', frame(TEXT, packed(echo("\xce\xba\xe1\xbd\xb9\xe2\x82\xac")), @z),
    "\x{3ba}\x{1f79}\x{20ac}", @offered);
good('12.1.' . ++$n, 'as large as may be', frame(TEXT, packed(noise_of($most)), @z), 'pong', @offered);
bad('12.1.' . ++$n, 'one byte more', frame(TEXT, packed(noise_of($most + 1)), @z), 1009, @offered);
# We take what becomes fifty times as much, others what becomes as much as may be.
bad('12.1.' . ++$n, 'what becomes a hundred times as much', frame(TEXT, packed(ping_of(65536)), @z), 1009, @offered,
    differs => { map { $_ => 'open pong' } keys %peer });
bad('12.1.' . ++$n, 'what becomes four times as much as may be', frame(TEXT, packed("\0" x (4 * $most)), @z), 1009, @offered);
$n = 0;
# What cannot be inflated has no code of its own.
bad('12.2.' . ++$n, 'what is not compressed', frame(TEXT, "\xff\xff\xff", @z), 1007, @offered,
    differs => { websockets => '1002' });
# Others take what there is, and here it is no JSON.
bad('12.2.' . ++$n, 'what ends too early', frame(TEXT, substr($packed, 0, -3), @z), 1007, @offered,
    differs => { map { $_ => 'Invalid JSON message open' } keys %peer });
bad('12.2.' . ++$n, 'what is not UTF-8', frame(TEXT, packed("{\"type\":\"\xff\"}"), @z), 1007, @offered);
bad('12.2.' . ++$n, 'the end within a character', frame(TEXT, packed("\"\xe2\x82"), @z), 1007, @offered);
bad('12.2.' . ++$n, 'binary', frame(BINARY, $packed, @z), 1003, @offered);
bad('12.2.' . ++$n, 'the bit in a later fragment', frame(TEXT, $one, @z, fin => 0) . frame(MORE, $two, @z), 1002, @offered);
bad('12.2.' . ++$n, 'in a ping', frame(PING, '', @z), 1002, @offered);
bad('12.2.' . ++$n, "bits $_", frame(TEXT, $packed, rsv => $_), 1002, @offered) for 1, 2, 3, 5, 6, 7;
bad('12.2.' . ++$n, 'what was not agreed on', frame(TEXT, $packed, @z), 1002);
if (full()) {
    $n = 0;
    good('12.3.' . ++$n, "1000 messages of $_ bytes", frame(TEXT, packed(noise_of($_)), @z) x 1000,
        join(' ', ('pong') x 1000), @offered) for 22, 64, 256, 1024, 4096, 16384;
}

if (%peer) {
    diag(join ' | ', 'case', 'ours', sort keys %peer);
    diag(join ' | ', @$_) for @table;
}
$httpd->stop;
done_testing();
