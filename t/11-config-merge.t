# SPDX-License-Identifier: Apache-2.0
#
# What a location really gets: the defaults; the innermost section wins; a list replaces the outer
# one; a host inherits RaglineRedis whole and RaglineStream by name.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes ();

use Ragline::Httpd ();
use Ragline::Test;

my $orders = 'ragline:stream:orders';
my ($one, $two) = map { unpack('H*', pack('N8', map { int(rand(2**32)) } 1 .. 8)) } 1, 2;

sub section
{
    my ($tag, @directives) = @_;
    return join("\n", "<$tag>", @directives, '</' . ($tag =~ /^(\w+)/)[0] . ">\n");
}
my @sse = ('SetHandler ragline-sse');
my @open = ('Require all granted');

my $httpd = Ragline::Httpd->new(name => 'merge', conf => join '', <<"EOF",
RaglineRedis @{[ redis_a()->url ]}
RaglineStream orders $orders
RaglineStream other merge:other
RaglineStream start merge:start
RaglineSubscribe orders
RaglineDrain 0
EOF
    # The defaults.
    section('Location /plain', @sse, @open, 'RaglineTenant acme'),
    section('Location /guarded', @sse, 'AuthType RaglineJWT', 'Require valid-user',
        "RaglineJWTKey secret:$one"),
    # From outside in.
    section('Location /a', @open, 'RaglineTenant outer', 'RaglineUser joe', 'RaglineRetry 3s',
        'RaglineEvents x_* y_*',
        'RaglineProfile given', 'RaglineHeartbeat 1s comment', 'RaglineUserOnly on',
        'RaglineSlowConsumer resume stall=1s'),
    section('Location /stats', 'SetHandler ragline-stats', @open),
    section('Location /a/same', @sse),
    section('Location /a/other', @sse, 'RaglineTenant inner', 'RaglineUser ann', 'RaglineRetry 4s',
        'RaglineEvents y_*',
        'RaglineProfile own', 'RaglineHeartbeat off', 'RaglineUserOnly off',
            'RaglineSubscribe other', 'RaglineSlowConsumer resume stall=1h'),
    section('Location /a/slow', @sse, 'RaglineSlowConsumer disconnect', 'RaglineProfile slow'),
    section('Location /a/several', @sse, 'RaglineEvents z_1', 'RaglineEvents z_2 z_3',
        'RaglineSubscribe orders',
        'RaglineSubscribe other', 'RaglineProfile several'),
    # Sections that are written first and are further in; <If> is within, and names nothing.
    section('Location /b/c', 'RaglineRetry 5s'),
    section('Location /b', @sse, @open, 'RaglineTenant b', 'RaglineRetry 6s'),
    section('Location /c', @sse, @open, 'RaglineTenant c', 'RaglineRetry 5s',
        section('If "%{QUERY_STRING} == \'if\'"', 'RaglineRetry 7s', 'RaglineTenant if')),
    section('LocationMatch ^/m/(\\w+)$', @sse, @open, 'RaglineTenant m', 'RaglineProfile pattern'),
    # Tokens: each of these lists replaces the one above.
    section('Location /t', 'AuthType RaglineJWT', 'Require valid-user', "RaglineJWTKey secret:$one",
        'RaglineJWTRequire type access', 'RaglineTokenFrom query:token',
            'RaglineOrigins https://outer.example',
        'RaglineJWTLeeway 0', 'RaglineJWTAlg HS256'),
    section('Location /t/same', @sse),
    section('Location /t/key', @sse, "RaglineJWTKey secret:$two"),
    section('Location /t/keys', @sse, "RaglineJWTKey secret:$one", "RaglineJWTKey secret:$two"),
    section('Location /t/require', @sse, 'RaglineJWTRequire scope read'),
    section('Location /t/from', @sse, 'RaglineTokenFrom header'),
    section('Location /t/origins', @sse, 'RaglineOrigins https://inner.example'),
    section('Location /t/leeway', @sse, 'RaglineJWTLeeway 60s'),
    # What a first connection gets, and where it stays.
    section('Location /s', @open, 'RaglineTenant acme', 'RaglineSubscribe start',
        'RaglineStart last=5', 'RaglineReplayLimit 3', 'RaglineHandoff off'),
    section('Location /s/same', @sse),
    section('Location /s/start', @sse, 'RaglineStart last=2'),
    section('Location /s/new', @sse, 'RaglineStart new'),
    section('Location /s/since', @sse, 'RaglineStart since=1h', 'RaglineReplayLimit 100'),
    section('Location /s/since/last', @sse, 'RaglineStart last=2'),
    section('Location /s/since/new', @sse, 'RaglineStart new'),
    section('Location /s/limit', @sse, 'RaglineReplayLimit 100'),
    section('Location /s/handoff', @sse, 'RaglineHandoff auto'),
    # Publishing: any-tenant is a word of the list.
    section('Location /p', 'SetHandler ragline-publish', @open, 'RaglineTenant acme',
        'RaglinePublish orders any-tenant'),
    section('Location /p/less', 'RaglinePublish other'),
    # Hosts: one that inherits all, one with settings, one with another Redis.
    "<VirtualHost *:\@PORT\@>\nServerName main\n</VirtualHost>\n",
    "<VirtualHost *:\@PORT\@>\nServerName inherits\nRaglineStream third merge:third\n",
    section('Location /third', @sse, @open, 'RaglineTenant acme', 'RaglineSubscribe third orders'),
        "</VirtualHost>\n",
    "<VirtualHost *:\@PORT\@>\nServerName settings\nRaglineRetry 9s\n",
    "RaglineStream other merge:again\n",
    section('Location /a/same', 'RaglineTenant host', 'RaglineProfile in-host'), "</VirtualHost>\n",
    "<VirtualHost *:\@PORT\@>\nServerName world\n",
    "RaglineRedis @{[ redis_b()->url ]}\n</VirtualHost>\n",
);
$httpd->start;

