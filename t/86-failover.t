# SPDX-License-Identifier: Apache-2.0
#
# A failover that somebody asked for. The old master lives, and for ten seconds more it says that it
# is one: whoever stays with it reads and writes what nobody else will ever see.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes ();

use Ragline::HTTP ();
use Ragline::Httpd ();
use Ragline::Proc qw(freeze);
use Ragline::Redis ();
use Ragline::Sentinel ();
use Ragline::Test;

my $NAME = $Ragline::Sentinel::NAME;
# The sentinels' word counts within a second; so slow is no machine that the tests run on.
my $SOON = 6 * ($ENV{RAGLINE_TEST_SLOW} || 1);
my $count = 0;

sub conf
{
    my ($redis, @endpoints) = @_;
    return join("\n", "RaglineRedis $redis", 'RaglineDrain 0', 'RaglineStream one failover:one',
        'RaglineStream own failover:{tenant}:own', '<Location /publish>', 'SetHandler ragline-publish',
        'RaglinePublish one own', jwt_conf(), '</Location>', '') . join '', @endpoints;
}

my @streams_of = map { bearer_location("/$_", "RaglineSubscribe $_", 'RaglineHeartbeat 1s') } 'one', 'own';

# One event; when it was acknowledged, or undef.
sub publish
{
    my ($httpd, $tenant, $stream, $n) = @_;
    my $id = $n % 2 ? qq(,"event_id":"e$n") : '';
    my $response = $httpd->request(method => 'POST', path => '/publish', token => token($tenant, 1),
        headers => ['Content-Type' => 'application/json'],
        body => qq({"stream":"$stream","event_type":"n","payload":$n$id}));
    return $response->status == 201 ? Time::HiRes::time() : undef;
}

# Publishes to each stream at each httpd until $done->(), and once more after that. Returns
# {stream => {n => when}} of what was acknowledged.
sub publish_until
{
    my ($done, $tenant, @httpds) = @_;
    my (%when, $over);
    wait_until(sub {
        $over = $done->();
        for my $httpd (@httpds) {
            for my $stream ('one', 'own') {
                my $at = publish($httpd, $tenant, $stream, ++$count);
                $when{$stream}{$count} = $at if $at;
            }
        }
        Ragline::SSE::pump(0.01);
        $over
    }, 60) or fail('it takes too long');
    return \%when;
}

# The numbers that a server holds.
sub held
{
    my ($redis, $tenant) = @_;
    my %held;
    delete $redis->{client}; # sentinels cut all connections of a server whose role they change
    for my $stream ('one', 'own') {
        my $key = $stream eq 'one' ? 'failover:one' : "failover:$tenant:own";
        my %field = map { $_->[0] => { @{ $_->[1] } } } @{ $redis->client->xrange($key, '-', '+') };
        $held{$stream}{ $_->{payload} } = 1 for values %field;
    }
    return \%held;
}

# What was acknowledged and is not there: at most what was while the word was on its way.
sub lost_in_time
{
    my ($name, $when, $held, $word) = @_;
    my @late;
    for my $stream (sort keys %$when) {
        push @late, map { sprintf '%s %d: %.2f s after it', $stream, $_, $when->{$stream}{$_} - $word }
            grep { !$held->{$stream}{$_} && $when->{$stream}{$_} > $word + $SOON } keys %{ $when->{$stream} };
    }
    is(join("\n", @late), '', "$name: what is acknowledged after the sentinels' word is kept");
    return;
}

# --- two that say they are the master ---------------------------------------------------------------

