# SPDX-License-Identifier: Apache-2.0
#
# Revocation: of a user, a tenant, or a token, until some time. Who is there is ended, on every node;
# who comes is refused, also by children that start later. Two httpd with one Redis.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use POSIX ();
use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(freeze slurp);
use Ragline::Redis ();
use Ragline::SSE ();
use Ragline::Test;
use Ragline::WebSocket ();

my $redis = Ragline::Redis->start(name => 'revoke');
my $key = 'ragline:stream:orders';
my $set = 'ragline:revoked:until';

sub admin { my ($path, @more) = @_;
    return join("\n", "<Location $path>", '    SetHandler ragline-admin', @more, '</Location>', '') }

my $conf = <<"EOF"
RaglineRedis @{[ $redis->url ]}
RaglineStream orders $key
RaglineDrain 0
<Location /publish>
    SetHandler ragline-publish
    RaglinePublish orders
@{[ jwt_conf() ]}
</Location>
<Location /any>
    SetHandler ragline-publish
    RaglinePublish orders any-tenant
@{[ jwt_conf() ]}
</Location>
<Location /ragline-stats>
    SetHandler ragline-stats
    Require local
</Location>
EOF
    . bearer_location('/stream', 'RaglineSubscribe orders', 'RaglineWires sse ndjson poll')
    . websocket_location('/ws', 'RaglineSubscribe orders')
    . admin('/admin', jwt_conf())
    . admin('/all', 'RaglineAdmin all', 'Require local');
my $one = Ragline::Httpd->new(name => 'one', children => 2, conf => $conf)->start;
my $two = Ragline::Httpd->new(name => 'two', conf => $conf)->start;
my ($us, $them) = (unique('a'), unique('b'));
my $later = time + 1000;

sub open_at
{
    my ($node, $path, $tenant, $user, %claims) = @_;
    my $class = $path eq '/ws' ? 'Ragline::WebSocket' : 'Ragline::SSE';
    return $class->open(port => $node->port, path => $path, token => token($tenant, $user, %claims));
}
sub there { my ($stream) = open_at(@_); $stream->take('connected') or diag('is not there'); return $stream }

sub post
{
    my ($path, $body, %more) = @_;
    return $one->request(path => $path, method => 'POST', %more, headers => ['Content-Type' => 'application/json'],
        body => ref $body ? JSON::PP->new->canonical->encode($body) : $body);
}

sub revoke
{
    my ($body, $here, $name) = @_;
    my $response = post('/admin/revoke', $body, token => token($us, 'boss'));
    is($response->body, qq({"here":$here,"elsewhere":true}\n), "$name: $here here");
    return;
}

