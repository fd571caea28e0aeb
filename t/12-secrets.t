# SPDX-License-Identifier: Apache-2.0
#
# Secrets: where they are read from, that a graceful restart reads them again, what happens when
# the new one is wrong, and that neither they nor tokens are shown anywhere.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(limit run_command run_dir slurp spew);
use Ragline::Test;

my $dir = run_dir() . '/secrets';
mkdir($dir);
chmod(0700, $dir);
sub secret { return unpack('H*', pack('N8', map { int(rand(2**32)) } 1 .. 8)) }
sub keep
{
    my ($name, $text) = @_;
    spew("$dir/$name", "$text\n");
    chmod(0600, "$dir/$name");
    return $text;
}
sub signed { return Ragline::Token::encode({ tenant_id => 'acme', sub => '1', exp => time() + 600 },
    secret => $_[0]) }

sub endpoint
{
    my ($path, @directives) = @_;
    return join("\n", "<Location $path>", 'SetHandler ragline-sse', 'RaglineSubscribe orders',
        'AuthType RaglineJWT', 'Require valid-user', @directives, "</Location>\n");
}

my $redis = Ragline::Redis->start(name => 'secret', password => keep(redis => secret()));
my %secret = (file => keep(key => secret()), env => secret(), exec => keep(exec => secret()),
    text => secret());
local $ENV{RAGLINE_TEST_SECRET} = $secret{env};
my $conf = <<"EOF" . endpoint('/file', "RaglineJWTKey file:$dir/key")
LogFormat "%h %u \\"%r\\" %q %U %>s" full
CustomLog "\@ROOT\@/full_log" full
RaglineRedis @{[ $redis->url ]}
RaglineRedisAuth file:$dir/redis
RaglineStream orders ragline:stream:orders
RaglineDrain 0
EOF
    . endpoint('/env', 'RaglineJWTKey env:RAGLINE_TEST_SECRET')
    . endpoint('/exec', "RaglineJWTKey \"exec:cat $dir/exec\"")
    . endpoint('/text', "RaglineJWTKey secret:$secret{text}");
my $httpd = Ragline::Httpd->new(name => 'secrets', conf => $conf);
$httpd->start;

# The status of a stream's answer.
sub status
{
    my ($path, $token) = @_;
    my $stream = Ragline::SSE->open(port => $httpd->port, path => $path, token => $token);
    my $connected = $stream->connected;
    $stream->close;
    return $connected ? 200 : $stream->status;
}

# --- where from: nobody but root can read the files ---------------------------------------------

is(status("/$_", signed($secret{$_})), 200, "a key from $_:") for sort keys %secret;
is(status('/file', signed($secret{env})), 401, 'each endpoint has its own');

# --- a graceful restart reads them again --------------------------------------------------------

my $before = signed($secret{file});
keep(key => my $new = secret());
is(status('/file', $before), 200, 'a new key in the file changes nothing by itself');
ok($httpd->graceful, 'graceful restart');
is(status('/file', $before), 401, 'then the old key is gone');
is(status('/file', signed($new)), 200, 'and the new one counts');

{
    my $password = keep(redis => secret());
    $redis->client->config('set', 'requirepass', $password);
    ok($httpd->graceful, 'graceful restart with a new password for Redis');
    my $stream = Ragline::SSE->open(port => $httpd->port, path => '/file', token => signed($new));
    ok($stream->connected, 'a stream');
    $redis->xadd('ragline:stream:orders', tenant_id => 'acme', event_type => 'hello',
        payload => '{}');
    ok($stream->take('hello'), 'that gets events');
    $stream->close;
}

# --- the new one is wrong: refused before the running server hears of it ------------------------

