# SPDX-License-Identifier: Apache-2.0
#
# WebSocket clients that others have written, in each of their ways to bring a token: they get events,
# are answered, come back over a restart with their last id and lose nothing, and are told why they
# may not come. What is not to be had (npm's registry, a browser) is skipped, and said.
#
# Only if full.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;

use Ragline::Httpd ();
use Ragline::Peers qw(browse chromium close_browser peer_script python_with ws_package);
use Ragline::Proc qw(free_port slurp spawn spew stop_pid wait_until);
use Ragline::Test;

plan skip_all => 'prefork ends children as it likes' if vars('mpm') eq 'prefork';

my $redis = redis_a();
my $json = JSON::PP->new->canonical;

my $certificate = certificate('localhost');
my $tls_port = free_port();

sub httpd
{
    my ($name, $key) = @_;
    my $location = websocket_location('/ws', 'RaglineSubscribe orders', 'RaglineRetry 1s', 'RaglineHeartbeat 1s',
        'RaglineTokenFrom header query:token cookie:session');
    return Ragline::Httpd->new(name => $name, children => 2, conf => <<"EOF2")->start;
RaglineRedis @{[ $redis->url ]}
RaglineStream orders $key
RaglineDrain 1s
KeepAlive Off
AddType text/html .html
AddType text/javascript .js
LogFormat "%r" seen
CustomLog "\@ROOT\@/seen" seen
RedirectMatch 204 ^/seen
$location
SSLSessionCache none
Listen 127.0.0.1:$tls_port
<VirtualHost 127.0.0.1:$tls_port>
    SSLEngine on
    SSLCertificateFile $certificate.pem
    SSLCertificateKeyFile $certificate.key
    $location
</VirtualHost>
EOF2
}

# The ways of a client with a token, then who has none, and who has a bad one.
sub talks
{
    my ($httpd, $secure, $token, @ways) = @_;
    my $url = $secure ? "wss://127.0.0.1:$tls_port/ws" : 'ws://127.0.0.1:' . $httpd->port . '/ws';
    my %way = (
        header => { url => $url, headers => { Authorization => "Bearer $token" } },
        query => { url => "$url?token=$token" },
        protocol => { url => $url, protocols => ['ragline.v1', "bearer.$token"] },
        cookie => { url => $url },
        none => { url => "$url?token=" },
        bad => { url => "$url?token=garbage" },
        'bad protocol' => { url => $url, protocols => ['ragline.v1', 'bearer.garbage'] },
    );
    return [map { { label => $_, %{ $way{$_} } } } @ways];
}

