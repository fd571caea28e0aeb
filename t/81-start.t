# SPDX-License-Identifier: Apache-2.0
#
# RaglineStart: what a client without an id gets first; and ids longer than httpd lets through by
# itself.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Redis ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'start', args => ['--appendonly', 'no']);
my @NAMES = qw(one two);
my %key = map { $_ => "start:$_" } @NAMES, 'none', 'long';

my $httpd = Ragline::Httpd->new(name => 'main', conf => join('',
    "RaglineRedis @{[ $redis->url ]}\nRaglineDrain 0\n",
    "LimitRequestFieldSize 32768\nLimitRequestLine 32768\n",
    (map { "RaglineStream $_ $key{$_}\n" } sort keys %key),
    bearer_location('/new', 'RaglineSubscribe one', 'RaglineStart new'),
    bearer_location('/all', 'RaglineSubscribe one', 'RaglineStart all'),
    bearer_location('/three', 'RaglineSubscribe one', 'RaglineStart last=3'),
    bearer_location('/even', 'RaglineSubscribe one', 'RaglineStart last=3', 'RaglineEvents even'),
    bearer_location('/both', 'RaglineSubscribe one two', 'RaglineStart all'),
    bearer_location('/both-3', 'RaglineSubscribe one two', 'RaglineStart last=3'),
    bearer_location('/none', 'RaglineSubscribe none', 'RaglineStart all'),
    bearer_location('/limit', 'RaglineSubscribe long', 'RaglineStart all', 'RaglineReplayLimit 700'),
    bearer_location('/limit-3', 'RaglineSubscribe long', 'RaglineStart last=3',
        'RaglineReplayLimit 700')))->start;

sub restart
{
    $httpd->stop;
    $httpd->start;
    return;
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

sub add
{
    my ($tenant, $from, $to, @streams) = @_;
    return map { $redis->xadd($key{ $streams[$_ % @streams] }, tenant_id => $tenant,
        event_type => $_ % 2 ? 'odd' : 'even', payload => $_) } $from .. $to;
}

# --- what comes first ---------------------------------------------------------------------------------

my $tenant = unique();
my @ids = add($tenant, 1, 10, 'one');
add(unique(), 1, 50, 'one'); # of somebody else, and newer
my %first = ('/all' => '1 2 3 4 5 6 7 8 9 10', '/three' => '8 9 10', '/even' => '6 8 10');

for my $where ('Redis', 'memory', 'Redis again') {
    restart() if $where =~ /Redis/;
    for my $path (sort keys %first) {
        my $name = "$path, from $where";
        my $stream = open_stream($path, $tenant);
        is(caught_up($stream), scalar(split / /, $first{$path}), "$name: told how much it was");
        is(numbers($stream), $first{$path}, "$name: what it gets first");
        is(recovery($stream), 'new', "$name: it is a new one");
        my $id = (own($stream))[0]{id};
        my $again = open_stream($path, $tenant, last_event_id => $id);
        caught_up($again);
        is(recovery($again) . ' ' . numbers($again), 'resumed ' . ($first{$path} =~ s/^\d+ //r),
            "$name: one with an id is resumed from there");
        $_->close for $stream, $again;
        my $fresh = open_stream($path, unique());
        is(caught_up($fresh), 0, "$name: a tenant without events has caught up at once");
        $fresh->close;
    }
    my $stream = open_stream('/new', $tenant);
    add($tenant, 12, 12, 'one');
    ok($stream->wait(sub { numbers($_[0]) eq '12' }), "from $where: new is only what is new");
    is(scalar(grep { $_->{event} eq 'caught_up' } $stream->events), 0, 'and nothing is caught up');
    $stream->close;
    $_ .= ' 12' for values %first;
    $first{$_} =~ s/^\d+ // for '/three', '/even';
}

{
    my $of_two = unique();
    add($of_two, 1, 20, @NAMES);
    for my $where ('Redis', 'memory') {
        restart() if $where eq 'Redis';
        my %count = ('/both' => 20, '/both-3' => 3);
        for my $path (sort keys %count) {
            my $stream = open_stream($path, $of_two);
            is(caught_up($stream), $count{$path}, "$path, from $where: as many");
            is(join(' ', sort { $a <=> $b } split / /, numbers($stream)),
                join(' ', 21 - $count{$path} .. 20), "$path, from $where: and which")
                if $path eq '/both';
            my $last = $stream->last_event_id;
            $stream->close;
            my $again = open_stream($path, $of_two, last_event_id => $last);
            is(recovery($again) . ' ' . caught_up($again), 'resumed 0',
                "$path, from $where: its last id is good");
            $again->close;
        }
    }
}

# --- a stream that is not there yet -------------------------------------------------------------------

{
    my $stream = open_stream('/none', $tenant);
    is(caught_up($stream), 0, 'no such stream: nothing to catch up with');
    $redis->xadd($key{none}, tenant_id => $tenant, event_type => 'odd', payload => 1);
    ok($stream->wait(sub { numbers($_[0]) eq '1' }), 'and then what comes');
    $stream->close;
}

# --- within RaglineReplayLimit --------------------------------------------------------------------------

{
    my $busy = unique();
    $redis->xadd_many($key{long}, map { [tenant_id => $busy, event_type => 'odd', payload => $_] }
        1 .. 2000);
    restart();
    my $stream = open_stream('/limit', $busy);
    is(caught_up($stream), 700, 'all: no more than RaglineReplayLimit');
    is(numbers($stream), join(' ', 1301 .. 2000), 'the newest');
    $stream->close;
    restart();
    $stream = open_stream('/limit-3', $busy);
    is(caught_up($stream), 3, 'last=3');
    is(numbers($stream), '1998 1999 2000', 'the newest');
    $stream->close;
}

# --- ids of more than 8 kB, where httpd is told to take them ------------------------------------------------

for my $bad ('1' x 5000 . '-' . '1' x 5000, '.' x 10_000, 'a' x 10_240, "$ids[0]" . ',' x 10_000,
    join('.', ("$ids[0]") x 600), '-' x 20_000) {
    for my $path ('/new', '/both') {
        for my $query (0, 1) {
            my $name = substr($bad, 0, 12) . '... (' . length($bad) . "), $path, "
                . ($query ? 'query' : 'header');
            my $stream = $query ? open_stream("$path?last_event_id=$bad", $tenant)
                : open_stream($path, $tenant, last_event_id => $bad);
            is($stream->status, 200, "$name: 200");
            is(recovery($stream), 'reset/unknown', "$name: reset");
            $redis->xadd($key{one}, tenant_id => $tenant, event_type => 'odd', payload => 'live');
            ok($stream->take(sub { $_[0]{data} eq 'live' }), "$name: and live");
            is(scalar(own($stream)), 1, "$name: from there");
            $stream->close;
        }
    }
}

$httpd->stop;
unlike($httpd->error_log, qr/exit signal|AH00046/, 'nobody crashed or had to be killed');
done_testing();