{
    my ($one, $two) = Ragline::Sentinel->redis_pair(name => 'both');
    my $sentinel = Ragline::Sentinel->pretend(name => 'both')->names($one);
    my $url = $sentinel->url . " master=$NAME";
    my $reads = Ragline::Httpd->new(name => 'reads', children => 2, conf => conf($url, @streams_of))->start;
    # Without a stream to read.
    my $writes = Ragline::Httpd->new(name => 'writes', conf => conf($url))->start;
    my $tenant = unique();
    my @streams = map { $reads->stream($_, token => token($tenant, 1)) } ('/one', '/own') x 4;
    $_->connected for @streams;
    my $before = publish_until(sub { 1 }, $tenant, $reads, $writes);
    Ragline::Sentinel::in_sync($one, $two);
    for my $redis ($two, $one) {
        my $other = $redis == $two ? $one : $two;
        my $name = $redis == $two ? 'there' : 'and back';
        # Nobody closes a connection, and both take everything.
        $redis->client->replicaof('no', 'one');
        my $from = $count;
        $sentinel->names($redis);
        my $word = Time::HiRes::time();
        my $when = publish_until(sub {
            my $held = held($redis, $tenant);
            # Through each of the two httpds, to each stream.
            (grep { $_ > $from } keys %{ $held->{one} }) >= 8 && (grep { $_ > $from } keys %{ $held->{own} }) >= 8
        }, $tenant, $reads, $writes);
        my $held = held($redis, $tenant);
        lost_in_time($name, $when, $held, $word);
        my $stray = held($other, $tenant);
        my @late = grep { $held->{own}{$_} || $held->{one}{$_} } map { keys %$_ } values %$stray;
        is(scalar(grep { $_ > $from } @late), 0, "$name: nothing is in both");
        my $last = $count;
        $when = publish_until(sub { 1 }, $tenant, $reads, $writes);
        is(join(' ', map { scalar keys %{ $when->{$_} // {} } } 'one', 'own'), '2 2',
            "$name: both httpds go on publishing");
        $held = held($redis, $tenant);
        is(scalar(grep { !$held->{one}{$_} && !$held->{own}{$_} } $last + 1 .. $count), 0,
            "$name: to the new one");
        my @wanted = ((sort { $a <=> $b } keys %{ $when->{one} })[-1],
            (sort { $a <=> $b } keys %{ $when->{own} })[-1]);
        my $i = 0;
        for my $stream (@streams) {
            my $want = $wanted[$i++ % 2];
            ok($stream->wait(sub { grep { ($_->{data} // '') eq $want } $_[0]->events }, 60),
                "$name: streams are read from the new one");
        }
        is(scalar(grep { $_->ended } @streams), 0, "$name: none has ended");
        # For the way back.
        $other->client->replicaof('127.0.0.1', $redis->{port});
        Ragline::Sentinel::in_sync($redis, $other);
    }
    like($reads->error_log, qr/RS0201: .*the server 127\.0\.0\.1:$one->{port}: the sentinels name another master/,
        'the log says why');

    # A sentinel that does not answer is no reason to leave a master that does.
    freeze($sentinel->pid);
    ok(wait_until(sub {
        publish($_, $tenant, 'one', ++$count) or return 1 for $reads, $writes;
        $reads->error_log =~ /RS0455/ && $writes->error_log =~ /RS0455/
    }, 60), 'the sentinel hangs: that is logged');
    SKIP: {
        skip 'with prefork some process has no connection yet', 1 if vars('mpm') eq 'prefork';
        # As it does in the two children of the other one, but one of them may have no connection yet.
        is(scalar(grep { !publish($_, $tenant, 'one', ++$count) } ($writes) x 3), 0,
            'and publishing goes on');
    }
    kill('CONT', $sentinel->pid);
    ok(wait_until(sub { $reads->error_log =~ /RS0456/ && $writes->error_log =~ /RS0456/ }, 60),
        'it answers again: that is logged');
    freeze($sentinel->pid);
    $_->stop for $reads, $writes;
    kill('CONT', $sentinel->pid);
    unlike($reads->error_log . $writes->error_log, qr/exit signal|AH00046/,
        'children end although it hangs');
}

# --- SENTINEL FAILOVER ------------------------------------------------------------------------------

{
    my ($one, $two) = Ragline::Sentinel->redis_pair(name => 'planned');
    my $sentinel = Ragline::Sentinel->start(name => 'planned', master => $one);
    my $url = $sentinel->url . " master=$NAME";
    my @nodes = map { Ragline::Httpd->new(name => "node$_", conf => conf($url, @streams_of))->start } 1, 2;
    my $tenant = unique();
    my @streams = map { my $node = $_; map { $node->stream($_, token => token($tenant, 1)) } '/one', '/own' } @nodes;
    $_->connected for @streams;
    publish_until(sub { 1 }, $tenant, @nodes);
    Ragline::Sentinel::in_sync($one, $two);
    $sentinel->client->sentinel('failover', $NAME);
    my ($word, $demoted);
    my $when = publish_until(sub {
        $word //= Time::HiRes::time() if $sentinel->master_port == $two->{port};
        $demoted ||= Ragline::Sentinel::role($one) eq 'slave';
    }, $tenant, @nodes);
    ok($word && $demoted, 'it has failed over, and the old master is a replica');
    my $held = held($two, $tenant);
    lost_in_time('told to fail over', $when, $held, $word // 0);
    my $acknowledged = 0;
    my @lost;
    for my $stream (keys %$when) {
        $acknowledged += keys %{ $when->{$stream} };
        push @lost, map { $when->{$stream}{$_} - $word } grep { !$held->{$stream}{$_} } keys %{ $when->{$stream} };
    }
    note(sprintf '%d of %d acknowledged events are lost', scalar(@lost), $acknowledged);
    note(join ' ', map { sprintf '%.2f', $_ } sort { $a <=> $b } @lost);
    my $last = publish_until(sub { 1 }, $tenant, @nodes);
    for my $i (0 .. $#streams) {
        my $name = $i % 2 ? 'own' : 'one';
        my ($want) = sort { $b <=> $a } keys %{ $last->{$name} };
        ok($streams[$i]->wait(sub { grep { ($_->{data} // '') eq $want } $_[0]->events }, 60), 'streams go on');
        my %seen;
        $seen{ $_->{data} }++ for grep { $_->{event} eq 'n' } $streams[$i]->events;
        is(scalar(grep { $_ > 1 } values %seen), 0, 'nothing comes twice');
    }
    $_->stop for @nodes;
}

done_testing();
