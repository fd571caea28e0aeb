# SPDX-License-Identifier: Apache-2.0
#
# Alive, ready, and the numbers by which a silent stream explains itself.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Redis ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'private');
my $key = 'ragline:stream:orders';
# An entry from before anybody looked.
$redis->xadd($key, tenant_id => 'early', event_type => 'x', payload => '{}');

my $httpd = Ragline::Httpd->new(conf => <<"EOF"
RaglineRedis @{[ $redis->url ]}
RaglineStream orders $key
RaglineStream idle ragline:stream:idle
RaglineDrain 1s
RaglineMaxMessage 100KB
<Location /health>
    SetHandler ragline-health
</Location>
<Location /ragline-stats>
    SetHandler ragline-stats
    Require local
</Location>
EOF
    . bearer_location('/stream', 'RaglineSubscribe orders', 'RaglineHeartbeat off',
        'RaglineEvents a*')
    . bearer_location('/idle', 'RaglineSubscribe idle', 'RaglineHeartbeat off'))->start;

SKIP: {
    skip 'prefork reads streams only in children that have one', 1 if vars('mpm') eq 'prefork';
    ok(wait_until(sub { $httpd->request(path => '/health')->status == 200 }),
        'ready soon after the start');
}

# --- what is there ------------------------------------------------------------------------------

is($httpd->request(path => "/ragline-stats$_->[0]")->status, $_->[1],
    "the statistics, $_->[0]: $_->[1]") for ['', 200], ['/', 200], ['/x', 404], ['/x/live', 404];
is($httpd->request(path => "/health$_")->status, 404, "the health check, $_: 404")
    for '/x', '/x/live', '/live/x', '/ready/', '/livelive';
like($httpd->request(path => "/health$_")->status, qr/^(?:200|503)$/, "the health check, $_")
    for '', '/', '/live', '/ready';

# --- health -------------------------------------------------------------------------------------

sub health
{
    my ($path, $want, $ready) = @_;
    my $response = $httpd->request(path => $path);
    is($response->status, $want, "$path is $want");
    like($response->header('content-type') // '', qr{^application/json}, 'in JSON');
    like($response->header('cache-control') // '', qr/no-(?:cache|store)/, 'kept by no cache');
    my $json = $response->json;
    ok(defined($json->{ready}) && !!$json->{ready} == $ready, 'and says whether it is ready')
        if defined $ready;
    return $json;
}

SKIP: {
    skip 'prefork reads streams only in children that have one', 9 if vars('mpm') eq 'prefork';
    health('/health', 200, 1);
    health('/health/live', 200);
    is($httpd->request(path => '/health', method => 'HEAD')->status, 200, 'HEAD works');
}
is($httpd->request(path => '/health', method => 'POST', body => 'x')->status, 405, 'POST does not');

# --- statistics ---------------------------------------------------------------------------------

my $first = stats($httpd);
is_deeply([sort keys %$first], [qw(accepted children connections fetches pumps redis refused
    streams)],
    'the statistics');
is(stats_connections($first), 0, 'no stream is open');
ok(stats_stream($first, 'orders'), 'the stream is there by its name');
ok(stats_stream($first, 'idle'), 'also one without traffic');

my @streams = map { $httpd->stream($_->[0], token => token($_->[1], 1)) }
    ['/stream', 'a'], ['/stream', 'a'], ['/stream', 'b'], ['/idle', 'a'];
$_->connected for @streams;
ok(wait_until(sub { stats_connections(stats($httpd)) == 4 }), 'four are open');

my $base = stats_stream(stats($httpd), 'orders');
sub add { return $redis->xadd($key, @_) }
add(tenant_id => 'a', event_type => 'a1', payload => '{}') for 1 .. 10;      # 20 deliveries
add(tenant_id => 'b', event_type => 'a1', payload => '{}') for 1 .. 5;       # 5
add(tenant_id => 'a', event_type => 'other', payload => '{}') for 1 .. 3;    # filtered, twice each
add(tenant_id => 'nobody', event_type => 'a1', payload => '{}') for 1 .. 7;
add(event_type => 'a1', payload => '{}') for 1 .. 4;
add(tenant_id => 'bad name', event_type => 'a1', payload => '{}') for 1 .. 2;
add(tenant_id => 'a', event_type => 'bad type', payload => '{}');
add(tenant_id => 'a', event_type => 'a1', payload => 'x' x 200_000);
my $last = add(tenant_id => 'a', event_type => 'aend', payload => '{}');     # 2
my $orders;
ok(wait_until(sub {
    $orders = stats_stream(stats($httpd), 'orders');
    ($orders->{last_id} // '') eq $last && $orders->{delivered} - $base->{delivered} >= 27
}), 'the statistics know the last id');
SKIP: {
    skip 'prefork counts each child that reads', 7 if vars('mpm') eq 'prefork';
    is($orders->{read} - $base->{read}, 34, 'every entry was read');
    is($orders->{delivered} - $base->{delivered}, 27,
        'an entry sent to two connections counts two');
    my %skipped = map { $_ => $orders->{skipped}{$_} - $base->{skipped}{$_} }
        keys %{ $orders->{skipped} };
    is($skipped{no_subscriber}, 7, 'skipped: nobody of that tenant is connected');
    is($skipped{no_tenant}, 4, 'skipped: no tenant');
    is($skipped{bad_tenant}, 2, 'skipped: no valid tenant');
    is($skipped{bad_type}, 1, 'skipped: no valid type');
    is($skipped{too_big}, 1, 'skipped: over RaglineMaxMessage');
}
my @warnings = $httpd->error_log =~ /^.*\bskipped\b.*$/mg;
is(scalar(grep { /no_tenant/ } @warnings), 1, 'the log has the first skip of a kind, and no other')
    if vars('mpm') ne 'prefork';

$_->close for @streams;
ok(wait_until(sub { stats_connections(stats($httpd)) == 0 }), 'none is open any more');
my $again = stats_stream(stats($httpd), 'orders');
cmp_ok($again->{read}, '>=', $orders->{read}, 'counters stay');

# --- without Redis ------------------------------------------------------------------------------

$redis->stop;
ok(wait_until(sub { $httpd->request(path => '/health')->status == 503 }),
    'Redis is down: not ready');
health('/health', 503, 0);
health('/health/live', 200);
my ($state) = @{ stats($httpd)->{redis} };
is($state->{state}, 'down', 'the statistics say so, too');
is($state->{url}, $redis->url . '?db=0', 'and of which Redis');
$redis->start_again;
ok(wait_until(sub { stats($httpd)->{redis}[0]{state} eq 'up' }),
    'Redis is back: the statistics know') if vars('mpm') ne 'prefork';
ok(wait_until(sub { $httpd->request(path => '/health')->status == 200 }), 'and ready again')
    if vars('mpm') ne 'prefork';

done_testing();
