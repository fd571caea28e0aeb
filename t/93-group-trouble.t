# SPDX-License-Identifier: Apache-2.0
#
# What may go wrong around tenants' keys and groups, without harm to others: one tenant's key or
# entry of the hash that is not what it should be, clients that are counted but take nothing,
# endpoints that get another stream, tenants that are quiet on a busy stream, a Redis that is there
# and does not serve.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Redis ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'trouble');
my %template = (shared => 'gt:all', own => 'gt:{tenant}:own', more => 'gt:more');

sub conf
{
    my ($url, @grown) = @_;
    return join('', "RaglineRedis $url\nRaglineDrain 0\n",
        "<Location /ragline-stats>\nSetHandler ragline-stats\nRequire local\n</Location>\n",
        (map { "RaglineStream $_ $template{$_}\n" } sort keys %template),
        bearer_location('/shared', 'RaglineSubscribe shared', 'RaglineStart group'),
        bearer_location('/own', 'RaglineSubscribe own', 'RaglineStart group', 'RaglineJWTLeeway 0s'),
        bearer_location('/live', 'RaglineSubscribe own', 'RaglineHeartbeat 1s'),
        bearer_location('/grown', "RaglineSubscribe @{[ @grown ? @grown : 'shared' ]}",
            'RaglineStart group'),
        bearer_location('/few', 'RaglineSubscribe shared', 'RaglineStart group',
            'RaglineReplayLimit 5'),
        bearer_location('/two', 'RaglineSubscribe shared more', 'RaglineStart group'));
}

my @httpd = map { Ragline::Httpd->new(name => "node$_", conf => conf($redis->url))->start } 1, 2;

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
    my $stream = $httpd[$node]->stream($path, token => token($tenant, 1), %more);
    $stream->connected;
    return $stream;
}

sub recovery
{
    my ($event) = $_[0]->events;
    return 'nothing' if !$event;
    my $json = json_of($event->{data});
    return join '/', grep { defined } @$json{qw(recovery reason code)};
}

sub own { return grep { $_->{event} eq 'n' } $_[0]->events }
sub numbers { return join ' ', map { $_->{data} } own($_[0]) }

sub wait_numbers
{
    my ($stream, $n) = @_;
    $stream->wait(sub { own($_[0]) >= $n }, 15);
    return numbers($stream);
}

sub name { my ($profile, $tenant) = @_; return join '-', 'ragline', $profile, $tenant =~ tr/-/~/r }

