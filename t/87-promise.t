# SPDX-License-Identifier: Apache-2.0
#
# `resumed` is never said when something may be missing: entries that were trimmed or lost while a
# client was away, while nothing could be read, or right behind its back; once it was told, it is
# not told again. With one stream and several, handed over and pumped, and by mode with keys of
# tenants and positions of groups.
#
# Modes: group
# Modes if full: tenant
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Redis ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'promise', args => ['--appendonly', 'no']);
my %key = map { $_ => stream_key('promise', $_) } qw(one two);

my $conf = join('', "RaglineRedis @{[ $redis->url ]}\nRaglineDrain 0\n",
    "<Location /ragline-stats>\nSetHandler ragline-stats\nRequire local\n</Location>\n",
    (map { "RaglineStream $_ $key{$_}\n" } sort keys %key),
    bearer_location('/one', 'RaglineSubscribe one', 'RaglineHeartbeat 1s'),
    bearer_location('/two', 'RaglineSubscribe one two', 'RaglineHeartbeat 1s'),
    bearer_location('/pumped', 'RaglineSubscribe one', 'RaglineHeartbeat 1s', 'RaglineHandoff off'),
    bearer_location('/last', 'RaglineSubscribe one', 'RaglineStart last=20'),
    bearer_location('/all', 'RaglineSubscribe one', 'RaglineStart all'));
my $httpd = Ragline::Httpd->new(name => 'main', processes => 1, conf => $conf);
# Streams that keep a worker need more of them; with prefork each of those is an engine of its own.
my $pumped = vars('mpm') eq 'prefork'
    ? Ragline::Httpd->new(name => 'pumped', conf => $conf) : $httpd;
my @PATHS = qw(/one /two);

# What is in memory is gone then.
sub restart
{
    $httpd->stop;
    $httpd->start;
    return;
}

# One that is there, or comes back with an id; at once, however soon after Redis was lost.
sub reader
{
    my ($path, $tenant, $id) = @_;
    my $stream;
    wait_until(sub {
        $stream = $httpd->stream($path, token => token($tenant, 1), last_event_id => $id);
        $stream->wait(sub { $_[0]->events || $_[0]->ended });
        my ($first) = $stream->events;
        return 1 if $first && $first->{event} eq 'connected';
        $stream->close;
        return 0;
    });
    return $stream;
}

sub own { return grep { $_->{event} eq 'n' } $_[0]->events }
sub numbers { return join ' ', map { $_->{data} } own($_[0]) }
sub resets { return grep { $_->{event} eq 'reset' } $_[0]->events }
sub told { return join ' ', map { json_of($_->{data})->{reason} } resets($_[0]) }
sub verdict { return json_of(($_[0]->events)[0]{data}) }
sub recovery { return join '/', grep { defined } @{ verdict($_[0]) }{qw(recovery reason)} }

sub caught_up
{
    my ($stream) = @_;
    my $event = $stream->take('caught_up') or return '?';
    return json_of($event->{data})->{replayed};
}

# What somebody with this id is told and gets: "recovery/reason: numbers".
sub back
{
    my ($path, $tenant, $id) = @_;
    my $stream = reader($path, $tenant, $id);
    caught_up($stream) if $stream->wait(sub { grep { $_->{event} eq 'caught_up' } $_[0]->events }, 3);
    my $said = join '; ', recovery($stream) . ': ' . numbers($stream), told($stream) || ();
    $stream->close;
    return $said;
}

sub key { return key_of($key{ $_[0] }, $_[1]) }

sub fields { my ($tenant, $n) = @_; return (tenant_id => $tenant, event_type => 'n', payload => $n) }

sub add
{
    my ($tenant, @numbers) = @_;
    return map { $redis->client->xadd(key('one', $tenant), '*', fields($tenant, $_)) } @numbers;
}

# All at one moment, without a look in between. `cut`: nor is anybody connected then.
sub at_once
{
    my ($code, $cut) = @_;
    $redis->client->multi;
    $redis->client->client('kill', 'type', 'normal', 'skipme', 'yes') if $cut;
    $code->();
    $redis->client->exec;
    return;
}

sub trim { my ($tenant, $n) = @_; return $redis->client->xtrim(key('one', $tenant), 'MAXLEN', '=', $n) }

# Numbers that somebody who is there has got; returns their ids.
sub watched
{
    my ($path, $tenant, @numbers) = @_;
    my $stream = reader($path, $tenant);
    my $first = $stream->last_event_id;
    add($tenant, @numbers);
    $stream->wait(sub { own($_[0]) == @numbers });
    $stream->close;
    return ($first, map { $_->{id} } own($stream));
}

