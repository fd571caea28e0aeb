# SPDX-License-Identifier: Apache-2.0
#
# Who may take from a consumer group: of a stream that is one tenant's only that tenant, and with
# what a browser sends by itself only pages that may.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use MIME::Base64 ();
use Test::More;

use Ragline::Httpd ();
use Ragline::Redis ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'takers');
my $basic = "AuthType Basic\nAuthName x\nAuthUserFile @{[ vars('run_dir') ]}/htpasswd\n"
    . "Require valid-user\n";
my $lit = "SetHandler ragline-sse\nRaglineSubscribe lit\nRaglineHeartbeat 1s\n";

my $httpd = Ragline::Httpd->new(conf => join '', "RaglineRedis @{[ $redis->url ]}\nRaglineDrain 0\n",
    "RaglineStream lit group:lit tenant=literal:main\nRaglineStream more group:more\n",
    "RaglineStream jobs group:jobs tenant=literal:main\n",
    bearer_location('/lit', 'RaglineSubscribe lit', 'RaglineStart group', 'RaglineHeartbeat 1s'),
    "<Location /nightly>\n${lit}RaglineStart group\nRaglineGroup nightly\nRaglineTenant main\n",
    "RaglineOrigins https://app.example\n$basic</Location>\n",
    "<Location /jobs>\n${lit}RaglineSubscribe jobs\nRaglineDelivery shared\nRaglineTenant main\n",
    "RaglineOrigins *\nRequire local\n</Location>\n",
    "<Location /broadcast>\n${lit}RaglineTenant main\n$basic</Location>\n",
    "<Location /any-tenant>\n${lit}RaglineSubscribe lit more\nRaglineStart group\n",
    "RaglineTenant %{QUERY_STRING}\nRequire all granted\n</Location>\n")->start;

sub subscribe
{
    my ($path, $tenant) = @_;
    my $stream = $httpd->stream($path, token => token($tenant, 1));
    $stream->connected;
    return $stream;
}

sub recovery { return json_of(($_[0]->events)[0]{data})->{recovery} }
sub own { return grep { $_->{event} eq 'n' } $_[0]->events }
sub numbers { return join ' ', map { $_->{data} } own($_[0]) }

sub wait_numbers
{
    my ($stream, $n) = @_;
    $stream->wait(sub { own($_[0]) >= $n });
    return numbers($stream);
}

sub groups { return join ' ', sort map { my %g = @$_; $g{name} } @{ $redis->client->xinfo('groups',
    $_[0]) } }

# Where a position is once it does not move for some seconds: it is written once a second.
sub settled_at
{
    my ($key, $name) = @_;
    my ($last, $times) = ('', 0);
    wait_until(sub {
        my ($now) = map { my %g = @$_; $g{name} eq $name ? $g{'last-delivered-id'} : () }
            @{ $redis->client->xinfo('groups', $key) };
        $now //= 'none';
        $times = $now eq $last ? $times + 1 : 0;
        $last = $now;
        return $times == 4;
    }, undef, 1);
    return $last;
}

# --- a stream that is one tenant's by its configuration ----------------------------------------------

{
    my $main = subscribe('/lit', 'main');
    $main->close;
    my $before = settled_at('group:lit', 'ragline-lit-main');
    $redis->xadd('group:lit', event_type => 'n', payload => $_) for 1 .. 5;
    for my $other (unique(), 'mai', 'main-') {
        for (1 .. 2) {
            my $alien = subscribe('/lit', $other);
            is(recovery($alien), 'new', "another tenant's client is connected");
            ok($alien->take('heartbeat'), 'and lives');
            is(numbers($alien), '', 'gets nothing');
            $alien->close;
        }
    }
    is(groups('group:lit'), 'ragline-lit-main', 'and makes no group');
    is(settled_at('group:lit', 'ragline-lit-main'), $before, "nor moves the tenant's own");
    my $morning = subscribe('/lit', 'main');
    is(recovery($morning), 'resumed', 'the tenant itself');
    is(wait_numbers($morning, 5), '1 2 3 4 5', 'has its backlog');
    $morning->close;

    # Beside a stream that all tenants share, a tenant has that one.
    my $tenant = unique();
    my $both = subscribe("/any-tenant?$tenant", $tenant);
    $redis->xadd('group:more', tenant_id => $tenant, event_type => 'n', payload => 'for all');
    is(wait_numbers($both, 1), 'for all', 'the streams of an endpoint that are not the other tenant\'s');
    $both->close;
    is(groups('group:lit'), 'ragline-lit-main', 'again without a group there');
}

# --- what a browser sends by itself counts only for the pages that may ------------------------------

{
    my $basic = 'Basic ' . MIME::Base64::encode_base64('alice:alice', '');
    my $own = 'http://127.0.0.1:' . $httpd->port;
    my $mozilla = 'Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0';
    my $try = sub {
        return $httpd->stream('/nightly', host => '127.0.0.1:' . $httpd->port,
            headers => [Authorization => $basic, @_]);
    };
    my $first = $try->();
    ok($first->connected, 'a program with a password');
    $first->close;
    my $before = settled_at('group:lit', 'nightly');
    $redis->xadd('group:lit', event_type => 'n', payload => $_) for 'a', 'b';
    for my $headers ([Origin => 'https://evil.example'], ['Sec-Fetch-Site' => 'cross-site'],
        ['Sec-Fetch-Site' => 'same-site'], [Referer => 'https://evil.example/page'],
        [Origin => 'null', 'User-Agent' => $mozilla], ['User-Agent' => $mozilla]) {
        my $stream = $try->(@$headers);
        $stream->wait_end;
        is($stream->status, 403, "a GET of another site: @$headers") or diag($stream->head);
        like($stream->body, qr/"error":"origin"/, 'and why');
    }
    is(settled_at('group:lit', 'nightly'), $before, 'and none of them moved the group');
    for my $headers ([Origin => 'https://app.example'], [Origin => $own], ['Sec-Fetch-Site' =>
        'same-origin', 'User-Agent' => $mozilla], [Referer => "$own/page", 'User-Agent' => $mozilla]) {
        my $stream = $try->(@$headers);
        ok($stream->connected, "a page that may: @$headers") or diag($stream->head . $stream->body);
        $stream->close;
    }
    # An address is such a thing as well, and nobody may be everybody. What takes nothing is open.
    my $jobs = $httpd->stream('/jobs', headers => [Origin => 'https://any.example']);
    $jobs->wait_end;
    is($jobs->status, 403, 'shared delivery, guarded by the address');
    my $all = $httpd->stream('/broadcast',
        headers => [Authorization => $basic, Origin => 'https://any.example']);
    ok($all->connected, 'who only looks on takes nothing from anybody');
    $_->close for $jobs, $all;
    # A token that the page had to have is no such thing.
    my $stream = $httpd->stream('/lit', token => token('main', 1),
        headers => [Origin => 'https://evil.example']);
    ok($stream->connected, 'a token in a header is the page\'s own');
    $stream->close;
}

done_testing();
