# SPDX-License-Identifier: Apache-2.0
#
# Passes over missed history. Two at a time, of two Redis servers: what the first one knows of a topic
# that lost its memory meanwhile is not for the second one to forget: else who waits for the first
# would be sent a history with a hole in it, and told that it is complete. One that came by a tenant's
# events when memory was full, before anybody of that tenant came.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(freeze);
use Ragline::Redis ();
use Ragline::Test;

my ($slow, $other) = map { Ragline::Redis->start(name => $_, args => ['--appendonly', 'no']) }
    qw(slow other);
my $httpd = Ragline::Httpd->new(name => 'passes', processes => 1, conf => join '', <<"EOF",
RaglineDrain 0
RaglineCache 1MB
RaglineReplayLimit 1000000
RaglineRedis @{[ $slow->url ]}
RaglineStream events passes:events
RaglineStream late passes:late
RaglineStream newest passes:newest
RaglineStream a passes:a
RaglineStream b passes:b
<VirtualHost *:\@PORT\@>
ServerName slow
EOF
    bearer_location('/slow', 'RaglineSubscribe events'),
    bearer_location('/late', 'RaglineSubscribe late'),
    bearer_location('/both', 'RaglineSubscribe a b'),
    bearer_location('/newest', 'RaglineSubscribe newest', 'RaglineStart last=100'), <<"EOF",
</VirtualHost>
<VirtualHost *:\@PORT\@>
ServerName other
RaglineRedis @{[ $other->url ]}
EOF
    "RaglineStream flood passes:flood\n", bearer_location('/other', 'RaglineSubscribe events'),
    bearer_location('/flood', 'RaglineSubscribe flood'), "</VirtualHost>\n");
my $tenant = unique();
my $key = 'passes:events';

# One entry of a thousand is the tenant's; the others are nobody's, so that they take time but no
# memory.
my $n = 400;
my $from = $slow->client->eval(<<'EOF', 1, $key, $tenant, $n);
local first
for i = 0, tonumber(ARGV[2]) do
    local id = redis.call('XADD', KEYS[1], '*', 'tenant_id', ARGV[1], 'event_type', 'e',
        'payload', '{"n":' .. i .. '}')
    first = first or id
    for k = 1, 999 do redis.call('XADD', KEYS[1], '*', 'tenant_id', '?') end
end
return first
EOF
$httpd->start;

sub reader
{
    my ($host, $path, $of, $id) = @_;
    return $httpd->stream($path, host => $host, token => token($of, 1),
        defined $id ? (last_event_id => $id) : ());
}
sub numbers { return join ' ', map { $_->{data} =~ /"n":(\d+)/ } $_[0]->events }

# Readers of the other server, so that it has topics.
my %others = map { $_ => reader('other', "/$_", $tenant) } qw(other flood);
ok((grep { $_->connected } values %others) == 2, 'two readers of one server');

