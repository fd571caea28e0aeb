# SPDX-License-Identifier: Apache-2.0
#
# Reloads without loss: pages that come back as EventSource does have the complete sequence in the end;
# a storm of clients of as many tenants costs one pass over what they missed.
#
# Modes: tenant
# Modes if full: ndjson group tenant+group
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use List::Util qw(max);
use Test::More;
use Time::HiRes ();

use Ragline::Httpd ();
use Ragline::Load ();
use Ragline::Redis ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'reload', args => ['--appendonly', 'no']);
my @keys = map { stream_key('reload', $_) } qw(one two three);
my $storm = stream_key('reload', 'storm');

sub conf
{
    my @short = ('RaglineRetry 200ms', 'RaglineHeartbeat 5s');
    return <<"EOF"
RaglineRedis @{[ $redis->url ]}
RaglineDrain 1s
# However long a busy machine keeps a client away, it is not too long.
RaglineReplayLimit 1000000
RaglineStream one $keys[0]
RaglineStream two $keys[1]
RaglineStream three $keys[2]
RaglineStream storm $storm
EOF
        . bearer_location('/three', 'RaglineSubscribe one two three', @short)
        . bearer_location('/off', 'RaglineSubscribe one two three', @short, 'RaglineHandoff off')
        . bearer_location('/storm', 'RaglineSubscribe storm', 'RaglineHeartbeat 5s');
}

# --- graceful, again and again, while events keep coming ----------------------------------------------

for my $children (again() ? 2 : (1, 2)) {
    my $name = $children == 1 ? 'one child' : 'two children';
    my $reloads = full() ? 15 : 4;
    my $httpd = Ragline::Httpd->new(name => "load$children", children => $children,
        conf => conf())->start;
    my @tenants = map { unique() } 1 .. 6;
    my @pages = map { my $tenant = $_;
        map { Ragline::Load::Page->new(httpd => $httpd, path => $_, tenant => $tenant, keys => 3) }
            '/three', '/three', $tenant eq $tenants[0] ? '/off' : () } @tenants;
    my $turn = sub { Ragline::SSE::pump(0.02); $_->step for @pages; return 1 };
    wait_until(sub { $turn->(); !grep { !$_->{came} } @pages });
    my $load = Ragline::Load->start(redis => $redis, keys => \@keys, tenants => \@tenants,
        rate => 1200);
    for my $reload (1 .. $reloads) {
        my %old = map { $_ => 1 } $httpd->children;
        my ($status) = $httpd->control('graceful');
        my $done = wait_until(sub { $turn->();
            !(grep { $old{$_} } $httpd->children) && !grep { !$_->{stream} } @pages }, 60);
        ok($status == 0 && $done, "$name, reload $reload: everybody is back") or last;
        # Sometimes the next one comes at once.
        my $until = Time::HiRes::time() + ($reload % 2 ? rand(1) : 0);
        $turn->() while Time::HiRes::time() < $until;
    }
    my $rounds = $load->stop;
    ok(Ragline::Load::Page::all_complete(\@pages, $rounds),
        "$name: every page has all $rounds numbers");
    my @problems = map { @{ $_->{problems} } } @pages;
    is(scalar(@problems), 0, "$name: each once, in order, always resumed")
        or diag(join "\n", splice(@problems, 0, 10));
    is(scalar(grep { $_->{count} != $rounds } @pages), 0, "$name: not one more or less");
    my ($least) = sort { $a <=> $b } map { $_->{connections} } @pages;
    cmp_ok($least, '>', 1, "$name: they did come back");
    $_->{stream} && $_->{stream}->close for @pages;
    $httpd->stop;
    unlike($httpd->error_log, qr/exit signal|AH00046/, "$name: nobody crashed");
}

# --- a storm --------------------------------------------------------------------------------------------

