# SPDX-License-Identifier: Apache-2.0
#
# An application's back end: a process that takes callbacks, keeps them, and answers as the query of
# the stream's own URL says: status=NNN, phrase=TEXT, hold (until release()), never, garbage,
# body=TEXT. end=NNN is what it answers to its end, until release(). It answers everything else with
# 200 and {}.
package Ragline::Backend;

use strict;
use warnings;

use IO::Select ();
use IO::Socket::INET ();
use JSON::PP ();

use Ragline::Proc qw(free_port run_dir slurp spawn spew stop_pid wait_until);

my $count = 0;

sub start
{
    my ($class, %self) = @_;
    my $self = bless { %self }, $class;
    $self->{port} //= free_port();
    $self->{dir} = run_dir() . "/backend-$$-" . ++$count;
    mkdir($self->{dir}) or die "$self->{dir}: $!\n";
    my ($lib) = $INC{'Ragline/Backend.pm'} =~ m{^(.*)/Ragline/Backend\.pm$};
    $self->{pid} = spawn("$self->{dir}/log", $^X, "-I$lib", '-MRagline::Backend', '-e',
        'Ragline::Backend::serve(@ARGV)', $self->{port}, $self->{dir});
    wait_until(sub { -e "$self->{dir}/up" }) or die "no back end:\n" . slurp("$self->{dir}/log");
    return $self;
}

sub port { return $_[0]{port} }
sub url { return "http://127.0.0.1:$_[0]{port}" . ($_[1] // '/callback') }

# Those that were held are answered.
sub release { return spew("$_[0]{dir}/release", '') }
sub hold { return unlink("$_[0]{dir}/release") }

# All callbacks so far, as { line, headers, text, body }.
sub calls
{
    my ($self) = @_;
    return map { JSON::PP->new->utf8->decode($_) } grep { /\n\z/ }
        split /(?<=\n)/, slurp("$self->{dir}/calls");
}

# Waits for the callback that this is true of; its body.
sub call
{
    my ($self, $condition) = @_;
    return wait_until(sub {
        my ($found) = grep { $condition->($_->{body}) } $self->calls;
        $found
    });
}

# That which a stream with this URL is asked or told by.
sub connect_of { my ($self, $url) = @_; return $self->of($url, 'connect') }
sub disconnect_of { my ($self, $url) = @_; return $self->of($url, 'disconnect') }

sub of
{
    my ($self, $url, $action) = @_;
    return $self->call(sub { $_[0]{action} eq $action && $_[0]{request}{url} eq $url });
}

# So far.
sub count_of
{
    my ($self, $url, $action) = @_;
    return scalar grep { $_->{body}{action} eq $action && $_->{body}{request}{url} eq $url }
        $self->calls;
}

sub stop
{
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    unlink("$self->{dir}/up");
    return stop_pid($pid);
}

sub DESTROY { local $?; $_[0]->stop if $_[0]{pid} && ($_[0]{owner} // $$) == $$; return }

# --- the process --------------------------------------------------------------------------------

my (%in, %held, $dir);

sub parameter
{
    my ($url, $name) = @_;
    my ($value) = $url =~ /[?&]\Q$name\E(?:=([^&]*))?(?:&|$)/ or return;
    $value //= '';
    $value =~ s/%([0-9a-fA-F]{2})/chr hex $1/ge;
    return $value;
}

sub reply
{
    my ($socket, $url, $status) = @_;
    $status ||= parameter($url, 'status') || 200;
    my $phrase = parameter($url, 'phrase') // 'Whatever';
    my $body = parameter($url, 'body') // '{}';
    syswrite($socket, "HTTP/1.1 $status $phrase\r\nContent-Type: application/json\r\n"
        . "Content-Length: @{[ length $body ]}\r\n\r\n$body");
    return;
}

# A whole request.
sub take
{
    my ($socket, $head, $text) = @_;
    my ($line, @lines) = split /\r\n/, $head;
    my %headers = map { /^([^:]+): *(.*)/ ? (lc $1, $2) : () } @lines;
    my $body = eval { JSON::PP->new->utf8->decode($text) } // {};
    open(my $calls, '>>', "$dir/calls") or die "calls: $!\n";
    syswrite($calls, JSON::PP->new->utf8->canonical->encode(
        { line => $line, headers => \%headers, text => $text, body => $body }) . "\n");
    my $url = $body->{action} && $body->{action} eq 'connect' ? $body->{request}{url} : '';
    return if defined parameter($url, 'never');
    if (defined parameter($url, 'garbage')) {
        syswrite($socket, "this is no HTTP\n");
        return gone($socket);
    }
    if (defined parameter($url, 'hold') && !-e "$dir/release") {
        $held{$socket} = [$socket, $url];
        return;
    }
    my $end = ($body->{action} // '') eq 'disconnect' && !-e "$dir/release"
        && parameter($body->{request}{url}, 'end');
    return reply($socket, $url, $end);
}

my $select;

sub gone
{
    my ($socket) = @_;
    delete @$_{$socket} for \%in, \%held;
    $select->remove($socket);
    close($socket);
    return;
}

sub hear
{
    my ($socket) = @_;
    sysread($socket, $in{$socket}, 65536, length($in{$socket} //= '')) or return gone($socket);
    while ($in{$socket} =~ /\A(.*?\r\n)\r\n/s) {
        my ($head, $at) = ($1, $+[0]);
        my ($length) = $head =~ /^content-length: *(\d+)/mi;
        last if length($in{$socket}) < $at + ($length // 0);
        my $text = substr($in{$socket}, $at, $length // 0);
        substr($in{$socket}, 0, $at + ($length // 0), '');
        take($socket, $head, $text);
        last if !exists $in{$socket};
    }
    return;
}

sub serve
{
    (my $port, $dir) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $listener = IO::Socket::INET->new(Listen => 200, LocalAddr => '127.0.0.1',
        LocalPort => $port, ReuseAddr => 1) or die "port $port: $!\n";
    $select = IO::Select->new($listener);
    spew("$dir/up", '');
    while (1) {
        for my $socket ($select->can_read(0.02)) {
            if ($socket == $listener) {
                $select->add(scalar $listener->accept);
            }
            else {
                hear($socket);
            }
        }
        next if !%held || !-e "$dir/release";
        for my $held (values %held) {
            delete $held{ $held->[0] };
            reply(@$held);
        }
    }
    return;
}

1;
