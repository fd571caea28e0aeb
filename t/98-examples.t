# SPDX-License-Identifier: Apache-2.0
#
# The applications of docs/examples, as their README.md has them installed: whom they let in, what
# they hear, what they send and publish, and whom they do not believe. Node.js where there is one.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Digest::SHA ();
use Test::More;

use Ragline::Httpd ();
use Ragline::HTTP ();
use Ragline::Proc qw(free_port run_command run_dir slurp spawn spew stop_pid);
use Ragline::SSE ();
use Ragline::Test;

my ($source) = slurp('Makefile') =~ /^abs_top_srcdir = (.*)$/m;
my $examples = "$source/docs/examples";
my $dir = run_dir() . "/example-$$";
my ($app, $inside) = (free_port(), free_port());

# --- its first command ---------------------------------------------------------------------------

my ($install) = slurp("$examples/README.md") =~ /^sudo sh -c '(.*?)' - "\$USER"$/ms
    or BAIL_OUT('no command');
$install =~ s{/etc/ragline-example}{$dir}g;
$install =~ s{/etc/apache2/conf-available/}{$dir/}g;
my ($status, $output) = run_command('sh', '-c',
    "cd '$examples'; a2enmod() { echo \"\$*\"; }; a2enconf() { echo \"\$*\"; }; apachectl() { echo \"\$1\"; }; $install",
    '-', $>);
