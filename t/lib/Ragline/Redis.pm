# SPDX-License-Identifier: Apache-2.0
#
# A private redis-server with an append-only file, on a unix socket (and on a TCP port if asked).
# It dies with the process that started it. The package Redis is Debian's libredis-perl.
package Ragline::Redis;

use strict;
use warnings;

use File::Path ();
use Redis ();

use Ragline::Proc qw(spawn stop_pid slurp wait_until free_port run_dir);

# start(name => ..., password => ..., tcp => 1, args => [...])
sub start
{
    my ($class, %self) = @_;
    my $self = bless { args => [], %self }, $class;
    my $owner = $$;
    $self->{owner} = $owner;
    # The two of the whole suite have names that its configuration knows.
    $self->{dir} = run_dir() . "/redis-$self->{name}" . ($self->{fixed} ? '' : "-$$");
    File::Path::make_path($self->{dir});
    chmod(0755, $self->{dir});
    $self->{socket} = "$self->{dir}/s";
    $self->{port} = free_port() if $self->{tcp};
    $self->launch;
    return $self;
}

# A handle on one that another process started.
sub attach
{
    my ($class, $socket) = @_;
    return bless { socket => $socket, owner => 0 }, $class;
}

# Debian's redis-tools has the whole server under another name, chosen by argv[0]: the package
# redis-server, which starts a service, is not needed.
sub server_binary
{
    my ($self) = @_;
    for my $dir (split(/:/, $ENV{PATH}), '/usr/bin', '/usr/local/bin', '/usr/sbin') {
        return "$dir/redis-server" if -x "$dir/redis-server";
    }
    my $link = "$self->{dir}/redis-server";
    symlink('/usr/bin/redis-check-rdb', $link) if !-l $link;
    die "redis-server is missing: install redis-tools (Debian 12) or redis\n" if !-x $link;
    return $link;
}

sub launch
{
    my ($self) = @_;
    my $log = "$self->{dir}/log";
    my @options = (
        '--port', $self->{port} // 0, '--bind', '127.0.0.1',
        '--unixsocket', $self->{socket}, '--unixsocketperm', '777',
        '--dir', $self->{dir}, '--appendonly', 'yes', '--save', '', '--maxclients', '2000',
        $self->{password} ? ('--requirepass', $self->{password}) : (),
        @{ $self->{args} },
    );
    $self->{pid} = spawn($log, $self->server_binary, @options);
    return if wait_until(sub {
        eval { $self->client->ping } && return 1;
        # One that failed once does not connect again.
        delete $self->{client};
        return 0;
    });
    my $output = slurp($log);
    $self->stop;
    die "redis-server did not start:\n$output";
}

sub pid { return $_[0]{pid} }
sub socket_path { return $_[0]{socket} }
sub url { return "unix://$_[0]{socket}" }
sub tcp_url { return "redis://127.0.0.1:$_[0]{port}/0" }

# A connection of libredis-perl, kept until the server is stopped.
sub client
{
    my ($self) = @_;
    return $self->{client} //= Redis->new(
        sock => $self->{socket}, no_auto_connect_on_new => 0, cnx_timeout => 10, read_timeout => 60,
        $self->{password} ? (password => $self->{password}) : (),
    );
}

# A tenant's key, where the key has a {tenant}.
sub key_of { return $_[0] =~ s/\{tenant\}/$_[1]/r }

sub key_for
{
    my ($key, %fields) = @_;
    return key_of($key, $fields{tenant_id});
}

# xadd($key, field => value, ...) returns the entry's id.
sub xadd
{
    my ($self, $key, @fields) = @_;
    return $self->client->xadd(key_for($key, @fields), '*', @fields);
}

# Many entries in one go; each is a list of fields. Returns their ids.
sub xadd_many
{
    my ($self, $key, @entries) = @_;
    my $client = $self->client;
    my @ids;
    while (my @some = splice(@entries, 0, 500)) {
        for my $entry (@some) {
            $client->xadd(key_for($key, @$entry), '*', @$entry, sub {
                my ($id, $error) = @_;
                die "XADD $key: $error\n" if defined $error;
                push @ids, $id;
            });
        }
        $client->wait_all_responses;
    }
    return @ids;
}

# CLIENT LIST as a list of hashes, without the tests' own connections.
sub clients
{
    my ($self) = @_;
    my $own = $self->client->client('id');
    my @clients = map { { map { /^([^=]+)=(.*)$/ ? ($1 => $2) : () } split / / } }
        split /\n/, $self->client->client('list');
    return grep { $_->{id} != $own } @clients;
}

# Waits until each child has read what is there now of the keys that all tenants share: it is blocked
# in an XREAD then. Who has got an event knows that of one child, and with prefork any may be next.
sub all_read
{
    my ($self) = @_;
    return wait_until(sub {
        !grep { $_->{name} eq 'ragline-reader' && $_->{flags} !~ /b/ } $self->clients
    });
}

# Ends it as its service manager would; start_again() finds the data in the append-only file.
sub stop
{
    my ($self, $signal) = @_;
    delete $self->{client};
    my $pid = delete $self->{pid} or return;
    stop_pid($pid, $signal // 'TERM');
    unlink($self->{socket});
    return;
}

sub start_again
{
    my ($self) = @_;
    $self->launch;
    return;
}

sub DESTROY
{
    my ($self) = @_;
    local ($?, $!, $@);
    $self->stop if $self->{owner} && $self->{owner} == $$;
    return;
}

1;
