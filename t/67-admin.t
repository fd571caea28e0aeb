# SPDX-License-Identifier: Apache-2.0
#
# ragline-admin: who is connected, in pages, filtered, of the caller's tenant or of all; as JSON and
# as a page for people.
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

my $redis = Ragline::Redis->start(name => 'admin');
my $key = 'ragline:stream:orders';

sub admin { my ($path, @more) = @_;
    return join("\n", "<Location $path>", '    SetHandler ragline-admin', @more, '</Location>', '') }

my $httpd = Ragline::Httpd->new(children => 2, conf => <<"EOF"
RaglineRedis @{[ $redis->url ]}
RaglineStream orders $key
RaglineDrain 0
<Location /ragline-stats>
    SetHandler ragline-stats
    Require local
</Location>
EOF
    . bearer_location('/stream', 'RaglineSubscribe orders', 'RaglineHeartbeat 1s',
        'RaglineEvents order*')
    . bearer_location('/pumped', 'RaglineSubscribe orders', 'RaglineHandoff off')
    . websocket_location('/ws', 'RaglineSubscribe orders', 'RaglineHeartbeat off')
    . admin('/admin', jwt_conf())
    . admin('/all', 'RaglineAdmin all', 'Require local'))->start;

my $id = qr/[a-z2-7]{8}-[a-z2-7]{32}/;
my ($us, $them) = (unique('a'), unique('b'));

sub open_as
{
    my ($path, $tenant, $user) = @_;
    my $class = $path eq '/ws' ? 'Ragline::WebSocket' : 'Ragline::SSE';
    my $stream = $class->open(port => $httpd->port, path => $path, token => token($tenant, $user));
    $path eq '/ws' ? $stream->take('connected') : $stream->connected;
    return $stream;
}

sub id_of { return json_of(($_[0]->events)[0]{data})->{connection} }

