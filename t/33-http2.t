# SPDX-License-Identifier: Apache-2.0
#
# HTTP/2: a browser has one connection for everything of a site, so pages must never wait for the
# streams on it, whatever else happened there.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::H2 ();
use Ragline::Httpd ();
use Ragline::Test;

plan skip_all => 'mod_http2 does not work with prefork' if vars('mpm') eq 'prefork';

my $redis = redis_a();
my $key = unique('ragline:h2');
my $token = token('t', 1);

sub start
{
    my ($name, $conf, %r) = @_;
    return Ragline::Httpd->new(name => $name, %r, conf => <<"EOF"
$conf
Protocols h2c http/1.1
Timeout 300
KeepAliveTimeout 300
RaglineRedis @{[ $redis->url ]}
RaglineStream orders $key
RaglineDrain 1s
<Location /ragline-stats>
    SetHandler ragline-stats
    Require local
</Location>
EOF
        . bearer_location('/stream', 'RaglineSubscribe orders', 'RaglineHeartbeat 1s'))->start;
}

# A stream, once it is known what became of it: its number and '' or why it was refused.
sub open_stream
{
    my ($h2) = @_;
    my $n = $h2->get('/stream', token => $token);
    $h2->wait(sub { $h2->body($n) =~ /^data: .*\n(?:id: .*\n)?\n/m });
    my ($code) = $h2->body($n) =~ /^event: error\n(?:.*\n)*?data: .*"code":"(\w+)"/m;
    return ($n, $code // ($h2->body($n) =~ /^event: connected/m ? '' : 'nothing'));
}

sub page
{
    my ($h2, $name) = @_;
    my $n = $h2->get('/');
    ok($h2->wait(sub { $h2->ended($n) }) && $h2->body($n) =~ /front page/, $name)
        or diag('the request: ' . ($h2->ended($n) || 'open'));
    return;
}

# --- streams beside pages -----------------------------------------------------------------------

{
    my $httpd = start('beside', '');
    my $h2 = Ragline::H2->new(port => $httpd->port);
    page($h2, 'a page');
    my ($first, $refused) = open_stream($h2);
    is($refused, '', 'a stream');
    page($h2, 'a page beside it');

    for my $round (1 .. 3) {
        my ($n, $code) = open_stream($h2);
        is($code, 'over_limit', 'a second one on the connection is refused');
        ok($h2->wait(sub { $h2->ended($n) eq 'end' }), 'and told to come again');
        like($h2->body($n), qr/^retry: \d+$/m, 'later');
        page($h2, 'a page meanwhile');
    }
    my @many = map { $h2->get('/stream', token => $token) } 1 .. 8;
    page($h2, 'a page behind eight of them');
    ok($h2->wait(sub { !grep { $h2->ended($_) ne 'end' } @many }), 'which are all refused');

    # What makes mod_http2 give a connection fewer workers: requests taken back at once.
    for my $round (1 .. 8) {
        $h2->cancel($h2->get('/stream', token => $token)) for 1 .. 3;
        select(undef, undef, undef, 0.12);
        page($h2, "a page after cancelled ones, $round");
    }
    my $id = $redis->xadd($key, tenant_id => 't', event_type => 'alive', payload => '{}');
    ok($h2->wait(sub { $h2->body($first) =~ /^event: alive\ndata: .*\nid: \Q$id\E\n/m }),
        'the first one lives');
    is(stats($httpd)->{pumps}{by_cause}{http2}{open}, 1, 'one worker');
    cmp_ok(stats($httpd)->{refused}{http2_connection}, '>=', 11, 'refusals are counted');
    like($httpd->error_log, qr/RS0741: .*http2_connection: an HTTP\/2 connection carries one stream/,
        'and explained');

    # As when a page is loaded again.
    for my $round (1 .. 3) {
        $h2->cancel($first);
        ($first, $refused) = open_stream($h2);
        is($refused, '', 'a cancelled stream makes room at once');
    }
    ok(wait_until(sub { stats($httpd)->{pumps}{open} == 1 }), 'and its worker is free');
    $h2->cancel($first);
    ok(wait_until(sub { stats($httpd)->{pumps}{open} == 0 }), 'also the last one');
    page($h2, 'a page at the end');
    $h2->close;
    $httpd->stop;
}

# --- many connections ---------------------------------------------------------------------------

{
    my $httpd = start('many', "H2MinWorkers 2\nH2MaxWorkers 100\nH2MaxWorkers 8\n");
    my @h2 = map { Ragline::H2->new(port => $httpd->port) } 1 .. 8;
    my @codes = map { (open_stream($_))[1] } @h2;
    is("@codes[4 .. 7]", join(' ', ('over_limit') x 4),
        'of eight workers of HTTP/2 streams get four');
    is(join('', @codes[0 .. 3]), '', 'these');
    page($_, 'a page on each connection') for @h2;

    # When all of its workers were busy as a request came, mod_http2 wakes none for a later one.
    my $late = '';
    for my $round (1 .. 10) {
        my %page = map { $_ => $h2[$_]->get('/') } 6, 7;
        for my $with (6, 7, 6, 7) {
            my $n = delete $page{$with} // $h2[$with]->get('/');
            $late ||= "$round, $with" if !$h2[$with]->wait(sub { $h2[$with]->ended($n) });
        }
        last if $late;
    }
    is($late, '', 'no page waits after two at once on two connections');
    is(stats($httpd)->{refused}{max_pumps}, 4, 'counted as such');
    $_->close for @h2;
    ok(wait_until(sub { stats($httpd)->{pumps}{open} == 0 }), 'connections that are cut free all');
    $httpd->stop;
}

# --- one child is full --------------------------------------------------------------------------

if (vars('mpm') ne 'prefork') {
    my $httpd = start('two', "H2MinWorkers 2\nH2MaxWorkers 5\nRaglineMaxPumps 14\n", children => 2,
        threads => 8);
    my (@open, @soon, @late);
    for (1 .. 200) {
        my $h2 = Ragline::H2->new(port => $httpd->port);
        my ($n, $code) = open_stream($h2);
        my ($retry) = $h2->body($n) =~ /^retry: (\d+)$/m;
        if (!$code) { push @open, $h2 }
        elsif (@open < 6) { push @soon, $retry; $h2->close }
        else { push @late, $retry; $h2->close; last }
    }
    is(scalar(@open), 6, 'two children, three streams of HTTP/2 in each');
    is(scalar(grep { $_ != 300 } @soon), 0, 'while the other one has room: come again at once');
    is("@late", '2000', 'both are full: later');
    is(stats($httpd)->{refused}{full_child}, scalar(@soon), 'counted as one full child');
    is(stats($httpd)->{refused}{max_pumps}, 1, 'and as all of them');
    $_->close for @open;
    $httpd->stop;
}

# --- the end of the child -----------------------------------------------------------------------

for my $how ('reads', 'does not read') {
    my $httpd = start($how =~ tr/ /-/r, '');
    my $h2 = Ragline::H2->new(port => $httpd->port, frozen => $how ne 'reads');
    my ($n, $refused) = open_stream($h2);
    is($refused, '', "a client that $how");
    if ($how ne 'reads') {
        $redis->xadd_many($key, map { [tenant_id => 't', event_type => 'big',
            payload => '"' . 'x' x 60_000 . '"'] } 1 .. 100);
        ok($h2->wait(sub { length $h2->body($n) > 60_000 }), 'has all that it takes');
        # Else all of it might find room in mod_http2, which is httpd's to wait for.
        ok(wait_until(sub { stats($httpd)->{streams}[0]{read} >= 100 }), 'and its worker has more');
    }
    my %old = map { $_ => 1 } $httpd->children;
    my ($status, $output) = $httpd->control('graceful');
    is($status, 0, 'graceful') or diag($output);
    ok($h2->wait(sub { $h2->ended($n) }, 60), 'the stream ends');
    like($h2->body($n), qr/"code":"draining"/, 'and is told why') if $how eq 'reads';
    $h2->close if $how eq 'reads';
    ok(wait_until(sub { !grep { $old{$_} } $httpd->children }, 60), 'the child of before is gone');
    $h2->close;
    $httpd->stop;
    unlike($httpd->error_log, qr/exit signal|AH00046|RS0402/, 'by itself');
}

done_testing();
