# SPDX-License-Identifier: Apache-2.0
#
# The recipes of docs/WIRE.md as they stand there, in a real browser and with the npm packages that
# they are for: what is written while the stream is broken arrives, once. What is not to be had
# (chromium, npm's registry) is skipped, and said.
#
# Only if full.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Peers qw(browse chromium close_browser npm_package);
use Ragline::Proc qw(free_port freeze run_command slurp spew wait_until);
use Ragline::Test;

my $redis = redis_a();
my $key = 'ragline:stream:orders';
my ($source) = slurp('Makefile') =~ /^abs_top_srcdir = (.*)$/m;
my $docs = slurp("$source/docs/WIRE.md");
plan skip_all => 'there is no chromium' if !chromium();
plan skip_all => "prefork ends children as it likes" if vars('mpm') eq 'prefork';

# The code of a recipe.
sub recipe
{
    my ($heading, $language) = @_;
    my ($text) = $docs =~ /^### \Q$heading\E\n(.*?)^##/ms or die "no recipe '$heading'";
    my ($code) = $text =~ /^```$language\n(.*?)^```/ms or die "no $language in '$heading'";
    return $code;
}

# What a page says it has seen is a request, and so in the access log.
my $PAGE = <<'EOF';
const seen = text => fetch("/seen?" + text);
const show = order => seen("order-" + order.n);
EOF

