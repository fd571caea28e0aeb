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

# --- settings of Redis that put events at risk ----------------------------------------------------

{
    my $admin = $redis->client;
    my $risks = sub { return join ' ', @{ $httpd->request(path => '/health')->json->{redis_risks} // ['?'] } };
    my $in_stats = sub { return join ' ', @{ (stats($httpd)->{redis}[0] // {})->{risks} // ['?'] } };
    is($risks->(), '', 'health: Redis is set well');
    is($in_stats->(), '', 'in the statistics, too');
    $admin->config('set', 'maxmemory', 100 << 20);
    is($risks->(), '', 'a limit of memory alone is no risk');
    $admin->config('set', 'maxmemory-policy', 'volatile-lru');
    is($risks->(), 'maxmemory-policy', 'event_ids may be forgotten');
    ok(wait_until(sub { $risks->(); $in_stats->() eq 'maxmemory-policy' }), 'in the statistics, too');
    like($httpd->error_log, qr/ragline_stream:notice.* RS0457: Redis at \S+, maxmemory-policy: .*noeviction/,
        'the log says what to do');
    $risks->() for 1 .. 5;
    is(scalar(() = $httpd->error_log =~ /RS0457/g), 1, 'once');
    $admin->config('set', 'maxmemory-policy', 'allkeys-lfu');
    is($risks->(), 'maxmemory-policy', 'so may streams');
    like($httpd->error_log, qr/RS0457: [^\n]*deletes whole streams/, 'which is another danger');
    is($httpd->request(path => '/health')->status, 200, 'it is ready all the same')
        if vars('mpm') ne 'prefork';
    $admin->config('set', 'maxmemory-policy', 'noeviction');
    $admin->config('set', 'appendonly', 'no');
    is($risks->(), 'appendonly', 'no append-only file');
    $admin->config('set', 'maxmemory', 0);
    $admin->config('set', 'appendonly', 'yes');
    is($risks->(), '', 'all is well again');
    $admin->acl('setuser', 'default', '-info');
    $admin->config('set', 'maxmemory', 100 << 20);
    $admin->config('set', 'maxmemory-policy', 'volatile-lru');
    is($risks->(), '', 'a Redis that does not say so');
    is($httpd->request(path => '/health')->status, 200, 'is no worse for that')
        if vars('mpm') ne 'prefork';
    $admin->acl('setuser', 'default', '+info');
    $admin->config('set', 'maxmemory-policy', 'noeviction');
    $admin->config('set', 'maxmemory', 0);
}

# At the start, by whichever child is first; nobody has asked for anything.
{
    my $careless = Ragline::Redis->start(name => 'careless', args => ['--appendonly', 'no']);
    my $idle = Ragline::Httpd->new(name => 'careless', children => 2, conf => "RaglineRedis " . $careless->url
        . "\nRaglineStream orders $key\n" . bearer_location('/stream', 'RaglineSubscribe orders'))->start;
    ok(wait_until(sub { $idle->error_log =~ /RS0457: Redis at \S+, appendonly: .*set appendonly yes/ }),
        'said when httpd starts');
    # Both children have had a look before this one.
    my $again = $idle->graceful && wait_until(sub { 2 == (() = $idle->error_log =~ /RS0457/g) });
    ok($again, 'and when it is restarted') or diag($idle->log_tail);
    $idle->stop;
    is(scalar(() = $idle->error_log =~ /RS0457/g), 2, 'once each time');
}

# --- statistics ---------------------------------------------------------------------------------

my $first = stats($httpd);
is_deeply([sort keys %$first], [qw(accepted children connections fetches gateway pumps redis refused
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
