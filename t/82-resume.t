# SPDX-License-Identifier: Apache-2.0
#
# Resume: who comes back with an id gets exactly what it missed, in order, once, from memory or from
# Redis, or is told plainly that it cannot.
#
# Modes: tenant group
# Modes if full: ndjson tenant+group
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes ();

use Ragline::Httpd ();
use Ragline::Load ();
use Ragline::Redis ();
use Ragline::Test;

# Of its own: some of these tests empty it.
my $redis = Ragline::Redis->start(name => 'resume');
my @NAMES = qw(one two three);
my %key = map { $_ => stream_key('resume', $_) } @NAMES, qw(trim long other);

# However long a busy machine keeps a client of the load tests away, it is not too long.
my $far = 'RaglineReplayLimit 1000000';

sub conf
{
    return join('', "RaglineRedis @{[ $redis->url ]}\nRaglineDrain 0\n",
        (map { "RaglineStream $_ $key{$_}\n" } sort keys %key),
        "<Location /ragline-stats>\nSetHandler ragline-stats\nRequire local\n</Location>\n",
        bearer_location('/one', 'RaglineSubscribe one', 'RaglineHeartbeat 1s', $far),
        bearer_location('/three', 'RaglineSubscribe one two three', 'RaglineHeartbeat 1s', $far),
        bearer_location('/some', 'RaglineSubscribe one', 'RaglineEvents even', 'RaglineHeartbeat 1s'),
        (map { bearer_location("/$_", "RaglineSubscribe $_", 'RaglineHeartbeat 1s') }
            qw(trim long other)));
}

my $httpd = Ragline::Httpd->new(name => 'main', conf => conf())->start;

# What is in memory is gone then.
sub restart
{
    $httpd->stop;
    $httpd->start;
    return;
}

# Opens a stream that was at $id, told in the header or in the query.
sub come_back
{
    my ($path, $tenant, $id, $query) = @_;
    $redis->all_read;
    my $stream = $httpd->stream($query ? "$path?last_event_id=$id" : $path,
        token => token($tenant, 1), $query ? () : (last_event_id => $id));
    $stream->connected;
    return $stream;
}

sub verdict { return ($_[0]->events)[0] ? json_of(($_[0]->events)[0]{data}) : {} }

# "recovery/reason" of a stream.
sub recovery
{
    my $json = verdict($_[0]);
    return join '/', grep { defined } @$json{qw(recovery reason)};
}

sub own { return grep { $_->{event} !~ /^(?:connected|heartbeat|caught_up|reset)$/ } $_[0]->events }
sub numbers { return join ' ', map { $_->{data} } own($_[0]) }

