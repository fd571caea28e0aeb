# SPDX-License-Identifier: Apache-2.0
#
# WebSockets as competing consumers (RaglineDelivery shared), and events that count as delivered when
# their client says so (RaglineAck client): what is not acknowledged in time, or by somebody who is
# gone, goes to another one.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Load ();
use Ragline::Proc qw(wait_until);
use Ragline::Redis ();
use Ragline::Test;
use Ragline::WebSocket ();

my $redis = Ragline::Redis->start(name => 'acks');

# With prefork each connection has a process, and so a share, of its own.
my $prefork = vars('mpm') eq 'prefork';
my $claim = 2 * ($ENV{RAGLINE_TEST_SLOW} || 1);

sub ws_location
{
    my ($path, @more) = @_;
    return websocket_location($path, 'RaglineDelivery shared', 'RaglineHeartbeat off', @more);
}

my $httpd = Ragline::Httpd->new(name => 'acks', conf => join('', 'RaglineRedis ', $redis->url, "\n",
    "RaglineDrain 1s\nRaglineStreamers 2\n",
    "RaglineStream jobs job:{tenant}:q\nRaglineStream mails job:{tenant}:mails\n",
    "<Location /ragline-stats>\nSetHandler ragline-stats\nRequire local\n</Location>\n",
    ws_location('/socket', 'RaglineSubscribe jobs'),
    ws_location('/jobs', 'RaglineSubscribe jobs', 'RaglineAck client'),
    ws_location('/two', 'RaglineSubscribe jobs', 'RaglineAck client window=2'),
    ws_location('/both', 'RaglineSubscribe jobs mails', 'RaglineAck client'),
    ws_location('/kept', 'RaglineSubscribe jobs', 'RaglineAck client', 'RaglineHandoff off'),
    ws_location('/twice', 'RaglineSubscribe jobs', 'RaglineAck client', 'RaglineMaxDeliveries 2'),
    ws_location('/short', 'RaglineSubscribe jobs', 'RaglineAck client', "RaglineClaimAfter ${claim}s")))
    ->start;

sub ws
{
    my ($path, $tenant) = @_;
    my $ws = Ragline::WebSocket->open(port => $httpd->port, path => $path, token => token($tenant, 1));
    $ws->take('connected');
    return $ws;
}

