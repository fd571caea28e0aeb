# SPDX-License-Identifier: Apache-2.0
#
# RaglineDelivery shared: a tenant's connections are competing consumers. Each event goes to one of them,
# over streamers, children and servers; what was not taken goes to another; what nobody can take ends
# in the dead-letter stream; and nothing is lost whoever dies.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Socket ();
use Test::More;
use Time::HiRes ();

use Ragline::HTTP ();
use Ragline::Httpd ();
use Ragline::Load ();
use Ragline::Proc qw(freeze limit slurp wait_until);
use Ragline::Redis ();
use Ragline::SSE ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'shared', args => ['--appendfsync', 'always']);
my $big = 900_000;

# A share touches what it has well before that, unless the machine is very busy.
my $claim = 2 * ($ENV{RAGLINE_TEST_SLOW} || 1);

sub conf
{
    my ($url) = @_;
    my @shared = ('RaglineDelivery shared', 'RaglineHeartbeat 1s', 'RaglineRetry 200ms');
    return join('', 'RaglineRedis ' . ($url // $redis->url) . "\n",
        "RaglineDrain 1s\nRaglineStreamers 2\nRaglineSendBuffer 16KB\n",
        "RaglineStream jobs job:{tenant}:q\nRaglineStream mails job:{tenant}:mails\n",
        "RaglineStream lit job:lit tenant=literal:main\n",
        "<Location /ragline-stats>\nSetHandler ragline-stats\nRequire local\n</Location>\n",
        bearer_location('/jobs', 'RaglineSubscribe jobs', @shared),
        bearer_location('/both', 'RaglineSubscribe jobs mails', @shared),
        bearer_location('/lit', 'RaglineSubscribe lit', @shared),
        bearer_location('/some', 'RaglineSubscribe jobs', 'RaglineEvents n', @shared),
        bearer_location('/short', 'RaglineSubscribe jobs', "RaglineClaimAfter ${claim}s", @shared),
        bearer_location('/twice', 'RaglineSubscribe jobs', 'RaglineMaxDeliveries 2', @shared),
        bearer_location('/off', 'RaglineSubscribe jobs', 'RaglineHandoff off', @shared),
        bearer_location('/all', 'RaglineSubscribe jobs'));
}

# With prefork each connection has a process, and so a share, of its own.
my $prefork = vars('mpm') eq 'prefork';
my $httpd = Ragline::Httpd->new(name => 'main', conf => conf())->start;

sub key { return "job:$_[0]:" . ($_[1] // 'q') }
sub group { return "ragline-$_[1]-" . ($_[0] =~ tr/-/~/r) }
sub add { my ($tenant, @n) = @_; return $redis->xadd_many(key($tenant), map { entry($_) } @n) }
sub entry { return [event_type => 'n', payload => $_[0]] }

sub subscribe
{
    my ($path, $tenant, %more) = @_;
    my $server = delete $more{httpd} // $httpd;
    my $stream = $server->stream($path, token => token($tenant, 1), %more);
    $stream->connected;
    return $stream;
}

sub numbers { return map { $_->{data} } grep { $_->{event} eq 'n' } map { $_->events } @_ }
sub sorted { return join ' ', sort { $a <=> $b } @_ }

# Waits until all of them together have so many; says which, in numerical order.
sub wait_sorted
{
    my ($n, @streams) = @_;
    $streams[0]->wait(sub { numbers(@streams) >= $n });
    return sorted(numbers(@streams));
}

# Entries that were taken and not acknowledged; consumers of the group.
sub pending { return ($redis->client->xpending(key($_[0]), group(@_)))->[0] }

sub consumers
{
    my ($tenant, $profile) = @_;
    return map { { @$_ } } @{ $redis->client->xinfo('consumers', key($tenant), group(@_)) };
}

sub nothing_pending { my @of = @_; return wait_until(sub { !pending(@of) }) }
sub of_stream { return stats_stream(stats($_[1] // $httpd), $_[0]) }

# A connection that is read only by hand.
sub raw
{
    my ($path, $tenant) = @_;
    my $socket = Ragline::HTTP::connect_to(port => $httpd->port);
    setsockopt($socket, Socket::SOL_SOCKET(), Socket::SO_RCVBUF(), 4096);
    syswrite($socket, Ragline::HTTP::request_bytes(port => $httpd->port, path => $path,
        token => token($tenant, 1)));
    read_until($socket, qr/event: connected\n.*\n\n/);
    return $socket;
}

sub read_until
{
    my ($socket, $pattern) = @_;
    my ($text, $deadline) = ('', Time::HiRes::time() + limit());
    while ($text !~ $pattern) {
        vec(my $in = '', fileno($socket), 1) = 1;
        die "nothing comes, after: $text\n" if Time::HiRes::time() > $deadline;
        next if select($in, undef, undef, 0.2) <= 0;
        sysread($socket, $text, 512, length $text) or die "the end comes, after: $text\n";
    }
    return $text;
}

# --- one of them, in turn ---------------------------------------------------------------------------

{
    my $tenant = unique();
    my @streams = map { subscribe('/jobs', $tenant) } 1 .. 4;
    my $other = subscribe('/jobs', my $stranger = unique());
    my $hello = json_of(($streams[0]->events)[0]{data});
    is($hello->{recovery}, 'new', 'verdict: new');
    ok(!defined(($streams[0]->events)[0]{id}), 'no id: there is no position');
    add($tenant, 1 .. 40);
    is(wait_sorted(40, @streams), sorted(1 .. 40), 'each event once');
    SKIP: {
        skip 'between processes there are no turns', 1 if $prefork;
        is(join(' ', map { scalar numbers($_) } @streams), '10 10 10 10', 'in turn');
    }
    is(join(' ', map { join ',', numbers($_) } @streams),
        join(' ', map { join ',', sort { $a <=> $b } numbers($_) } @streams), 'in order for each');
    like((grep { $_->{event} eq 'n' } $streams[0]->events)[0]{id}, qr/^\d+-\d+$/, 'with its id');
    ok($streams[0]->take('heartbeat'), 'heartbeats');
    ok(!grep({ $_->{event} eq 'heartbeat' && defined $_->{id} } $streams[0]->events), 'without an id');
    ok(nothing_pending($tenant, 'jobs'), 'all is acknowledged');
    is(scalar(numbers($other)), 0, 'another tenant got nothing');
    my $group = $redis->client->xinfo('groups', key($tenant))->[0];
    is({ @$group }->{name}, group($tenant, 'jobs'), 'XINFO GROUPS has the group');
    cmp_ok(scalar(consumers($tenant, 'jobs')), $prefork ? '>=' : '==', 1, 'and a consumer');
    $_->close for @streams;
    ok(wait_until(sub { !consumers($tenant, 'jobs') }), 'which goes with the last client');

    add($tenant, 41 .. 45);
    my $late = subscribe('/jobs', $tenant, last_event_id => '1-0');
    is(wait_sorted(5, $late), '41 42 43 44 45', 'what came while nobody was there goes to the first');
    is(json_of(($late->events)[0]{data})->{recovery}, 'new', 'an id that it brings means nothing');
    $redis->client->xgroup('destroy', key($tenant), group($tenant, 'jobs'));
    add($tenant, 46);
    is(wait_sorted(6, $late), '41 42 43 44 45 46', 'a group that is deleted is made again');
    $redis->client->del(key($tenant));
    add($tenant, 47);
    is(wait_sorted(7, $late), '41 42 43 44 45 46 47', 'the key is deleted: so is the next');
    $redis->client->flushall;
    add($tenant, 48 .. 50);
    is(wait_sorted(10, $late), '41 42 43 44 45 46 47 48 49 50', 'FLUSHALL');
    $redis->client->del(key($tenant));
    $redis->client->xadd(key($tenant), "1-$_", @{ entry($_) }) for 1 .. 3;
    is(wait_sorted(13, $late), sorted(1 .. 3, 41 .. 50), 'ids that went back');
    $_->close for $late, $other;
}

# --- several streams; one that is a tenant's by its configuration ------------------------------------

{
    my $tenant = unique();
    my @streams = map { subscribe('/both', $tenant) } 1 .. 3;
    for my $n (1 .. 30) {
        $redis->xadd(key($tenant, $n % 2 ? 'q' : 'mails'), @{ entry($n) });
    }
    is(wait_sorted(30, @streams), sorted(1 .. 30), 'two streams: each event once');
    $_->close for @streams;

    my @main = map { subscribe('/lit', 'main') } 1 .. 2;
    my $alien = subscribe('/lit', unique());
    $redis->xadd('job:lit', tenant_id => 'whoever', @{ entry($_) }) for 1 .. 10;
    is(wait_sorted(10, @main), sorted(1 .. 10), 'tenant=literal: its tenant shares them');
    ok($alien->take('heartbeat'), "another tenant's client is connected");
    is(scalar(numbers($alien)), 0, 'gets nothing');
    is(scalar(@{ $redis->client->xinfo('groups', 'job:lit') }), 1, 'and has no group there');
    SKIP: {
        skip 'processes without its clients count it', 1 if $prefork;
        is(of_stream('lit')->{skipped}{no_subscriber}, 0, 'and nothing was for nobody');
    }
    $_->close for @main, $alien;
}

# --- what is not for them ---------------------------------------------------------------------------

{
    my $tenant = unique();
    my $before = of_stream('jobs');
    my $some = subscribe('/some', $tenant);
    $redis->xadd(key($tenant), event_type => 'other', payload => 0);
    $redis->xadd(key($tenant), event_type => 'n', payload => 'stray', tenant_id => unique());
    $redis->xadd(key($tenant), event_type => 'n', payload => 'x' x 1_100_000);
    add($tenant, 1);
    is(wait_sorted(1, $some), '1', 'RaglineEvents, a stray entry, one that is too big');
    ok(nothing_pending($tenant, 'some'), 'all are acknowledged');
    my $after = of_stream('jobs');
    is($after->{filtered} - $before->{filtered}, 1, 'and counted: filtered');
    is($after->{skipped}{other_tenant} - $before->{skipped}{other_tenant}, 1, 'other_tenant');
    is($after->{skipped}{too_big} - $before->{skipped}{too_big}, 1, 'too_big');
    $some->close;
}

# --- beside those who get everything ------------------------------------------------------------------

{
    my $tenant = unique();
    my @shared = map { subscribe('/jobs', $tenant) } 1 .. 2;
    my $all = subscribe('/all', $tenant);
    add($tenant, 1 .. 20);
    is(wait_sorted(20, @shared), sorted(1 .. 20), 'shared: each once');
    is(wait_sorted(20, $all), sorted(1 .. 20), 'broadcast of the same key: all');
    $_->close for @shared, $all;
}

{
    my $tenant = unique();
    my @pumped = map { subscribe('/off', $tenant) } 1 .. 2;
    add($tenant, 1 .. 20);
    is(wait_sorted(20, @pumped), sorted(1 .. 20), 'RaglineHandoff off');
    $_->close for @pumped;
}

# --- a client that does not read ---------------------------------------------------------------------

{
    my $tenant = unique();
    my $redelivered = of_stream('jobs')->{redelivered};
    my $stuck = raw('/jobs', $tenant);
    add($tenant, '1' x $big);
    my $begun = read_until($stuck, qr/data: 1/);
    my @others = map { subscribe('/jobs', $tenant) } 1 .. 2;
    add($tenant, 2 .. 101);
    is(wait_sorted(100, @others), sorted(2 .. 101), 'one that does not read holds nobody up');
    ok(wait_until(sub { pending($tenant, 'jobs') == 1 }), 'only what it has begun waits for it');
    close($stuck);
    wait_sorted(101, @others);
    is(join(' ', grep { $_ > 101 } numbers(@others)), '1' x $big,
        'it is cut in the middle of an event: another one gets all of that');
    cmp_ok(of_stream('jobs')->{redelivered} - $redelivered, $prefork ? '>=' : '==', 1,
        'counted: redelivered');
    ok(nothing_pending($tenant, 'jobs'), 'all is acknowledged');
    $_->close for @others;

    $tenant = unique();
    $stuck = raw('/short', $tenant);
    add($tenant, '1' x $big);
    read_until($stuck, qr/data: 1/);
    my $other = subscribe('/short', $tenant);
    wait_sorted(1, $other);
    is(join(' ', numbers($other)), '1' x $big, 'one that takes nothing for RaglineClaimAfter is ended');
    close($stuck);
    $other->close;
}

# --- what nobody can take ------------------------------------------------------------------------------

{
    my $tenant = unique();
    my ($id) = $redis->xadd_many(key($tenant, 'q'), [event_type => 'early', payload => 0]);
    my @stuck = map { raw('/twice', $tenant) } 1 .. 3;
    ($id) = $redis->xadd_many(key($tenant), [event_type => 'n', payload => '7' x $big,
        user_id => 'joe', tenant_id => $tenant, reason => 'forged']);
    my $tries = 0;
    while (@stuck && $tries < 2) {
        my $in = '';
        vec($in, fileno($_), 1) = 1 for @stuck;
        last if select($in, undef, undef, limit()) <= 0;
        my ($ready) = grep { vec($in, fileno($_), 1) } @stuck;
        my $got = sysread($ready, my $text, 512) or last;
        # Heartbeats come as well.
        next if $text !~ /data: 77/;
        @stuck = grep { $_ != $ready } @stuck;
        close($ready);
        $tries++;
    }
    is($tries, 2, 'tried twice');
    my $dead;
    ok(wait_until(sub { ($dead) = @{ $redis->client->xrange('ragline:dlq:jobs', '-', '+') } }),
        'RaglineMaxDeliveries 2: it is in the dead-letter stream');
    my @fields = @{ $dead->[1] };
    my %field = @fields;
    is(scalar(@fields), 2 * keys %field, 'no field is there twice');
    is($field{payload}, '7' x $big, 'with its payload');
    is(join(' ', map { "$_=$field{$_}" }
            qw(tenant_id event_type user_id reason deliveries entry_id group key)),
        "tenant_id=$tenant event_type=n user_id=joe reason=max_deliveries deliveries=2 entry_id=$id"
            . " group=@{[ group($tenant, 'twice') ]} key=@{[ key($tenant) ]}", 'and its history');
    like($field{consumer}, qr/^[\w.@-]+$/, 'who had it last');
    like($field{failed_at}, qr/^\d{4}-\d\d-\d\dT[\d:.]+\+00:00$/, 'and when');
    ok(nothing_pending($tenant, 'twice'), 'and it is acknowledged');
    is(of_stream('jobs')->{dead_lettered}, 1, 'counted: dead_lettered');
    like($httpd->error_log, qr/RS2022: .*entry $id could not be delivered in 2 attempts/, 'and said');
    close($_) for @stuck;
}

# --- two servers, two children each ------------------------------------------------------------------

my $second = Ragline::Httpd->new(name => 'second', children => 2, conf => conf())->start;
my $first = Ragline::Httpd->new(name => 'first', children => 2, conf => conf())->start;

{
    my $tenant = unique();
    my @streams;
    for my $server ($first, $second) {
        my @mine;
        my $both = wait_until(sub {
            push @mine, subscribe('/jobs', $tenant, httpd => $server) if @mine < 200;
            @mine == 200 || 2 <= grep { $_->{connections} } @{ stats($server)->{children} }
        });
        SKIP: {
            skip 'one child took all connections', 1
                if @mine == 200 && vars('mpm') eq 'worker';
            ok($both && @mine < 200, $server->{name} . ': both children have clients');
        }
        push @streams, @mine;
    }
    add($tenant, 1 .. 500);
    is(wait_sorted(500, @streams), sorted(1 .. 500), 'each event to exactly one of all');
    ok(nothing_pending($tenant, 'jobs'), 'all is acknowledged');
    $_->close for @streams;
    ok(wait_until(sub { !consumers($tenant, 'jobs') }), 'no consumer is left');
}

# --- a process is killed -----------------------------------------------------------------------------

# Consumers that come back as EventSource does.
package Worker;

sub new
{
    my ($class, %self) = @_;
    return bless { again_at => 0, got => [], %self }, $class;
}

sub step
{
    my ($self) = @_;
    if (my $stream = $self->{stream}) {
        my @events = $stream->events;
        for my $event (@events[$self->{taken} .. $#events]) {
            push @{ $self->{got} }, [$event->{data} =~ /"n":(\d+)/, $event->{id}]
                if $event->{event} eq 's0';
        }
        $self->{taken} = @events;
        return if !$stream->ended;
        $self->{again_at} = Time::HiRes::time() + ($stream->retry // 200) / 1000;
        delete $self->{stream};
    }
    return if Time::HiRes::time() < $self->{again_at};
    $self->{taken} = 0;
    $self->{stream} = eval { $self->{httpd}->stream($self->{path},
        token => Ragline::Token::access($self->{tenant}, 1)) };
    $self->{again_at} = Time::HiRes::time() + 0.2 if !$self->{stream};
    return;
}

sub connected { return $_[0]{stream} && grep { $_->{event} eq 'connected' } $_[0]{stream}->events }

package main;

# Load for workers of a tenant, while $trouble->(tenant, profile) does its worst. Returns how many there
# were, and by event how often and under which id it came.
sub under_load
{
    my ($path, $servers, $trouble) = @_;
    my $tenant = unique();
    my @workers = map { Worker->new(httpd => $_, path => "/$path", tenant => $tenant) }
        (@$servers) x (6 / @$servers);
    my $turn = sub { Ragline::SSE::pump(0.02); $_->step for @workers; return 1 };
    wait_until(sub { $turn->(); !grep { !$_->connected } @workers });
    my $load = Ragline::Load->start(redis => $redis, keys => [key($tenant)], tenants => [$tenant],
        rate => 500);
    $trouble->($tenant, $path, $turn);
    my $n = $load->stop;
    my %came;
    my $complete = wait_until(sub {
        $turn->();
        %came = ();
        push @{ $came{ $_->[0] } }, $_->[1] for map { @{ $_->{got} } } @workers;
        keys(%came) >= $n
    }, 60);
    ok($complete, "each of $n events came") or diag(keys(%came) . ' did');
    ok(wait_until(sub { $turn->(); !pending($tenant, $path) }, 60), 'and is acknowledged');
    $_->{stream} && $_->{stream}->close for @workers;
    return ($n, \%came, $tenant);
}

sub twice { my ($came) = @_; return grep { @{ $came->{$_} } > 1 } keys %$came }

{
    my (%risked, @killed);
    my $kills = full() ? 20 : 4;
    my (undef, $came, $tenant) = under_load('short', [$first, $second], sub {
        my ($tenant, $profile, $turn) = @_;
        for my $kill (1 .. $kills) {
            my $until = Time::HiRes::time() + 0.4 + rand(0.6);
            $turn->() while Time::HiRes::time() < $until;
            my $server = $kill % 2 ? $first : $second;
            my %has = map { $_->{pid} => $_->{connections} } @{ stats($server)->{children} };
            my ($victim) = grep { $has{$_} } keys %has;
            next if !$victim;
            # Stopped first: what is unacknowledged now is what may come again.
            freeze($victim);
            my @pending = @{ $redis->client->xpending(key($tenant), group($tenant, $profile),
                '-', '+', 10_000) };
            kill('KILL', $victim);
            $risked{ $_->[0] } = 1 for grep { $_->[1] =~ /-$victim-/ } @pending;
            push @killed, $victim;
            wait_until(sub { $turn->(); 2 <= grep { !$_->{draining} && $_->{pid} != $victim }
                @{ (eval { stats($server) } // {})->{children} } });
        }
    });
    cmp_ok(scalar(@killed), '>=', $kills / 2, 'children were killed');
    my @twice = twice($came);
    my @unexpected = grep { grep { !$risked{$_} } @{ $came->{$_} } } @twice;
    is(join(' ', @unexpected), '', 'twice came only what was unacknowledged at a kill');
    note(scalar(@killed) . ' kills, ' . keys(%risked) . ' at risk, ' . @twice . ' came twice');
    my $left = subscribe('/short', $tenant);
    ok(wait_until(sub { my @names = map { $_->{name} } consumers($tenant, 'short');
        @names <= 1 && !grep { my $name = $_; grep { $name =~ /-$_-/ } @killed } @names }, 60),
        "consumers of processes that are gone are deleted");
    $left->close;
}

# --- reloads and Redis -------------------------------------------------------------------------------

{
    my (undef, $came, $tenant) = under_load('jobs', [$first, $second], sub {
        my (undef, undef, $turn) = @_;
        for my $server (($first, $second) x (full() ? 5 : 1)) {
            my %old = map { $_ => 1 } $server->children;
            $server->control('graceful');
            ok(wait_until(sub { $turn->(); !grep { $old{$_} } $server->children }, 60),
                "$server->{name}: graceful under load");
        }
    });
    note(twice($came) . ' events came twice');
    ok(wait_until(sub { !consumers($tenant, 'jobs') }), 'no consumer is left');
    unlike($_->error_log, qr/exit signal (?!Killed)|AH00046/, "$_->{name}: nobody crashed")
        for $first, $second;
}

{
    my $tenant = unique();
    my @streams = map { subscribe('/jobs', $tenant, httpd => $_) } $first, $second;
    add($tenant, 1 .. 20);
    wait_sorted(20, @streams);
    nothing_pending($tenant, 'jobs');
    $redis->stop('KILL');
    is(join('', map { $_->ended } @streams), '', 'Redis is killed: streams stay open');
    $redis->start_again;
    add($tenant, 21 .. 40);
    is(wait_sorted(40, @streams), sorted(1 .. 40), 'and go on when it is back');
    for my $name ('ragline-watcher', 'ragline-changes') {
        $redis->client->client('kill', 'id', $_->{id})
            for grep { $_->{name} eq $name } $redis->clients;
        my $n = numbers(@streams);
        add($tenant, $n + 1 .. $n + 20);
        is(wait_sorted($n + 20, @streams), sorted(1 .. $n + 20), "$name is cut: nothing is lost");
    }
    $_->close for @streams;
}
$_->stop for $first, $second;

# --- what a Redis user may need to do; a Redis that does not tell ---------------------------------------

my ($source) = slurp('Makefile') =~ /^abs_top_srcdir = (.*)$/m;
my $reference = slurp("$source/docs/DIRECTIVES.md");
my $rights = join ' ', $reference =~ /^    user streams on >PASSWORD \S+ (.*)$/m,
    $reference =~ /^    (\+client\|id .*)$/m, $reference =~ /^    (~ragline:dlq:.*)$/m;
for my $case (['least', ''], ['mute', ' -client|tracking']) {
    my ($name, $less) = @$case;
    $redis->client->acl('setuser', $name, 'on', '>pw', '~job:*', split(/ /, $rights . $less));
    $redis->client->acl('log', 'reset');
    my $limited = Ragline::Httpd->new(name => $name, conf => "RaglineRedis "
        . $redis->url =~ s{unix://}{unix://$name:pw@}r . "\nRaglineStream jobs job:{tenant}:q\n"
        . bearer_location('/jobs', 'RaglineSubscribe jobs', 'RaglineDelivery shared'))->start;
    my $tenant = unique();
    my @streams = map { subscribe('/jobs', $tenant, httpd => $limited) } 1 .. 2;
    add($tenant, 1 .. 10);
    is(wait_sorted(10, @streams), sorted(1 .. 10), "user $name: each event once");
    $streams[0]->close;
    $streams[1]->close;
    ok(wait_until(sub { !consumers($tenant, 'jobs') }), "user $name: no consumer is left");
    unlike($limited->error_log, qr/RS2021/, "user $name: may do all it has to");
    is_deeply([$name eq 'least' ? $redis->client->acl('log') : ()], [], 'nothing was denied');
    $limited->stop;
}

done_testing();