sub ask
{
    my ($path, %more) = @_;
    return $httpd->request(path => $path, %more);
}
sub list { return ask(@_)->json // {} }
sub own { my ($query, $tenant) = @_;
    return list("/admin/connections$query", token => token($tenant // $us, 'boss')) }
sub ids { return join ' ', map { $_->{id} } @{ $_[0]{connections} } }

# --- what is there -------------------------------------------------------------------------------

my $empty = ask('/admin/connections', token => token($us, 'boss'));
is($empty->status, 200, 'nobody is there');
like($empty->body, qr/^\{"node":"[a-z2-7]{8}","connections":\[\],"next":null\}$/, 'an empty list');
is($empty->header('Cache-Control'), 'no-store', 'kept by no cache');
like($empty->header('Vary'), qr/Accept/, 'it is another one by Accept');

my $sse = open_as('/stream', $us, 'u');
my $pumped = open_as('/pumped', $us, 'v');
my $ws = open_as('/ws', $us, 'v');
my $other = open_as('/stream', $them, 'u');
my $sse_id = id_of($sse);

my $mine = own('?user=u');
is(scalar(@{ $mine->{connections} }), 1, 'one of this user');
my $one = $mine->{connections}[0];
is(join(' ', sort keys %$one), 'events id pid position profile remote since tenant_id user_id wire',
    'the members of a connection');
is($one->{id}, $sse_id, 'its id is what `connected` said');
is($mine->{node}, substr($sse_id, 0, 8), 'and names the node');
is($one->{tenant_id}, $us, 'tenant_id');
is($one->{user_id}, 'u', 'user_id');
is($one->{profile}, 'stream', 'profile');
is($one->{wire}, 'sse', 'wire');
like($one->{since}, qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00$/, 'since');
is($one->{events}, 0, 'no event yet');
is($one->{remote}, '127.0.0.1', 'remote');
ok((grep { $_ == $one->{pid} } $httpd->children), 'pid');
like($one->{position}, qr/^\d+-\d+$/, 'position');

# --- which ---------------------------------------------------------------------------------------

is(scalar(@{ own('')->{connections} }), 3, 'three of this tenant, over all children and endpoints');
is(scalar(@{ own('', $them)->{connections} }), 1, 'one of the other');
is(scalar(@{ own("?tenant=$us")->{connections} }), 3, 'the own tenant may be named');
is(scalar(@{ own('?profile=ws')->{connections} }), 1, 'of an endpoint');
is(own('?profile=ws')->{connections}[0]{wire}, 'websocket', 'a WebSocket');
is(scalar(@{ own('?user=v&profile=pumped')->{connections} }), 1, 'of both, in its worker');
is(scalar(@{ own('?user=nobody')->{connections} }), 0, 'of nobody');
is(scalar(@{ list('/all/connections')->{connections} }), 4, 'RaglineAdmin all: all tenants');
is(scalar(@{ list("/all/connections?tenant=$them")->{connections} }), 1, 'or one of them');

my ($next, @seen) = ('');
for (1 .. 4) {
    my $page = list('/all/connections?limit=1' . ($next && "&after=$next"));
    push @seen, ids($page);
    $next = $page->{next};
    last if !defined $next;
}
is(scalar(@seen), 4, 'in pages of one');
is(scalar(keys %{ { map { $_ => 1 } @seen } }), 4, 'each connection once');
is($next, undef, 'the last page says that it is the last');

# --- errors --------------------------------------------------------------------------------------

for (
    ['/admin/connections', 401, 'no_token', 'nobody'],
    ["/admin/connections?tenant=$them", 403, 'tenant', "another's tenant", token => token($us, 'boss')],
    ['/all/connections?limit=0', 400, 'bad_limit', 'a page of none'],
    ['/all/connections?limit=1001', 400, 'bad_limit', 'too large a page'],
    ['/all/connections?after=x', 400, 'bad_after', 'behind what is no id'],
    ['/all/connections?after=' . ('a' x 8) . '-' . ('a' x 32), 400, 'bad_after', 'behind an id of another node'],
    ['/all/connections?user=%20', 400, 'bad_name', 'a user that cannot be one'],
    ["/all/connections?tenant_id=$us", 400, 'bad_query', 'a filter that there is not'],
    ['/all/connections?user', 400, 'bad_name', 'one without a value'],
    ["/all/presence?tenant=$us&user=u", 400, 'bad_query', 'a filter that the list of users does not have'],
    ['/all/connections?user=%zz', 400, 'bad_query', 'a query that cannot be decoded'],
    ['/all', 404, 'not_found', 'the location itself'],
    ['/all/connection', 404, 'not_found', 'something else below it'],
    ['/all/connections', 405, 'method_not_allowed', 'POST', method => 'POST', body => '{}'],
) {
    my ($path, $status, $code, $name, %more) = @$_;
    my $response = ask($path, %more);
    is($response->status, $status, "$name: $status");
    is(($response->json // {})->{error}, $code, $code);
}

# --- what happens meanwhile ----------------------------------------------------------------------

my $last;
$last = $redis->xadd($key, tenant_id => $us, event_type => 'order', payload => $_) for 1 .. 3;
$last = $redis->xadd($key, tenant_id => $us, event_type => 'no-order', payload => 1);
ok(wait_until(sub { my $c = own('?user=u')->{connections}[0];
    $c->{events} == 3 && $c->{position} eq $last }), 'events and position, as of the last heartbeat')
    or diag(explain(own('?user=u')), $last);
$sse->close;
ok(wait_until(sub { !@{ own('?user=u')->{connections} } }), 'who has gone is not there');

# --- for people ----------------------------------------------------------------------------------

my $page = ask('/all/connections?limit=1', headers => [Accept => 'text/html,*/*;q=0.1']);
is($page->status, 200, 'a page');
is($page->header('Content-Type'), 'text/html; charset=utf-8', 'of HTML');
my ($nonce) = $page->body =~ /<script nonce="([0-9a-f]{32})">/;
ok($nonce, 'a script of its own');
like($page->header('Content-Security-Policy'), qr/^default-src 'none'; .*script-src 'nonce-$nonce'; .*frame-ancestors 'none'$/,
    'and no other may run');
unlike($page->body, qr/(?:src|href)="?(?:https?:)?\/\//, 'nothing comes from elsewhere');
# With a site's own `Referrer-Policy: no-referrer` browsers would not say whose button it is.
like($page->body, qr/<meta name=referrer content=same-origin>/, 'its button is known for its own');
my ($link) = $page->body =~ /<a href="([^"]+)">Next page/;
$link =~ s/&amp;/&/g;
like(ask("/all/connections$link", headers => [Accept => 'text/html'])->body, qr/<tbody>\n<tr><td>/,
    'the link leads to the next page');
my $all = ask('/all/connections', headers => [Accept => 'text/html'])->body;
like($all, qr/<td>\Q$_\E\b/, "a page of all has $_") for $us, 'v';

# --- children that are gone ----------------------------------------------------------------------

my @pids = map { $_->{pid} } @{ list('/all/connections')->{connections} };
kill(KILL => @pids);
# Also a child that has just taken this connection may be one of them.
ok(wait_until(sub { my $l = eval { list('/all/connections') }; $l && $l->{connections} && !@{ $l->{connections} } }),
    'those of children that were killed are not there');
my $again = open_as('/stream', $us, 'u');
is(ids(own('')), id_of($again), 'who comes back is');
$httpd->graceful;
$again->wait_end;
ok(wait_until(sub { !@{ own('')->{connections} } }), 'nor are those of an earlier configuration');

done_testing();
