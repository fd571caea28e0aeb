# SPDX-License-Identifier: Apache-2.0
#
# What every part of the harness needs: processes that never outlive the tests, waiting for a
# condition, free ports, looking into /proc. Knows nothing of httpd, Redis or streams.
package Ragline::Proc;

use strict;
use warnings;

use Exporter 'import';
use File::Path ();
use File::Temp ();
use IO::Socket::INET ();
use POSIX ();
use Time::HiRes ();

our @EXPORT_OK = qw(limit wait_until spawn stop_pid free_port slurp spew run_dir children_of
    process_state fd_count fd_list freeze raise_descriptor_limit run_command);

# Seconds a condition may take: far more than it ever does, so that a busy machine fails nothing.
# RAGLINE_TEST_SLOW multiplies it (sanitizers, valgrind).
sub limit
{
    my ($seconds) = @_;
    return ($seconds // 30) * ($ENV{RAGLINE_TEST_SLOW} || 1);
}

# Polls $condition until it is true and returns its value; false after the limit.
sub wait_until
{
    my ($condition, $seconds, $pause) = @_;
    my $deadline = Time::HiRes::time() + limit($seconds);
    while (1) {
        my $value = $condition->();
        return $value if $value;
        return if Time::HiRes::time() > $deadline;
        Time::HiRes::sleep($pause // 0.02);
    }
}

# Starts a command that gets SIGTERM when this process dies, however it dies. Output goes to $log.
# It leads a process group of its own: a stopping httpd signals its whole group.
sub spawn
{
    my ($log, @command) = @_;
    my $pid = fork() // die "fork: $!\n";
    return $pid if $pid;
    $SIG{$_} = 'DEFAULT' for qw(INT TERM CHLD ALRM PIPE);
    open(STDIN, '<', '/dev/null');
    open(STDOUT, '>>', $log) or POSIX::_exit(126);
    open(STDERR, '>&', \*STDOUT);
    POSIX::setsid();
    { no warnings 'exec'; exec('setpriv', '--pdeathsig', 'TERM', '--', @command); }
    print STDERR "cannot run setpriv: $!\n";
    POSIX::_exit(127);
}

# Ends a child of this process by $signal, by KILL after the limit, and reaps it. Returns its
# wait status, or undef if it was gone already.
sub stop_pid
{
    my ($pid, $signal, $seconds) = @_;
    return if !$pid;
    kill($signal // 'TERM', $pid);
    my $status;
    my $gone = wait_until(sub {
        my $reaped = waitpid($pid, POSIX::WNOHANG());
        $status = $? if $reaped == $pid;
        $reaped == $pid || $reaped == -1
    }, $seconds);
    if (!$gone) {
        kill('KILL', $pid);
        waitpid($pid, 0);
        $status = $?;
    }
    return $status;
}

# Never the same twice: what asked first may not listen there yet.
my %given;
sub free_port
{
    my ($port, @held);
    do {
        my $socket = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1', LocalPort => 0)
            or die "no free port: $!\n";
        push @held, $socket;
        $port = $socket->sockport;
    } while $given{$port}++;
    return $port;
}

sub slurp
{
    my ($file) = @_;
    open(my $fh, '<:raw', $file) or return '';
    local $/;
    return scalar(<$fh>) // '';
}

sub spew
{
    my ($file, $text) = @_;
    open(my $fh, '>:raw', $file) or die "$file: $!\n";
    print {$fh} $text;
    close($fh) or die "$file: $!\n";
    return $file;
}

# A directory for sockets and document roots that the unprivileged children of httpd can enter,
# wherever the checkout is; short, because a unix socket's path may have 107 bytes.
sub run_dir
{
    return $ENV{RAGLINE_TEST_RUN} if $ENV{RAGLINE_TEST_RUN};
    my $base = $ENV{TMPDIR} && length($ENV{TMPDIR}) < 40 ? $ENV{TMPDIR} : '/tmp';
    my $dir = File::Temp::tempdir('ragline-XXXXXX', DIR => $base);
    chmod(0755, $dir);
    $ENV{RAGLINE_TEST_RUN} = $dir;
    my $owner = $$;
    eval q{END { if ($$ == $owner) { local $?; File::Path::remove_tree($dir); } } 1} or die $@;
    return $dir;
}

sub stat_fields
{
    my ($pid) = @_;
    my $stat = slurp("/proc/$pid/stat");
    # The command's name may hold spaces and parentheses: fields count from the last one.
    return $stat =~ /^\d+ \(.*\) (\S) (\d+) /s ? ($1, $2) : ();
}

# The one-letter state of a process, undef if there is none.
sub process_state
{
    my ($pid) = @_;
    my ($state) = stat_fields($pid);
    return $state;
}

# Pids of the children of $pid, zombies included.
sub children_of
{
    my ($pid) = @_;
    opendir(my $proc, '/proc') or die "/proc: $!\n";
    my @pids;
    for my $entry (grep { /^\d+$/ } readdir($proc)) {
        my (undef, $parent) = stat_fields($entry);
        push @pids, $entry if defined($parent) && $parent == $pid;
    }
    return sort { $a <=> $b } @pids;
}

sub fd_count
{
    my ($pid) = @_;
    opendir(my $dir, "/proc/$pid/fd") or return;
    return scalar(grep { /^\d+$/ } readdir($dir));
}

# What they are, a line each: for the diagnosis of one too many.
sub fd_list
{
    my ($pid) = @_;
    return join '', map { "$_ -> @{[ readlink($_) // '?' ]}\n" } glob("/proc/$pid/fd/*");
}

# Stops processes and returns once none of their threads runs any more: the signal is on its way for
# a while, and a thread that runs on another CPU may still read what comes meanwhile. Each must have
# been alive. CONT lets them go on.
sub freeze
{
    my (@pids) = @_;
    kill('STOP', @pids);
    my $runs = sub { grep { slurp($_) !~ /^\d+ \(.*\) [Tt] /s } map { glob("/proc/$_/task/*/stat") } @_ };
    return wait_until(sub { !$runs->(@pids) });
}

# Thousands of sockets in one test process: the soft limit is 1024 nearly everywhere.
sub raise_descriptor_limit
{
    my ($want) = @_;
    my ($soft, $hard) = slurp('/proc/self/limits') =~ /^Max open files\s+(\d+)\s+(\d+|unlimited)/m;
    $hard = $want if $hard eq 'unlimited' || $hard > $want;
    system('prlimit', '--pid', $$, "--nofile=$hard:") if $soft < $hard;
    return $hard;
}

# Runs a command to its end: (exit status, output of both streams).
sub run_command
{
    my (@command) = @_;
    my $pid = open(my $pipe, '-|') // die "fork: $!\n";
    if (!$pid) {
        open(STDERR, '>&', \*STDOUT);
        { no warnings 'exec'; exec(@command); }
        print "cannot run $command[0]: $!\n";
        POSIX::_exit(127);
    }
    my $output = do { local $/; <$pipe> };
    close($pipe);
    return ($? >> 8 || $? & 127, $output // '');
}

1;
