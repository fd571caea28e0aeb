# SPDX-License-Identifier: Apache-2.0
#
# Presence: which users a tenant has on all nodes, and events for a user's first and last connection,
# one each. Two httpd with one Redis.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(sleep time);

use Ragline::Httpd ();
use Ragline::Redis ();
use Ragline::SSE ();
use Ragline::Test;
use Ragline::WebSocket ();

my $redis = Ragline::Redis->start(name => 'presence');
my ($people, $own) = ('ragline:stream:people', 'own:{tenant}:people');

sub admin { my ($path, @more) = @_;
    return join("\n", "<Location $path>", '    SetHandler ragline-admin', @more, '</Location>', '') }

my $conf = <<"EOF"
RaglineRedis @{[ $redis->url ]}
RaglineStream orders ragline:stream:orders
RaglineStream people $people maxlen=1000 type=kind data=body
RaglineStream own $own idle=1h maxage=30min
RaglineDrain 0
RaglinePresence people
EOF
    . bearer_location('/stream', 'RaglineSubscribe orders', 'RaglineWires sse ndjson poll')
    . bearer_location('/pumped', 'RaglineSubscribe orders', 'RaglineHandoff off')
    . websocket_location('/ws', 'RaglineSubscribe orders')
    . bearer_location('/on', 'RaglineSubscribe orders', 'RaglinePresence on')
    . bearer_location('/own', 'RaglineSubscribe own', 'RaglinePresence own')
    . bearer_location('/watch', 'RaglineSubscribe people', 'RaglinePresence off', 'RaglineUserOnly on')
    . admin('/admin', jwt_conf())
    . admin('/all', 'RaglineAdmin all', 'Require local');
my $one = Ragline::Httpd->new(name => 'one', children => 2, conf => $conf)->start;
my $two = Ragline::Httpd->new(name => 'two', conf => $conf)->start;
my ($us, $them) = (unique('a'), unique('b'));

sub open_at
{
    my ($node, $path, $tenant, $user) = @_;
    my $class = $path eq '/ws' ? 'Ragline::WebSocket' : 'Ragline::SSE';
    my $stream = $class->open(port => $node->port, path => $path, token => token($tenant, $user));
    $stream->take('connected') or diag("$path: not connected");
    return $stream;
}

sub ask { my ($node, $query, %more) = @_;
    return $node->request(path => "/admin/presence$query", token => token($us, 'boss'), %more) }

