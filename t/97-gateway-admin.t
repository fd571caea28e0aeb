# SPDX-License-Identifier: Apache-2.0
#
# The gateway's connections for administrators: listed, limited, sent something, closed, revoked. In
# a server that subscribes to nothing.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Test::More;

use Ragline::Backend ();
use Ragline::Httpd ();
use Ragline::Redis ();
use Ragline::SSE ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'gateway-admin');
my $backend = Ragline::Backend->start;
my $httpd = Ragline::Httpd->new(children => 2, conf => <<"EOF")->start;
RaglineRedis @{[ $redis->url ]}
RaglineDrain 0
RaglineGatewayCallback @{[ $backend->url ]}
RaglineGatewayTimeout 60s
RaglineHeartbeat 1s
RaglineRetry 900ms
<Location /sse>
    SetHandler ragline-gateway
</Location>
<Location /old>
    SetHandler ragline-gateway
    RaglineGatewayDialect 2026-01
</Location>
<Location /few>
    SetHandler ragline-gateway
    RaglineUser "%{HTTP:X-User}"
    RaglineLimit user=2
</Location>
RaglineStream people ragline:people
<Location /many>
    SetHandler ragline-gateway
    RaglineUser "%{HTTP:X-User}"
    RaglineLimit tenant=1
</Location>
<Location /room>
    SetHandler ragline-gateway
    RaglineTenant main
    RaglineUser "%{HTTP:X-User}"
    RaglinePresence people
</Location>
<Location /who>
    SetHandler ragline-gateway
@{[ jwt_conf() ]}
</Location>
<Location /short>
    SetHandler ragline-gateway
    RaglineReauthorize 1s
</Location>
<Location /all>
    SetHandler ragline-admin
    RaglineAdmin all
    Require local
</Location>
EOF

my $n = 0;
sub open_at
{
    my ($path, %more) = @_;
    $path .= ($path =~ /\?/ ? '&' : '?') . 'n=' . ++$n;
    my $stream = Ragline::SSE->open(port => $httpd->port, path => $path, wire => 'sse', %more);
    $stream->{path} = $path;
    return $stream;
}
sub ready { my $stream = open_at(@_); $stream->take('ready'); return $stream }

