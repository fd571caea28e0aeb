# SPDX-License-Identifier: Apache-2.0
#
# Bodies of publish requests: compressed ones, and what they cost in memory.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use IO::Compress::Gzip ();
use JSON::PP ();
use Test::More;

use Ragline::HTTP ();
use Ragline::Httpd ();
use Ragline::Proc qw(slurp);
use Ragline::Redis ();
use Ragline::Test;

my $redis = Ragline::Redis->start(name => 'bodies');
my $key = 'ragline:stream:bodies';
my $token = token(unique('bodies'), 1);
my $httpd = Ragline::Httpd->new(name => 'bodies', children => 1, conf => <<"EOF")->start;
RaglineRedis @{[ $redis->url ]}
RaglineStream bodies $key
<Location /publish>
    SetHandler ragline-publish
    RaglinePublish bodies
@{[ jwt_conf() ]}
</Location>
<Location /packed>
    SetHandler ragline-publish
    RaglinePublish bodies
    SetInputFilter DEFLATE
@{[ jwt_conf() ]}
</Location>
EOF

sub gzip
{
    my ($bytes) = @_;
    IO::Compress::Gzip::gzip(\$bytes, \my $packed) or die 'gzip failed';
    return $packed;
}

sub event { return qq({"stream":"bodies","event_type":"t","payload":$_[0]}) }

# Status, error, and how many entries were written.
sub publish
{
    my ($path, $body, @headers) = @_;
    my $before = $redis->client->xlen($key);
    my $response = $httpd->request(path => $path, method => 'POST', token => $token,
        body => $body, headers => ['Content-Type' => 'application/json', @headers]);
    my $json = $response->json // {};
    return (join(' ', $response->status, $json->{error} // (),
        $redis->client->xlen($key) - $before), $json->{message} // '');
}

sub newest
{
    my ($entry) = @{ $redis->client->xrevrange($key, '+', '-', 'COUNT', 1) };
    my %field = @{ $entry->[1] };
    return $field{payload};
}

# --- Content-Encoding ---------------------------------------------------------------------------

my @gzip = ('Content-Encoding' => 'gzip');
{
    my ($said, $why) = publish('/publish', gzip(event('1')), @gzip);
    is($said, '415 unsupported_media_type 0', 'a compressed body is 415');
    like($why, qr/SetInputFilter DEFLATE/, 'which says what would unpack it');
    is((publish('/publish', event('1'), 'Content-Encoding' => $_))[0],
        '415 unsupported_media_type 0', "$_, too")
        for 'br', 'deflate', 'zstd', 'gzip, br', 'nonsense';
    is((publish('/publish', event('1'), 'Content-Encoding' => $_))[0], '201 1', "$_ is none")
        for 'identity', '';
    # Before the body is asked for.
    my $socket = Ragline::HTTP::connect_to(port => $httpd->port);
    syswrite($socket, "POST /publish HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer $token\r\n"
        . "Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 1000\r\n"
        . "Expect: 100-continue\r\n\r\n");
    sysread($socket, my $answer, 4096);
    like($answer, qr{^HTTP/1\.1 415 }, 'without the body being asked for');
}
{
    is((publish('/packed', gzip(event('{ "a": "b" }')), @gzip))[0], '201 1', 'SetInputFilter DEFLATE');
    is(newest(), '{"a":"b"}', 'unpacks it');
    is((publish('/packed', gzip(event('2')), 'Content-Encoding' => 'x-gzip'))[0], '201 1', 'x-gzip');
    is((publish('/packed', event('3')))[0], '201 1', 'a body that is not compressed');
    is((publish('/packed', gzip('[' . join(',', map { event($_) } 1 .. 500) . ']'), @gzip))[0],
        '201 500', 'an array');
    is((publish('/packed', gzip('{"n":1}'), @gzip, 'ce-specversion' => '1.0', 'ce-id' => unique(),
        'ce-source' => '/s', 'ce-type' => 't'))[0], '201 1', 'a CloudEvent in binary mode');
    is((publish('/packed', event('4'), 'Content-Encoding' => 'br'))[0],
        '415 unsupported_media_type 0', 'what it cannot unpack is 415');
    is((publish('/packed', gzip(event('5')), 'Content-Encoding' => 'br, gzip'))[0],
        '415 unsupported_media_type 0', 'and if only the outer of two is gzip');
    is((publish('/packed', event('6'), @gzip))[0], '400 bad_request 0', 'no gzip');
    is((publish('/packed', substr(gzip(event('7')), 0, -12), @gzip))[0], '400 bad_request 0',
        'a part of a gzip');
    # Half of what it was, so that not mod_deflate's ratio stops it, but the size.
    my $large = join '', map { sprintf '%08x', int(rand(2**32)) } 1 .. 1_150_000;
    is((publish('/packed', gzip(event(qq("$large"))), @gzip))[0], '413 body_too_large 0',
        'what is too large when it is unpacked');
    like((publish('/packed', gzip(event(' ' x 20_000_000 . '1')), @gzip))[0],
        qr/^4(?:00 bad_request|13 body_too_large) 0$/, 'a bomb');
}

# --- memory -------------------------------------------------------------------------------------

sub memory
{
    my ($what) = @_;
    my ($kb) = slurp('/proc/' . ($httpd->children)[0] . '/status') =~ /^$what:\s+(\d+)/m;
    return $kb / 1024;
}

SKIP: {
    skip 'memory is not what it is with a sanitizer', 7 if $ENV{RAGLINE_TEST_SANITIZE};
    # Nested as deep as may be: what a tree of it would take most for.
    my $one = '{"":' x 28 . '1' . '}' x 28;
    my $many = join ',', ($one) x (4_900_000 / (1 + length $one));
    my $before = memory('VmRSS');
    my $body = event("[$many]");
    cmp_ok(length $body, '>', 4_800_000, 'a body of 4.8 MB, 30 levels deep');
    is((publish('/publish', $body))[0], '413 too_big 0', 'is refused for its payload');
    my @streams = map {
        $httpd->stream('/publish', method => 'POST', token => $token, body => $body,
            headers => ['Content-Type' => 'application/json', Connection => 'close'])
    } 1 .. 3;
    ok(Ragline::SSE->wait_all(\@streams, sub { $_[0]->ended }), 'three at once');
    is(scalar(grep { $_->status == 413 } @streams), 3, 'too');
    cmp_ok(memory('VmHWM') - $before, '<', 100, 'the most that the child had was in proportion');
    # The same in payloads that are not too large.
    my $fifth = join ',', ($one) x (900_000 / (1 + length $one));
    $body = '[' . join(',', (event("[$fifth]")) x 5) . ']';
    is((publish('/publish', $body))[0], '201 5', 'five that are not too large');
    cmp_ok(memory('VmRSS') - $before, '<', 60, 'and little is kept');
    diag(sprintf 'RSS %.1f MB before, %.1f after, %.1f at most', $before, memory('VmRSS'),
        memory('VmHWM')) if $ENV{RAGLINE_TEST_VERBOSE};
}
$httpd->stop;
$redis->stop;

done_testing();
