# SPDX-License-Identifier: Apache-2.0
#
# ./demo, in a directory with a space in its name: it runs, what it says to paste works, and Ctrl-C
# ends it. With RAGLINE_TEST_FULL it builds there, too.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::HTTP ();
use Ragline::Proc qw(free_port run_command slurp spawn stop_pid wait_until);
use Ragline::Test;

plan skip_all => 'it has an MPM of its own' if vars('mpm') ne 'event';
plan skip_all => 'its httpd has no sanitizer in it' if $ENV{RAGLINE_TEST_SANITIZE};

my ($source) = slurp('Makefile') =~ /^abs_top_srcdir = (.*)$/m;
my ($build) = slurp('Makefile') =~ /^abs_top_builddir = (.*)$/m;
my $place = vars('run_dir') . '/a place';
my $log = vars('t_logs') . '/96-demo-output_log';
unlink($log);
mkdir($place);
my @not = map { "--exclude=./$_" } qw(.git Makefile build build-address build-clang build-scan
    build-thread config.status run);
my ($status, $output) = run_command('sh', '-c',
    'from=$1; to=$2; shift 2; tar -c -C "$from" "$@" . | tar -x -C "$to"', '-', $source, $place, @not);
is($status, 0, 'a copy of the sources') or diag($output);

my $port = free_port();
my $pid = spawn($log, 'env', full() ? () : "RAGLINE_DEMO_MODULE=$build/.libs/mod_ragline_stream.so",
    "$place/demo", '--port', $port);
ok(wait_until(sub { slurp($log) =~ /Ctrl-C ends all of it|^demo: /m }, 600), './demo starts');
my $told = slurp($log);
like($told, qr{Running: open http://127\.0\.0\.1:$port/ in a browser}, 'and says where')
    or diag($told);
is(Ragline::HTTP::request(port => $port, path => '/')->status, 200, 'its page is there');
my ($subscribe, $publish) = $told =~ /^(curl .*)$/mg;
my ($xadd) = $told =~ /^(redis-cli .*)$/m;
my $stream = vars('t_logs') . '/96-demo-stream_log';
unlink($stream);
my $curl = spawn($stream, 'sh', '-c', "exec $subscribe");
ok(wait_until(sub { slurp($stream) =~ /^event: connected$/m }), 'what it says to paste: subscribing')
    or diag($subscribe, slurp($stream));
for ([$publish, 1], [$xadd, 2]) {
    my ($command, $n) = @$_;
    ($status, $output) = run_command('sh', '-c', $command);
    ok(wait_until(sub { slurp($stream) =~ /^data: \{"order_id":$n\}$/m }), 'writing an event')
        or diag($command, $output);
}
stop_pid($curl);
is(stop_pid($pid, 'INT', 60) >> 8, 130, 'Ctrl-C');
like(slurp($log), qr/^Ended\. The events are kept in \Q$place\E/m, 'ends it, and says so');
ok(!eval { Ragline::HTTP::request(port => $port, path => '/') }, 'nothing listens any more');
done_testing();