sub page
{
    my ($httpd, $script, %page) = @_;
    my $name = $page{name} // 'page.html';
    my $type = $page{module} ? ' type="module"' : '';
    spew($httpd->docroot . "/$name", "<!DOCTYPE html>\n" . ($page{head} // '')
        . "<script>\nconst token = \"$page{token}\";\n$PAGE</script>\n"
        . "<script$type>\n$script</script>\n");
    return;
}

sub cookie { return "document.cookie = 'ragline_token=' + token + '; path=/; ' + '$_[0]';\n" }

sub httpd
{
    my ($name, %more) = @_;
    my $location = bearer_location('/stream/orders', 'RaglineSubscribe orders', 'RaglineRetry 3s',
        'RaglineHeartbeat 1s', 'RaglineTokenFrom header cookie:ragline_token', 'RaglineJWTLeeway 0');
    my $text = $more{conf} // '@LOCATION@';
    $text =~ s/\@LOCATION\@/$location/g;
    return Ragline::Httpd->new(name => $name, children => 2, conf => <<"EOF")->start;
RaglineRedis @{[ $redis->url ]}
RaglineStream orders $key
RaglineDrain 0
KeepAlive Off
AddType text/javascript .js
AddType text/html .html
LogFormat "%v %H %>s %r" seen
CustomLog "\@ROOT\@/seen" seen
RedirectMatch 204 ^/seen
<Location /stats>
    SetHandler ragline-stats
    Require local
</Location>
$text
EOF
}

sub seen { return join ' ', slurp($_[0]->root . '/seen') =~ m{ /seen\?(\S+)}g }
sub sees { my ($httpd, $what) = @_; return wait_until(sub { seen($httpd) =~ /\b$what\b/ }, 60) }

# Opens the page, breaks its stream when it has had the first event, and writes the second one
# meanwhile.
sub holds
{
    my ($name, $httpd, %with) = @_;
    my $log = vars('t_logs') . "/95-clients-$with{tenant}-browser_log";
    my $url = $with{url} // 'http://127.0.0.1:' . $httpd->port . '/page.html';
    my $pid = browse($url, $httpd->root . '/browser', $log, @{ $with{options} // [] });
    my $write = sub {
        $redis->xadd($key, tenant_id => $with{tenant}, event_type => 'order_created',
            payload => "{\"n\":$_[0]}");
    };
    my $open = sub { stats_connections(stats($httpd, '/stats')) == 1 };
    ok(wait_until($open, 60), "$name: a stream") or diag(slurp($log));
    $write->(1);
    ok(sees($httpd, 'order-1'), 'an event');
    $with{break} ? $with{break}->() : $httpd->graceful;
    $write->(2);
    ok(sees($httpd, 'order-2'), 'one that was written while it was broken');
    $write->(3);
    ok(sees($httpd, 'order-3'), 'and the next');
    is(seen($httpd), 'order-1 order-2 order-3', 'each once');
    close_browser($pid);
    return;
}

# The files of an npm package, below the document root.
sub package_files
{
    my ($httpd, $name, $version, $as) = @_;
    return npm_package($httpd->docroot . "/npm/$as", $name, $version) && "/npm/$as/package";
}

# --- EventSource --------------------------------------------------------------------------------

{
    my $httpd = httpd('watchdog');
    my $tenant = unique('watchdog');
    my $script = recipe('EventSource with a watchdog', 'js');
    $script =~ s/silence = 75000/silence = 4000/ or die 'the watchdog has another time';
    page($httpd, cookie('') . $script, token => token($tenant, 1));
    my @stopped;
    holds('a watchdog', $httpd, tenant => $tenant, break => sub {
        # The connection stays, and nothing comes.
        @stopped = map { $_->{pid} } grep { $_->{connections} } @{ stats($httpd, '/stats')->{children} };
        freeze(@stopped);
    });
    kill('CONT', @stopped);
    $httpd->stop;
}

{
    my $tenant = unique('renewal');
    my $httpd = httpd('renewal', conf => <<"EOF");
\@LOCATION\@
RedirectMatch 204 ^/session/renew
<Location /session/renew>
    Header always set Set-Cookie "ragline_token=@{[ token($tenant, 1) ]}; Path=/"
</Location>
EOF
    page($httpd, cookie('') . recipe('A cookie that is renewed', 'js'),
        token => token($tenant, 1, exp => time() + 15));
    holds('a cookie that is renewed', $httpd, tenant => $tenant, break => sub {
        wait_until(sub { slurp($httpd->root . '/seen') =~ m{POST /session/renew} }, 60);
    });
    $httpd->stop;
}

{
    my $httpd = httpd('service-worker');
    my $tenant = unique('worker');
    spew($httpd->docroot . '/sw.js', recipe('A service worker', 'js'));
    page($httpd, cookie('') . <<'EOF', token => token($tenant, 1));
if (navigator.serviceWorker.controller) {
    const source = new EventSource("/stream/orders");
    source.addEventListener("order_created", event => show(JSON.parse(event.data)));
} else {
    navigator.serviceWorker.register("/sw.js");
    navigator.serviceWorker.ready.then(() => location.reload());
}
EOF
    holds('a service worker', $httpd, tenant => $tenant);
    $httpd->stop;
}

# --- packages -----------------------------------------------------------------------------------

{
    my $httpd = httpd('fetch', conf => <<'EOF');
@LOCATION@
RewriteEngine on
RewriteRule ^(/npm/.*/esm/\w+)$ $1.js
EOF
    my $tenant = unique('fetch');
  SKIP: {
        my $files = package_files($httpd, '@microsoft/fetch-event-source', '2.0.1', 'fetch')
            or skip('npm has no @microsoft/fetch-event-source for us', 5);
        page($httpd, "import { fetchEventSource } from '$files/lib/esm/index.js';\n"
            . recipe('@microsoft/fetch-event-source', 'js'), token => token($tenant, 1), module => 1);
        holds('fetch-event-source', $httpd, tenant => $tenant);
    }
    $httpd->stop;
}

{
    my $httpd = httpd('polyfill');
    my $tenant = unique('polyfill');
  SKIP: {
        my $files = package_files($httpd, 'event-source-polyfill', '1.0.31', 'polyfill')
            or skip('npm has no event-source-polyfill for us', 5);
        page($httpd, recipe('event-source-polyfill', 'js'), token => token($tenant, 1),
            head => "<script src='$files/src/eventsource.min.js'></script>\n");
        holds('event-source-polyfill', $httpd, tenant => $tenant);
    }
    $httpd->stop;
}

# --- a host name for streams --------------------------------------------------------------------

{
    my $dir = vars('run_dir');
    my ($status, $output) = run_command('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
        'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=example.org', '-addext',
        'subjectAltName=DNS:*.example.org', '-keyout', "$dir/hosts.key", '-out', "$dir/hosts.pem");
    is($status, 0, 'a certificate') or diag($output);
    # A browser that trusts it tries one connection for both names.
    (undef, my $pin) = run_command('sh', '-c', 'openssl x509 -in "$1" -pubkey -noout '
        . '| openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | openssl base64 -A',
        '-', "$dir/hosts.pem");
    my $port = free_port();
    my $conf = recipe('A host name for streams', 'apache');
    $conf =~ s/\*:443/*:$port/g;
    $conf =~ s{(?=</VirtualHost>)}{<<"EOF"}ge;
    SSLEngine on
    SSLCertificateFile $dir/hosts.pem
    SSLCertificateKeyFile $dir/hosts.key
\@LOCATION\@
EOF
    my $httpd = httpd('host', conf => "Listen 127.0.0.1:$port\n"
        . "SSLSessionCache shmcb:\@ROOT\@/sessions(65536)\n$conf");
    my $tenant = unique('host');
    page($httpd, cookie('domain=example.org; secure') . recipe('A host name for streams', 'js'),
        token => token($tenant, 1));
    holds('a host name for streams', $httpd, tenant => $tenant,
        url => 'https://www.example.org/page.html',
        options => ["--ignore-certificate-errors-spki-list=$pin", '--host-resolver-rules=' . join ', ',
            map { "MAP $_.example.org:443 127.0.0.1:$port" } 'www', 'events']);
    my $log = slurp($httpd->root . '/seen');
    like($log, qr{^www\.example\.org HTTP/2\.0 200 GET /page\.html}m, 'the page came over HTTP/2');
    like($log, qr{^events\.example\.org HTTP/1\.1 200 GET /stream}m, 'the stream over HTTP/1.1');
    unlike($log, qr{HTTP/2\.0 200 GET /stream}, 'and never otherwise');
    $httpd->stop;
}

done_testing();
