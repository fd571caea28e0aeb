# SPDX-License-Identifier: Apache-2.0
#
# Programs that others have written, for tests of what they and we say to each other: packages of
# npm, a Python that has a module, a browser; and the scripts in t/peers that use them.
package Ragline::Peers;

use strict;
use warnings;

use Exporter 'import';

use Test::More ();

use Ragline::HTTP ();
use Ragline::Proc qw(free_port run_command run_dir spawn stop_pid wait_until);

our @EXPORT_OK = qw(peer_script npm_package ws_package python_with websocket_servers chromium browse
    close_browser);

sub peer_script { return "$ENV{RAGLINE_TEST_SRCDIR}/t/peers/$_[0]" }

# The directory of a package below $to; false if it cannot be had.
sub npm_package
{
    my ($to, $name, $version) = @_;
    my ($status) = run_command('sh', '-c', 'mkdir -p "$1" && cd "$1" '
        . '&& timeout 90 npm pack --silent --fetch-retries=1 "$2" && tar -xzf ./*.tgz', '-', $to,
        "$name\@$version");
    return !$status && "$to/package";
}

# npm's `ws`, the same for all tests.
sub ws_package { return npm_package(run_dir() . "/npm-$$", 'ws', '8.18.3') }

# The system's own has what Debian packages install; somebody's first one may not.
sub python_with
{
    my ($module) = @_;
    return (grep { !(run_command($_, '-c', "import $module"))[0] } 'python3', '/usr/bin/python3')[0];
}

# Servers that answer as ours does, and take messages of $most bytes: their ports by name. They end with
# the test. Who cannot be had is not there, and that is said.
sub websocket_servers
{
    my ($most) = @_;
    my %command;
    my $package = ws_package();
    $command{ws} = ['node', peer_script('server.js'), $package] if $package;
    my $python = python_with('websockets');
    $command{websockets} = [$python, peer_script('server.py')] if $python;
    for my $name (sort keys %command) {
        my $log = run_dir() . "/$name-$$-server_log";
        my $port = free_port();
        spawn($log, @{ $command{$name} }, $port, $most);
        wait_until(sub { eval { Ragline::HTTP::connect_to(port => $port) } })
            or die "the server by $name does not start: " . Ragline::Proc::slurp($log);
        $command{$name} = $port;
    }
    Test::More::diag("$_ cannot be had") for grep { !$command{$_} } qw(ws websockets);
    return %command;
}

sub chromium { return (grep { -x } map { "$_/chromium" } split /:/, $ENV{PATH})[0] }

# Opens a page in a browser of its own, which keeps what it has to in $dir; its pid.
sub browse
{
    my ($url, $dir, $log, @options) = @_;
    return spawn($log, chromium(), qw(--headless --no-sandbox --disable-gpu --no-first-run),
        qw(--disable-dev-shm-usage --remote-debugging-port=0), "--user-data-dir=$dir", @options, $url);
}

# With all its processes, which are a group.
sub close_browser
{
    my ($pid) = @_;
    kill('TERM', $pid);
    stop_pid($pid, 'TERM');
    kill('KILL', -$pid);
    return;
}

1;
