# SPDX-License-Identifier: Apache-2.0
#
# OCSP stapling: the client is shown what its certificate's authority says of it, and its stream leaves
# its worker with such a session, too; also through a graceful restart, which takes down what stapled.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(free_port run_command slurp spawn spew stop_pid);
use Ragline::Test;
use Ragline::TLS ();

plan skip_all => 'streams keep their worker with prefork' if vars('mpm') eq 'prefork';

my $redis = redis_a();
my $key = unique('ragline:stapling');
my $dir = vars('run_dir') . "/stapling-$$";
mkdir $dir or die "$dir: $!\n";
my ($port, $responder_port) = (free_port(), free_port());

sub openssl
{
    my ($name, @arguments) = @_;
    my ($status, $output) = run_command('openssl', @arguments);
    is($status, 0, $name) or diag($output);
    return;
}

# An authority, and a certificate that names its responder.
openssl('an authority', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', 2, '-subj', '/CN=authority',
    '-keyout', "$dir/ca.key", '-out', "$dir/ca.pem");
openssl('a request', 'req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost',
    '-keyout', "$dir/host.key", '-out', "$dir/host.csr");
spew("$dir/host.ext", "authorityInfoAccess = OCSP;URI:http://127.0.0.1:$responder_port/\n");
openssl('a certificate', 'x509', '-req', '-in', "$dir/host.csr", '-CA', "$dir/ca.pem", '-CAkey',
    "$dir/ca.key", '-set_serial', '0x1000', '-days', 2, '-extfile', "$dir/host.ext", '-out', "$dir/host.pem");
spew("$dir/chain.pem", slurp("$dir/host.pem") . slurp("$dir/ca.pem"));
spew("$dir/index", "V\t351231235959Z\t\t1000\tunknown\t/CN=localhost\n");
my $responder = spawn("$dir/responder.log", 'openssl', 'ocsp', '-index', "$dir/index", '-port', $responder_port,
    '-rsigner', "$dir/ca.pem", '-rkey', "$dir/ca.key", '-CA', "$dir/ca.pem", '-ndays', 1);
END { stop_pid($responder) if $responder }
ok(wait_until(sub { slurp("$dir/responder.log") =~ /waiting for OCSP client/i }), 'a responder')
    or diag(slurp("$dir/responder.log"));

my $httpd = Ragline::Httpd->new(name => 'stapling', threads => 8,
    loglevel => 'warn ragline_stream:info', conf => <<"EOT"
Listen 127.0.0.1:$port
SSLSessionCache none
SSLStaplingCache shmcb:\@ROOT\@/stapling(65536)
RaglineRedis @{[ $redis->url ]}
RaglineStream orders $key
RaglineDrain 60s
<Location /ragline-stats>
    SetHandler ragline-stats
    Require local
</Location>
<VirtualHost *:$port>
    ServerName localhost
    SSLEngine on
    SSLCertificateFile $dir/chain.pem
    SSLCertificateKeyFile $dir/host.key
    SSLUseStapling on
</VirtualHost>
EOT
    . bearer_location('/stream', 'RaglineSubscribe orders', 'RaglineHandoff explain'))->start;

# A client with a stream: Ragline::TLS asks for the status.
sub client
{
    my ($version) = @_;
    my $tls = Ragline::TLS->new(port => $port, version => $version);
    ok($tls->{stapled}, "TLS $version: the certificate is good by what was stapled");
    $tls->record(Ragline::HTTP::request_bytes(port => 443, host => 'localhost', path => '/stream',
        token => token('t', 1), headers => [Accept => 'text/event-stream']));
    $tls->send;
    ok($tls->read_until(qr/^: handed over$/m), 'and its stream left its worker') or diag($tls->{in});
    return $tls;
}

sub publish { return $redis->xadd($key, tenant_id => 't', event_type => 'news', payload => '{}') }

my @clients = map { client($_) } 1.2, 1.3;
my $id = publish();
ok($_->read_until(qr/^id: \Q$id\E$/m), 'it gets an event') for @clients;
is_deeply(stats($httpd)->{pumps}{by_cause}, {}, 'no worker was kept');

ok($httpd->graceful, 'a graceful restart');
$id = publish();
ok($_->read_until(qr/"code":"draining"|^id: \Q$id\E$/m), 'after which it goes on, or is told to come again')
    for @clients;
my $later = client(1.3);
$id = publish();
ok($later->read_until(qr/^id: \Q$id\E$/m), 'as does who comes afterwards');
$_->close for @clients, $later;
open_count_becomes($httpd, 0, 'their ends are noticed');

# What is no more: without the responder there is nothing to staple, and streams work.
stop_pid($responder);
undef $responder;
ok($httpd->graceful, 'a restart, when the responder is gone');
my $tls = Ragline::TLS->new(port => $port);
ok(!$tls->{stapled}, 'nothing is stapled');
$tls->close;

$httpd->stop;
unlike($httpd->error_log, qr/exit signal|AH00046/, 'nobody crashed or had to be killed');
done_testing();