# What a client does is told by the lines that $said gives.
sub converses
{
    my ($name, $httpd, $key, $tenant, $said, @ways) = @_;
    my @bad = grep { /none|bad/ } @ways;
    @ways = grep { !/none|bad/ } @ways;
    my $mute;
    my $all_say = sub {
        my ($what, @who) = @_;
        my $last = '';
        # Who did not say one thing is not waited for again.
        $mute ||= !wait_until(sub {
            $last = join "\n", '', $said->(), '';
            return !grep { $last !~ m{\n\Q$_\E/$what\n} } @who;
        });
        ok(!$mute, "$name: $what") or diag($last);
        return;
    };
    my $add = sub {
        my ($n, $type) = @_;
        return $redis->xadd($key, tenant_id => $tenant, event_type => $type // 'order_created', payload => $n);
    };
    my @offered = grep { /protocol/ } @ways;
    my @silent = grep { !/protocol/ } @ways;
    $all_say->('open/ragline\.v1', @offered);
    $all_say->('open/-', @silent);
    $all_say->($_, @ways) for 'connected/new', 'pong', 'subscription_updated', 'heartbeat';
    $all_say->('closed/1008/Authentication required', grep { /none/ } @bad);
    $all_say->('closed/1008/Invalid token', grep { /bad/ } @bad);
    $add->(0, 'payment');
    $add->(1);
    $all_say->('order_created/1', @ways);
    # All of them offer compression, which is for what is large.
    my $large = 'x' x 3000;
    $add->("\"$large\"");
    $all_say->("order_created/$large", @ways);
    my $served = join ' ', $httpd->children;
    my ($status) = $httpd->control('graceful');
    is($status, 0, "$name: a graceful restart");
    $all_say->('closed/1001/draining', @ways);
    $add->(2);
    $all_say->($_, @ways) for 'order_created/2', 'connected/resumed', 'caught_up';
    $add->(3);
    $all_say->('order_created/3', @ways);
    isnt(join(' ', $httpd->children), $served, 'from others than before');
    my @said = $said->();
    for my $way (@ways) {
        my @events = map { m{^\Q$way\E/((?:order|payment)\w*/\w+)$} ? $1 : () } @said;
        is("@events", "order_created/1 order_created/$large order_created/2 order_created/3",
            "$name, $way: each once, in order");
    }
    is(join(' ', map { my $who = $_; scalar grep { m{^\Q$who\E/} } @said } @bad),
        join(' ', map { 2 } @bad), 'who may not come is connected, closed, and gets nothing');
    return;
}

# A script in t/peers as a client.
sub script
{
    my ($name, $secure, @command) = @_;
    my @ways = qw(header query protocol);
    my ($key, $tenant) = (unique('ragline:peers'), unique('peers'));
    my $httpd = httpd($name =~ s/\W//gr, $key);
    my $log = $httpd->root . '/said';
    my $pid = spawn($log, @command, $json->encode(talks($httpd, $secure, token($tenant, 7), @ways, 'none', 'bad')));
    converses($name, $httpd, $key, $tenant, sub { split /\n/, slurp($log) }, @ways, 'none', 'bad');
    stop_pid($pid);
    $httpd->stop;
    return;
}

SKIP: {
    my $python = python_with('websockets') or skip('no Python has websockets', 1);
    script('websockets', 0, $python, peer_script('client.py'));
}

SKIP: {
    my $python = python_with('aiohttp') or skip('no Python has aiohttp', 1);
    script($_ ? 'aiohttp, TLS' : 'aiohttp', $_, $python, peer_script('client_aiohttp.py')) for 0, 1;
}

SKIP: {
    eval { require Mojo::UserAgent; 1 } or skip('there is no Mojolicious', 1);
    script('Mojo::UserAgent', 0, $^X, peer_script('client.pl'));
}

SKIP: {
    my $package = ws_package() or skip('npm has no ws for us', 1);
    script('ws', 0, 'node', peer_script('client.js'), $package);
}

# A page cannot set a header, and has its cookie everywhere; what it says is a request, and so in the access log.
SKIP: {
    skip('there is no chromium', 1) if !chromium();
    my ($key, $tenant) = (unique('ragline:peers'), unique('peers'));
    my $httpd = httpd('browser', $key);
    my $token = token($tenant, 7);
    my @ways = qw(query protocol cookie);
    spew($httpd->docroot . '/converse.js', slurp(peer_script('converse.js')));
    spew($httpd->docroot . '/page.html', <<"EOF2");
<!DOCTYPE html>
<script src="converse.js"></script>
<script>
document.cookie = "session=$token; path=/ws; samesite=strict";
let said = Promise.resolve();
const say = text => { said = said.then(() => fetch("/seen?" + encodeURIComponent(text))).catch(() => say(text)); };
const make = (url, talk) => talk.protocols ? new WebSocket(url, talk.protocols) : new WebSocket(url);
for (const talk of @{[ $json->encode(talks($httpd, 0, $token, @ways, 'bad', 'bad protocol')) ]}) {
    converse(talk, make, say);
}
</script>
EOF2
    my $log = vars('t_logs') . '/29-websocket-clients-browser_log';
    my $pid = browse('http://127.0.0.1:' . $httpd->port . '/page.html', $httpd->root . '/browser', $log);
    my $said = sub {
        return map { s/%(..)/chr hex $1/ger } slurp($httpd->root . '/seen') =~ m{^GET /seen\?(\S+)}mg;
    };
    converses('Chromium', $httpd, $key, $tenant, $said, @ways, 'bad', 'bad protocol');
    close_browser($pid);
    $httpd->stop;
}

done_testing();
