# SPDX-License-Identifier: Apache-2.0
#
# Two tenants on one stream, 20,000 events, 50 connections: each connection gets exactly its own,
# in order, once.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Test;

my $events = 20_000;
my $connections = 50;

my $redis = redis_a();
my @tenants = (unique('left'), unique('right'));
my @streams = Ragline::SSE->open_many($connections, sub {
    my ($i) = @_;
    return (port => vars('port'), path => '/t/quiet', bulk => 1,
        token => token($tenants[$i % 2], $i));
});
ok(Ragline::SSE->wait_all(\@streams, sub { $_[0]->body =~ /^event: connected\n.*?\n\n/ms }),
    "$connections streams are open");

# Which event is whose has no pattern that batches could hide behind.
my %mine = map { $_ => '' } @tenants;
my $seed = 12345;
for my $batch (1 .. $events / 1000) {
    my @entries;
    for my $i (1 .. 1000) {
        $seed = ($seed * 1103515245 + 12345) % 2147483648;
        push @entries, [tenant_id => $tenants[$seed >> 16 & 1], event_type => 'counted',
            payload => sprintf('{"n":%d,"pad":"%s"}', $batch * 1000 + $i, 'x' x ($seed % 200))];
    }
    my @ids = $redis->xadd_many('ragline:stream:orders', @entries);
    for my $i (0 .. $#ids) {
        my %entry = @{ $entries[$i] };
        $mine{ $entry{tenant_id} } .= "event: counted\ndata: $entry{payload}\nid: $ids[$i]\n\n";
    }
    Ragline::SSE::pump(0);
}
my %end = map { $_ => $redis->xadd('ragline:stream:orders', tenant_id => $_, event_type => 'end',
    payload => '{}') } @tenants;
ok(Ragline::SSE->wait_all(\@streams,
    sub { substr($_[0]->body, -200) =~ /event: end\n.*\n\n\z/s }, 120), 'each has its last event');

my $wrong = 0;
for my $i (0 .. $#streams) {
    my $tenant = $tenants[$i % 2];
    (my $body = $streams[$i]->body) =~ s/\A.*?event: connected\n.*?\n\n//s;
    next if $body eq $mine{$tenant} . "event: end\ndata: {}\nid: $end{$tenant}\n\n";
    diag(sprintf('connection %d of %s: %d bytes, %d expected', $i, $tenant, length($body),
        length($mine{$tenant}))) if !$wrong++;
}
is($wrong, 0, 'each connection has exactly the events of its tenant, in order, once');
ok(length($mine{ $tenants[0] }) && length($mine{ $tenants[1] }), 'and both tenants had some');

done_testing();
