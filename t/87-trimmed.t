# SPDX-License-Identifier: Apache-2.0
#
# Entries that Redis trims before the module has read them: readers are told, in the middle of the
# stream, and events go on. What is trimmed after it was read, and what is deleted one by one, is
# no gap.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Proc qw(freeze);
use Ragline::Redis ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'trimmed');
my %template = (shared => 'trimmed:all', own => 'trimmed:{tenant}:own');
my $httpd = Ragline::Httpd->new(name => 'main', conf => join('',
    "RaglineRedis @{[ $redis->url ]}\nRaglineDrain 0\n",
    (map { "RaglineStream $_ $template{$_}\n" } sort keys %template),
    (map { bearer_location("/$_", "RaglineSubscribe $_", 'RaglineHeartbeat 1s') }
        sort keys %template),
    bearer_location('/some', 'RaglineSubscribe shared', 'RaglineEvents nothing')))->start;

sub key { my ($kind, $tenant) = @_; return $template{$kind} =~ s/\{tenant\}/$tenant/r }

sub add
{
    my ($kind, $tenant, $numbers, @options) = @_;
    my $client = $redis->client;
    return map { $client->xadd(key($kind, $tenant), @options, '*', tenant_id => $tenant,
        event_type => 'n', payload => $_) } @$numbers;
}

sub numbers { return join ' ', map { $_->{data} } grep { $_->{event} eq 'n' } $_[0]->events }

sub resets
{
    return join ' ', map { json_of($_->{data})->{reason} } grep { $_->{event} eq 'reset' }
        $_[0]->events;
}

for my $kind (sort keys %template) {
    my ($tenant, $other) = (unique(), unique());
    my @streams = map { $httpd->stream("/$kind", token => token($_, 1)) } $tenant, $other;
    push @streams, $httpd->stream('/some', token => token($tenant, 1)) if $kind eq 'shared';
    $_->connected for @streams;
    add($kind, $tenant, [1 .. 5]);
    ok($streams[0]->wait(sub { numbers($_[0]) eq '1 2 3 4 5' }), "$kind: five events");

    # No gaps: trimmed after it was read, deleted before it was read.
    my $client = $redis->client;
    sleep(5); # where the stream stands is asked once a second, or when XREAD has waited in vain
    $client->xtrim(key($kind, $tenant), 'MAXLEN', '=', 2);
    my @children = $httpd->children;
    freeze(@children);
    my @ids = add($kind, $tenant, [6 .. 8]);
    $client->xdel(key($kind, $tenant), $ids[1]);
    kill('CONT', @children);
    add($kind, $tenant, [9]);
    ok($streams[0]->wait(sub { numbers($_[0]) eq '1 2 3 4 5 6 8 9' }),
        "$kind: what was deleted does not come") or diag(numbers($streams[0]));
    # Long enough for where the stream stands to be asked more than once.
    for my $n (10 .. 13) {
        sleep(1);
        add($kind, $tenant, [$n]);
    }
    ok($streams[0]->wait(sub { numbers($_[0]) =~ /13$/ }), "$kind: events go on");
    is(resets($streams[0]), '', "$kind: and nobody is told of a gap");

    freeze(@children);
    add($kind, $tenant, [20 .. 79], 'MAXLEN', '=', 10);
    kill('CONT', @children);
    ok($streams[0]->wait(sub { resets($_[0]) }), "$kind: trimmed before it was read: reset");
    is(resets($streams[0]), 'trimmed', "$kind: and why");
    add($kind, $tenant, [80]);
    ok($streams[0]->wait(sub { numbers($_[0]) =~ /79 80$/ }), "$kind: events go on");
    my ($reset) = grep { $_->{event} eq 'reset' } $streams[0]->events;
    like($reset->{id}, qr/^\d+-\d+$/, "$kind: it has a place");
    if ($kind eq 'shared') {
        ok($_->wait(sub { resets($_[0]) eq 'trimmed' }),
            'so are all who read the key: nobody knows whose it was') for @streams[1, 2];
    }
    else {
        add($kind, $other, ['end']);
        ok($streams[1]->wait(sub { numbers($_[0]) eq 'end' }), "another tenant's key goes on");
        is(resets($streams[1]), '', 'and is not concerned');
    }
    like($httpd->error_log, qr/RS0503: .*\Q@{[ key($kind, $tenant) ]}\E were trimmed before/,
        "$kind: the log says what to do");
    # What is known by number holds again.
    for my $n (81 .. 83) {
        sleep(1);
        add($kind, $tenant, [$n]);
    }
    ok($streams[0]->wait(sub { numbers($_[0]) =~ /83$/ }), "$kind: later events");
    is(resets($streams[0]), 'trimmed', "$kind: told once");

    # A worker that is faster than we are, then one that has done everything: no gaps either.
    my ($last) = map { $_->[0] } @{ $client->xrevrange(key($kind, $tenant), '+', '-', 'COUNT', 1) };
    my @two = map { $last =~ s/-\d+$/-$_/r } 1, 2;
    my $event = sub { return (tenant_id => $tenant, event_type => 'n', payload => $_[0]) };
    $client->multi;
    $client->xadd(key($kind, $tenant), $two[0], $event->(84));
    $client->xadd(key($kind, $tenant), $two[1], $event->(85));
    $client->xdel(key($kind, $tenant), $two[0]);
    $client->exec;
    ok($streams[0]->wait(sub { numbers($_[0]) =~ /83 85$/ }), "$kind: one of two was deleted");
    $client->xdel(key($kind, $tenant),
        map { $_->[0] } @{ $client->xrange(key($kind, $tenant), '-', '+') });
    sleep(4);
    add($kind, $tenant, [86]);
    ok($streams[0]->wait(sub { numbers($_[0]) =~ /85 86$/ }), "$kind: all that was read is deleted");
    is(resets($streams[0]), 'trimmed', "$kind: and nobody is told of a gap");
    $_->close for @streams;
}

done_testing();
