# SPDX-License-Identifier: Apache-2.0
#
# A private httpd: its own configuration, port, server root and logs, the modules and the MPM of
# the suite. It runs in the foreground as a child of the test, so that it never outlives it.
package Ragline::Httpd;

use strict;
use warnings;

use File::Path ();
use Scalar::Util ();
use Test::More ();

use Ragline::HTTP ();
use Ragline::Proc qw(spawn stop_pid slurp spew wait_until free_port run_dir children_of fd_count
    process_state run_command);
use Ragline::SSE ();

# The suite's settings, from Ragline::Test: httpd, modules, libexecdir, mpm, logs, user, group.
our %suite;
my $count = 0;
my %live; # weak references, for the end

# new(name, conf, children => 1, threads => 16, processes, mpm, loglevel). In `conf`, @PORT@, @ROOT@
# (its server root) and @DOCROOT@ are replaced. Writes files, starts nothing.
#
# With prefork each thread is a process, with an engine of its own. `processes` => 1 is for who asks
# what one engine knows: streams that are handed over leave its only worker free.
sub new
{
    my ($class, %self) = @_;
    my $self = bless { children => 1, threads => 16, mpm => $suite{mpm}, conf => '',
        loglevel => 'warn ragline_stream:debug', owner => $$, %self }, $class;
    my ($test) = $0 =~ m{([^/]+)\.t$};
    # With its mode, see Ragline::Test: the same file runs beside itself.
    $self->{name} = join '-', $test // 'private', $ARGV[0] // (), $self->{name} // $count + 1;
    ++$count;
    # Never the log of another one: a sanitizer's report in it would be lost.
    $self->{name} .= "-$count" if -e "$suite{logs}/$self->{name}-error_log";
    $self->{root} = run_dir() . "/$self->{name}-$$-$count";
    File::Path::make_path("$self->{root}/htdocs");
    chmod(0755, $self->{root}, "$self->{root}/htdocs");
    spew("$self->{root}/htdocs/index.html", "front page\n");
    $self->{error_log} = "$suite{logs}/$self->{name}-error_log";
    $self->{access_log} = "$suite{logs}/$self->{name}-access_log";
    # What it says before it has opened its log; looked through at the end like all error_logs.
    $self->{output} = "$suite{logs}/$self->{name}-output-error_log";
    spew($_, '') for $self->{error_log}, $self->{output};
    $self->{port} = free_port();
    $self->write_conf;
    Scalar::Util::weaken($live{ $self->{root} } = $self);
    return $self;
}

sub write_conf
{
    my ($self, $conf) = @_;
    $self->{conf} = $conf if defined $conf;
    my $text = $self->base_conf . $self->{conf};
    my %value = (PORT => $self->{port}, ROOT => $self->{root}, DOCROOT => "$self->{root}/htdocs");
    $text =~ s/\@(PORT|ROOT|DOCROOT)\@/$value{$1}/g;
    $self->{conf_file} = spew("$self->{root}/httpd.conf", $text);
    return;
}

sub base_conf
{
    my ($self) = @_;
    my $modules = slurp($suite{modules});
    $modules =~ s/^LoadModule mpm_\w+_module .*\n//mg;
    my $user = $> == 0 ? "User $suite{user}\nGroup $suite{group}\n" : '';
    return <<"EOF";
$modules
LoadModule mpm_$self->{mpm}_module "$suite{libexecdir}/mod_mpm_$self->{mpm}.so"
$user
ServerRoot "\@ROOT\@"
ServerName localhost
Listen 127.0.0.1:\@PORT\@
PidFile "\@ROOT\@/httpd.pid"
DefaultRuntimeDir "\@ROOT\@"
DocumentRoot "\@DOCROOT\@"
TypesConfig /dev/null
LogLevel $self->{loglevel}
ErrorLog "$self->{error_log}"
LogFormat "%h %l %u %t \\"%r\\" %>s %b" test
CustomLog "$self->{access_log}" test
<Directory />
    Options FollowSymLinks
    AllowOverride None
    Require all granted
</Directory>
<Location /server-status>
    SetHandler server-status
    Require local
</Location>
@{[ $self->mpm_conf ]}
EOF
}

sub start_servers
{
    my ($self) = @_;
    return $self->{children} if $self->{mpm} ne 'prefork';
    return $self->{processes} // $self->{children} * $self->{threads};
}

# Spare limits that never end a child: which children live is then up to the test.
sub mpm_conf
{
    my ($self) = @_;
    my $workers = $self->{mpm} eq 'prefork' ? $self->start_servers : $self->{children} * $self->{threads};
    return <<"EOF" if $self->{mpm} eq 'prefork';
StartServers $workers
ServerLimit @{[ $workers + 16 ]}
MaxRequestWorkers $workers
MinSpareServers 1
MaxSpareServers @{[ $workers + 1 ]}
EOF
    return <<"EOF";
StartServers @{[ $self->start_servers ]}
ServerLimit @{[ $self->{children} + 16 ]}
ThreadLimit $self->{threads}
ThreadsPerChild $self->{threads}
MaxRequestWorkers $workers
MinSpareThreads 1
MaxSpareThreads @{[ $workers + $self->{threads} ]}
EOF
}