# Each test with each endpoint, in an empty Redis and a new child.
sub each_path
{
    my ($name, $test, @more) = @_;
    my $main = $httpd;
    for my $path (@PATHS, again() ? () : @more) {
        $httpd->stop;
        $httpd = $path eq '/pumped' ? $pumped : $main;
        $redis->client->flushall;
        $httpd->start;
        $test->($path, "$path, $name", unique(), unique());
    }
    $httpd->stop;
    $httpd = $main;
    return;
}

# --- trimmed while nobody was there -----------------------------------------------------------------------

each_path('trimmed while away', sub {
    my ($path, $name, $tenant, $other) = @_;
    my $before = reader($path, $other);
    my @ids = watched($path, $tenant, 1 .. 10);
    $before->close;
    restart();
    trim($tenant, 3);
    my $reset = 'reset/trimmed: 8 9 10';
    is(back($path, $tenant, $ids[2]), $reset, "$name: told");
    is(back($path, $tenant, $ids[2]), $reset, "$name: and the second time");
    is(back($path, $other, $before->last_event_id),
        (mode('tenant') ? 'resumed' : 'reset/trimmed') . ': ', "$name: another tenant");
    my @six = map { $httpd->stream($path, token => token($tenant, 1), last_event_id => $ids[3]) } 1 .. 6;
    for my $stream (@six) {
        caught_up($stream);
        is(recovery($stream) . ': ' . numbers($stream), $reset, "$name: one of six at once");
        $stream->close;
    }
    is(back($path, $tenant, $ids[8]), 'resumed: 9 10', "$name: who misses nothing");
    restart();
    is(back($path, $tenant, $ids[8]), 'resumed: 9 10', "$name: who misses nothing comes first");
    is(back($path, $tenant, $ids[$_]), $reset, "$name: then one who was at $_") for 6, 1, 6;
}, '/pumped');

# --- trimmed before it was read -----------------------------------------------------------------------------

for my $how ('cut off', 'connected') {
    each_path("trimmed before it was read, $how", sub {
        my ($path, $name, $tenant, $other) = @_;
        my @ids = watched($path, $tenant, 1 .. 3);
        my $before = reader($path, $other);
        my $there = reader($path, $tenant);
        my $one = reader($path, $tenant);
        at_once(sub { add($tenant, 4 .. 503); trim($tenant, 10) }, $how eq 'cut off');
        # It leaves at the first that it hears.
        $one->wait(sub { own($_[0]) || resets($_[0]) });
        $one->close;
        is(told($one) || recovery(my $again = reader($path, $tenant, $one->last_event_id)),
            told($one) ? 'trimmed' : 'reset/trimmed', "$name: told before anything else");
        $again->close if $again;
        my $rest = '494 495 496 497 498 499 500 501 502 503';
        ok($there->wait(sub { numbers($_[0]) eq $rest }), "$name: who is there gets what is left");
        is(told($there), 'trimmed', "$name: and is told once");
        is(back($path, $tenant, $ids[3]), "reset/trimmed: $rest", "$name: who stands before the gap");
        is(back($path, $tenant, $ids[$_]), "reset/trimmed: 494 495 496 497 498 499 500 501 502 503",
            "$name: who stands at $_") for 0, 2;
        my ($notice) = resets($there);
        is(back($path, $tenant, $notice->{id}), "resumed: $rest", "$name: the notice's id is after it");
        is(back($path, $tenant, (own($there))[0]{id}), 'resumed: ' . $rest =~ s/^494 //r,
            "$name: and the ids after that are good");
        # Told once: heartbeats, and who comes back after it.
        if (!mode('tenant')) {
            ok($before->wait(sub { told($_[0]) eq 'trimmed' }), "$name: another tenant is told");
            for (1 .. 3) {
                is(back($path, $other, $before->last_event_id), 'resumed: ', "$name: once");
            }
        }
        for (1 .. 3) {
            is(back($path, $tenant, $there->last_event_id), 'resumed: ', "$name: told once");
        }
        $_->close for $there, $before;
    });
}

each_path('of a tenant nobody of whom is there', sub {
    my ($path, $name, $tenant, $other) = @_;
    my @ids = watched($path, $tenant, 1 .. 3);
    my ($begin) = watched($path, $other);
    restart();
    is(back($path, $tenant, $ids[1]), 'resumed: 2 3', "$name: history is being kept");
    at_once(sub { add($other, 1 .. 500); trim($other, 10) }, 1);
    # Who is there before the child sees that it was cut off from Redis is told when it has read.
    my $said;
    wait_until(sub { ($said = back($path, $other, $begin)) ne 'resumed: ' });
    like($said, qr{^reset/trimmed: (?:49\d )+500$}, "$name: told");
    like(back($path, $tenant, $ids[1]), mode('tenant') ? qr/^resumed: 2 3$/ : qr{^reset/trimmed: },
        "$name: whoever it was that had it");
});