# The same by stream: a replay of several streams is in the order of ids, which may be another than
# that of arrival where ids are of the same millisecond.
sub by_stream
{
    my ($n, @numbers) = @_;
    my @list;
    push @{ $list[$_ % $n] }, $_ for @numbers;
    return join ' | ', map { join ' ', @{ $_ // [] } } @list[0 .. $n - 1];
}

sub caught_up { return $_[0]->caught_up }

# Events numbered from $from to $to of a tenant, in the streams in turn. Returns their ids.
sub add
{
    my ($tenant, $from, $to, @streams) = @_;
    return map { $redis->xadd($key{ $streams[$_ % @streams] }, tenant_id => $tenant,
        event_type => $_ % 2 ? 'odd' : 'even', payload => $_) } $from .. $to;
}

# --- one stream and several, from memory and from Redis, header and query ------------------------

for my $case (['/one', 'one'], ['/three', @NAMES]) {
    my ($path, @streams) = @$case;
    my $tenant = unique();
    my $stream = $httpd->stream($path, token => token($tenant, 1));
    is($stream->connected->{json}{recovery}, 'new', "$path: without an id: new");
    for my $n (1 .. 30) {
        add($tenant, $n, $n, @streams);
        add(unique(), $n, $n, @streams); # not to be seen
        $stream->wait(sub { own($_[0]) >= $n });
    }
    my @seen = own($stream);
    is(numbers($stream), join(' ', 1 .. 30), "$path: 30 events");
    is(scalar(grep { $_->{event} eq 'caught_up' } $stream->events), 0,
        "$path: nothing was replayed, and nothing is said to be");
    $stream->close;
    for my $where ('memory', 'Redis') {
        for my $at (13, again() ? () : (1, 29, 30)) {
            restart() if $where eq 'Redis';
            for my $query (0, 1) {
                my $name = "$path, $where, " . ($query ? 'query' : 'header') . ", at $at";
                my $again = come_back($path, $tenant, $seen[$at - 1]{id}, $query);
                is(recovery($again), 'resumed', "$name: resumed");
                is(caught_up($again), 30 - $at, "$name: it is told how much it was");
                is(by_stream(scalar(@streams), split / /, numbers($again)),
                    by_stream(scalar(@streams), $at + 1 .. 30), "$name: what was missed");
                is(has_ids(own($again)), has_ids(@seen[$at .. 29]), "$name: the same ids")
                    if @streams == 1;
                $again->close;
                my $last = come_back($path, $tenant, $again->last_event_id, $query);
                is(recovery($last) . ' ' . (caught_up($last) // '?'), 'resumed 0',
                    "$name: and from there again: nothing");
                $last->close;
            }
        }
    }
    my $again = come_back($path, $tenant, $seen[27]{id});
    caught_up($again);
    add($tenant, 31, 33, @streams);
    $again->wait(sub { own($_[0]) >= 5 });
    is(by_stream(scalar(@streams), split / /, numbers($again)),
        by_stream(scalar(@streams), 29 .. 33), "$path: live after a replay");
    $again->close;
}

# --- a filter -----------------------------------------------------------------------------------

{
    my $tenant = unique();
    my $stream = $httpd->stream('/some', token => token($tenant, 1));
    $stream->connected;
    add($tenant, 1, 20, 'one');
    $stream->wait(sub { own($_[0]) >= 10 });
    is(numbers($stream), '2 4 6 8 10 12 14 16 18 20', 'RaglineEvents');
    $stream->close;
    for my $where ('memory', 'Redis') {
        restart() if $where eq 'Redis';
        my $again = come_back('/some', $tenant, (own($stream))[3]{id});
        is(caught_up($again), 6, "filtered, from $where: only what the endpoint wants counts");
        is(numbers($again), '10 12 14 16 18 20', "filtered, from $where: and comes");
        $again->close;
    }
}

# --- ids that nobody gave out -------------------------------------------------------------------

{
    my $tenant = unique();
    my ($of_one) = add($tenant, 1, 1, 'one');
    my $three = $httpd->stream('/three', token => token($tenant, 1));
    $three->connected;
    my $of_three = $three->last_event_id;
    $three->close;
    my %bad = (
        'future' => '9999999999999-0', 'the highest' => '18446744073709551615-18446744073709551615',
        'too large' => '18446744073709551616-0', 'no id' => 'garbage', 'a number' => '17',
        'negative' => '-1-1', 'blanks' => '1 - 1', 'cursor of other streams' => '2zzzz1.zzzy1',
        '10 kB' => '1' x 5000 . '-' . '1' x 5000, '6 kB of dots' => '.' x 6000,
    );
    for my $name (sort keys %bad) {
        my $length = length($bad{$name});
        for my $query (0, 1) {
            # httpd refuses a header line or a URL of more than 8190 bytes itself.
            next if $length > 8000;
            my $id = $bad{$name};
            $id =~ s/ /%20/g if $query;
            my $stream = come_back('/one', $tenant, $id, $query);
            is($stream->status, 200, "$name: 200");
            like(recovery($stream), qr{^reset/(?:unknown|redis_reset)$}, "$name: reset");
            add($tenant, 2, 2, 'one');
            ok($stream->take(sub { $_[0]{data} eq '2' }), "$name: and live from there");
            $stream->close;
        }
    }
    my $wrong = $of_three;
    $wrong =~ s/^3/4/;
    for my $id ($of_one, $wrong, "$of_three.1-1", substr($of_three, 1), '10-0') {
        my $stream = come_back('/three', $tenant, $id);
        is(recovery($stream), 'reset/unknown', "several streams: $id is unknown");
        $stream->close;
    }
    my $stream = $httpd->stream('/one?last_event_id=', token => token($tenant, 1));
    $stream->connected;
    is(recovery($stream), mode('group') ? 'resumed' : 'new', 'an empty id is none');
    $stream->close;
    for my $query ('last_event_id=%00', 'last_event_id=%zz', "last_event_id=$of_one%0a") {
        $stream = $httpd->stream("/one?$query", token => token($tenant, 1));
        $stream->wait(sub { $_[0]->status });
        ok($stream->status == 400 || $stream->status == 200 && $stream->connected
                && recovery($stream) eq 'reset/unknown', "$query: no crash, no jump");
        $stream->close;
    }
}

# --- trimmed ------------------------------------------------------------------------------------

{
    my ($tenant, $quiet) = (unique(), unique());
    my $stream = $httpd->stream('/trim', token => token($tenant, 1));
    my $other = $httpd->stream('/trim', token => token($quiet, 1));
    $_->connected for $stream, $other;
    my @ids = add($tenant, 1, 100, 'trim');
    $stream->wait(sub { own($_[0]) >= 100 });
    # The quiet tenant's position goes on by its heartbeats.
    ok($other->wait(sub { $_[0]->last_event_id eq $ids[-1] }), 'heartbeats move a quiet reader on')
        if !mode('tenant'); # its key is quiet
    $_->close for $stream, $other;
    $redis->client->xtrim(key_of($key{trim}, $tenant), 'MAXLEN', 10);
    restart();
    my $again = come_back('/trim', $tenant, $ids[49]);
    is(recovery($again), 'reset/trimmed', 'what was missed is not all there: trimmed');
    is(verdict($again)->{first_id}, $ids[90], 'with the first id that is');
    is(caught_up($again), 10, 'it gets what is there');
    is(numbers($again), join(' ', 91 .. 100), 'all of it');
    is(scalar(grep { $_->{event} eq 'reset' } $again->events), 0, 'and is told once');
    $again->close;
    for my $at (91, 95, 100) {
        $again = come_back('/trim', $tenant, $ids[$at - 1]);
        is(recovery($again), 'resumed', "at $at nothing is missing");
        is(caught_up($again), 100 - $at, 'and what is left comes');
        $again->close;
    }
    $redis->client->xtrim(key_of($key{trim}, $tenant), 'MAXLEN', 1);
    restart();
    $again = come_back('/trim', $quiet, $other->last_event_id);
    is(recovery($again) . ' ' . caught_up($again), 'resumed 0',
        'a tenant that was quiet meanwhile has missed nothing');
    $again->close;
    # One that connected when there was no such stream yet.
    my $late = $httpd->stream('/other', token => token($tenant, 1));
    $late->connected;
    my $zero = $late->last_event_id;
    $late->close;
    add($tenant, 1, 3, 'other');
    restart();
    $again = come_back('/other', $tenant, $zero);
    is(recovery($again) . ' ' . caught_up($again), 'resumed 3', 'from before the first entry');
    $again->close;
}

# --- too much to replay -------------------------------------------------------------------------

{
    my $tenant = unique();
    my @ids = $redis->xadd_many($key{long}, map { [tenant_id => $tenant, event_type => 'even',
        payload => $_] } 1 .. 12_000);
    restart();
    my $again = come_back('/long', $tenant, $ids[0]);
    is(recovery($again), 'reset/limit', 'more than RaglineReplayLimit: limit');
    is(caught_up($again), 10_000, 'the newest ones come');
    is(numbers($again), join(' ', 2001 .. 12_000), 'in order');
    $again->close;
    # An old id is anybody's to send: it makes Redis look once, not each time a little deeper. Once in
    # each process.
    my $scans = sub {
        ($redis->client->info('commandstats')->{cmdstat_xrevrange} // '') =~ /calls=(\d+)/ ? $1 : 0;
    };
    my $before = $scans->();
    for (1 .. 3) {
        $again = come_back('/long', $tenant, $_ == 1 ? '0-1' : $ids[0]);
        is(recovery($again), 'reset/limit', 'with an old id again: limit');
        is(caught_up($again), 10_000, 'the same come');
        $again->close;
    }
    is($scans->(), $before, 'and Redis is not asked again') if vars('mpm') ne 'prefork';
    restart();
    $again = come_back('/long', $tenant, $ids[2000]);
    is(recovery($again), 'resumed', 'just within the limit');
    is(caught_up($again), 9_999, 'all of it');
    is(numbers($again), join(' ', 2002 .. 12_000), 'in order');
    $again->close;
}

# --- more than fits into memory -------------------------------------------------------------------

{
    my $small = Ragline::Httpd->new(name => 'small', conf => "RaglineCache 1MB\n" . conf())->start;
    my @tenants = map { unique() } 1 .. 3;
    my %ids;
    for my $n (1 .. 300) {
        push @{ $ids{$_} }, $redis->xadd($key{one}, tenant_id => $_, event_type => 'even',
            payload => "$n." . 'x' x 5_000) for @tenants;
    }
    # What it has not read yet would come after `caught_up`.
    ok(mode('tenant') || wait_until(sub {
        stats_stream(stats($small), 'one')->{last_id} eq $ids{ $tenants[-1] }[-1]
    }), 'all is read');
    for my $tenant (@tenants) {
        my $again = $small->stream('/one', token => token($tenant, 1),
            last_event_id => $ids{$tenant}[9]);
        $again->connected;
        is(recovery($again), 'resumed', 'three times RaglineCache: resumed');
        is(caught_up($again), 290, 'all of it');
        is(join(' ', map { $_->{data} =~ /^(\d+)/ } own($again)), join(' ', 11 .. 300), 'in order');
        $again->close;
    }
    $small->stop;
}

# --- Redis has lost it ----------------------------------------------------------------------------

for my $path ('/one', '/three') {
    for my $how ('FLUSHALL', 'FLUSHALL and new entries', 'DEL and older ids') {
        my $tenant = unique();
        my $name = "$path, $how";
        my $client = $redis->client;
        my $key = key_of($key{one}, $tenant);
        my $stream = $httpd->stream($path, token => token($tenant, 1));
        my $quiet = $httpd->stream($path, token => token(unique(), 1));
        $_->connected for $stream, $quiet;
        add($tenant, 1, 10, 'one');
        $stream->wait(sub { own($_[0]) >= 10 });
        my @seen = own($stream);
        $how =~ /FLUSHALL/ ? $client->flushall : $client->del($key);
        # Ids are times: what is added in the same millisecond would have ids below the lost ones.
        select(undef, undef, undef, 0.02);
        # One that is there is told, unless the new entries came so soon that it has missed nothing.
        if ($how =~ /new entries/) {
            add($tenant, 11, 15, 'one');
        }
        elsif ($how =~ /older/) {
            $client->xadd($key, "1000-$_", tenant_id => $tenant, event_type => 'odd',
                payload => "old$_") for 1 .. 5;
        }
        my $told = sub { grep { $_->{event} eq 'reset' } $_[0]->events };
        $stream->wait(sub { $told->($_[0]) || numbers($_[0]) =~ / 10 11 12 13 14 15$/ }, 10);
        ok($told->($stream) || numbers($stream) =~ / 10 11 12 13 14 15$/,
            "$name: a reader that is there is told");
        like(json_of($_->{data})->{reason}, qr/^(?:redis_reset|trimmed)$/, "$name: and why")
            for $told->($stream);
        my $from = $how =~ /older/ ? 1001 : undef;
        for my $n (21 .. 25) {
            $from ? $client->xadd($key, "$from-$n", tenant_id => $tenant, event_type => 'odd',
                payload => $n) : add($tenant, $n, $n, 'one');
        }
        ok($stream->wait(sub { numbers($_[0]) =~ / 21 22 23 24 25$/ }, 10),
            "$name: new events go on") or diag(numbers($stream));
        cmp_ok(scalar($told->($stream)), '<=', 1, "$name: told once");
        # A quiet reader's heartbeats give it ids of the new stream, where that is the same.
        my @readers = mode('tenant') ? ($stream) : ($stream, $quiet);
        ok($readers[-1]->wait(sub { $_[0]->last_event_id eq $stream->last_event_id }, 10),
            "$name: heartbeats carry the new position")
            or diag($quiet->last_event_id . ', not ' . $stream->last_event_id);
        $_->close for $stream, $quiet;
        my $again = come_back($path, $tenant, $seen[4]{id});
        caught_up($again);
        like(recovery($again) . ' ' . numbers($again),
            qr{^(?:reset/(?:redis_reset|trimmed) |resumed 6 7 8 9 10 (?:11 12 13 14 15 )?21 22)},
            "$name: one that comes back has everything, or is told");
        $again->close;
        # Ids that were given out after that are good.
        for my $last (map { $_->last_event_id } @readers) {
            $again = come_back($path, $tenant, $last);
            is(recovery($again), 'resumed', "$name: the ids after that are good");
            $again->close;
        }
        $client->del($key);
        restart();
    }
}

# --- back at random points while events keep flowing ----------------------------------------------

sub under_load
{
    my ($name, $seconds, %load) = @_;
    my $path = $load{path};
    my $load = Ragline::Load->start(redis => $redis, %load);
    my @pages = map { my $tenant = $_; map { Ragline::Load::Page->new(httpd => $httpd,
        path => $path, tenant => $tenant, keys => scalar(@{ $load{keys} })) } 1 .. 2
    } @{ $load{tenants} };
    my $end = Time::HiRes::time() + $seconds;
    my $cuts = 0;
    while (Time::HiRes::time() < $end) {
        Ragline::SSE::pump(0.02);
        $_->step for @pages;
        my $page = $pages[rand @pages];
        if ($page->{stream} && rand() < ($load{away} ? 0.05 : 0.4)) {
            $page->cut;
            $page->{again_at} = Time::HiRes::time() + rand($load{away}) if $load{away};
            $cuts++;
        }
    }
    my $rounds = $load->stop;
    cmp_ok($rounds * @{ $load{tenants} }, '>', Ragline::Load::rate($load{rate}) * $seconds / 10,
        "$name: $rounds rounds, $cuts reconnects");
    ok(Ragline::Load::Page::all_complete(\@pages, $rounds), "$name: every page has everything");
    my @problems = map { @{ $_->{problems} } } @pages;
    is(scalar(@problems), 0, "$name: no gap, no repetition, always `resumed`")
        or diag(join "\n", splice(@problems, 0, 10));
    $_->{stream} && $_->{stream}->close for @pages;
    return;
}

{
    my $times = full() ? 5 : 1;
    my @all = map { $key{$_} } @NAMES;
    under_load('one stream', 4 * $times, path => '/one', rate => 3000, keys => [$key{one}],
        tenants => [map { unique() } 1 .. 5]);
    under_load('three streams', 4 * $times, path => '/three', rate => 3000, keys => \@all,
        tenants => [map { unique() } 1 .. 5]);
    last if again();
    # More than a tenant's log keeps, away for longer than it keeps it.
    under_load('one busy stream', 10 * $times, path => '/one', rate => 1800, size => 1500,
        away => 4, keys => [$key{one}], tenants => [map { unique() } 1 .. 3]);
    under_load('three busy streams', 10 * $times, path => '/three', rate => 1800, size => 1500,
        away => 4, keys => \@all, tenants => [map { unique() } 1 .. 3]);
}

done_testing();
