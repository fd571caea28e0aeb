# SPDX-License-Identifier: Apache-2.0
#
# Redis dies, hangs, refuses, or holds what it should not: open streams stay open, delivery goes on by
# itself, nothing is lost that Redis kept.
#
# Modes: tenant
# Modes if full: group ndjson tenant+group
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes ();

use Ragline::Httpd ();
use Ragline::Proc qw(freeze stop_pid);
use Ragline::Redis ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'trouble', args => ['--appendfsync', 'always']);
my %key = map { $_ => stream_key('trouble', $_) } qw(one two big);

sub conf
{
    my (%with) = @_;
    return join('', "RaglineRedis @{[ $redis->url ]}\nRaglineDrain 0\n", $with{auth} // '',
        (map { "RaglineStream $_ $key{$_}\n" } sort keys %key),
        "<Location /ragline-stats>\nSetHandler ragline-stats\nRequire local\n</Location>\n",
        bearer_location('/one', 'RaglineSubscribe one', 'RaglineHeartbeat 1s'),
        bearer_location('/both', 'RaglineSubscribe one two', 'RaglineHeartbeat 1s'),
        bearer_location('/big', 'RaglineSubscribe big', 'RaglineHeartbeat 1s'));
}

my $httpd = Ragline::Httpd->new(name => 'main', conf => conf())->start;

# Comes again when it is told to: not every connection to Redis is back at the same moment.
sub open_stream
{
    my ($path, $tenant, @more) = @_;
    my $stream;
    wait_until(sub {
        $stream = $httpd->stream($path, token => token($tenant, 1), @more);
        $stream->connected;
    });
    return $stream;
}

sub recovery { return $_[0]->recovery }

sub add
{
    my ($tenant, $from, $to, $key, @more) = @_;
    return map { $redis->xadd($key // $key{one}, tenant_id => $tenant, event_type => 'n',
        payload => $_, @more) } $from .. $to;
}

sub numbers { return join ' ', map { $_->{data} } grep { $_->{event} eq 'n' } $_[0]->events }

sub has_all
{
    my ($name, $n, @streams) = @_;
    my $want = join ' ', 1 .. $n;
    ok(Ragline::SSE->wait_all(\@streams, sub { numbers($_[0]) eq $want }, 30),
        "$name: delivery goes on, nothing lost, nothing twice")
        or diag(map { numbers($_) . "\n" } @streams);
    is(scalar(grep { $_->ended } @streams), 0, "$name: no stream has ended");
    my @told = map { $_->{data} } grep { $_->{event} =~ /^(?:reset|error)$/ }
        map { $_->events } @streams;
    is("@told", '', "$name: and nobody was frightened");
    return;
}

# Both streams get heartbeats although Redis does not answer.
sub heartbeats
{
    my ($name, @streams) = @_;
    my %had = map { $_ => scalar(grep { $_->{event} eq 'heartbeat' } $_->events) } @streams;
    ok(Ragline::SSE->wait_all(\@streams, sub {
        (grep { $_->{event} eq 'heartbeat' } $_[0]->events) >= $had{ $_[0] } + 2 }),
        "$name: heartbeats go on");
    return;
}

# A connection that comes now is told to come again, and not refused.
sub sent_away
{
    my ($name, $seconds, @more) = @_;
    my $began = Time::HiRes::time();
    my $stream = $httpd->stream('/one', token => token(unique(), 1), @more);
    is($stream->wait_end, 'eof', "$name: a new connection ends");
    cmp_ok(Time::HiRes::time() - $began, '<', $seconds, "$name: soon");
    is($stream->status, 200, "$name: with 200");
    is($stream->header('content-type'), Ragline::SSE::media_type(), "$name: as a stream");
    ok(defined $stream->retry, "$name: with retry:");
    my ($error) = grep { $_->{event} eq 'error' } $stream->events;
    is($error && json_of($error->{data})->{code}, 'redis_unavailable', "$name: and says why");
    is(scalar(grep { $_->{event} eq 'connected' } $stream->events), 0,
        "$name: it never promised anything");
    return;
}

# --- killed, stopped ----------------------------------------------------------------------------

for my $how ('KILL', 'TERM') {
    my $tenant = unique();
    my @streams = map { open_stream($_, $tenant) } '/one', '/both';
    add($tenant, 1, 5);
    Ragline::SSE->wait_all(\@streams, sub { numbers($_[0]) =~ /5$/ });
    my $id = $streams[0]->last_event_id;
    $redis->stop($how);
    heartbeats($how, @streams);
    sent_away($how, 10);
    sent_away("$how, with an id", 10, last_event_id => $id);
    $redis->start_again;
    my $back = Time::HiRes::time();
    add($tenant, 6, 10);
    has_all($how, 10, @streams);
    cmp_ok(Time::HiRes::time() - $back, '<', 5, "$how: soon after Redis is back");
    my $again = open_stream('/one', $tenant, last_event_id => $id);
    is($again->came_back('n', 10), 'resumed 6 7 8 9 10', "$how: and resuming works");
    $_->close for @streams, $again;
}

