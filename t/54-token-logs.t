# SPDX-License-Identifier: Apache-2.0
#
# A token in the query is in no log, whatever fails and wherever: requests that httpd refuses before
# anybody knows what they are for, other locations, referring pages, HTTP/2.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::HTTP ();
use Ragline::Httpd ();
use Ragline::Proc qw(limit run_command slurp spew);
use Ragline::Test;

my $log = vars('t_logs') . '/54-token-logs-everything-access_log';
unlink($log);
my $httpd = Ragline::Httpd->new(name => 'failures', loglevel => 'debug', conf => <<"EOF");
Define ENV "%{QUERY_STRING}e %{REQUEST_URI}e %{REDIRECT_URL}e %{REDIRECT_QUERY_STRING}e %{QUERY}e"
LogFormat "%h \\"%r\\" %>s \\"%{Referer}i\\" \\"%{X-Original-URI}i\\" q=%q %<q %>q U=%U %{Location}o \${ENV}" all
CustomLog "$log" all
CustomLog "$log" "%{unparsed}n %{Cookie}i"
Protocols h2c http/1.1
ExtendedStatus On
RequestReadTimeout header=1 body=1
SetEnvIf Request_URI "^(.*)\$" SEEN=\$1
RewriteEngine On
RewriteRule ^ - [E=QUERY:%{QUERY_STRING}]
ErrorDocument 404 /sorry
ErrorDocument 400 /sorry
RaglineRedis @{[ redis_a()->url ]}
RaglineStream orders ragline:stream:orders
<Location /stream>
    SetHandler ragline-sse
    RaglineSubscribe orders
    RaglineTokenFrom header query:token query:access_token
@{[ jwt_conf() ]}
</Location>
<Location /forbidden>
    Require all denied
</Location>
EOF
spew($httpd->docroot . '/sorry', 'sorry');
mkdir($httpd->docroot . '/folder');
$httpd->start;
my $port = $httpd->port;

my ($n, @parts) = (0);
sub fresh
{
    my $token = token(unique(), 1, n => ++$n);
    # Its header is every token's; what is in the claims and the signature is this one's.
    push @parts, map { substr($_, 0, 20), substr($_, -20) } (split /\./, $token)[1, 2];
    return $token;
}

# What is sent as it is, and the status line of what comes back, if anything does.
sub raw
{
    my ($bytes) = @_;
    my $socket = Ragline::HTTP::connect_to(port => $port);
    my $answer = '';
    local $SIG{PIPE} = 'IGNORE';
    syswrite($socket, $bytes);
    my $until = time() + limit(20);
    my $ready = '';
    vec($ready, fileno($socket), 1) = 1;
    while ($answer !~ /\r\n/ && time() < $until) {
        select(my $r = $ready, undef, undef, 1) or next;
        sysread($socket, $answer, 4096, length $answer) or last;
    }
    return $answer =~ m{^HTTP/\S+ (\d+)} ? $1 : '';
}

