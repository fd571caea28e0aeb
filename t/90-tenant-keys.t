# SPDX-License-Identifier: Apache-2.0
#
# A key for each tenant: {tenant} in the key of a stream. What reads them is one pair of connections
# to Redis, told of changes; that tenants are apart, that nothing is lost when the connections break,
# and what happens where Redis does not tell.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Redis ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'own');

sub conf
{
    my ($url, @more) = @_;
    return join('', "RaglineRedis $url\nRaglineDrain 0\n", @more,
        "RaglineStream orders own:{tenant}:orders\nRaglineStream notes own:{tenant}:notes\n",
        "<Location /ragline-stats>\nSetHandler ragline-stats\nRequire local\n</Location>\n",
        bearer_location('/orders', 'RaglineSubscribe orders', 'RaglineHeartbeat 1s'),
        bearer_location('/both', 'RaglineSubscribe orders notes', 'RaglineHeartbeat 1s'),
        bearer_location('/newest', 'RaglineSubscribe orders', 'RaglineStart last=2'),
        "<Location /publish>\nSetHandler ragline-publish\n", jwt_conf(),
        "RaglinePublish orders\n</Location>\n");
}

my $httpd = Ragline::Httpd->new(name => 'main', conf => conf($redis->url))->start;

sub add
{
    my ($tenant, $stream, $n, @more) = @_;
    return $redis->xadd("own:$tenant:$stream", event_type => 'n', payload => $n, @more);
}

sub subscribe
{
    my ($path, $tenant, %more) = @_;
    my $stream = $httpd->stream($path, token => token($tenant, 1), %more);
    $stream->connected;
    return $stream;
}

sub own { return grep { $_->{event} eq 'n' } $_[0]->events }
sub numbers { return join ' ', map { $_->{data} } own($_[0]) }

sub wait_numbers
{
    my ($stream, $n) = @_;
    $stream->wait(sub { own($_[0]) >= $n });
    return numbers($stream);
}

sub skipped { return stats_stream(stats($httpd), $_[0])->{skipped} }

# --- tenants are apart, also where a key does not exist yet ----------------------------------------

{
    my ($a, $b) = (unique('a'), unique('b'));
    my $of_a = subscribe('/orders', $a);
    my $of_b = subscribe('/orders', $b);
    my $both = subscribe('/both', $a);
    is($of_a->events ? json_of(($of_a->events)[0]{data})->{recovery} : '', 'new', 'verdict: new');
    for my $n (1 .. 20) {
        add($a, 'orders', $n);
        add($b, 'orders', 100 + $n);
        add($a, 'notes', 200 + $n);
    }
    is(wait_numbers($of_a, 20), join(' ', 1 .. 20), 'the first events of a new key, in order');
    is(wait_numbers($of_b, 20), join(' ', 101 .. 120), "another tenant's");
    $both->wait(sub { own($_[0]) >= 40 });
    is(join(' ', grep { $_ < 100 } split / /, numbers($both)), join(' ', 1 .. 20),
        'two streams of a tenant: the one');
    is(join(' ', grep { $_ > 100 } split / /, numbers($both)), join(' ', 201 .. 220), 'the other');
    add($a, 'orders', 'mine', tenant_id => $a);
    add($a, 'orders', 'stray', tenant_id => $b);
    $redis->xadd("own:$a:orders", event_type => 'n', payload => qq({"tenant_id":"$b"}));
    add($a, 'orders', 'end');
    is((split / /, wait_numbers($of_a, 22))[-2], 'mine', 'an entry may name the tenant of its key');
    is((split / /, numbers($of_a))[-1], 'end', 'one that names another tenant is left out');
    is(skipped('orders')->{other_tenant}, 2, 'and counted, also where the payload names it');
    unlike(numbers($of_b), qr/stray/, 'nor does that tenant get it');
    like($httpd->error_log, qr/RS0301: .*own:$a:orders.*other_tenant.*another tenant's own/,
        'and said once, with its remedy');

    my $id = (own($of_a))[9]{id};
    my $again = subscribe('/orders', $a, last_event_id => $id);
    is(wait_numbers($again, 12), join(' ', 11 .. 20, 'mine', 'end'), 'resumed from memory');
    my $elsewhere = subscribe('/orders', $b, last_event_id => $id);
    unlike(numbers($elsewhere), qr/mine|\b11\b/, "with another tenant's id: nothing of that tenant");
    $_->close for $of_a, $of_b, $both, $again, $elsewhere;
    $httpd->stop;
    $httpd->start;
    $again = subscribe('/orders', $a, last_event_id => $id);
    is(wait_numbers($again, 12), join(' ', 11 .. 20, 'mine', 'end'), 'resumed from Redis');
    my $newest = subscribe('/newest', $a);
    is(wait_numbers($newest, 2), 'mine end', 'RaglineStart last=2');
    $_->close for $again, $newest;
}

# --- publishing reaches the caller's own key -------------------------------------------------------

