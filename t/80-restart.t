# SPDX-License-Identifier: Apache-2.0
#
# Restarts and stops with streams open: every client is told to come back and sees a clean end,
# nothing stays behind, and readers see no gap within a connection.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(fd_count fd_list process_state);
use Ragline::Redis ();
use Ragline::Test;

my $redis = redis_a();
my $key = unique('ragline:restart');
my $drain = 2;

sub conf
{
    my @retry = ('RaglineSubscribe orders', 'RaglineRetry 1s');
    return <<"EOF" . bearer_location('/stream', @retry)
RaglineRedis @{[ $redis->url ]}
RaglineStream orders $key
RaglineDrain ${drain}s
<Location /ragline-stats>
    SetHandler ragline-stats
    Require local
</Location>
<Location /publish>
    SetHandler ragline-publish
@{[ jwt_conf() ]}
    RaglinePublish orders
</Location>
EOF
        . bearer_location('/off', @retry, 'RaglineHandoff off');
}

sub open_streams
{
    my ($httpd, $n) = @_;
    my @streams = Ragline::SSE->open_many($n, sub {
        return (port => $httpd->port, path => '/stream', token => token("t$_[0]", $_[0])) });
    ok(Ragline::SSE->wait_all(\@streams, sub { $_[0]->events }), "$n streams are open");
    return @streams;
}