my $end = "Host: localhost\r\nConnection: close\r\n\r\n";
sub get { return "GET $_[0] HTTP/1.1\r\n" . ($_[1] // '') . $end }

is(raw(get('/stream?x=1&token=' . fresh(), 'Cookie: a=' . 'b' x 9000 . "\r\n")), '400',
    'a cookie of 9 KB');
is(raw(get('/stream?token=' . fresh(), "X Y: z\r\n")), '400', 'a header that is none');
is(raw(get('/stream?token=' . fresh(), "Transfer-Encoding: nonsense\r\n")), '400',
    'an unknown transfer encoding');
is(raw(get('/stream?token=' . fresh(), "Content-Length: x\r\n")), '400', 'no length');
is(raw('GET /stream?token=' . fresh() . " HTTP/1.1\r\nConnection: close\r\n\r\n"), '400',
    'no Host');
is(raw("GET /stream?token=" . fresh() . " nonsense HTTP/1.1\r\n$end"), '400',
    'a broken request line');
is(raw('GET /stream?token=' . fresh() . '&x=' . 'y' x 9000 . " HTTP/1.1\r\n$end"), '414',
    'a request line of 9 KB');
# Whether it is told so depends on who is faster.
like(raw('GET /stream?token=' . fresh() . " HTTP/1.1\r\nHost: localhost\r\n"), qr/^(?:408)?$/,
    'a client that stalls in its headers');
raw('GET /stream?token=' . fresh());
pass('or in its request line');
like(raw(get($_ . fresh())), qr/^4/, "$_ is refused") for '/../stream?token=', '/stream/%zz?token=',
    '/stream%2f?token=', '/%2e%2e/%2e%2e?token=';
is(raw(get('/stream?%74oken=' . fresh())), '200', 'the name in other letters is the name');
is(raw(get('/stream?access_token=' . fresh())), '200', 'another name');
is(raw(get('/stream?a=b&token=' . fresh() . '&token=' . fresh())), '200', 'two of them');
is(raw(get('/elsewhere?x=1&token=' . fresh() . '&y=2')), '404', 'where nothing is');
is(raw(get('/index.html?token=' . fresh())), '200', 'another location');
is(raw(get('/folder?token=' . fresh())), '301', 'a redirect');
is(raw(get('/forbidden?token=' . fresh())), '403', 'where nobody may');
is(raw(get('/streams?token=' . fresh())), '404', 'a typing error');
is(raw("OPTIONS /index.html?token=" . fresh() . " HTTP/1.1\r\n$end"), '200', 'another method');
is(raw(get('/index.html', 'Referer: http://localhost/page?token=' . fresh() . "\r\n"
            . 'X-Original-URI: /page?a=b&token=' . fresh() . "&c=d\r\n")), '200', 'a referring page');
for my $path ('/stream', '/index.html', '/nowhere', '/../stream', '/folder') {
    # The stream does not end by itself; every other one does.
    my $longest = $path eq '/stream' ? limit(1) : limit(20);
    my ($status, $output) = run_command('curl', '-sS', '--noproxy', '*', '-m', $longest, '-o',
        '/dev/null', '--http2-prior-knowledge', '--path-as-is', '-w', '%{http_code}', '-N',
        "http://127.0.0.1:$port$path?x=2&token=" . fresh());
    like($output, qr/\d{3}$/, "$path over HTTP/2");
    ($status, $output) = run_command('curl', '-sS', '--noproxy', '*', '-m', limit(20), '-o',
        '/dev/null', '--http2-prior-knowledge', '-H', 'X: ' . 'y' x 9000,
        "http://127.0.0.1:$port$path?x=3&token=" . fresh());
}

# What is kept out of the logs is sent all the same.
for my $how ('--http1.1', '--http2-prior-knowledge') {
    my (undef, $output) = run_command('curl', '-sS', '--noproxy', '*', '-m', limit(5), $how, '-o',
        '/dev/null', '-D', '-', "http://127.0.0.1:$port/folder?token=" . fresh());
    like($output, qr/^location: \S+?token=[\w-]+\.[\w-]+\.[\w-]+\r$/mi, "a redirect, $how");
}

# The application that has the URL gets what was sent to it.
{
    my $seen = $httpd->request(path => '/index.html?token=application')->status;
    is($seen, '200', "an application's own parameter of that name");
}
my $status_page = $httpd->request(path => '/server-status')->body;
$httpd->stop;
my %written = (error => $httpd->error_log, access => $httpd->access_log, all => slurp($log),
    status => $status_page);
like($written{access}, qr{"GET /stream\?x=1 HTTP/1.1" 400}, 'the rest of a 400 is in the log');
like($written{access}, qr{"GET /stream HTTP/1\.[01]" 408}, 'and of a 408');
like($written{access}, qr{"GET /elsewhere\?x=1&y=2 HTTP/1.1" 404}, 'and of a 404');
like($written{access}, qr{"GET /index\.html\?x=2 HTTP/2\.0" 200}, 'and of HTTP/2');
like($written{all}, qr{"http://localhost/page" "/page\?a=b&c=d"}, 'and of a referring page');
for my $which (sort keys %written) {
    my @found = grep { index($written{$which}, $_) >= 0 } @parts;
    is(scalar(@found), 0, "$which: no part of any token")
        or diag(join '', grep { my $l = $_; grep { index($l, $_) >= 0 } @found }
            split /^/, $written{$which});
}

# --- an application with the same parameter ---------------------------------------------------

{
    my $server = Ragline::Httpd->new(name => 'application', conf => <<"EOF")->start;
RaglineStream orders ragline:stream:orders
Header set X-Query "expr=%{QUERY_STRING}"
<Location /stream>
    SetHandler ragline-sse
    RaglineSubscribe orders
    RaglineTokenFrom query:token
@{[ jwt_conf() ]}
</Location>
EOF
    is($server->request(path => '/index.html?a=1&token=theirs')->header('x-query'),
        'a=1&token=theirs', 'an application gets its query as it was sent');
    $server->stop;
    like($server->access_log, qr{"GET /index\.html\?a=1 HTTP}, 'and only the log does not');
    my $none = Ragline::Httpd->new(name => 'none', conf => <<"EOF")->start;
RaglineStream orders ragline:stream:orders
<Location /stream>
    SetHandler ragline-sse
    RaglineSubscribe orders
@{[ jwt_conf() ]}
</Location>
EOF
    $none->request(path => '/index.html?a=1&token=theirs');
    $none->stop;
    like($none->access_log, qr{"GET /index\.html\?a=1&token=theirs HTTP},
        'without tokens in queries nothing is changed');
}

# --- what configtest says -----------------------------------------------------------------------

{
    my $modules = vars('libexecdir');
    my $forensic = qq(LoadModule log_forensic_module "$modules/mod_log_forensic.so"\n)
        . qq(ForensicLog "\@ROOT\@/forensic"\n);
    my $dump = qq(LoadModule dumpio_module "$modules/mod_dumpio.so"\nDumpIOInput On\n);
    my $say = sub {
        my ($from, $conf, %server) = @_;
        my ($status, $output) = Ragline::Httpd->new(name => 'says', %server, conf => <<"EOF")->configtest;
RaglineStream orders ragline:stream:orders
$conf
<Location /stream>
    SetHandler ragline-sse
    RaglineSubscribe orders
    RaglineTokenFrom $from
@{[ jwt_conf() ]}
</Location>
EOF
        is($status, 0, "configtest goes well: $from") or diag($output);
        return $output;
    };
    like($say->('query:token', $forensic), qr/RS0603: .*ForensicLog writes whole requests/,
        'mod_log_forensic is warned about');
    like($say->('query:token', $dump), qr/RS0603: .*DumpIOInput writes whole requests/,
        'so is mod_dumpio');
    like($say->('header query:token', '', loglevel => 'trace5'), qr/RS0603: .*LogLevel: from trace3/,
        'and a LogLevel that writes requests');
    like($say->('query:token', $_), qr/RS0603: .* line \d+: LogLevel: from trace3/, $_ =~ s/\n//gr)
        for 'LogLevel warn core:trace5', 'LogLevel http:trace4', 'LogLevel http2_module:trace3',
        'LogLevel mod_rewrite.c:trace1', "RewriteEngine On\nLogLevel trace1",
        "<Location /elsewhere>\nLogLevel rewrite:trace2\n</Location>";
    unlike($say->('query:token', $_), qr/RS060/, "$_ writes none") for 'LogLevel trace2',
        'LogLevel warn core:trace4 ssl:trace6 authz_core:trace8';
    unlike($say->('query:token', ''), qr/RS060/, 'an access log is none of them');
    unlike($say->('header', "$forensic$dump", loglevel => 'trace5'), qr/RS060/,
        'without tokens in queries nothing is said');
}

done_testing();
