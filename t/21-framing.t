# SPDX-License-Identifier: Apache-2.0
#
# No field of an entry can break the framing: whatever is XADDed, by whomever, a reader sees whole
# events with the ids of entries, and the stream goes on.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Encode ();
use Test::More;

use Ragline::Test;

my $redis = redis_a();
my $key = 'ragline:stream:orders';
my $tenant = unique('framing');
my $other = unique('other');

my $stream = stream('/t/quiet', token => token($tenant, 1));
my $stranger = stream('/t/quiet', token => token($other, 1));
$_->connected for $stream, $stranger;

my %known; # ids of all entries
my $marks = 0;

sub add
{
    my $id = $redis->xadd($key, @_);
    $known{$id} = 1;
    return $id;
}

# The events that the entries written by $write led to, for $stream; fails if it broke.
sub events_of
{
    my ($name, $write) = @_;
    my $before = $stream->events;
    my @ids = $write->();
    my $mark = 'mark' . ++$marks;
    add(tenant_id => $tenant, event_type => $mark, payload => "{\"mark\":$marks}");
    my $end = $stream->take($mark);
    ok($end && $end->{data} eq "{\"mark\":$marks}", "$name: the stream goes on")
        or BAIL_OUT("$name stopped the stream");
    my @events = $stream->events;
    return @events[$before .. $#events - 1];
}

sub one
{
    my ($name, %fields) = @_;
    my $id;
    my @events = events_of($name, sub { $id = add(tenant_id => $tenant, %fields) });
    cmp_ok(scalar(@events), '<=', 1, "$name: at most one event");
    is($events[0]{id}, $id, "$name: with the id of its entry") if @events;
    return $events[0];
}

# --- the payload ------------------------------------------------------------------------------

my $inject = "x\nid: 666-0\nevent: evil\ndata: evil\n\nevent: evil\ndata: evil\n\n";

for my $case (
    ['line feeds', "a\nb\n\nc", "a\nb\n\nc"],
    ['carriage returns', "a\rb\r\rc", "a\nb\n\nc"],
    ['CR LF', "a\r\nb\r\n\r\nc", "a\nb\n\nc"],
    ['mixed line ends', "a\n\rb\r\n\nc\r", "a\n\nb\n\nc\n"],
    ['line ends only', "\n\n\n", "\n\n\n"],
    ['a field after a line end', $inject, $inject],
    ['a comment after a line end', "a\n: evil\n\n:evil", "a\n: evil\n\n:evil"],
    ['leading spaces', "  a\n  b", "  a\n  b"],
    ['U+2028, U+2029 and U+0085', "a\xe2\x80\xa8b\xe2\x80\xa9c\xc2\x85d",
        "a\xe2\x80\xa8b\xe2\x80\xa9c\xc2\x85d"],
    ['a byte order mark', "\xef\xbb\xbf{}", "\xef\xbb\xbf{}"],
) {
    my ($name, $payload, $want) = @$case;
    my $event = one($name, event_type => 'framed', payload => $payload);
    is($event && $event->{event}, 'framed', "$name: the type is the entry's");
    is($event && $event->{data}, $want, "$name: the data are the payload");
}

for my $case (
    ['a NUL', "{\"a\":\"\0\"}", "{\"a\":\"\xef\xbf\xbd\"}"],
    ['a stray continuation byte', "\"\x80\"", "\"\xef\xbf\xbd\""],
    ['a cut character', "\"\xe2\x82\"", qr/^"(?:\xef\xbf\xbd)+"$/],
    ['an overlong slash', "\"\xc0\xaf\"", qr/^"(?:\xef\xbf\xbd)+"$/],
    ['an overlong line feed', "\"\xc0\x8aid: 666-0\"", qr/^"(?:\xef\xbf\xbd)+id: 666-0"$/],
    ['a surrogate', "\"\xed\xa0\x80\"", qr/^"(?:\xef\xbf\xbd)+"$/],
    ['above U+10FFFF', "\"\xf4\x90\x80\x80\"", qr/^"(?:\xef\xbf\xbd)+"$/],
    ['Latin-1', "\"K\xf6ln\"", "\"K\xef\xbf\xbdln\""],
) {
    my ($name, $payload, $want) = @$case;
    my $event = one($name, event_type => 'framed', payload => $payload);
    ref($want) ? like($event && $event->{data}, $want, "$name is replaced")
        : is($event && $event->{data}, $want, "$name is replaced");
}

{
    my $event = one('an empty payload', event_type => 'framed', payload => '');
    is($event && $event->{data}, '', 'an empty payload is an event with empty data');
    $event = one('no payload', event_type => 'framed');
    is($event && $event->{data}, '{}', 'no payload is an empty object');
    $event = one('no type', payload => '[1]');
    is($event && $event->{event}, 'unknown', 'no type is `unknown`');
    one('nothing but a tenant');
    $event = one('many other fields', event_type => 'framed', payload => '[2]',
        map { ("field$_" => "\n\ndata: $_") } 1 .. 2000);
    is($event && $event->{data}, '[2]', 'other fields do not matter');
}

{
    my $big = '{"a":"' . 'x' x 900_000 . '"}';
    my $event = one('a payload of 900 kB', event_type => 'framed', payload => $big);
    ok($event && $event->{data} eq $big, 'is delivered whole');
    my $lines = "x\n" x 200_000;
    $event = one('a payload of 200,000 lines', event_type => 'framed', payload => $lines);
    ok($event && $event->{data} eq $lines, 'is delivered whole');

    my @events = events_of('a payload over RaglineMaxMessage', sub {
        add(tenant_id => $tenant, event_type => 'framed', payload => 'x' x 1_500_000) });
    is(scalar(grep { $_->{event} eq 'framed' } @events), 0, 'is not delivered');
    is(scalar(grep { length($_->{data}) > 10_000 } @events), 0, 'nor a part of it');
}

# --- the type ---------------------------------------------------------------------------------

for my $type ("a\nid: 666-0", "a\rid: 666-0", "a\r\n\r\ndata: evil", "\nevent: evil", "a\0b",
    "\xff\xfe",
    "K\xc3\xb6ln", ' ', 'a b', ':', "\t", 'x' x 100_000, '') {
    (my $name = substr($type, 0, 20)) =~ s/([^!-~])/sprintf '%%%02x', ord $1/ge;
    my $event = one("the type '$name'", event_type => $type, payload => '"typed"');
    next if !$event;
    is($event->{data}, '"typed"', 'delivered with its data');
    like($event->{event}, qr/^[!-~]{1,128}$/, 'under a type of one word');
}

# --- the tenant and the user ------------------------------------------------------------------

for my $name ('', '*', "$tenant\n", "$tenant\0", " $tenant", uc $tenant, "$tenant:x", "$tenant*",
    'x' x 65, 'x' x 1_000_000, "\xff", '{tenant}', '../..', '[]') {
    my @events = events_of('a tenant of ' . length($name) . ' bytes', sub {
        add(tenant_id => $name, event_type => 'evil', payload => '{}') });
    is(scalar(@events), 0, 'reaches nobody else');
}

{
    my @events = events_of('no tenant', sub { add(event_type => 'evil', payload => '{"a":1}') });
    is(scalar(@events), 0, 'an entry without a tenant reaches nobody');
    my $event;
    ($event) = events_of('a tenant in the payload', sub {
        add(event_type => 'inside', payload => "{\"tenant_id\":\"$tenant\",\"a\":1}") });
    is($event && $event->{event}, 'inside', 'the tenant may stand in the payload');
    @events = events_of('two tenants', sub {
        add(tenant_id => $other, event_type => 'theirs',
            payload => "{\"tenant_id\":\"$tenant\"}") });
    is(scalar(@events), 0, "the entry's own field comes before the payload's");
    for my $payload ("{\"a\":1e400,\"tenant_id\":\"$tenant\"}",
        "{\"a\":\"\\u0000\",\"a\":2,\"tenant_id\":\"$tenant\"}", " {\"tenant_id\" : \"$tenant\"}\n",
        "{\"tenant\\u005fid\":\"$tenant\"}",
        '{"a":' . '[' x 500 . ']' x 500 . ",\"tenant_id\":\"$tenant\"}") {
        ($event) = events_of('a payload ' . substr($payload, 0, 30), sub {
            add(event_type => 'inside', payload => $payload) });
        is($event && $event->{event}, 'inside', 'whatever else is in it');
    }
    for my $payload ("{\"tenant_id\":[\"$tenant\"]}", "{\"tenant_id\":{\"$tenant\":1}}",
        "{\"tenant_id\":null}", "[\"tenant_id\",\"$tenant\"]",
        "{\"x\":{\"tenant_id\":\"$tenant\"}}",
        "{\"tenant_id\":\"$tenant\\u0000\"}", "{\"tenant_id\":\"$tenant\"", '[' x 100_000) {
        @events = events_of('a payload ' . substr($payload, 0, 30), sub {
            add(event_type => 'evil', payload => $payload) });
        is(scalar(@events), 0, 'names no tenant');
    }
    @events = events_of('two tenants in one payload', sub {
        add(event_type => 'twice',
            payload => "{\"tenant_id\":\"$other\",\"tenant_id\":\"$tenant\"}") });
    my $reached = @events;
    @events = events_of('the tenant field twice', sub {
        add(tenant_id => $other, tenant_id => $tenant, event_type => 'twice', payload => '{}') });
    add(tenant_id => $other, event_type => 'end', payload => '{}');
    $stranger->take('end');
    $reached += @events + grep { $_->{event} eq 'twice' } $stranger->events;
    cmp_ok($reached, '<=', 2, 'each reaches one tenant at most');
    ok(one('a user with a line end', event_type => 'framed', payload => '{}',
        user_id => "1\nid: 666-0"), 'is informational');
}

# --- all of it --------------------------------------------------------------------------------

my $body = $stream->body;
is(index($body, "\0"), -1, 'no NUL was sent');
is(index($body, "\r"), -1, 'no CR was sent');
ok(eval { Encode::decode('UTF-8', my $copy = $body, Encode::FB_CROAK()); 1 }, 'all of it is UTF-8');
is(scalar(grep { $_->{event} eq 'evil' } $stream->events, $stranger->events), 0,
    'nothing was smuggled in');
my ($connected, @rest) = $stream->blocks;
is(join(' ', grep { !defined || !$known{$_} } map { $_->{id} } @rest), '',
    'every id is one of Redis');
is(scalar(grep { join(' ', @{ $_->{fields} }) !~ /^event data(?: data)* id$/ } @rest), 0,
    'every event is event, data, id');
is($connected->{fields}[-1], 'id', 'and so it begins: no client has an id before its event');
is($stream->ended, '', 'the stream is still open');

done_testing();
