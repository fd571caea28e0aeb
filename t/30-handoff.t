# SPDX-License-Identifier: Apache-2.0
#
# An open stream costs httpd nothing: a thousand of them on four threads. What cannot be handed
# over keeps its worker and works all the same: HTTP/2, foreign filters. (TLS: 35-tls.t)
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use IO::Socket::INET ();
use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(spawn stop_pid slurp);
use Ragline::Test;

my $redis = redis_a();
my $key = unique('ragline:handoff');
my $common = <<"EOF";
RaglineRedis @{[ $redis->url ]}
RaglineStream orders $key
RaglineDrain 1s
<Location /ragline-stats>
    SetHandler ragline-stats
    Require local
</Location>
EOF

sub publish
{
    my ($tenant, $type) = @_;
    return $redis->xadd($key, tenant_id => $tenant, event_type => $type, payload => '{}');
}

# --- 1,000 streams on 4 threads -----------------------------------------------------------------

{
    my $n = 1000;
    my $httpd = Ragline::Httpd->new(name => 'small', threads => 4, conf => $common
        . bearer_location('/stream', 'RaglineSubscribe orders', 'RaglineHeartbeat off'))->start;
    my %args = (port => $httpd->port, path => '/stream');

    # One first, so that everything a child opens once is open.
    my $first = Ragline::SSE->open(%args, token => token('t', 0));
    $first->connected;
    $first->close;
    open_count_becomes($httpd, 0, 'a closed stream is noticed');
    my $fds = $httpd->child_fds;

    my @streams = Ragline::SSE->open_many($n, sub { (%args, token => token("t$_[0]", $_[0])) });
    ok(Ragline::SSE->wait_all(\@streams, sub { $_[0]->events }), "$n streams open");
    is(scalar(grep { $_->status == 200 } @streams), $n, 'all with 200');
    my $busy;
    ok(wait_until(sub { ($busy = $httpd->status->{BusyWorkers}) == 1 }),
        '/server-status answers; its own worker is the only busy one') or diag("$busy are busy");
    open_count_becomes($httpd, $n, 'the statistics know them');
    cmp_ok($httpd->child_fds, '>=', $n, 'their sockets are in the children');

    publish("t$_", 'hello') for 0 .. $n - 1;
    ok(Ragline::SSE->wait_all(\@streams, sub { $_[0]->events >= 2 }), 'each gets its event');
    is(scalar(grep { ($_->events)[1]{event} ne 'hello' } @streams), 0, 'and nothing else');

    # Clients leave in every way there is.
    for my $i (0 .. $#streams) {
        my $way = $i % 3;
        if ($way == 0) { $streams[$i]->close }
        elsif ($way == 1) { $streams[$i]->close('reset') }
        else { $streams[$i]->half_close }
    }
    open_count_becomes($httpd, 0, 'all of them leave');
    ok(Ragline::SSE->wait_all([grep { !$_->closed } @streams], sub { $_[0]->ended }),
        'those that only said that they are done, too');
  SKIP: {
        skip 'each child of prefork opens its engine when first needed', 1
            if vars('mpm') eq 'prefork';
        ok(wait_until(sub { $httpd->child_fds <= $fds }), 'no descriptor is left behind')
            or diag($httpd->child_fds . " descriptors, $fds before");
    }
    is($httpd->status->{BusyWorkers}, 1, 'no worker is left behind');
}

# --- what is no stream --------------------------------------------------------------------------

