# SPDX-License-Identifier: Apache-2.0
#
# What a bad line does to a connection to Redis: answers cut in the middle, half an answer and then
# silence, a server that takes connections and drops them. Behind a small TCP proxy.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;
use IO::Socket::INET ();
use POSIX ();
use Time::HiRes ();

use Ragline::Httpd ();
use Ragline::Proc qw(run_dir slurp spew stop_pid);
use Ragline::Redis ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'cut', tcp => 1, args => ['--appendonly', 'no']);

# A process that passes bytes between its port and Redis. What to do with the answers is in a file:
#   pass
#   cut N       a connection is closed after N more bytes of answers, every time
#   silent N    after N more bytes of answers nothing comes any more, on any connection
#   refuse      a connection is closed at once
# Each connection's time goes to another file.
package Proxy;

sub start
{
    my ($class) = @_;
    my $self = bless { file => Ragline::Proc::run_dir() . "/proxy-$$", owner => $$ }, $class;
    my $listen = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', LocalPort => 0)
        or die "no port: $!\n";
    $self->{port} = $listen->sockport;
    $self->set('pass');
    Ragline::Proc::spew("$self->{file}.log", '');
    $self->{pid} = fork() // die "fork: $!\n";
    if (!$self->{pid}) {
        $SIG{$_} = 'DEFAULT' for qw(INT TERM ALRM);
        eval { $self->run($listen) };
        print STDERR "the proxy ended: $@\n";
        POSIX::_exit(1);
    }
    return $self;
}

# Renamed over, so that nobody reads half of it.
sub set
{
    my ($self, $mode) = @_;
    Ragline::Proc::spew("$self->{file}.new", $mode);
    rename("$self->{file}.new", $self->{file}) or die "rename: $!\n";
    return;
}

sub connections { return split /\n/, Ragline::Proc::slurp("$_[0]{file}.log") }

# Writes all of it, whatever the other side does.
sub write_all
{
    my ($to, $bytes) = @_;
    while (length $bytes) {
        my $n = syswrite($to, $bytes);
        return 0 if !$n;
        substr($bytes, 0, $n, '');
    }
    return 1;
}

sub run
{
    my ($self, $listen) = @_;
    my %pairs; # by descriptor of either end
    open(my $log, '>>', "$self->{file}.log") or die "log: $!\n";
    $log->autoflush(1);
    my $drop = sub { my ($pair) = @_; for (@$pair[0, 1]) { delete $pairs{ fileno $_ }; close($_) } };
    while (getppid() == $self->{owner}) {
        my $in = '';
        vec($in, $_, 1) = 1 for fileno($listen), keys %pairs;
        next if select($in, undef, undef, 0.25) <= 0;
        my ($mode, $n) = split / /, Ragline::Proc::slurp($self->{file});
        if (vec($in, fileno($listen), 1) && (my $client = $listen->accept)) {
            print {$log} Time::HiRes::time(), "\n";
            my $server = $mode eq 'refuse' ? undef : IO::Socket::INET->new(
                PeerAddr => '127.0.0.1', PeerPort => $redis->{port});
            if ($server) {
                # [httpd's end, Redis' end, bytes answered, whether nothing more may come]
                $pairs{ fileno $client } = $pairs{ fileno $server } = [$client, $server, 0, 0];
            }
        }
        for my $fd (grep { vec($in, $_, 1) } keys %pairs) {
            my $pair = $pairs{$fd} or next;
            my $answer = $fd == fileno($pair->[1]);
            if ($mode eq 'silent' && $pair->[3]) {
                Time::HiRes::sleep(0.01); # it is readable, and stays so
                next;
            }
            my $bytes;
            if ($pair->[3] || !sysread($answer ? $pair->[1] : $pair->[0], $bytes, 65536)) {
                $drop->($pair);
                next;
            }
            if ($answer && $mode ne 'pass' && $pair->[2] + length($bytes) > $n) {
                write_all($pair->[0], substr($bytes, 0, $n - $pair->[2])) if $n > $pair->[2];
                $pair->[3] = 1;
                $drop->($pair) if $mode eq 'cut';
                next;
            }
            $pair->[2] = $answer && $mode ne 'pass' ? $pair->[2] + length($bytes) : 0;
            write_all($answer ? $pair->[0] : $pair->[1], $bytes) or $drop->($pair);
        }
    }
    POSIX::_exit(0);
}

