# SPDX-License-Identifier: Apache-2.0
#
# Redis is there and says no: commands that it does not let us have, a replica, no memory left. Who
# waits for something that is refused is told so, what is not refused goes on, and the log names what
# is missing.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes ();

use Ragline::HTTP ();
use Ragline::Httpd ();
use Ragline::Redis ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'refuses', tcp => 1);
my %key = (one => 'refuses:one', two => 'refuses:two');

sub conf
{
    my ($url) = @_;
    return join('', "RaglineRedis $url\nRaglineDrain 0\nRaglineSendBuffer 65536\n",
        (map { "RaglineStream $_ $key{$_}\n" } sort keys %key),
        "<Location /ragline-health>\nSetHandler ragline-health\n</Location>\n",
        "<Location /ragline-stats>\nSetHandler ragline-stats\nRequire local\n</Location>\n",
        "<Location /publish>\nSetHandler ragline-publish\nRaglinePublish one\n" . jwt_conf()
            . "</Location>\n",
        bearer_location('/one', 'RaglineSubscribe one', 'RaglineHeartbeat 1s'),
        bearer_location('/both', 'RaglineSubscribe one two', 'RaglineHeartbeat 1s'));
}

my $httpd = Ragline::Httpd->new(name => 'main', conf => conf($redis->url))->start;

# With prefork one process may still be trying when another has Redis back, and sends a client away:
# it comes again.
sub open_stream
{
    my ($path, $tenant, @more) = @_;
    my $stream;
    wait_until(sub {
        $stream = $httpd->stream($path, token => token($tenant, 1), @more);
        $stream->connected || vars('mpm') ne 'prefork'
    }, 30, 0.2);
    return $stream;
}

sub add
{
    my ($tenant, @numbers) = @_;
    return map { $redis->xadd($key{one}, tenant_id => $tenant, event_type => 'n', payload => $_) }
        @numbers;
}

sub publish
{
    my ($of, $tenant, $event_id) = @_;
    my $more = defined $event_id ? qq(,"event_id":"$event_id") : '';
    return $of->request(method => 'POST', path => '/publish', token => token($tenant, 1),
        headers => ['Content-Type' => 'application/json'],
        body => qq({"stream":"one","event_type":"n","payload":"published"$more}));
}

sub numbers { return join ' ', map { $_->{data} } grep { $_->{event} eq 'n' } $_[0]->events }
sub count { return scalar grep { $_->{event} eq $_[1] } $_[0]->events }

sub recovery
{
    my ($first) = grep { $_->{event} eq 'connected' } $_[0]->events;
    my $json = $first ? json_of($first->{data}) : {};
    return join '/', grep { defined } @$json{qw(recovery reason)};
}

# The code of the event that ended it.
sub code
{
    my ($error) = grep { $_->{event} eq 'error' } $_[0]->events;
    return $error ? json_of($error->{data})->{code} : '';
}

sub sent_away
{
    my ($name, $stream) = @_;
    is($stream->wait_end, 'eof', "$name: ended");
    is($stream->status, 200, "$name: with 200");
    is(code($stream), 'redis_unavailable', "$name: it is told why");
    ok(defined $stream->retry, "$name: and when to come again");
    is(recovery($stream), '', "$name: nothing was promised");
    return;
}

sub heartbeats
{
    my ($name, @streams) = @_;
    my %had = map { $_ => count($_, 'heartbeat') } @streams;
    ok(Ragline::SSE->wait_all(\@streams, sub { count($_[0], 'heartbeat') >= $had{ $_[0] } + 2 }),
        "$name: open streams stay open with heartbeats");
    return;
}