# "USER:CONNECTIONS USER:CONNECTIONS", as a node says it.
sub there { my ($node, $query) = @_;
    return join ' ', map { "$_->{user_id}:$_->{connections}" } @{ (ask($node, $query // '')->json // {})->{users} // [] } }
sub becomes
{
    my ($what, $name) = @_;
    my %last;
    ok(wait_until(sub { !grep { ($last{ $_->port } = there($_)) ne $what } $one, $two }), $name)
        or diag("it is $_") for join ' | ', values %last;
    return;
}

# What a stream was told of the tenant: "join a, leave a".
sub told
{
    my ($key, $tenant, @own) = @_;
    my %field = (type => 'kind', data => 'body', @own);
    my @said;
    for my $entry ($redis->client->xrange($key, '-', '+')) {
        my %f = @{ $entry->[1] };
        next if ($f{tenant_id} // '') ne $tenant;
        my $payload = json_of($f{ $field{data} });
        push @said, ($f{ $field{type} } =~ s/^presence_//r) . " $payload->{user_id}" . ($payload->{tenant_id} eq $tenant ? '' : '?');
    }
    return join ', ', @said;
}
sub is_told { my ($what, $name) = @_;
    ok(wait_until(sub { told($people, $us) eq $what }), $name) or diag(told($people, $us)); return }

# --- who comes -----------------------------------------------------------------------------------

is(ask($one, '')->body, qq({"tenant_id":"$us","users":[],"next":null}\n), 'nobody');
my @watch = map { open_at($_, '/watch', $us, 'w') } $one, $two;
my $stranger = open_at($two, '/watch', $them, 'w');
my @a = (open_at($one, '/stream', $us, 'a'));
is($_->take('presence_join')->{data}, qq({"user_id":"a","tenant_id":"$us"}), 'who reads the stream is told') for @watch;
push @a, open_at($two, '/stream', $us, 'a'), open_at($two, '/ws', $us, 'a');
my $b = open_at($one, '/on', $us, 'b');
my $c = open_at($two, '/own', $us, 'c');
my $d = open_at($one, '/pumped', $us, 'd');
my $other = open_at($two, '/stream', $them, 'a');
becomes('a:3 b:1 c:1 d:1', 'users and their connections, over all nodes');
is_told('join a, join d', 'only who came first, and only where a stream is told');
ok(wait_until(sub { told($own =~ s/\{tenant\}/$us/r, $us, type => 'event_type', data => 'payload') eq 'join c' }),
    "another stream is told of its endpoint's, with its own fields");
cmp_ok($redis->client->pttl($own =~ s/\{tenant\}/$us/r), '>', 0, 'which ends as its stream says');
ok(wait_until(sub { told($people, $them) eq 'join a' }), 'the same name of another tenant is another user');

# --- who goes ------------------------------------------------------------------------------------

my $closed = time;
$_->close for @a, $d;
becomes('b:1 c:1', 'gone');
@a = (open_at($two, '/stream', $us, 'a'));
becomes('a:1 b:1 c:1', 'and one is back');
is_told('join a, join d, leave d', 'who was back in time has not gone');
cmp_ok(time - $closed, '>', 4, 'that is told after a while');
$_->close for @a;
is($_->take('presence_leave')->{data}, qq({"user_id":"d","tenant_id":"$us"}), 'who reads it is told') for @watch;
is(join(' ', map { $_->{event} } grep { $_->{event} =~ /^presence/ } $stranger->events), 'presence_join',
    'nobody of another tenant is');

# --- the list ------------------------------------------------------------------------------------

my @many = map { open_at($one, '/on', $us, $_) } qw(p1 p.1 p p-1 p10 P@x);
push @many, open_at($two, '/on', $us, 'p.1');
my $all = 'P@x:1 b:1 c:1 p:1 p-1:1 p.1:2 p1:1 p10:1';
becomes($all, 'in the order of their names');
my ($next, @pages) = ('');
do {
    my $page = ask($two, '?limit=3' . ($next ? "&after=$next" : ''))->json;
    push @pages, join ' ', map { "$_->{user_id}:$_->{connections}" } @{ $page->{users} };
    $next = $page->{next};
} while ($next && @pages < 9);
is(join(' | ', @pages), 'P@x:1 b:1 c:1 | p:1 p-1:1 p.1:2 | p1:1 p10:1', 'in pages');
is($one->request(path => "/all/presence?tenant=$us")->json->{tenant_id}, $us, 'RaglineAdmin all: of any tenant');
for (
    ['/all/presence', 400, 'bad_target', 'of all, without a tenant'],
    ["/admin/presence?tenant=$them", 403, 'tenant', "another one's"],
    ['/admin/presence?limit=0', 400, 'bad_limit', 'no limit'],
    ['/admin/presence?after=a%20b', 400, 'bad_after', 'after what is no user'],
    ['/admin/presence?tenant=a%20b', 400, 'bad_name', 'what is no tenant'],
) {
    my ($path, $status, $code, $name) = @$_;
    my $answer = $one->request(path => $path, token => token($us, 'boss'));
    is($answer->status . ' ' . (($answer->json // {})->{error} // ''), "$status $code", $name);
}
is(ask($one, '', method => 'POST', body => '{}')->status, 405, 'POST');

# --- one Redis by two names ----------------------------------------------------------------------

# Hosts that spell it in two ways have a connection each, and speak each for its own users.
{
    my $tenant = unique('names');
    my $host = sub { my ($name, $url, $path) = @_;
        return "<VirtualHost *:\@PORT\@>\nServerName $name\nRaglineRedis $url\n"
            . "RaglineStream people ragline:stream:names\nRaglinePresence people\n"
            . bearer_location('/stream', 'RaglineSubscribe people')
            . admin('/all', 'RaglineAdmin all', 'Require local') . "</VirtualHost>\n" };
    my $both = Ragline::Httpd->new(name => 'both',
        conf => $host->('one.example', $redis->url) . $host->('two.example', $redis->url =~ s{^unix:///}{unix:///./}r))->start;
    my @open = map { my $s = Ragline::SSE->open(port => $both->port, path => '/stream', host => "$_.example",
        token => token($tenant, $_)); $s->connected; $s } qw(one two);
    my $users = sub { my $r = $both->request(path => "/all/presence?tenant=$tenant", host => 'one.example');
        join ' ', map { "$_->{user_id}:$_->{connections}" } @{ ($r->json // {})->{users} // [] } };
    ok(wait_until(sub { $users->() eq 'one:1 two:1' }), 'both are there') or diag($users->());
    my $reads = sub { ($redis->client->info('commandstats')->{cmdstat_hscan} // '') =~ /calls=(\d+)/ ? $1 : 0 };
    my $before = $reads->();
    $redis->client->client_kill('TYPE', 'normal', 'SKIPME', 'yes');
    # All have read what Redis has of them (four nodes, by their names); who is not there then is said
    # to be gone after two seconds.
    ok(wait_until(sub { $reads->() >= $before + 4 }), 'all read what Redis has');
    sleep(3);
    ok(wait_until(sub { $users->() eq 'one:1 two:1' }), 'and after an interruption') or diag($users->());
    $_->close for @open;
    $both->stop;
}

# --- without Redis -------------------------------------------------------------------------------

$redis->stop;
is(ask($one, '')->status . ' ' . ask($one, '')->json->{error}, '503 redis_unavailable', 'Redis is away');
shift(@many)->close;
$redis->start_again;
becomes($all =~ s/ p1:1//r, 'and back: what changed meanwhile is there');

done_testing();
