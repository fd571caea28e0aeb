# SPDX-License-Identifier: Apache-2.0
#
# A private redis-sentinel that watches a master and its replica, and a pretended one that names
# whatever server it is told to: real ones agree too soon to be caught with an old answer.
package Ragline::Sentinel;

use strict;
use warnings;

use File::Path ();
use IO::Select ();
use IO::Socket::INET ();
use Redis ();

use Ragline::Proc qw(spawn stop_pid slurp spew wait_until free_port run_dir);
use Ragline::Redis ();

our $NAME = 'mymaster';

# A pair of redis-servers, the second one a replica of the first that has all of it.
# redis_pair(name => ..., password => ..., args => [...])
sub redis_pair
{
    my ($class, %r) = @_;
    my $name = delete $r{name};
    my @args = ('--repl-diskless-sync-delay', 0, '--repl-ping-replica-period', 1,
        '--appendfsync', 'always', $r{password} ? ('--masterauth', $r{password}) : (),
        @{ delete $r{args} // [] });
    my $master = Ragline::Redis->start(name => "$name-one", tcp => 1, args => [@args], %r);
    my $replica = Ragline::Redis->start(name => "$name-two", tcp => 1, args => [@args], %r);
    $replica->client->replicaof('127.0.0.1', $master->{port});
    in_sync($master, $replica);
    return ($master, $replica);
}

# INFO replication. Sentinels cut all connections of a server whose role they change.
sub replication
{
    my ($redis) = @_;
    my $info = eval { $redis->client->info('replication') };
    delete $redis->{client} if !$info;
    return $info // {};
}

sub role { return replication($_[0])->{role} // '' }

# Waits until the replica has what the master has.
sub in_sync
{
    my ($master, $replica) = @_;
    wait_until(sub {
        my ($of, $by) = (replication($master), replication($replica));
        ($of->{role} // '') eq 'master' && ($by->{master_link_status} // '') eq 'up'
            && $by->{master_port} == $master->{port}
            && $by->{slave_repl_offset} == $of->{master_repl_offset}
    }) or die "the replica does not follow\n";
    return;
}

# start(name, master => $redis, password => of the sentinel itself)
sub start
{
    my ($class, %self) = @_;
    my $self = bless { owner => $$, port => free_port(), %self }, $class;
    $self->{dir} = run_dir() . "/sentinel-$self->{name}-$$";
    File::Path::make_path($self->{dir});
    my $file = spew("$self->{dir}/conf", join "\n", "port $self->{port}", 'bind 127.0.0.1',
        "dir $self->{dir}", "sentinel monitor $NAME 127.0.0.1 $self->{master}{port} 1",
        "sentinel down-after-milliseconds $NAME 1000", "sentinel failover-timeout $NAME 4000",
        $self->{master}{password} ? "sentinel auth-pass $NAME $self->{master}{password}" : (),
        $self->{password} ? "requirepass $self->{password}" : (), '');
    my $log = "$self->{dir}/log";
    $self->{pid} = spawn($log, $self->{master}->server_binary, $file, '--sentinel');
    return $self if wait_until(sub { $self->knows_replica });
    die "the sentinel did not start:\n" . slurp($log);
}

sub client
{
    my ($self) = @_;
    return $self->{client} //= Redis->new(server => "127.0.0.1:$self->{port}", read_timeout => 60,
        cnx_timeout => 10, $self->{password} ? (password => $self->{password}) : ());
}

# The port of what it takes for the master now.
sub master_port
{
    my ($self) = @_;
    return ($self->client->sentinel('get-master-addr-by-name', $NAME))[1];
}

sub knows_replica
{
    my ($self) = @_;
    my @replicas = eval { $self->client->sentinel('replicas', $NAME) };
    delete $self->{client} if $@;
    my %it = @replicas == 1 ? @{ $replicas[0] } : ();
    return ($it{flags} // '') eq 'slave' && ($it{'master-link-status'} // '') eq 'ok';
}

sub url
{
    my ($self, $host) = @_;
    return 'redis://' . ($self->{password} ? ":$self->{password}\@" : '')
        . ($host // '127.0.0.1') . ":$self->{port}";
}

sub stop
{
    my ($self) = @_;
    delete $self->{client};
    my $pid = delete $self->{pid} or return;
    kill('CONT', $pid);
    stop_pid($pid, 'KILL');
    return;
}

sub pid { return $_[0]{pid} }

sub DESTROY
{
    my ($self) = @_;
    local ($?, $!, $@);
    $self->stop if $self->{owner} == $$;
    return;
}

# --- the pretended one ---------------------------------------------------------------------------

# It answers OK to everything but the question, and names the server of names(); none without.
sub pretend
{
    my ($class, %self) = @_;
    my $self = bless { owner => $$, port => free_port(), %self }, $class;
    $self->{dir} = run_dir() . "/pretended-$self->{name}-$$";
    File::Path::make_path($self->{dir});
    $self->{pid} = spawn("$self->{dir}/log", $^X, (map { "-I$_" } @INC), '-MRagline::Sentinel', '-e',
        'Ragline::Sentinel::serve(@ARGV)', $self->{port}, "$self->{dir}/address");
    wait_until(sub { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port}) })
        or die "the pretended sentinel did not start:\n" . slurp("$self->{dir}/log");
    return $self;
}

# With a second argument, by this name.
sub names
{
    my ($self, $redis, $host) = @_;
    spew("$self->{dir}/new", join ' ', $host // '127.0.0.1', $redis->{port});
    rename("$self->{dir}/new", "$self->{dir}/address");
    return $self;
}

# How often it was asked.
sub asked { return -s "$_[0]{dir}/address.asked" || 0 }

sub answer
{
    my ($file) = @_;
    my @address = split / /, slurp($file);
    open(my $asked, '>>', "$file.asked");
    print {$asked} '.';
    return '*-1' . "\r\n" if !@address;
    return join '', "*2\r\n", map { '$' . length($_) . "\r\n$_\r\n" } @address;
}

sub serve
{
    my ($port, $file) = @_;
    my $listen = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1', LocalPort => $port,
        ReuseAddr => 1) or die "port $port: $!\n";
    my $select = IO::Select->new($listen);
    my %text;
    $SIG{PIPE} = 'IGNORE';
    while (1) {
        for my $socket ($select->can_read) {
            if ($socket == $listen) {
                $select->add(scalar $listen->accept);
                next;
            }
            if (!sysread($socket, $text{$socket}, 65536, length($text{$socket} // ''))) {
                $select->remove($socket);
                delete $text{$socket};
                close($socket);
                next;
            }
            # Whole commands only: a count, and so many words with their lengths.
            while ($text{$socket} =~ /^\*(\d+)\r\n/) {
                my $n = $1;
                $text{$socket} =~ s/^\*\d+\r\n((?:\$\d+\r\n[^\r]*\r\n){$n})// or last;
                my $words = $1;
                syswrite($socket, $words =~ /get-master-addr/i ? answer($file) : "+OK\r\n");
            }
        }
    }
    return;
}

1;
