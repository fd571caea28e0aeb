# SPDX-License-Identifier: Apache-2.0
#
# A thousand publishers at once, each with several events and lists of events, some of them under
# an event_id that others use as well. What is in Redis afterwards is compared with what they were
# told: nothing is lost, nothing is there twice, no list is there by halves or torn apart. Then the
# same with publishers that leave, and while the connections to Redis break.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use IO::Poll qw(POLLIN POLLOUT);
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes ();

use Ragline::HTTP ();
use Ragline::Httpd ();
use Ragline::Proc ();
use Ragline::Redis ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'load');
my $json = JSON::PP->new->utf8;
my $token = token(unique('load'), 1);

# Each request has a connection of its own: httpd may close one that is kept alive at any moment,
# and then nobody knows what became of a request. Those that have no worker yet wait in the listen
# queue.
my $httpd = Ragline::Httpd->new(name => 'load', children => 2, threads => 32, conf => <<"EOF");
RaglineRedis @{[ $redis->url ]}
RaglineStream load ragline:stream:load
RaglineRedisPool timeout=20s
ListenBacklog 2048
KeepAlive Off
<Location /publish>
    SetHandler ragline-publish
    RaglinePublish load
@{[ jwt_conf() ]}
</Location>
EOF
$httpd->start;

# --- requests -----------------------------------------------------------------------------------

# A request: events (with `mark`, which says which event it is, and perhaps `event_id`), whether it
# is a list, and what became of it.
sub request
{
    my ($list, @events) = @_;
    my @body = map { { stream => 'load', event_type => 'load', payload => $_->{mark},
        $_->{event_id} ? (event_id => $_->{event_id}) : () } } @events;
    return {
        events => \@events, list => $list,
        safe => !grep({ !$_->{event_id} } @events), # to be published again
        bytes => Ragline::HTTP::request_bytes(port => $httpd->port, method => 'POST',
            path => '/publish', token => $token, headers => ['Content-Type' => 'application/json'],
            body => $json->encode($list ? \@body : $body[0])),
    };
}

# What publisher $n of a run does, one after the other. Publishers 2k and 2k+1 share event_ids.
sub requests
{
    my ($run, $n) = @_;
    my $pair = "$run-pair-" . int($n / 2);
    my $mine = { mark => "$run-$n-mine", event_id => "$run-$n-mine" };
    my $plain = 0;
    my $new = sub { return { mark => "$run-$n-" . ++$plain } };
    return (
        request(0, $new->()),
        request(1, map { $new->() } 1 .. 3),
        request(0, $mine),
        request(1, map { { mark => "$pair-$_", event_id => "$pair-$_" } } 1 .. 5),
        request(0, $mine),
        request(1, $new->(), $mine, $new->()),
        request(0, { mark => "$pair-one", event_id => "$pair-one" }),
    );
}

# --- publishers ---------------------------------------------------------------------------------

my ($poll, %client, %count);

sub open_client
{
    my ($client) = @_;
    my $socket = Ragline::HTTP::connect_to(port => $httpd->port);
    $socket->blocking(0);
    @$client{qw(socket out http used)} = ($socket, '', undef, 0);
    $client{ fileno($socket) } = $client;
    return;
}

sub close_client
{
    my ($client) = @_;
    my $socket = delete $client->{socket} or return;
    $poll->remove($socket);
    delete $client{ fileno($socket) };
    close($socket);
    return;
}

# Sends the client's next request, or the same once more.
sub send_request
{
    my ($client) = @_;
    close_client($client) if $client->{used};
    open_client($client) if !$client->{socket};
    $client->{used} = 1;
    $client->{out} = $client->{todo}[0]{bytes};
    $client->{http} = Ragline::HTTP->new(method => 'POST');
    $poll->mask($client->{socket} => POLLIN | POLLOUT);
    return;
}

sub next_request
{
    my ($client) = @_;
    shift @{ $client->{todo} };
    return @{ $client->{todo} } ? send_request($client) : close_client($client);
}

# Nobody knows whether it was written.
sub unknown
{
    my ($client) = @_;
    my $request = $client->{todo}[0];
    $count{unknown}++;
    return send_request($client) if $request->{safe};
    $request->{maybe} = 1;
    return next_request($client);
}

