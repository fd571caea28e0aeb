# SPDX-License-Identifier: Apache-2.0
#
# Resume: who comes back with an id gets exactly what it missed, in order, once, from memory or from
# Redis, or is told plainly that it cannot.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes ();

use Ragline::Httpd ();
use Ragline::Proc qw(spawn stop_pid);
use Ragline::Redis ();
use Ragline::Test;

# Of its own: some of these tests empty it.
my $redis = Ragline::Redis->start(name => 'resume');
my @NAMES = qw(one two three);
my %key = map { $_ => "resume:$_" } @NAMES, qw(trim long other);

sub conf
{
    return join('', "RaglineRedis @{[ $redis->url ]}\nRaglineDrain 0\n",
        (map { "RaglineStream $_ $key{$_}\n" } sort keys %key),
        "<Location /ragline-stats>\nSetHandler ragline-stats\nRequire local\n</Location>\n",
        bearer_location('/one', 'RaglineSubscribe one', 'RaglineHeartbeat 1s'),
        bearer_location('/three', 'RaglineSubscribe one two three', 'RaglineHeartbeat 1s'),
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

# Waits for the end of the replay; the number it tells.
sub caught_up
{
    my ($stream) = @_;
    my $event = $stream->take('caught_up') or return;
    return json_of($event->{data})->{replayed};
}

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
    my @ids = add($tenant, 1, 30, @streams);
    # Another tenant's are not to be seen.
    add(unique(), 1, 5, @streams);
    $stream->wait(sub { own($_[0]) >= 30 });
    is(numbers($stream), join(' ', 1 .. 30), "$path: 30 events");
    my @seen = own($stream);
    $stream->close;
    is(scalar(grep { $_->{event} eq 'caught_up' } $stream->events), 0,
        "$path: nothing was replayed, nothing is said to be");

    for my $where ('memory', 'Redis') {
        restart() if $where eq 'Redis';
        for my $query (0, 1) {
            my $name = "$path, " . ($query ? 'query' : 'header') . ", from $where";
            for my $at (1, 13, 29, 30) {
                my $again = come_back($path, $tenant, $seen[$at - 1]{id}, $query);
                is(recovery($again), 'resumed', "$name, at $at: resumed");
                is(caught_up($again), 30 - $at, "$name, at $at: it says how much it was");
                # Within each stream in order; the first replay's order is by id.
                is(numbers($again), join(' ', $at + 1 .. 30), "$name, at $at: what was missed");
                is(has_ids(own($again)), has_ids(@seen[$at .. 29]), "$name, at $at: same ids")
                    if $path eq '/one';
                my ($new) = add($tenant, 31, 31, @streams);
                ok($again->take(sub { $_[0]{data} eq '31' }), "$name, at $at: live from there");
                $redis->client->xdel($key{ $streams[31 % @streams] }, $new);
                $again->close;
                # Back from where that stream ended: nothing is repeated.
                my $last = come_back($path, $tenant, $again->last_event_id, $query);
                is(recovery($last) . ' ' . (caught_up($last) // '?'), 'resumed 0',
                    "$name, at $at: again from there: nothing");
                $last->close;
                restart() if $where eq 'memory' && 0;
                $redis->client->ping;
                # The 31st is in memory although it is not in Redis any more.
                if ($where eq 'memory' || $at < 30) {
                    restart();
                    if ($where eq 'memory') {
                        my $warm = $httpd->stream($path, token => token($tenant, 1));
                        $warm->connected;
                        come_back($path, $tenant, $seen[0]{id}, 0)->close;
                        $warm->close;
                    }
                }
            }
        }
    }
}

done_testing();