each_path('trimmed to nothing', sub {
    my ($path, $name, $tenant) = @_;
    my @ids = watched($path, $tenant, 1 .. 3);
    my $there = reader($path, $tenant);
    at_once(sub { add($tenant, 4 .. 53); trim($tenant, 0) });
    ok($there->wait(sub { told($_[0]) eq 'trimmed' }), "$name: told, though nothing comes after it");
    # A group's position may be a second old where another child had the client of before.
    unlike(numbers($there), qr/\b(?:[4-9]|\d\d)\b/, "$name: nothing is left");
    for (1, 2) {
        is(back($path, $tenant, $ids[3]), 'reset/trimmed: ', "$name: who comes back is told");
    }
    is(back($path, $tenant, $there->last_event_id), 'resumed: ', "$name: but who was told");
    add($tenant, 54);
    ok($there->wait(sub { numbers($_[0]) =~ /\b54$/ }), "$name: it goes on");
    is(told($there), 'trimmed', "$name: told once");
    restart();
    is(back($path, $tenant, $ids[3]), 'reset/trimmed: 54', "$name: a new child knows it, too");
    $there->close;
});

each_path('a stream of one entry', sub {
    my ($path, $name, $tenant) = @_;
    my $c = $redis->client;
    my @ids = watched($path, $tenant, 1);
    my $there = reader($path, $tenant);
    for my $n (2, 3) {
        $c->xadd(key('one', $tenant), 'MAXLEN', '=', 1, '*', fields($tenant, $n));
        $there->wait(sub { numbers($_[0]) =~ /\b$n$/ });
    }
    $there->close;
    is(back($path, $tenant, $ids[1]), 'resumed: 2 3', "$name: this child still has them") for 1, 2;
    restart();
    my $again = reader($path, $tenant, $ids[1]);
    is(caught_up($again) . ' ' . recovery($again) . ': ' . numbers($again), '1 reset/trimmed: 3',
        "$name: another one cannot");
    is(verdict($again)->{first_id}, (own($again))[0]{id}, "$name: and says what there is")
        if $path ne '/two';
    $again->close;
});

# --- Redis lost it --------------------------------------------------------------------------------------------

for my $n (1, 3, 5000) {
    each_path("deleted before it was read, $n entries instead", sub {
        my ($path, $name, $tenant) = @_;
        my @ids = watched($path, $tenant, 1 .. 10);
        my $there = reader($path, $tenant);
        at_once(sub { add($tenant, 11 .. 500); $redis->client->del(key('one', $tenant));
            add($tenant, map { "n$_" } 1 .. $n) });
        ok($there->wait(sub { numbers($_[0]) =~ /\bn$n$/ }), "$name: the new ones come");
        is(told($there), 'redis_reset', "$name: told");
        ok(numbers($there) eq join(' ', map { "n$_" } 1 .. $n), "$name: each of them once");
        like(substr(back($path, $tenant, $ids[10]), 0, 20), qr{^reset/redis_reset: n?},
            "$name: who comes back is told");
        is(back($path, $tenant, $there->last_event_id), 'resumed: ', "$name: but who was told");
        $there->close;
    });
}

each_path('an older copy', sub {
    my ($path, $name, $tenant) = @_;
    my $c = $redis->client;
    my $there = reader($path, $tenant);
    add($tenant, 1 .. 5);
    $c->copy(key('one', $tenant), 'copy');
    add($tenant, 6 .. 10);
    $there->wait(sub { own($_[0]) == 10 });
    my @ids = map { $_->{id} } own($there);
    select(undef, undef, undef, 0.01); # Redis gives ids by the millisecond: 11 is not to get that of 10
    at_once(sub { $c->copy('copy', key('one', $tenant), 'REPLACE'); add($tenant, 11) });
    ok($there->wait(sub { numbers($_[0]) =~ /10 11$/ }), "$name: it goes on");
    is(told($there), 'redis_reset', "$name: told");
    is(numbers($there), join(' ', 1 .. 11), "$name: nothing comes twice");
    for my $at (8, 10, 8) {
        like(back($path, $tenant, $ids[$at - 1]), qr{^reset/redis_reset: (?:.* )?11$},
            "$name: who stands in what was lost, at $at");
    }
    is(back($path, $tenant, $there->last_event_id), 'resumed: ', "$name: told once");
    my $held = $there->last_event_id;
    add($tenant, 12);
    ok($there->wait(sub { numbers($_[0]) =~ / 12$/ }), "$name: what is new is read");
    is(back($path, $tenant, $held), 'resumed: 12', "$name: the new ids are good");
    $there->close;
});

# --- what is no stream, when httpd starts ---------------------------------------------------------------------

