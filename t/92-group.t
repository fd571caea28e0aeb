# SPDX-License-Identifier: Apache-2.0
#
# RaglineStart group: a tenant's consumer group as a position that outlives connections, children and
# servers. The first client gets what came while nobody was connected; the position goes forward
# only, whoever writes it. Over a key that all tenants share, and over keys of their own.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Redis ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'group');
my %template = (shared => 'group:all', own => 'group:{tenant}:own');

sub conf
{
    return join('', "RaglineRedis @{[ $redis->url ]}\nRaglineDrain 0\n",
        (map { "RaglineStream $_ $template{$_}\n" } sort keys %template),
        "RaglineStream more group:more\n",
        "<Location /ragline-stats>\nSetHandler ragline-stats\nRequire local\n</Location>\n",
        "<Location /own-stats>\nSetHandler ragline-stats\n", jwt_conf(), "</Location>\n",
        "<Location /stats-of>\nSetHandler ragline-stats\nRequire local\n",
        "RaglineTenant %{QUERY_STRING}\n</Location>\n",
        (map { bearer_location("/$_", "RaglineSubscribe $_", 'RaglineStart group',
            'RaglineHeartbeat 1s') } sort keys %template),
        bearer_location('/two', 'RaglineSubscribe shared more', 'RaglineStart group'),
        bearer_location('/one-of', 'RaglineSubscribe own', 'RaglineDelivery shared'),
        bearer_location('/few', 'RaglineSubscribe shared', 'RaglineStart group',
            'RaglineReplayLimit 5'));
}

my @httpd = map { Ragline::Httpd->new(name => "node$_", conf => conf())->start } 1, 2;

sub key { my ($kind, $tenant) = @_; return $template{$kind} =~ s/\{tenant\}/$tenant/r }

sub add
{
    my ($kind, $tenant, @numbers) = @_;
    return map { $redis->xadd(key($kind, $tenant), tenant_id => $tenant, event_type => 'n',
        payload => $_) } @numbers;
}

sub subscribe
{
    my ($node, $path, $tenant, %more) = @_;
    $redis->all_read;
    my $stream = $httpd[$node]->stream($path, token => token($tenant, 1), %more);
    $stream->connected;
    return $stream;
}

sub recovery
{
    my $json = json_of(($_[0]->events)[0]{data});
    return join '/', grep { defined } @$json{qw(recovery reason)};
}

sub own { return grep { $_->{event} eq 'n' } $_[0]->events }
sub numbers { return join ' ', map { $_->{data} } own($_[0]) }

sub wait_numbers
{
    my ($stream, $n) = @_;
    $stream->wait(sub { own($_[0]) >= $n });
    return numbers($stream);
}

# What XINFO GROUPS says of a tenant's group.
sub group
{
    my ($kind, $tenant, $profile) = @_;
    my $name = join '-', 'ragline', $profile // $kind, $tenant =~ tr/-/~/r;
    for my $g (@{ $redis->client->xinfo('groups', key($kind, $tenant)) }) {
        my %g = @$g;
        return \%g if $g{name} eq $name;
    }
    return;
}

# Where the position is once it does not move for some seconds: it is written once a second.
sub settled
{
    my ($kind, $tenant) = @_;
    my ($last, $times) = ('', 0);
    wait_until(sub {
        my $now = group($kind, $tenant)->{'last-delivered-id'};
        $times = $now eq $last ? $times + 1 : 0;
        $last = $now;
        return $times == 4;
    }, undef, 1);
    return $last;
}

sub position_is
{
    my ($kind, $tenant, $id, $what) = @_;
    ok(wait_until(sub { my $g = group($kind, $tenant); $g && $g->{'last-delivered-id'} eq $id }), $what)
        or diag(explain(group($kind, $tenant)));
    return;
}

