# SPDX-License-Identifier: Apache-2.0
#
# Redis goes and comes back; how many connections it sees; how we log in to it.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes ();

use Ragline::HTTP ();
use Ragline::Httpd ();
use Ragline::Proc qw(slurp spew);
use Ragline::Redis ();
use Ragline::Test;

my $key = 'ragline:stream:orders';
my $redis = Ragline::Redis->start(name => 'private');

sub conf
{
    my ($of, @more) = @_;
    my $stream = bearer_location('/stream', 'RaglineSubscribe orders', 'RaglineHeartbeat off');
    return join("\n", "RaglineRedis @{[ $of->url ]}", @more, <<"EOF") . $stream;
RaglineStream orders $key
RaglineDrain 1s
<Location /publish>
    SetHandler ragline-publish
@{[ jwt_conf() ]}
    RaglinePublish orders
</Location>
<Location /ragline-health>
    SetHandler ragline-health
</Location>
EOF
}

my $httpd = Ragline::Httpd->new(conf => conf($redis, 'RaglineRedisPool max=3 timeout=5s'),
    loglevel => 'warn ragline_stream:info')->start;

sub open_stream
{
    my ($tenant) = @_;
    my $stream = $httpd->stream('/stream', token => token($tenant, 1));
    return $stream->connected && $stream;
}

sub add
{
    my ($tenant, $type) = @_;
    return $redis->xadd($key, tenant_id => $tenant, event_type => $type, payload => '{}');
}

sub publish
{
    my ($type) = @_;
    return $httpd->request(method => 'POST', path => '/publish', token => token('a', 1),
        headers => ['Content-Type' => 'application/json'],
        body => qq({"stream":"orders","event_type":"$type","payload":{}}));
}

# Lines of the module's that a person should see.
sub log_lines
{
    return scalar(() = $httpd->error_log =~ /\[ragline_stream:(?:notice|warn|error|crit)\]/g);
}

# --- connections --------------------------------------------------------------------------------

my $one = open_stream('a');
sub readers { return grep { $_->{cmd} =~ /^xread/ } $redis->clients }
my $children = () = $httpd->children;
ok(wait_until(sub { my $n = readers(); $n >= 1 && $n <= $children }),
    'one connection reads for a child')
    or diag(join "\n", map { $_->{cmd} } $redis->clients);
my $connections = $redis->clients;
my @many = map { open_stream('tenant' . $_ % 20) } 1 .. 60;
is(scalar(@many), 60, '60 streams of 20 tenants that nobody knew before');
SKIP: {
    skip 'prefork has a reader in each process', 1 if $children > 1;
    is(scalar(() = $redis->clients), $connections, 'are no connections more');
}
add("tenant$_", 'hello') for 0 .. 19;
ok(Ragline::SSE->wait_all(\@many, sub { grep { $_->{event} eq 'hello' } $_[0]->events }),
    'each tenant gets its event');
Ragline::SSE->close_all(@many);

# --- the connections are cut --------------------------------------------------------------------

my @want = map { add('a', 'count') } 1 .. 10;
for my $round (1 .. 5) {
    $redis->client->client('kill', 'type', 'normal', 'skipme', 'yes');
    push @want, map { add('a', 'count') } 1 .. 20;
}
$one->wait(sub { (grep { $_->{event} eq 'count' } $_[0]->events) >= @want });
is(has_ids(grep { $_->{event} eq 'count' } $one->events), "@want",
    'connections to Redis cut five times: nothing is lost or doubled');

# --- Redis stops --------------------------------------------------------------------------------

is(publish('before')->status, 201, 'publishing works');
ok($one->take('before'), 'and is delivered');
ok(wait_until(sub { $httpd->request(path => '/ragline-health')->status == 200 }), 'ready');

