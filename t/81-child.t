# SPDX-License-Identifier: Apache-2.0
#
# The threads that a child has beside httpd's: httpd's signals are not for them, and where they
# cannot be started, clients are sent away for now and not for ever.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(run_command slurp);
use Ragline::Test;

# With prefork a child has no threads but its own and ours.
my $httpd = Ragline::Httpd->new(mpm => 'prefork', conf => <<"EOF"
RaglineRedis @{[ redis_a()->url ]}
RaglineStream orders ragline:stream:orders
RaglineStreamers 2
RaglineDrain 0
<Location /ragline-stats>
    SetHandler ragline-stats
    Require local
</Location>
<Location /health>
    SetHandler ragline-health
</Location>
EOF
    . bearer_location('/stream', 'RaglineSubscribe orders', 'RaglineRetry 3s'))->start;

# --- signals ------------------------------------------------------------------------------------

my %signal = (HUP => 1, INT => 2, USR1 => 10, SEGV => 11, ALRM => 14, TERM => 15, WINCH => 28);

# Which of these a thread has blocked.
sub blocked
{
    my ($status) = @_;
    my ($mask) = slurp($status) =~ /^SigBlk:\s+([0-9a-f]+)/m;
    return defined $mask ? join ' ', grep { hex(substr($mask, -8)) >> ($signal{$_} - 1) & 1 }
        sort keys %signal : 'unknown';
}

# The port is open before there is a child.
my $child;
ok(wait_until(sub { ($child) = $httpd->children }), 'a child');
my $threads = sub { return grep { !m{/$child/status} } glob("/proc/$child/task/*/status") };
# And perhaps of other modules.
ok(wait_until(sub { $threads->() >= 3 }), 'a hub and two streamers') or diag($threads->());
SKIP: {
    skip 'ThreadSanitizer has a thread and signal masks of its own', 1
        if ($ENV{RAGLINE_TEST_SANITIZE} // '') eq 'thread';
    # While it starts a thread it has everything blocked.
    wait_until(sub { blocked("/proc/$child/status") eq '' });
    is(blocked("/proc/$child/status"), '', 'the main thread of a child gets signals');
    # Until it runs a thread has everything blocked.
    my $all = 'ALRM HUP INT TERM USR1 WINCH';
    wait_until(sub { !grep { blocked($_) ne $all } $threads->() });
    is(blocked($_), $all, 'no other thread does, but for its own faults') for $threads->();
}
is(blocked('/proc/' . $httpd->pid . '/status'), '', 'nor is anything blocked in the parent');

# --- no threads ---------------------------------------------------------------------------------

SKIP: {
    skip 'only root starts children that may have no threads', 11 if $> != 0;
    my ($failed, $output) = run_command('prlimit', '--pid', $httpd->pid, '--nproc=1:1');
    skip "prlimit: $output", 11 if $failed;
    ok($httpd->graceful, 'a restart');
    ok(wait_until(sub { $httpd->error_log =~ /RS0806/ }), 'children that may have no threads');
    for my $path ('/stream', '/stream?last_event_id=1-0') {
        my $stream = $httpd->stream($path, token => token('acme', 1));
        is($stream->wait_end, 'eof', "$path ends");
        is($stream->status . ' ' . ($stream->header('content-type') // ''), '200 text/event-stream',
            'with an answer after which EventSource comes back');
        is($stream->retry, 3000, 'a while later');
        my ($error) = $stream->events;
        is($error && "$error->{event} " . json_of($error->{data})->{code}, 'error unavailable',
            'and why');
    }
    cmp_ok(stats($httpd)->{refused}{unavailable}, '>=', 1, 'the statistics count it');
    is($httpd->request(path => '/stream')->status, 401, 'who may not, may not');
    is($httpd->request(path => '/health')->status, 503, 'the health check says so');
}

$httpd->stop;
unlike($httpd->error_log, qr/exit signal|AH00046/, 'nobody crashed or had to be killed');
done_testing();
