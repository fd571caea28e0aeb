# SPDX-License-Identifier: Apache-2.0
#
# Redis behind sentinels: the master dies, is replaced by a replica that has everything or less, or
# becomes a replica itself. Streams stay open and go on, publishing does, and what was lost is told.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;
use Time::HiRes ();

use Ragline::Httpd ();
use Ragline::Proc qw(free_port freeze);
use Ragline::Redis ();
use Ragline::Sentinel ();
use Ragline::Test;

my $NAME = $Ragline::Sentinel::NAME;

sub conf
{
    my ($redis, @more) = @_;
    return join("\n", "RaglineRedis $redis", @more, 'RaglineDrain 0',
        'RaglineStream one sentinel:one', 'RaglineStream own sentinel:{tenant}:own', '<Location /ragline-stats>', 'SetHandler ragline-stats',
        'Require local', '</Location>', '<Location /publish>', 'SetHandler ragline-publish',
        'RaglinePublish one own', jwt_conf(), '</Location>', '')
        . bearer_location('/one', 'RaglineSubscribe one', 'RaglineHeartbeat 1s')
        . bearer_location('/own', 'RaglineSubscribe own', 'RaglineHeartbeat 1s');
}

# As a browser does: a child that has not found the new master yet sends it away, to come again.
sub open_stream
{
    my ($httpd, $tenant, %more) = @_;
    my $path = delete $more{path} // '/one';
    my $stream;
    wait_until(sub {
        $stream->close if $stream;
        $stream = $httpd->stream($path, token => token($tenant, 1), %more);
        $stream->connected
    }, 60) or diag($stream->body);
    return $stream;
}

sub recovery { return $_[0]->recovery }

sub post
{
    my ($httpd, $tenant, $n, %more) = @_;
    return $httpd->request(method => 'POST', path => '/publish', token => token($tenant, 1),
        headers => ['Content-Type' => 'application/json'],
        body => JSON::PP::encode_json({ stream => 'one', event_type => 'n', payload => $n, %more }));
}

# Publishes each to both streams, as often as it takes: what is answered 503 was not written.
sub publish
{
    my ($name, $httpd, $tenant, $from, $to) = @_;
    my %status;
    for my $n (map { ([one => $_], [own => $_]) } $from .. $to) {
        my $good = wait_until(sub {
            my $status = post($httpd, $tenant, $n->[1], stream => $n->[0])->status;
            $status{$status}++;
            $status == 201
        }, 60, 0.1);
        ok($good, "$name: $n->[1] is published to $n->[0]");
    }
    is(join(' ', grep { !/^(?:201|503)$/ } keys %status), '', "$name: until then it is 503");
    return;
}

sub numbers { return join ' ', map { $_->{data} } grep { $_->{event} eq 'n' } $_[0]->events }
sub told { return join ' ', map { $_->{data} } grep { $_->{event} =~ /^(?:reset|error)$/ } $_[0]->events }

sub has
{
    my ($name, $want, @streams) = @_;
    ok(Ragline::SSE->wait_all(\@streams, sub { numbers($_[0]) eq $want }),
        "$name: delivery goes on, nothing lost, nothing twice")
        or diag(map { numbers($_) . "\n" } @streams);
    is(scalar(grep { $_->ended } @streams), 0, "$name: no stream has ended");
    return;
}

sub heartbeats
{
    my ($name, @streams) = @_;
    my %had = map { $_ => scalar(grep { $_->{event} eq 'heartbeat' } $_->events) } @streams;
    ok(Ragline::SSE->wait_all(\@streams, sub {
        $_[0]->ended || (grep { $_->{event} eq 'heartbeat' } $_[0]->events) >= $had{ $_[0] } + 2 }),
        "$name: heartbeats go on");
    is(scalar(grep { $_->ended } @streams), 0, "$name: streams stay open");
    return;
}