is("$status $output", "0 -q headers\n-q ragline-example\nconfigtest\ngraceful\n", 'installed');
my %secret = map { $_ => slurp("$dir/$_") =~ s/\n\z//r } qw(gateway token);
like($secret{$_}, qr/^[0-9a-f]{64}$/, "a secret: $_") for sort keys %secret;
is(((stat("$dir/token"))[2] & 077) | ((stat($dir))[2] & 077), 0, 'nobody else reads it');

my $conf = slurp("$dir/ragline-example.conf");
is($conf =~ s{redis://127\.0\.0\.1:6379/0}{redis_a()->url}e + $conf =~ s{/etc/ragline-example}{$dir}
    + $conf =~ s{127\.0\.0\.1:8000}{127.0.0.1:$app} + $conf =~ s{127\.0\.0\.1:8001}{127.0.0.1:$inside}g,
    5, 'its places are others here');
my $httpd = Ragline::Httpd->new(conf => "RaglineDrain 0\n$conf")->start;

# --- each of them --------------------------------------------------------------------------------

$ENV{RAGLINE_EXAMPLE} = $dir;
$ENV{RAGLINE_HTTPD} = "127.0.0.1:$inside";
$ENV{PORT} = $app;

# What a callback is answered; %is: what is wrong with it.
sub called
{
    my ($body, %is) = @_;
    my $time = $is{time} // time;
    my $mac = Digest::SHA::hmac_sha256_hex("$time.$body", $is{secret} // $secret{gateway});
    return Ragline::HTTP::request(port => $app, path => $is{path} // '/callback', method => 'POST',
        body => $is{body} // $body, headers => ['Content-Type' => 'application/json',
            $is{unsigned} ? () : ('X-Ragline-Signature' => $is{signature} // "t=$time,v1=$mac"),
            'Idempotency-Key' => $is{key} // '"x"'])->status;
}

sub told
{
    my ($action, $user) = @_;
    return qq({"action":"$action","reason":"client_closed","token":"11111111-1111-4111-8111-111111111111")
        . qq(,"request":{"url":"/example/sse","headers":{"x-user":"$user"}}});
}

sub not_believed
{
    my $ends = told('disconnect', 'alice');
    is(called($ends, unsigned => 1), 401, 'without a signature');
    is(called($ends, secret => $secret{token}), 401, 'by another secret');
    is(called($ends, time => time + $_), 401, "of another time: $_") for -400, 400;
    is(called($ends, body => told('disconnect', 'bob')), 401, 'of another body');
    is(called($ends, signature => $_), 401, "no signature: $_") for '', 't=1', 't=1,v1=' . '0' x 64,
        't=' . time . ',v1=' . '0' x 63, 't=,v1=';
    is(called($ends, path => '/other'), 404, 'elsewhere');
    rename("$dir/gateway", "$dir/kept");
    spew("$dir/gateway", "\n");
    cmp_ok(called($ends, secret => ''), '>=', 400, 'by a secret that is none');
    rename("$dir/kept", "$dir/gateway");
    isnt(Ragline::HTTP::request(port => $app, path => '/callback')->status, 200, 'GET');
    return;
}

sub ends_once
{
    my ($log, $name) = @_;
    my $left = sub { scalar(() = slurp($log) =~ /\Q$_[0]\E left: client_closed/g) };
    my $ends = told('disconnect', 'carol');
    is(called($ends, key => qq("$name-1")), 200, 'an end') for 1 .. 3;
    is(called($ends, key => qq("$name-2")), 200, 'and another one');
    is(called(told('connect', 'carol')), 403, 'who may not come');
    is(called(told('connect', 'bob')), 200, 'who may');
    ok(wait_until(sub { $left->('carol') == 2 }), 'each end is heard once') or diag(slurp($log));
    return $left;
}

sub open_as
{
    my ($token, $path) = @_;
    return Ragline::SSE->open(port => $httpd->port, path => "/example/$path", wire => 'sse',
        token => $token, headers => ['X-User' => 'bob', Cookie => 'a=b']);
}

sub try_application
{
    my ($name, $start, @tool) = @_;
    my $log = vars('t_logs') . "/98-examples-$name-output_log";
    unlink($log);
    my $pid = spawn($log, @$start);
    ok(wait_until(sub { eval { Ragline::HTTP::connect_to(port => $app) } }), "$name: it runs")
        or diag(slurp($log));
    not_believed();
    my $left = ends_once($log, $name);

    my %token = map { my ($rv, $text) = run_command(@tool, 'token', $_); chomp $text; ($_ => $text) }
        qw(alice mallory);
    my $alice = open_as($token{alice}, 'sse');
    ok($alice->take('ready'), 'who has a token and may come has a stream') or diag($alice->body);
    my $news = open_as($token{alice}, 'news');
    ok($news->connected, 'and one for all');
    is(open_as($token{mallory}, 'sse')->take('rejected')->{data},
        '{"status":403,"message":"Forbidden"}', 'who may not is told so');
    is(open_as($token{$_} . 'x', 'sse')->wait(sub { $_[0]->status }), 401, 'a wrong token')
        for 'alice';

    my $text = qq(it's "$name");
    my $said = { to => 'alice', text => $text };
    is_deeply([run_command(@tool, 'say', 'alice', $text)], [0, ''], 'it says something');
    ok($alice->wait(sub { $_[0]->events > 1 }), 'which arrives');
    is_deeply(json_of(($alice->events)[1]{data}), { type => 'said', payload => $said }, 'as it is');
    is_deeply(json_of($news->take('said')->{data}), $said, 'and is published');
    is((run_command(@tool, 'say', 'bob', 'later'))[0], 0, 'to who is not there');
    my $bad = 'not an identity';
    my ($rv, $why) = run_command(@tool, 'say', $bad, 'x');
    ok($rv != 0, 'what is not sent');
    like($why, qr/not sent: 400/, 'is an error');
    ($rv, $why) = run_command('env', 'RAGLINE_HTTPD=127.0.0.1:' . free_port(), @tool, 'say', 'bob', 'x');
    ok($rv != 0, 'as is nobody there');
    my $others = Ragline::HTTP::request(port => $inside, path => '/send', method => 'POST',
        token => $token{alice}, body => '{}', headers => ['Content-Type' => 'application/json']);
    is($others->status, 401, 'nobody else may send');

    $alice->close;
    ok(wait_until(sub { $left->('alice') == 1 }), 'it hears who leaves') or diag(slurp($log));
    $news->close;
    stop_pid($pid);
    return;
}

try_application('php', ['php', '-S', "127.0.0.1:$app", "$examples/app.php"],
    'php', "$examples/app.php");
try_application('py', ['python3', "$examples/app.py"], 'python3', "$examples/app.py");
SKIP: {
    my ($none, $version) = run_command('node', '--version');
    skip('no Node.js 18 here', 1) if $none || $version !~ /^v(?:1[89]|[2-9]\d)\./;
    try_application('js', ['node', "$examples/app.js"], 'node', "$examples/app.js");
}
done_testing();
