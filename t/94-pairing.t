# SPDX-License-Identifier: Apache-2.0
#
# Keys are watched over two connections, of which one names the other to Redis. Between the two and
# Redis stands a proxy that cuts the one at the moment when it is named, and lets that be known only
# later: the next attempt must succeed, instead of a look at every key once a second for ever.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use IO::Select ();
use IO::Socket::UNIX ();
use Test::More;

use Ragline::Httpd ();
use Ragline::Redis ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'pairing');
my $path = $redis->socket_path . 'p';
my $listener = IO::Socket::UNIX->new(Local => $path, Listen => 50) or die "$path: $!\n";
chmod(0777, $path);

my $select = IO::Select->new($listener);
my %peer; # socket => [the other side's, whether this one is the client's]
my ($cut, $held);

sub end_both
{
    my @pair = @_;
    $select->remove(@pair);
    delete @peer{@pair};
    close($_) for @pair;
    return;
}

sub accept_one
{
    my $client = $listener->accept or return;
    my $server = IO::Socket::UNIX->new(Peer => $redis->socket_path);
    $select->add($client, $server);
    @peer{ $client, $server } = ([$server, 1], [$client, 0]);
    return;
}

sub forward
{
    my ($from) = @_;
    my ($to, $is_client) = @{ $peer{$from} // return };
    if (!sysread($from, my $bytes, 65_536)) {
        return end_both($from, $to) if !$cut || $held || $is_client;
        $select->remove($from);
        return $held = [$from, $to, time() + 1];
    }
    elsif ($is_client && !$cut && $bytes =~ /TRACKING/) {
        $cut = 1;
        my $operator = IO::Socket::UNIX->new(Peer => $redis->socket_path);
        syswrite($operator, "CLIENT KILL TYPE pubsub\r\n");
        sysread($operator, my $answer, 100);
        syswrite($to, $bytes);
    }
    else {
        syswrite($to, $bytes);
    }
    return;
}

my $pid = fork() // die "fork: $!\n";
while (!$pid) {
    end_both(splice(@$held, 0, 2)), $held = [] if $held && @$held && time() > $held->[-1];
    $_ == $listener ? accept_one() : forward($_) for $select->can_read(0.2);
}

my $httpd = Ragline::Httpd->new(name => 'main', conf => join('', "RaglineRedis unix://$path\n",
    "RaglineDrain 0\nRaglineStream own pairing:{tenant}\n",
    bearer_location('/live', 'RaglineSubscribe own', 'RaglineHeartbeat 1s')))->start;
my $stream = $httpd->stream('/live', token => token(unique(), 1));
$stream->connected;
ok(wait_until(sub { grep { $_->{name} eq 'ragline-watcher' && $_->{flags} =~ /t/ } $redis->clients }, 15),
    'Redis tells of changes in the end') or diag($httpd->log_tail(4));
unlike($httpd->error_log, qr/RS0222/, 'and was not taken for one that does not');
$stream->close;
$httpd->stop;
kill('KILL', $pid);
waitpid($pid, 0);

done_testing();