# Each of these streams got a retry: within the drain and a clean end.
sub told_to_come_back
{
    my ($name, @streams) = @_;
    ok(Ragline::SSE->wait_all(\@streams, sub { $_[0]->ended }, 60), "$name: every stream ends");
    is(scalar(grep { $_->ended eq 'eof' } @streams), scalar(@streams), "$name: cleanly");
    my @retry = map {
        my ($last) = reverse grep { defined } map { $_->{retry} } $_->blocks;
        $last // -1
    } @streams;
    is(scalar(grep { $_ < 0 || $_ > 1000 + 1000 * $drain } @retry), 0,
        "$name: with retry: within RaglineRetry and RaglineDrain");
    my %different = map { $_ => 1 } @retry;
    cmp_ok(scalar(keys %different), '>', @streams / 20,
        "$name: spread, so that they do not come at once")
        if @streams >= 100;
    my @why = map { my ($last) = reverse $_->events; $last ? $last->{data} : '' } @streams;
    my ($other) = grep { (json_of($_)->{code} // '') ne 'draining' } @why;
    is($other, undef, "$name: with an error event that says why");
    is(scalar(grep { ($_->blocks)[-1]{raw} !~ /\n\z/ } @streams), 0, "$name: no frame is cut");
    is(scalar(grep { $_->{buffer} ne '' } @streams), 0, "$name: nothing follows the last frame");
    return;
}

# Which of these pids are still children.
sub still_there
{
    my ($httpd, @pids) = @_;
    my %now = map { $_ => 1 } $httpd->children;
    return grep { $now{$_} } @pids;
}

sub nothing_left
{
    my ($name, @pids) = @_;
    ok(wait_until(sub { !grep { process_state($_) } @pids }), "$name: the processes are gone");
    return;
}

# --- graceful, again and again ------------------------------------------------------------------

{
    my $httpd = Ragline::Httpd->new(name => 'graceful', children => 2, conf => conf())->start;
    # What a parent opens once for all restarts is open after the first.
    ok($httpd->graceful, 'a graceful restart without streams');
    my ($parent_fds, $list) = (fd_count($httpd->pid), fd_list($httpd->pid));

    my @streams = open_streams($httpd, 1000);
    my @held = map { $httpd->stream('/off', token => token('off', $_)) } 1 .. 3;
    $_->connected for @held;
    my @old = $httpd->children;
    my ($status, $output) = $httpd->control('graceful');
    is($status, 0, 'graceful with 1,000 streams') or diag($output);
    told_to_come_back('graceful', @streams, @held);
    ok(wait_until(sub { !still_there($httpd, @old) }, 60),
        'the children of before are gone');
    is(scalar($httpd->zombies), 0, 'without a zombie');
    ok(wait_until(sub { fd_count($httpd->pid) <= $parent_fds }),
        'the parent has no descriptor more')
        or diag("before:\n$list", "now:\n", fd_list($httpd->pid));
    ok(wait_until(sub { stats_connections(stats($httpd)) == 0 }), 'and no stream is counted');

    my ($again) = open_streams($httpd, 1);
    $redis->xadd($key, tenant_id => 't0', event_type => 'after', payload => '{}');
    ok($again->take('after'), 'the new children deliver');
    $again->close;
    $httpd->stop;
    unlike($httpd->error_log, qr/exit signal|AH00046/, 'nobody crashed or had to be killed');
}

# --- stop ---------------------------------------------------------------------------------------

for my $how ('stop', 'restart', 'graceful-stop') {
    my $n = $how eq 'stop' ? 1000 : 200;
    my $httpd = Ragline::Httpd->new(name => $how, children => 2, conf => conf())->start;
    my @streams = open_streams($httpd, $n);
    my @pids = ($how eq 'restart' ? () : $httpd->pid, $httpd->children);
    my ($status, $output) = $httpd->control($how);
    is($status, 0, "$how with $n streams") or diag($output);
    told_to_come_back($how, @streams);
    if ($how eq 'restart') {
        ok(wait_until(sub { !still_there($httpd, @pids) }, 60),
            "$how: the children of before are gone");
        open_streams($httpd, 5);
        $httpd->stop;
    }
    else {
        # The parent is our child: until it is reaped, it is there.
        is($httpd->stop(0), 0, "$how: httpd ends without an error");
        nothing_left($how, @pids);
    }
    unlike($httpd->error_log, qr/exit signal|AH00046/, "$how: nobody crashed or had to be killed");
}

# --- reloads under load -------------------------------------------------------------------------

{
    my $reloads = full() ? 20 : 3;
    my $httpd = Ragline::Httpd->new(name => 'load', children => 2, conf => conf())->start;
    $httpd->graceful;
    my ($parent_fds, $list) = (fd_count($httpd->pid), fd_list($httpd->pid));
    my $n = 0;
    my $refused = 0;

    # A page that reconnects as EventSource does. What each of its connections got is kept.
    my @readers = map { { tenant => "r$_", connections => [] } } 1 .. 20;
    my $connect = sub {
        my ($reader) = @_;
        my $last = $reader->{stream} && $reader->{stream}->last_event_id;
        $reader->{stream} = $httpd->stream('/stream',
            token => token($reader->{tenant}, 1),
            length($last // '') ? (last_event_id => $last) : ());
        push @{ $reader->{connections} }, $reader->{stream};
    };
    my $step = sub {
        $n++;
        $redis->xadd_many($key,
            map { [tenant_id => $_->{tenant}, event_type => 'n', payload => $n] } @readers);
        for my $reader (@readers) {
            $connect->($reader) if !$reader->{stream} || $reader->{stream}->ended;
        }
        if ($n % 10 == 0) {
            my $status = eval { $httpd->request(path => '/publish', method => 'POST',
                token => token('r0', 1), headers => ['Content-Type' => 'application/json'],
                body => '{"stream":"orders","event_type":"p","payload":{}}')->status };
            $refused++ if ($status // 0) != 201;
        }
        Ragline::SSE::pump(0.01);
    };
    my $delivering = sub { !grep { !grep { $_->{event} eq 'n' } $_->{stream}->events } @readers };

    $step->();
    ok(wait_until(sub { $step->(); $delivering->() }), 'twenty readers under load');
    for my $reload (1 .. $reloads) {
        my @old = $httpd->children;
        my @before = map { $_->{stream} } @readers;
        my ($status) = $httpd->control('graceful');
        my $done = wait_until(sub {
            $step->();
            !(grep { !$_->ended } @before) && !still_there($httpd, @old) && $delivering->()
        }, 60);
        ok($status == 0 && $done, "reload $reload: old children gone, every reader served again")
            or last;
    }
    # New children are not ready at once, but a client that comes early waits, it is not sent away.
    my @sent_away = grep { (json_of($_->{data})->{code} // '') eq 'redis_unavailable' }
        map { grep { $_->{event} eq 'error' } $_->events } map { @{ $_->{connections} } } @readers;
    is(scalar(@sent_away), 0, 'no reader came too early');
    my $gaps = 0;
    for my $reader (@readers) {
        my $last;
        for my $stream (@{ $reader->{connections} }) {
            my ($first) = $stream->events;
            my $recovery = $first ? json_of($first->{data})->{recovery} // '' : '';
            undef $last if $recovery ne 'resumed';
            for my $event (grep { $_->{event} eq 'n' } $stream->events) {
                $gaps++ if defined $last && $event->{data} != $last + 1;
                $last = $event->{data};
            }
        }
    }
    is($gaps, 0, 'no reader saw a gap, a repetition or another order within what it was promised');
    is($refused, 0, 'no publisher was refused');
    is(scalar($httpd->zombies), 0, 'no zombie');
    ok(wait_until(sub { fd_count($httpd->pid) <= $parent_fds }),
        'the parent has no descriptor more')
        or diag("before:\n$list", "now:\n", fd_list($httpd->pid));
    $_->{stream}->close for @readers;
    ok(wait_until(sub { stats_connections(stats($httpd)) == 0 }), 'no stream is counted');
    $httpd->stop;
    unlike($httpd->error_log, qr/exit signal|AH00046/, 'nobody crashed or had to be killed');
}

done_testing();
