# SPDX-License-Identifier: Apache-2.0
#
# Two virtual hosts, two Redis servers, the same stream names, the same keys, the same tenants:
# nothing crosses, and what happens to one does not happen to the other.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Httpd ();
use Ragline::Redis ();
use Ragline::Test;

my $key = 'ragline:stream:orders';
my %host = (a => 'localhost', b => 'world-b.test');
my %redis = (a => redis_a(), b => redis_b());

# --- the main server's two hosts ----------------------------------------------------------------

{
    my $tenant = unique();
    my (%stream, %want);
    for my $world ('a', 'b') {
        $stream{$world} = [map { stream('/stream', host => $host{$world},
            token => token($tenant, 1)) } 1 .. 4];
        $_->connected for @{ $stream{$world} };
    }
    for my $i (1 .. 200) {
        my $world = $i % 3 ? 'a' : 'b';
        push @{ $want{$world} }, $redis{$world}->xadd($key, tenant_id => $tenant,
            event_type => "in_$world", payload => "{\"n\":$i}");
    }
    for my $world ('a', 'b') {
        push @{ $want{$world} }, $redis{$world}->xadd($key, tenant_id => $tenant,
            event_type => 'end', payload => '{}');
    }
    for my $world ('a', 'b') {
        for my $stream (@{ $stream{$world} }) {
            $stream->take('end');
            my (undef, @events) = $stream->events;
            is(has_ids(@events), "@{ $want{$world} }",
                "world $world: its own events and no others");
            is(scalar(grep { $_->{event} !~ /^(?:in_$world|end)$/ } @events), 0,
                'by their types, too');
        }
    }
    for my $world ('a', 'b') {
        my $response = fetch('/publish', host => $host{$world}, method => 'POST',
            token => token($tenant, 1), headers => ['Content-Type' => 'application/json'],
            body => qq({"stream":"orders","event_type":"published_$world","payload":{}}));
        is($response->status, 201, "world $world: publishing");
        my $id = $response->json->{id};
        my ($entry) = @{ $redis{$world}->client->xrange($key, $id, $id) };
        my %field = @{ $entry ? $entry->[1] : [] };
        is($field{event_type}, "published_$world", 'goes to its Redis');
        ok($stream{$world}[0]->take("published_$world"), 'and reaches its streams');
    }
    # One more in each, so that whatever crosses has had time to.
    $redis{$_}->xadd($key, tenant_id => $tenant, event_type => 'last', payload => '{}')
        for 'a', 'b';
    for my $world ('a', 'b') {
        my $other = $world eq 'a' ? 'b' : 'a';
        $stream{$world}[0]->take('last');
        is(scalar(grep { $_->{event} eq "published_$other" } $stream{$world}[0]->events), 0,
            "world $world: nothing of the other");
    }
    Ragline::SSE->close_all(map { @$_ } values %stream);
}

# --- one of them dies ---------------------------------------------------------------------------

