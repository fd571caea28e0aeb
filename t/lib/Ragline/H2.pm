# SPDX-License-Identifier: Apache-2.0
#
# An HTTP/2 connection (RFC 9113) in clear, as far as tests need one: several requests beside each
# other, their bodies, and cancelling. Response headers are not decoded: what counts is in the bodies.
package Ragline::H2;

use strict;
use warnings;

use Time::HiRes ();

use Ragline::HTTP ();
use Ragline::Proc ();

my %type = (DATA => 0, HEADERS => 1, RST_STREAM => 3, SETTINGS => 4, PING => 6, GOAWAY => 7,
    WINDOW_UPDATE => 8);

# new(port => ..., frozen => 1): frozen never gives the server room for more.
sub new
{
    my ($class, %r) = @_;
    my $self = bless { socket => Ragline::HTTP::connect_to(%r), in => '', next => 1, body => {},
        ended => {}, frozen => $r{frozen}, port => $r{port} }, $class;
    my $settings = pack('nN', 2, 0);                        # no push
    $settings .= pack('nN', 4, 1 << 24) if !$r{frozen};     # a large window
    $self->write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . frame('SETTINGS', 0, 0, $settings));
    $self->write(frame('WINDOW_UPDATE', 0, 0, pack('N', 1 << 28))) if !$r{frozen};
    return $self;
}

sub frame
{
    my ($type, $flags, $stream, $payload) = @_;
    return substr(pack('N', length $payload), 1) . pack('CCN', $type{$type}, $flags, $stream)
        . $payload;
}

sub write
{
    my ($self, $bytes) = @_;
    return syswrite($self->{socket}, $bytes) == length $bytes;
}

# HPACK (RFC 7541): each header as a literal that nobody remembers.
sub string
{
    my ($text) = @_;
    my $n = length $text;
    return pack('C', $n) . $text if $n < 127;
    my $length = pack('C', 127);
    for ($n -= 127; $n >= 128; $n >>= 7) { $length .= pack('C', $n & 127 | 128) }
    return $length . pack('C', $n) . $text;
}

# Sends a GET; the number of its stream.
sub get
{
    my ($self, $path, %r) = @_;
    return $self->request(5, [':method', 'GET'], $path, %r);    # END_STREAM, END_HEADERS
}

# Asks for a WebSocket (RFC 8441).
sub websocket
{
    my ($self, $path, %r) = @_;
    return $self->request(4, [':method', 'CONNECT', ':protocol', 'websocket'], $path, %r,
        headers => ['sec-websocket-version', 13, @{ $r{headers} // [] }]);
}

sub request
{
    my ($self, $flags, $how, $path, %r) = @_;
    my $stream = $self->{next};
    $self->{next} += 2;
    my @headers = (@$how, ':scheme', 'http', ':authority', $r{authority} // "127.0.0.1:$self->{port}",
        ':path', $path, defined $r{token} ? (authorization => "Bearer $r{token}") : (), @{ $r{headers} // [] });
    my $block = '';
    while (my ($name, $value) = splice(@headers, 0, 2)) {
        $block .= "\0" . string($name) . string($value);
    }
    $self->{body}{$stream} = '';
    $self->write(frame('HEADERS', $flags, $stream, $block));
    return $stream;
}

sub say
{
    my ($self, $stream, $bytes) = @_;
    return $self->write(frame('DATA', 0, $stream, $bytes));
}

sub cancel
{
    my ($self, $stream) = @_;
    return $self->write(frame('RST_STREAM', 0, $stream, pack('N', 8)));
}

sub body { return $_[0]{body}{ $_[1] } }

# '' while it is open, 'end', 'reset' or 'closed' (the whole connection).
sub ended { return $_[0]{ended}{ $_[1] } // ($_[0]{closed} ? 'closed' : '') }

# Reads until the condition is true, and returns its value.
sub wait
{
    my ($self, $condition, $seconds) = @_;
    my $deadline = Time::HiRes::time() + Ragline::Proc::limit($seconds);
    while (1) {
        my $value = $condition->();
        return $value if $value;
        return if Time::HiRes::time() > $deadline;
        $self->read_some(0.1);
    }
}

sub read_some
{
    my ($self, $seconds) = @_;
    vec(my $ready = '', fileno($self->{socket}), 1) = 1;
    return select(undef, undef, undef, $seconds) if $self->{closed};
    return if select($ready, undef, undef, $seconds) <= 0;
    if (!sysread($self->{socket}, $self->{in}, 65536, length $self->{in})) {
        $self->{closed} = 1;
        return;
    }
    while (length $self->{in} >= 9) {
        my $n = unpack('N', "\0" . $self->{in});
        last if length $self->{in} < 9 + $n;
        my ($type, $flags, $stream) = unpack('CCN', substr($self->{in}, 3, 6));
        my $payload = substr($self->{in}, 9, $n);
        substr($self->{in}, 0, 9 + $n, '');
        $self->take($type, $flags, $stream, $payload);
    }
    return;
}

sub take
{
    my ($self, $type, $flags, $stream, $payload) = @_;
    if ($type == $type{DATA}) {
        $self->{body}{$stream} .= $payload;
    }
    elsif ($type == $type{RST_STREAM}) {
        $self->{ended}{$stream} = 'reset';
    }
    elsif ($type == $type{SETTINGS} && !($flags & 1)) {
        my %setting = unpack('(nN)*', $payload);
        $self->{connect} = $setting{8};     # ENABLE_CONNECT_PROTOCOL
        $self->write(frame('SETTINGS', 1, 0, ''));
    }
    elsif ($type == $type{PING} && !($flags & 1)) {
        $self->write(frame('PING', 1, 0, $payload));
    }
    if (($type == $type{DATA} || $type == $type{HEADERS}) && $flags & 1) {
        $self->{ended}{$stream} ||= 'end';
    }
    return;
}

sub close { return CORE::close($_[0]{socket}) }

1;
