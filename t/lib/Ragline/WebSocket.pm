# SPDX-License-Identifier: Apache-2.0
#
# A WebSocket client (RFC 6455) that keeps every frame and can send any, also those that are wrong.
# It judges the server's frames strictly: not masked, no reserved bits, lengths in their shortest
# form, text in UTF-8, compressed only where that was agreed on; what is not so is in `fault`.
package Ragline::WebSocket;

use strict;
use warnings;

use Compress::Raw::Zlib ();
use Digest::SHA ();
use JSON::PP ();
use MIME::Base64 ();
use Time::HiRes ();

use Ragline::Events qw(pump);
use Ragline::HTTP ();
use Ragline::Proc ();

our @ISA = ('Ragline::Events');

my $GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
my $json = JSON::PP->new->utf8->allow_nonref->canonical;

use constant { CONTINUED => 0, TEXT => 1, BINARY => 2, CLOSE => 8, PING => 9, PONG => 10 };

my $serial = 0;

# open(port => ..., path => ..., token, headers, protocols, last_event_id, tls, extra, mute, bulk, deflate).
# `extra` is sent with the handshake, in the same write; a `mute` one answers no ping, and no close; a
# `bulk` one keeps of its messages only their type and id, for very many; `deflate` is what it offers as
# Sec-WebSocket-Extensions.
sub open
{
    my ($class, %r) = @_;
    my $key = $r{key} // MIME::Base64::encode_base64(pack('NNNN', $$, ++$serial, 1, 2), '');
    my @headers = (Upgrade => 'websocket', Connection => 'Upgrade', 'Sec-WebSocket-Key' => $key,
        'Sec-WebSocket-Version' => 13, @{ $r{headers} // [] });
    push @headers, 'Sec-WebSocket-Protocol' => $r{protocols} if defined $r{protocols};
    push @headers, 'Last-Event-ID' => $r{last_event_id} if defined $r{last_event_id};
    push @headers, 'Sec-WebSocket-Extensions' => $r{deflate} if defined $r{deflate};
    my $socket = Ragline::HTTP::connect_to(%r);
    my $self = bless {
        socket => $socket, fd => fileno($socket), port => $r{port}, tls => $r{tls},
        http => Ragline::HTTP->new, buffer => '', frames => [], messages => [], taken => 0,
        ended => '', mute => $r{mute}, bulk => $r{bulk},
        accept => MIME::Base64::encode_base64(Digest::SHA::sha1("$key$GUID"), ''),
    }, $class;
    my $bytes = Ragline::HTTP::request_bytes(%r, headers => \@headers, body => undef);
    syswrite($socket, $bytes) == length($bytes) or die "the handshake was not taken: $!\n";
    return $self->watch;
}

# Bytes of a frame as a client sends it: fin, rsv, mask (4 bytes; '' for none), length (a form to
# claim it in: 7, 16, 64).
sub frame
{
    my ($opcode, $payload, %o) = @_;
    my $len = $o{claim} // length $payload;
    my $mask = $o{mask} // pack('N', 0x37fa213d);
    my $masked = $mask eq '' ? 0 : 0x80;
    my $form = $o{form} // ($len < 126 ? 7 : $len < 65536 ? 16 : 64);
    my $head = pack('C', ($o{fin} // 1) << 7 | ($o{rsv} // 0) << 4 | $opcode);
    $head .= $form == 7 ? pack('C', $masked | $len)
        : $form == 16 ? pack('Cn', $masked | 126, $len) : pack('CQ>', $masked | 127, $len);
    return $head . $payload if $mask eq '';
    return $head . $mask . ($payload ^ substr($mask x (length($payload) / 4 + 1), 0, length $payload));
}

# The message compressed by itself, as permessage-deflate has it (RFC 7692, 7.2.1).
sub deflated
{
    my ($text) = @_;
    my ($d, $status) = Compress::Raw::Zlib::Deflate->new(-WindowBits => -15, -AppendOutput => 1);
    my $out = '';
    $d->deflate($text, $out) == 0 && $d->flush($out, Compress::Raw::Zlib::Z_SYNC_FLUSH()) == 0
        or die "zlib: $status";
    substr($out, -4, 4, '') eq "\0\0\xff\xff" or die 'no flush';
    return $out;
}

sub inflated
{
    my ($bytes) = @_;
    my ($i) = Compress::Raw::Zlib::Inflate->new(-WindowBits => -15, -AppendOutput => 1, -ConsumeInput => 0);
    my $out = '';
    my $status = $i->inflate($bytes . "\0\0\xff\xff", $out);
    return $status == Compress::Raw::Zlib::Z_OK() || $status == Compress::Raw::Zlib::Z_BUF_ERROR() ? $out : undef;
}

# Whether permessage-deflate was agreed on.
sub may_deflate
{
    my ($self) = @_;
    return $self->{may_deflate} //= ($self->header('Sec-WebSocket-Extensions') // '') =~ /^permessage-deflate\b/ ? 1 : 0;
}

sub send_frame
{
    my ($self, @frame) = @_;
    return $self->send_bytes(frame(@frame));
}

# The object as JSON, or the text as it is.
sub send_text
{
    my ($self, $what) = @_;
    return $self->send_frame(TEXT, ref($what) ? $json->encode($what) : $what);
}

sub send_close
{
    my ($self, $code, $reason) = @_;
    return $self->send_frame(CLOSE, defined $code ? pack('n', $code) . ($reason // '') : '');
}

# Nothing more is said, and what comes is read.
sub end_of_words
{
    my ($self) = @_;
    return shutdown $self->{socket}, 1;
}

# All of them, however long that takes; 0 where the peer is gone.
sub send_bytes
{
    my ($self, $bytes) = @_;
    my $deadline = Time::HiRes::time() + Ragline::Proc::limit();
    while (length $bytes) {
        return 0 if !$self->{socket} || Time::HiRes::time() > $deadline;
        my $n = syswrite($self->{socket}, $bytes, 16384);
        if ($n) {
            substr($bytes, 0, $n, '');
            next;
        }
        return 0 if !defined($n) && !$!{EAGAIN} && !$!{EINTR} && !$!{EWOULDBLOCK};
        pump(0.05);
    }
    return 1;
}

sub status { return $_[0]{http}->status }
sub header { return $_[0]{http}->header($_[1]) }
sub body { return $_[0]{http}->body }
sub json { return $_[0]{http}->json }
sub fault { return $_[0]{fault} // '' }
sub frames { return @{ $_[0]{frames} } }
sub messages { return @{ $_[0]{messages} } }
sub heard { return $_[0]{messages} }
sub type_of { return $_[1]{type} }

# Whether the answer is that to our key.
sub accepted
{
    my ($self) = @_;
    $self->wait(sub { $_[0]->status || $_[0]{ended} });
    return $self->status == 101 && ($self->header('sec-websocket-accept') // '') eq $self->{accept};
}

# The close frame: its code (0: without one), its reason; undef where there was none.
sub close_code { return $_[0]{close_code} }
sub close_reason { return $_[0]{close_reason} }

# The next frame with this opcode; `take` takes messages: their JSON, with {raw}.
sub take_frame
{
    my ($self, $opcode, $seconds) = @_;
    my $found;
    $self->wait(sub {
        ($found) = grep { $_->[0] == $opcode && !$_->[2]++ } @{ $self->{frames} };
        return $found || $self->{ended};
    }, $seconds);
    return $found;
}

# Waits for the end; "CODE REASON" of its close frame, or how it ended without one.
sub wait_close
{
    my ($self, $seconds) = @_;
    $self->wait(sub { $_[0]{ended} }, $seconds);
    return $self->{ended} ? $self->end_said : 'open';
}

# The same of what has come so far.
sub end_said
{
    my ($self) = @_;
    return $self->{ended} if !defined $self->{close_code};
    return join ' ', $self->{close_code}, length $self->{close_reason} ? $self->{close_reason} : ();
}

sub read_some
{
    my ($self) = @_;
    while ($self->{socket}) {
        my $n = sysread($self->{socket}, my $bytes, 262_144);
        if ($n) {
            $self->take_bytes($bytes);
            return if !$self->{tls};
            next;
        }
        return if !defined($n) && ($!{EAGAIN} || $!{EINTR} || $!{EWOULDBLOCK});
        $self->{ended} = defined($n) ? 'eof' : 'reset';
        $self->close;
    }
    return;
}

sub take_bytes
{
    my ($self, $bytes) = @_;
    my $http = $self->{http};
    $http->feed($bytes);
    if ($http->status && $http->status != 101) {
        $self->{ended} = 'refused' if $http->done;
        $self->close if $http->done;
        return;
    }
    $self->{buffer} .= $http->{body};
    $http->{body} = '';
    $self->take_frames;
    return;
}

sub take_frames
{
    my ($self) = @_;
    while (length $self->{buffer} >= 2) {
        my ($first, $second) = unpack 'CC', $self->{buffer};
        my ($head, $len) = (2, $second & 127);
        ($head, $len) = $len == 126 ? (4, unpack 'x2n', $self->{buffer} . "\0" x 2)
            : $len == 127 ? (10, unpack 'x2Q>', $self->{buffer} . "\0" x 8) : ($head, $len);
        return if length $self->{buffer} < $head || length $self->{buffer} < $head + $len;
        $self->{fault} = 'masked' if $second & 128;
        my $deflated = $first == (0xC0 | TEXT) && $self->may_deflate;
        $self->{fault} = 'reserved bits, or not the last fragment' if !$deflated && ($first & 0xF0) != 0x80;
        $self->{fault} = 'length' if $head == 4 && $len < 126 || $head == 10 && $len < 65536;
        my $payload = substr $self->{buffer}, $head, $len;
        substr $self->{buffer}, 0, $head + $len, '';
        $self->{fault} = 'after a close frame' if defined $self->{close_code};
        if ($deflated) {
            $self->{deflated} = length $payload;
            $payload = inflated($payload) // '';
            $self->{fault} = 'a message that is no larger when it is inflated' if length $payload <= $self->{deflated};
        }
        $self->take_frame_of($first & 15, $payload);
        delete $self->{deflated};
    }
    return;
}

sub take_frame_of
{
    my ($self, $opcode, $payload) = @_;
    if ($opcode == TEXT && $self->{bulk}) {
        my ($type, $id) = $payload =~ /\A\{"type":"(\w+)".*?(?:"id":"([^"]+)")?\}\z/s;
        $self->{fault} = "no message: $payload" if !defined $type;
        push @{ $self->{messages} }, { type => $type, id => $id, deflated => $self->{deflated} };
        return;
    }
    push @{ $self->{frames} }, [$opcode, $payload];
    if ($opcode == TEXT) {
        my $message = eval { $json->decode($payload) };
        $self->{fault} = "no JSON: $payload" if ref $message ne 'HASH';
        push @{ $self->{messages} }, { %{ $message // {} }, raw => $payload, at => Time::HiRes::time(),
            deflated => $self->{deflated} };
    }
    elsif ($opcode == PING) {
        $self->send_frame(PONG, $payload) if !$self->{mute};
    }
    elsif ($opcode == CLOSE) {
        $self->{close_code} = length $payload ? unpack 'n', $payload : 0;
        $self->{close_reason} = substr $payload, length $payload ? 2 : 0;
        $self->send_frame(CLOSE, substr $payload, 0, 2) if !$self->{mute} && !$self->{said_close}++;
    }
    elsif ($opcode != PONG) {
        $self->{fault} = "opcode $opcode";
    }
    return;
}

1;