sub stop
{
    my ($self) = @_;
    Ragline::Proc::stop_pid(delete $self->{pid}, 'KILL') if $self->{pid} && $self->{owner} == $$;
    return;
}

sub DESTROY { local ($?, $!, $@); $_[0]->stop; return }

package main;

my $proxy = Proxy->start;
my %key = map { $_ => "cut:$_" } qw(one two);

my $httpd = Ragline::Httpd->new(name => 'main', conf => join('',
    "RaglineRedis redis://127.0.0.1:$proxy->{port}/0\nRaglineDrain 0\n",
    (map { "RaglineStream $_ $key{$_}\n" } sort keys %key),
    bearer_location('/one', 'RaglineSubscribe one', 'RaglineHeartbeat 1s'),
    bearer_location('/both', 'RaglineSubscribe one two', 'RaglineHeartbeat 1s')))->start;
my $children;
# httpd takes connections before its children are there.
wait_until(sub { $children = () = $httpd->children }) or die "httpd has no children\n";

sub open_stream
{
    my ($path, $tenant, @more) = @_;
    my $stream;
    # A process that has not come back to Redis yet sends it away: it comes again, as any client does.
    wait_until(sub {
        $stream->close if $stream;
        $stream = $httpd->stream($path, token => token($tenant, 1), @more);
        return $stream->connected;
    });
    return $stream;
}

sub numbers
{
    return join ' ', map { $_->{data} =~ /^(\d+)/ } grep { $_->{event} eq 'n' } $_[0]->events;
}

sub recovery
{
    my ($first) = grep { $_->{event} eq 'connected' } $_[0]->events;
    my $json = $first ? json_of($first->{data}) : {};
    return join '/', grep { defined } @$json{qw(recovery reason)};
}

sub frightened { return grep { $_->{event} =~ /^(?:reset|error)$/ } map { $_->events } @_ }

my $fill = 'x' x 2000;

sub add
{
    my ($tenant, $from, $to) = @_;
    return $redis->xadd_many($key{one}, map { [tenant_id => $tenant, event_type => 'n',
        payload => "$_ $fill"] } $from .. $to);
}

# --- cut in the middle of an answer ------------------------------------------------------------------

{
    my $tenant = unique();
    my @streams = map { open_stream($_, $tenant) } '/one', '/both';
    my ($first) = add($tenant, 1, 1);
    Ragline::SSE->wait_all(\@streams, sub { numbers($_[0]) eq '1' });
    my $n = 1;
    # In the login's answers, in those to XINFO, in the head of an answer to XREAD, within an entry.
    for my $bytes (1, 3, 40, 333, 1500, 5000, 20_011, 70_001) {
        $proxy->set("cut $bytes");
        my $before = $proxy->connections;
        # So many that no few connections get through.
        my $more = 100 + int($bytes / 250);
        add($tenant, $n + 1, $n + $more);
        $n += $more;
        # It has come back and was cut again, until the line is good.
        ok($streams[0]->wait(sub { $proxy->connections >= $before + 2 * $children }, 120),
            "answers cut after $bytes bytes: it comes back");
        my $again = $httpd->stream('/one', token => token($tenant, 1), last_event_id => $first);
        $again->wait(sub { $_[0]->ended || $_[0]->events });
        like(recovery($again), qr/^(?:resumed|)$/, 'who comes back meanwhile is not told nonsense');
        $proxy->set('pass');
        my $back = Time::HiRes::time();
        ok(Ragline::SSE->wait_all(\@streams, sub { numbers($_[0]) eq join ' ', 1 .. $n }),
            'what was added is there, once, in order') or diag(map { numbers($_) . "\n" } @streams);
        cmp_ok(Time::HiRes::time() - $back, '<', 10, 'soon after the line is good');
        ok($again->wait(sub { $_[0]->ended || numbers($_[0]) eq join ' ', 2 .. $n }),
            'and so for one that came meanwhile') or diag(numbers($again));
        is(recovery($again), numbers($again) ? 'resumed' : '', 'or it was told to come again');
        $again->close;
    }
    is(scalar(frightened(@streams)), 0, 'nobody was told otherwise');
    is(scalar(grep { $_->ended } @streams), 0, 'no stream has ended');
    $_->close for @streams;

    # The replay itself is cut.
    $httpd->stop;
    $httpd->start;
    my $again = open_stream('/one', $tenant);
    for my $bytes (700, 30_000, 300_000) {
        $proxy->set("cut $bytes");
        my $cut = $httpd->stream('/both', token => token($tenant, 1), last_event_id => 'bad');
        $cut->wait(sub { $_[0]->ended || $_[0]->events });
        $cut->close;
        $cut = $httpd->stream('/one', token => token($tenant, 1), last_event_id => $first);
        $cut->wait(sub { $_[0]->ended || numbers($_[0]) =~ / $n$/ });
        ok(numbers($cut) eq '' || numbers($cut) eq join(' ', 2 .. $n),
            "a replay cut after $bytes bytes: all of it or nothing");
        is(recovery($cut), numbers($cut) eq '' ? '' : 'resumed', 'and said to be so');
        $cut->close;
        $proxy->set('pass');
        add($tenant, $n + 1, $n + 1);
        $n++;
        ok($again->wait(sub { numbers($_[0]) =~ /$n$/ }), 'others go on');
    }
    my $whole = open_stream('/one', $tenant, last_event_id => $first);
    $whole->take('caught_up');
    is(recovery($whole), 'resumed', 'then it is resumed');
    is(numbers($whole), join(' ', 2 .. $n), 'with everything');
    $_->close for $again, $whole;
}

