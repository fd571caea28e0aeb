# SPDX-License-Identifier: Apache-2.0
#
# A Server-Sent Events client that follows the WHATWG parsing rules to the letter and keeps every
# byte: many streams in one process, each read whenever any of them is waited for. It also speaks
# newline-delimited JSON (`wire` => 'ndjson', or $default_wire), whose messages it tells as events.
package Ragline::SSE;

use strict;
use warnings;

use JSON::PP ();
use Time::HiRes ();

use Ragline::Events qw(pump);
use Ragline::HTTP ();

our @ISA = ('Ragline::Events');

our $default_wire = 'sse';
my %accept = (sse => 'text/event-stream', ndjson => 'application/x-ndjson',
    poll => 'application/json');

# What a stream is called on the default wire.
sub media_type { return $accept{$default_wire} }

# open(port => ..., path => ..., token, headers, last_event_id, host, method, tls, extra, body,
# before, bulk, wire). `before` is sent before the request. With `bulk` the body is only collected: for streams of very many events.
sub open
{
    my ($class, %r) = @_;
    my $wire = $r{wire} // ($r{bulk} ? 'sse' : $default_wire);
    my @headers = (Accept => $accept{$wire}, @{ $r{headers} // [] });
    push @headers, 'Last-Event-ID' => $r{last_event_id} if defined $r{last_event_id};
    my $socket = Ragline::HTTP::connect_to(%r);
    my $self = bless {
        socket => $socket,
        fd => fileno($socket),
        port => $r{port},
        tls => $r{tls},
        bulk => $r{bulk},
        http => Ragline::HTTP->new(method => $r{method} // 'GET'),
        received => '', buffer => '', blocks => [], events => [], comments => [],
        taken => 0, ended => '', last_event_id => '',
    }, $class;
    my $bytes = ($r{before} // '') . Ragline::HTTP::request_bytes(%r, headers => \@headers);
    my $written = syswrite($socket, $bytes);
    die "the request was not taken: $!\n" if ($written // 0) != length($bytes);
    return $self->watch;
}

# $n streams; $arguments->($i) gives those of each. Waits for each hundred's headers, so that no
# listen queue overflows.
sub open_many
{
    my ($class, $n, $arguments) = @_;
    my @streams;
    while (@streams < $n) {
        push @streams, $class->open($arguments->(scalar @streams));
        next if @streams % 100 && @streams < $n;
        $class->wait_all(\@streams, sub { $_[0]->status }) or last;
    }
    return @streams;
}

sub status { return $_[0]{http}->status }
sub header { return $_[0]{http}->header($_[1]) }
sub head { return $_[0]{http}->head }
sub body { return $_[0]{bulk} ? $_[0]{http}{body} : $_[0]{received} }
sub json { return scalar eval { JSON::PP->new->utf8->decode($_[0]->body) } }
sub events { return @{ $_[0]{events} } }
sub blocks { return @{ $_[0]{blocks} } }
sub comments { return @{ $_[0]{comments} } }
sub retry { return $_[0]{retry} }
sub last_event_id { return $_[0]{last_event_id} }
sub heard { return $_[0]{events} }
sub type_of { return $_[1]{event} }

# Waits for `connected` and returns its event, with its JSON decoded as {json}.
sub connected
{
    my ($self, $seconds) = @_;
    my $event = $self->take('connected', $seconds) or return;
    $event->{json} = eval { JSON::PP->new->utf8->decode($event->{data}) };
    return $event;
}

# Its verdict, "recovery/reason"; '' before it has said one.
sub recovery
{
    my ($self) = @_;
    my ($first) = $self->events;
    my $json = $first ? JSON::PP->new->utf8->decode($first->{data}) : {};
    return join '/', grep { defined } @$json{qw(recovery reason)};
}

# Waits for the end of the replay; the number that it tells.
sub caught_up
{
    my ($self, $seconds) = @_;
    my $event = $self->take('caught_up', $seconds) or return;
    return JSON::PP->new->utf8->decode($event->{data})->{replayed};
}

# Of one that came back: its verdict, and the data of its events of a type as soon as it has the last
# one. A child that has read less than another one gives as new what that one replays.
sub came_back
{
    my ($self, $type, $last) = @_;
    my $got = sub { return join ' ', map { $_->{data} } grep { $_->{event} eq $type } $self->events };
    $self->take('caught_up');
    $self->wait(sub { $got->() =~ /\b\Q$last\E$/ });
    return $self->recovery . ' ' . $got->();
}

# Of a long poll: waits for the answer; what it says.
sub answer
{
    my ($self, $seconds) = @_;
    $self->wait(sub { $_[0]->ended || $_[0]{http}->done }, $seconds);
    $self->close;
    return $self->json // [];
}

# Waits for the end and says which it was; '' if it did not end in time.
sub wait_end
{
    my ($self, $seconds) = @_;
    $self->wait(sub { $_[0]{ended} }, $seconds);
    return $self->{ended};
}

# Sends our FIN and stays open for reading.
sub half_close
{
    my ($self) = @_;
    return shutdown($self->{socket}, 1);
}

sub write_bytes
{
    my ($self, $bytes) = @_;
    return syswrite($self->{socket}, $bytes);
}

sub read_some
{
    my ($self) = @_;
    while (1) {
        my $n = sysread($self->{socket}, my $bytes, 262_144);
        if ($n) {
            $self->{http}->feed($bytes);
            $self->parse if !$self->{bulk};
            $self->end('eof') if $self->{http}->done;
            return if !$self->{tls} || $self->{ended};
            next;
        }
        return if !defined($n) && ($!{EAGAIN} || $!{EINTR} || $!{EWOULDBLOCK});
        return $self->end(defined($n) ? 'eof' : 'reset');
    }
}

# A chunked body that stops without its last chunk was cut off, whatever the socket says.
sub end
{
    my ($self, $how) = @_;
    $how = 'reset' if $self->{http}{state} =~ /^(chunked|length)$/;
    $self->parse(1) if !$self->{bulk};
    $self->{ended} = $how;
    $self->close;
    return;
}

my $EOL = qr/(?>\r\n|\n|\r)/;

sub parse
{
    my ($self, $final) = @_;
    my $new = $self->{http}{body};
    $self->{http}{body} = '';
    $self->{received} .= $new;
    my $type = $self->{http}->header('content-type') // '';
    $self->{buffer} .= $new;
    return $self->parse_lines if $type eq $accept{ndjson};
    return if $type !~ m{^text/event-stream};
    # A CR at the very end may be half of a CRLF.
    return if !$final && substr($self->{buffer}, -1) eq "\r";
    # A comment before an event is there at once: nothing has to end it.
    while ($self->{buffer} =~ /\G$EOL*(?:(:[^\r\n]*)$EOL|([^\r\n].*?$EOL)$EOL)/gcs) {
        defined($1) ? push @{ $self->{comments} }, $1 : $self->add_block($2);
    }
    substr($self->{buffer}, 0, pos($self->{buffer}) // 0, '');
    return;
}

# Each line is one message; `raw` is what a Server-Sent Event would have as data, so a payload that
# was no JSON is unpacked.
sub parse_lines
{
    my ($self) = @_;
    while ($self->{buffer} =~ s/\A([^\n]*)\n//) {
        my $line = $1;
        if ($line eq '') {
            push @{ $self->{comments} }, $line;
            next;
        }
        # By hand: a payload may hold what no decoder takes.
        $line =~ /\A\{(?:"id":"([^"]*)",)?"event":("(?:[^"\\]|\\.)*"),(?:"retry":(\d+),)?"data":(.*)\}\z/s
            or die "no message: $line\n";
        my ($id, $event, $retry, $data) = ($1, $2, $3, $4);
        my $json = JSON::PP->new->utf8->allow_nonref;
        $data = $json->decode($data) if $data =~ /\A"/;
        my %block = (raw => $line, at => Time::HiRes::time(), event => $json->decode($event),
            data => $data);
        $block{id} = $id if defined $id;
        $block{retry} = $retry if defined $retry;
        $self->{last_event_id} = $block{id} if defined $block{id};
        $self->{retry} = $block{retry} if defined $block{retry};
        push @{ $self->{$_} }, \%block for qw(blocks events);
    }
    return;
}

sub add_block
{
    my ($self, $text) = @_;
    my %block = (raw => $text, event => '', data => '', fields => [], at => Time::HiRes::time());
    for my $line (split /$EOL/, $text) {
        if (substr($line, 0, 1) eq ':') {
            push @{ $self->{comments} }, $line;
            next;
        }
        my ($name, $value) = split /:/, $line, 2;
        $value //= '';
        substr($value, 0, 1, '') if substr($value, 0, 1) eq ' ';
        push @{ $block{fields} }, $name;
        if ($name eq 'event') { $block{event} = $value }
        elsif ($name eq 'data') { $block{data} .= "$value\n" }
        elsif ($name eq 'id' && index($value, "\0") < 0) { $block{id} = $value }
        elsif ($name eq 'retry' && $value =~ /^[0-9]+$/) { $block{retry} = $value }
    }
    $self->{last_event_id} = $block{id} if defined $block{id};
    $self->{retry} = $block{retry} if defined $block{retry};
    push @{ $self->{blocks} }, \%block;
    return if $block{data} eq '';
    chop $block{data};
    $block{event} = 'message' if $block{event} eq '';
    push @{ $self->{events} }, \%block;
    return;
}

1;
