# SPDX-License-Identifier: Apache-2.0
#
# A client that changes its keys right behind its request, and says more: all of that is in httpd's
# filters when the stream leaves its worker, and none of it is lost.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use POSIX ();
use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(free_port run_command slurp spew);
use Ragline::Test;
use Ragline::WebSocket ();

my $redis = redis_a();
my $key = unique('ragline:keys');
my $dir = vars('run_dir') . "/keys-$$";
mkdir $dir or die "$dir: $!\n";
my $port = free_port();

my ($built, $output) = run_command('cc', '-o', "$dir/key_update", "$ENV{RAGLINE_TEST_SRCDIR}/t/key_update.c",
    '-lssl', '-lcrypto');
is($built, 0, 'a client that changes keys') or diag($output);
my $certificate = certificate('localhost');

my $httpd = Ragline::Httpd->new(name => 'keys', threads => 8, conf => <<"EOT"
Listen 127.0.0.1:$port
SSLSessionCache none
RaglineRedis @{[ $redis->url ]}
RaglineStream orders $key
<Location /ragline-stats>
    SetHandler ragline-stats
    Require local
</Location>
<VirtualHost *:$port>
    ServerName localhost
    SSLEngine on
    SSLCertificateFile $certificate.pem
    SSLCertificateKeyFile $certificate.key
</VirtualHost>
EOT
    . bearer_location('/stream', 'RaglineSubscribe orders')
    . websocket_location('/ws', 'RaglineSubscribe orders')
    . websocket_location('/pumped', 'RaglineSubscribe orders', 'RaglineHandoff off'))->start;

my $ping = Ragline::WebSocket::frame(Ragline::WebSocket::TEXT, '{"type":"ping"}');
my @upgrade = (Upgrade => 'websocket', Connection => 'Upgrade', 'Sec-WebSocket-Version' => 13,
    'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==');

my %changes = ('/stream' => ['40 mine', '5 both'], '/ws' => ['1 mine', '40 mine', '2 both', '5 both'],
    '/pumped' => ['1 mine']);

for my $path (sort keys %changes) {
    for my $change (@{ $changes{$path} }) {
        my ($times, $whose) = split / /, $change;
        my $log = spew("$dir/log", '');
        my $more = $path eq '/stream' ? 'what is said on a stream means nothing' : $ping;
        my $request = Ragline::HTTP::request_bytes(port => 443, host => 'localhost', path => $path,
            token => token('t', 1), headers => $path eq '/stream' ? [] : \@upgrade);
        my $pid = open(my $in, '|-') // die "fork: $!\n";
        if (!$pid) {
            open(STDOUT, '>', $log);
            exec("$dir/key_update", $port, $times, $whose, spew("$dir/first", $request),
                spew("$dir/second", $more)) or POSIX::_exit(1);
        }
        $in->autoflush(1);
        my $has = sub { my ($n, $what) = @_; wait_until(sub { (() = slurp($log) =~ /$what/g) >= $n }) };
        if ($path eq '/stream') {
            ok($has->(1, 'event: connected'), "$path, keys changed: $change") or diag(slurp($log));
        }
        else {
            ok($has->(1, '"pong"'), "$path, keys changed: $change: what comes behind is heard")
                or diag(slurp($log));
        }
        syswrite($in, $more);
        $redis->xadd($key, tenant_id => 't', event_type => "n$times$whose", payload => '{}');
        ok($has->(1, "n$times$whose") && ($path eq '/stream' || $has->(2, '"pong"')), 'and what comes later')
            or diag(slurp($log));
        unlike(slurp($log), qr/\[ended\]/, 'it lives');
        close($in);
        open_count_becomes($httpd, 0, 'and ends');
    }
}

$httpd->stop;
unlike($httpd->error_log, qr/exit signal|RS072/, 'nothing has happened to the server');
done_testing();