sub port { return $_[0]{port} }
sub root { return $_[0]{root} }
sub docroot { return "$_[0]{root}/htdocs" }
sub pid { return $_[0]{pid} }
sub error_log { return slurp($_[0]{error_log}) }
sub access_log { return slurp($_[0]{access_log}) }

sub command
{
    my ($self, @arguments) = @_;
    return ($suite{httpd}, '-f', $self->{conf_file}, @arguments);
}

# (exit status, output) of `httpd -t`.
sub configtest
{
    my ($self) = @_;
    return run_command($self->command('-t'));
}

# Starts it and waits until it takes connections and has the children that it starts with: one that
# came later would look like one of the next generation.
sub start
{
    my ($self) = @_;
    for my $attempt (1 .. 3) {
        $self->{pid} = spawn($self->{output}, $self->command('-DFOREGROUND'));
        my $up = wait_until(sub { $self->is_up || !$self->is_running }, 60);
        wait_until(sub { my @now = $self->children; @now >= $self->start_servers || !$self->is_running })
            if $up;
        return $self if $up && $self->is_running;
        $self->stop;
        # Somebody else may have taken the port since it was found free.
        last if slurp($self->{output}) . $self->error_log !~ /Address already in use/;
        $self->{port} = free_port();
        $self->write_conf;
    }
    die "httpd $self->{name} did not start:\n" . slurp($self->{output}) . $self->log_tail;
}

sub is_up
{
    my ($self) = @_;
    my $socket = eval { Ragline::HTTP::connect_to(port => $self->{port}) } or return;
    close($socket);
    return -s "$self->{root}/httpd.pid";
}

sub is_running
{
    my ($self) = @_;
    my $state = $self->{pid} && process_state($self->{pid});
    return $state && $state ne 'Z';
}

# What `apachectl graceful`, `graceful-stop`, `restart` and `stop` do: (exit status, output).
sub control
{
    my ($self, $what) = @_;
    return run_command($self->command('-k', $what));
}

# Restarts it and waits until every child of before is gone. False if one stays.
sub graceful
{
    my ($self, $what) = @_;
    my %old = map { $_ => 1 } $self->children;
    my ($status, $output) = $self->control($what // 'graceful');
    die "httpd -k graceful: $output\n" if $status;
    # There are new ones once the parent has read its configuration, and opened all that it opens.
    return wait_until(sub { my @now = $self->children; @now && !grep { $old{$_} } @now }, 60);
}

# Ends it; returns the wait status of the parent process. Gracefully by itself, since httpd 2.4's
# event MPM may crash when it is told to stop at once while a worker closes its last connection
# (close_worker_sockets() reads a socket that the worker frees). $signal 0 only waits.
sub stop
{
    my ($self, $signal) = @_;
    my $pid = delete $self->{pid} or return;
    return stop_pid($pid, $signal, 60) if defined $signal;
    Ragline::SSE->close_port($self->{port});
    kill('WINCH', $pid);
    wait_until(sub { (process_state($pid) // 'Z') eq 'Z' }, 20);
    return stop_pid($pid, 'TERM', 60);
}

sub children
{
    my ($self) = @_;
    return $self->{pid} ? children_of($self->{pid}) : ();
}

sub zombies
{
    my ($self) = @_;
    return grep { (process_state($_) // '') eq 'Z' } $self->children;
}

# Open descriptors of all children together.
sub child_fds
{
    my ($self) = @_;
    my $sum = 0;
    $sum += fd_count($_) // 0 for $self->children;
    return $sum;
}

sub request
{
    my ($self, %r) = @_;
    return Ragline::HTTP::request(port => $self->{port}, %r);
}

# A stream of this server.
sub stream
{
    my ($self, $path, %r) = @_;
    return Ragline::SSE->open(port => $self->{port}, path => $path, %r);
}

# mod_status as a hash: BusyWorkers, IdleWorkers, ConnsTotal, ...
sub status
{
    my ($self) = @_;
    my $response = $self->request(path => '/server-status?auto');
    return { $response->body =~ /^([\w ]+): (.*)$/mg };
}

sub log_tail
{
    my ($self, $lines) = @_;
    my @log = split /^/, $self->error_log;
    my $from = @log > ($lines // 30) ? -($lines // 30) : -@log;
    return @log ? join('', @log[$from .. -1]) : '';
}

sub DESTROY
{
    my ($self) = @_;
    return if $self->{owner} != $$ || !$self->{pid};
    local ($?, $!, $@);
    Test::More::diag("end of $self->{error_log}:\n" . $self->log_tail)
        if !Test::More->builder->is_passing;
    $self->stop;
    return;
}

# What is left, while everything that DESTROY needs is still there.
END { $_->DESTROY for grep { defined } values %live }

1;
