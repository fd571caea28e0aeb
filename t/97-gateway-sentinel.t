# SPDX-License-Identifier: Apache-2.0
#
# The gateway behind sentinels: the master is killed, and told to fail over. Sends to other nodes,
# identities, what is kept and what back ends are to be told go on with the next one.
# Only if full
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;

use Ragline::Backend ();
use Ragline::Httpd ();
use Ragline::HTTP ();
use Ragline::Sentinel ();
use Ragline::SSE ();
use Ragline::Test;

my ($first, $second) = Ragline::Sentinel->redis_pair(name => 'gateway');
my $sentinel = Ragline::Sentinel->start(name => 'gateway', master => $first);
my $backend = Ragline::Backend->start;
my $conf = <<"EOF";
RaglineRedis @{[ $sentinel->url ]} master=$Ragline::Sentinel::NAME
RaglineRedisPool timeout=500ms
RaglineDrain 0
RaglineGatewayCallback @{[ $backend->url ]}
RaglineGatewayTimeout 1s
RaglineHeartbeat off
<Location /known>
    SetHandler ragline-gateway
    RaglineIdentity %{ragline_query:id}
</Location>
<Location /send>
    SetHandler ragline-gateway-send
    RaglineIdentityKeep 1h
    Require local
</Location>
EOF
my ($one, $two) = map { Ragline::Httpd->new(name => $_, children => 2, conf => $conf)->start } qw(one two);

my $n = 0;
# As a browser does: while Redis is away who has an identity is sent away, to come again.
sub ready
{
    my ($node, $id) = @_;
    my $stream;
    ok(wait_until(sub {
        my $path = "/known?id=$id&n=" . ++$n;
        $stream = Ragline::SSE->open(port => $node->port, path => $path, wire => 'sse');
        $stream->{path} = $path;
        $stream->wait(sub { $_[0]->ended || grep { $_->{event} eq 'ready' } $_[0]->events });
        return !$stream->ended;
    }, 60), "$id is open");
    $stream->{token} = $backend->connect_of($stream->{path})->{body}{token};
    return $stream;
}

sub sent
{
    my ($node, %body) = @_;
    my $response = Ragline::HTTP::request(port => $node->port, path => '/send', method => 'POST',
        body => JSON::PP->new->utf8->encode(\%body), headers => ['Content-Type' => 'application/json']);
    my $said = $response->json // {};
    return $response->status . ' ' . ($said->{status} // $said->{error}{code} // '');
}

# Until it is; what was answered before is true: it was not sent, or nobody knows.
sub sent_at_last
{
    my ($name, $stream, $node, %body) = @_;
    my %said;
    ok(wait_until(sub { my $said = sent($node, %body); $said{$said}++; $said eq '200 ok' }, 60, 0.1),
        "$name: sent");
    is(join(' ', grep { !/^(?:200 ok|503 (?:REDIS_UNAVAILABLE|SEND_UNKNOWN)|500 WRITE_FAILED)$/ } sort keys %said),
        '', "$name: nobody was taken for gone");
    my $data = $body{event}{data};
    ok($stream->wait(sub { grep { $_->{data} eq $data } $_[0]->events }), "$name: arrived");
    return;
}

sub goes_on
{
    my ($name, $here, $there) = @_;
    sent_at_last("$name, token", $there, $one, token => $there->{token}, event => { data => "$name 1" });
    sent_at_last("$name, identity", $here, $two, identity => 'here', event => { data => "$name 2" });
    is(scalar(grep { $_->ended } $here, $there), 0, "$name: streams stay open");
    is($backend->count_of($_->{path}, 'disconnect'), 0, "$name: nobody was told of an end") for $here, $there;
    return;
}

# Sentinels cut all connections of a server whose role they change.
sub left
{
    my ($redis) = @_;
    my $left = eval { scalar map { $redis->client->hkeys($_) } $redis->client->keys('ragline:gateway:ends:*') };
    delete $redis->{client} if !defined $left;
    return $left // -1;
}

my ($here, $there) = (ready($one, 'here'), ready($two, 'there'));
goes_on('at first', $here, $there);
is(sent($one, identity => 'late', event => { data => 'kept' }), '200 buffered', 'something is kept');
my $owed = ready($one, 'owed');
ok(wait_until(sub { left($first) == 3 }), 'what is open is known');
my $port = $backend->port;
$backend->stop;
$owed->close;
ok(wait_until(sub { $one->error_log =~ /RS1102: callbacks fail/ }), 'an end that cannot be told');
Ragline::Sentinel::in_sync($first, $second);
$first->stop('KILL');
$backend = Ragline::Backend->start(port => $port);
ok(wait_until(sub { $backend->count_of($owed->{path}, 'disconnect') }, 60), 'is told when the back end is there');
goes_on('killed', $here, $there);
ok(wait_until(sub { left($second) == 2 }, 60), 'the new master knows who is there') or diag(left($second));
my $late = ready($two, 'late');
is(($late->events)[0]{data}, 'kept', 'and what was kept');
my $instead = ready($two, 'here');
ok($here->wait(sub { $_[0]->ended }), 'another one with an identity of before replaces it');

$first->start_again;
ok(wait_until(sub { Ragline::Sentinel::role($first) eq 'slave' }, 60), 'the old master is a replica');
ok(wait_until(sub { $sentinel->knows_replica }, 60), 'the sentinel knows it as one');
Ragline::Sentinel::in_sync($second, $first);
ok(wait_until(sub { eval { $sentinel->client->sentinel('failover', $Ragline::Sentinel::NAME) } }, 60),
    'the sentinel is told to fail over') or diag($@);
ok(wait_until(sub { $sentinel->master_port == $first->{port}
    && Ragline::Sentinel::role($second) eq 'slave' }, 60), 'it has');
goes_on('told to fail over', $instead, $there);
$_->close for $instead, $there, $late;
ok(wait_until(sub { left($first) == 0 }, 60), 'all have gone, and nothing is left') or diag(left($first));
is($backend->count_of($_->{path}, 'disconnect'), 1, 'each was told once') for $instead, $there, $late;
$_->stop for $one, $two;
done_testing();