each_path('a key that was no stream', sub {
    my ($path, $name, $tenant) = @_;
    return if mode('group'); # has no place then
    my $c = $redis->client;
    $httpd->stop;
    $c->set(key('one', $tenant), 'text');
    $httpd->start;
    my $there = reader($path, $tenant);
    my $begin = $there->last_event_id;
    at_once(sub { $c->del(key('one', $tenant)); add($tenant, 1 .. 5) });
    ok($there->wait(sub { numbers($_[0]) eq '1 2 3 4 5' }), "$name: nothing is lost")
        or diag(numbers($there) . '; ' . told($there));
    is(told($there), '', "$name: nothing is told");
    $there->close;
    is(back($path, $tenant, $begin), 'resumed: 1 2 3 4 5', "$name: nor for who comes back");
    restart();
    is(back($path, $tenant, $begin), 'resumed: 1 2 3 4 5', "$name: to whichever child");
});

# --- XDEL is no gap -------------------------------------------------------------------------------------------

each_path('a worker that deletes what it has done', sub {
    my ($path, $name, $tenant, $other) = @_;
    my $c = $redis->client;
    my @readers = map { reader($path, $_) } $tenant, $other;
    my @ids;
    for my $n (1 .. 30) {
        push @ids, add($tenant, $n);
        # Of what was deleted before it was read it cannot always be known that it was not trimmed.
        $readers[0]->wait(sub { numbers($_[0]) =~ /\b$n$/ });
        $c->xdel(key('one', $tenant), $ids[-1]) if $n % 3;
        $c->xdel(key('one', $tenant), $ids[$n / 2]) if $n % 3 == 0;
    }
    add($tenant, 'end');
    ok($readers[0]->wait(sub { numbers($_[0]) =~ /end$/ }), "$name: events go on");
    is(join(' ', map { told($_) } @readers), ' ', "$name: nobody is told of a gap");
    is(back($path, $_ == $readers[0] ? $tenant : $other, $_->last_event_id), 'resumed: ',
        "$name: nor who comes back") for @readers;
    $_->close for @readers;
});

# --- RaglineStart ---------------------------------------------------------------------------------------------

SKIP: {
    skip 'RaglineStart is the mode', 1 if mode('group');
    my $small = Ragline::Httpd->new(name => 'small', processes => 1,
        conf => "RaglineCache 1MB\n$conf");
    my ($tenant, @fill) = map { unique() } 0 .. 60;
    $redis->client->flushall;
    add($tenant, map { "$_ " . 'x' x 5000 } 1 .. 30);
    $small->start;
    my @others = map { $small->stream('/one', token => token($_, 1)) } @fill;
    Ragline::SSE->wait_all(\@others, sub { $_[0]->events });
    for my $n (1 .. 4) {
        add($_, 'x' x 6000) for @fill;
    }
    Ragline::SSE->wait_all(\@others, sub { own($_[0]) == 4 });
    for (['/last', 11 .. 30], ['/all', 1 .. 30]) {
        my ($path, @numbers) = @$_;
        for my $time (1, 2) {
            my $stream = $small->stream($path, token => token($tenant, 1));
            is(caught_up($stream), @numbers, "$path: all that it wants, with RaglineCache full ($time)");
            is(join(' ', map { $_->{data} =~ /^(\d+)/ } own($stream)), "@numbers", "$path: in order");
            is(recovery($stream) . told($stream), 'new', "$path: a new one");
            $stream->close;
        }
    }
    $small->stop;
}

SKIP: {
    skip 'it is about groups', 1 if !mode('group');
    each_path('a night, then an id that nobody knows', sub {
        my ($path, $name, $tenant) = @_;
        watched($path, $tenant, 1);
        restart(); # writes the position
        add($tenant, 2 .. 51);
        my %got;
        for my $id ('9999999999999-0', 'garbage', undef) {
            my $stream = reader($path, $tenant, $id);
            # What the child reads just now comes behind that: it is taken by who lets it into its socket.
            $stream->wait(sub { (grep { $_->{event} eq 'caught_up' } $_[0]->events)
                && (%got || grep { $_->{data} eq '51' } own($_[0])) });
            like(recovery($stream), $id ? qr/^reset/ : qr/^resumed$/, "$name: " . ($id // 'none'));
            $got{ $_->{data} }++ for own($stream);
            $stream->close;
            # While one of the tenant is there that has everything, who comes gets only what is new.
            ok(wait_until(sub { !stats_connections(stats($httpd)) }), "$name: it has gone");
        }
        is(join(' ', sort { $a <=> $b } keys %got), join(' ', 2 .. 51), "$name: nothing is passed over");
    });
}

$httpd->stop;
unlike($httpd->error_log, qr/exit signal|AH00046/, 'nobody crashed or had to be killed');
done_testing();
