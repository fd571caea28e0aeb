# SPDX-License-Identifier: Apache-2.0
#
# A small HTTP/1.1 client on plain sockets, so that tests see exactly the bytes that went over the
# wire. Ragline::HTTP is one response being read; request() makes a whole exchange.
package Ragline::HTTP;

use strict;
use warnings;

use Exporter 'import';
use IO::Handle ();
use JSON::PP ();
use Socket ();
use Time::HiRes ();

use Ragline::Proc ();

our @EXPORT_OK = qw(request);

sub new
{
    my ($class, %self) = @_;
    return bless { method => 'GET', in => '', head => '', headers => [], body => '',
        state => 'head', %self }, $class;
}

# The request's bytes. headers is a list of name/value pairs, so that one may come twice.
sub request_bytes
{
    my (%r) = @_;
    my $method = $r{method} // 'GET';
    my @headers = (Host => $r{host} // "127.0.0.1:$r{port}", @{ $r{headers} // [] });
    push @headers, Authorization => "Bearer $r{token}" if defined $r{token};
    push @headers, 'Content-Length' => length($r{body}) if defined $r{body};
    push @headers, Connection => 'close' if $r{close};
    my $bytes = "$method $r{path} HTTP/1.1\r\n";
    while (my ($name, $value) = splice(@headers, 0, 2)) {
        $bytes .= "$name: $value\r\n";
    }
    return "$bytes\r\n" . ($r{body} // '') . ($r{extra} // '');
}

# A connected, blocking socket.
sub connect_to
{
    my (%r) = @_;
    if ($r{tls}) {
        require IO::Socket::SSL;
        return IO::Socket::SSL->new(
            PeerAddr => '127.0.0.1', PeerPort => $r{port}, Timeout => Ragline::Proc::limit(),
            SSL_verify_mode => 0, SSL_hostname => $r{sni} // 'localhost',
            SSL_alpn_protocols => ['http/1.1'],
            $r{version} ? (SSL_version => 'TLSv' . $r{version} =~ s/\./_/r) : (),
        ) // die "TLS to port $r{port}: $! " . IO::Socket::SSL::errstr() . "\n";
    }
    socket(my $socket, Socket::PF_INET(), Socket::SOCK_STREAM(), 0) or die "socket: $!\n";
    connect($socket, Socket::pack_sockaddr_in($r{port}, Socket::inet_aton('127.0.0.1')))
        or die "connect to port $r{port}: $!\n";
    return $socket;
}

# Takes bytes as they come; the body's end is told by `done`.
sub feed
{
    my ($self, $bytes) = @_;
    $self->{in} .= $bytes;
    if ($self->{state} eq 'head') {
        $self->take_head or return;
    }
    if ($self->{state} eq 'chunked') {
        $self->take_chunks;
    }
    elsif ($self->{state} eq 'length') {
        my $take = length($self->{in}) < $self->{left} ? length($self->{in}) : $self->{left};
        $self->{body} .= substr($self->{in}, 0, $take, '');
        $self->{left} -= $take;
        $self->{state} = 'done' if $self->{left} == 0;
    }
    elsif ($self->{state} eq 'until-close') {
        $self->{body} .= $self->{in};
        $self->{in} = '';
    }
    return;
}

sub take_head
{
    my ($self) = @_;
    my $end = index($self->{in}, "\r\n\r\n");
    return if $end < 0;
    my $head = substr($self->{in}, 0, $end + 4, '');
    my ($status_line, @lines) = split /\r\n/, $head;
    my ($status) = $status_line =~ m{^HTTP/1\.[01] (\d{3})} or die "no HTTP status: $status_line\n";
    return $self->take_head if $status >= 100 && $status < 200 && $status != 101;
    $self->{head} = $head;
    $self->{status} = $status;
    $self->{headers} = [map { /^([^:]+):\s*(.*?)\s*$/ ? [lc $1, $2] : () } @lines];
    my $length = $self->header('content-length');
    if ($self->{method} eq 'HEAD' || $status == 204 || $status == 304) {
        $self->{state} = 'done';
    }
    elsif (lc($self->header('transfer-encoding') // '') eq 'chunked') {
        $self->{state} = 'chunked';
    }
    elsif (defined $length) {
        $self->{left} = $length;
        $self->{state} = $length ? 'length' : 'done';
    }
    else {
        $self->{state} = 'until-close';
    }
    return 1;
}

sub take_chunks
{
    my ($self) = @_;
    while ($self->{in} =~ /\A([0-9a-fA-F]+)[^\r\n]*\r\n/) {
        my ($size, $start) = (hex($1), $+[0]);
        if ($size == 0) {
            $self->{state} = 'done' if $self->{in} =~ /\r\n\r\n/;
            return;
        }
        return if length($self->{in}) < $start + $size + 2;
        $self->{body} .= substr($self->{in}, $start, $size);
        substr($self->{in}, 0, $start + $size + 2, '');
    }
    return;
}

sub status { return $_[0]{status} // 0 }
sub body { return $_[0]{body} }
sub head { return $_[0]{head} }
sub done { return $_[0]{state} eq 'done' }

# All values of a header, joined as HTTP says; undef if it is not there.
sub header
{
    my ($self, $name) = @_;
    my @values = map { $_->[1] } grep { $_->[0] eq lc $name } @{ $self->{headers} };
    return @values ? join(', ', @values) : undef;
}

# The body as JSON, undef if it is none.
sub json
{
    my ($self) = @_;
    return scalar eval { JSON::PP->new->utf8->allow_nonref->decode($self->{body}) };
}

# A whole exchange: request(port => ..., path => ..., method, headers, token, body, tls). Dies if
# no complete response came in time; head_only is for answers that have no end.
sub request
{
    my (%r) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $socket = connect_to(%r);
    my $response = Ragline::HTTP->new(method => $r{method} // 'GET');
    my $out = request_bytes(close => 1, %r);
    my $deadline = Time::HiRes::time() + Ragline::Proc::limit($r{limit});
    # A refused body may be left unread: write what is taken, but read at any time.
    $socket->blocking(0);
    until ($response->done || $r{head_only} && $response->status) {
        my ($in, $want) = ('', '');
        vec($in, fileno($socket), 1) = 1;
        vec($want, fileno($socket), 1) = 1 if length $out;
        my $left = $deadline - Time::HiRes::time();
        die "no complete response to $r{path} in time\n" if $left <= 0;
        my $pending = $r{tls} && $socket->pending;
        select($in, $want, undef, $left > 1 ? 1 : $left) if !$pending;
        if (length $out && vec($want, fileno($socket), 1)) {
            my $n = syswrite($socket, $out, 65536);
            if ($n) {
                substr($out, 0, $n, '');
            }
            elsif (!defined($n) && !$!{EAGAIN} && !$!{EINTR}) {
                $out = '';
            }
        }
        my $n = sysread($socket, my $bytes, 65536);
        if ($n) {
            $response->feed($bytes);
        }
        elsif (defined $n) {
            $response->{state} = 'done' if $response->{state} eq 'until-close';
            last;
        }
        elsif (!$!{EAGAIN} && !$!{EINTR} && !$!{EWOULDBLOCK}) {
            last;
        }
    }
    close($socket);
    die "connection to $r{path} ended without a complete response\n"
        if !$response->done && !($r{head_only} && $response->status);
    return $response;
}

1;