sub list { return $httpd->request(path => "/all/connections$_[0]")->json->{connections} // [] }

sub order
{
    my ($what, $body) = @_;
    return $httpd->request(path => "/all/$what", method => 'POST',
        headers => ['Content-Type' => 'application/json'], body => JSON::PP->new->utf8->encode($body))
        ->body;
}
sub done { my ($here) = @_; return qq({"here":$here,"elsewhere":true}\n) }
sub reason { return $backend->disconnect_of($_[0]{path})->{body}{reason} }

# --- listed --------------------------------------------------------------------------------------

my $stream = ready('/sse');
my ($one) = @{ list('?profile=sse') };
ok($one, 'it is listed');
is(join('|', map { $_ // '' } @$one{qw(wire tenant_id user_id profile remote events)}),
    'gateway|||sse|127.0.0.1|0', 'as what it is');
is(order('send', { id => $one->{id}, event_type => 'note', payload => { a => 1 } }), done(1),
    'it is sent something');
ok($stream->wait(sub { $_[0]->events == 2 }), 'which arrives');
is(($stream->events)[1]{data}, '{"type":"note","payload":{"a":1}}', 'as an event of the gateway');
my $old = open_at('/old');
# What is sent to one that is not open yet may not come.
$old->wait(sub { $_[0]->status });
ok(wait_until(sub { @{ list('?profile=old') } }), 'an older one is listed, too');
SKIP: {
    skip 'a child of prefork begins to read commands when its first connection comes', 2 if vars('mpm') eq 'prefork';
    order('send', { id => list('?profile=old')->[0]{id}, event_type => 'note', payload => { a => 1 } });
    ok($old->wait(sub { $_[0]->events == 1 }), 'and is sent something');
    is($old->body, qq(event: note\ndata: {"a":1}\n\n), 'as it knows it');
}
is(order('close', { id => $one->{id} }), done(1), 'it is closed');
ok($stream->wait(sub { $_[0]->ended }), 'and ends');
is($stream->retry, 900, 'to come back');
is(reason($stream), 'server_closed', 'its back end is told');
is(@{ list('?profile=sse') }, 0, 'it is listed no more');
like(order('close', { id => $one->{id} }), qr/not_connected/, 'nor found');

# --- before it is open ---------------------------------------------------------------------------

my $held = open_at('/sse?hold');
ok($backend->connect_of($held->{path}), 'one that is not open yet');
($one) = @{ list('?profile=sse') };
is(order('send', { id => $one->{id}, event_type => 'note', payload => '1' }), done(1), 'is sent something');
is(order('close', { id => $one->{id} }), done(1), 'and is closed');
# What is ordered of another one behind it shows that it was done.
my $later = open_at('/old');
$later->wait(sub { $_[0]->status });
order('send', { id => $_->{id}, event_type => 'x', payload => '1' }) for @{ list('?profile=old') };
ok($later->wait(sub { $_[0]->events }), 'which is over when a later order is');
ok(!$held->status, 'nothing comes before the answer');
$backend->release;
ok($held->wait(sub { $_[0]->ended }), 'then it ends');
is($held->status . $held->body, "200retry: 900\n\n", 'without having been open to anybody');
is(reason($held), 'server_closed', 'and the back end is told');
is($backend->count_of($held->{path}, 'disconnect'), 1, 'once');
$_->close for $later, $old;

# --- limited -------------------------------------------------------------------------------------

my @few = map { ready('/few', headers => ['X-User' => 'u']) } 1 .. 2;
my $third = open_at('/few', headers => ['X-User' => 'u']);
ok($third->wait(sub { $_[0]->ended }), 'one too many of a user');
is($third->status . $third->body, "200retry: 900\n\n", 'is sent away, to come back');
is($backend->count_of($third->{path}, 'connect'), 0, 'and the back end is not asked');
my $v = ready('/few', headers => ['X-User' => 'v']);
is(@{ list('?profile=few&user=u') }, 2, 'two are there, over all children');
$few[0]->close;
ok(wait_until(sub { @{ list('?profile=few&user=u') } == 1 }), 'one goes');
my $again = ready('/few', headers => ['X-User' => 'u']);
is($again->status, 200, 'and another one may come');
$_->close for $few[1], $v, $again;

my @strangers = map { ready('/many') } 1 .. 3;
is(@{ list('?profile=many') }, 3, 'who is of no tenant is not one of them');
$_->close for @strangers;

# --- which users are there -----------------------------------------------------------------------

sub there { return join ' ', map { "$_->{user_id}:$_->{connections}" }
    @{ $httpd->request(path => '/all/presence?tenant=main')->json->{users} // [] } }
sub becomes { my ($wanted, $name) = @_;
    my $is;
    ok(wait_until(sub { ($is = there()) eq $wanted }), $name) or diag("it is $is");
    return }
sub told { return join ', ', map { my %f = @{ $_->[1] };
    "$f{event_type} " . json_of($f{payload})->{user_id} } $redis->client->xrange('ragline:people', '-', '+') }

SKIP: {
    skip 'a child of prefork tells nothing before its first connection comes', 6 if vars('mpm') eq 'prefork';
    $backend->hold;
    my $refused = open_at('/room?status=403', headers => ['X-User' => 'refused']);
    my $waits = open_at('/room?hold', headers => ['X-User' => 'waits']);
    my @in = map { ready('/room', headers => ['X-User' => $_]) } qw(u u v);
    becomes('u:2 v:1', 'whom the back end has let in is there, and nobody else');
    is(join(', ', sort split /, /, told()), 'presence_join u, presence_join v', 'and told of');
    $backend->release;
    $waits->take('ready');
    becomes('u:2 v:1 waits:1', 'who had to wait comes then');
    $_->close for $in[0], $in[2], $waits;
    becomes('u:1', 'and goes');
    ok(wait_until(sub { (() = told() =~ /presence_leave/g) == 2 }), 'which is told');
    is(join(', ', sort split /, /, told()), 'presence_join u, presence_join v, presence_join waits, '
        . 'presence_leave v, presence_leave waits', 'of each once');
    $in[1]->close;
}

# --- revoked -------------------------------------------------------------------------------------

my $us = unique('a');
my $who = ready('/who', token => token($us, 'u'));
my $other = ready('/who', token => token($us, 'v'));
($one) = @{ list("?tenant=$us&user=u") };
is($one && $one->{profile}, 'who', 'where a token says whose it is, that is known');
order('revoke', { tenant => $us, user => 'u', until => time + 1000 });
ok($who->wait(sub { $_[0]->ended }), 'who is revoked is ended');
is(reason($who), 'server_closed', 'its back end is told');
ok(wait_until(sub { $httpd->request(path => '/who', token => token($us, 'u'))->status == 401 }),
    'and is not let in again');
ok(!$other->ended, 'another one stays');
$other->close;

# --- for how long --------------------------------------------------------------------------------

# Half a minute (RaglineJWTLeeway) after its end a token still lets somebody in.
my $short = ready('/who', token => token($us, 'short', exp => time - 28));
ok($short->wait(sub { $_[0]->ended }), 'a connection ends with its token');
is($short->retry, 10000, 'to come back with another one');
is(reason($short), 'server_closed', 'and its back end is told');
my $stay = ready('/short');
ok($stay->wait(sub { $_[0]->ended }), 'or after the time for which it may stay');
is($stay->retry, 900, 'to come back at once');
ok(wait_until(sub { !@{ list('') } }), 'in the end there is nobody');
done_testing();
