# SPDX-License-Identifier: Apache-2.0
#
# Events with sequence numbers at a given rate, from a process of its own, and pages that read them:
# a Ragline::Load::Page comes back as EventSource does and knows what it has to have.
package Ragline::Load;

use strict;
use warnings;

use IO::Socket::UNIX ();
use POSIX ();
use Time::HiRes ();

use Ragline::Proc qw(run_dir slurp spew stop_pid);
use Ragline::Redis ();

my $serial = 0;

# What a rate is where everything is slower: a server that falls behind is another test.
sub rate { return $_[0] / ($ENV{RAGLINE_TEST_SLOW} ? 2 : 1) }

# start(redis => ..., keys => [...], tenants => [...], rate => events a second, size => bytes).
# A round is one event for each tenant: number n goes to the (n mod keys)-th key with event type
# "s<index of the key>" and the payload {"n":n,"p":"xxx"}; the first is 1.
sub start
{
    my ($class, %self) = @_;
    my $self = bless { size => 200, %self }, $class;
    $self->{file} = run_dir() . "/load-$$-" . ++$serial;
    $self->{owner} = $$;
    my $pid = fork() // die "fork: $!\n";
    if (!$pid) {
        $SIG{$_} = 'DEFAULT' for qw(INT ALRM);
        my $rounds = eval { $self->run };
        print STDERR "the load ended: $@" if !defined $rounds;
        spew($self->{file}, $rounds // -1);
        POSIX::_exit(0);
    }
    $self->{pid} = $pid;
    return $self;
}

# Ends it and says how many rounds there were.
sub stop
{
    my ($self) = @_;
    stop_pid(delete $self->{pid}, 'TERM');
    my $rounds = slurp($self->{file});
    unlink($self->{file});
    return $rounds eq '' ? -1 : $rounds;
}

sub DESTROY
{
    my ($self) = @_;
    local ($?, $!, $@);
    stop_pid($self->{pid}, 'KILL') if $self->{pid} && $self->{owner} == $$;
    return;
}

sub bulk { return join '', '*' . @_ . "\r\n", map { '$' . length($_) . "\r\n$_\r\n" } @_ }

sub run
{
    my ($self) = @_;
    my ($ended, $n, $in, $replies) = (0, 0, '', 0);
    $SIG{TERM} = sub { $ended = 1 };
    my $socket = IO::Socket::UNIX->new(Peer => $self->{redis}->socket_path) or die "Redis: $!\n";
    my @keys = @{ $self->{keys} };
    my $fill = 'x' x $self->{size};
    my $started = Time::HiRes::time();
    my $rate = rate($self->{rate}) / @{ $self->{tenants} };
    while (!$ended) {
        my $due = (Time::HiRes::time() - $started) * $rate;
        my $out = '';
        for (my $some = 0; $n < $due && $some < 100; $some++) {
            my $k = ++$n % @keys;
            $out .= bulk('XADD', Ragline::Redis::key_of($keys[$k], $_), $self->{maxlen} ? ('MAXLEN', '~', $self->{maxlen}) : (),
                '*', 'tenant_id', $_, 'event_type', "s$k", 'payload', "{\"n\":$n,\"p\":\"$fill\"}")
                for @{ $self->{tenants} };
        }
        if ($out eq '') {
            Time::HiRes::sleep(0.005);
            next;
        }
        while (length $out) {
            my $written = syswrite($socket, $out, 65536) // 0;
            die "Redis does not take it: $!\n" if !$written && !$!{EINTR};
            substr($out, 0, $written, '');
        }
        while ($replies < $n * @{ $self->{tenants} }) {
            my $got = sysread($socket, $in, 65536, length $in);
            die "Redis is gone\n" if !$got && !$!{EINTR};
            die "Redis says: $in\n" if $in =~ /^-/m;
            $replies++ while $in =~ s/\A\$\d+\r\n\d+-\d+\r\n//;
        }
    }
    return $n;
}

package Ragline::Load::Page;

use strict;
use warnings;

use Time::HiRes ();

use Ragline::SSE ();
use Ragline::Token ();

# new(httpd => ..., path, tenant, keys => number of streams).
sub new
{
    my ($class, %self) = @_;
    return bless { keys => 1, last => [], connections => 0, from => 1, again_at => 0,
        problems => [], verdicts => {}, id => undef, %self }, $class;
}

sub problem
{
    my ($self, $text) = @_;
    push @{ $self->{problems} }, "$self->{tenant} $self->{path}: $text";
    return;
}

# Connects if there is no stream and it is time to.
sub step
{
    my ($self) = @_;
    if (my $stream = $self->{stream}) {
        $self->collect($stream, scalar @{ $stream->{events} });
        return if !$stream->ended;
        $self->{again_at} = Time::HiRes::time() + ($stream->retry // 1000) / 1000;
        delete $self->{stream};
    }
    return if Time::HiRes::time() < $self->{again_at};
    $self->{stream} = eval { $self->{httpd}->stream($self->{path},
        token => Ragline::Token::access($self->{tenant}, 1),
        defined $self->{id} ? (last_event_id => $self->{id}) : ()) };
    # Nobody listens for a moment while a server is stopped and started.
    $self->{again_at} = Time::HiRes::time() + 0.2 if !$self->{stream};
    $self->{taken} = 0;
    $self->{connections}++;
    return;
}

# Takes over events up to the given number of this connection.
sub collect
{
    my ($self, $stream, $upto) = @_;
    while ($self->{taken} < $upto) {
        my $event = $stream->{events}[ $self->{taken}++ ];
        $self->{id} = $event->{id} if defined $event->{id};
        $self->on_event($event);
    }
    return;
}

sub on_event
{
    my ($self, $event) = @_;
    if ($event->{event} eq 'connected') {
        my ($recovery) = $event->{data} =~ /"recovery":"(\w+)"/;
        my ($reason) = $event->{data} =~ /"reason":"(\w+)"/;
        my $verdict = join '/', grep { defined } $recovery, $reason;
        $self->{verdicts}{$verdict}++;
        # One of a group begins where the group is, if none other is there.
        my $expected = $self->{came} ? 'resumed' : Ragline::Test::mode('group') ? $verdict : 'new';
        $self->problem("connection $self->{connections}: $verdict")
            if $verdict ne $expected || $verdict =~ /^reset/;
        $self->{came} = 1;
    }
    elsif ($event->{event} eq 'reset') {
        $self->problem("reset in the stream: $event->{data}");
    }
    elsif ($event->{event} =~ /^s(\d+)$/) {
        my $k = $1;
        my ($n) = $event->{data} =~ /"n":(\d+)/;
        my $last = $self->{last}[$k];
        # The first one seen sets the mark: the load may have begun before.
        my $expected = defined $last ? $last + $self->{keys} : $n;
        $self->problem("connection $self->{connections}: $n instead of $expected in s$k, id "
                . ($event->{id} // '?')) if $n != $expected && @{ $self->{problems} } < 20;
        $self->{last}[$k] = $n;
        $self->{count}++;
    }
    return;
}

# Breaks the connection somewhere within what it has sent: what is complete before that counts.
sub cut
{
    my ($self) = @_;
    my $stream = delete $self->{stream} or return;
    my $have = @{ $stream->{events} };
    my $new = $have - $self->{taken};
    $self->collect($stream, $self->{taken} + int(rand($new + 1))) if $new > 0;
    $stream->close('reset');
    $self->{again_at} = 0;
    return;
}

# Everything up to number $n is here.
sub complete
{
    my ($self, $n) = @_;
    for my $k (0 .. $self->{keys} - 1) {
        return 0 if ($self->{last}[$k] // 0) <= $n - $self->{keys};
    }
    return 1;
}

# Steps all of these pages until everything up to number $n is at each: however far behind they are, as
# long as any of them goes on. Whether it is.
sub all_complete
{
    my ($pages, $n) = @_;
    my ($got, $ended) = (-1, 0);
    my $complete = sub {
        Ragline::SSE::pump(0.02);
        $_->step for @$pages;
        my $now = 0;
        $now += $_->{count} // 0 for @$pages;
        ($got, $ended) = ($now, Time::HiRes::time() + Ragline::Proc::limit(30)) if $now != $got;
        return !grep { !$_->complete($n) } @$pages;
    };
    alarm(alarm(0) + Ragline::Proc::limit(120)); # nor is that a test that hangs
    Ragline::Proc::wait_until(sub { $complete->() || Time::HiRes::time() > $ended }, 600);
    return $complete->();
}

1;