my $quiet_lines = log_lines();
my $quiet = length($httpd->error_log);
$redis->stop;
my $refused = publish('down');
is($refused->status, 503, 'Redis is down: publishing is 503');
like($refused->header('content-type') // '', qr{^application/json}, 'as JSON');
ok(ref $refused->json, 'that can be read');
ok(wait_until(sub { $httpd->request(path => '/ragline-health')->status == 503 }),
    'not ready any more');
is($httpd->request(path => '/ragline-health/live')->status, 200, 'but alive');
ok(wait_until(sub { log_lines() > $quiet_lines }), 'the log says so');
publish('down') for 1 .. 3;
my $down_lines = log_lines();
is(publish('down')->status, 503, 'it stays so') for 1 .. 20;
my $by_process = vars('mpm') eq 'prefork'; # each of which says it once
is(log_lines(), $down_lines, 'and is not logged again') if !$by_process;
is($one->ended, '', 'the open stream stays open');

my $late = $httpd->stream('/stream', token => token('late', 1));
is($late->wait_end, 'eof', 'a new stream is ended at once');
is($late->status, 200, 'with 200, so that EventSource comes back');
ok(defined $late->retry, 'and retry:');
my ($why) = grep { $_->{event} eq 'error' } $late->events;
is($why && json_of($why->{data})->{code}, 'redis_unavailable', 'and an error event that says why');

# --- and comes back -----------------------------------------------------------------------------

$redis->start_again;
my $back = add('a', 'back');
my $event = $one->take('back');
is($event && $event->{id}, $back, 'Redis is back: delivery goes on');
ok(wait_until(sub { publish('again')->status == 201 }), 'and publishing');
ok($one->take('again'), 'which is delivered');
ok(wait_until(sub { $httpd->request(path => '/ragline-health')->status == 200 }), 'ready again');
my $up_lines = log_lines();
cmp_ok($up_lines, '>', $down_lines, 'the log says so');
my %said; # and who comes while Redis is loading its data hears that, too
$said{$_}++ for substr($httpd->error_log, $quiet)
    =~ /\[ragline_stream:(?:notice|warn|error|crit)\] \[pid (\d+)(?!.*LOADING)/g;
is(scalar(grep { $_ > 4 } values %said), 0,
    'each process has two lines for the end and two for the start, for commands and for streams');
publish('again') for 1 .. 10;
is(log_lines(), $up_lines, 'and no more') if !$by_process;
ok(open_stream('fresh'), 'new streams open');

# --- the pool is bounded ------------------------------------------------------------------------

{
    # A process that saw Redis down tries it once a second; which of them has, nobody can ask.
    Time::HiRes::sleep(2) if $by_process;
    my $before = $redis->clients;
    my @posts = map { my $n = $_; $httpd->stream('/publish', method => 'POST',
        token => token('a', 1),
        headers => ['Content-Type' => 'application/json', Connection => 'close'],
        body => qq({"stream":"orders","event_type":"parallel","payload":$n})) } 1 .. 100;
    my ($looked, $most) = (0, 0);
    Ragline::SSE->wait_all(\@posts, sub {
        if (++$looked % 20 == 0) {
            my $now = $redis->clients;
            $most = $now if $now > $most;
        }
        return $_[0]->ended;
    });
    is(scalar(grep { $_->status == 201 } @posts), 100, 'a hundred publishers at once are served');
    cmp_ok($most, '<=', $before + 3 * $children, 'over no more than max=3 connections');
    $one->wait(sub { (grep { $_->{event} eq 'parallel' } $_[0]->events) >= 100 });
    is(scalar(grep { $_->{event} eq 'parallel' } $one->events), 100, 'each event once');
}

# --- a password ---------------------------------------------------------------------------------

{
    my $password = 'pass-word-' . unique();
    my $locked = Ragline::Redis->start(name => 'locked', password => $password, tcp => 1);
    my $file = spew(vars('run_dir') . '/redis-password', "$password\n");
    chmod(0600, $file);
    my $with = Ragline::Httpd->new(name => 'password', loglevel => 'warn ragline_stream:debug',
        conf => conf($locked, "RaglineRedisAuth file:$file"))->start;
    ok(wait_until(sub { $with->request(path => '/ragline-health')->status == 200 }),
        'RaglineRedisAuth file: logs in');
    my $stream = $with->stream('/stream', token => token('a', 1));
    $stream->connected;
    $locked->xadd($key, tenant_id => 'a', event_type => 'locked', payload => '{}');
    ok($stream->take('locked'), 'and reads');
    unlike($with->error_log, qr/\Q$password/, 'the password is in no log');

    # One host logs in, another one with the same server does not, and reads nothing.
    my $host = conf($locked, "RaglineRedisAuth file:$file");
    $host =~ s/RaglineDrain.*\n//;
    my $hosts = Ragline::Httpd->new(name => 'password-host', conf => <<"EOF")->start;
RaglineRedis @{[ $locked->url ]}
<VirtualHost *:\@PORT\@>
$host
<Location /ragline-stats>
    SetHandler ragline-stats
    Require local
</Location>
</VirtualHost>
EOF
    ok(wait_until(sub { $hosts->request(path => '/ragline-health')->status == 200 }),
        'RaglineRedisAuth in a virtual host');
    my @read = map { "$_->{state} $_->{children}" } @{ stats($hosts)->{redis} };
    is(scalar(@read), 1, 'the others do not read for it');
    is($read[0], "up $children", 'one does in each child') if !$by_process;
    unlike($hosts->error_log, qr/NOAUTH/, 'without its password');
    $hosts->stop;

    spew($file, "wrong-$password\n");
    my $wrong = Ragline::Httpd->new(name => 'wrong-password',
        loglevel => 'warn ragline_stream:debug',
        conf => conf($locked, "RaglineRedisAuth file:$file"))->start;
    ok(wait_until(sub { $wrong->error_log =~ /WRONGPASS|NOAUTH|password|refus/i }),
        'a wrong one is logged');
    is($wrong->request(path => '/ragline-health')->status, 503, 'and nothing is ready');
    unlike($wrong->error_log, qr/\Q$password/, 'the password is in no log');

    # The same server by TCP.
    (my $tcp = conf($locked, "RaglineRedisAuth env:RAGLINE_TEST_PASSWORD"))
        =~ s/unix:\S+/$locked->tcp_url/e;
    local $ENV{RAGLINE_TEST_PASSWORD} = $password;
    my $over_tcp = Ragline::Httpd->new(name => 'tcp', conf => $tcp)->start;
    ok(wait_until(sub { $over_tcp->request(path => '/ragline-health')->status == 200 }),
        'over TCP, with a password from the environment');
}

# --- a Redis user with no more rights than the reference names ----------------------------------

{
    my ($source) = slurp('Makefile') =~ /^abs_top_srcdir = (.*)$/m;
    my ($reader, $writer) = slurp("$source/docs/DIRECTIVES.md")
        =~ /^    user streams on >PASSWORD (.*)$/mg;
    my ($tenants) = slurp("$source/docs/DIRECTIVES.md") =~ /^    (\+client\|id .*)$/m;
    my ($groups) = slurp("$source/docs/DIRECTIVES.md") =~ /^    (~ragline:groups:.*)$/m;
    ok($writer && $tenants && $groups, 'the reference has rights for reading and for publishing')
        or BAIL_OUT('no rights');
    my $guarded = Ragline::Redis->start(name => 'acl', args => ['--appendonly', 'no']);
    my $admin = $guarded->client;
    local $ENV{RAGLINE_TEST_PASSWORD} = 'pass-word-' . unique();
    my $allow = sub {
        $admin->acl('setuser', 'streams', 'reset', 'on', ">$ENV{RAGLINE_TEST_PASSWORD}",
            split / /, $_[0]);
    };
    my $denied = sub { map { my %e = @$_; "$e{reason} $e{object}" } $admin->acl('log') };
    my $conf = conf($guarded, 'RaglineRedisAuth streams env:RAGLINE_TEST_PASSWORD',
        'RaglineCache 1MB', 'RaglineSendBuffer 4KB',
        "<Location /ragline-stats>\nSetHandler ragline-stats\nRequire local\n</Location>")
        =~ s/(RaglineRedis \S+)/$1?db=2/r;
    $admin->select(2);
    my $start = sub { Ragline::Httpd->new(name => "acl-$_[0]", conf => $conf)->start };
    my $post = sub {
        my ($on, @members) = @_;
        my $body = join ',', '"stream":"orders","event_type":"posted","payload":{}', @members;
        return $on->request(method => 'POST', path => '/publish', token => token('a', 1),
            headers => ['Content-Type' => 'application/json'], body => "{$body}");
    };

    # Reading: live, from Redis on coming back, from Redis for one that is slow.
    $allow->($reader);
    my $on = $start->('reader');
    my $stream = $on->stream('/stream', token => token('a', 1));
    ok($stream->connected, 'the rights to read are enough to open a stream');
    my $first = $guarded->xadd($key, tenant_id => 'a', event_type => 'first', payload => '{}');
    is(($stream->take('first') // {})->{id}, $first, 'to get events');
    my $slow = Ragline::HTTP::connect_to(port => $on->port);
    syswrite($slow, Ragline::HTTP::request_bytes(port => $on->port, path => '/stream',
        token => token('slow', 1)));
    sysread($slow, my $received, 65536);
    my $last;
    $last = $guarded->xadd($key, tenant_id => 'slow', event_type => 'n', payload => 'x' x 500_000)
        for 1 .. 40;
    ok(wait_until(sub {
        (stats_stream(stats($on), 'orders') // {})->{last_id} eq $last }), 'to fall far behind');
    while (index($received, "id: $last\n") < 0 && sysread($slow, my $more, 1_000_000)) {
        $received = substr($received, -100) . $more;
    }
    ok(index($received, "id: $last\n") >= 0, 'and to get everything nevertheless');
    cmp_ok(stats($on)->{fetches}, '>', 0, 'from Redis');
    is($on->request(path => '/ragline-health')->status, 200, 'and for the health check');
    close($slow);
    $stream->close;
    $on->stop;
    is_deeply([$denied->()], [], 'nothing was denied');
    $admin->flushdb;
    $first = $guarded->xadd($key, tenant_id => 'a', event_type => 'first', payload => '{}');
    $on = $start->('reader-again');
    $stream = $on->stream('/stream', token => token('a', 1), last_event_id => '0-1');
    is(($stream->take('first') // {})->{id}, $first, 'and to come back') or diag($stream->body);
    is_deeply([$denied->()], [], 'nothing was denied');
    my $refused = $post->($on);
    is($refused->status, 500, 'but not to publish');
    is($refused->json->{message}, 'Redis refused to write (NOPERM); nothing was written',
        'which is said');
    $stream->close;
    $on->stop;

    # Keys of tenants.
    $admin->acl('log', 'reset');
    my $shared = $conf;
    $conf .= "RaglineStream own ragline:stream:{tenant}:own\n"
        . bearer_location('/own', 'RaglineSubscribe own', 'RaglineHeartbeat off');
    $allow->("$reader $tenants");
    $on = $start->('tenants');
    $stream = $on->stream('/own', token => token('a', 1));
    ok($stream->connected, 'the rights to read keys of tenants');
    my $own = $guarded->xadd('ragline:stream:a:own', event_type => 'own', payload => '{}');
    is(($stream->take('own') // {})->{id}, $own, 'are enough to get events');
    is_deeply([$denied->()], [], 'nothing was denied');
    unlike($on->error_log, qr/RS0222/, 'and Redis tells of changes');
    $stream->close;
    $on->stop;

    # Groups, of either kind of key: made, moved, and found again after the note of where they are
    # was lost.
    $conf .= bearer_location('/group', 'RaglineSubscribe orders', 'RaglineStart group')
        . bearer_location('/own-group', 'RaglineSubscribe own', 'RaglineStart group');
    $allow->("$reader $tenants $groups");
    my $n = 0;
    my %of = ('/group' => $key, '/own-group' => 'ragline:stream:a:own');
    for my $round ('made', 'found again') {
        $on = $start->('group-' . $round =~ s/ /-/gr);
        for my $path (sort keys %of) {
            $stream = $on->stream($path, token => token('a', 1));
            ok($stream->connected, "the rights for groups, $round: $path") or diag($stream->body);
            my $id = $guarded->xadd($of{$path}, tenant_id => 'a', event_type => 'g' . ++$n,
                payload => '{}');
            ok($stream->take("g$n"), 'are enough to get events');
            ok(wait_until(sub {
                grep { my %g = @$_; $g{'last-delivered-id'} eq $id }
                    $admin->xinfo('groups', $of{$path})
            }), 'and to move the group');
            $stream->close;
            $admin->del("ragline:groups:{$of{$path}}");
        }
        is_deeply([$denied->()], [], 'nothing was denied');
        $on->stop;
    }
    $conf = $shared;

    # Publishing as well.
    $allow->($writer);
    $admin->acl('log', 'reset');
    $on = $start->('writer');
    $stream = $on->stream('/stream', token => token('a', 1), last_event_id => $first);
    ok($stream->connected, 'the rights to publish include reading');
    is($post->($on)->status, 201, 'they are enough to publish');
    is($post->($on, '"event_id":"x"')->status, 201, 'with an event_id');
    ok($post->($on, '"event_id":"x"')->json->{duplicate}, 'and to know it again');
    is($on->request(method => 'POST', path => '/publish', token => token('a', 1), body => '[' . join(
        ',', ('{"stream":"orders","event_type":"posted","payload":{}}') x 3) . ']',
        headers => ['Content-Type' => 'application/json'])->status, 201, 'and several at once');
    $stream->wait(sub { (grep { $_->{event} eq 'posted' } $_[0]->events) == 5 });
    is(scalar(grep { $_->{event} eq 'posted' } $stream->events), 5, 'all of which arrive');
    is_deeply([$denied->()], [], 'nothing was denied');

    # Nothing is allowed that is not needed. DISCARD is for what cannot be made to happen here.
    my $info = $admin->info('commandstats');
    for my $right (grep { $_ ne 'discard' } "$writer $tenants" =~ /\+(\S+)/g) {
        ok($info->{"cmdstat_$right"}, "$right is used");
    }
    for my $without ('~ragline:event:*', '+evalsha', '+get', '+set') {
        $allow->(join ' ', grep { $_ ne $without } split / /, $writer);
        is($post->($on)->status, 201, "without $without: events are published");
        $refused = $post->($on, '"event_id":"' . unique() . '"');
        is($refused->status . ' ' . $refused->json->{error}, '500 redis_refused',
            "without $without: but not with an event_id");
    }
    $stream->close;
    $on->stop;
}

done_testing();