sub key { return "job:$_[0]:" . ($_[1] // 'q') }
sub group { return "ragline-$_[1]-" . ($_[0] =~ tr/-/~/r) }
sub add { my ($tenant, @n) = @_; return $redis->xadd_many(key($tenant), map { [event_type => 'n', payload => $_] } @n) }
sub pending { return ($redis->client->xpending(key($_[0]), group(@_)))->[0] }
sub pending_becomes { my ($n, @of) = @_; return wait_until(sub { pending(@of) == $n }) }
sub of_events { return grep { $_->{type} eq 'event' } map { $_->messages } @_ }
sub numbers { return join ' ', sort { $a <=> $b } map { $_->{data} } of_events(@_) }
sub has { my ($n, @ws) = @_; $ws[0]->wait(sub { of_events(@ws) >= $n }); return numbers(@ws) }
sub ack { my ($ws, @ids) = @_; $ws->send_text({ type => 'ack', id => $_ }) for @ids; return }
sub error_of { return ($_[0]->take('error') // {})->{error} }

# --- what the socket took ---------------------------------------------------------------------------

{
    my $tenant = unique();
    my @ws = map { ws('/socket', $tenant) } 1 .. 3;
    my @ids = add($tenant, 1 .. 30);
    is(has(30, @ws), join(' ', 1 .. 30), 'each event to one of all');
    is(scalar(grep { of_events($_) } @ws), 3, 'in turn') if !$prefork;
    is(join(' ', sort map { $_->{id} } of_events(@ws)), join(' ', sort @ids), 'with the ids of entries');
    ok(pending_becomes(0, $tenant, 'socket'), 'a socket that took it has it, without RaglineAck');
    ack($ws[0], $ids[0]);
    is(error_of($ws[0]), 'this endpoint waits for no acknowledgements', 'and is not asked');
    is(join(' ', map { $_->fault } @ws), '  ', 'in frames as they must be');
    $_->close for @ws;
}

# --- what the client says it has --------------------------------------------------------------------

{
    my $tenant = unique();
    my @ws = map { ws('/jobs', $tenant) } 1 .. 2;
    add($tenant, 1 .. 10);
    has(10, @ws);
    is(pending($tenant, 'jobs'), 10, 'RaglineAck client: what was sent is pending');
    my ($one) = grep { of_events($_) } @ws;
    my @mine = map { $_->{id} } of_events($one);
    ack($one, $mine[-1]);
    ok(pending_becomes(9, $tenant, 'jobs'), 'an acknowledgement is of one event, in any order');
    ack($one, $mine[-1]);
    is(error_of($one), 'no event with this id waits for an acknowledgement', 'once');
    for my $other (grep { $_ != $one } @ws) {
        ack($other, $mine[0]);
        is(error_of($other), 'no event with this id waits for an acknowledgement', 'by whoever has it');
    }
    for ('{"type":"ack"}', '{"type":"ack","id":7}', '{"type":"ack","id":""}', '{"type":"ack","id":"1-\u0000"}') {
        $one->send_text($_);
        is(error_of($one), 'id has to be that of an event', $_);
    }
    ack($one, '7');
    is(error_of($one), 'no event with this id waits for an acknowledgement', 'an id that is none');
    for my $ws (@ws) {
        ack($ws, grep { $_ ne $mine[-1] } map { $_->{id} } of_events($ws));
    }
    ok(pending_becomes(0, $tenant, 'jobs'), 'all of them');
    is(join('', map { $_->ended } @ws), '', 'nobody was closed');
    $_->close for @ws;
}

# --- how many wait for it ---------------------------------------------------------------------------

{
    my $tenant = unique();
    my $ws = ws('/two', $tenant);
    my @ids = add($tenant, 1 .. 5);
    has(2, $ws);
    for my $n (3 .. 5) {
        $ws->send_text({ type => 'ping' });
        $ws->take('pong');
        is(numbers($ws), join(' ', 1 .. $n - 1), 'window=2: two wait for it');
        ack($ws, $ids[$n - 3]);
        is(has($n, $ws), join(' ', 1 .. $n), 'the next one comes when it says that it has one');
    }
    $ws->close;

    $tenant = unique();
    $ws = ws('/kept', $tenant);
    @ids = add($tenant, 1 .. 20);
    is(has(16, $ws), join(' ', 1 .. 16), 'sixteen, if nothing is said; in a worker, too');
    ack($ws, @ids[0 .. 15]);
    is(has(20, $ws), join(' ', 1 .. 20), 'and the others behind them');
    $ws->close;
}

# --- who is gone ------------------------------------------------------------------------------------

{
    my $tenant = unique();
    my $first = ws('/jobs', $tenant);
    add($tenant, 1 .. 5);
    has(5, $first);
    ack($first, (of_events($first))[0]{id});
    ok(pending_becomes(4, $tenant, 'jobs'), 'one of five is acknowledged');
    my $redelivered = stats_stream(stats($httpd), 'jobs')->{redelivered};
    my $second = ws('/jobs', $tenant);
    $first->close;
    is(has(4, $second), '2 3 4 5', 'the socket goes: the others are for another one');
    is(join(' ', map { $_->{data} } of_events($second)), '2 3 4 5', 'in order') if !$prefork;
    ok(wait_until(sub { stats_stream(stats($httpd), 'jobs')->{redelivered} - $redelivered >= 4 }),
        'counted: redelivered');
    ack($second, map { $_->{id} } of_events($second));
    ok(pending_becomes(0, $tenant, 'jobs'), 'who has them');
    $second->send_close(1000);
    is($second->wait_close, '1000', 'good-bye');

    $tenant = unique();
    $first = ws('/jobs', $tenant);
    my @ids = add($tenant, 1, 2);
    has(2, $first);
    $first->send_bytes(join '', map { Ragline::WebSocket::frame(@$_) }
        [1, "{\"type\":\"ack\",\"id\":\"$ids[0]\"}"], [8, pack('n', 1000)]);
    is($first->wait_close, '1000', 'an acknowledgement right before the close');
    $second = ws('/jobs', $tenant);
    is(has(1, $second), '2', 'counts');
    $second->close;
}

# --- who does not say it in time --------------------------------------------------------------------

{
    my $tenant = unique();
    my $slow = ws('/short', $tenant);
    my @ids = add($tenant, 1 .. 3);
    has(3, $slow);
    my $other = ws('/short', $tenant);
    is(has(3, $other), '1 2 3', 'what is not acknowledged in RaglineClaimAfter is for another one');
    ack($other, @ids);
    ok(pending_becomes(0, $tenant, 'short'), 'which has it');
    is($slow->wait_close, '1013 slow_consumer', 'who acknowledges nothing is closed');
    is($slow->take('error')->{error}, 'no event was acknowledged in time', 'and told');
    push @ids, add($tenant, 4);
    is(has(4, $other), '1 2 3 4', 'the other one goes on');
    ack($other, $ids[3]);
    $other->close;

    # What a client cannot do it says nothing of, and goes on.
    my $picky = ws('/short', $tenant);
    my ($hard) = add($tenant, 0);
    my ($n, %times) = 0;
    wait_until(sub {
        add($tenant, ++$n);
        $picky->wait(sub { grep { $_->{data} == $n } of_events($picky) });
        %times = ();
        $times{ $_->{id} }++ for of_events($picky);
        ack($picky, map { $_->{id} } grep { $_->{data} == $n } of_events($picky));
        Ragline::WebSocket::pump(0.2);
        return ($times{$hard} // 0) > 1 || $picky->ended;
    });
    is($times{$hard}, 2, 'one event is left out: it comes again');
    is($picky->ended, '', 'and who acknowledges the others is not closed');
    ack($picky, $hard);
    ok(pending_becomes(0, $tenant, 'short'), 'until that has it, too');
    $picky->close;
}

# --- nobody ever does -------------------------------------------------------------------------------

{
    my $tenant = unique();
    ws('/twice', $tenant)->close;
    my ($id) = add($tenant, 1);
    for (1, 2) {
        my $ws = ws('/twice', $tenant);
        has(1, $ws);
        $ws->close;
    }
    my $dead;
    ok(wait_until(sub { ($dead) = @{ $redis->client->xrange('ragline:dlq:jobs', '-', '+') } }),
        'RaglineMaxDeliveries 2: it is in the dead-letter stream');
    is({ @{ $dead->[1] } }->{entry_id}, $id, 'that one');
    ok(pending_becomes(0, $tenant, 'twice'), 'and acknowledged');
}

# --- two streams, where ids may be the same ---------------------------------------------------------

{
    my $tenant = unique();
    my $ws = ws('/both', $tenant);
    $redis->client->xadd(key($tenant, $_), '5-1', event_type => 'n', payload => $_ eq 'q' ? 1 : 2)
        for qw(q mails);
    is(length has(1, $ws), 1, 'one id, two streams: one event at a time');
    ack($ws, '5-1');
    is(has(2, $ws), '1 2', 'the other one when it is clear which of them that is');
    ack($ws, '5-1');
    ok(wait_until(sub { !grep { ($redis->client->xpending(key($tenant, $_), group($tenant, 'both')))->[0] }
        qw(q mails) }), 'and both are acknowledged');
    $ws->close;
}

# --- a process is killed, or ends -------------------------------------------------------------------

for my $how ('graceful', full() ? 'KILL' : ()) {
    my $tenant = unique();
    my $ws = ws('/short', $tenant);
    my @ids = add($tenant, 1, 2);
    has(2, $ws);
    ack($ws, $ids[0]);
    pending_becomes(1, $tenant, 'short');
    if ($how eq 'KILL') {
        my %has = map { $_->{pid} => $_->{connections} } @{ stats($httpd)->{children} };
        kill('KILL', grep { $has{$_} } keys %has);
    }
    else {
        $httpd->graceful;
        is($ws->wait_close, '1001 draining', 'the server ends');
    }
    $ws->close;
    my $next;
    wait_until(sub { $next = eval { ws('/short', $tenant) } });
    is(has(1, $next), '2', "$how: what was not acknowledged comes to the next one");
    ack($next, $ids[1]);
    ok(pending_becomes(0, $tenant, 'short'), 'who has it');
    $next->close;
}

# --- all of that under load -------------------------------------------------------------------------

# Workers that come back, and do what they get: but one of twenty they forget.
sub work
{
    my ($worker, $done) = @_;
    my $ws = $worker->{ws};
    if (!$ws || $ws->ended) {
        $worker->{ws} = eval { ws('/short', $worker->{tenant}) };
        $worker->{taken} = 0;
        return;
    }
    my @messages = $ws->messages;
    for my $event (grep { $_->{type} eq 'event' } @messages[$worker->{taken} .. $#messages]) {
        my $n = $event->{data}{n};
        next if !$done->{$n} && rand() < 0.05;
        ack($ws, $event->{id});
        $done->{$n}++;
    }
    $worker->{taken} = @messages;
    return;
}

if (full()) {
    my $tenant = unique();
    my (%done, @killed);
    my @workers = map { { tenant => $tenant } } 1 .. 6;
    my $turn = sub { Ragline::WebSocket::pump(0.02); work($_, \%done) for @workers; return };
    wait_until(sub { $turn->(); !grep { !$_->{ws} } @workers });
    my $load = Ragline::Load->start(redis => $redis, keys => [key($tenant)], tenants => [$tenant], rate => 200);
    for my $kill (1 .. 6) {
        my $until = time() + 3;
        $turn->() while time() < $until;
        my %has = map { $_->{pid} => $_->{connections} } @{ (eval { stats($httpd) } // {})->{children} };
        my ($victim) = grep { $has{$_} } keys %has;
        next if !$victim;
        $kill % 2 ? kill('KILL', $victim) : $httpd->control('graceful');
        push @killed, $victim;
    }
    my $n = $load->stop;
    ok(wait_until(sub { $turn->(); keys(%done) == $n }, 120), "each of $n events was done, through " . @killed
        . ' ends of children') or diag(keys(%done) . ' were');
    ok(wait_until(sub { $turn->(); !pending($tenant, 'short') }, 60), 'and nothing is pending');
    my $more = grep { $_ > 1 } values %done;
    note("$more of them more than once");
    cmp_ok($more, '<', $n / 4, 'most of them once');
    $_->{ws} && $_->{ws}->close for @workers;
}

unlike($httpd->error_log, qr/exit signal (?!Killed)|AH00046/, 'nobody crashed');

done_testing();
