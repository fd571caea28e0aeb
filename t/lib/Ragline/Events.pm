# SPDX-License-Identifier: Apache-2.0
#
# What the clients of every wire have in common: many connections in one process, each read whenever
# any of them is waited for, and what came taken in its order. A wire's class connects, parses, and
# says with `heard` and `type_of` what its events are.
package Ragline::Events;

use strict;
use warnings;

use Exporter 'import';
use Socket ();
use Time::HiRes ();

use Ragline::Proc ();

our @EXPORT_OK = qw(pump);

# Open connections by descriptor.
my %open;

$SIG{PIPE} = 'IGNORE';

# Has {socket}, {fd} and {tls}, {taken} of 0 and {ended} of '': from now on it is read.
sub watch
{
    my ($self) = @_;
    $self->{socket}->blocking(0);
    $open{ $self->{fd} } = $self;
    return $self;
}

# '' while open; 'eof' after a clean end, 'reset' after a broken one.
sub ended { return $_[0]{ended} }

# Whether we closed it, or it has ended.
sub closed { return !$_[0]{socket} }

# Reads all open connections until the condition, called with this one, is true; returns its value.
sub wait
{
    my ($self, $condition, $seconds) = @_;
    my $deadline = Time::HiRes::time() + Ragline::Proc::limit($seconds);
    while (1) {
        my $value = $condition->($self);
        return $value if $value;
        return if Time::HiRes::time() > $deadline;
        pump(0.25);
    }
}

# The same for several: true when the condition was true for each of them once.
sub wait_all
{
    my ($class, $connections, $condition, $seconds) = @_;
    my $deadline = Time::HiRes::time() + Ragline::Proc::limit($seconds);
    my @waiting = @$connections;
    while (1) {
        @waiting = grep { !$condition->($_) } @waiting;
        return 1 if !@waiting;
        return if Time::HiRes::time() > $deadline;
        pump(0.25);
    }
}

# The next event not taken yet that matches: a type, or a condition on the event; any without one.
# Those before it are passed over. undef when it did not come in time or the connection ended.
sub take
{
    my ($self, $what, $seconds) = @_;
    my $match = ref($what) ? $what
        : defined($what) ? sub { $self->type_of($_[0]) eq $what } : sub { 1 };
    my $found;
    $self->wait(sub {
        my $heard = $self->heard;
        while ($self->{taken} < @$heard) {
            my $event = $heard->[$self->{taken}++];
            return $found = $event if $match->($event);
        }
        return $self->{ended};
    }, $seconds);
    return $found;
}

sub close
{
    my ($self, $how) = @_;
    my $socket = delete $self->{socket} or return;
    delete $open{ $self->{fd} };
    if (($how // '') eq 'reset') {
        setsockopt($socket, Socket::SOL_SOCKET(), Socket::SO_LINGER(), pack('ii', 1, 0));
    }
    close($socket);
    return;
}

sub close_all
{
    my ($class, @connections) = @_;
    $_->close for @connections;
    return;
}

# All to one server.
sub close_port
{
    my ($class, $port) = @_;
    $_->close for grep { $_->{port} == $port } values %open;
    return;
}

# Reads once from every connection that has something and is not {paused}, waiting up to $seconds for
# the first.
sub pump
{
    my ($seconds) = @_;
    my ($in, $pending) = ('', 0);
    my @all = grep { !$_->{paused} } values %open;
    for my $connection (@all) {
        vec($in, $connection->{fd}, 1) = 1;
        $pending ||= $connection->{tls} && $connection->{socket}->pending;
    }
    my $ready = select($in, undef, undef, $pending ? 0 : $seconds);
    return if !$pending && $ready <= 0;
    for my $connection (@all) {
        # One that was read may have closed another.
        next if !$connection->{socket};
        $connection->read_some if vec($in, $connection->{fd}, 1)
            || $connection->{tls} && $connection->{socket}->pending;
    }
    return;
}

1;