# --- half an answer, and then nothing ------------------------------------------------------------------

{
    my $tenant = unique();
    my @streams = map { open_stream($_, $tenant) } '/one', '/both';
    my $before = $proxy->connections;
    $proxy->set('silent 5000');
    add($tenant, 1, 100);
    my %had = map { $_ => scalar(grep { $_->{event} eq 'heartbeat' } $_->events) } @streams;
    ok(Ragline::SSE->wait_all(\@streams, sub {
        (grep { $_->{event} eq 'heartbeat' } $_[0]->events) >= $had{ $_[0] } + 2 }),
        'half an answer and then silence: heartbeats go on');
    ok($streams[0]->wait(sub { $proxy->connections > $before }),
        'half an answer is not waited for for ever');
    $proxy->set('pass');
    ok(Ragline::SSE->wait_all(\@streams, sub { numbers($_[0]) eq join ' ', 1 .. 100 }),
        'then everything comes, once') or diag(map { numbers($_) . "\n" } @streams);
    is(scalar(frightened(@streams)), 0, 'nobody was told otherwise');
    $_->close for @streams;
}

# --- a server that drops connections ---------------------------------------------------------------------

{
    my $tenant = unique();
    my @streams = map { open_stream($_, $tenant) } '/one', '/both';
    my $before = $proxy->connections;
    $proxy->set('refuse');
    $redis->client->client('kill', 'type', 'normal', 'skipme', 'yes');
    my $many = 16 * $children;
    ok($streams[0]->wait(sub { $proxy->connections >= $before + $many }, 60), 'it tries again');
    SKIP: {
        skip 'each child has a rhythm of its own', 3 if $children > 1 || vars('mpm') eq 'prefork';
        my @all = $proxy->connections;
        skip 'it did not', 3 if @all < $before + $many;
        my @at = @all[$before .. $before + $many - 1];
        my @pause = map { $at[$_] - $at[$_ - 1] } 1 .. $#at;
        # 50 ms, doubled to 1 s, each less up to half of it: 8 take 50 + 100 + 200 + 400 + 3 * 500 ms;
        # 16, since history may be wanted, too, over another connection.
        cmp_ok($at[-1] - $at[0], '>', 2, 'less and less often') or diag("@pause");
        my %length = map { sprintf('%.2f', $_) => 1 } @pause[-4 .. -1];
        cmp_ok(scalar(keys %length), '>', 1, 'and not to a beat') or diag("@pause");
        is(scalar(grep { $_ > 5 } @pause), 0, 'but never gives up for long') or diag("@pause");
    }
    add($tenant, 1, 10);
    $proxy->set('pass');
    my $back = Time::HiRes::time();
    ok(Ragline::SSE->wait_all(\@streams, sub { numbers($_[0]) eq join ' ', 1 .. 10 }),
        'it takes us: delivery goes on');
    my $took = Time::HiRes::time() - $back;
    cmp_ok($took, '<', 10, sprintf('in %.1f s', $took));
    is(scalar(frightened(@streams)), 0, 'nobody was told otherwise');
    $_->close for @streams;
}

$httpd->stop;
unlike($httpd->error_log, qr/exit signal|AH00046/, 'nobody crashed or had to be killed');
$proxy->stop;
done_testing();