my $stream = reader('slow', '/slow', $tenant, $from);
ok(wait_until(sub {
    ($slow->client->info('commandstats')->{cmdstat_xrevrange} // '') =~ /calls=(\d+)/ && $1 > 40;
}, undef, 0.001), 'a pass is under way on the other');
freeze($slow->pid);
is(scalar(grep { $_->{event} eq 'connected' } $stream->events), 0, 'and has to wait');

# More than memory is for: topics lose what they have, the quiet ones first. In the end there is room.
sub add
{
    my ($path, $to, $size, $times) = @_;
    my $stream = $others{$path};
    my $before = () = $stream->events;
    my @ids = map { $other->xadd($to, tenant_id => $tenant, event_type => 'e',
        payload => 'x' x $size) } 1 .. $times;
    ok($stream->wait(sub { (() = $_[0]->events) == $before + $times }), "$times new events");
    return @ids;
}
my @ids = add('other', $key, 10, 3);
add('flood', 'passes:flood', 400_000, 4);
add('other', $key, 10, 1);
# One of them comes back: that is the second pass.
my $back = reader('other', '/other', $tenant, $ids[0]);
ok($back->wait(sub { grep { $_->{event} eq 'caught_up' } $_[0]->events }), 'another pass');
is(scalar(grep { $_->{event} eq 'connected' } $stream->events), 0, 'while the first one waits');
kill('CONT', $slow->pid);
ok($stream->wait(sub { grep { $_->{event} eq 'caught_up' } $_[0]->events }), 'that goes on');
is($stream->connected && ($stream->events)[0]{data} =~ /"recovery":"(\w+)"/ && $1, 'resumed',
    'its reader is resumed');
is(numbers($stream), join(' ', 1 .. $n), 'and gets everything');
$_->close for $stream, $back, values %others;
$httpd->stop;

# From the newest on: what fills the memory, what a tenant missed, many that are nobody's, and where
# somebody else was.
my ($old, $late) = map { unique($_) } qw(old late);
my ($first) = $slow->xadd('passes:late', tenant_id => $old, event_type => 'e', payload => '{"n":0}');
$slow->client->eval(<<'EOF', 1, 'passes:late');
for i = 1, 300000 do redis.call('XADD', KEYS[1], '*', 'tenant_id', '?') end
EOF
my ($was) = map { $slow->xadd('passes:late', tenant_id => $late, event_type => 'e',
    payload => "{\"n\":$_}") } 0 .. 20;
$slow->xadd('passes:late', tenant_id => 'full', event_type => 'e', payload => 'x' x 400_000) for 1 .. 4;
$httpd->start;
$slow->client->config_resetstat;
$stream = reader('slow', '/late', $old, $first);
# No room: the pass ends, and both get theirs from Redis.
$back = reader('slow', '/late', $late, $was);
ok($back->wait(sub { grep { $_->{event} eq 'caught_up' } $_[0]->events }), 'who came meanwhile');
is(numbers($back), join(' ', 1 .. 20), 'gets everything that it went by');
ok($stream->wait(sub { grep { $_->{event} eq 'caught_up' } $_[0]->events }), 'and it ends');
$_->close for $stream, $back;
$httpd->stop;

# A pass for somebody who wants the newest events goes on when memory is full. What it went by then
# is not forgotten when there is room again.
my @of = map { unique($_) } qw(wants missed there);
sub write_newest
{
    my ($of, $data) = @_;
    return $slow->xadd('passes:newest', tenant_id => $of, event_type => 'e', payload => $data);
}
my @missed = map { write_newest($of[1], "{\"n\":$_}") } 0 .. 10;
$slow->client->eval(<<'EOF', 1, 'passes:newest');
for i = 1, 300000 do redis.call('XADD', KEYS[1], '*', 'tenant_id', '?') end
EOF
push @missed, map { write_newest($of[1], "{\"n\":$_}") } 11 .. 20;
write_newest('full', 'x' x 400_000) for 1 .. 4;
$httpd->start;
my $there = reader('slow', '/newest', $of[2], write_newest($of[2], '{"n":0}'));
ok($there->connected, 'somebody is there');
$slow->client->config_resetstat;
my $wants = reader('slow', '/newest', $of[0]);
wait_until(sub {
    ($slow->client->info('commandstats')->{cmdstat_xrevrange} // '') =~ /calls=(\d+)/ && $1 > 20;
}, undef, 0.001);
write_newest($of[2], '{"n":1}'); # the topic that is too large goes
ok($there->wait(sub { numbers($_[0]) eq '1' }), 'and gets what comes');
ok($wants->wait(sub { grep { $_->{event} eq 'caught_up' } $_[0]->events }), 'the pass ends');
$back = reader('slow', '/newest', $of[1], $missed[0]);
ok($back->wait(sub { grep { $_->{event} eq 'caught_up' } $_[0]->events }), 'who had missed some');
is(numbers($back), join(' ', 1 .. 20), 'gets everything');
$_->close for $there, $wants, $back;
$httpd->stop;

# Two streams, one of them in memory and the other not, and no room for that: both are read from
# Redis, where of the one that is in memory nothing is left.
my $of = unique('both');
sub write_to
{
    my ($name, @n) = @_;
    return map { $slow->xadd("passes:$name", tenant_id => $of, event_type => 'e', payload => "{\"n\":$_}") } @n;
}
$slow->client->flushall;
write_to($_, 0) for qw(a b);
$httpd->start;
my $first_one = reader('slow', '/both', $of);
ok($first_one->connected, 'two streams');
write_to('a', 1);
ok($first_one->wait(sub { numbers($_[0]) eq '1' }), 'an event');
my $id = $first_one->last_event_id;
$first_one->close;
$httpd->stop;

write_to('a', 2 .. 5);
my ($large) = map { $slow->xadd('passes:late', tenant_id => 'full', event_type => 'e',
    payload => 'x' x 400_000) } 1 .. 5;
$httpd->start;
$there = reader('slow', '/both', $of);
ok($there->connected, 'somebody of the tenant is there');
write_to('b', 6 .. 8);
ok($there->wait(sub { numbers($_[0]) eq '6 7 8' }), 'and one stream is in memory');
$stream = reader('slow', '/late', 'full', $large);
ok($stream->wait(sub { grep { $_->{event} eq 'caught_up' } $_[0]->events }), 'memory is full');
$slow->client->xtrim('passes:b', 'MAXLEN', '=', 0);
$back = reader('slow', '/both', $of, $id);
ok($back->wait(sub { grep { $_->{event} eq 'caught_up' } $_[0]->events }), 'who comes back');
is(numbers($back), '2 3 4 5', 'gets what Redis has');
like(join(' ', map { $_->{data} } $back->events), qr/"reason":"trimmed"/, 'and is told of what it has not');
$_->close for $there, $stream, $back;

$httpd->stop;
unlike($httpd->error_log, qr/exit signal|AH00046/, 'nobody crashed or had to be killed');
done_testing();
