# SPDX-License-Identifier: Apache-2.0
#
# Streams that keep their worker: why is said, how many is bounded and shown, and they end with their
# child like all others.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(free_port);
use Ragline::Redis ();
use Ragline::Stock ();
use Ragline::Test;

my $redis = redis_a();
my $key = unique('ragline:pumps');
my $token = token('t', 1);
my $prefork = vars('mpm') eq 'prefork';

sub common
{
    my ($of) = @_;
    return <<"EOF";
RaglineRedis @{[ ($of // $redis)->url ]}
RaglineStream orders $key
RaglineDrain 1s
Timeout 300
<Location /ragline-stats>
    SetHandler ragline-stats
    Require local
</Location>
EOF
}

sub location
{
    my ($path, @directives) = @_;
    return bearer_location($path, 'RaglineSubscribe orders', 'RaglineRetry 1s', @directives);
}

sub lines
{
    my ($httpd, $what) = @_;
    return grep { /$what/ } split /\n/, $httpd->error_log;
}

# The code of the error event if the stream is refused, '' if it is open.
sub refused
{
    my ($stream) = @_;
    my $first = $stream->take(sub { 1 }) // { event => 'nothing', data => '{}' };
    return $first->{event} eq 'connected' ? '' : json_of($first->{data})->{code} // $first->{event};
}

my $certificate = certificate('localhost');

# A host with TLS; its configuration and its port.
sub tls_host
{
    my ($name, @conf) = @_;
    my $port = free_port();
    return (join("\n", "Listen 127.0.0.1:$port", "<VirtualHost *:$port>", 'ServerName localhost',
        'SSLEngine on', "SSLCertificateFile $certificate.pem",
        "SSLCertificateKeyFile $certificate.key", @conf, '</VirtualHost>', ''), $port);
}

# --- why ----------------------------------------------------------------------------------------

{
    my ($tls, $tls_port) = tls_host('why');
    my $httpd = Ragline::Httpd->new(name => 'why', loglevel => 'warn ragline_stream:info',
        conf => common() . location('/stream', 'RaglineHandoff explain') . location('/quiet')
            . location('/off', 'RaglineHandoff off')
            . location('/limited', 'RaglineHandoff explain', 'SetOutputFilter RATE_LIMIT',
                'SetEnv rate-limit 400') . "SSLSessionCache none\n$tls")->start;
    my %of = (port => $httpd->port, token => $token);
    my @streams = map { Ragline::SSE->open(%of, %$_) } { path => '/stream' }, { path => '/quiet' },
        { path => '/limited' }, { path => '/stream', port => $tls_port, tls => 1 };
    $_->connected for @streams;
    is(join('|', map { join ',', $_->comments } @streams),
        ': handed over||: keeps a worker: filter rate_limit|: handed over',
        'RaglineHandoff explain: a comment says what became of the stream');
    like($streams[2]->body, qr/\A: keeps a worker: filter rate_limit\nretry: \d+\nevent: connected\n/,
        'before anything else');
    push @streams, map { Ragline::SSE->open(%of, path => '/off') } 1 .. 3;
    $_->connected for @streams[4 .. 6];
    my $stats = stats($httpd);
    is_deeply($stats->{pumps}{by_cause}, { 'RaglineHandoff off' => { open => 3, opened => 3 },
        'filter rate_limit' => { open => 1, opened => 1 } },
        'the statistics say what keeps how many');
    is($stats->{pumps}{open}, 4, 'four in all');
    $_->close for @streams;
    ok(wait_until(sub { stats($httpd)->{pumps}{open} == 0 }), 'none when they are gone');
    is(stats($httpd)->{pumps}{by_cause}{'filter rate_limit'}{opened}, 1, 'those of before stay counted');
    for my $cause ('filter rate_limit', 'RaglineHandoff off') {
        my @said = lines($httpd, qr/RS0732: a stream keeps its worker: \Q$cause\E/);
        $prefork ? cmp_ok(scalar(@said), '>=', 1, "the log names $cause")
            : is(scalar(@said), 1, "the log names $cause, once");
    }
    $httpd->stop;
}

# --- refused ------------------------------------------------------------------------------------

SKIP: {
    skip 'prefork has many children with a worker each', 1 if $prefork;
    my $own = Ragline::Redis->start(name => 'refused');
    my $httpd = Ragline::Httpd->new(name => 'refused', threads => 8,
        conf => "RaglineMaxPumps 2\nRaglineMaxConnections 4\n" . common($own) . location('/stream')
            . location('/off', 'RaglineHandoff off'))->start;
    my @pumps = map { $httpd->stream('/off', token => $token) } 1 .. 2;
    is(refused($_), '', 'a stream that keeps a worker') for @pumps;
    is(refused($httpd->stream('/off', token => $token)), 'over_limit', 'RaglineMaxPumps') for 1 .. 3;
    my @streams = map { $httpd->stream('/stream', token => $token) } 1 .. 2;
    is(refused($_), '', 'a stream') for @streams;
    is(refused($httpd->stream('/stream', token => $token)), 'over_limit', 'RaglineMaxConnections')
        for 1 .. 2;
    my $stats = stats($httpd);
    is_deeply([@{ $stats->{pumps} }{qw(open limit)}], [2, 2], 'the statistics know the limit');
    is_deeply($stats->{refused}, { max_connections => 2, max_pumps => 3, full_child => 0, http2_connection => 0,
        tenant_limit => 0, user_limit => 0, redis_unavailable => 0, unavailable => 0, draining => 0 }, 'and count who was refused');
    my @said = lines($httpd, 'RS0741');
    is(scalar(@said), 2, 'the log says once that it begins, for each limit') or diag(@said);
    like($said[0], qr/max_pumps: 2 of 2 in all children are open, in this one: RaglineHandoff off 2; see/,
        'what is full, and of what');
    like($said[1], qr/max_connections: raise RaglineMaxConnections/, 'what to do');
    $_->close for @pumps, @streams;
    ok(wait_until(sub { lines($httpd, 'RS0742') == 2 }, 60), 'and that it is over');
    @said = sort map { /RS0742: (.*)/ } lines($httpd, 'RS0742');
    is($said[0], 'streams are not refused any more, max_connections: 2 were', 'how many were refused');
    is($said[1], 'streams are not refused any more, max_pumps: 3 were', 'of each');

    # Two children with four places each, and nobody chooses the child.
    my $two = Ragline::Httpd->new(name => 'two', children => 2, threads => 8, conf => "RaglineMaxConnections 4\n"
        . common() . location('/stream'))->start;
    ok(wait_until(sub { @{ stats($two)->{children} } == 2 }), 'two children');
    my (@open, @full);
    my $come = sub {
        my $stream = $two->stream('/stream', token => $token);
        push @{ refused($stream) ? \@full : \@open }, $stream;
    };
    ok(wait_until(sub { $come->(); @open == 8 }), 'who is refused by one that is full finds a place in the other');
    ok(wait_until(sub {
        (pop @open)->close;
        open_count_becomes($two, 7, 'one leaves');
        wait_until(sub { $come->(); @open == 8 });
        @full;
    }), 'after a full one was met');
    is(join(' ', grep { $_->retry != 300 } @full), '', 'told to come again at once');
    is($two->stream('/stream', token => $token)->connected // '', '', 'one more has no place in either');
    $stats = stats($two);
    is($stats->{refused}{full_child}, scalar(@full), 'the statistics know the difference');
    is($stats->{refused}{max_connections}, 1, 'to a server that is full');
    @said = lines($two, 'RS0741');
    is(scalar(@said), 1, 'of which alone the log speaks') or diag(@said);
    $_->close for @open;
    $two->stop;

    $own->stop;
    ok(wait_until(sub { stats($httpd)->{redis}[0]{state} eq 'down' }), 'Redis is down');
    is(refused($httpd->stream('/stream', token => $token)), 'redis_unavailable', 'refused');
    is(stats($httpd)->{refused}{redis_unavailable}, 1, 'counted');
    is(scalar(lines($httpd, 'RS0201')), 1, 'said, as ever');
    $httpd->stop;
}

# --- pages find a worker, with Debian's own numbers ---------------------------------------------

SKIP: {
    skip 'with the MPM that Debian installs', 1 if vars('mpm') ne 'event';
    skip "Debian's packages are not here: run ./check", 1 if !Ragline::Stock::packages();
    my ($tls, $port) = tls_host('stock', "RaglineRedis @{[ $redis->url ]}", "RaglineStream orders $key",
        location('/stream', 'RaglineHandoff off'));
    my $httpd = Ragline::Stock->new(name => 'debian', modules => ['ssl'], conf => "RaglineDrain 1s\n$tls",
        host => common() =~ s/^RaglineDrain.*\n//mr)->start;
    ok(wait_until(sub { my @children = $httpd->children; @children == 2 }), 'two children to begin with');
    my $limit = stats($httpd)->{pumps}{limit};
    is($limit, 75, 'half of the workers that there may be');

    # As EventSource does: who is refused comes again. Pages meanwhile: they hang if no worker is left.
    my ($tries, @streams) = 0;
    my $deadline = time + Ragline::Proc::limit(120);
    while (@streams < $limit && time < $deadline) {
        my $missing = $limit - @streams;
        my @new = map { Ragline::SSE->open(port => $port, path => '/stream', tls => 1,
            token => $token) } 1 .. ($missing < 10 ? $missing : 10);
        $tries += @new;
        push @streams, grep { refused($_) eq '' } @new;
        is($httpd->request(path => '/ragline-stats')->status, 200, @streams . ' streams, a page');
        select(undef, undef, undef, 0.3) if @streams < $limit;
    }
    is(scalar(@streams), $limit, "$limit streams over TLS, each with a worker")
        or diag(explain(stats($httpd)));
    note("$tries tries");
    is(stats($httpd)->{pumps}{by_cause}{'RaglineHandoff off'}{open}, $limit, 'they are there');
    is(refused(Ragline::SSE->open(port => $port, path => '/stream', tls => 1, token => $token)),
        'over_limit', 'one more is refused');
    # As many pages at a time as httpd promises: it keeps MinSpareThreads idle.
    my @pages = map { Ragline::HTTP::connect_to(port => $httpd->port) } 1 .. 25;
    syswrite($_, "GET /ragline-stats HTTP/1.0\r\n\r\n") for @pages;
    my $answer;
    is(scalar(grep { sysread($_, $answer, 100) && $answer =~ /^HTTP\S+ 200/ } @pages), 25,
        'and 25 pages at once are answered');
    unlike($httpd->error_log, qr/AH00484|AH10159/, 'httpd had workers left all the time');
    my $id = $redis->xadd($key, tenant_id => 't', event_type => 'hello', payload => '{}');
    is(($streams[0]->take('hello') // {})->{id}, $id, 'streams live');
    Ragline::SSE->close_all(@streams);
    ok(wait_until(sub { stats($httpd)->{pumps}{open} == 0 }), 'all workers are free again');
    $httpd->stop;
}

# --- their end ----------------------------------------------------------------------------------

# A client that reads no more while there is much to come: its worker waits within a write.
sub stuck
{
    my ($httpd, $port) = @_;
    my $socket = Ragline::HTTP::connect_to(port => $port, tls => 1);
    syswrite($socket, Ragline::HTTP::request_bytes(port => $port, path => '/stream', token => $token));
    my $answer = '';
    while ($answer !~ /^event: connected/m) { sysread($socket, $answer, 4096, length $answer) or last }
    $redis->xadd_many($key, map { [tenant_id => 't', event_type => 'big', payload => '"' . 'x' x 60_000
        . '"'] } 1 .. 100);
    ok(wait_until(sub { stats($httpd)->{pumps}{open} == 1 && stats_stream(stats($httpd), 'orders')
        ->{delivered} > 0 }), 'a client that does not read');
    return $socket;
}

for my $how ('graceful', 'graceful-stop', 'stop') {
    last if $prefork;
    # httpd's own race: it closes sockets that its workers have.
    next if $how eq 'stop' && ($ENV{RAGLINE_TEST_SANITIZE} // '') eq 'thread';
    my ($tls, $port) = tls_host($how);
    my $httpd = Ragline::Httpd->new(name => "stuck-$how",
        conf => common() . location('/stream', 'RaglineHandoff off', 'RaglineHeartbeat 1s') . "SSLSessionCache none\n$tls")->start;
    my $socket = stuck($httpd, $port);
    if ($how eq 'graceful') {
        ok($httpd->graceful, 'graceful: the child of before is gone, long before Timeout');
        $httpd->stop;
    }
    else {
        my ($status, $output) = $httpd->control($how);
        is($status, 0, $how) or diag($output);
        is($httpd->stop(0), 0, "$how: httpd ends, long before Timeout");
    }
    unlike($httpd->error_log, qr/exit signal|AH00046|RS0402/, "$how: nobody had to be killed");
    close($socket);
}

done_testing();
