# SPDX-License-Identifier: Apache-2.0
#
# The gateway in trouble, by a Redis user that may do no more than the reference says: Redis loses
# everything, ends that nobody can be told of, and a process that was taken for dead.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Digest::SHA ();
use JSON::PP ();
use POSIX ();
use Test::More;

use Ragline::Backend ();
use Ragline::Httpd ();
use Ragline::HTTP ();
use Ragline::Proc qw(freeze slurp);
use Ragline::Redis ();
use Ragline::SSE ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'gateway-trouble', args => ['--appendonly', 'no']);
my $admin = $redis->client;
my $backend = Ragline::Backend->start;

# --- a user with no more rights than the reference names -----------------------------------------

my ($source) = slurp('Makefile') =~ /^abs_top_srcdir = (.*)$/m;
my $reference = slurp("$source/docs/DIRECTIVES.md");
my ($reader) = $reference =~ /^    user streams on >PASSWORD (.*)$/m;
my ($gateway) = $reference =~ /^    (~ragline:gateway:.*)$/m;
ok($reader && $gateway, 'the reference has rights for the gateway') or BAIL_OUT('no rights');
$ENV{RAGLINE_TEST_PASSWORD} = 'pass-word-' . unique();
$admin->acl('setuser', 'streams', 'reset', 'on', ">$ENV{RAGLINE_TEST_PASSWORD}",
    split / /, "$reader $gateway");

sub conf
{
    my (@more) = @_;
    return join("\n", @more, <<"EOF");
RaglineRedis @{[ $redis->url ]}
RaglineRedisAuth streams env:RAGLINE_TEST_PASSWORD
RaglineDrain 0
RaglineGatewayCallback @{[ $backend->url ]}
RaglineGatewayTimeout 1s
RaglineHeartbeat off
<Location /sse>
    SetHandler ragline-gateway
</Location>
<Location /known>
    SetHandler ragline-gateway
    RaglineIdentity %{ragline_query:id}
</Location>
<Location /send>
    SetHandler ragline-gateway-send
    Require local
</Location>
<Location /keep>
    SetHandler ragline-gateway-send
    RaglineIdentityKeep 1h
    Require local
</Location>
EOF
}
my $one = Ragline::Httpd->new(name => 'one', children => 2, conf => conf())->start;
my $two = Ragline::Httpd->new(name => 'two', children => 1,
    conf => conf('RaglineGatewayRemember off'))->start;

my $away = Ragline::Backend->start;
my $brief = Ragline::Httpd->new(name => 'brief', children => 1, processes => 1,
    conf => conf('RaglineGatewayRemember 1s') =~ s/@{[ $backend->url ]}/$away->url/er)->start;

my $n = 0;
sub ready
{
    my ($node, $path) = @_;
    $path .= ($path =~ /\?/ ? '&' : '?') . 'n=' . ++$n;
    my $stream = Ragline::SSE->open(port => $node->port, path => $path, wire => 'sse');
    $stream->take('ready') or diag($stream->body);
    $stream->{path} = $path;
    my $asked = $node == $brief ? $away : $backend;
    $stream->{token} = $asked->connect_of($path)->{body}{token};
    return $stream;
}

