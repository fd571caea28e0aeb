# SPDX-License-Identifier: Apache-2.0
#
# Going back on an open WebSocket: what came after an id comes again, from memory or Redis, with a
# verdict if something of it is missing. And under load: whatever a client subscribes to or resumes
# from meanwhile, nothing is lost and nothing comes twice.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes ();

use Ragline::Httpd ();
use Ragline::Load ();
use Ragline::Proc qw(limit);
use Ragline::Redis ();
use Ragline::Test;
use Ragline::WebSocket ();

my $redis = Ragline::Redis->start(name => 'again');

my $httpd = Ragline::Httpd->new(name => 'again', conf => join('', 'RaglineRedis ', $redis->url, "\n",
    "RaglineSendBuffer 16KB\nRaglineStreamers 2\n",
    map({ "RaglineStream $_ $_\n" } qw(one two load)), "RaglineStream own own:{tenant}\n",
    websocket_location('/one', 'RaglineSubscribe one'),
    websocket_location('/both', 'RaglineSubscribe one two'),
    websocket_location('/few', 'RaglineSubscribe one', 'RaglineReplayLimit 10'),
    websocket_location('/group', 'RaglineSubscribe one', 'RaglineStart group'),
    websocket_location('/shared', 'RaglineSubscribe own', 'RaglineDelivery shared'),
    websocket_location('/load', 'RaglineSubscribe load'),
    websocket_location('/kept', 'RaglineSubscribe load', 'RaglineHandoff off')))->start;

my $tenant = unique('again');

