# SPDX-License-Identifier: Apache-2.0
#
# The module is loaded and serves. Nothing else makes sense without: a failure ends the run.
#
# Runs alone, and first: it looks at the main server's log as the start left it.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Proc qw(run_command slurp);
use Ragline::Test;

my ($status, $modules) = run_command(vars('httpd'), '-f', vars('t_conf_file'), '-M');
like($modules, qr/^ ragline_stream_module \(shared\)$/m, 'httpd has the module loaded')
    or BAIL_OUT('the module is not loaded');
like($modules, qr/^ mpm_@{[vars('mpm')]}_module \(shared\)$/m, 'and the MPM asked for');

my $live = eval { fetch('/ragline-health/live') };
is($live && $live->status, 200, 'it answers') or BAIL_OUT("the module does not answer: $@");

# Other modules' symbols and ours share one process.
my ($file) = slurp(vars('httpd_conf')) =~ /^LoadModule ragline_stream_module "(.*)"/m;
($status, my $symbols) = run_command('nm', '-D', '--defined-only', $file);
SKIP: {
    skip 'no nm here', 1 if $status;
    is(join(' ', sort map { (split)[2] } split /\n/, $symbols), 'ragline_stream_module',
        'the module exports one symbol');
}

ok(redis_a()->client->ping, 'the first Redis answers');
ok(redis_b()->client->ping, 'the second Redis answers');
unlike(slurp(vars('t_logs') . '/error_log'), qr/\[\w+:(?:emerg|alert|crit|error)\]/,
    'nothing is wrong at the start');

done_testing();
