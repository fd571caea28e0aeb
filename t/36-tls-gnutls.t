# SPDX-License-Identifier: Apache-2.0
#
# TLS by mod_gnutls: its streams keep their worker, say so, and work like others. Debian 12 and 13
# do not have the package, so RAGLINE_TEST_GNUTLS names the module.
#
# Only if set: RAGLINE_TEST_GNUTLS
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(free_port);
use Ragline::Test;

my $module = $ENV{RAGLINE_TEST_GNUTLS} // plan skip_all => 'RAGLINE_TEST_GNUTLS names no mod_gnutls.so';
my $redis = redis_a();
my $key = unique('ragline:gnutls');
my $port = free_port();

my $certificate = certificate('localhost');

my $httpd = Ragline::Httpd->new(name => 'main', threads => 8, loglevel => 'warn ragline_stream:info',
    conf => <<"EOF" . bearer_location('/stream', 'RaglineSubscribe orders', 'RaglineHandoff explain'))->start;
LoadModule gnutls_module $module
Listen 127.0.0.1:$port
RaglineRedis @{[ $redis->url ]}
RaglineStream orders $key
RaglineMaxPumps 3
RaglineDrain 1s
<Location /ragline-stats>
    SetHandler ragline-stats
    Require local
</Location>
<VirtualHost *:$port>
    ServerName localhost
    GnuTLSEnable on
    GnuTLSCertificateFile $certificate.pem
    GnuTLSKeyFile $certificate.key
</VirtualHost>
EOF

sub open_tls { return Ragline::SSE->open(port => $port, path => '/stream', token => token('t', 1), tls => 1, host => 'localhost', @_) }

sub publish
{
    my ($n) = @_;
    return $redis->xadd($key, tenant_id => 't', event_type => 'some', payload => "{\"n\":$n}");
}

my @streams = map { open_tls() } 1 .. 3;
ok(Ragline::SSE->wait_all(\@streams, sub { $_[0]->events }), 'three streams') or diag($httpd->log_tail);
is_deeply(stats($httpd)->{pumps}{by_cause}, { 'tls module' => { open => 3, opened => 3 } }, 'keep their workers');

my @ids = map { publish($_) } 1 .. 50;
ok(Ragline::SSE->wait_all(\@streams, sub { (grep { $_->{event} eq 'some' } $_[0]->events) >= 50 }), 'have their events');
is(has_ids(grep { $_->{event} eq 'some' } $_->events), "@ids", 'in order, once') for @streams;

my $large = $redis->xadd($key, tenant_id => 't', event_type => 'large', payload => '"' . 'y' x 300_000 . '"');
is(($streams[0]->take('large') // {})->{id}, $large, 'also one of many records');

{
    my $refused = open_tls();
    like(($refused->take('error') // {})->{data} // '', qr/"code":"over_limit"/, 'one more has no place');
    $refused->close;
}

$streams[0]->close;
ok(wait_until(sub { stats($httpd)->{pumps}{open} == 2 }), 'an end is noticed');
publish(51);
my $missed = publish(52);
my $again = open_tls(last_event_id => $large);
ok($again->wait(sub { grep { ($_->{id} // '') eq $missed } $_[0]->events }), 'who comes back has what it missed');
is($again->recovery, 'resumed', 'and is resumed');

is(($httpd->control('graceful'))[0], 0, 'graceful');
like(($streams[$_]->take('error') // {})->{data} // '', qr/"code":"draining"/, 'each is told to come back') for 1, 2;
$_->close for @streams[1, 2], $again;
my $back;
ok(wait_until(sub {
    $back = open_tls(last_event_id => $missed);
    $back->connected;
    $back->recovery eq 'resumed' || do { $back->close; 0 };
}), 'and can');
$back->close;

$httpd->stop;
my $log = $httpd->error_log;
my @said = $log =~ /\[pid (\d+).*RS0724: the TLS of this connection is not mod_ssl's/g;
my %once = map { $_ => 1 } @said;
cmp_ok(scalar(@said), '>=', 1, 'the log says why') or diag($log);
is(scalar(@said), scalar(keys %once), 'once in each child');
unlike($log, qr/exit signal|RS072[123]/, 'nothing has happened to the server');

done_testing();