sub open_stream
{
    my ($path, %r) = @_;
    my $stream = Ragline::SSE->open(port => $httpd->port, path => $path, host => 'main', %r);
    my $connected = $stream->connected;
    return ($stream, $connected ? $connected->{json} : { status => $stream->status });
}
sub said { my ($stream, $c) = @_; return join ' ', map { $_ // '-' } $c->{stream}, $c->{tenant_id},
    $c->{user_id}, $stream->retry }
sub is_said
{
    my ($path, $want, $name, %r) = @_;
    my ($stream, $connected) = open_stream($path, %r);
    is(said($stream, $connected), $want, "$path: $name");
    $stream->close;
    return;
}
# Which of these events arrive: [redis, key, type, fields...], the last one must.
sub arrive
{
    my ($stream, @events) = @_;
    for my $event (@events) {
        my ($redis, $key, $type, %fields) = @$event;
        $redis->xadd($key, event_type => $type, payload => '{}', %fields);
        # Keys are read one by one: in order only if each is waited for.
        $stream->take($type, 0.3) if $event != $events[-1];
    }
    $stream->take($events[-1][2]);
    $stream->close;
    return join ' ', grep { !/^(?:connected|heartbeat)$/ } map { $_->{event} } $stream->events;
}
my ($a, $b) = (redis_a(), redis_b());

# --- defaults -----------------------------------------------------------------------------------

is_said('/plain', 'plain acme - 2000', 'the path names it; no user; retry 2s');
{
    my ($stream) = open_stream('/plain');
    is(arrive($stream, map { [$a, $orders, $_, tenant_id => 'acme', user_id => 'any'] } 'one',
        'two'), 'one two',
        'all events, for any user');
}
{
    my %claims = (tenant_id => 'acme', user_id => 'u', sub => 's');
    my $token = sub { return Ragline::Token::encode({ %claims, @_ }, secret => $one) };
    is_said('/guarded', 'guarded acme u 2000', 'tenant_id and user_id', token => $token->());
    is_said('/guarded', 'guarded acme s 2000', 'sub without user_id',
        token => Ragline::Token::encode({ tenant_id => 'acme', sub => 's' }, secret => $one));
    is((open_stream('/guarded', token => $token->(exp => time() - 20)))[1]{stream}, 'guarded',
        'leeway: 30s, so 20 are in it');
    is((open_stream('/guarded', token => $token->(exp => time() - 40)))[1]{status}, 401,
        'leeway: 30s, so 40 are not');
    is((open_stream('/guarded?token=' . $token->()))[1]{status}, 401,
        'a token only from the header');
}

# --- the innermost section wins, a list replaces ------------------------------------------------

is_said('/a/same', 'given outer joe 3000', 'everything from outside');
is_said('/a/other', 'own inner ann 4000', 'everything of its own');
{
    my ($stream) = open_stream('/a/same');
    is(arrive($stream, (map { [$a, $orders, $_, tenant_id => 'outer', user_id => 'joe'] } 'z_1',
        'y_1'),
        [$a, $orders, 'x_ann', tenant_id => 'outer', user_id => 'ann'], [$a, $orders, 'x_1',
            tenant_id => 'outer']),
        'y_1 x_1', 'events and UserOnly from outside');
    ($stream) = open_stream('/a/same');
    ok($stream->wait(sub { $stream->comments }), 'the heartbeat from outside');
    $stream->close;
    ($stream) = open_stream('/a/other');
    is(arrive($stream, [$a, $orders, 'y_0', tenant_id => 'inner'],
        (map { [$a, 'merge:other', $_, tenant_id => 'inner', user_id => 'joe'] } 'x_1', 'y_1')),
        'y_1', 'its own streams, events and UserOnly instead');
    ($stream) = open_stream('/a/several');
    is(arrive($stream, [$a, $orders, 'z_1', tenant_id => 'outer'],
        (map { [$a, 'merge:other', $_, tenant_id => 'outer'] } 'y_1', 'z_2', 'z_3')),
        'z_1 z_2 z_3', 'several lines of one section are one list');
}
{
    Ragline::SSE->close_port($httpd->port);
    wait_until(sub { stats_connections(stats($httpd, '/stats')) == 0 });
    my @stuck;
    for my $path ('/a/same', '/a/slow', '/a/other') {
        my ($socket, $in) = (Ragline::HTTP::connect_to(port => $httpd->port), '');
        syswrite($socket, Ragline::HTTP::request_bytes(port => $httpd->port, path => $path,
            host => 'main'));
        1 while sysread($socket, $in, 4096, length $in) && $in !~ /^event: connected\n.*\n\n/ms;
        push @stuck, $socket;
    }
    for my $case ([$orders, 'outer'], ['merge:other', 'inner']) {
        $a->xadd($case->[0], tenant_id => $case->[1], event_type => 'y_1', payload => 'x' x 500_000)
            for 1 .. 16;
    }
    ok(wait_until(sub { stats_connections(stats($httpd, '/stats')) == 1 }),
        'RaglineSlowConsumer: stall from outside, also where only the word is given');
    Time::HiRes::sleep(2);
    is(stats_connections(stats($httpd, '/stats')), 1, 'RaglineSlowConsumer: its own stall');
    close($_) for @stuck;
}
# How many events a new connection gets at once, and whether it keeps its worker.
{
    $a->client->del('merge:start');
    my @ids = map { $a->xadd('merge:start', tenant_id => 'acme', event_type => "n$_",
        payload => '{}') } 1 .. 5;
    # What is not read yet would come as new to who is there by then.
    ok(wait_until(sub {
        (stats_stream(stats($httpd, '/stats'), 'start')->{last_id} // '') eq $ids[-1]
    }), 'all is read');
    $a->all_read if vars('mpm') eq 'prefork'; # by each process
    my $busy = sub { return ($httpd->status->{BusyWorkers} // 0) - 1 };
    # The first one is read from Redis, within its limit; others may find more in memory, and which one
    # is the first in its process only prefork knows.
    my $first = vars('mpm') eq 'prefork' ? '[345]' : '3';
    for my $case (['same', $first, 1], ['limit', '5', 1], ['start', '2', 1], ['new', '', 1],
        ['since', '(?:[5-9]|10)', 1], ['since/last', '2', 1], ['since/new', '', 1],
        ['handoff', '[345]', 0]) {
        my ($name, $replayed, $kept) = @$case;
        my ($stream) = open_stream("/s/$name");
        ok(wait_until(sub { $busy->() == $kept }), "RaglineHandoff: /s/$name") or diag($busy->());
        $stream->take('caught_up') if $replayed;
        $a->xadd('merge:start', tenant_id => 'acme', event_type => 'end', payload => '{}');
        $stream->take('end');
        my ($end) = grep { $_->{event} eq 'caught_up' } $stream->events;
        like($end ? json_of($end->{data})->{replayed} : '', qr/^$replayed$/,
            "RaglineStart, RaglineReplayLimit: /s/$name");
        $stream->close;
        wait_until(sub { $busy->() == 0 });
    }
}
is_said('/c', 'c c - 5000', 'outside of <If>');
is_said('/c?if', 'c if - 7000', 'within <If>, which does not change the name');
is_said('/b/c', 'c b - 6000', "the later section of a file wins, as everywhere in httpd");
is_said('/m/one', 'pattern m - 2000', '<LocationMatch>');

{
    my $token = sub {
        my ($secret, %claims) = @_;
        return Ragline::Token::encode({ tenant_id => 'acme', sub => 's', type => 'access',
            %claims }, secret => $secret);
    };
    my $status = sub {
        my ($path, %r) = @_;
        my ($stream, $connected) = open_stream($path, %r);
        $stream->close;
        return $connected->{status} // 200;
    };
    is($status->('/t/same?token=' . $token->($one)), 200, 'tokens: all from outside');
    is($status->('/t/key?token=' . $token->($two)), 200, 'RaglineJWTKey: its own');
    is($status->('/t/key?token=' . $token->($one)), 401, 'RaglineJWTKey: not the outer one');
    is($status->('/t/keys?token=' . $token->($_)), 200, 'RaglineJWTKey: several of its own')
        for $one, $two;
    is($status->('/t/require?token=' . $token->($one, type => 'x', scope => 'read')), 200,
        'RaglineJWTRequire: its own');
    is($status->('/t/require?token=' . $token->($one)), 401,
        'RaglineJWTRequire: not the outer one');
    is($status->('/t/from', token => $token->($one)), 200, 'RaglineTokenFrom: its own');
    is($status->('/t/from?token=' . $token->($one)), 401, 'RaglineTokenFrom: not the outer one');
    is($status->('/t/same?token=' . $token->($one, exp => time() - 20)), 401,
        'RaglineJWTLeeway: the outer one');
    is($status->('/t/leeway?token=' . $token->($one, exp => time() - 40)), 200,
        'RaglineJWTLeeway: its own');
    for my $case (['same', 'outer', 1], ['same', 'inner', 0], ['origins', 'inner', 1], ['origins',
        'outer', 0]) {
        my ($path, $origin, $allowed) = @$case;
        my $response = $httpd->request(path => "/t/$path", host => 'main', method => 'OPTIONS',
            headers => [
            Origin => "https://$origin.example", 'Access-Control-Request-Method' => 'GET']);
        is($response->header('access-control-allow-origin'), $allowed ? "https://$origin.example"
            : undef,
            "RaglineOrigins: $origin at /t/$path");
    }
}
for my $case (['/p', 'orders', 'acme', 201], ['/p', 'orders', 'beta', 201], ['/p', 'other', 'acme',
    403],
    ['/p/less', 'other', 'acme', 201], ['/p/less', 'other', 'beta', 403], ['/p/less', 'orders',
        'acme', 403]) {
    my ($path, $name, $tenant, $want) = @$case;
    my $response = $httpd->request(path => $path, host => 'main', method => 'POST',
        headers => ['Content-Type' => 'application/json'],
        body => qq({"stream":"$name","event_type":"e","tenant_id":"$tenant","payload":{}}));
    is($response->status, $want,
        "RaglinePublish: $path, $name for $tenant") or diag($response->body);
}

# --- hosts --------------------------------------------------------------------------------------

{
    my ($stream) = open_stream('/third', host => 'inherits');
    is(arrive($stream, [$a, 'merge:third', 'third', tenant_id => 'acme'], [$a, $orders, 'first',
        tenant_id => 'acme']),
        'third first', 'a stream of the host, and an inherited one');
}
is_said('/plain', 'plain acme - 9000', "the host's own default", host => 'settings');
is_said('/a/same', 'in-host host joe 3000', "a section of the host on top of the main server's",
    host => 'settings');
{
    my ($stream) = open_stream('/a/other', host => 'settings');
    is(arrive($stream, [$a, 'merge:other', 'y_1', tenant_id => 'inner'], [$a, 'merge:again', 'y_2',
        tenant_id => 'inner']),
        'y_2', 'a stream of the same name is another one there');
    ($stream) = open_stream('/plain', host => 'world');
    is(arrive($stream, [$a, $orders, 'from_a', tenant_id => 'acme'], [$b, $orders, 'from_b',
        tenant_id => 'acme']),
        'from_b', 'another Redis with the inherited names');
}
$httpd->stop;

done_testing();