sub ws
{
    my ($path, %r) = @_;
    my $ws = Ragline::WebSocket->open(port => $httpd->port, path => $path,
        token => token($r{tenant} // $tenant, 1), %r);
    $ws->take('connected') if !$r{bulk};
    return $ws;
}

# Who comes afterwards does not get it.
sub add
{
    my ($key, @n) = @_;
    my @added = $redis->xadd_many($key, map { [tenant_id => $tenant, event_type => 'n', payload => $_] } @n);
    $redis->all_read;
    return @added;
}

my $limited = 'one resume a second, where it is Redis that has the events';

# What comes up to the next caught_up (which is the last), in words; "limited" if nothing is to come.
sub until_caught_up
{
    my ($ws) = @_;
    my @came;
    while (my $message = $ws->take) {
        return 'limited' if ($message->{error} // '') eq $limited;
        push @came, $message->{type} eq 'event' ? $message->{data}
            : $message->{type} eq 'caught_up' ? "caught_up($message->{data}{replayed})"
            : $message->{type} eq 'reset' ? "reset($message->{data}{reason})" : $message->{type};
        last if $message->{type} eq 'caught_up';
    }
    return join ' ', @came;
}

sub resume_once { my ($ws, $id) = @_; $ws->send_text({ type => 'resume', id => $id }); return until_caught_up($ws) }

sub resume
{
    my ($ws, $id) = @_;
    my $said;
    wait_until(sub { ($said = resume_once($ws, $id)) ne 'limited' });
    return $said;
}

# --- once more --------------------------------------------------------------------------------------

my @ids = add('one', 1 .. 5);
my $ws = ws('/one');
is(resume($ws, $ids[1]), '3 4 5 caught_up(3)', 'what Redis has');
push @ids, add('one', 6, 7);
$ws->take(sub { $_[0]{type} eq 'event' && $_[0]{data} == 7 });
is(resume($ws, $ids[5]), '7 caught_up(1)', 'what is in memory');
is(resume($ws, $ids[6]), 'caught_up(0)', 'nothing');
is(resume($ws, $ids[0]), '2 3 4 5 6 7 caught_up(6)', 'and once more');
# Two in a second: a machine that is slow may take longer for the first one.
ok(wait_until(sub { resume($ws, $ids[0]); resume_once($ws, $ids[1]) eq 'limited' }), 'Redis is asked once a second');
is(resume_once($ws, $ids[5]), '7 caught_up(1)', 'memory as often as somebody likes');
is(resume($ws, $ids[1]), '3 4 5 6 7 caught_up(5)', 'and a second later it is asked again');
$ws->send_text({ type => 'resume', id => $ids[4] });
push @ids, add('one', 8);
$ws->wait(sub { grep { $_->{type} eq 'event' && $_->{data} == 8 } $_[0]->messages });
is(join(' ', map { $_->{data} } (grep { $_->{type} eq 'event' } $ws->messages)[-3 .. -1]), '6 7 8',
    'what comes meanwhile is behind it');
$ws->take('caught_up');
for my $id ('garbage', '1-', '5' x 60) {
    $ws->send_text({ type => 'resume', id => $id });
    is($ws->take('error')->{error}, 'this is no id of this endpoint', "no id: $id");
}
$ws->send_text('{"type":"resume"}');
is($ws->take('error')->{error}, 'id has to be that of an event', 'none at all');
push @ids, add('one', 9);
is($ws->take('event')->{id}, $ids[8], 'and the connection is where it was');

# Several messages at once are done in their order.
$ws->send_bytes(join '', map { Ragline::WebSocket::frame(1, $_) } '{"type":"subscribe","subscriptions":["x"]}',
    "{\"type\":\"resume\",\"id\":\"$ids[6]\"}", "{\"type\":\"resume\",\"id\":\"$ids[5]\"}", '{"type":"ping"}');
is(until_caught_up($ws), 'subscription_updated error pong caught_up(0)',
    'for what it has subscribed to, and one at a time');
$ws->close;

# --- what is missing --------------------------------------------------------------------------------

$ws = ws('/one');
is(resume($ws, '1-1'), 'reset(trimmed) ' . join(' ', 1 .. 9) . ' caught_up(9)', 'an id that is older than all');
my $ahead = (split /-/, $ids[-1])[0] + 3_600_000;
is(resume($ws, "$ahead-0"), 'reset(redis_reset) caught_up(0)', 'one that Redis has never given out');
push @ids, add('one', 10);
is($ws->take('event')->{id}, $ids[9], 'then what is new comes');
$redis->client->xtrim('one', 'MAXLEN', 3);
my $other = ws('/one');
is(resume($other, $ids[2]) =~ s/ .*//r, 'reset(trimmed)', 'what was trimmed is told');
$_->close for $ws, $other;

# Of whom nobody was there: nothing of it is in memory.
add('one', 1 .. 1000);
$ws = ws('/few', tenant => unique('few'));
is(resume($ws, $ids[9]), 'reset(limit) caught_up(0)', 'more than RaglineReplayLimit is not looked through');
$ws->close;

# --- two streams ------------------------------------------------------------------------------------

$ws = ws('/both');
my $from = $ws->messages ? ($ws->messages)[0]{id} : '';
add($_ % 2 ? 'one' : 'two', $_) for 101 .. 106;
$ws->wait(sub { 6 == grep { $_->{type} eq 'event' } $_[0]->messages });
$ws->take('event') for 1 .. 6;
my $again = resume($ws, $from);
is(join(' ', sort split / /, $again), join(' ', 101 .. 106, 'caught_up(6)'), 'two streams');
is($ws->fault, '', 'in frames as they must be');
$ws->close;

# --- where ids have no meaning ----------------------------------------------------------------------

for my $path ('/group', '/shared') {
    $ws = ws($path);
    $ws->send_text({ type => 'resume', id => $ids[0] });
    like($ws->take('error')->{error}, qr/consumer group/, "$path: refused");
    $ws->close;
}

# --- under load -------------------------------------------------------------------------------------

my @subscribers = map { ws($_, bulk => 1) } '/load', '/load', '/kept';
my $resumer = ws('/load', bulk => 1);
$_->wait(sub { $_[0]->messages }) for @subscribers, $resumer;
my $load = Ragline::Load->start(redis => $redis, keys => ['load'], tenants => [$tenant], rate => 800);
my ($steps, $changes, @targets) = (0, 0);
my $until = Time::HiRes::time() + (full() ? 20 : 2);
while (Time::HiRes::time() < $until || (@targets < 5 && Time::HiRes::time() < $until + limit())) {
    Ragline::WebSocket::pump(0.01);
    $steps++;
    # One of them does not read all the time: its socket fills.
    $subscribers[1]{paused} = $steps % 20 > 8;
    for my $on (@subscribers) {
        $on->send_text({ type => 'subscribe', subscriptions => $steps % 2 ? ['s0', "x$steps"] : ['s*'] });
        $changes++;
    }
    my @has = grep { $_->{type} eq 'event' } $resumer->messages;
    next if @targets > grep { $_->{type} eq 'caught_up' } $resumer->messages;
    next if @has < 100;
    my $target = $has[-2 - int rand 90]{id};
    next if $target eq $has[-1]{id}; # the last one, had before and again, is no way back
    push @targets, $target;
    $resumer->send_text({ type => 'resume', id => $target });
}
$_->{paused} = 0 for @subscribers;
my $n = $load->stop;
my @all = map { $_->[0] } @{ $redis->client->xrange('load', '-', '+') };
my $last = $all[-1];
note("$n events, $changes changes, " . @targets . ' times back');
cmp_ok(scalar(@targets), '>', 3, 'there was something to see');
for my $on (@subscribers) {
    $on->wait(sub { grep { ($_->{id} // '') eq $last } $_[0]->messages });
    my @has = map { $_->{id} } grep { $_->{type} eq 'event' } $on->messages;
    is(scalar(@has), $n, 'as many events as there were, across all changes');
    my ($wrong) = grep { ($has[$_] // '') ne $all[$_] } 0 .. $#all;
    is($wrong, undef, 'in order');
    is($on->fault, '', 'in frames as they must be');
    is(join(' ', grep { !/^(event|subscription_updated|connected|heartbeat)$/ } map { $_->{type} } $on->messages),
        '', 'and nothing else');
}
my %at = map { $all[$_] => $_ } 0 .. $#all;
$resumer->wait(sub { ($_[0]->messages)[-1]{id} eq $last
    && @targets == grep { $_->{type} eq 'caught_up' } $_[0]->messages });
my ($expected, $jumps, @wrong) = (0, 0);
for my $message (grep { $_->{type} eq 'event' } $resumer->messages) {
    my $is = $at{ $message->{id} };
    if ($is != $expected) {
        my $target = $jumps < @targets ? $at{ $targets[$jumps] } + 1 : -1;
        push @wrong, "$is instead of $expected or $target" if $is != $target;
        $jumps++;
    }
    $expected = $is + 1;
}
is(join(', ', @wrong), '', 'who goes back has everything after that, in order, each once');
is($expected, $n, 'up to the end');
is($jumps, scalar(@targets), 'each time that it asked');
is(scalar(grep { $_->{type} eq 'reset' } $resumer->messages), 0, 'and was told of nothing missing');

done_testing();