sub masters { return join ' ', @{ (stats($_[0])->{redis} // [{}])->[0]{masters} // [] } }

sub reads_from
{
    my ($name, $httpd, $redis) = @_;
    my $want = "127.0.0.1:$redis->{port}";
    ok(wait_until(sub { Ragline::SSE::pump(0.05); masters($httpd) eq $want }),
        "$name: statistics name the master") or diag(masters($httpd));
    return;
}

# --- killed; told to fail over -------------------------------------------------------------------

# Passwords everywhere: of the servers, of the sentinel, and a user that may do only what is needed.
{
    my ($one, $two) = Ragline::Sentinel->redis_pair(name => 'kill', password => 'of-the-servers',
        args => ['--user', 'ragline', 'on', '>of-ragline', '~*', '+@all', '-client', '-info']);
    my $sentinel = Ragline::Sentinel->start(name => 'kill', master => $one,
        password => 'of-the-sentinel');
    $ENV{RAGLINE_TEST_SENTINEL} = 'of-ragline';
    # One that is not there is the first to be asked: 127.0.0.1 is before localhost.
    my $absent = 'redis://127.0.0.1:' . free_port();
    my $httpd = Ragline::Httpd->new(name => 'kill', children => 2,
        conf => conf("$absent @{[ $sentinel->url('localhost') ]} master=$NAME",
            'RaglineRedisAuth ragline env:RAGLINE_TEST_SENTINEL'))->start;
    my $tenant = unique();
    my @streams = map { open_stream($httpd, $tenant, path => $_) } ('/one', '/own') x 3;
    publish('at first', $httpd, $tenant, 1, 5);
    has('at first', '1 2 3 4 5', @streams);
    reads_from('at first', $httpd, $one);
    my ($id) = map { $_->{id} } grep { $_->{event} eq "n" } $streams[0]->events;

    Ragline::Sentinel::in_sync($one, $two);
    $one->stop('KILL');
    heartbeats('killed', @streams);
    publish('killed', $httpd, $tenant, 6, 10);
    has('killed', join(' ', 1 .. 10), @streams);
    is(join('', map { told($_) } @streams), '', 'killed: nobody was frightened');
    reads_from('killed', $httpd, $two);
    my $again = open_stream($httpd, $tenant, last_event_id => $id);
    $again->take('caught_up');
    is(recovery($again) . ' ' . numbers($again), 'resumed 2 3 4 5 6 7 8 9 10',
        'killed: resuming works');
    $again->close;

    # The old master comes back and takes itself for one, until the sentinel has told it otherwise.
    $one->start_again;
    ok(wait_until(sub { Ragline::Sentinel::role($one) eq 'slave' }, 60),
        'the old master becomes a replica');
    Ragline::Sentinel::in_sync($two, $one);
    publish('after its return', $httpd, $tenant, 11, 12);
    has('after its return', join(' ', 1 .. 12), @streams);

    ok(wait_until(sub { $sentinel->knows_replica }, 60), 'the sentinel knows it as one');
    Ragline::Sentinel::in_sync($two, $one);
    ok(wait_until(sub { eval { $sentinel->client->sentinel('failover', $NAME) } }, 60),
        'the sentinel is told to fail over') or diag($@);
    ok(wait_until(sub {
        Ragline::SSE::pump(0.05);
        $sentinel->master_port == $one->{port}
            && Ragline::Sentinel::role($two) eq 'slave'
    }, 60), 'it has, and both servers live');
    publish('told to fail over', $httpd, $tenant, 13, 15);
    has('told to fail over', join(' ', 1 .. 15), @streams);
    is(join('', map { told($_) } @streams), '', 'told to fail over: nobody was frightened');
    reads_from('told to fail over', $httpd, $one);
    my $page = $httpd->request(path => '/ragline-stats')->body;
    $httpd->stop;
    unlike($page . $httpd->error_log, qr/of-(?:the-servers|the-sentinel|ragline)/,
        'no password is in the log or on the page');
    like($httpd->error_log, qr/RS1940: .*the master is 127\.0\.0\.1:$two->{port}/,
        'the log says which server is the master');
    unlike($httpd->error_log, qr/exit signal|AH00046/, 'nobody crashed or had to be killed');
}

# --- a replica that lags ---------------------------------------------------------------------------

{
    my ($one, $two) = Ragline::Sentinel->redis_pair(name => 'lag');
    my $sentinel = Ragline::Sentinel->start(name => 'lag', master => $one);
    my $httpd = Ragline::Httpd->new(name => 'lag',
        conf => conf($sentinel->url . " master=$NAME"))->start;
    my $tenant = unique();
    my @streams = map { open_stream($httpd, $tenant, path => $_) } '/one', '/own';
    publish('before', $httpd, $tenant, 1, 3);
    has('before', '1 2 3', @streams);
    my $kept = $streams[0]->last_event_id;
    Ragline::Sentinel::in_sync($one, $two);
    # What is sent to a stopped process waits for it: so its connection is cut as well.
    freeze($two->pid);
    $one->client->client('kill', 'type', 'replica');
    publish('while the replica hangs', $httpd, $tenant, 4, 6);
    has('while the replica hangs', '1 2 3 4 5 6', @streams);
    my $lost = $streams[0]->last_event_id;
    $one->stop('KILL');
    kill('CONT', $two->pid);
    ok(Ragline::SSE->wait_all(\@streams, sub { told($_[0]) ne '' || $_[0]->ended }, 60),
        'the replica has less: readers are told');
    for my $stream (@streams) {
        my ($reset) = grep { $_->{event} eq 'reset' } $stream->events;
        is($reset && json_of($reset->{data})->{reason}, 'redis_reset', 'with the reason');
    }
    ok(wait_until(sub { Ragline::Sentinel::role($two) eq 'master' }), 'for it is the master now');
    publish('lagging', $httpd, $tenant, 7, 9);
    has('lagging', join(' ', 1 .. 9), @streams);
    my $before = open_stream($httpd, $tenant, last_event_id => $kept);
    $before->wait(sub { numbers($_[0]) eq '7 8 9' });
    like(recovery($before) . ' ' . numbers($before), qr/^(?:resumed|reset\/redis_reset) 7 8 9$/,
        'who had only what was kept goes on');
    $httpd->stop;
    like($httpd->error_log, qr/RS0501: /, 'the log says so');
}

# --- sentinels that are wrong, hang, or know nothing -------------------------------------------------

{
    my ($one, $two) = Ragline::Sentinel->redis_pair(name => 'wrong');
    my $wrong = Ragline::Sentinel->pretend(name => 'wrong')->names($one);
    my $httpd = Ragline::Httpd->new(name => 'wrong',
        conf => conf($wrong->url . " master=$NAME"))->start;
    my $tenant = unique();
    my @streams = map { open_stream($httpd, $tenant, path => $_) } '/one', '/own';
    publish('at first', $httpd, $tenant, 1, 3);
    has('at first', '1 2 3', @streams);
    Ragline::Sentinel::in_sync($one, $two);

    # By hand, so that nobody closes the connections of workers: they find out by READONLY.
    $two->client->replicaof('no', 'one');
    $one->client->replicaof('127.0.0.1', $two->{port});
    $wrong->names($two);
    # What it refuses here is a script's command, and the bare command below.
    my $response = post($httpd, $tenant, 4, event_id => 'four');
    is($response->status, 201, 'a server that writes no more: another one is asked for at once')
        or diag($response->body);
    is(post($httpd, $tenant, 4, stream => 'own')->status, 201, 'and goes on being used');
    has('demoted', '1 2 3 4', @streams);
    reads_from('demoted', $httpd, $two);
    publish('demoted', $httpd, $tenant, 5, 5);
    has('demoted', '1 2 3 4 5', @streams);

    # Back, while the sentinel still names the one that is a replica now. Whoever has a connection
    # to the other one from before may go on using it: so nobody has.
    Ragline::Sentinel::in_sync($two, $one);
    $one->client->replicaof('no', 'one');
    $two->client->replicaof('127.0.0.1', $one->{port});
    $_->client->client('kill', 'type', 'normal', 'skipme', 'yes') for $one, $two;
    $response = post($httpd, $tenant, 6, event_id => 'six');
    is($response->status, 503, 'an old answer of a sentinel is not believed');
    is(($response->json // {})->{error}, 'redis_unavailable', 'and nothing was written');
    heartbeats('an old answer', @streams);
    my $new = $httpd->stream('/one', token => token($tenant, 1));
    is($new->wait_end, 'eof', 'an old answer: a new stream is told to come again');
    like($new->body, qr/redis_unavailable/, 'with the code');
    $wrong->names($one);
    ok(wait_until(sub { post($httpd, $tenant, 6, event_id => 'six')->status == 201 }),
        'when the sentinel knows, publishing goes on');
    is(post($httpd, $tenant, 6, event_id => 'six')->json->{duplicate}, JSON::PP::true(),
        'and the event was written once');
    post($httpd, $tenant, 6, stream => 'own');
    has('back', '1 2 3 4 5 6', @streams);
    is(join('', map { told($_) } @streams), '', 'back: nobody was frightened');
    reads_from('back', $httpd, $one);
    publish('back', $httpd, $tenant, 7, 7);
    Ragline::Sentinel::in_sync($one, $two);
    $two->client->replicaof('no', 'one');
    $one->client->replicaof('127.0.0.1', $two->{port});
    $wrong->names($two);
    is(post($httpd, $tenant, 8)->status, 201, 'demoted again: without an id, too');
    publish('demoted again', $httpd, $tenant, 9, 9);
    ok($streams[0]->wait(sub { numbers($_[0]) eq join(' ', 1 .. 9) }), 'demoted again: delivered');
    Ragline::Sentinel::in_sync($two, $one);
    $httpd->stop;
    like($httpd->error_log, qr/RS0201: .*127\.0\.0\.1:$one->{port}/, 'the log names the server')
        or diag($httpd->log_tail);

    # Two of three hang or know nothing.
    my $hangs = Ragline::Sentinel->pretend(name => 'hangs');
    my $ignorant = Ragline::Sentinel->pretend(name => 'ignorant');
    freeze($hangs->pid);
    $httpd->write_conf(conf(join ' ', $hangs->url, $ignorant->url, $wrong->url('localhost'),
        "master=$NAME"));
    $httpd->start;
    my $stream = open_stream($httpd, $tenant);
    is(recovery($stream), 'new', 'the sentinel that knows is found');
    ok(wait_until(sub { post($httpd, $tenant, 10)->status == 201 }), 'by workers, too');
    has('three sentinels', '10', $stream);
    $httpd->stop;
    kill('CONT', $hangs->pid);

    # None knows it.
    my $nothing = Ragline::Httpd->new(name => 'nothing',
        conf => conf($ignorant->url . " master=$NAME"))->start;
    is(post($nothing, $tenant, 11)->status, 503, 'a name that sentinels do not know: 503');
    ok(wait_until(sub { $nothing->error_log =~ /RS0201: .*knows no master of this name: see master=/ }),
        'and the log says where to look');
    ok($ignorant->asked > 0, 'it was asked');
    $nothing->stop;
}

done_testing();
