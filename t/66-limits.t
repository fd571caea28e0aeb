# SPDX-License-Identifier: Apache-2.0
#
# How many streams a tenant and a user may have on this node, and what each connection is called:
# over all endpoints, wires and children, exactly, also after a child was killed.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Redis ();
use Ragline::SSE ();
use Ragline::Test;
use Ragline::WebSocket ();

my $redis = Ragline::Redis->start(name => 'limits');
my $key = 'ragline:stream:orders';
my $httpd = Ragline::Httpd->new(children => 2, conf => <<"EOF"
RaglineRedis @{[ $redis->url ]}
RaglineStream orders $key
RaglineDrain 0
RaglineLimit tenant=4 user=2
<Location /ragline-stats>
    SetHandler ragline-stats
    Require local
</Location>
EOF
    . bearer_location('/stream', 'RaglineSubscribe orders', 'RaglineRetry 700ms',
        'RaglineWires sse ndjson poll')
    . bearer_location('/other', 'RaglineSubscribe orders', 'RaglineHandoff off')
    . bearer_location('/tight', 'RaglineSubscribe orders', 'RaglineLimit user=1')
    . bearer_location('/free', 'RaglineSubscribe orders', 'RaglineLimit tenant=none user=none')
    . websocket_location('/ws', 'RaglineSubscribe orders'))->start;

my $id = qr/[a-z2-7]{8}-[a-z2-7]{32}/;

sub open_as
{
    my ($path, $tenant, $user, %more) = @_;
    my $class = $path eq '/ws' ? 'Ragline::WebSocket' : 'Ragline::SSE';
    return $class->open(port => $httpd->port, path => $path, token => token($tenant, $user), %more);
}

# What somebody is told who comes: an id, or a code.
sub verdict
{
    my ($stream) = @_;
    $stream->wait(sub { $_[0]->events > 0 });
    my $data = json_of(($stream->events)[0]{data} // 'null') // {};
    return $data->{connection} // $data->{code} // 'nothing';
}

sub refused { return stats($httpd)->{refused} }

# --- what they are called ------------------------------------------------------------------------

my $tenant = unique('t');
my $sse = open_as('/stream', $tenant, 'a');
like(verdict($sse), qr/^$id$/, 'SSE: connected says what the connection is called');
like($sse->connected->{data}, qr/"recovery":"new","connection":"$id"\}$/, 'behind all else');
my $lines = open_as('/stream', $tenant, 'b', wire => 'ndjson');
like(verdict($lines), qr/^$id$/, 'NDJSON, too');
my $ws = open_as('/ws', $tenant, 'c');
my $hello = $ws->take('connected')->{data};
like($hello->{connection}, qr/^$id$/, 'WebSocket, too');
is($hello->{client_id}, $hello->{connection}, 'and the same as client_id');
isnt(verdict($sse), verdict($lines), 'each has its own');
is(substr(verdict($sse), 0, 8), substr($hello->{connection}, 0, 8), 'of the same node');
my $poll = $httpd->request(path => '/stream?wait=0', token => token($tenant, 'd'),
    headers => [Accept => 'application/json']);
like($poll->body, qr/"connection":"$id"/, 'long poll, too');

# --- how many ------------------------------------------------------------------------------------

my $pumped = open_as('/other', $tenant, 'a');
like(verdict($pumped), qr/^$id$/, 'the second one of a user, on another endpoint, in its worker');
my $third = open_as('/stream', $tenant, 'a');
is(verdict($third), 'over_limit', 'user=2: the third one is refused');
is($third->status, 200, 'so that it comes back');
is($third->retry, 700, 'after RaglineRetry');
like(($third->events)[0]{data},
    qr/"message":"Stream failed","error":"this user has too many streams open"/, 'and is told why');
$third->wait_end;
is(verdict(open_as('/stream', $tenant, 'e')), 'over_limit', 'tenant=4: the fifth one is refused');
my $refused_ws = open_as('/ws', $tenant, 'e');
is($refused_ws->take('error')->{code}, 'over_limit', 'as a WebSocket');
is($refused_ws->wait_close, '1013 over_limit', 'with 1013');
my $honest = $httpd->request(path => '/stream', token => token($tenant, 'e'),
    headers => [Accept => 'application/json']);
is($honest->status, 503, 'a long poll: 503');
is($honest->json->{error}, 'over_limit', 'over_limit');
cmp_ok($honest->header('Retry-After'), '>', 0, 'and when to come again');
my $counted = refused();
is($counted->{user_limit}, 1, 'counted: by user');
is($counted->{tenant_limit}, 3, 'and by tenant');
like($httpd->error_log,
    qr/RS0741: streams are refused for now, user_limit: RaglineLimit user=: raise it if/,
    'and said in the log');
like($httpd->error_log, qr/RS0741: streams are refused for now, tenant_limit: RaglineLimit tenant=/,
    'of the tenant, too');
my $stranger = open_as('/stream', unique('t'), 'a');
like(verdict($stranger), qr/^$id$/, 'another tenant is not touched');
$stranger->close;

# --- those who go --------------------------------------------------------------------------------

$ws->send_close(1000);
$ws->wait_close;
my $next = open_as('/stream', $tenant, 'e');
like(verdict($next), qr/^$id$/, 'one has gone, the next one comes');
$_->close for $pumped, $next;
open_count_becomes($httpd, 2, 'two more are gone');
my $again = open_as('/stream', $tenant, 'a');
like(verdict($again), qr/^$id$/, 'a second one of the user again');

# --- each location its own -----------------------------------------------------------------------

is(verdict(open_as('/tight', $tenant, 'b')), 'over_limit',
    'a location may allow less, over all endpoints');
my @free = map { open_as('/free', $tenant, 'a') } 1 .. 3;
like(verdict($_), qr/^$id$/, 'none: no limit') for @free;
is(verdict(open_as('/stream', $tenant, 'f')), 'over_limit', 'but they count');
$_->close for @free;
open_count_becomes($httpd, 3, 'three are left');

# --- children that die ---------------------------------------------------------------------------

is(verdict(open_as('/stream', $tenant, 'a')), 'over_limit', 'the user is full');
kill(KILL => map { $_->{pid} } grep { $_->{connections} } @{ stats($httpd)->{children} });
$_->wait_end for $sse, $again, $lines;
my $back;
ok(wait_until(sub { verdict($back = open_as('/stream', $tenant, 'a')) =~ /^$id$/ }),
    'children were killed, and what they had counts no more');
my $second = open_as('/stream', $tenant, 'a');
like(verdict($second), qr/^$id$/, 'two again');
is(verdict(open_as('/stream', $tenant, 'a')), 'over_limit', 'exactly');
is(substr(verdict($back), 0, 8), substr($hello->{connection}, 0, 8), 'it is still the same node');

# --- a new configuration -------------------------------------------------------------------------

$httpd->write_conf($httpd->{conf} =~ s/tenant=4 user=2/tenant=4 user=3/r
        . "RaglineMaxConnections 100\n");
$httpd->graceful;
$_->wait_end for $back, $second;
my @three = map { open_as('/stream', $tenant, 'a') } 1 .. 3;
is(scalar(grep { verdict($_) =~ /^$id$/ } @three), 3, 'after a reload: user=3');
is(verdict(open_as('/stream', $tenant, 'a')), 'over_limit', 'and no more');

done_testing();
