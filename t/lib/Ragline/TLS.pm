# SPDX-License-Identifier: Apache-2.0
#
# A TLS client whose records are in our hands: OpenSSL works on memory, and what goes over the wire
# when, and in which pieces, is up to the test.
package Ragline::TLS;

use strict;
use warnings;

use Net::SSLeay ();
use Scalar::Util ();
use Socket ();

use Ragline::HTTP ();
use Ragline::Proc ();

my %version = (1.2 => 0x0303, 1.3 => 0x0304);

# new(port, version => 1.2 or 1.3, session => of an earlier one, sni, cert => files without .pem and .key).
# Connects, asks for a stapled answer of OCSP ({stapled}: whether the certificate is good by what came), and
# shakes hands.
sub new
{
    my ($class, %r) = @_;
    Net::SSLeay::initialize();
    my $ctx = Net::SSLeay::CTX_new() or die "no SSL_CTX\n";
    if (my $version = $version{ $r{version} // '' }) {
        Net::SSLeay::CTX_set_min_proto_version($ctx, $version);
        Net::SSLeay::CTX_set_max_proto_version($ctx, $version);
    }
    if ($r{cert}) {
        Net::SSLeay::CTX_use_certificate_file($ctx, "$r{cert}.pem", 1) && Net::SSLeay::CTX_use_PrivateKey_file(
            $ctx, "$r{cert}.key", 1) or die "no certificate $r{cert}\n";
        Net::SSLeay::CTX_set_post_handshake_auth($ctx, 1);
    }
    my $ssl = Net::SSLeay::new($ctx) or die "no SSL\n";
    my $bio = sub { Net::SSLeay::BIO_new(Net::SSLeay::BIO_s_mem()) };
    my $self = bless { %r, ctx => $ctx, ssl => $ssl, rbio => $bio->(), wbio => $bio->(), out => '', in => '',
        socket => Ragline::HTTP::connect_to(port => $r{port}) }, $class;
    Net::SSLeay::set_bio($ssl, $self->{rbio}, $self->{wbio});
    Net::SSLeay::set_tlsext_host_name($ssl, $r{sni} // 'localhost');
    Net::SSLeay::set_tlsext_status_type($ssl, Net::SSLeay::TLSEXT_STATUSTYPE_ocsp());
    Scalar::Util::weaken(my $weak = $self);
    Net::SSLeay::CTX_set_tlsext_status_cb($ctx, sub {
        my (undef, $answer) = @_;
        $weak->{stapled} = $answer && Net::SSLeay::OCSP_response_status($answer) == 0
            && !grep { $_->[1] } Net::SSLeay::OCSP_response_results($answer);
        return 1;
    });
    Net::SSLeay::set_session($ssl, $r{session}) if $r{session};
    Net::SSLeay::set_connect_state($ssl);
    $self->{socket}->blocking(0);
    Ragline::Proc::wait_until(sub {
        my $done = Net::SSLeay::do_handshake($ssl) == 1;
        $self->take_out;
        $self->send;
        $self->receive if !$done;
        $done || $self->{ended};
    }) or die "no handshake with port $r{port}\n";
    die "port $r{port} ended the handshake\n" if $self->{ended};
    return $self;
}

# What OpenSSL wants to have sent, into {out}.
sub take_out
{
    my ($self) = @_;
    while (defined(my $bytes = Net::SSLeay::BIO_read($self->{wbio}))) {
        last if $bytes eq '';
        $self->{out} .= $bytes;
    }
    return;
}

# One record of these bytes, not sent yet.
sub record
{
    my ($self, $bytes) = @_;
    Net::SSLeay::write($self->{ssl}, $bytes) == length $bytes or die "not written\n";
    $self->take_out;
    return;
}

# Sends what is to be sent, or the first so many bytes of it.
sub send
{
    my ($self, $n) = @_;
    $n = length $self->{out} if !defined $n || $n > length $self->{out};
    while ($n) {
        my $sent = syswrite($self->{socket}, $self->{out}, $n);
        return if !defined $sent && !$!{EAGAIN};
        substr($self->{out}, 0, $sent // 0, '');
        $n -= $sent // 0;
    }
    return;
}

# What has come into the socket, to OpenSSL.
sub receive
{
    my ($self) = @_;
    while (1) {
        my $n = sysread($self->{socket}, my $bytes, 65536);
        return if !defined $n && $!{EAGAIN};
        return $self->{ended} ||= 'closed' if !$n;
        Net::SSLeay::BIO_write($self->{rbio}, $bytes);
    }
}

# Reads until {in} matches, or the end: {ended} is 'notified' (close_notify came), 'closed', or an error.
sub read_until
{
    my ($self, $match, $seconds) = @_;
    return Ragline::Proc::wait_until(sub {
        $self->receive;
        while (1) {
            my ($bytes, $rv) = Net::SSLeay::read($self->{ssl}, 65536);
            last if $rv <= 0;
            $self->{in} .= $bytes;
        }
        $self->{ended} = 'notified' if Net::SSLeay::get_shutdown($self->{ssl}) & 2;
        if (my $error = Net::SSLeay::ERR_get_error()) {
            $self->{ended} ||= Net::SSLeay::ERR_error_string($error);
        }
        $self->take_out;
        $self->send;
        $self->{in} =~ $match || $self->{ended};
    }, $seconds) && $self->{in} =~ $match;
}

# Whose certificate the server has.
sub peer
{
    my ($self) = @_;
    my $x509 = Net::SSLeay::get_peer_certificate($self->{ssl});
    my ($name) = Net::SSLeay::X509_NAME_oneline(Net::SSLeay::X509_get_subject_name($x509)) =~ /CN=(.*)/;
    Net::SSLeay::X509_free($x509);
    return $name;
}

sub reused { return Net::SSLeay::session_reused($_[0]{ssl}) }

# close_notify, not sent yet.
sub goodbye
{
    my ($self) = @_;
    Net::SSLeay::shutdown($self->{ssl});
    $self->take_out;
    return;
}

sub session { return Net::SSLeay::get1_session($_[0]{ssl}) }

sub close
{
    my ($self, $how) = @_;
    my $socket = delete $self->{socket} or return;
    setsockopt($socket, Socket::SOL_SOCKET(), Socket::SO_LINGER(), pack('ii', 1, 0))
        if ($how // '') eq 'reset';
    close($socket);
    return;
}

sub DESTROY
{
    my ($self) = @_;
    $self->close;
    Net::SSLeay::free(delete $self->{ssl}) if $self->{ssl};
    Net::SSLeay::CTX_free(delete $self->{ctx}) if $self->{ctx};
    return;
}

1;
