# SPDX-License-Identifier: Apache-2.0
#
# How long things are kept, and beginning at a time: RaglineStart since=, and of RaglineStream
# maxage= and idle=. Entries are given ids of the past, so nothing here waits for them to age.
#
# Modes: tenant
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);

use Ragline::Httpd ();
use Ragline::Redis ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'keep', args => ['--appendonly', 'no']);
my %key = map { $_ => stream_key('keep', $_) } qw(one two none old both);
my %more = (old => ' maxage=1h', both => ' maxlen=100000 maxage=1h');

my $httpd = Ragline::Httpd->new(name => 'main', conf => join('',
    "RaglineRedis @{[ $redis->url ]}\nRaglineDrain 0\n",
    (map { "RaglineStream $_ $key{$_}" . ($more{$_} // '') . "\n" } sort keys %key),
    "RaglineStream gone keep:{tenant}:gone idle=1h\n",
    "RaglineStream soon keep:{tenant}:soon idle=1s\n",
    "RaglineStream kept keep:{tenant}:kept idle=1h\n",
    bearer_location('/hour', 'RaglineSubscribe one', 'RaglineStart since=1h'),
    bearer_location('/even', 'RaglineSubscribe one', 'RaglineStart since=1h', 'RaglineEvents even'),
    bearer_location('/two', 'RaglineSubscribe one two', 'RaglineStart since=1h'),
    bearer_location('/none', 'RaglineSubscribe none', 'RaglineStart since=1h'),
    bearer_location('/limit', 'RaglineSubscribe one', 'RaglineStart since=30d',
        'RaglineReplayLimit 4'),
    bearer_location('/kept', 'RaglineSubscribe kept'),
    bearer_location('/kept-two', 'RaglineSubscribe kept gone'),
    "<Location /publish>\nSetHandler ragline-publish\n", jwt_conf(),
    "RaglinePublish old both soon kept\n</Location>\n"))->start;

sub restart
{
    $httpd->stop;
    $httpd->start;
    return;
}

# Entries of the past cannot be written behind newer ones, of whichever tenant.
sub begin
{
    $httpd->stop;
    $redis->client->flushall;
    $httpd->start;
    return unique();
}

sub open_stream
{
    my ($path, $tenant, @more) = @_;
    $redis->all_read;
    my $stream = $httpd->stream($path, token => token($tenant, 1), @more);
    $stream->connected;
    return $stream;
}

sub own { return grep { $_->{event} =~ /^(?:odd|even)$/ } $_[0]->events }
sub numbers { return join ' ', map { $_->{data} } own($_[0]) }

sub recovery { return $_[0]->recovery }

sub caught_up { return $_[0]->caught_up }

# Entries of so many minutes ago.
sub aged
{
    my ($name, $tenant, @entries) = @_;
    my $now = int(time * 1000);
    return map {
        my ($minutes, $n) = @$_;
        $redis->client->xadd(key_of($key{$name}, $tenant), $now - $minutes * 60_000 . "-$n",
            tenant_id => $tenant, event_type => $n % 2 ? 'odd' : 'even', payload => $n);
    } @entries;
}

# --- beginning at a time --------------------------------------------------------------------------

{
    my $tenant = begin();
    aged('one', $tenant, [180, 1], [120, 2], [70, 3], [50, 4], [40, 5], [1, 6]);
    my %want = ('/hour' => '4 5 6', '/even' => '4 6');
    for my $where ('Redis', 'memory', 'Redis again') {
        restart() if $where =~ /Redis/;
        for my $path (sort keys %want) {
            my $name = "$path, from $where";
            my $stream = open_stream($path, $tenant);
            is(caught_up($stream), scalar(split / /, $want{$path}), "$name: told how much it was");
            is(numbers($stream), $want{$path}, "$name: what is at most so old");
            is(recovery($stream), 'new', "$name: it is a new one");
            my $again = open_stream($path, $tenant, last_event_id => (own($stream))[0]{id});
            caught_up($again);
            is(recovery($again) . ' ' . numbers($again), 'resumed ' . $want{$path} =~ s/^\d+ //r,
                "$name: one with an id is resumed from there");
            $redis->xadd(key_of($key{one}, $tenant), tenant_id => $tenant, event_type => 'even',
                payload => 'live');
            ok($stream->take(sub { $_[0]{data} eq 'live' }), "$name: and what comes then");
            $_->close for $stream, $again;
            $_ .= ' live' for values %want;
        }
    }
    my $old = open_stream('/hour', $tenant, last_event_id => '1-1');
    is(caught_up($old), 12, 'one with an older id gets all, and');
    is(recovery($old), 'reset/trimmed', 'a verdict, as ever');
    $old->close;

    # Bounded, like a replay; and nothing that there is to be told of somebody who had nothing.
    restart();
    my $stream = open_stream('/limit', $tenant);
    is(caught_up($stream), 4, 'no more than RaglineReplayLimit');
    like(numbers($stream), qr/^(?:\d+ )*live(?: live)*$/, 'the newest');
    is(recovery($stream), 'new', 'and it is a new one');
    is(scalar(grep { $_->{event} eq 'reset' } $stream->events), 0, 'that is told nothing else');
    my $second = open_stream('/limit', $tenant);
    is(caught_up($second) . ' ' . recovery($second), '4 new', 'so is the next one');
    $_->close for $stream, $second;
}

{
    my $tenant = begin();
    aged('one', $tenant, [180, 1], [50, 3], [10, 5]);
    aged('two', $tenant, [120, 2], [40, 4], [20, 6]);
    for my $where ('Redis', 'memory') {
        restart() if $where eq 'Redis';
        my $stream = open_stream('/two', $tenant);
        is(caught_up($stream), 4, "two streams, from $where: told how much it was");
        is(join(' ', sort split / /, numbers($stream)), '3 4 5 6',
            "two streams, from $where: what is at most so old of both");
        my $again = open_stream('/two', $tenant, last_event_id => $stream->last_event_id);
        is(recovery($again) . ' ' . caught_up($again), 'resumed 0',
            "two streams, from $where: its last id is good");
        $_->close for $stream, $again;
    }

    my $quiet = begin();
    aged('one', $quiet, [180, 1], [120, 3]);
    for my $path ('/hour', '/two', '/none') {
        my $stream = open_stream($path, $quiet);
        is(caught_up($stream) . ' ' . recovery($stream), '0 new', "$path: nothing is that new");
        $stream->close;
    }
    my $stream = open_stream('/hour', $quiet);
    $redis->xadd(key_of($key{one}, $quiet), tenant_id => $quiet, event_type => 'odd', payload => 9);
    ok($stream->wait(sub { numbers($_[0]) eq '9' }), 'and then what comes');
    $stream->close;

    # Trimmed within that time: there is what there is.
    my $short = begin();
    aged('one', $short, [50, 1], [40, 2], [30, 3]);
    $redis->client->xtrim(key_of($key{one}, $short), 'MINID', '=', int(time * 1000) - 35 * 60_000);
    $stream = open_stream('/hour', $short);
    is(caught_up($stream) . ' ' . recovery($stream), '1 new',
        'what was trimmed of it is not told to who had nothing');
    $stream->close;
}

# --- maxage ---------------------------------------------------------------------------------------

sub publish
{
    my ($name, $tenant, @more) = @_;
    my $answer = $httpd->request(path => '/publish', method => 'POST', token => token($tenant, 1),
        headers => ['Content-Type' => 'application/json'],
        body => qq({"stream":"$name","event_type":"odd","payload":7@more}));
    is($answer->status, 201, "published to $name");
    return ($answer->json // {})->{id};
}

for my $name ('old', 'both') {
    for my $more ('', ',"event_id":"e1"') {
        my $tenant = unique();
        my $key = key_of($key{$name}, $tenant);
        # Redis trims whole nodes of its tree, of 100 entries.
        $redis->client->del($key);
        aged($name, $tenant, map { [300 - $_ / 10, $_] } 1 .. 1000);
        publish($name, $tenant, $more);
        cmp_ok($redis->client->xlen($key), '<=', 101, "$name$more: what is older is trimmed");
        publish($name, $tenant, $more);
        cmp_ok($redis->client->xlen($key), '>=', 1, "$name$more: and what is new stays");
    }
}

# --- idle -----------------------------------------------------------------------------------------

{
    my $tenant = unique();
    my ($soon, $kept) = map { "keep:$tenant:$_" } qw(soon kept);
    publish('kept', $tenant);
    my $left = $redis->client->pttl($kept);
    ok($left > 3_000_000 && $left <= 3_600_000, 'a key ends when nobody has published for so long')
        or diag($left);
    $redis->client->pexpire($kept, 1_000_000);
    publish('kept', $tenant, ',"event_id":"e1"');
    cmp_ok($redis->client->pttl($kept), '>', 3_000_000, 'counted from the last event');
    $redis->client->pexpire($kept, 1_000_000);
    publish('kept', $tenant, ',"event_id":"e1"');
    cmp_ok($redis->client->pttl($kept), '<=', 1_000_000, 'what was there before is no event');
    $redis->client->xgroup('CREATE', $kept, 'workers', '$');
    publish('kept', $tenant);
    is($redis->client->pttl($kept), -1, 'what a consumer group may wait for does not end');

    $redis->client->xgroup('DESTROY', $kept, 'workers');
    publish('kept', $tenant);
    cmp_ok($redis->client->pttl($kept), '>', 3_000_000, 'without it, it does');

    publish('soon', $tenant);
    ok(wait_until(sub { !$redis->client->exists($soon) }), 'and is gone when it has ended');
}

# Ends the tenant's key now.
sub end_of
{
    my ($tenant) = @_;
    $redis->client->pexpire("keep:$tenant:kept", 1);
    ok(wait_until(sub { !$redis->client->exists("keep:$tenant:kept") }), 'the key ends');
    return;
}

{
    my $tenant = unique();
    my $id = publish('kept', $tenant);
    my $live = open_stream('/kept', $tenant, last_event_id => $id);
    is(recovery($live), 'resumed', 'before it ends');
    end_of($tenant);
    my $reset = $live->take('reset');
    is($reset ? json_of($reset->{data})->{reason} : '', 'redis_reset',
        'who is connected is told that it is gone');
    my $back = open_stream('/kept', $tenant, last_event_id => $id);
    is(recovery($back), 'reset/redis_reset', 'and so is who comes back');
    restart();
    my $fresh = open_stream('/kept', $tenant, last_event_id => $id);
    is(recovery($fresh), 'reset/redis_reset', 'to a fresh child, too');
    publish('kept', $tenant);
    ok($fresh->take('odd'), 'the next event is there');
    restart();
    my $late = open_stream('/kept', $tenant, last_event_id => $id);
    is(recovery($late), 'reset/trimmed', 'and nobody is resumed over what went in between');
    $_->close for $live, $back, $fresh, $late;
}

# Who was there when there was nothing has no entry's id.
{
    my $tenant = unique();
    my $first = open_stream('/kept', $tenant);
    my ($now) = $first->last_event_id =~ /^0-(\d{13})$/;
    ok($now, 'the id of nothing says when that was') or diag($first->last_event_id);
    $first->close;
    publish('kept', $tenant);
    end_of($tenant);
    restart();
    my @ended = ('0-0', '0-' . ($now - 1_800_000));
    my $both = open_stream('/kept-two', $tenant);
    my $of_two = $both->last_event_id;
    like($of_two, qr/^2\.?\w{4}0-\w{8}\.\w{4}0-\w{8}$/, 'of two streams as well');
    $both->close;
    for my $there (0, 1) {
        my $name = $there ? 'a new one is there' : 'nothing is there';
        for my $id (@ended) {
            my $stream = open_stream('/kept', $tenant, last_event_id => $id);
            is(recovery($stream), 'reset/trimmed', "$name: $id is no reason to say resumed");
            is(caught_up($stream), $there, "$name: $id gets what is there");
            my $told = $stream->last_event_id;
            $stream->close;
            my $twice = open_stream('/kept', $tenant, last_event_id => $told);
            is(recovery($twice), 'resumed', "$name: $id is told once");
            $twice->close;
        }
        my $old = open_stream('/kept-two', $tenant, last_event_id => $of_two =~ s/0-\w+/00/gr);
        is(recovery($old), 'reset/trimmed', "$name: nor is that of two streams, without a time");
        my $stream = open_stream('/kept-two', $tenant, last_event_id => $of_two);
        is(recovery($stream) . ' ' . caught_up($stream), "resumed $there",
            "$name: what cannot have ended since is resumed, of two streams");
        $_->close for $old, $stream;
        $stream = open_stream('/kept', $tenant, last_event_id => "0-$now");
        is(recovery($stream) . ' ' . caught_up($stream), "resumed $there", "$name: and of one");
        $stream->close;
        publish('kept', $tenant) if !$there;
        restart();
    }
}

$httpd->stop;
unlike($httpd->error_log, qr/exit signal|AH00046/, 'nobody crashed or had to be killed');
done_testing();