my %wrong = (
    'a key that is gone' => ['key', undef,
        qr/RaglineJWTKey: the secret's file \S+ cannot be opened/],
    'an empty key' => ['key', '', qr/RaglineJWTKey: the secret's file \S+ gives an empty secret/],
    'a short key' => ['key', 'abc-not-enough', qr/RaglineJWTKey: the secret has 14 bytes/],
    'half a PEM' => ['key', "-----BEGIN PUBLIC KEY-----\nMIIB", qr/RaglineJWTKey: /],
    "Redis's password is gone" => ['redis', undef,
        qr/RaglineRedisAuth: the secret's file \S+ cannot be opened/],
);
for my $name (sort keys %wrong) {
    my ($file, $content, $sentence) = @{ $wrong{$name} };
    my $good = slurp("$dir/$file");
    my ($pid, @children) = ($httpd->pid, $httpd->children);
    defined $content ? keep($file => $content) : unlink("$dir/$file");
    for my $what ('graceful', 'restart') {
        my ($failed, $output) = $httpd->control($what);
        isnt($failed, 0, "$name: -k $what fails");
        like($output, $sentence, "$name: with the sentence");
        unlike($output, qr/not-enough|MIIB/, "$name: and without what is in the file");
    }
    is_deeply([$httpd->pid, $httpd->children], [$pid, @children], "$name: the server goes on");
    is(status('/file', signed($new)), 200, "$name: with the key it has");
    spew("$dir/$file", $good);
    chmod(0600, "$dir/$file");
}
ok($httpd->graceful, 'with the right ones it restarts again');
is(status('/file', signed($new)), 200, 'and takes tokens');

# --- not shown ----------------------------------------------------------------------------------

# Text in which none of these may stand.
sub shows_nothing
{
    my ($name, $text, @secrets) = @_;
    ok(length $text, "$name: there is something to look at");
    is(scalar(grep { index($text, $_) >= 0 } @secrets), 0, "$name: and no secret in it");
    return;
}
$httpd->stop;
# With the log at its most talkative, since httpd prints its directives there, too.
my @open = map { secret() } 1 .. 3;
my $shown = $conf . <<"EOF";
<Location /info>
    SetHandler server-info
</Location>
<Location /stats>
    SetHandler ragline-stats
    Require local
</Location>
<VirtualHost *:\@PORT\@>
    ServerName b
    RaglineRedis "redis://joe:$open[0]\@127.0.0.1:1/2"
    RaglineJWTKey secret:$open[1] kid=b alg=HS256
    RaglineJWTKey "exec:printf %s $open[2]"
</VirtualHost>
EOF
$httpd = Ragline::Httpd->new(name => 'shown-trace', conf => $shown, loglevel => 'trace8');
$httpd->start;
my @all = (values %secret, $new, @open, slurp("$dir/redis") =~ /(\w+)/);
my $info = $httpd->request(path => '/info')->body;
shows_nothing('mod_info', $info, @all);
$info =~ s/<[^>]*>//g;
$info =~ s/&quot;/"/g;
like($info, qr/$_/, "mod_info shows $_") for 'RaglineJWTKey secret:\*\*\*\*(?! kid)',
    'RaglineJWTKey secret:\*\*\*\* alg=HS256 kid=b',
    'RaglineJWTKey "exec:printf \*\*\*\*"', 'RaglineRedis redis://joe:\*\*\*\*@127.0.0.1:1/2',
        "RaglineJWTKey file:$dir/key",
    'RaglineJWTKey env:RAGLINE_TEST_SECRET', "RaglineRedisAuth file:$dir/redis";
my ($failed, $dump) = run_command($httpd->command('-t', '-DDUMP_CONFIG'));
like($dump, qr/secret:\*\*\*\*/, '-D DUMP_CONFIG shows the same');
shows_nothing('-D DUMP_CONFIG', $dump, @all);
shows_nothing('ragline-stats', $httpd->request(path => '/stats')->body, @all);
is(status('/text', signed($secret{text})), 200, 'a stream');
is(status('/text', signed($new)), 401, 'and a refused one');
$httpd->stop;
shows_nothing('the error log at trace8', $httpd->error_log, @all);

# What configtest says of a wrong one.
for my $line ("RaglineJWTKey secret:$open[0] alg=RS256", "RaglineJWTKey $open[0]",
    "RaglineJWTKey secret:$open[0] x=y",
    "RaglineRedis http://joe:$open[0]\@127.0.0.1/", "RaglineRedis redis://$open[0]\@127.0.0.1/",
    "RaglineRedis redis://joe:$open[0]\@127.0.0.1:x/", "RaglineRedisAuth secret:$open[0]",
        "RaglineRedisAuth $open[0]",
    "RaglineJWTKey \"exec:false $open[0]\"",
        "<Location /x>\nRaglineRedis redis://:$open[0]\@h/\n</Location>",
    "RaglineJWTKey secret:" . substr($open[0], 0, 12)) {
    my ($status, $output) = Ragline::Httpd->new(name => 'wrong', conf => "$line\n")->configtest;
    isnt($status, 0, 'refused: ' . $line =~ s/$open[0]|[0-9a-f]{12}$/.../r);
    shows_nothing('the sentence', $output, substr($open[0], 0, 12));
}

# --- tokens -------------------------------------------------------------------------------------

{
    my $log = vars('t_logs') . '/12-secrets-requests-access_log';
    unlink($log);
    my $tokens = Ragline::Httpd->new(name => 'tokens', loglevel => 'debug ragline_stream:trace8',
        conf => <<"EOF");
Define ENV "%{QUERY_STRING}e %{REQUEST_URI}e %{REDIRECT_URL}e %{REDIRECT_QUERY_STRING}e"
LogFormat "%h %l %u %t \\"%r\\" %>s %b \\"%{Referer}i\\" q=%q U=%U f=%f \${ENV}" everything
CustomLog "$log" everything
CustomLog "$log" "%{c}h %m %H %v %{uri}n %{cookie}n expr=%{UNIQUE_ID}e"
CustomLog "$log" "%r" "expr=%{QUERY_STRING} =~ /./"
Protocols h2c http/1.1
ExtendedStatus On
RewriteEngine On
RewriteRule ^/nowhere /elsewhere
SetEnvIf Request_URI . SEEN=1
ErrorDocument 403 "no"
RaglineRedis @{[ redis_a()->url ]}
RaglineStream orders ragline:stream:orders
@{[ endpoint('/stream', "RaglineJWTKey secret:$secret{text}",
        'RaglineTokenFrom header cookie:token query:token') ]}
<Location /publish>
    SetHandler ragline-publish
    RaglinePublish orders
    AuthType RaglineJWT
    Require valid-user
    RaglineJWTKey secret:$secret{text}
    RaglineTokenFrom header query:token
</Location>
EOF
    $tokens->start;
    my $port = $tokens->port;
    my $n = 0;
    my @parts;
    my $make = sub {
        my ($good) = @_;
        my $token = Ragline::Token::encode({ tenant_id => unique(), sub => '1', n => ++$n,
            exp => time() + 600 },
            secret => $good ? $secret{text} : secret());
        # Its header is every token's; what is in the claims and the signature is this one's.
        push @parts, map { substr($_, 0, 20), substr($_, -20) } (split /\./, $token)[1, 2];
        return $token;
    };
    my %way = (
        header => sub { return ('/stream', '-H', "Authorization: Bearer $_[0]") },
        cookie => sub { return ('/stream', '-H', "Cookie: a=b; token=$_[0]", '-H',
            'Sec-Fetch-Site: same-origin') },
        query => sub { return ("/stream?x=1&token=$_[0]&y=2") },
        'query below' => sub { return ("/stream/typo?token=$_[0]") },
        'query of a publisher' => sub { return ("/publish?token=$_[0]", '-d', '{}') },
        'query with HEAD' => sub { return ("/stream?token=$_[0]", '-I') },
        'query with OPTIONS' => sub { return ("/stream?token=$_[0]", '-X', 'OPTIONS', '-H',
            'Origin: http://x',
            '-H', 'Access-Control-Request-Method: GET') },
        'query of a wrong method' => sub { return ("/stream?token=$_[0]", '-X', 'DELETE') },
    );
    for my $version ('--http1.1', '--http2-prior-knowledge', '--http1.0') {
        for my $name (sort keys %way) {
            for my $good (1, 0) {
                my ($path, @arguments) = $way{$name}->($make->($good));
                my ($status, $output) = run_command('curl', '-sS', '-N', '--noproxy', '*', '-m',
                    limit(0.7), '-o', '/dev/null',
                    '-w', '%{http_code}', $version, @arguments, "http://127.0.0.1:$port$path");
                my ($code) = $output =~ /(\d{3})$/;
                # An answer that does not wait for the body ends by RST_STREAM, and a curl that
                # sees that before it has sent the body says nothing of the answer.
                $code = 499 if $output =~ /^curl: \(92\)/ && $name =~ /publisher/;
                like($code, $good && $name =~ /^(?:header|cookie|query)$/ ? qr/^200$/
                    : qr/^[2345]\d\d$/,
                    "$version, $name, " . ($good ? 'good' : 'bad')) or diag($output);
            }
        }
    }
    my $status_page = $tokens->request(path => '/server-status')->body;
    $tokens->stop;
    my $written = $tokens->error_log . $tokens->access_log . slurp($log);
    like($written, qr{GET /stream\?x=1&y=2 HTTP/2},
        'what remains of the query is in the log, over HTTP/2, too');
    like($written, qr/RS0701: token refused/, 'and why a token was refused');
    is(scalar(grep { index($written, $_) >= 0 } @parts), 0, 'and no part of any token')
        or diag(join '', map { my $p = $_; grep { index($_, $p) >= 0 } split /^/,
            $written } @parts[0 .. 40]);
    is(scalar(grep { index($status_page, $_) >= 0 } @parts), 0, 'nor in mod_status');
}

done_testing();