{
    my %own = map { $_ => Ragline::Redis->start(name => "world-$_") } 'a', 'b';
    my $endpoints = bearer_location('/stream', 'RaglineSubscribe orders', 'RaglineHeartbeat off')
        . <<"EOF";
<Location /publish>
    SetHandler ragline-publish
@{[ jwt_conf() ]}
    RaglinePublish orders
</Location>
<Location /health>
    SetHandler ragline-health
</Location>
EOF
    my $httpd = Ragline::Httpd->new(conf => join '', "RaglineDrain 1s\n",
        map { <<"EOF" } 'a', 'b')->start;
<VirtualHost *:\@PORT\@>
    ServerName $_.test
    RaglineRedis @{[ $own{$_}->url ]}
    RaglineRedisPool timeout=1s
    RaglineStream orders $key
$endpoints
</VirtualHost>
EOF
    my %stream;
    for my $world ('a', 'b') {
        $stream{$world} = $httpd->stream('/stream', host => "$world.test",
            token => token('same', 1));
        ok($stream{$world}->connected, "world $world is served");
    }
    my $publish = sub {
        my ($world, $type) = @_;
        return $httpd->request(host => "$world.test", path => '/publish', method => 'POST',
            token => token('same', 1), headers => ['Content-Type' => 'application/json'],
            body => qq({"stream":"orders","event_type":"$type","payload":{}}))->status;
    };
    my $health = sub { return $httpd->request(host => "$_[0].test", path => '/health')->status };

    $own{a}->stop('KILL');
    is($publish->('a', 'lost'), 503, 'world a has no Redis: publishing is 503');
    for my $i (1 .. 20) {
        is($publish->('b', "still$i"), 201, 'world b goes on');
        ok($stream{b}->take("still$i"), 'and delivers');
    }
    ok(wait_until(sub { $health->('a') == 503 }), 'world a is not ready');
    is($health->('b'), 200, 'world b is') if vars('mpm') ne 'prefork';
    my $new = $httpd->stream('/stream', host => 'b.test', token => token('new', 1));
    ok($new->connected, 'world b takes new streams');
    is($stream{b}->ended, '', 'and keeps the old ones');

    $own{a}->start_again;
    ok(wait_until(sub { $publish->('a', 'back') == 201 }), 'world a is back');
    my $back = $stream{a}->ended
        ? $httpd->stream('/stream', host => 'a.test', token => token('same', 1))
        : $stream{a};
    $back->connected if $back != $stream{a};
    $publish->('a', 'again');
    ok($back->take('again'), 'and delivers');
    is(scalar(grep { $_->{event} =~ /^(?:back|again|lost)$/ } $stream{b}->events), 0,
        'of which world b knows nothing');
}

# --- hosts that inherit everything ---------------------------------------------------------------

# httpd has no configuration of its own for a host without a directive of ours.
{
    local $ENV{RAGLINE_TEST_PASSWORD} = 'pass-word-' . unique();
    my $locked = Ragline::Redis->start(name => 'heirs', password => $ENV{RAGLINE_TEST_PASSWORD});
    my $hosts = join '',
        map { "<VirtualHost *:\@PORT\@>\nServerName heir$_.test\n</VirtualHost>\n" } 1 .. 20;
    my $httpd = Ragline::Httpd->new(name => 'heirs', conf => <<"EOF" . $hosts)->start;
RaglineDrain 0
RaglineRedis @{[ $locked->url ]}
RaglineRedisAuth env:RAGLINE_TEST_PASSWORD
RaglineStream own heirs:{tenant}
RaglineStream all heirs
@{[ bearer_location('/own', 'RaglineSubscribe own', 'RaglineStart group') ]}
@{[ bearer_location('/all', 'RaglineSubscribe all') ]}
<Location /stats>
    SetHandler ragline-stats
@{[ jwt_conf() ]}
</Location>
EOF
    my $tenant = unique();
    for my $host ('heir1.test', 'heir20.test') {
        my $stream = $httpd->stream('/own', host => $host, token => token($tenant, 1));
        ok($stream->connected, "$host is served");
    }
    my $stats = sub {
        $httpd->request(path => '/stats', host => $_[0], token => token($tenant, 1))->json // {};
    };
    for my $host ('heir1.test', 'heir20.test') {
        my $page;
        ok(wait_until(sub {
            $page = $stats->($host);
            @{ $page->{children} // [] } == ($page->{redis}[0]{children} // 0)
        }), "$host: the one Redis of all hosts is read once by a child");
        is(scalar(@{ $page->{redis} // [] }), 1, 'it is one');
        is(scalar(@{ $page->{groups} // [] }), 1, 'and its endpoint has one group');
    }
    my %connections;
    ok(wait_until(sub {
        my $children = @{ $stats->('heir1.test')->{children} // [] };
        %connections = ();
        $connections{ $_->{name} }++ for $locked->clients;
        !grep { ($connections{$_} // 0) != $children } qw(ragline-reader ragline-watcher ragline-changes)
    }), 'over one connection of each kind') or diag(explain(\%connections));
}

done_testing();