sub sent
{
    my ($node, $path, @body) = @_;
    my $response = Ragline::HTTP::request(port => $node->port, path => $path, method => 'POST',
        body => JSON::PP->new->utf8->encode({@body}),
        headers => ['Content-Type' => 'application/json']);
    my $said = $response->json // {};
    return $response->status . ' ' . ($said->{status} // $said->{error}{code} // '');
}
sub to_token { my ($node, $stream, $data) = @_;
    return sent($node, '/send', token => $stream->{token}, event => { data => $data }) }
sub to_name { my ($node, $name, $data, $path) = @_;
    return sent($node, $path // '/send', identity => $name, event => { data => $data }) }
sub data_of { return join ',', map { $_->{data} } grep { $_->{event} eq 'message' } $_[0]->events }
sub has { my ($stream, $data) = @_; return $stream->wait(sub { data_of($_[0]) eq $data }) }
sub ended { my ($stream) = @_; return $stream->wait(sub { $_[0]->ended }) }
sub left { return scalar map { $admin->hkeys($_) } $admin->keys('ragline:gateway:ends:*') }
sub left_becomes
{
    my ($want, $name) = @_;
    return ok(wait_until(sub { left() == $want }), $name) || diag(left());
}
sub denied { return map { my %e = @$_; "$e{reason} $e{object}" } $admin->acl('log') }

{
    my ($here, $there) = (ready($one, '/known?id=here'), ready($two, '/known?id=there'));
    is(to_token($two, $here, 'a') . to_token($one, $there, 'a'), '200 ok200 ok',
        'a user with those rights sends');
    is(to_name($two, 'here', 'b') . to_name($one, 'there', 'b'), '200 ok200 ok', 'to identities');
    ok(has($_, 'a,b'), 'which arrives') for $here, $there;
    is(to_name($one, 'late', 'x', '/keep'), '200 buffered', 'keeps');
    my $late = ready($two, '/known?id=late');
    ok(has($late, 'x'), 'what is had later');
    my $again = ready($one, '/known?id=late');
    ok(ended($late), 'replaces');
    my @streams = ($here, $again);
    left_becomes(2, 'what is open is known');
    kill(KILL => $one->children);
    ok(ended($_), 'children are killed') for @streams;
    is($backend->disconnect_of($_->{path})->{body}{reason}, 'error', 'others tell of what they had')
        for @streams;
    left_becomes(0, 'until nothing is left');
    $there->close;
}
is_deeply([denied()], [], 'nothing was denied');
my $used = $admin->info('commandstats');
ok($used->{"cmdstat_$_"}, "$_ is used") for $gateway =~ /\+(\S+)/g;

# --- what is no child's --------------------------------------------------------------------------

{
    # In any order in which they may be looked at.
    my @names = map { "zzzz$_-1-0000000$_" } 1 .. 8;
    $admin->sadd('ragline:gateway:children', @names);
    $admin->set("ragline:gateway:ends:$_", 'x') for @names;
    my $stream = ready($one, '/sse');
    kill(KILL => $one->children);
    ok(ended($stream), 'beside what is no record a child is killed');
    is($backend->disconnect_of($stream->{path})->{body}{reason}, 'error', 'which is told nevertheless');
    $admin->srem('ragline:gateway:children', @names);
    $admin->del(map { "ragline:gateway:ends:$_" } @names);
}

# --- Redis has lost everything -------------------------------------------------------------------

# What is answered until it knows who is there: nothing that is not so.
sub known_again
{
    my ($name, $node, @body) = @_;
    my %said;
    ok(wait_until(sub { my $said = sent($node, '/keep', @body); $said{$said}++; $said eq '200 ok' }),
        "$name: identities are known again");
    is(join(' ', grep { !/^(?:200 ok|503 REDIS_UNAVAILABLE)$/ } keys %said), '',
        'nobody was taken for gone');
    return;
}

my $told_late = ready($brief, '/sse');
$away->stop;
$told_late->close;

{
    my %on = (one => $one, two => $two); # of which one has records, and the other one has none
    my %of = map { my $node = $_; ($node => [map { ready($on{$node}, "/known?id=$node-$_") } 1 .. 2]) }
        keys %on;
    ok(wait_until(sub { left() >= 2 }), 'some are open');
    $admin->flushall;
    for my $node (sort keys %on) {
        is(to_token($on{$_}, $of{$node}[0], 'a'), '200 ok', "$node: after FLUSHALL it is sent, from $_")
            for sort keys %on;
        ok(has($of{$node}[0], 'a,a'), 'and arrives');
    }
    is(to_name($one, 'two-1', 'a', '/keep'), '503 REDIS_UNAVAILABLE', 'of identities nothing is known');
    ok(wait_until(sub { $admin->keys('ragline:gateway:identity:*') == 4 }),
        'until those that have one have said so');
    $admin->del('ragline:gateway:lost') if !full(); # which has some seconds yet
    for my $node (sort keys %on) {
        my $other = $on{ $node eq 'one' ? 'two' : 'one' };
        known_again($node, $other, identity => "$node-$_", event => { data => 'b' }) for 1, 2;
        ok($_->wait(sub { data_of($_[0]) =~ /^(?:a,a,)?b$/ }), 'and reach who has them, once')
            for @{ $of{$node} };
        my $new = ready($other, "/known?id=$node-1");
        ok(ended($of{$node}[0]), 'a new one replaces the one of before');
        $_->close for $new, $of{$node}[1];
    }
    left_becomes(0, 'as are those of whom the back end is to be told');
}
is(sent($one, '/send', token => '11111111-1111-4111-8111-111111111111'), '404 TOKEN_NOT_FOUND',
    'of who says nothing it is found out') for 1 .. 3;
is(to_name($one, 'lost', $_, '/keep'), '200 buffered', 'what is kept then') for 'x', 'y';
my $lost = ready($two, '/known?id=lost');
ok(has($lost, 'x,y'), 'is had');
$lost->close;

# --- ends that nobody can be told of -------------------------------------------------------------

{
    my ($short) = $told_late->{token} =~ /^(.{8})/;
    ok(wait_until(sub { $brief->error_log =~ /RS1131: \S+ was not told of the end of $short in time/ }),
        'a back end that is away for too long is not told, and the log says so');
    left_becomes(0, 'nor later');
    unlike($brief->error_log, qr/RS1135/, 'one is not many');
}

# More than a child remembers, left by one that is gone.
SKIP: {
    skip('ten thousand ends: --full', 3) if !full();
    my $gone = fork() // die "fork: $!\n";
    POSIX::_exit(0) if !$gone;
    waitpid($gone, 0);
    my $node = Ragline::Httpd->new(name => 'many', children => 1, processes => 1, conf => conf())->start;
    my %is = map { $_ => 1 } $node->children;
    my $child;
    wait_until(sub { ($child) = grep { /-(\d+)-/ && $is{$1} } $admin->smembers('ragline:gateway:children') });
    $child =~ s/-.*/-$gone-00000000/;
    my $many = 10_003;
    my $request = '{"url":"/sse?many","headers":{}}';
    my @records = map { sprintf('22222222-2222-4222-8222-%012d', $_),
        join("\n", 'http://nobody.example 00000000', 'error', time, '', '', $request) } 1 .. $many;
    $admin->hset("ragline:gateway:ends:$child", splice(@records, 0, 1000)) while @records;
    $admin->sadd('ragline:gateway:children', $child);
    ok(wait_until(sub { $node->error_log =~ /RS1135: \S+ was not told of 10000 ends: further ones/ }),
        'more ends than can be kept: the log says so');
    left_becomes(10_000, 'so many are kept');
    is(scalar(() = $node->error_log =~ /RS1135/g), 1, 'said once');
    $node->stop;
    $admin->del($admin->keys('ragline:gateway:ends:*'));
}

# --- a process that was taken for dead -----------------------------------------------------------

{
    my @streams = map { ready($one, '/sse') } 1 .. 3;
    left_becomes(3, 'some are open');
    # What whoever takes over a child's records leaves for that child.
    $admin->set("ragline:gateway:taken:$_", 1) for $admin->smembers('ragline:gateway:children');
    ok(ended($_), 'who was taken for dead ends its connections') for @streams;
    ok(wait_until(sub { $one->error_log =~ /RS1132: .*taken for dead/ }), 'and says why');
    is($backend->disconnect_of($_->{path})->{body}{reason}, 'server_closed', 'it tells of them, too')
        for @streams;
    my $then = ready($one, '/sse');
    is(to_token($two, $then, 'x'), '200 ok', 'and goes on');
    $then->close;
}
# The same as it comes to be: it does not run for a while. Of two others one has another back end.
SKIP: {
    skip('others wait for twenty seconds: --full', 11) if !full();
    my $three = Ragline::Httpd->new(name => 'three', children => 1, conf => conf())->start;
    my $stream = ready($one, '/known?id=stopped');
    # By then others believe what is not there.
    select(undef, undef, undef, 21);
    for (1 .. 3) {
        my @lives = $admin->keys('ragline:gateway:alive:*');
        $admin->del(@lives) if @lives;
        select(undef, undef, undef, 1);
    }
    is(to_token($two, $stream, 'here'), '200 ok', 'who lives ends for no key that Redis has dropped');
    is($backend->count_of($stream->{path}, 'disconnect'), 0, 'and nobody tells of it');
    # A whole data centre.
    my $record = $backend->url . ' ' . substr(Digest::SHA::sha256_hex($backend->url), 0, 8);
    for my $n (1 .. 600) {
        $admin->hset("ragline:gateway:ends:gone$n-1-00000000", sprintf('33333333-3333-4333-8333-%012d', $n),
            join("\n", $record, '', 0, '', '', '{"url":"/sse?gone","headers":{}}'));
        $admin->sadd('ragline:gateway:children', "gone$n-1-00000000");
    }
    ok(wait_until(sub { $backend->count_of('/sse?gone', 'disconnect') >= 600 }, 120),
        'of 600 that are gone at once each is told of') or diag($backend->count_of('/sse?gone', 'disconnect'));
    left_becomes(1, 'one is open');
    my @children = $one->children;
    ok(freeze(@children), 'its node stops');
    my $told = wait_until(sub { $backend->count_of($stream->{path}, 'disconnect') }, 120);
    ok($told, 'another one tells of it');
    is($backend->disconnect_of($stream->{path})->{body}{reason}, 'error', 'as what it is to others');
    is(to_token($three, $stream, 'x'), '404 TOKEN_NOT_FOUND', 'and does not find it');
    kill(CONT => @children);
    ok(ended($stream), 'when it runs again it ends that');
    ok(wait_until(sub { $backend->count_of($stream->{path}, 'disconnect') == 2 }), 'and tells');
    is(keys %{ { map { $_->{headers}{'idempotency-key'} => 1 } grep { $_->{body}{action} eq 'disconnect'
        && $_->{body}{token} eq $stream->{token} } $backend->calls } }, 1, 'what can be known as the same');
    $three->stop;
}
is_deeply([denied()], [], 'nothing was denied');
$_->stop for $one, $two, $brief;
done_testing();
