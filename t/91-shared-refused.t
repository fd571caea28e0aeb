# SPDX-License-Identifier: Apache-2.0
#
# RaglineDelivery shared where somebody deletes groups and consumers under it, or Redis refuses some of
# what it takes: nothing is lost, and what is new does not wait for what is old.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Socket ();
use Test::More;
use Time::HiRes ();

use Ragline::HTTP ();
use Ragline::Httpd ();
use Ragline::Proc qw(limit wait_until);
use Ragline::Redis ();
use Ragline::SSE ();
use Ragline::Test;

# With prefork each connection has a process, and so a share, of its own.
my $prefork = vars('mpm') eq 'prefork';
my $redis = Ragline::Redis->start(name => 'refused');
my $httpd = Ragline::Httpd->new(name => 'main', conf => conf($redis->url))->start;
my $big = '1' x 900_000;

sub conf
{
    my ($url) = @_;
    return join('', "RaglineRedis $url\nRaglineDrain 1s\nRaglineSendBuffer 16KB\n",
        "RaglineStream jobs job:{tenant}\n",
        "<Location /ragline-stats>\nSetHandler ragline-stats\nRequire local\n</Location>\n",
        bearer_location('/jobs', 'RaglineSubscribe jobs', 'RaglineDelivery shared'));
}

sub key { return "job:$_[0]" }
sub group { return 'ragline-jobs-' . ($_[0] =~ tr/-/~/r) }
sub entries { return map { [event_type => 'n', payload => $_] } @_ }
sub add { my ($tenant, @n) = @_; return $redis->xadd_many(key($tenant), entries(@n)) }
sub numbers { return map { $_->{data} } grep { $_->{event} eq 'n' } map { $_->events } @_ }
sub pending { return ($redis->client->xpending(key($_[0]), group($_[0])))->[0] }
sub redelivered { return stats_stream(stats($httpd), 'jobs')->{redelivered} }

# What came of some, in order; the big one is 1.
sub came { return join ' ', sort { $a <=> $b } map { $_ eq $big ? 1 : $_ } numbers(@_) }

