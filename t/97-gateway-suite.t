# SPDX-License-Identifier: Apache-2.0
#
# SSEGateway's own suite (jest) with httpd in the place of its server: t/peers/ssegateway.mjs asks
# for an httpd with the settings of each case, and what its connections are. The suite is in no
# registry, so RAGLINE_TEST_SSEGATEWAY names a directory with it, and with what it needs.
#
# Only if set: RAGLINE_TEST_SSEGATEWAY
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use IO::Handle ();
use JSON::PP ();
use POSIX ();
use Test::More;

use Ragline::Backend ();
use Ragline::Httpd ();
use Ragline::HTTP ();
use Ragline::Peers qw(peer_script);
use Ragline::Proc qw(slurp spawn);
use Ragline::Redis ();
use Ragline::SSE ();
use Ragline::Test;

plan skip_all => 'the same on every MPM' if vars('mpm') ne 'event';
my $suite = $ENV{RAGLINE_TEST_SSEGATEWAY} // '';
-e "$suite/node_modules/jest/bin/jest.js" or plan skip_all =>
    'RAGLINE_TEST_SSEGATEWAY is no directory with SSEGateway, its suite, and what that needs';

# It sleeps for most of its time.
alarm(1800 * ($ENV{RAGLINE_TEST_SLOW} || 1));

# As many as there were, without those of RabbitMQ.
my $CASES = 89;
# What is otherwise on purpose: by what the case fails, and why.
my $no_transform = [qr/Received: "no-cache, no-transform"/, 'Cache-Control says no-transform, too'];
my %otherwise = (
    (map { ("sends rejected event + closes stream when callback returns $_" => $no_transform) } 400, 401, 403),
    'GET /readyz should return 503 when RabbitMQ is configured but not connected' =>
        [qr/Expected: 503\s+Received: 200/, 'there is no RabbitMQ'],
    'should store correct connection metadata in Map' =>
        [qr/reading 'url'/, 'only the back end is shown the request'],
    'should handle complete lifecycle: connect → heartbeat → event → close (older)' =>
        [qr/toBeDefined\(\)/, 'a close is answered before the back end is told'],
);

my $json = JSON::PP->new->utf8->canonical;
# Back ends that are gone are not for others to be told.
my $redis = Ragline::Redis->start(name => 'gateway-suite');
my $backend = Ragline::Backend->start;
my $dir = vars('run_dir') . "/suite-$$";
mkdir($dir) or die "$dir: $!\n";

# --- httpd, as docs/SSEGATEWAY.md has it ----------------------------------------------------------

sub conf
{
    my ($callback, $heartbeat, $older) = @_;
    my $protocol = $older ? "RaglineGatewayDialect 2026-01\nRaglineGatewayLimit concurrent=1" : '';
    my $streams = 'LocationMatch "^/(?!internal/|healthz|readyz)"';
    # httpd does not start without a callback, unless there could be one.
    $streams = q(If "%{REQUEST_URI} !~ m#^/(internal/|healthz|readyz)#") if !$callback;
    $callback = $callback ? "RaglineGatewayCallback $callback" : '';
    return <<"EOF";
RaglineRedis @{[ $redis->url ]}
RaglineDrain 0
$protocol
<$streams>
    SetHandler ragline-gateway
    RaglineProfile sse
    $callback
    RaglineHeartbeat $heartbeat
    RaglineOrigins *
</@{[ $streams =~ /(\w+)/ ]}>
<Location /internal/send>
    SetHandler ragline-gateway-send
    Require local
</Location>
<Location /healthz>
    SetHandler ragline-gateway-health
</Location>
<Location /readyz>
    SetHandler ragline-gateway-health
    $callback
</Location>
<Location /internal/elsewhere>
    RaglineGatewayCallback http://127.0.0.1:1/
</Location>
<Location /internal/admin>
    SetHandler ragline-admin
    RaglineAdmin all
    Require local
</Location>
<Location /internal/stats>
    SetHandler ragline-stats
    Require local
</Location>
EOF
}

sub httpd { return Ragline::Httpd->new(processes => 1, children => 1, conf => conf(@_)) }

my $formats = httpd($backend->url, 'off')->start;
my $app = httpd(undef, 'off');