sub is_revoked
{
    my ($stream, $name) = @_;
    my $error = $stream->take('error') // {};
    $error = json_of($error->{data}) if $error->{data};
    is(($error->{code} // '') . ': ' . ($error->{error} // ''), 'revoked: this token is not good any more', "$name: told");
    $stream->isa('Ragline::WebSocket') ? is($stream->wait_close, '1008 revoked', "$name: 1008") : $stream->wait_end;
    return;
}

sub is_refused
{
    my ($node, $name, $tenant, $user, %claims) = @_;
    my $response = $node->request(path => '/stream', token => token($tenant, $user, %claims));
    is($response->status . ' ' . (($response->json // {})->{error} // ''), '401 revoked', "$name: refused");
    like($response->header('WWW-Authenticate') // '', qr/^Bearer error="invalid_token"/, "$name: with a challenge");
    return;
}

# Whether somebody comes in at all.
sub status { my ($node, @who) = @_;
    return $node->request(path => '/stream', token => token(@who), head_only => 1, close => 0)->status }

# --- a user --------------------------------------------------------------------------------------

my @u = (there($one, '/stream', $us, 'u'), there($one, '/ws', $us, 'u'), there($two, '/stream', $us, 'u'));
my $v = there($one, '/stream', $us, 'v');
my $namesake = there($one, '/stream', $them, 'u');
revoke({ user => 'u', until => $later }, 2, 'a user');
is_revoked($_, 'a user') for @u;
is_refused($one, 'a user', $us, 'u');
ok(wait_until(sub { status($two, $us, 'u') == 401 }), 'and by the other node');
my $ws = open_at($one, '/ws', $us, 'u');
is($ws->wait_close, '1008 revoked', 'a WebSocket is accepted and closed');
ok(!$_->ended, 'others stay') for $v, $namesake;
is(status($one, $us, 'w'), 200, 'and others come');

# --- a token -------------------------------------------------------------------------------------

my $stolen = there($two, '/stream', $us, 'x', jti => 'stolen/1');
my $mine = there($one, '/ws', $us, 'x', jti => 'mine');
my $other = there($one, '/stream', $us, 'x');
revoke({ jti => 'stolen/1', until => $later }, 0, 'a token');
is_revoked($stolen, 'a token');
is_refused($two, 'a token', $us, 'x', jti => 'stolen/1');
is(status($two, $us, 'x', jti => 'good'), 200, 'the same user with another token comes');
ok(!$_->ended, 'others stay') for $mine, $other;
$mine->send_text(JSON::PP::encode_json({ type => 'auth', token => token($us, 'x', jti => 'stolen/1') }));
is($mine->take('error')->{error}, 'the token has been revoked', 'it is not taken on an open WebSocket');
# One token a second is looked at.
ok(wait_until(sub {
    $mine->send_text(JSON::PP::encode_json({ type => 'auth', token => token($us, 'x', jti => 'second') }));
    return $mine->take('auth_updated', 0.3);
}), 'another one is');
1 while $mine->take('error', 0.01);
revoke({ jti => 'second', until => $later }, 1, 'the one that took its place');
is_revoked($mine, 'the one that took its place');

# --- a tenant, and publishing --------------------------------------------------------------------

my $theirs = there($two, '/stream', $them, 'y');
is(post('/all/revoke', { tenant => $them, until => $later })->body, qq({"here":1,"elsewhere":true}\n), 'a tenant');
is_revoked($_, 'a tenant') for $theirs, $namesake;
is_refused($one, 'a tenant', $them, 'z');
my $event = { stream => 'orders', event_type => 'x', payload => 1 };
is(post('/publish', $event, token => token($them, 'z'))->json->{error}, 'revoked', 'nor does it publish');
is(post('/publish', $event, token => token($us, 'v'))->status, 201, 'others do');

# --- until ---------------------------------------------------------------------------------------

revoke({ user => 'u', until => '2020-01-01T00:00:00Z' }, 0, 'undone by a time in the past');
ok(wait_until(sub { status($two, $us, 'u') == 200 }), 'who comes then is let in by the other node');
is(status($one, $us, 'u'), 200, 'and by this one');
my $short = there($one, '/stream', $us, 'short');
revoke({ user => 'short', until => time + 2 }, 1, 'for two seconds');
is_revoked($short, 'for two seconds');
ok(wait_until(sub { status($one, $us, 'short') == 200 }), 'it ends by itself');
my $again = there($one, '/stream', $us, 'short');
ok(wait_until(sub { status($two, $us, 'short') == 200 }), 'on the other node, too');
my $again_there = there($two, '/stream', $us, 'short');
revoke({ user => 'short', until => $later }, 1, 'revoked anew');
is_revoked($_, 'revoked anew, who came in between') for $again, $again_there;
my ($sec, $min, $hour, $day, $month, $year) = gmtime($later + 3600);
my $date = sprintf('%d-%02d-%02dT%02d:%02d:%02d.5+01:00', $year + 1900, $month + 1, $day, $hour, $min, $sec);
revoke({ user => 'dated', until => $date }, 0, 'until a time with an offset');
is($redis->client->zscore($set, "u/$us/dated"), $later, 'which is that moment');
is($redis->client->zscore($set, "u/$us/u"), undef, 'what was undone is not kept');
cmp_ok($redis->client->ttl($set), '>', 1000, 'and nothing for ever');

# --- children that start later, and hubs that were away ------------------------------------------

$one->graceful;
ok(wait_until(sub { my $r = $one->request(path => '/stream', token => token($them, 'z'));
    $r->status == 401 && $r->json->{error} eq 'revoked' }), 'a child that has just started knows');
my $there = there($two, '/stream', $us, 'away');
{
    # Not in the control stream: what a hub missed there it reads from the set.
    my $client = $redis->client;
    $client->zadd($set, $later, "u/$us/away");
    $client->client_kill('TYPE', 'normal', 'SKIPME', 'yes');
}
is_revoked($there, 'what a hub was not told');

# A process that was stopped for longer than the control stream keeps what is in it.
{
    my $missed = there($two, '/stream', $us, 'missed');
    my $client = $redis->client;
    my $nothing = sub { $client->xadd('ragline:control', '*', do => 'close', tenant => $us, user => 'nobody') };
    freeze($two->children);
    $nothing->(); # which answers the read that is under way
    revoke({ user => 'missed', until => $later }, 0, 'while the other node is stopped');
    $nothing->() for 1 .. 3;
    $client->xtrim('ragline:control', 'MAXLEN', 2);
    kill('CONT', $two->children);
    is_revoked($missed, 'what was trimmed before it was read');
    is_refused($two, 'what was trimmed before it was read', $us, 'missed');
    my $emptied = there($two, '/stream', $us, 'emptied');
    freeze($two->children);
    $nothing->();
    revoke({ user => 'emptied', until => $later }, 0, 'while it is stopped again');
    $client->xtrim('ragline:control', 'MAXLEN', 0);
    kill('CONT', $two->children);
    is_revoked($emptied, 'what was trimmed with all others');
}

# --- what no handler wrote -----------------------------------------------------------------------

{
    my $client = $redis->client;
    my $pids = join ' ', map { $_->{pid} } @{ stats($two)->{children} };
    $client->zadd($set, $later, $_) for 't/' . 'x' x 5000, "u/$us/" . 'y' x 100, "u/$us/a/b", 'x', '',
        't/a b', "t/$us\0b", 'j//' . 'z' x 5000;
    $client->zadd($set, '+inf', "u/$us/forever");
    $client->client_kill('TYPE', 'normal', 'SKIPME', 'yes');
    ok(wait_until(sub { status($two, $us, 'forever') == 401 }), 'a time without an end is one');
    is(status($two, $us, 'v'), 200, 'what is no name is nobody');
    is(join(' ', map { $_->{pid} } @{ stats($two)->{children} }), $pids, 'and ends no process');
}

# --- administrators who are revoked, and who publishes for any tenant ----------------------------

{
    my $boss = token($us, 'boss', jti => 'taken');
    my $list = sub { $one->request(path => "/admin/$_[0]", token => $boss)->status };
    is($list->('connections'), 200, 'an administrator');
    revoke({ jti => 'taken', until => $later }, 0, 'whose token is revoked');
    ok(wait_until(sub { "@{[ map { $list->($_) } qw(connections presence) ]}" eq '401 401' }), 'sees nobody');
    is(join(' ', map { post("/admin/$_->[0]", $_->[1], token => $boss)->json->{error} }
        ['revoke', { jti => 'taken', until => 1 }], ['close', { user => 'v' }]), 'revoked revoked',
        'undoes nothing, and ends nothing');
    my $wide = token('root', 'service', jti => 'wide');
    is(post('/any', { %$event, tenant_id => $us }, token => $wide)->status, 201, 'who publishes for any tenant');
    is(post('/all/revoke', { jti => 'wide', until => $later })->status, 200, 'is revoked');
    ok(wait_until(sub { my $r = post('/any', { %$event, tenant_id => $us }, token => $wide);
        $r->status == 401 && $r->json->{error} eq 'revoked' }), 'and publishes for none');
}

# --- errors --------------------------------------------------------------------------------------

for (
    [{ user => 'u' }, 400, 'bad_until', 'without a time'],
    [{ user => 'u', until => 'soon' }, 400, 'bad_member', 'what is no time'],
    [{ user => 'u', until => '2026-13-01T00:00:00Z' }, 400, 'bad_member', 'what is no date'],
    [{ user => 'u', until => '2027-02-29T00:00:00Z' }, 400, 'bad_member', 'a day that the month does not have'],
    [{ user => 'u', until => 99999999999 }, 400, 'bad_member', 'more than ten years'],
    [{ until => $later }, 400, 'bad_target', 'nobody'],
    [{ user => 'u', jti => 'x', until => $later }, 400, 'bad_target', 'two of them'],
    [{ jti => 'a b', until => $later }, 400, 'bad_jti', 'what is no id of a token'],
    [{ jti => 'x' x 256, until => $later }, 400, 'bad_jti', 'a long one'],
    [{ tenant => $them, until => $later }, 403, 'tenant', 'another tenant'],
    [{ user => 'u', until => $later, reason => 'x' }, 400, 'bad_reason', 'a reason'],
) {
    my ($body, $status, $code, $name) = @$_;
    my $answer = post('/admin/revoke', $body, token => token($us, 'boss'));
    is($answer->status . ' ' . (($answer->json // {})->{error} // ''), "$status $code", $name);
}
is(post('/admin/close', { user => 'u', until => $later }, token => token($us, 'boss'))->json->{error},
    'bad_until', 'a time to close');
is(post('/admin/close', { jti => 'x' }, token => token($us, 'boss'))->json->{error}, 'bad_target', 'a token to close');

# --- where Redis does not say --------------------------------------------------------------------

$redis->client->del($set);
$redis->client->set($set, 'no set');
my $closed = Ragline::Httpd->new(name => 'closed', conf => $conf)->start;
my $refused = open_at($closed, '/stream', $us, 'v');
is(json_of(($refused->take('error') // {})->{data} // '{}')->{code}, 'redis_unavailable',
    'RaglineRevocation closed: nobody comes while it is not known who may');
ok(wait_until(sub { slurp($closed->{error_log})
    =~ /RS0525: .*who was revoked \(\Q$set\E\): WRONGTYPE.*no stream is let in until/ }), 'and the log says why');
{
    my $answer = post('/all/revoke', { tenant => $us, user => 'w', until => $later });
    is($answer->status . ' ' . $answer->json->{message}, '503 Redis did not take it; nothing was done',
        'nobody is revoked');
    ok(wait_until(sub { slurp($one->{error_log}) =~ /RS0761: .*\Q$set\E cannot be written: WRONGTYPE/ }), 'which is said');
}
my $open = Ragline::Httpd->new(name => 'open', conf => "RaglineRevocation open\n$conf")->start;
ok(there($open, '/stream', $us, 'v'), 'open: everybody does');
$redis->client->del($set);
ok(wait_until(sub { status($closed, $us, 'v') == 200
    && open_at($closed, '/stream', $us, 'v')->take('connected') }), 'closed: until it is known');
{
    # Who comes before the first words of Redis waits for them.
    freeze($redis->pid);
    my $early = Ragline::Httpd->new(name => 'early', conf => $conf)->start;
    my $later = fork() // die "fork: $!\n";
    if (!$later) {
        select(undef, undef, undef, 0.1);
        kill('CONT', $redis->pid);
        POSIX::_exit(0);
    }
    is($early->request(path => '/admin/connections', token => token($us, 'boss'))->status, 200,
        'while a child starts it is not known yet: nobody is sent away for that');
    waitpid($later, 0);
}
$redis->client->del('ragline:control');
$redis->client->set('ragline:control', 'no stream');
like(post('/all/revoke', { tenant => $us, user => 'w', until => $later })->json->{message},
    qr/^it is remembered,.*try again/, 'what nobody could be told of is told to who asks');

done_testing();