# How many of its children read.
sub reading { return (stats($httpd)->{redis}[0] // {})->{children_reading} // -1 }

# What a person sees in the log, from a place on.
my $log_at = 0;
sub mark_log { $log_at = length $httpd->error_log; return }
sub new_log { return substr $httpd->error_log, $log_at }
sub children { return scalar(() = $httpd->children) }
sub log_lines { return scalar(() = new_log() =~ /\[ragline_stream:(?:notice|warn|error)\]/g) }

# ok if the log names the command (and Redis' own word for it) within a few lines. Each child says it.
sub log_names
{
    my ($name, $command, $lines) = @_;
    ok(wait_until(sub { new_log() =~ /NOPERM[^\n]*'\Q$command\E/i }), "$name: the log names $command")
        or diag(new_log());
    cmp_ok(log_lines(), '<=', $lines * children(), "$name: in a few lines") or diag(new_log());
    return;
}

sub acl { return $redis->client->acl('setuser', 'default', @_) }

# How often anybody has logged in to it.
sub connections { return $redis->client->info('stats')->{total_connections_received} }

# --- XREAD, XINFO: nothing can be read -----------------------------------------------------------

for my $case (['xread', 'xread'], ['xinfo', 'xinfo']) {
    my ($command, $named) = @$case;
    my $tenant = unique();
    my @streams = map { open_stream($_, $tenant) } '/one', '/both';
    add($tenant, 1 .. 3);
    Ragline::SSE->wait_all(\@streams, sub { numbers($_[0]) =~ /3$/ });
    my $id = $streams[0]->last_event_id;
    mark_log();
    acl("-$command");
    # A read that is waiting already is answered.
    $redis->client->client('kill', 'type', 'normal', 'skipme', 'yes');
    ok(wait_until(sub { $httpd->request(path => '/ragline-health')->status == 503 && !reading() }),
        "$command: not ready");
    my $before = connections();
    my $began = Time::HiRes::time();
    add($tenant, 4 .. 5);
    heartbeats($command, @streams);
    my $wrong = grep {
        Ragline::SSE::pump(0.05);
        $httpd->request(path => '/ragline-health')->status == 200
    } 1 .. 40;
    is($wrong, 0, "$command: and is not ready for a moment now and then");
    sent_away("$command, a new connection", $httpd->stream('/one', token => token(unique(), 1)));
    sent_away("$command, with an id", $httpd->stream('/both', token => token($tenant, 1),
        last_event_id => '1-0'));
    my $seconds = Time::HiRes::time() - $began;
    cmp_ok(connections() - $before, '<=', (6 + 2.5 * $seconds) * children(),
        "$command: Redis is not asked all the time");
    log_names($command, $named, 2);
    acl('+@all');
    my $back = Time::HiRes::time();
    add($tenant, 6);
    ok(Ragline::SSE->wait_all(\@streams, sub { numbers($_[0]) eq '1 2 3 4 5 6' }),
        "$command allowed again: nothing is lost") or diag(map { numbers($_) . "\n" } @streams);
    cmp_ok(Time::HiRes::time() - $back, '<', 5, "$command allowed again: soon");
    is(scalar(grep { $_->ended || count($_, 'reset') } @streams), 0,
        "$command: nobody was told otherwise");
    my $again = open_stream('/one', $tenant, last_event_id => $id);
    is($again->came_back('n', 6), 'resumed 4 5 6', "$command: resuming works again");
    $_->close for @streams, $again;
}

# --- a key that we may not read ---------------------------------------------------------------------

{
    my $tenant = unique();
    mark_log();
    acl('resetkeys', "~$key{one}");
    $redis->client->client('kill', 'type', 'normal', 'skipme', 'yes');
    ok(wait_until(sub { new_log() =~ /RS0202: [^\n]*\Q$key{two}\E[^\n]*NOPERM/ }),
        'a key that may not be read: the log names it, and why') or diag(new_log());
    my @streams = map { open_stream($_, $tenant) } '/one', '/both';
    add($tenant, 1);
    ok(Ragline::SSE->wait_all(\@streams, sub { numbers($_[0]) eq '1' }), 'the others are read');
    acl('allkeys');
    ok(wait_until(sub {
        Ragline::SSE::pump(0.05);
        $redis->xadd($key{two}, tenant_id => $tenant, event_type => 'two', payload => '{}');
        count($streams[1], 'two')
    }, 30, 0.2), 'and it, too, once it may be');
    $_->close for @streams;
}

# --- CLIENT: only a name for people -------------------------------------------------------------

{
    my $tenant = unique();
    acl('-client');
    my $without = Ragline::Httpd->new(name => 'client', conf => conf($redis->url))->start;
    my @ids = add($tenant, 1 .. 2);
    my $stream = $without->stream('/one', token => token($tenant, 1), last_event_id => $ids[0]);
    ok($stream->connected && $stream->wait(sub { numbers($_[0]) eq '2' }),
        'without CLIENT it reads, live and what was before') or diag($stream->body);
    acl('+@all');
    $stream->close;
    $without->stop;
}

# --- XREVRANGE: no coming back -----------------------------------------------------------------------

{
    my $tenant = unique();
    my @ids = add($tenant, 1 .. 5);
    acl('-xrevrange');
    $httpd->stop;
    $httpd->start;
    mark_log();
    my @streams = map { open_stream($_, $tenant) } '/one', '/both';
    sent_away('xrevrange, coming back', $httpd->stream('/one', token => token($tenant, 1),
        last_event_id => $ids[1])) for 1 .. 3;
    log_names('xrevrange', 'xrevrange', 1);
    add($tenant, 6);
    ok(Ragline::SSE->wait_all(\@streams, sub { numbers($_[0]) eq '6' }),
        'xrevrange: what is live is live');
    acl('+@all');
    my $again = open_stream('/one', $tenant, last_event_id => $ids[1]);
    is($again->came_back('n', 6), 'resumed 3 4 5 6', 'xrevrange allowed again');
    $_->close for @streams, $again;
}

# --- XRANGE: a reader that has fallen behind waits -----------------------------------------------------

{
    my $tenant = unique();
    $httpd->stop; # a refusal is told once a minute
    $httpd->start;
    my $slow = Ragline::HTTP::connect_to(port => $httpd->port);
    syswrite($slow, Ragline::HTTP::request_bytes(port => $httpd->port, path => '/one',
        token => token($tenant, 1)));
    my $got = '';
    1 while $got !~ /^event: connected/m && sysread($slow, $got, 65536, length $got);
    my $stream = open_stream('/one', $tenant);
    my $fill = 'x' x 10_000;
    mark_log();
    acl('-xrange');
    # More than sockets and memory hold, and older than what is kept at any rate.
    for my $n (1 .. 2000) {
        $redis->xadd($key{one}, tenant_id => $tenant, event_type => 'n', payload => "$n $fill");
        Ragline::SSE::pump(0) if $n % 5 == 0;
    }
    ok($stream->wait(sub { count($_[0], 'n') == 2000 }), 'xrange: the others get everything');
    Ragline::SSE::pump(0.1) for 1 .. 30;
    add($tenant, 'the last');
    ok($stream->take(sub { $_[0]{data} eq 'the last' }), 'xrange: and go on');
    $slow->blocking(0);
    my $read = sub {
        while (sysread($slow, my $bytes, 262_144)) { $got .= $bytes }
        return new_log() =~ /xrange/i;
    };
    ok(wait_until($read), 'xrange: one that did not read is in need of it');
    log_names('xrange', 'xrange', 1);
    unlike($got, qr/^event: (?:error|reset)/m, 'xrange: it is neither ended nor told nonsense');
    cmp_ok(length($got), '<', 20_000_000, 'xrange: and does not have everything yet');
    acl('+@all');
    ok(wait_until(sub { $read->(); $got =~ /^data: the last$/m }), 'xrange allowed again: it has');
    my (@numbers, @wrong) = $got =~ /^data: (\d+) x/mg;
    @wrong = grep { $numbers[$_] != ($_ ? $numbers[$_ - 1] : 0) + 1 } 0 .. $#numbers;
    ok(@numbers == 2000 && !@wrong, 'all of it, in order, once')
        or diag(scalar(@numbers), ': ', join ', ', map { ($numbers[$_ - 1] // 0) . " $numbers[$_]" } @wrong);
    unlike($got, qr/^event: (?:error|reset)/m, 'and was never told otherwise');
    close($slow);
    $stream->close;
}

# --- no memory left ------------------------------------------------------------------------------------

{
    my $tenant = unique();
    my @streams = map { open_stream($_, $tenant) } '/one', '/both';
    add($tenant, 1 .. 3);
    Ragline::SSE->wait_all(\@streams, sub { numbers($_[0]) =~ /3$/ });
    my $id = ($streams[0]->events)[1]{id};
    $redis->client->config('set', 'maxmemory', 1);
    my $answer = publish($httpd, $tenant);
    is($answer->status, 503, 'OOM: publishing is 503');
    is($answer->json->{error}, 'redis_refused', 'as JSON, with a code');
    like($answer->json->{message} // '', qr/\(OOM\); nothing was written/, 'that says why, and what');
    is($answer->header('retry-after'), 1, 'and when to try again');
    like($httpd->error_log, qr/RS0472: [^\n]*OOM/, 'the log says so');
    heartbeats('OOM', @streams);
    my $new = open_stream('/one', $tenant, last_event_id => $id);
    is($new->came_back('n', 3), 'resumed 2 3', 'OOM: reading goes on');
    $redis->client->config('set', 'maxmemory', 0);
    is(publish($httpd, $tenant)->status, 201, 'OOM over: publishing works');
    ok(Ragline::SSE->wait_all([@streams, $new], sub { numbers($_[0]) =~ /3 "published"$/ }),
        'and arrives, without what was refused');
    $_->close for @streams, $new;
}

# --- a replica -----------------------------------------------------------------------------------------

{
    my $replica = Ragline::Redis->start(name => 'replica',
        args => ['--appendonly', 'no', '--replicaof', '127.0.0.1 ' . $redis->{port}]);
    ok(wait_until(sub { $replica->client->info->{master_link_status} eq 'up' }), 'a replica');
    my $of = Ragline::Httpd->new(name => 'replica', conf => conf($replica->url))->start;
    my $tenant = unique();
    my $stream = $of->stream('/one', token => token($tenant, 1));
    $stream->connected;
    my @ids = add($tenant, 1 .. 3);
    ok($stream->wait(sub { numbers($_[0]) eq '1 2 3' }), 'a replica can be read from');
    $of->stop;
    $of->start;
    my $again = $of->stream('/one', token => token($tenant, 1), last_event_id => $ids[0]);
    is($again->came_back('n', 3), 'resumed 2 3', 'also what is older');
    my $answer = publish($of, $tenant);
    is($answer->status, 503, 'READONLY: publishing is 503');
    is($answer->json->{error}, 'redis_refused', 'as JSON, with a code');
    like($answer->json->{message} // '', qr/\(READONLY\); nothing was written/, 'that says why');
    like($of->error_log, qr/RS0472: [^\n]*READONLY/, 'the log says so');
    add($tenant, 4);
    ok($again->wait(sub { numbers($_[0]) eq '2 3 4' }), 'its streams go on');
    # It becomes a master: the same connections, now with the right to write.
    $replica->client->replicaof('no', 'one');
    ok(wait_until(sub { publish($of, $tenant)->status == 201 }), 'a master again: publishing works');
    ok($again->wait(sub { numbers($_[0]) =~ /^2 3 4(?: "published")+$/ }), 'and arrives');
    # And a replica again, with connections from before: that an event was written is not its word.
    is(publish($of, $tenant, 'known')->status, 201, 'an event with an id');
    $replica->client->replicaof('127.0.0.1', 1);
    $answer = publish($of, $tenant, 'known');
    is($answer->status . ' ' . ($answer->json->{error} // ''), '503 redis_refused',
        'demoted: a known event_id is no answer');
    $replica->client->replicaof('no', 'one');
    ok(wait_until(sub { publish($of, $tenant, 'known')->body =~ /"duplicate":true/ }),
        'a master again: it is known');
    $again->close;
    $of->stop;
    unlike($of->error_log, qr/exit signal|AH00046/, 'nobody crashed');
    $replica->stop;
}

$httpd->stop;
unlike($httpd->error_log, qr/exit signal|AH00046/, 'nobody crashed or had to be killed');
done_testing();