sub post
{
    my ($httpd, $body) = @_;
    return $httpd->request(path => '/internal/send', method => 'POST', body => $json->encode($body),
        headers => ['Content-Type' => 'application/json']);
}

# --- what the suite asks --------------------------------------------------------------------------

my %answer = (
    # The one before is not asked for any more.
    app => sub {
        my ($asked) = @_;
        $app->stop;
        # Some of the older ones expect that callbacks come in the order of requests.
        $app->{threads} = $asked->{older} ? 1 : 16;
        $app->write_conf(conf($asked->{callback}, "$asked->{heartbeat}s", $asked->{older}));
        $app->start;
        return { url => 'http://127.0.0.1:' . $app->port };
    },
    connections => sub {
        my $list = $app->request(path => '/internal/admin/connections?limit=1000')->json;
        my $stats = stats($app, '/internal/stats');
        return { there => scalar @{ $list->{connections} }, open => $stats->{gateway}{opened} };
    },
    # Nothing is sent, and the answer says how it would be.
    state => sub {
        my ($asked) = @_;
        my $response = post($app, { token => $asked->{token} });
        my %state = (ok => 'open', buffered => 'waiting');
        return { state => $response->status == 404 ? 'gone' : $state{ $response->json->{status} } };
    },
    # As they came, behind `ready`.
    format => sub {
        my ($asked) = @_;
        my $path = '/sse/' . unique('format');
        my $stream = Ragline::SSE->open(port => $formats->port, path => $path, wire => 'sse');
        $stream->take('ready');
        my $before = length $stream->body;
        my $token = $backend->connect_of($path)->{body}{token};
        post($formats, { token => $token, event => $asked->{event}, close => JSON::PP::true });
        $stream->wait(sub { $_[0]->ended });
        return { bytes => substr $stream->body, $before };
    },
);

sub answer_to
{
    my ($asked) = @_;
    my $answer = eval { $answer{ $asked->{what} }->($asked) };
    return $answer // { error => "$@" };
}

# --- the suite ------------------------------------------------------------------------------------

my %pipe;
for my $name (qw(ASKS ANSWERS)) {
    POSIX::mkfifo("$dir/$name", 0600) or die "$dir/$name: $!\n";
    # Both directions, so that neither side waits for the other to open it.
    open($pipe{$name}, '+<', "$dir/$name") or die "$dir/$name: $!\n";
    $pipe{$name}->autoflush(1);
    $ENV{"RAGLINE_SUITE_$name"} = "$dir/$name";
}
$ENV{RAGLINE_SUITE} = $suite;
$ENV{RAGLINE_SUITE_SLOW} = 4 * ($ENV{RAGLINE_TEST_SLOW} || 1);
my $log = vars('t_logs') . '/97-gateway-suite-jest_log';
my $jest = spawn($log, 'env', '-C', $suite, 'node', '--experimental-vm-modules', 'node_modules/jest/bin/jest.js',
    '--config', peer_script('ssegateway_jest.mjs'), '--json', "--outputFile=$dir/result");

my $asked = '';
until (waitpid($jest, POSIX::WNOHANG()) == $jest) {
    vec(my $ready = '', fileno($pipe{ASKS}), 1) = 1;
    next if select($ready, undef, undef, 0.5) <= 0;
    sysread($pipe{ASKS}, $asked, 65536, length $asked);
    print { $pipe{ANSWERS} } $json->encode(answer_to($json->decode($1))), "\n"
        while $asked =~ s/\A(.*)\n//;
}

my $result = eval { $json->decode(slurp("$dir/result")) };
ok($result, 'the suite has run') or diag(slurp($log));
my @cases = map { @{ $_->{assertionResults} } } @{ $result->{testResults} // [] };
cmp_ok(scalar @cases, '>=', $CASES, 'all of it') or diag(slurp($log));
for my $case (@cases) {
    my $name = $case->{fullName};
    my $said = join '', map { s/\e\[\d+m//gr } @{ $case->{failureMessages} };
    utf8::encode($_) for $name, $said;
    my ($other) = map { $otherwise{$_} } grep { $name =~ /\Q$_\E\z/ } keys %otherwise;
    if ($other) {
        like($said, $other->[0], "$name: otherwise, since $other->[1]");
    }
    else {
        is($case->{status}, 'passed', $name) or diag($said);
    }
}
$_->stop for $app, $formats;
done_testing();
