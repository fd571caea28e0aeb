# SPDX-License-Identifier: Apache-2.0
#
# What each .t file starts with: the suite's settings (written by t/TEST), shortcuts to its main
# server and its two Redis servers, and the one place that knows the shape of ragline-stats.
package Ragline::Test;

use strict;
use warnings;

use Exporter 'import';
use JSON::PP ();
use Test::More ();

use Ragline::HTTP ();
use Ragline::Httpd ();
use Ragline::Proc qw(raise_descriptor_limit run_command wait_until);
use Ragline::Redis ();
use Ragline::SSE ();
use Ragline::Token ();

our @EXPORT = qw(vars redis_a redis_b fetch stream token full mode again wait_until json_of unique
    stream_key key_of certificate
    stats stats_connections open_count_becomes stats_stream jwt_conf bearer_location
    websocket_location has_ids position36);

my $vars;

# The settings of the running suite: port, httpd, mpm, redis_a, redis_b, ...
sub vars
{
    my ($name) = @_;
    if (!$vars) {
        require Apache::TestConfig;
        $vars = Apache::TestConfig->thaw->{vars};
        die "the suite is not running: start t/TEST (make check)\n" if !$vars->{run_dir};
        $ENV{RAGLINE_TEST_RUN} = $vars->{run_dir};
        %Ragline::Httpd::suite = (
            httpd => $vars->{httpd}, modules => $vars->{httpd_conf}, mpm => $vars->{mpm},
            libexecdir => $vars->{libexecdir}, logs => $vars->{t_logs},
            user => $vars->{user}, group => $vars->{group},
        );
    }
    return defined $name ? $vars->{$name} : $vars;
}

sub import_settings
{
    vars();
    raise_descriptor_limit(65536);
    # A test that hangs is a failure with its name on it, not a hanging suite.
    my $limit = ($ENV{RAGLINE_TEST_FULL} ? 1800 : 240) * ($ENV{RAGLINE_TEST_SLOW} || 1);
    $SIG{ALRM} = sub { die "$0 @ARGV is still not done after $limit s\n" };
    $SIG{TERM} = $SIG{INT} = sub { exit(1) };
    alarm($limit);
    return;
}
import_settings();

# A certificate that nobody has signed: what stands before .pem and .key.
sub certificate
{
    my ($name, @more) = @_;
    my $files = vars('run_dir') . "/certificate-$$-$name";
    my ($status, $output) = run_command('openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes',
        '-days', '2', '-subj', "/CN=$name", '-keyout', "$files.key", '-out', "$files.pem", @more);
    Test::More::is($status, 0, "a certificate for $name") or Test::More::diag($output);
    return $files;
}

# A Redis id as it stands in the id of an endpoint with several streams.
sub position36
{
    my ($id) = @_;
    my $base36 = sub {
        my ($n) = @_;
        my $text = '';
        do { $text = substr('0123456789abcdefghijklmnopqrstuvwxyz', $n % 36, 1) . $text;
            $n = int($n / 36) } while $n;
        return $text;
    };
    my ($ms, $seq) = split /-/, $id;
    return $base36->($ms) . ($seq ? '-' . $base36->($seq) : '');
}

sub full { return $ENV{RAGLINE_TEST_FULL} }

# What a file was given by t/TEST: `tenant`: the streams' keys are each tenant's own. `group`:
# endpoints have RaglineStart group. Both as `tenant+group`.
# `ndjson`: streams speak newline-delimited JSON.
my %mode = map { $_ => 1 } split /\+/, $ARGV[0] // '';
$Ragline::SSE::default_wire = 'ndjson' if $mode{ndjson};
sub mode { return $mode{ $_[0] } }

# What has been tested at length is tested briefly in another mode.
sub again { return %mode && !full() }

# The key of a stream in the configuration, and what it is for a tenant.
sub stream_key
{
    my ($of, $name) = @_;
    return join ':', $of, mode('tenant') ? '{tenant}' : (), $name;
}
sub key_of { return Ragline::Redis::key_of(@_) }

my %redis;
sub redis_a { return $redis{a} //= Ragline::Redis->attach(vars('redis_a')) }
sub redis_b { return $redis{b} //= Ragline::Redis->attach(vars('redis_b')) }

# One request to the main server: fetch('/path', method => ..., token => ...).
sub fetch
{
    my ($path, %r) = @_;
    return Ragline::HTTP::request(port => vars('port'), path => $path, %r);
}

# A stream of the main server.
sub stream
{
    my ($path, %r) = @_;
    return Ragline::SSE->open(port => vars('port'), path => $path, %r);
}

sub token { return Ragline::Token::access(@_) }
sub json_of { return scalar eval { JSON::PP->new->utf8->allow_nonref->decode($_[0]) } }

# A name no other test and no earlier run used: tenants of one test are its own.
my $serial = 0;
sub unique { return join '-', $_[0] // 't', $$, ++$serial }

# Directives of a location guarded by tokens of Ragline::Token.
sub jwt_conf
{
    return <<"EOF";
    AuthType RaglineJWT
    RaglineJWTKey secret:$Ragline::Token::SECRET
    RaglineJWTRequire type access
    Require valid-user
EOF
}

# A whole SSE location: bearer_location('/stream', 'RaglineSubscribe orders', ...).
sub bearer_location
{
    my ($path, @directives) = @_;
    push @directives, 'RaglineStart group' if mode('group') && !grep { /^RaglineStart/ } @directives;
    return join("\n", "<Location $path>", '    SetHandler ragline-sse', jwt_conf(),
        (map { "    $_" } @directives), "</Location>") . "\n";
}

# The same of WebSockets.
sub websocket_location { return bearer_location(@_) =~ s/ragline-sse/ragline-websocket/r }

# Everything said about the JSON of ragline-stats is said here.

# The statistics of an httpd of ours, or of the main server.
sub stats
{
    my ($httpd, $path) = @_;
    my $port = $httpd ? $httpd->port : vars('port');
    my $response = Ragline::HTTP::request(port => $port, path => $path // '/ragline-stats');
    return $response->json // {};
}

# Open streams over all children; -1 where the answer does not say.
sub stats_connections { return $_[0]{connections} // -1 }

# A test: so many are open soon.
sub open_count_becomes
{
    my ($httpd, $n, $name) = @_;
    my $last;
    Test::More::ok(wait_until(sub { ($last = stats_connections(stats($httpd))) == $n }), $name)
        or Test::More::diag("the statistics say $last");
    return;
}

# {read, delivered, filtered, skipped => {reason => n}, last_id} of one stream, by its name.
sub stats_stream
{
    my ($stats, $name) = @_;
    my ($stream) = grep { $_->{name} eq $name } @{ $stats->{streams} // [] };
    return $stream;
}

# The ids of a list of events, as a string to compare with.
sub has_ids { return join ' ', map { $_->{id} // '-' } @_ }

1;
