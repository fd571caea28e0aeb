# SPDX-License-Identifier: Apache-2.0
#
# Streams over TLS leave their worker, with the session that mod_ssl has opened: whatever a client may
# do with it then. What cannot leave says why, and works.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(fd_count free_port limit run_command slurp spawn spew stop_pid);
use Ragline::Test;
use Ragline::TLS ();

my $redis = redis_a();
my $key = unique('ragline:tls');
my $token = token('t', 1);
my $dir = vars('run_dir');
my $prefork = vars('mpm') eq 'prefork';

my %file = map { $_ => certificate($_) } qw(localhost other.example visitor);
$file{large} = certificate('large', '-addext', 'nsComment=' . 'x' x 40_000);

sub host
{
    my ($port, $name, @conf) = @_;
    return join("\n", "<VirtualHost *:$port>", "ServerName $name", 'SSLEngine on',
        "SSLCertificateFile $file{$name}.pem", "SSLCertificateKeyFile $file{$name}.key", @conf,
        '</VirtualHost>', '');
}

# An httpd with TLS; what is said for its host, and for all.
sub start
{
    my ($name, %r) = @_;
    my $port = free_port();
    my $httpd = Ragline::Httpd->new(name => $name, threads => 8, loglevel => 'warn ragline_stream:info',
        %{ $r{args} // {} }, conf => <<"EOT"
Listen 127.0.0.1:$port
SSLSessionCache @{[ $r{cache} // 'none' ]}
RaglineRedis @{[ $redis->url ]}
RaglineStream orders $key
RaglineDrain 2s
Timeout 300
<Location /ragline-stats>
    SetHandler ragline-stats
    Require local
</Location>
@{[ $r{conf} // '' ]}
EOT
        . bearer_location('/stream', 'RaglineSubscribe orders', 'RaglineRetry 1s', 'RaglineHandoff explain')
        . bearer_location('/beats', 'RaglineSubscribe orders', 'RaglineHeartbeat 1s')
        . host($port, 'localhost', @{ $r{host} // [] }) . ($r{hosts} ? $r{hosts}->($port) : ''))->start;
    $httpd->{tls_port} = $port;
    return $httpd;
}

sub open_tls
{
    my ($httpd, %r) = @_;
    return Ragline::SSE->open(port => $httpd->{tls_port}, path => '/stream', token => $token, tls => 1, %r);
}

# Memory in our hands: Ragline::TLS, with the request for a stream as one record that is not sent yet.
sub raw
{
    my ($httpd, %r) = @_;
    my $tls = Ragline::TLS->new(port => $httpd->{tls_port}, %r);
    $tls->record(request(%r));
    return $tls;
}

sub request
{
    my (%r) = @_;
    return Ragline::HTTP::request_bytes(port => 443, host => $r{sni} // 'localhost', path => $r{path} // '/stream', token => $token,
        headers => [Accept => 'text/event-stream']);
}

sub publish
{
    my ($type, $payload, $tenant) = @_;
    return $redis->xadd($key, tenant_id => $tenant // 't', event_type => $type, payload => $payload // '{}');
}

sub none_is_pumped
{
    my ($httpd, $name) = @_;
    is_deeply(stats($httpd)->{pumps}{by_cause}, {}, $name // 'no worker was kept');
    return;
}

my $serial = 0;

# An event comes over this client of Ragline::TLS.
sub lives
{
    my ($tls, $name) = @_;
    my $type = 'n' . ++$serial;
    my $id = publish($type);
    return ok($tls->read_until(qr/^event: $type\ndata: \{\}\nid: \Q$id\E\n\n/m), $name)
        || diag("ended: " . ($tls->{ended} // 'no'), substr($tls->{in}, -500));
}

# --- as a browser has it ------------------------------------------------------------------------

# Keys of tickets that outlive a restart.
my $tickets = spew("$dir/tls-$$-tickets", join '', map { chr int rand 256 } 1 .. 48);
my $httpd = start('main', cache => 'shmcb:@ROOT@/sessions(262144)',
    host => ["SSLSessionTicketKeyFile $tickets"]);

{
    my $log = "$dir/tls-$$-curl";
    my $curl = spawn($log, 'curl', '-sNk', '--http1.1', '--tlsv1.3', '-D', '-', '-H',
        "Authorization: Bearer $token", "https://localhost:$httpd->{tls_port}/stream");
    ok(wait_until(sub { slurp($log) =~ /^event: connected/m }), 'curl has a stream') or diag(slurp($log));
    like(slurp($log), qr/^: handed over$/m, 'that was handed over');
    is($httpd->status->{BusyWorkers}, 1, 'no worker is busy with it');
    my @ids = map { publish('curl', "{\"n\":$_}") } 1 .. 20;
    ok(wait_until(sub { () = slurp($log) =~ /^event: curl$/mg; slurp($log) =~ /^data: \{"n":20\}$/m }), 'its events');
    is(join(' ', slurp($log) =~ /^event: curl\ndata: .*\nid: (\S+)$/mg), "@ids", 'in order, once');
    stop_pid($curl);
    open_count_becomes($httpd, 0, 'its end is noticed');
}

for my $version (1.2, 1.3) {
    for my $wire (qw(sse ndjson)) {
        my @streams = map { open_tls($httpd, wire => $wire, token => token("$wire$version-$_", 1),
            version => $version) } 0 .. 9;
        ok(Ragline::SSE->wait_all(\@streams, sub { $_[0]->events }), "ten of $wire over TLS $version");
        my @ids = $redis->xadd_many($key, map { [tenant_id => "$wire$version-" . $_ % 10, event_type => 'many',
            payload => "{\"n\":$_,\"pad\":\"" . 'x' x (500 * ($_ % 7)) . '"}'] } 0 .. 4999);
        ok(Ragline::SSE->wait_all(\@streams, sub { (grep { $_->{event} eq 'many' } $_[0]->events) >= 500 }),
            'each gets 500 events');
        my @wrong = grep { my $i = $_; has_ids(grep { $_->{event} eq 'many' } $streams[$i]->events)
            ne join ' ', map { $ids[$_] } grep { $_ % 10 == $i } 0 .. 4999 } 0 .. 9;
        is("@wrong", '', 'its own, in order, once');
        my $large = publish('large', '"' . 'y' x 300_000 . '"', "$wire$version-0");
        is(($streams[0]->take('large') // {})->{id}, $large, 'also one of many records');
        Ragline::SSE->close_all(@streams);
    }
}
none_is_pumped($httpd, 'none of them kept a worker');
open_count_becomes($httpd, 0, 'their ends are noticed');

# --- pieces -------------------------------------------------------------------------------------

{
    my $tls = Ragline::TLS->new(port => $httpd->{tls_port});
    $tls->record($_) for split //, request() . 'x' x 500;
    $tls->send;
    ok($tls->read_until(qr/^: handed over$/m), 'a request in records of one byte, and more behind it') or diag($tls->{in});
    lives($tls, 'a stream');
    $tls->record($_) for split //, 'y' x 500;
    $tls->send;
    lives($tls, 'that minds nothing of what a client sends');
    $tls->record('z' x 16_384) for 1 .. 50;
    $tls->send;
    lives($tls, 'however much');

    # What comes later begins in what httpd has read already.
    $tls = raw($httpd);
    my $whole = length $tls->{out};
    $tls->record('z' x 3000);
    $tls->send($whole + 700);
    ok($tls->read_until(qr/^: handed over$/m), 'half a record behind the request');
    $tls->send;
    lives($tls, 'is put together');

    # One byte at a time over the wire.
    $tls = raw($httpd);
    while (length $tls->{out}) {
        $tls->send(1);
        select(undef, undef, undef, 0.001) if length($tls->{out}) % 50 == 0;
    }
    ok($tls->read_until(qr/^: handed over$/m), 'a request that comes byte by byte');
    $tls->record('later');
    while (length $tls->{out}) { $tls->send(1) }
    lives($tls, 'as does what is behind it');
    none_is_pumped($httpd);

    # Keep-alive, then the stream.
    $tls = Ragline::TLS->new(port => $httpd->{tls_port});
    for my $round (1 .. 3) {
        $tls->record("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        $tls->send;
        ok($tls->read_until(qr/(?:front page\n.*){$round}/s), "page $round");
    }
    $tls->record(request());
    $tls->send;
    ok($tls->read_until(qr/^: handed over$/m), 'and a stream on the same connection');
    lives($tls, 'lives');

    # Cut at each boundary of records, and within.
    for my $cut (0 .. 12) {
        my $cutting = raw($httpd);
        my $n = length $cutting->{out};
        $cutting->record('more') for 1 .. 3;
        my $each = (length($cutting->{out}) - $n) / 3;
        $cutting->send($n + int($each * $cut / 4));
        $cutting->read_until(qr/^event: connected/m) or diag($cutting->{in});
        $cutting->close($cut % 2 ? 'reset' : '');
    }
    lives($tls, 'others end anywhere');
    $tls->close;
}
open_count_becomes($httpd, 0, 'all of them are gone');

{
    my $tls = raw($httpd);
    $tls->record('x' x 16_384) for 1 .. 20;
    $tls->send;
    ok($tls->read_until(qr/^: (?:handed over|keeps a worker: tls early bytes)$/m), 'a flood behind the request');
    lives($tls, 'which is a stream all the same');
}

# --- the client does something to its session ---------------------------------------------------

# s_client knows letters: K and k change keys, R negotiates again.
sub s_client
{
    my ($version, @options) = @_;
    my $log = "$dir/tls-$$-s_client-" . ++$serial;
    spew($log, '');
    my $pid = open(my $in, '|-') // die "fork: $!\n";
    if (!$pid) {
        open(STDOUT, '>>', $log);
        open(STDERR, '>&', \*STDOUT);
        exec('openssl', 's_client', '-connect', "127.0.0.1:$httpd->{tls_port}", '-servername', 'localhost',
            '-tls' . $version =~ s/\./_/r, @options);
    }
    $in->autoflush(1);
    ok(wait_until(sub { slurp($log) =~ /^(?:---|\s+Verify return code|Post-Handshake)/m }), "s_client, TLS $version")
        or diag(slurp($log));
    return ($in, $log);
}

sub s_lives
{
    my ($log, $name) = @_;
    my $type = 'n' . ++$serial;
    publish($type);
    return ok(wait_until(sub { slurp($log) =~ /^event: $type$/m }), $name) || diag(substr(slurp($log), -1500));
}

{
    my ($in, $log) = s_client(1.3);
    syswrite($in, request());
    ok(wait_until(sub { slurp($log) =~ /^: handed over$/m }), 'a stream') or diag(slurp($log));
    for my $round (1 .. 3) {
        for my $letter (qw(k K K)) {
            syswrite($in, "$letter\n");
            s_lives($log, "changed keys ($letter), $round");
        }
    }
    for (1 .. 40) {
        syswrite($in, "K\n");
        select(undef, undef, undef, 0.01);
    }
    s_lives($log, 'changed keys again and again');
    close($in);

    for my $round (1 .. 5) {
        ($in, $log) = s_client(1.3);
        syswrite($in, request());
        select(undef, undef, undef, 0.0004 * $round);
        syswrite($in, "K\n");
        ok(wait_until(sub { slurp($log) =~ /^: handed over$/m }), 'keys that change right behind a request') or diag(slurp($log));
        s_lives($log, 'do no harm');
        close($in);
    }

    ($in, $log) = s_client(1.2);
    syswrite($in, request());
    ok(wait_until(sub { slurp($log) =~ /^: handed over$/m }), 'a stream') or diag(slurp($log));
    syswrite($in, "R\n");
    ok(wait_until(sub { slurp($log) =~ /no renegotiation/ }), 'a client wants to negotiate again, and may not');
    close($in);
    unlike($httpd->error_log, qr/exit signal|RS072/, 'nothing has happened to the server');
}
open_count_becomes($httpd, 0, 'all of them are gone');

# --- ends ---------------------------------------------------------------------------------------

{
    # 24 clients, each way of leaving.
    my $fds;
    for my $round (1 .. 2) {
        my @tls = map { my $tls = raw($httpd, version => $_ % 2 ? 1.2 : 1.3); $tls->send; $tls } 1 .. 24;
        is(scalar(grep { $_->read_until(qr/^event: connected/m) } @tls), 24, "24 streams, $round");
        for my $i (0 .. $#tls) {
            if ($i % 4 == 0) { $tls[$i]->close }
            elsif ($i % 4 == 1) { $tls[$i]->close('reset') }
            else { $tls[$i]->goodbye; $tls[$i]->send }
        }
        my @said = grep { $tls[$_]->read_until(qr/\A(?!)/) || $tls[$_]{ended} eq 'notified' } grep { $_ % 4 > 1 } 0 .. 23;
        is(scalar(@said), 12, 'who says goodbye is answered');
        open_count_becomes($httpd, 0, 'all ends are noticed');
        $_->close for @tls;
        my ($pid) = $httpd->children;
        $fds //= fd_count($pid);
        ok(wait_until(sub { fd_count($pid) <= $fds }), 'no descriptor is left behind') if !$prefork;
    }
}

# A session outlives the stream that it was made for, however that ended.
for my $case (['1.3, a ticket', 1.3, 1], ['1.2, a ticket', 1.2, 1], ['1.2, the cache', 1.2, 0],
    ['1.3, the cache', 1.3, 0]) {
    my ($name, $version, $by_ticket) = @$case;
    my $own = $by_ticket ? $httpd : start('cache' . $version, cache => 'shmcb:@ROOT@/sessions(262144)',
        conf => 'SSLSessionTickets off');
    for my $how ('', 'reset', 'goodbye') {
        my $first = raw($own, version => $version);
        $first->send;
        $first->read_until(qr/^event: connected/m) or diag($first->{in});
        my $session = $first->session;
        ok($session && !$first->reused, "$name: a new session");
        $how eq 'goodbye' ? do { $first->goodbye; $first->send; $first->read_until(qr/\A(?!)/) } : $first->close($how);
        open_count_becomes($own, 0, "its stream ends ($how)");
        my $again = raw($own, version => $version, session => $session);
        $again->send;
        ok($again->read_until(qr/^: handed over$/m) && $again->reused, 'and is resumed, with a stream');
        lives($again, 'that lives');
        $again->close;
        open_count_becomes($own, 0, 'and ends');
    }
    $own->stop if $own != $httpd;
}

# --- a client that does not read ----------------------------------------------------------------

{
    my $busy = sub {
        my $sum = 0;
        $sum += $_->[11] + $_->[12] for map { [split / /, slurp("/proc/$_/stat") =~ s/.*\) //sr] } $httpd->children;
        return $sum;
    };
    my @stuck = map { my $tls = raw($httpd, version => $_ % 2 ? 1.2 : 1.3, path => '/beats'); $tls->send; $tls } 1 .. 10;
    $_->read_until(qr/^event: connected/m) for @stuck;
    my $reader = open_tls($httpd);
    $reader->connected;
    my @ids = $redis->xadd_many($key, map { [tenant_id => 't', event_type => 'much', payload => "{\"n\":$_,\"pad\":\""
        . 'x' x 20_000 . '"}'] } 1 .. 200);
    ok($reader->wait(sub { (grep { $_->{event} eq 'much' } $_[0]->events) == 200 }), 'one that reads has all');
    # They go on to send.
    for my $tls (@stuck) {
        $tls->record('x' x 16_000) for 1 .. 4;
        $tls->send;
    }
    my $before = $busy->();
    select(undef, undef, undef, 2);
    cmp_ok($busy->() - $before, '<', 40, 'ten that do not read cost no time') if !$ENV{RAGLINE_TEST_SANITIZE};
    for my $tls (@stuck) {
        ok($tls->read_until(qr/^id: \Q$ids[-1]\E$/m), 'one reads again') or diag($tls->{ended}, length $tls->{in});
        is(join(' ', $tls->{in} =~ /^event: much\ndata: .*\nid: (\S+)$/mg), "@ids", 'and has all, in order, once');
    }
    lives($_, 'and goes on') for @stuck[0, 1];
    $reader->close;
}

# --- a graceful restart -------------------------------------------------------------------------

{
    # With the worker MPM mod_ssl resumes no session, of pages either, across the first restart of all.
    ok($httpd->graceful, 'a restart without streams');
    my @tls = map { my $tls = raw($httpd, version => $_ % 2 ? 1.2 : 1.3); $tls->send; $tls } 1 .. 60;
    is(scalar(grep { $_->read_until(qr/^event: connected/m) } @tls), 60, '60 streams');
    my %session = map { $_ => $tls[$_]->session } 0 .. $#tls;
    my %old = map { $_ => 1 } $httpd->children;
    # Each does what makes OpenSSL call something, while the child of before ends.
    my ($in, $log) = s_client(1.3);
    syswrite($in, request());
    ok(wait_until(sub { slurp($log) =~ /^: handed over$/m }), 'and one that changes keys');
    is(($httpd->control('graceful'))[0], 0, 'graceful');
    for (1 .. 10) { syswrite($in, "K\n"); select(undef, undef, undef, 0.01) }
    my @told = grep { $_->read_until(qr/"code":"draining"/) } @tls;
    is(scalar(@told), 60, 'each is told to come back');
    is(scalar(grep { $_->read_until(qr/\A(?!)/) || $_->{ended} eq 'notified' } @tls), 60, 'and that it is over');
    $_->close for @tls;
    close($in);
    ok(wait_until(sub { !grep { $old{$_} } $httpd->children }, 60), 'the child of before is gone');
    my @again = map { my $tls = raw($httpd, version => $_ % 2 ? 1.3 : 1.2, session => $session{$_}); $tls->send; $tls } 0 .. 9;
    is(scalar(grep { $_->read_until(qr/^: handed over$/m) } @again), 10, 'ten come back');
    is(scalar(grep { $_->reused } @again), 10, 'with their sessions');
    lives($again[0], 'and live');
    $_->close for @again;
}

$httpd->stop;
unlike($httpd->error_log, qr/exit signal|AH00046|RS072[1234]/, 'nothing was out of the ordinary');

# --- certificates of clients, hosts by name -----------------------------------------------------

{
    # All that mod_ssl could be called for is switched on. (Only a log of that name may show requests.)
    my $own = start('clients-trace', args => { loglevel => 'warn ragline_stream:info ssl:trace7' }, hosts => sub { host($_[0], 'other.example', "SSLCACertificateFile $file{visitor}.pem",
        'SSLVerifyClient optional') }, host => ["SSLCACertificateFile $file{visitor}.pem",
        "SSLCertificateChainFile $file{localhost}.pem", 'SSLUseStapling on', 'SSLStaplingForceURL http://127.0.0.1:9/',
        'SSLStaplingReturnResponderErrors on'], conf => "SSLStaplingCache shmcb:\@ROOT\@/stapling(65536)\n"
        . "LogFormat \"%{SSL_PROTOCOL}x %{SSL_CLIENT_S_DN_CN}x %U\" who\nCustomLog \@ROOT\@/who who\n" . bearer_location('/known', 'RaglineSubscribe orders', 'RaglineHandoff explain', 'SSLVerifyClient require',
            'SSLVerifyDepth 1'));
    for my $version (1.2, 1.3) {
        my $tls = raw($own, version => $version, path => '/known', cert => $file{visitor});
        $tls->send;
        ok($tls->read_until(qr/^: handed over$/m), "TLS $version: a location asks for a certificate")
            or diag($tls->{ended}, $tls->{in});
        lives($tls, 'the stream lives');
        $tls->close;
        for my $host (qw(localhost other.example)) {
            $tls = raw($own, version => $version, sni => $host, $host eq 'localhost' ? () : (cert => $file{visitor}));
            is($tls->peer, $host, "TLS $version: $host");
            $tls->send;
            ok($tls->read_until(qr/^: handed over$/m), 'a stream') or diag($tls->{ended}, $tls->{in});
            lives($tls, 'that lives');
        }
    }
    none_is_pumped($own, 'no worker was kept');
    like(slurp($own->root . '/who'), qr{^TLSv1\.2 visitor /known\n(?:.*\n)*TLSv1\.3 visitor /known$}m,
        'the access log knows the session');
    $own->stop;
    unlike($own->error_log, qr/exit signal|RS072[1234]/, 'nothing was out of the ordinary');
}

# What mod_ssl has of a client's certificate ends with the connection, as if that were httpd's still.
SKIP: {
    skip 'a sanitizer keeps what was freed', 3 if $ENV{RAGLINE_TEST_SANITIZE};
    skip 'prefork has many children', 3 if $prefork;
    my $own = start('large', host => ["SSLCACertificateFile $file{large}.pem", 'SSLVerifyClient require',
        'SSLSessionTickets off']);
    my @kib;
    for my $n (1 .. 120) {
        my $tls = raw($own, cert => $file{large});
        $tls->send;
        $tls->read_until(qr/^: handed over/m) or diag($tls->{ended}, $tls->{in});
        $tls->close;
        next if $n % 60;
        open_count_becomes($own, 0, 'they are gone');
        my ($pid) = $own->children;
        push @kib, slurp("/proc/$pid/status") =~ /^VmRSS:\s+(\d+)/m;
    }
    cmp_ok($kib[1] - $kib[0], '<', 1500, 'sixty large certificates leave nothing behind') or diag("@kib");
    $own->stop;
}

# --- what keeps its worker ----------------------------------------------------------------------

{
    local $ENV{SSLKEYLOGFILE} = spew("$dir/tls-$$-keys", '');
    my $own = start('keylog');
    my $tls = raw($own);
    $tls->send;
    ok($tls->read_until(qr/^: keeps a worker: tls keylog$/m), 'where keys are logged') or diag($tls->{in});
    lives($tls, 'a stream lives');
    $tls->close;
    like($own->error_log, qr/RS0732: a stream keeps its worker: tls keylog/, 'which the log says');
    open_count_becomes($own, 0, 'it ends');
    $own->stop;
}

# mod_ssl as it is not, see strange_ssl.c.
my $strange = "$dir/tls-$$-strange.so";
my ($built, $output) = run_command('cc', '-shared', '-fPIC', '-o', $strange,
    "$ENV{RAGLINE_TEST_SRCDIR}/t/strange_ssl.c", '-ldl');
is($built, 0, 'a library to preload') or diag($output);

for my $case (['library', 'tls library', 'RS0722: mod_ssl uses another OpenSSL library'],
    ['module', 'tls module', 'RS0724: the TLS of this connection is not mod_ssl'],
    ['used', 'tls mod_ssl', 'RS0723: mod_ssl used a session']) {
    my ($how, $cause, $said) = @$case;
    last if $ENV{RAGLINE_TEST_SANITIZE}; # which is preloaded itself
    last if $prefork && $how ne 'library'; # each child finds out for itself
    local @ENV{qw(LD_PRELOAD RAGLINE_STRANGE)} = ($strange, $how);
    my $own = start("strange-$how");
    if ($how eq 'used') {
        my $tls = raw($own);
        $tls->send;
        ok(!$tls->read_until(qr/^event:/m), "$how: the stream is cut") or diag($tls->{in});
        open_count_becomes($own, 0, 'and forgotten');
    }
    my @tls = map { my $tls = raw($own); $tls->send; $tls } 1 .. 3;
    is(scalar(grep { $_->read_until(qr/^: keeps a worker: \Q$cause\E$/m) } @tls), 3, "$how: three streams")
        or diag(map { "$_->{ended}: $_->{in}" } @tls);
    lives($_, 'one lives') for @tls;
    my $log = $own->error_log;
    is(scalar(() = $log =~ /\Q$said\E/g), 1, 'the log says why, once') or diag($log);
    $_->close for @tls;
    open_count_becomes($own, 0, 'they end');
    $own->stop;
    unlike($own->error_log, qr/exit signal/, 'nothing has happened to the server');
}

done_testing();