{
    my $httpd = Ragline::Httpd->new(name => 'requests', threads => 8, conf => $common
        . bearer_location('/stream', 'RaglineSubscribe orders')
        . bearer_location('/off', 'RaglineSubscribe orders', 'RaglineHandoff off',
            'RaglineHeartbeat 1s'))
        ->start;
    my $token = token('t', 1);

    for my $path ('/stream', '/off') {
        my $head = $httpd->request(path => $path, method => 'HEAD', token => $token);
        like($head->status, qr/^(?:200|405)$/, "HEAD $path is answered");
        is($head->body, '', 'without a body');

        my $post = $httpd->request(path => $path, method => 'POST', token => $token, body => '{}');
        is($post->status, 405, "POST $path is 405");
        like($post->header('allow') // '', qr/\bGET\b/, 'with Allow: GET');
        is($httpd->request(path => $path, method => 'DELETE', token => $token)->status, 405,
            "DELETE $path is 405");

        # Another request right behind: its bytes belong to nobody's stream.
        my $piped = $httpd->stream($path, token => $token,
            extra => "GET /server-status?auto HTTP/1.1\r\nHost: x\r\n\r\n" . 'x' x 3000);
        $piped->connected;
        publish('t', 'piped');
        ok($piped->take('piped'), "$path works with bytes sent behind the request");
        $piped->write_bytes("more\r\n\r\n");
        publish('t', 'more');
        ok($piped->take('more'), 'and with bytes sent later');
        unlike($piped->body, qr{HTTP/1|Workers}, 'which are answered by nothing');
        $piped->close;

        # A GET may have a body.
        my $body = $httpd->stream($path, token => $token,
            body => 'x' x 5000);
        $body->connected;
        publish('t', 'body');
        ok($body->take('body'), "$path works with a request body");
        $body->close;

        my $old = $httpd->stream($path, token => $token,
            headers => [Connection => 'close']);
        ok($old->connected, "$path works with Connection: close");
        $old->close;
    }
    open_count_becomes($httpd, 0, 'nothing stays open');

    # RaglineHandoff off: the worker stays.
    ok(wait_until(sub { $httpd->status->{BusyWorkers} == 1 }), 'all workers are free');
    my @off = map { $httpd->stream('/off', token => $token) } 1 .. 3;
    $_->connected for @off;
    is($httpd->status->{BusyWorkers}, 4,
        'RaglineHandoff off keeps three workers for three streams');
    publish('t', 'off');
    is(scalar(grep { $_->take('off') } @off), 3, 'which deliver');
    ok($_->take('heartbeat'), 'with heartbeats') for $off[0];
    $_->close for @off;
    ok(wait_until(sub { $httpd->status->{BusyWorkers} == 1 }),
        'and are free when the clients are gone');
    open_count_becomes($httpd, 0, 'and not counted any more');
}

# --- limits -------------------------------------------------------------------------------------

# Refused for now: EventSource must come back, so 200, retry:, an error event and the end.
sub refused_for_now
{
    my ($stream, $name) = @_;
    is($stream->wait_end, 'eof', "$name: ended cleanly");
    is($stream->status, 200, 'with 200');
    like($stream->header('content-type'), qr{^text/event-stream}, 'as an event stream');
    ok(defined $stream->retry, 'with retry:');
    my ($error) = grep { $_->{event} eq 'error' } $stream->events;
    my $json = $error && json_of($error->{data});
    is($json && $json->{code}, 'over_limit', 'and an error event that says why')
        or diag($stream->body);
    return;
}

{
    my $httpd = Ragline::Httpd->new(name => 'limits', threads => 8, conf => <<"EOF" . $common
RaglineMaxConnections 10
RaglineMaxPumps 2
EOF
        . bearer_location('/stream', 'RaglineSubscribe orders', 'RaglineOrigins https://app.example',
            'Header set X-Site a')
        . bearer_location('/off', 'RaglineSubscribe orders', 'RaglineHandoff off'))->start;
    my %args = (port => $httpd->port, token => token('t', 1));
  SKIP: {
        skip 'the limits are per child, and prefork has many', 15 if vars('mpm') eq 'prefork';
        my @pumps = map { Ragline::SSE->open(%args, path => '/off') } 1 .. 2;
        $_->connected for @pumps;
        refused_for_now(Ragline::SSE->open(%args, path => '/off'), 'above RaglineMaxPumps');
        my @streams = map { Ragline::SSE->open(%args, path => '/stream') } 1 .. 8;
        $_->connected for @streams;
        refused_for_now(Ragline::SSE->open(%args, path => '/stream'),
            'above RaglineMaxConnections');
        $_->close for @pumps, @streams;
        open_count_becomes($httpd, 0, 'all are gone');
        my $again = Ragline::SSE->open(%args, path => '/stream');
        ok($again->connected, 'there is room again');
        $again->close;
    }
}

# --- TLS, HTTP/2, foreign filters ---------------------------------------------------------------

{
    my $dir = vars('run_dir');
    my $certificate = certificate('localhost', '-addext', 'subjectAltName=DNS:localhost');
    my $tls_port = Ragline::Proc::free_port();
    my $httpd = Ragline::Httpd->new(name => 'filters', threads => 32, conf => <<"EOF" . $common
Listen 127.0.0.1:$tls_port
SSLSessionCache shmcb:\@ROOT\@/sessions(65536)
Protocols h2 h2c http/1.1
<VirtualHost *:\@PORT\@>
    ServerName localhost
</VirtualHost>
<VirtualHost *:$tls_port>
    ServerName localhost
    SSLEngine on
    SSLCertificateFile "$certificate.pem"
    SSLCertificateKeyFile "$certificate.key"
    Header always set Strict-Transport-Security max-age=60
</VirtualHost>
EOF
        . bearer_location('/stream', 'RaglineSubscribe orders', 'RaglineHeartbeat 1s',
            'Header set X-Site yes', 'Header always set X-Always yes', 'SetOutputFilter DEFLATE')
        . bearer_location('/limited', 'RaglineSubscribe orders',
            'SetOutputFilter RATE_LIMIT', 'SetEnv rate-limit 400'))->start;
    my $token = token('t', 1);

    my $plain = $httpd->stream('/stream', token => $token,
        headers => ['Accept-Encoding' => 'gzip']);
    ok($plain->connected, 'a plain stream') or diag($plain->body);
    is($plain->header('x-site'), 'yes', 'mod_headers works on a stream');
    is($plain->header('x-always'), 'yes', 'also its always table');
    is($plain->header('content-encoding'), undef, 'mod_deflate leaves it alone');

    my $tls = Ragline::SSE->open(port => $tls_port, path => '/stream', token => $token, tls => 1);
    ok($tls->connected, 'a stream over TLS');
    is($tls->header('strict-transport-security'), 'max-age=60', 'with the headers of its host');
    my $limited = $httpd->stream('/limited', token => $token);
    ok($limited->connected, 'a stream behind a filter of httpd');
    for my $round (1 .. 3) {
        publish('t', "round$round");
        ok($_->[0]->take("round$round"), "$_->[1]: event $round")
            or diag("ended: '" . $_->[0]->ended . "'", $_->[0]->body) for
            [$plain, 'plain'], [$tls, 'TLS'], [$limited, 'mod_ratelimit'];
    }
    my @tls = map { Ragline::SSE->open(port => $tls_port, path => '/stream', tls => 1,
        token => token("tls$_", 1)) } 1 .. 10;
    ok(Ragline::SSE->wait_all(\@tls, sub { $_[0]->events }), 'ten more over TLS');
    my @ids = $redis->xadd_many($key, map { [tenant_id => 'tls' . ($_ % 10 + 1),
        event_type => 'many', payload => "{\"n\":$_,\"pad\":\"" . 'x' x 500 . '"}'] } 1 .. 5000);
    ok(Ragline::SSE->wait_all(\@tls, sub { (grep { $_->{event} eq 'many' } $_[0]->events) >= 500 }),
        'each gets 500 events');
    my $wrong = 0;
    for my $i (1 .. 10) {
        my @want = map { $ids[$_ - 1] } grep { $_ % 10 + 1 == $i } 1 .. 5000;
        $wrong++ if "@want" ne has_ids(grep { $_->{event} eq 'many' } $tls[$i - 1]->events);
    }
    is($wrong, 0, 'its own, in order, once');

    # HTTP/2 by two clients: curl over TLS, nghttp in clear.
  SKIP: {
        skip 'mod_http2 does not work with prefork', 6 if vars('mpm') eq 'prefork';
        my $log = "$dir/curl.out";
        my $curl = spawn($log, 'curl', '-sNk', '--http2', '-D', '-',
            '-H', "Authorization: Bearer $token",
            '--connect-to', "localhost:443:127.0.0.1:$tls_port", 'https://localhost/stream');
        ok(wait_until(sub { slurp($log) =~ /^event: connected/m }), 'a stream over HTTP/2')
            or diag(slurp($log));
        like(slurp($log), qr{^HTTP/2 200}, 'is HTTP/2');
        publish('t', 'over_h2');
        ok(wait_until(sub { slurp($log) =~ /^event: over_h2\ndata: \{\}\nid: \d+-\d+\n\n/m }),
            'delivers');
        ok(wait_until(sub { slurp($log) =~ /^event: heartbeat/m }), 'and beats');
        my $nglog = "$dir/nghttp.out";
        my $nghttp = spawn($nglog, 'nghttp', '-H', "Authorization: Bearer $token",
            "http://127.0.0.1:@{[ $httpd->port ]}/stream");
        ok(wait_until(sub { slurp($nglog) =~ /^event: connected/m }), 'also to nghttp, without TLS')
            or diag(slurp($nglog));

        my $before = stats_connections(stats($httpd));
        stop_pid($_) for $curl, $nghttp;
        open_count_becomes($httpd, $before - 2, 'both ends are noticed');
    }
    $_->close for $plain, $tls, $limited, @tls;
    open_count_becomes($httpd, 0, 'as are the others');
    ok(wait_until(sub { $httpd->status->{BusyWorkers} == 1 }), 'no worker is left behind');
}

done_testing();