# What the statistics say to a tenant, of one endpoint's stream.
sub told
{
    my ($tenant, $endpoint, $stream) = @_;
    my $answer = $httpd[1]->request(path => '/own-stats', token => token($tenant, 1));
    my ($told) = grep { $_->{endpoint} eq $endpoint && $_->{stream} eq ($stream // $endpoint) }
        @{ $answer->json->{groups} };
    return $told;
}

for my $kind (qw(shared own)) {
    my ($tenant, $other) = (unique('t'), unique('o'));
    add($kind, $tenant, 'before the group');
    my $first = subscribe(0, "/$kind", $tenant);
    is(recovery($first), 'new', "$kind: the first ever: new");
    ok(group($kind, $tenant), "$kind: the group is there");
    add($kind, $other, 'not to be seen');
    my @ids = add($kind, $tenant, 1 .. 5);
    is(wait_numbers($first, 5), '1 2 3 4 5', "$kind: and gets what comes, nothing old");
    position_is($kind, $tenant, $ids[-1], "$kind: the group's position follows");
    is(group($kind, $tenant)->{lag}, 0, "$kind: nothing lags");
    is(group($kind, $tenant)->{pending}, 0, "$kind: nothing is pending");
    my $second = subscribe(0, "/$kind", $tenant);
    # In another process it goes on from the group's position, which the first one is at.
    is(recovery($second), vars('mpm') eq 'prefork' ? 'resumed' : 'new',
        "$kind: a second one at the same time: new");
    $_->close for $first, $second;

    # A night.
    is_deeply(told($tenant, $kind), { endpoint => $kind, stream => $kind, position => $ids[-1], lag => 0,
        group => group($kind, $tenant)->{name} }, "$kind: the statistics know where it is");
    add($kind, $tenant, 6 .. 9);
    add($kind, $other, 'not to be seen');
    is(told($tenant, $kind)->{lag}, group($kind, $tenant)->{lag}, "$kind: and how far behind");
    cmp_ok(told($tenant, $kind)->{lag}, '>=', 4, "$kind: which it is");
    is(told($tenant, $kind)->{position}, $ids[-1], "$kind: from the same position");
    my $morning = subscribe(1, "/$kind", $tenant);
    is(recovery($morning), 'resumed', "$kind: the next one, on another server: resumed");
    is(wait_numbers($morning, 4), '6 7 8 9', "$kind: with what came in between, once");
    my $caught_up = $morning->take('caught_up');
    is($caught_up && json_of($caught_up->{data})->{replayed}, 4, "$kind: and it is said how much");
    @ids = add($kind, $tenant, 10);
    is(wait_numbers($morning, 5), '6 7 8 9 10', "$kind: and then live");
    position_is($kind, $tenant, $ids[-1], "$kind: position after that");

    # Both servers at once: the position never goes back.
    my $here = subscribe(0, "/$kind", $tenant);
    for my $n (11 .. 30) {
        @ids = add($kind, $tenant, $n);
        $_->wait(sub { numbers($_[0]) =~ /\b$n$/ }) for $here, $morning;
    }
    position_is($kind, $tenant, $ids[-1], "$kind: two servers write one position");
    $_->close for $here, $morning;
    my $again = subscribe(0, "/$kind", $tenant);
    $again->take('caught_up');
    is(numbers($again), '', "$kind: nothing comes twice");

    # One that brings an id is resumed from there.
    my $from = subscribe(0, "/$kind", $tenant, last_event_id => $ids[-1] =~ s/-.*/-0/r);
    is(recovery($from), 'resumed', "$kind: with an id: from there");
    $_->close for $again, $from;

    # Restarts: what was accepted is written before the process goes.
    my $before = subscribe(1, "/$kind", $tenant);
    add($kind, $tenant, 31 .. 35);
    wait_numbers($before, 5);
    $httpd[1]->graceful;
    my $after = subscribe(1, "/$kind", $tenant);
    $after->take('caught_up');
    is(numbers($after), '', "$kind: graceful restart: nothing comes twice");
    $after->close;
    add($kind, $tenant, 36 .. 38);

    # kill -9: at least once, in order, without a hole.
    my $killed = subscribe(1, "/$kind", $tenant);
    wait_numbers($killed, 3);
    add($kind, $tenant, 39 .. 45);
    wait_numbers($killed, 10);
    kill('KILL', $httpd[1]->children);
    $killed->wait_end;
    ok(wait_until(sub { eval { subscribe(1, "/$kind", unique())->close; 1 } }), "$kind: a new child");
    add($kind, $tenant, 46);
    $after = subscribe(1, "/$kind", $tenant);
    $after->take('caught_up');
    my @got = split / /, numbers($after);
    is(join(' ', @got), join(' ', $got[0] .. 46), "$kind: kill -9: what follows is in order");
    cmp_ok($got[0], '<=', 46, "$kind: and nothing is left out");
    cmp_ok($got[0], '>=', 36, "$kind: only what was not recorded comes again");
    $after->close;

    # A client that takes nothing moves nothing: what its socket did not take is the next one's.
    my $stuck = subscribe(0, "/$kind", $tenant);
    my ($small) = add($kind, $tenant, 'small');
    $stuck->take(sub { $_[0]{data} eq 'small' });
    @ids = map { add($kind, $tenant, $_ . 'x' x 100_000) } 101 .. 300;
    ok(wait_until(sub { group($kind, $tenant)->{'last-delivered-id'} ne $small }),
        "$kind: a client that does not read takes some");
    my $at = settled($kind, $tenant);
    isnt($at, $ids[-1], "$kind: and the position does not go beyond that");
    $stuck->close;
    $at = settled($kind, $tenant);
    my $heir = subscribe(1, "/$kind", $tenant);
    $heir->take('caught_up');
    my ($first_left) = map { $_ + 101 } grep { ($small, @ids)[$_] eq $at } 0 .. @ids;
    is(join(' ', map { /^(\d+)/ } split / /, numbers($heir)), join(' ', $first_left .. 300),
        "$kind: another server's client gets the rest");
    $heir->close;
}

# --- the end of a stream's history, the limit, several streams --------------------------------------

{
    my $tenant = unique();
    my $stream = subscribe(0, '/few', $tenant);
    my @ids = add('shared', $tenant, 1 .. 2);
    wait_numbers($stream, 2);
    wait_until(sub { (group('shared', $tenant, 'few') // {})->{'last-delivered-id'} eq $ids[-1] });
    $stream->close;
    add('shared', $tenant, 3 .. 12);
    # What is in memory still is nobody's limit.
    $httpd[1]->stop;
    $httpd[1]->start;
    $stream = subscribe(1, '/few', $tenant);
    is(recovery($stream), 'reset/limit', 'more than RaglineReplayLimit: said');
    $stream->take('caught_up');
    is(numbers($stream), join(' ', 8 .. 12), 'and the newest come');
    my $last = $stream->last_event_id;
    ok(wait_until(sub { (group('shared', $tenant, 'few') // {})->{'last-delivered-id'} eq $last }),
        'the group goes with it');
    $stream->close;
    $httpd[1]->stop;
    $httpd[1]->start;
    $stream = subscribe(1, '/few', $tenant);
    is(recovery($stream), 'resumed', 'so the next one is not told again');
    $stream->take('caught_up');
    is(numbers($stream), '', 'and gets nothing of it');
    $stream->close;

    $tenant = unique();
    $stream = subscribe(0, '/two', $tenant);
    add('shared', $tenant, 1 .. 3);
    $redis->xadd('group:more', tenant_id => $tenant, event_type => 'n', payload => $_) for 4 .. 6;
    wait_numbers($stream, 6);
    $stream->close;
    $httpd[0]->graceful;
    add('shared', $tenant, 7);
    $redis->xadd('group:more', tenant_id => $tenant, event_type => 'n', payload => 8);
    $stream = subscribe(0, '/two', $tenant);
    $stream->take('caught_up');
    is(join(' ', sort split / /, numbers($stream)), '7 8', 'two streams: a position in each');
    $stream->close;
}

{
    my $tenant = unique();
    my $stream = subscribe(0, '/own', $tenant);
    add('own', $tenant, 1 .. 3);
    wait_numbers($stream, 3);
    $stream->close;
    $httpd[0]->graceful;
    $redis->client->del(key('own', $tenant));
    add('own', $tenant, 4 .. 6);
    $stream = subscribe(0, '/own', $tenant);
    like(recovery($stream), qr/^reset/, 'the stream was replaced meanwhile: reset');
    # What nobody had is owed to the next one, and may still be in memory when Redis has lost it.
    is(wait_numbers($stream, 3), '4 5 6', 'and what it holds now');
    position_is('own', $tenant, $stream->last_event_id, 'which the group has then');
    $stream->close;

    $redis->client->flushall;
    $stream = subscribe(0, '/own', $tenant);
    add('own', $tenant, 1);
    is(wait_numbers($stream, 1), '1', 'FLUSHALL: groups are made anew');
    ok(wait_until(sub { group('own', $tenant) }), 'and are there');
    $stream->close;
}

# Redis lost it, and who comes at once is not given all again that is still in memory.
{
    my $tenant = unique();
    my $stream = subscribe(1, '/shared', $tenant);
    add('shared', $tenant, 1 .. 3);
    wait_numbers($stream, 3);
    my $open = stats_connections(stats($httpd[1]));
    $stream->close;
    ok(wait_until(sub { stats_connections(stats($httpd[1])) < $open }), 'nobody is there');
    $redis->client->flushall;
    $stream = subscribe(1, '/shared', $tenant);
    my $id = 0;
    ok(wait_until(sub { Ragline::SSE::pump(0.1); add('shared', $tenant, 4 + $id++); own($stream) }),
        'events go on') or diag("$id entries; ", explain([$stream->events], stats($httpd[1])));
    unlike(numbers($stream), qr/\b[123]\b/, 'nothing comes twice');
    $stream->close;
}

# Made anew with lower ids than the one its client began at: the group goes along with what that gets.
{
    my $tenant = unique();
    add('own', $tenant, 1);
    my $stream = subscribe(0, '/own', $tenant);
    my ($id) = add('own', $tenant, 2);
    position_is('own', $tenant, $id, 'a position');
    $redis->client->del(key('own', $tenant));
    ok($stream->take('reset'), 'the stream is gone');
    $redis->client->xadd(key('own', $tenant), "1000-$_", event_type => 'n', payload => $_) for 3, 4;
    is(wait_numbers($stream, 3), '2 3 4', 'and another one is there, with lower ids');
    position_is('own', $tenant, '1000-4', 'which the group has then');
    $stream->close;
}

# --- a position that somebody else moves ----------------------------------------------------------------

{
    my $tenant = unique();
    my $stream = subscribe(0, '/shared', $tenant);
    my @ids = add('shared', $tenant, 1 .. 5);
    wait_numbers($stream, 5);
    position_is('shared', $tenant, $ids[-1], 'a position');
    my ($name, $key, $client) = (group('shared', $tenant)->{name}, key('shared', $tenant), $redis->client);
    my $leave = sub {
        $stream->close;
        wait_until(sub { stats_connections(stats($httpd[0])) == 0 });
        sleep(3); # what it has taken is written by then
    };
    $leave->();
    $client->xgroup('setid', $key, $name, $ids[1]);
    $stream = subscribe(0, '/shared', $tenant);
    $stream->take('caught_up');
    is(numbers($stream), '', 'XGROUP SETID alone changes nothing');
    $leave->();
    $client->xgroup('setid', $key, $name, $ids[1]);
    $client->hdel("ragline:groups:{$key}", $name);
    $stream = subscribe(0, '/shared', $tenant);
    $stream->take('caught_up');
    is(numbers($stream), '3 4 5', 'without the field the group is asked');
    $stream->close;
}

# --- the statistics are the caller's own --------------------------------------------------------------

{
    my ($tenant, $other) = (unique(), unique());
    my $stream = subscribe(0, '/shared', $tenant);
    my @ids = add('shared', $tenant, 1);
    position_is('shared', $tenant, $ids[-1], 'one tenant has a group');
    my $answer = $httpd[0]->request(path => '/own-stats', token => token($other, 1));
    is_deeply([map { $_->{position} } @{ $answer->json->{groups} }], [(undef) x 6],
        'another one sees no position');
    unlike($answer->body, qr/\Q$tenant\E|\Q@{[ $tenant =~ tr{-}{~}r ]}\E/, 'nor whose there are');
    for my $path ('/ragline-stats', '/stats-of', '/stats-of?no%20name') {
        $answer = $httpd[0]->request(path => $path);
        is($answer->status, 200, "$path: statistics");
        ok(!exists($answer->json->{groups}), "$path: without a tenant: no groups");
    }
    $answer = $httpd[0]->request(path => "/stats-of?$tenant");
    is($answer->json->{groups}[-1]{stream}, 'shared', 'RaglineTenant says whose');
    is(scalar(grep { ($_->{position} // '') eq $ids[-1] } @{ $answer->json->{groups} }), 1,
        'and that is shown');
    $stream->close;

    # Of shared delivery the group itself says it.
    my ($name, $key) = ('ragline-one-of-' . $tenant =~ tr/-/~/r, key('own', $tenant));
    my $client = $redis->client;
    $client->xgroup('create', $key, $name, '0', 'mkstream');
    @ids = add('own', $tenant, 1 .. 3);
    $client->xreadgroup('group', $name, 'somebody', 'count', 2, 'streams', $key, '>');
    is_deeply(told($tenant, 'one-of', 'own'), { endpoint => 'one-of', stream => 'own', group => $name,
        position => $ids[1], lag => 1, pending => 2 }, 'RaglineDelivery shared');
}

# --- Redis refuses -----------------------------------------------------------------------------------

{
    my $tenant = unique();
    $redis->client->acl('setuser', 'reader', 'on', '>pw', '~*', '&*', '+@all', '-eval');
    my $poor = Ragline::Httpd->new(name => 'poor',
        conf => conf() =~ s{unix://}{unix://reader:pw@}r)->start;
    my $stream = $poor->stream('/shared', token => token($tenant, 1));
    my $error = $stream->take('error');
    is($error && json_of($error->{data})->{code}, 'redis_unavailable',
        'a position that cannot be read: the client is told to come back');
    like($poor->error_log, qr/RS0521: .*\(NOPERM\).*\+eval/, 'and the log says what is missing');
    $poor->stop;
}

done_testing();
