# SPDX-License-Identifier: Apache-2.0
#
# Debian's httpd as it is installed, with each module that it offers and that has to do with output:
# which of them keep a stream in its worker is what the table in docs/TROUBLESHOOTING.md says.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Proc qw(slurp spew);
use Ragline::Stock ();
use Ragline::Test;

plan skip_all => 'with the MPM that Debian installs' if vars('mpm') ne 'event';
plan skip_all => "Debian's packages are not here: run ./check" if !Ragline::Stock::packages();

my $key = unique('ragline:stock');
my $serial = 0;

sub endpoint
{
    my ($path, @directives) = @_;
    return bearer_location($path, 'RaglineSubscribe orders', 'RaglineHeartbeat off', @directives);
}

# Debian's httpd with these modules enabled, the endpoint of the README, and what else is said for
# its virtual host.
sub start
{
    my ($name, $host, %r) = @_;
    my $httpd = Ragline::Stock->new(name => $name, conf => "RaglineDrain 1s\n", %r,
        host => join("\n", <<"EOF", endpoint('/stream'), $host, ''));
RaglineRedis @{[ redis_a()->url ]}
RaglineStream orders $key
<Location /ragline-stats>
    SetHandler ragline-stats
    Require local
</Location>
EOF
    spew($httpd->root . '/same.lua', "function same(r)\n  coroutine.yield()\n"
        . "  while bucket ~= nil do coroutine.yield(bucket) end\n  coroutine.yield('')\nend\n");
    return $httpd->start;
}