{
    my $tenant = unique();
    my $stream = subscribe('/orders', $tenant);
    my $answer = $httpd->request(path => '/publish', method => 'POST', token => token($tenant, 1),
        headers => ['Content-Type' => 'application/json'],
        body => '{"stream":"orders","event_type":"n","payload":1}');
    is($answer->status, 201, 'published');
    is(wait_numbers($stream, 1), '1', 'and received');
    is($redis->client->xlen("own:$tenant:orders"), 1, "in the tenant's own key");
    $stream->close;
}

# --- one pair of connections for all, and what is read is little ------------------------------------

{
    my @tenants = map { unique() } 1 .. 50;
    my @streams = map { subscribe('/orders', $_) } @tenants;
    my @names = sort map { $_->{name} } $redis->clients;
    # Each process of prefork has its own.
    my $processes = vars('mpm') eq 'prefork' ? (() = $httpd->children) : 1;
    cmp_ok(scalar(grep { $_ eq 'ragline-watcher' } @names), '<=', $processes,
        'one connection reads 50 keys');
    cmp_ok(scalar(grep { $_ eq 'ragline-changes' } @names), '<=', $processes, 'one is told of changes');
    is(scalar(grep { $_ eq 'ragline-reader' } @names), 0, 'none waits in XREAD');
    $redis->client->config_resetstat;
    my $before = $redis->client->info('commandstats');
    for my $round (1 .. 3) {
        add($tenants[$_], 'orders', $round) for 0 .. $#tenants;
        $streams[$_]->wait(sub { own($_[0]) >= $round }) for 0 .. $#tenants;
    }
    is(join(',', map { numbers($_) } @streams), join(',', ('1 2 3') x 50), 'all events came');
    my ($calls) = ($redis->client->info('commandstats')->{cmdstat_xread} // '') =~ /calls=(\d+)/;
    cmp_ok($calls, '<=', 50 * 3 * 2, 'a key is read when it was changed, not otherwise');
    cmp_ok($calls, '>=', 50, 'and it was XREAD that read it');
    $_->close for @streams;
}

# --- trouble ----------------------------------------------------------------------------------------

{
    my $tenant = unique();
    my $stream = subscribe('/orders', $tenant);
    add($tenant, 'orders', 1);
    wait_numbers($stream, 1);
    for my $name ('ragline-watcher', 'ragline-changes') {
        my ($before) = numbers($stream) =~ /(\d+)$/;
        my ($victim) = grep { $_->{name} eq $name } $redis->clients;
        $redis->client->client('kill', 'id', $victim->{id});
        add($tenant, 'orders', $before + $_) for 1 .. 3;
        is(wait_numbers($stream, $before + 3), join(' ', 1 .. $before + 3),
            "$name cut: nothing is lost");
    }
    $redis->stop('KILL');
    $redis->start_again;
    add($tenant, 'orders', 8);
    is(wait_numbers($stream, 8), join(' ', 1 .. 8), 'Redis killed and back: nothing is lost');

    $redis->client->del("own:$tenant:orders");
    ok($stream->take('reset'), 'the key is deleted: reset');
    add($tenant, 'orders', 9);
    is(wait_numbers($stream, 9), join(' ', 1 .. 9), 'and events go on');
    $redis->client->flushall;
    ok($stream->wait(sub { 2 == grep { $_->{event} eq 'reset' } $_[0]->events }), 'FLUSHALL: reset');
    add($tenant, 'orders', 10);
    is(wait_numbers($stream, 10), join(' ', 1 .. 10), 'and events go on');
    is(join(' ', map { json_of($_->{data})->{reason} } grep { $_->{event} eq 'reset' } $stream->events),
        'redis_reset redis_reset', 'and it is said why');

    my $other = unique();
    $redis->client->set("own:$other:orders", 'not a stream');
    my $odd = subscribe('/orders', $other);
    add($tenant, 'orders', 11);
    is(wait_numbers($stream, 11), join(' ', 1 .. 11), 'a key that is no stream harms nobody else');
    $redis->client->del("own:$other:orders");
    add($other, 'orders', 1);
    is(wait_numbers($odd, 1), '1', 'and is read once it is one');
    $_->close for $stream, $odd;
}

# --- a Redis that does not tell ---------------------------------------------------------------------

{
    my $tenant = unique();
    $redis->client->acl('setuser', 'mute', 'on', '>pw', '~own:*', '+@all', '-client|tracking', '&*');
    my $deaf = Ragline::Httpd->new(name => 'deaf',
        conf => conf($redis->url =~ s{unix://}{unix://mute:pw@}r))->start;
    my $stream = $deaf->stream('/orders', token => token($tenant, 1));
    $stream->connected;
    add($tenant, 'orders', $_) for 1 .. 5;
    is(wait_numbers($stream, 5), '1 2 3 4 5', 'without tracking: events come all the same');
    $redis->client->del("own:$tenant:orders");
    ok($stream->take('reset'), 'without tracking: a deleted key is noticed');
    add($tenant, 'orders', 6);
    is(wait_numbers($stream, 6), '1 2 3 4 5 6', 'and events go on');
    like($deaf->error_log, qr/RS0222: .*once a second.*client\|tracking/,
        'and the log says what is missing');
    $stream->close;
    $deaf->stop;
}

done_testing();