sub subscribe
{
    my ($tenant, $server) = @_;
    my $stream = ($server // $httpd)->stream('/jobs', token => token($tenant, 1));
    $stream->connected;
    return $stream;
}

# A client that is in the middle of an event, the first one, and reads no more.
sub stuck
{
    my ($tenant, @others) = @_;
    my $socket = Ragline::HTTP::connect_to(port => $httpd->port);
    setsockopt($socket, Socket::SOL_SOCKET(), Socket::SO_RCVBUF(), 4096);
    syswrite($socket, Ragline::HTTP::request_bytes(port => $httpd->port, path => '/jobs',
        token => token($tenant, 1)));
    my ($text, $deadline) = ('', Time::HiRes::time() + limit());
    while ($text !~ /data: 1111/) {
        add($tenant, $big, splice @others) if @others && $text =~ /event: connected\n.*\n\n/;
        vec(my $in = '', fileno($socket), 1) = 1;
        die "nothing comes, after: $text\n" if Time::HiRes::time() > $deadline;
        next if select($in, undef, undef, 0.2) <= 0;
        sysread($socket, $text, 512, length $text) or die "the end comes, after: $text\n";
    }
    return $socket;
}

# --- deleted by hand --------------------------------------------------------------------------------

for my $what ('group', 'consumer') {
    my $tenant = unique();
    my $stuck = stuck($tenant, 2);
    my $other = subscribe($tenant);
    $other->wait(sub { numbers($other) >= 1 });
    wait_until(sub { pending($tenant) == 1 });
    my $owner = ($redis->client->xpending(key($tenant), group($tenant), '-', '+', 1))->[0][1];
    $redis->client->xgroup($what eq 'group' ? ('destroy', key($tenant), group($tenant))
        : ('delconsumer', key($tenant), group($tenant), $owner));
    add($tenant, 3);
    $other->wait(sub { numbers($other) >= 2 });
    is(came($other), '2 3', "$what deleted: what is new comes");
    close($stuck);
    $other->wait(sub { numbers($other) >= 3 });
    is(came($other), '1 2 3', 'and so does what a client had begun that is cut');
    ok(wait_until(sub { !pending($tenant) }), 'all is acknowledged');
    $other->close;
}

{
    my $tenant = unique();
    my $stuck = stuck($tenant, 2);
    $redis->client->xgroup('destroy', key($tenant), group($tenant));
    close($stuck);
    ok(wait_until(sub { @{ $redis->client->xinfo('groups', key($tenant)) } && pending($tenant) }),
        'the group is deleted, the last client leaves: what it had begun is given back nevertheless');
    my $other = subscribe($tenant);
    $other->wait(sub { grep { $_ eq $big } numbers($other) });
    ok(scalar(grep { $_ eq $big } numbers($other)), 'and comes to the next');
    $other->close;
}

{
    my $tenant = unique();
    $redis->client->xgroup('create', key($tenant), group($tenant), '$', 'mkstream');
    add($tenant, $big, 2 .. 200);
    my $before = redelivered();
    my $stuck = stuck($tenant);
    ok(wait_until(sub { grep { $_->[1] eq 'returned' }
        @{ $redis->client->xpending(key($tenant), group($tenant), '-', '+', 200) } }), 'some are given back');
    my $other = subscribe($tenant);
    $other->wait(sub { numbers($other) >= 199 });
    is(came($other), join(' ', 2 .. 200), 'others get them');
    SKIP: {
        skip 'another process', 1 if $prefork;
        is(redelivered() - $before, 0, 'for the first time');
    }
    close($stuck);
    $other->close;
}

{
    my $tenant = unique();
    $redis->client->xgroup('create', key($tenant), group($tenant), '$', 'mkstream');
    add($tenant, $big, 2 .. 200);
    my $stuck = stuck($tenant);
    my ($read) = map { { @$_ }->{'entries-read'} // 16 } @{ $redis->client->xinfo('groups', key($tenant)) };
    $redis->client->xgroup('destroy', key($tenant), group($tenant));
    my $other = subscribe($tenant);
    $other->wait(sub { grep { $_ eq '200' } numbers($other) });
    my %came = map { $_ => 1 } numbers($other);
    SKIP: {
        skip 'another process, which did not know where it was', 1 if $prefork;
        is(scalar(grep { !$came{$_} } $read + 1 .. 200), 0,
            'a group that was far behind is deleted: it goes on where it was');
    }
    close($stuck);
    $other->close;
}

# --- what Redis refuses -----------------------------------------------------------------------------

for my $less ('xclaim', 'eval') {
    my $tenant = unique();
    my ($client, $key, $group) = ($redis->client, key($tenant), group($tenant));
    $client->acl('setuser', $less, 'on', '>pw', '~*', '&*', '+@all', "-$less");
    my $limited = Ragline::Httpd->new(name => $less,
        conf => conf($redis->url =~ s{unix://}{unix://$less:pw@}r))->start;
    $client->xgroup('create', $key, $group, '$', 'mkstream');
    my @ids = add($tenant, 1 .. 200);
    $client->xreadgroup('group', $group, 'gone', 'count', 200, 'streams', $key, '>');
    $client->xclaim($key, $group, 'gone', 0, @ids, 'idle', 90_000_000,
        'retrycount', $less eq 'eval' ? 50 : 1, 'justid');
    my $stream = subscribe($tenant, $limited);
    ok(wait_until(sub { $limited->error_log =~ /RS2021/ }), "no right to $less: what is old is refused");
    add($tenant, 201);
    $stream->wait(sub { numbers($stream) >= 1 });
    is(join(' ', numbers($stream)), '201', 'what is new comes');
    $client->acl('setuser', $less, "+$less");
    my $all = $less eq 'eval' ? 1 : 201;
    $stream->wait(sub { numbers($stream) >= $all });
    is(came($stream), $less eq 'eval' ? '201' : join(' ', 1 .. 201), 'the right is given');
    ok(wait_until(sub { !pending($tenant) }), 'and nothing old is left');
    $stream->close;
    $limited->stop;
}

done_testing();