# What keeps a stream in its worker, '' if nothing does: then it also gets events.
sub kept_by
{
    my ($httpd, $path, %r) = @_;
    my $stream = $httpd->stream($path, token => token('t', 1), %r);
    my $stats;
    ok(wait_until(sub { stats_connections($stats = stats($httpd)) == 1 }), "$path: a stream")
        or diag($stream->head // 'no answer');
    my $by = $stats->{pumps}{by_cause};
    my ($kept) = grep { $by->{$_}{open} } keys %$by;
    if (!$kept) {
        my $type = 'n' . ++$serial;
        $stream->connected;
        redis_a()->xadd($key, tenant_id => 't', event_type => $type, payload => '{}');
        ok($stream->take($type), 'handed over, it gets its events');
    }
    $stream->close;
    # Behind a filter that holds everything back, the end is noticed with the next write.
    ok(wait_until(sub { stats_connections(stats($httpd)) == 0 }), 'and is closed');
    return $kept // '';
}

# The rows of the table: [module, what it is used with, what keeps the stream].
my @table;
{
    my ($table) = slurp("$ENV{RAGLINE_TEST_SRCDIR}/docs/TROUBLESHOOTING.md")
        =~ /^## Which modules keep a worker\n(.*?)^## /ms;
    for my $row (split /\n/, $table // '') {
        my ($module, $use, $kept) = $row =~ /^\| `([a-z0-9_]+)` \| (.*?) \| (.*?) \|$/ or next;
        push @table, [$module, $use, $kept];
    }
    cmp_ok(scalar(@table), '>', 30, 'a table of modules');
}

# A row as directives for the host and for the location of a stream: what is not in a <Location> by
# nature is written `like this`, apart by commas.
my $only_host = qr/^(?:Cache|DOS|DumpIO|FilterDeclare|FilterProvider|ForensicLog|QS_|RemoteIP
    |RequestReadTimeout|Protocols|Sec|LogLevel)/x;
my $only_server = qr/^(?:ExtFilterDefine|LuaOutputFilter|QS_SrvMinDataRate)/;

sub directives
{
    my ($use) = @_;
    my (@server, @host, @location);
    for my $directive ($use =~ /`([^`]+)`/g) {
        $directive =~ s/\\\|/|/g;
        push @host, "# $directive" if $directive =~ /^QS_SrvMin/; # which is of all hosts
        push @{ $directive =~ $only_server ? \@server : $directive =~ $only_host ? \@host : \@location },
            $directive;
    }
    return (join("\n", @server, ''), join("\n", @host), @location);
}

# --- the table ----------------------------------------------------------------------------------

# What a module of the table needs beside it, where a2enmod does not know.
my %with = (cache_socache => ['socache_shmcb']);

# An httpd for some rows, that say nothing of the whole host if there are several.
sub rows
{
    my ($name, @rows) = @_;
    my ($server, @host, @used, %module) = ('');
    for my $row (@rows) {
        my ($module, $use, $kept) = @$row;
        my ($for_server, $for_host, @location) = directives($use);
        my ($filter) = $kept =~ /`(.*)`/;
        my $path = '/used' . @used;
        $server .= $for_server;
        push @host, $for_host, endpoint($path, @location);
        push @used, [$path, $filter // '', "$module, $use: kept by $kept"];
        $module{$_} = 1 for $module, @{ $with{$module} // [] };
    }
    # Only a log of that name may hold what a request brought.
    $name .= '-trace' if grep { /LogLevel/ } @host;
    my $httpd = start($name, join("\n", @host), modules => [keys %module],
        conf => "RaglineDrain 1s\n$server");
    is(kept_by($httpd, $_->[0]), $_->[1], $_->[2]) for @used;
    is(kept_by($httpd, '/stream'), '', "$name is enabled, and keeps nothing")
        if !grep { length } map { (directives($_->[1]))[1] } @rows;
    $httpd->stop;
    return;
}

my @alone = grep { full() || length((directives($_->[1]))[1]) } @table;
my %alone = map { $_ => 1 } @alone;
rows($_->[0], $_) for @alone;
rows('locations', grep { !$alone{$_} } @table) if @alone < @table;

# --- all together -------------------------------------------------------------------------------

{
    # But for other MPMs, what does not start without settings of its own, mod_dialup, which is an
    # MPM's experiment, and those for which a2enmod looks at the system's httpd or starts a service.
    my @all = grep { !/^mpm_|^(?:auth_form|cache_disk|cgid?|dialup|heart.*|ident|suexec)$/ }
        Ragline::Stock::offered();
    cmp_ok(scalar(@all), '>', 80, 'nearly all that Debian has');
    my $httpd = start('all', '', modules => [@all, qw(evasive qos security2)]);
    is(kept_by($httpd, '/stream', headers => ['Accept-Encoding' => 'gzip, br']), '',
        'with all of them a stream is handed over');
    $httpd->stop;
}

# --- and for long -------------------------------------------------------------------------------

{
    my $httpd = start('many', '');
    my @streams = Ragline::SSE->open_many(300, sub {
        return (port => $httpd->port, path => '/stream', token => token("t$_[0]", 1)) });
    ok(Ragline::SSE->wait_all(\@streams, sub { $_[0]->events }), '300 streams');
    is(scalar(grep { ($_->events)[0]{event} ne 'connected' } @streams), 0, 'none is refused');
    my $pumps = stats($httpd)->{pumps};
    is("$pumps->{open} of $pumps->{limit}", '0 of 75', 'and none keeps a worker');
    is($httpd->request(path => '/server-status?auto')->status, 200, 'pages answer');
    Ragline::SSE->close_all(@streams);
    $httpd->stop;
}

# --- behind a proxy that says who the client is --------------------------------------------------

{
    my $port = Ragline::Proc::free_port();
    my $httpd = start('proxied', '', modules => ['remoteip'], conf => <<"EOF"
RaglineDrain 1s
Listen 127.0.0.1:$port
<VirtualHost *:$port>
    RaglineRedis @{[ redis_a()->url ]}
    RaglineStream orders $key
    RemoteIPProxyProtocol On
    CustomLog \@ROOT\@/proxied-log "%a %U"
EOF
        . endpoint('/stream') . "</VirtualHost>\n");
    my %from = (port => $port, before => "PROXY TCP4 192.0.2.7 192.0.2.1 4711 80\r\n");
    is(kept_by($httpd, '/stream', %from), '', 'RemoteIPProxyProtocol: handed over');
    is(kept_by($httpd, '/stream', %from, extra => "GET / HTTP/1.1\r\n" x 100), '',
        'also with bytes behind the request');
    like(slurp($httpd->root . '/proxied-log'), qr{^(?:192\.0\.2\.7 /stream\n){2}\z}, 'from that client');
    $httpd->stop;
}

done_testing();