# --- hanging ------------------------------------------------------------------------------------

for my $seconds (2, full() ? 12 : again() ? () : 8) {
    my $name = "$seconds s without an answer";
    my $tenant = unique();
    my @streams = map { open_stream($_, $tenant) } '/one', '/both';
    add($tenant, 1, 5);
    Ragline::SSE->wait_all(\@streams, sub { numbers($_[0]) =~ /5$/ });
    my $id = $streams[0]->last_event_id;
    freeze($redis->pid);
    my $until = Time::HiRes::time() + $seconds;
    heartbeats($name, @streams);
    # One that comes back meanwhile gets what it wants later, or is told to come again.
    my $again = $httpd->stream('/one', token => token($tenant, 1), last_event_id => '1-0');
    Ragline::SSE::pump(0.1) while Time::HiRes::time() < $until;
    kill('CONT', $redis->pid);
    add($tenant, 6, 10);
    has_all($name, 10, @streams);
    ok($again->wait(sub { $_[0]->ended || $_[0]->events && recovery($_[0]) ne '' }),
        "$name: one that came meanwhile has its answer");
    $_->close for @streams, $again;
}

# --- connections cut, also in the middle of a reply ------------------------------------------------

{
    my $tenant = unique();
    my @streams = map { open_stream($_, $tenant) } '/one', '/both';
    my $n = 0;
    my $key = key_of($key{one}, $tenant);
    for my $round (1 .. 10) {
        my $load = join ' ', map { $n++; "XADD $key * tenant_id $tenant event_type n payload $n\r\n" }
            1 .. 300;
        my $socket = IO::Socket::UNIX->new(Peer => $redis->socket_path);
        syswrite($socket, $load =~ s/\n /\n/gr);
        Time::HiRes::sleep(rand(0.05));
        for my $client (grep { ($_->{name} // '') =~ /^ragline/ } $redis->clients) {
            $redis->client->client('kill', 'id', $client->{id});
        }
        Ragline::SSE::pump(0.02) for 1 .. 10;
        close($socket);
    }
    my $kept = join ' ', map { my %field = @{ $_->[1] }; $field{payload} }
        grep { my %field = @{ $_->[1] }; $field{tenant_id} eq $tenant }
        $redis->client->xrange($key, '-', '+');
    ok(Ragline::SSE->wait_all(\@streams, sub { numbers($_[0]) eq $kept }),
        'connections cut while entries come: nothing lost, nothing twice');
    is(scalar(grep { $_->ended } @streams), 0, 'and no stream has ended');
    $_->close for @streams;
}

# --- a key that is something else, an entry that is too large -----------------------------------------

{
    my $tenant = unique();
    my @streams = map { open_stream($_, $tenant) } '/one', '/both';
    add($tenant, 1, 3);
    Ragline::SSE->wait_all(\@streams, sub { numbers($_[0]) =~ /3$/ });
    my $two = key_of($key{two}, $tenant);
    $redis->client->set($two, 'no stream');
    $redis->client->client('kill', 'type', 'normal', 'skipme', 'yes');
    add($tenant, 4, 6);
    has_all('a key that is no stream', 6, @streams);
    ok(wait_until(sub { $httpd->error_log =~ /RS0(?:202|511): .*\Q$two\E/ }), 'the log names the key');
    my $new = open_stream('/both', $tenant);
    # Of several processes one may not have moved the group's position yet.
    like(recovery($new), mode('group') ? qr/^(?:new|resumed)$/ : qr/^new$/, 'new connections are taken');
    $new->close;
    my $restarted = Ragline::Httpd->new(name => 'wrong', conf => conf())->start;
    my $back = $restarted->stream('/both', token => token($tenant, 1),
        last_event_id => ($streams[1]->events)[1]{id});
    $back->connected;
    like(recovery($back), qr/^(?:reset|resumed)/, 'one that comes back is not sent away for ever')
        or diag($back->body);
    ok($back->wait(sub { numbers($_[0]) =~ /5 6$/ || recovery($_[0]) =~ /^reset/ }),
        'it gets what the others hold, or is told');
    $back->close;
    $restarted->stop;
    $redis->client->del($two);
    add($tenant, 7, 7);
    ok(wait_until(sub {
        Ragline::SSE::pump(0.05);
        $redis->xadd($key{two}, tenant_id => $tenant, event_type => 'two', payload => '{}');
        grep { $_->{event} eq 'two' } $streams[1]->events
    }, 30, 0.2), 'it is read when it is a stream again');
    has_all('after that', 7, @streams);
    $_->close for @streams;
}

{
    my $tenant = unique();
    my $stream = open_stream('/big', $tenant);
    my $other = open_stream('/one', $tenant);
    add($tenant, 1, 1, $key{big});
    $redis->xadd($key{big}, tenant_id => $tenant, event_type => 'huge', payload => 'x' x 8_000_000);
    add($tenant, 2, 2, $key{big});
    add($tenant, 1, 1);
    ok($stream->wait(sub { numbers($_[0]) eq '1 2' }), 'an entry of 8 MB does not stop its stream');
    ok($other->wait(sub { numbers($_[0]) eq '1' }), 'nor others');
    is(scalar(grep { $_->{event} eq 'huge' } $stream->events), 0, 'it is not delivered');
    my ($told) = grep { $_->{event} eq 'reset' } $stream->events;
    is($told && json_of($told->{data})->{reason}, 'too_big', 'and its reader is told');
    is(stats_stream(stats($httpd), 'big')->{skipped}{too_big}, 1, 'it is counted');
    my $again = open_stream('/big', $tenant, last_event_id => ($stream->events)[1]{id});
    is($again->came_back('n', 2), 'resumed 2', 'nor does it stop a replay');
    $_->close for $stream, $other, $again;
}

# --- it does not let us in ------------------------------------------------------------------------

{
    my $tenant = unique();
    my @streams = map { open_stream($_, $tenant) } '/one', '/both';
    add($tenant, 1, 3);
    Ragline::SSE->wait_all(\@streams, sub { numbers($_[0]) =~ /3$/ });
    my $id = $streams[0]->last_event_id;
    my $client = $redis->client;

    # Commands that resuming needs are missing: not a word of being resumed then.
    $client->acl('setuser', 'default', '-xrevrange', '-xrange');
    $httpd->stop;
    $httpd->start;
    @streams = map { open_stream($_, $tenant) } '/one', '/both';
    my $again = $httpd->stream('/one', token => token($tenant, 1), last_event_id => '1-0');
    $again->wait(sub { $_[0]->ended || $_[0]->events });
    unlike(recovery($again), qr/resumed/, 'who may not read history does not say `resumed`');
    $again->close;
    $client->acl('setuser', 'default', '+@all');

    $client->config('set', 'requirepass', 'secret');
    $client->auth('secret');
    $client->client('kill', 'type', 'normal', 'skipme', 'yes');
    heartbeats('a password that is not ours', @streams);
    sent_away('a password that is not ours', 10);
    unlike($httpd->error_log, qr/secret(?!:)/, 'no password is in the log');
    add($tenant, 4, 6);
    $client->config('set', 'requirepass', '');
    $client->acl('setuser', 'default', 'nopass');
    ok(Ragline::SSE->wait_all(\@streams, sub { numbers($_[0]) eq '4 5 6' }),
        'when it lets us in, what came meanwhile is delivered') or diag(map { numbers($_) } @streams);
    $_->close for @streams;
}

# --- it loads its data --------------------------------------------------------------------------------

{
    my $tenant = unique();
    my @streams = map { open_stream($_, $tenant) } '/one', '/both';
    add($tenant, 1, 5);
    Ragline::SSE->wait_all(\@streams, sub { numbers($_[0]) =~ /5$/ });
    my $id = ($streams[0]->events)[1]{id};
    # Loading takes a while then: this many microseconds for each of these keys.
    $redis->client->eval("for i = 1, 100000 do redis.call('set', 'load:' .. i, i) end return 1", 0);
    $redis->client->bgrewriteaof;
    wait_until(sub { $redis->client->info->{aof_rewrite_in_progress} == 0 });
    push @{ $redis->{args} }, '--key-load-delay', 50, '--loading-process-events-interval-bytes', 1024;
    $redis->stop('KILL');
    my $loader = Ragline::Proc::spawn("$redis->{dir}/log", $redis->server_binary, '--port', 0,
        '--unixsocket', $redis->{socket}, '--unixsocketperm', '777', '--dir', $redis->{dir},
        '--appendonly', 'yes', '--save', '', @{ $redis->{args} });
    $redis->{pid} = $loader;
    my $ping = sub { $redis->{client} = undef; eval { $redis->client->get('x'); 1 } };
    my ($loading, %verdict) = (0);
    wait_until(sub { $ping->() || ($@ // '') =~ /LOADING/ });
    my $loaded = wait_until(sub {
        my $pong = $ping->();
        $loading++ if !$pong && $@ =~ /LOADING/;
        my $again = $httpd->stream('/one', token => token($tenant, 1), last_event_id => $id);
        $again->wait(sub { $_[0]->ended || $_[0]->events });
        $verdict{ recovery($again) || 'sent away' }++;
        $again->close;
        $pong
    }, 60, 0.2);
    ok($loaded, 'Redis has loaded its data') or diag(Ragline::Proc::slurp("$redis->{dir}/log"));
    cmp_ok($loading, '>', 0, 'which took a while');
    is_deeply([grep { !/^(?:resumed|sent away)$/ } keys %verdict], [], 'nobody was told otherwise');
    add($tenant, 6, 10);
    has_all('-LOADING', 10, @streams);
    my $again = open_stream('/one', $tenant, last_event_id => $id);
    is($again->came_back('n', 10), 'resumed 2 3 4 5 6 7 8 9 10', 'resuming works again');
    $_->close for @streams, $again;
}

$httpd->stop;
unlike($httpd->error_log, qr/exit signal|AH00046/, 'nobody crashed or had to be killed');
done_testing();