# How often a command was called.
sub calls
{
    my ($command) = @_;
    my $stats = $redis->client->info('commandstats');
    return ($stats->{"cmdstat_$command"} // '') =~ /calls=(\d+)/ ? $1 : 0;
}

{
    my $n = full() ? 10_000 : again() ? 300 : 1000;
    my $missed = 5000; # by all of them together
    my $httpd = Ragline::Httpd->new(name => 'storm', threads => 64, conf => conf())->start;
    my $event = sub { [tenant_id => "s$_[0]", event_type => 'n', payload => $_[1]] };
    my $open = sub {
        my (@ids) = @_;
        return Ragline::SSE->open_many($n, sub {
            return (port => $httpd->port, path => '/storm', token => token("s$_[0]", 1),
                @ids ? (last_event_id => $ids[$_[0]]) : ()) });
    };
    my @streams = $open->();
    ok(Ragline::SSE->wait_all(\@streams, sub { $_[0]->events }, 60), "$n clients of $n tenants");
    $redis->xadd_many($storm, map { $event->($_, 0) } 0 .. $n - 1);
    ok(Ragline::SSE->wait_all(\@streams, sub { grep { $_->{event} eq 'n' } $_[0]->events }, 60),
        'each has an event');
    my @ids = map { $_->last_event_id } @streams;
    # They are as far as the last of them: heartbeats see to it.
    ok(Ragline::SSE->wait_all(\@streams, sub { $_[0]->last_event_id eq $ids[-1] }, 60),
        'all have the same position') if !mode('tenant');
    Ragline::SSE->close_all(@streams);
    $httpd->stop;

    my @expected = map { [] } 1 .. $n;
    my @entries;
    for my $number (1 .. $missed) {
        my $tenant = $number % $n;
        push @{ $expected[$tenant] }, $number;
        push @entries, $event->($tenant, $number);
    }
    $redis->xadd_many($storm, @entries);
    $httpd->start;
    my %before = map { $_ => calls($_) } qw(xrevrange xrange);
    my $began = Time::HiRes::time();
    my @again = $open->(map { $_->last_event_id } @streams);
    my $caught_up = sub { grep { $_->{event} eq 'caught_up' } $_[0]->events };
    ok(Ragline::SSE->wait_all(\@again, $caught_up, 300), 'all are back');
    my $seconds = Time::HiRes::time() - $began;
    my @wrong = grep {
        my @got = map { $_->{data} } grep { $_->{event} eq 'n' } $again[$_]->events;
        my ($connected) = $again[$_]->events;
        "@got" ne "@{ $expected[$_] }" || $connected->{data} !~ /"recovery":"resumed"/
    } 0 .. $n - 1;
    is(scalar(@wrong), 0, 'each has what it missed') or diag($again[$wrong[0]]->body);
    my %calls = map { $_ => calls($_) - $before{$_} } keys %before;
    # One pass takes a call for each 512 entries; those who came during it cost another, and where all
    # is slow that is more than once. A tenant's own key has a pass of its own, which begins with few,
    # and so has each process of prefork.
    my $processes = vars('mpm') eq 'prefork' ? (() = $httpd->children) : 1;
    cmp_ok($calls{xrevrange}, '<=', mode('tenant') ? 3 * $n : max(3 * $missed / 512, $n / 20) * $processes,
        "that took $calls{xrevrange} calls of XREVRANGE");
    cmp_ok($calls{xrange}, '<=', 20, "and $calls{xrange} of XRANGE");
    note(sprintf('in %.1f s', $seconds));

    $redis->xadd_many($storm, map { $event->($_, 'live') } 0 .. $n - 1);
    ok(Ragline::SSE->wait_all(\@again, sub { grep { $_->{data} eq 'live' } $_[0]->events }, 300),
        'and they are live');
    Ragline::SSE->close_all(@again);
    $httpd->stop;
    unlike($httpd->error_log, qr/exit signal|AH00046/, 'nobody crashed or had to be killed');
}

done_testing();