sub position
{
    my ($kind, $tenant, $profile) = @_;
    my $name = name($profile // $kind, $tenant);
    for my $g (@{ $redis->client->xinfo('groups', key($kind, $tenant)) }) {
        my %g = @$g;
        return $g{'last-delivered-id'} if $g{name} eq $name;
    }
    return '';
}

# --- one that is broken harms nobody else ----------------------------------------------------------

{
    my ($broken, $other) = (unique('bad'), unique('other'));
    $redis->client->set(key('own', $broken), 'not a stream');
    subscribe(0, '/own', $other)->close; # its group is there
    # In one round: the loader is kept busy while both arrive.
    my @worse;
    for my $try (1 .. 5) {
        $redis->client->client('pause', 300, 'ALL');
        my @both = map { $httpd[0]->stream('/own', token => token($_, 1)) } $broken,
            map { unique('o') } 1 .. 5;
        $_->take for @both;
        push @worse, grep { recovery($_) =~ /unavailable/ } @both[1 .. $#both];
        $_->close for @both;
    }
    is(scalar(@worse), 0, "a key that is no stream is its tenant's trouble alone")
        or diag(recovery($worse[0]));
}

{
    my ($broken, $other) = map { unique() } 1 .. 2;
    for my $garbage ('garbage', '', '99999999999999999999999-0 1', '18446744073709551616-0 ', "1-1-1 x",
        '1-', "\0", '5-5') {
        $redis->client->hset("ragline:groups:{gt:all}", name('shared', $broken), $garbage);
        $redis->client->client('pause', 200, 'ALL');
        my @both = map { $httpd[0]->stream('/shared', token => token($_, 1)) } $broken, unique();
        $_->take for @both;
        unlike(recovery($both[1]), qr/unavailable/, "garbage in the hash ($garbage): not for others");
        unlike(recovery($both[0]), qr/unavailable/, "garbage in the hash ($garbage): nor for its own");
        $_->close for @both;
        $broken = unique();
    }
}

# --- who is counted and takes nothing ---------------------------------------------------------------

{
    my $tenant = unique('expired');
    my $first = subscribe(0, '/own', $tenant);
    add('own', $tenant, 1);
    is(wait_numbers($first, 1), '1', 'the first client');
    $first->close;
    # This one is told to go and does not close: it lingers.
    my %where = (port => $httpd[0]->port, path => '/own');
    my $lingering = Ragline::HTTP::connect_to(%where);
    syswrite($lingering, Ragline::HTTP::request_bytes(%where,
        token => token($tenant, 1, exp => time() + 3)));
    my $said = '';
    while ($said !~ /token_expired/ && sysread($lingering, my $bytes, 4096)) {
        $said .= $bytes;
    }
    like($said, qr/token_expired/, 'the second one is ended, and does not close');
    add('own', $tenant, 2);
    my $next = subscribe(0, '/own', $tenant);
    add('own', $tenant, 3);
    is(wait_numbers($next, 2), '2 3', 'what came when a client had been ended is for the next one')
        or diag(recovery($next));
    $next->close;
    close($lingering);
}

# --- an endpoint gets another stream -----------------------------------------------------------------

{
    my $tenant = unique('grown');
    my $stream = subscribe(0, '/grown', $tenant);
    my @ids = add('shared', $tenant, 1);
    wait_numbers($stream, 1);
    ok(wait_until(sub { position('shared', $tenant, 'grown') eq $ids[-1] }), 'position of the one stream');
    $stream->close;
    add('shared', $tenant, 2 .. 4);
    $httpd[0]->write_conf(conf($redis->url, 'shared', 'more'));
    $httpd[0]->graceful;
    $stream = subscribe(0, '/grown', $tenant);
    isnt(recovery($stream), 'new', 'an endpoint that reads one more stream: resumed');
    is(wait_numbers($stream, 3), '2 3 4', 'with what came in the old one');
    $stream->close;
}

# --- quiet on a busy stream -----------------------------------------------------------------------------

{
    my ($tenant, $busy) = (unique('quiet'), unique('busy'));
    my $stream = subscribe(0, '/few', $tenant);
    my @ids = add('shared', $tenant, 1);
    wait_numbers($stream, 1);
    ok(wait_until(sub { position('shared', $tenant, 'few') eq $ids[-1] }), 'position of a quiet tenant');
    add('shared', $busy, 1 .. 50);
    my $watch = subscribe(0, '/shared', $busy);
    add('shared', $busy, 51);
    wait_numbers($watch, 1);
    $_->close for $stream, $watch;
    wait_until(sub { position('shared', $tenant, 'few') ne $ids[-1] }, 5);
    $stream = subscribe(1, '/few', $tenant);
    is(recovery($stream), 'resumed', 'it has missed nothing, and is not told that it had');
    $stream->close;
}

# --- a slow one moves the position as it goes ---------------------------------------------------------

{
    my $tenant = unique('slow');
    my $first = subscribe(0, '/own', $tenant);
    my ($start) = add('own', $tenant, 0);
    wait_numbers($first, 1);
    ok(wait_until(sub { position('own', $tenant) eq $start }), 'position before');
    $first->close;
    my @ids = map { add('own', $tenant, $_ . 'x' x 200_000) } 1 .. 150;
    # Reads half of it and stops.
    my $half = $httpd[1]->stream('/own', token => token($tenant, 1), bulk => 1);
    my $fd = $half->{socket};
    my $got = 0;
    while ($got < 15_000_000) {
        my ($in, $bytes) = ('');
        vec($in, fileno($fd), 1) = 1;
        last if !select($in, undef, undef, 10);
        my $n = sysread($fd, $bytes, 20_000);
        $got += $n // 0;
        last if defined $n && !$n;
        select(undef, undef, undef, 0.0005);
    }
    cmp_ok($got, '>=', 15_000_000, 'half was taken');
    my $at;
    ok(wait_until(sub { my $now = position('own', $tenant);
        ($at) = grep { $ids[$_] eq $now } 0 .. $#ids; ($at // -1) >= 15 }),
        'and the position says so, not only of its beginning') or diag($at // 'no position');
    $half->close;
}

# --- the hash is lost -----------------------------------------------------------------------------------

{
    my $tenant = unique('lost');
    my @stream = map { subscribe($_, '/own', $tenant) } 0, 1;
    my @ids = add('own', $tenant, 1 .. 3);
    wait_numbers($_, 3) for @stream;
    ok(wait_until(sub { position('own', $tenant) eq $ids[-1] }), 'position before');
    $_->close for @stream;
    # As a server does that comes late: it had accepted less.
    my ($top) = Ragline::Proc::slurp('Makefile') =~ /^abs_top_srcdir = (.*)$/m;
    my $source = Ragline::Proc::slurp("$top/src/redis/rs_group_script.c");
    my ($text) = $source =~ /rs_group_script\[\] =\n(.*return out\\n)/s;
    my $script = join '', map { s/\\n/\n/gr } $text =~ /^\s*"(.*?)"?;?$/mg;
    $redis->client->del('ragline:groups:{' . key('own', $tenant) . '}');
    my $answer = $redis->client->eval($script, 2, key('own', $tenant),
        'ragline:groups:{' . key('own', $tenant) . '}', name('own', $tenant), $ids[0], '');
    is(position('own', $tenant), $ids[-1], 'without the hash the group goes not back either');
    is($answer->[0], $ids[-1], 'and that is what is answered');
}

# --- one of two streams is replaced while nobody is there ---------------------------------------------------

{
    my $tenant = unique('replaced');
    my $stream = subscribe(0, '/two', $tenant);
    add('more', $tenant, 1 .. 3);
    wait_numbers($stream, 3);
    my $open = stats_connections(stats($httpd[0]));
    $stream->close;
    ok(wait_until(sub { stats_connections(stats($httpd[0])) < $open }), 'nobody is there');
    add('shared', $tenant, 4 .. 6);
    my $said = () = $httpd[0]->error_log =~ /RS0501/g;
    $redis->client->del(key('more', $tenant));
    ok(wait_until(sub { (() = $httpd[0]->error_log =~ /RS0501/g) > $said }), 'and a stream is lost');
    $stream = subscribe(0, '/two', $tenant);
    is(wait_numbers($stream, 3), '4 5 6', 'what came in the other one is not left out');
    $stream->close;
}

# --- a key that may not be read -----------------------------------------------------------------------------

{
    my $tenant = unique('acl');
    $redis->client->acl('setuser', 'some', 'on', '>pw', '~gt:nobody:*', '&*', '+@all');
    my $strict = Ragline::Httpd->new(name => 'strict',
        conf => conf($redis->url =~ s{unix://}{unix://some:pw@}r))->start;
    add('own', $tenant, 1 .. 3);
    my $stream = $strict->stream('/live', token => token($tenant, 1));
    $stream->connected;
    $redis->client->acl('setuser', 'some', '~gt:*');
    # By now it is noticed that it may be.
    $stream->wait(sub { 0 }, 8);
    add('own', $tenant, 4);
    is(wait_numbers($stream, 1), '4', 'a key that may be read again is read, from there on');
    $_->close for $stream;
    $strict->stop;
}

# --- a Redis that answers and does not serve -----------------------------------------------------------------

{
    my $loading = Ragline::Redis->start(name => 'loading', args => ['--replica-serve-stale-data', 'no']);
    my $tenant = unique('loading');
    my $httpd = Ragline::Httpd->new(name => 'loading', conf => conf($loading->url))->start;
    my $stream = $httpd->stream('/live', token => token($tenant, 1));
    $stream->connected;
    $loading->client->replicaof('127.0.0.1', 1);
    my ($victim) = grep { $_->{name} eq 'ragline-watcher' } $loading->clients;
    $loading->client->client('kill', 'id', $victim->{id});
    select(undef, undef, undef, 4);
    my $lines = () = $httpd->error_log =~ /RS022[13]/g;
    cmp_ok($lines, '<', 6, 'a Redis that does not serve is complained of once')
        or diag($httpd->log_tail(6));
    $loading->client->replicaof('no', 'one');
    $loading->xadd(key('own', $tenant), event_type => 'n', payload => 1);
    is(wait_numbers($stream, 1), '1', 'and read again when it serves');
    $stream->close;
    $httpd->stop;
}

done_testing();