sub answered
{
    my ($client) = @_;
    my ($http, $request) = ($client->{http}, $client->{todo}[0]);
    my $answer = $http->json // {};
    $count{ $http->status }++;
    $count{answers}++;
    if ($http->status == 201) {
        $request->{ids} = $request->{list} ? $answer->{ids} : [$answer->{id}];
        $request->{old} = { map { $_ => 1 } $request->{list} ? @{ $answer->{duplicates} // [] }
            : $answer->{duplicate} ? 0 : () };
        return next_request($client);
    }
    my $error = $answer->{error} // '';
    $count{$error}++;
    return send_request($client) if $error eq 'redis_unavailable';
    return unknown($client) if $error eq 'outcome_unknown';
    $request->{failed} = $http->status . " $error";
    return next_request($client);
}

sub serve
{
    my ($client, $events) = @_;
    if ($events & POLLOUT && length $client->{out}) {
        my $n = syswrite($client->{socket}, $client->{out});
        substr($client->{out}, 0, $n, '') if $n;
        $poll->mask($client->{socket} => POLLIN) if !length $client->{out};
    }
    return if !($events & ~POLLOUT);
    my $n = sysread($client->{socket}, my $bytes, 65536);
    return if !defined($n) && ($!{EAGAIN} || $!{EINTR});
    if (!$n) {
        close_client($client);
        return unknown($client);
    }
    $client->{http}->feed($bytes);
    answered($client) if $client->{http}->done;
    return;
}

# Runs $n publishers to their ends. Returns all requests.
sub run
{
    my ($run, $n) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $deadline = Time::HiRes::time() + Ragline::Proc::limit(100);
    my @clients = map { { todo => [requests($run, $_)] } } 0 .. $n - 1;
    my @requests = map { @{ $_->{todo} } } @clients;
    ($poll, %client, %count) = IO::Poll->new;
    open_client($_) for @clients;
    $count{open} = keys %client;
    send_request($_) for @clients;
    while (%client && Time::HiRes::time() < $deadline) {
        $poll->poll(0.5);
        for my $socket ($poll->handles(POLLIN | POLLOUT)) {
            my $client = $client{ fileno($socket) } or next;
            serve($client, $poll->events($socket));
        }
    }
    is(scalar(keys %client), 0, "$run: all publishers come to their ends");
    close_client($_) for values %client;
    return @requests;
}

# --- what is in Redis ---------------------------------------------------------------------------

# [id, mark] of every entry since the last call.
my $last = '-';

sub entries
{
    my @entries;
    while (1) {
        my $some = $redis->client->xrange('ragline:stream:load', $last, '+', 'COUNT', 1000);
        last if !@$some;
        push @entries, map { [$_->[0], { @{ $_->[1] } }->{payload} =~ s/"//gr] } @$some;
        $last = "($entries[-1][0]";
    }
    return @entries;
}

# None of the list, or all of it, side by side: true if so. $at: mark => position in the stream.
sub is_whole
{
    my ($at, @marks) = @_;
    my @there = map { $at->{$_} // () } @marks;
    return 1 if !@there;
    return @there == @marks && !grep { $there[$_] != $there[0] + $_ } 0 .. $#there;
}

# Compares what the publishers were told with what is there.
sub check
{
    my ($run, @requests) = @_;
    my @entries = entries();
    my (%id, %at, %times, %told, %new, @wrong, @torn, @halves);
    for my $i (0 .. $#entries) {
        my ($id, $mark) = @{ $entries[$i] };
        ($id{$mark}, $at{$mark}) = ($id, $i);
        $times{$mark}++;
    }
    for my $request (@requests) {
        my @events = @{ $request->{events} };
        if ($request->{maybe}) {
            # One with a known event_id within is not written again.
            my @marks = map { $_->{event_id} ? () : $_->{mark} } @events;
            push @halves, $marks[0] if !is_whole(\%at, @marks);
            $told{$_}++ for grep { $id{$_} } @marks;
            next;
        }
        my @ids = @{ $request->{ids} // [] };
        push @wrong, $events[0]{mark} if @ids != @events;
        my @written;
        for my $i (0 .. $#ids) {
            my $mark = $events[$i]{mark};
            push @wrong, "$mark $ids[$i]" if ($id{$mark} // '') ne $ids[$i];
            $told{$mark}++;
            next if $request->{old}{$i};
            $new{$mark}++;
            push @written, $mark;
        }
        push @torn, $written[0] if !is_whole(\%at, @written);
    }
    is(join(', ', map { $_->{failed} // () } @requests), '', "$run: none is refused");
    is("@wrong[0 .. ($#wrong > 5 ? 5 : $#wrong)]", '', "$run: each id is that of its event");
    is(join(' ', grep { $times{$_} != 1 } sort keys %times), '', "$run: nothing is there twice");
    is(join(' ', grep { $new{$_} > 1 } sort keys %new), '', "$run: nothing is new twice");
    is(join(' ', grep { !$told{$_} } sort keys %times), '',
        "$run: nothing is there that nobody wrote");
    is(join(' ', grep { !$times{$_} } sort keys %told), '', "$run: nothing is lost");
    is("@torn", '', "$run: lists stand together, in their order");
    is("@halves", '', "$run: of those that nobody confirmed, all or nothing is there");
    is(scalar(@entries), scalar(keys %told), "$run: as many entries as events");
    note(join ', ', map { "$_: $count{$_}" } sort keys %count);
    return \%new;
}

# --- a thousand publishers ----------------------------------------------------------------------

{
    my $publishers = 1000;
    my $start = Time::HiRes::time();
    my @requests = run('calm', $publishers);
    my $seconds = Time::HiRes::time() - $start;
    is($count{open}, $publishers, 'a thousand connections are open at once');
    ok($seconds < Ragline::Proc::limit(60), 'they are served within a minute')
        or diag("$seconds s");
    note(sprintf '%d requests in %.1f s', scalar(@requests), $seconds);
    my $new = check('calm', @requests);
    is($redis->client->xlen('ragline:stream:load'), $publishers * 7 + $publishers / 2 * 6,
        'XLEN');
    is(scalar(keys %$new), $publishers * 7 + $publishers / 2 * 6, 'each is new for one publisher');
    is($count{201}, $publishers * 7, 'every request is answered with 201, at once');
    is($count{unknown} // 0, 0, 'no answer is missing');
}

# --- publishers that leave ----------------------------------------------------------------------

{
    my (@left, @cut);
    for my $n (1 .. 100) {
        my $request = request(1, map { { mark => "left-$n-$_",
            $n % 2 ? () : (event_id => "left-$n-$_") } } 1 .. 50);
        my $socket = Ragline::HTTP::connect_to(port => $httpd->port);
        my $bytes = $request->{bytes};
        # Every fourth breaks off within the body, with as much of it as makes whole events.
        $bytes = substr($bytes, 0, length($bytes) - $n) if $n % 4 == 3;
        syswrite($socket, $bytes);
        setsockopt($socket, Socket::SOL_SOCKET(), Socket::SO_LINGER(), pack('ii', 1, 0))
            if $n % 4 == 1;
        close($socket);
        push @{ $n % 4 == 3 ? \@cut : \@left }, [map { $_->{mark} } @{ $request->{events} }];
    }
    # When the last is through, so are the others.
    my $idle = sub { ($httpd->status->{BusyWorkers} // 99) <= 1 };
    ok(wait_until($idle), 'publishers that do not wait for the answer');
    my @entries = entries();
    my %at = map { $entries[$_][1] => $_ } 0 .. $#entries;
    is(scalar(grep { !is_whole(\%at, @$_) } @left), 0, 'all of a list is there, or nothing');
    is(scalar(grep { exists $at{ $_->[0] } } @cut), 0, 'nothing of a body that broke off');
    is(scalar(@entries), scalar(keys %at), 'and nothing twice');
    note(scalar(@entries) / 50, ' of 75 lists were written');
}

# --- while the connections to Redis break -------------------------------------------------------

# A process that does it, and counts.
sub cut_connections
{
    my $pid = fork() // die "fork: $!\n";
    return $pid if $pid;
    my $parent = getppid();
    local $SIG{TERM} = sub { POSIX::_exit(0) };
    my $client = Redis->new(sock => $redis->socket_path);
    while (getppid() == $parent) {
        $client->client('kill', 'type', 'normal', 'skipme', 'yes');
        $client->incr('cuts');
        Time::HiRes::sleep(0.02);
    }
    POSIX::_exit(0);
}

{
    my $killer = cut_connections();
    my @requests = run('broken', 600);
    kill('TERM', $killer);
    waitpid($killer, 0);
    delete $redis->{client}; # which was cut as well
    my $cuts = $redis->client->get('cuts') // 0;
    cmp_ok($cuts, '>=', 10, 'all connections to Redis are cut again and again');
    note("$cuts times");
    ok($count{unknown}, 'some publishers do not learn what became of their events')
        or diag(explain(\%count));
    check('broken', @requests);
}

$httpd->stop;
$redis->stop;
done_testing();
