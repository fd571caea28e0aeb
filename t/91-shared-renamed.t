# SPDX-License-Identifier: Apache-2.0
#
# An endpoint's consumer groups get another name: what waits in the old ones is told of when httpd
# starts, and moved by what docs/TROUBLESHOOTING.md says.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Sys::Hostname ();
use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(run_command slurp spew);
use Ragline::Redis ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'renamed');
my $client = $redis->client;
my @shared = ('RaglineDelivery shared', 'RaglineHeartbeat 1s');
my $key = 'ragline:stream:orders';

sub conf
{
    my ($location, $group) = @_;
    return join '', 'RaglineRedis ' . $redis->url . "\nRaglineDrain 0\n",
        "RaglineStream orders $key:{tenant}\nRaglineStream lit $key.lit tenant=literal:main\n",
        bearer_location("/$location", 'RaglineSubscribe orders', @shared),
        bearer_location('/lit', 'RaglineSubscribe lit', "RaglineGroup $group-{tenant}", @shared),
        bearer_location('/start', 'RaglineSubscribe orders', 'RaglineStart group');
}

sub add
{
    my ($tenant, @n) = @_;
    my $to = $tenant eq 'main' ? "$key.lit" : "$key:$tenant";
    return map { $client->xadd($to, '*', event_type => 'n', payload => $_) } @n;
}

sub numbers { return join ' ', sort { $a <=> $b } map { $_->{data} } grep { $_->{event} eq 'n' } $_[0]->events }

sub takes
{
    my ($name, $httpd, $path, $tenant, $want) = @_;
    my $stream = $httpd->stream($path, token => token($tenant, 1));
    ok($stream->wait(sub { numbers($_[0]) eq $want }), $name) or diag(numbers($stream));
    return $stream;
}

# Each has taken something, and then more comes.
my $httpd = Ragline::Httpd->new(name => 'before', conf => conf('orders', 'nightly'))->start;
for (['/orders', 'acme-1'], ['/orders', 'beta'], ['/lit', 'main'], ['/start', 'gamma']) {
    my ($path, $tenant) = @$_;
    my $stream = $httpd->stream($path, token => token($tenant, 1));
    $stream->connected;
    add($tenant, 1);
    ok($stream->wait(sub { numbers($_[0]) =~ /1/ }), "$path: $tenant has its group");
    $stream->close;
}
$httpd->stop;
unlike($httpd->error_log, qr/RS0458/, 'nothing is left behind');
my $gone = Sys::Hostname::hostname() =~ s/[^A-Za-z0-9._\@-]/_/gr . '-4194304-5f-1';
add('acme-1', 2 .. 4);
add('main', 2 .. 3);
# Two were given out by a process that was killed.
$client->xreadgroup('GROUP', 'ragline-orders-acme~1', $gone, 'COUNT', 2, 'STREAMS', "$key:acme-1", '>');
$client->xreadgroup('GROUP', 'nightly-main', $gone, 'COUNT', 1, 'STREAMS', "$key.lit", '>');
# Others' groups are none of our business.
$client->xgroup('create', "$key:acme-1", 'backend', 0);
$client->xgroup('create', "$key:beta", 'backend', 0);
$httpd->start;
add('gamma', 2);
my $stays = takes('the same names: all goes on', $httpd, '/start', 'gamma', '2');
$stays->close;
$httpd->stop;
unlike($httpd->error_log, qr/RS0458/, 'nothing is said');

# Another name of the location, and another RaglineGroup.
my $after = Ragline::Httpd->new(name => 'after', children => 2, conf => conf('tickets', 'daily'))->start;
ok(wait_until(sub { $after->error_log =~ /RS0458/ }), 'renamed: said at the start')
    or diag($after->error_log);
like($after->error_log, qr/ragline_stream:warn.* RS0458: Redis at \S+: .* no endpoint uses: 2, such as (?:ragline-orders-acme~1 of the key \Q$key\E:acme-1, with 3|nightly-main of the key \Q$key\E.lit, with 2) entries\. .*TROUBLESHOOTING/,
    'with the group, its key, and where to read on');
my $new = $after->stream('/tickets', token => token('acme-1', 1));
$new->connected;
add('acme-1', 5);
ok($new->wait(sub { numbers($_[0]) eq '5' }), 'the new group begins at the end') or diag(numbers($new));
$new->close;
$after->stop;
is(scalar(() = $after->error_log =~ /RS0458/g), 1, 'said once');

# What the documentation says.
my ($source) = slurp('Makefile') =~ /^abs_top_srcdir = (.*)$/m;
my ($script) = slurp("$source/docs/TROUBLESHOOTING.md") =~ /## A group with another name.*?```sh\n(.*?)```/s;
ok($script, 'there is a script') or BAIL_OUT('no script');
my $dir = $after->root;
spew("$dir/redis-cli", "#!/bin/sh\nexec /usr/bin/redis-cli -s @{[ $redis->socket_path ]} \"\$\@\"\n");
chmod(0755, "$dir/redis-cli");
spew("$dir/move.sh", "PATH=$dir:\$PATH\n${script}move $key.lit nightly-main daily-main\n");
my ($status, $output) = run_command('sh', "$dir/move.sh");
is($status, 0, 'it runs') or diag($output);
unlike($output, qr/ERR|NOGROUP/, 'without an error') or diag($output);
$after->start;
my @streams = (takes('moved: what waited, what was given out, and what came since', $after, '/tickets', 'acme-1', '2 3 4 5'),
    takes('of the other endpoint, too', $after, '/lit', 'main', '2 3'));
$streams[2] = $after->stream('/tickets', token => token('beta', 1));
$streams[2]->connected;
add('beta', 2);
ok($streams[2]->wait(sub { numbers($_[0]) eq '2' }), 'and of a tenant for whom nothing waited')
    or diag(numbers($streams[2]));
my %groups = map { my $of = $_; map { ({ @$_ }->{name} => 1) } @{ $client->xinfo('groups', $of) } }
    "$key:acme-1", "$key:beta", "$key.lit";
is(join(' ', sort keys %groups), 'backend daily-main ragline-tickets-acme~1 ragline-tickets-beta',
    'the old groups are gone');
$_->close for @streams;
$after->stop;
is(scalar(() = $after->error_log =~ /RS0458/g), 1, 'nothing more to say');

done_testing();
