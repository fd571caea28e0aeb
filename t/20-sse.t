# SPDX-License-Identifier: Apache-2.0
#
# The wire of an SSE endpoint: headers, first event, events, ids, heartbeats, filters.
#
# Runs alone: a reader's position moves on by other tests' events, too.
use strict;
use warnings;

use FindBin ();
use lib "$FindBin::Bin/lib";

use Test::More;

use Ragline::Test;

my $redis = redis_a();
my $key = 'ragline:stream:orders';
my $ISO = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)/;

sub add
{
    my ($tenant, $type, $payload, @more) = @_;
    return $redis->xadd($key, tenant_id => $tenant, event_type => $type, payload => $payload,
        @more);
}

# What a client is told that connects there.
sub recovery
{
    my ($path, $tenant, $last_event_id) = @_;
    my $stream = stream($path, token => token($tenant, 1),
        $last_event_id ? (last_event_id => $last_event_id) : ());
    my $verdict = $stream->connected->{json};
    $stream->close;
    return $verdict;
}

# --- headers and the first event --------------------------------------------------------------

{
    my $stream = stream('/stream', token => token(42, 7));
    my $connected = $stream->connected;
    is($stream->status, 200, 'a stream opens');
    is($stream->header('content-type'), 'text/event-stream', 'Content-Type');
    my %cache = map { $_ => 1 } split /\s*,\s*/, $stream->header('cache-control') // '';
    ok($cache{'no-cache'}, 'Cache-Control has no-cache');
    ok($cache{'no-transform'}, 'and no-transform');
    is($stream->header('x-accel-buffering'), 'no', 'X-Accel-Buffering');
    is($stream->header('incremental'), '?1', 'Incremental (RFC 10036)');
    is($stream->header('content-encoding'), undef, 'nothing compresses it');

    is(($stream->events)[0]{event}, 'connected', 'the first event is `connected`');
    like($connected->{data},
        qr/^\{"stream":"stream","tenant_id":42,"user_id":7,"timestamp":"$ISO","recovery":"new"/,
        'its keys, in their order, with numbers as the token has them');
    is($stream->retry, 2000, 'the default of RaglineRetry');
    like($connected->{id}, qr/^\d+-\d+$/, 'it has an id to resume from');
    unlike($stream->body, qr/\r/, 'lines end in LF');
}

{
    my $stream = stream('/stream', token => token('acme', 'joe@example.org'));
    like($stream->connected->{data}, qr/"tenant_id":"acme","user_id":"joe\@example.org"/,
        'strings stay strings');
    my $digits = stream('/stream', token => token('42', 7));
    like($digits->connected->{data}, qr/"tenant_id":"42","user_id":7,/, 'also one of digits');
    add('42', 'one_for_both', '{}');
    ok($digits->take('one_for_both'), 'which is the same tenant as the number');
}

{
    my $stream = stream('/stream',
        token => Ragline::Token::encode({ type => 'access', tenant_id => 'acme', sub => 'S-1' }));
    like($stream->connected->{data}, qr/"user_id":"S-1"/, 'without user_id, sub is the user');
}

is(stream('/t/retry', token => token(1, 1))->wait(sub { $_[0]->retry }), 7000, 'RaglineRetry');
is(stream('/stream/orders', token => token(1, 1))->connected->{json}{stream}, 'orders',
    "the profile is the path's last segment");
is(stream('/t/named', token => token(1, 1))->connected->{json}{stream}, 'another-name',
    'or what RaglineProfile says');

# --- events -----------------------------------------------------------------------------------

{
    my $tenant = unique();
    my $stream = stream('/t/quiet', token => token($tenant, 1));
    $stream->connected;
    my $payload = '{ "order_id" : "7",  "status":"created" }';
    my $id = add($tenant, 'order_created', $payload);
    my $event = $stream->take('order_created');
    ok($event, 'an event arrives') or BAIL_OUT('no event arrives');
    is($event->{id}, $id, 'its id is the one of the entry');
    is($event->{data}, $payload, 'its payload is verbatim');
    is($event->{raw}, "event: order_created\ndata: $payload\nid: $id\n", 'its bytes');

    add($tenant, 'lines', "{\n  \"a\": 1\n}");
    $event = $stream->take('lines');
    is($event->{data}, "{\n  \"a\": 1\n}", 'a payload of several lines');
    like($event->{raw}, qr/\ndata: \{\ndata:   "a": 1\ndata: \}\nid: \S+\n$/, 'has a data line for each');

    add($tenant, 'unicode', "{\"city\":\"K\xc3\xb6ln \xf0\x9f\x9a\x80\"}");
    is($stream->take('unicode')->{data}, "{\"city\":\"K\xc3\xb6ln \xf0\x9f\x9a\x80\"}", 'UTF-8');

    my @ids = $redis->xadd_many($key, map { [tenant_id => $tenant, event_type => 'burst',
        payload => "{\"n\":$_}"] } 1 .. 1000);
    $stream->wait(sub { (grep { $_->{event} eq 'burst' } $_[0]->events) >= 1000 });
    my @burst = grep { $_->{event} eq 'burst' } $stream->events;
    is(has_ids(@burst), "@ids", 'a thousand at once: each once, in order');
    is(join(' ', map { $_->{data} } @burst), join(' ', map { "{\"n\":$_}" } 1 .. 1000),
        'with their own payloads');
    is($stream->last_event_id, $ids[-1], 'the last id is the one to resume from');
    my @without = grep { !defined $_->{id} } $stream->events;
    is(scalar(@without), 0, 'every event had an id');
}

{
    my $tenant = unique();
    my @streams = map { stream('/stream', token => token($tenant, $_)) } 1 .. 5;
    $_->connected for @streams;
    my $id = add($tenant, 'for_all', '{}', user_id => '1');
    is(scalar(grep { ($_->take('for_all') // {id => ''})->{id} eq $id } @streams), 5,
        'every connection of a tenant gets an event; the user field is informational');

    my @own = map { stream('/t/user-only', token => token($tenant, $_)) } 1 .. 2;
    $_->connected for @own;
    add($tenant, 'for_two', '{}', user_id => '2');
    add($tenant, 'for_everybody', '{}');
    $_->take('for_everybody') for @own;
    is(scalar(grep { $_->{event} eq 'for_two' } $own[1]->events), 1,
        'RaglineUserOnly: a user gets what names the user');
    is(scalar(grep { $_->{event} eq 'for_two' } $own[0]->events), 0, 'and nobody else does');
}

{
    my $stream = stream('/t/renamed', token => token('other-fields', 1));
    $stream->connected;
    $redis->xadd('ragline:stream:renamed', tenant_id => 'wrong', org => 'other-fields',
        kind => 'renamed', body => '[1]', payload => '[2]');
    my $event = $stream->take('renamed');
    is($event && $event->{data}, '[1]', 'RaglineStream names the fields');

    $stream = stream('/site');
    is($stream->connected->{json}{tenant_id}, 'main', 'a literal tenant');
    $redis->xadd('ragline:stream:site', event_type => 'news', payload => '{}');
    ok($stream->take('news'), 'its entries need no tenant field');
}

# --- filters ----------------------------------------------------------------------------------

{
    my $tenant = unique();
    my $orders = stream('/stream/orders', token => token($tenant, 1));
    $orders->connected;
    add($tenant, $_, '{}') for qw(order order_created reorder payment_processed Order_x orders.x
        x-order order_end);
    $orders->take('order_end');
    is(join(' ', map { $_->{event} } $orders->events),
        'connected order order_created orders.x order_end', 'RaglineEvents order*');

    my @names = qw(order_created order_completed order_failed payment_processed notification
        system_alert);
    $tenant = unique(); # another child may have yet to read what came for the first one
    my $notes = stream('/stream/notifications', token => token($tenant, 1));
    $notes->connected;
    add($tenant, $_, '{}') for 'order_status', 'notification_x', @names[0 .. 3];
    $redis->xadd("ragline:stream:notifications", tenant_id => $tenant, event_type => $_,
        payload => '{}') for 'other', 'notification';
    $redis->xadd('ragline:stream:system', tenant_id => $tenant, event_type => $_, payload => '{}')
        for 'system_alerts', 'system_alert';
    my %missing = map { $_ => 1 } @names;
    $notes->wait(sub { delete @missing{ map { $_->{event} } $_[0]->events }; !%missing });
    is(join(' ', sort map { $_->{event} } $notes->events), join(' ', sort 'connected', @names),
        'the six names of /stream/notifications, from three streams');
}

# --- a cursor over several streams ------------------------------------------------------------

{
    my $tenant = unique();
    my $stream = stream('/t/three', token => token($tenant, 1));
    $stream->connected;
    my %id;
    for my $name (qw(notifications orders system)) {
        $id{$name} = $redis->xadd("ragline:stream:$name", tenant_id => $tenant,
            event_type => "from_$name", payload => '{}');
        ok($stream->take("from_$name"), "an event of the stream $name");
    }
    my @events = $stream->events;
    my $last = $events[-1]{id};
    like($last, qr/^[!-~]{1,200}$/, 'a cursor is short and printable');
    unlike($last, qr/^\d+-\d+$/, 'and not the id of one stream');
    my $place = position36($id{system});
    like($last, qr/\Q$place\E(?:\.|$)/, 'it has the position in the stream of the event');
    my %seen = map { $_->{id} => 1 } @events;
    is(scalar(keys %seen), scalar(@events), 'each event moves it');
}

# A reader that was away is either given what it missed, or told that it is not.
{
    my $tenant = unique();
    for my $path ('/t/quiet', '/t/three') {
        my $stream = stream($path, token => token($tenant, 1));
        $stream->connected;
        add($tenant, 'before', '{}');
        $stream->take('before');
        $stream->close;
        my $missed = add($tenant, 'missed', '{}');
        my $again = stream($path, token => token($tenant, 1),
            last_event_id => $stream->last_event_id);
        my $verdict = $again->connected->{json};
        if ($verdict->{recovery} eq 'resumed') {
            ok($again->take('missed'), "$path: resumed, with what was missed");
        }
        else {
            is($verdict->{recovery}, 'reset', "$path: told that something may be missing");
            like($verdict->{reason}, qr/^(?:trimmed|unknown|redis_reset|limit|too_big)$/,
                'and why');
        }
        my $garbage = stream($path, token => token($tenant, 1), last_event_id => "no-cursor");
        is($garbage->status || $garbage->wait(sub { $_[0]->status }), 200,
            "$path: a malformed cursor is no error");
        is_deeply([@{ $garbage->connected->{json} }{qw(recovery reason)}], ['reset', 'unknown'],
            'but a reset');
        # What event-source-polyfill, reconnecting-eventsource, Mercure's clients and people write.
        my $brought = $stream->last_event_id;
        for my $name (qw(last_event_id lastEventId lastEventID Last-Event-ID last-event-id)) {
            is_deeply([@{ recovery("$path?a=b&$name=garbage&c", $tenant) }{qw(recovery reason)}],
                ['reset', 'unknown'], "$path: the cursor may be in the query as $name");
            is(recovery("$path?$name=$brought", $tenant)->{recovery}, 'resumed', 'and is taken');
            is(recovery("$path?last_event_id=garbage&$name=$brought", $tenant)->{recovery}, 'resumed',
                'the last one counts: a client appends it to the URL that it was given');
        }
        for my $other (qw(event_id xlast_event_id last_event_ids lastevent __ -), '') {
            is(recovery("$path?$other=garbage&$other", $tenant)->{recovery}, 'new', "not $other");
        }
        is(recovery("$path?lastEventId=", $tenant)->{recovery}, 'new', "$path: an empty one is none");
        is(recovery("$path?lastEventId=garbage", $tenant, $brought)->{recovery}, 'resumed',
            "$path: the header comes first: a browser's is newer than its URL");
        is(recovery($path, $tenant, "garbage, $brought")->{recovery}, 'resumed',
            "$path: of two headers, the later: clients append theirs to the one that they were given");
    }
}

# --- heartbeats -------------------------------------------------------------------------------

{
    my $tenant = unique();
    my $quiet = stream('/t/quiet', token => token($tenant, 1));
    my $beat = stream('/t/beat', token => token($tenant, 1));
    my ($comment, $id) = map { stream($_, token => token($tenant, 1)) } '/t/comment', '/t/id';
    my $three = stream('/t/three-beat', token => token($tenant, 1));
    $_->connected for $quiet, $beat, $comment, $id, $three;
    # The stream goes on for others: the position of this tenant must, too.
    my $position = add(unique(), 'for_others', '{}');

    my $heartbeat = $beat->take(sub { $_[0]{event} eq 'heartbeat' && $_[0]{id} eq $position });
    ok($heartbeat, "a heartbeat carries the reader's position, moved by others' events");
    my $json = json_of($heartbeat->{data});
    is_deeply([sort keys %$json], [qw(stream tenant_id timestamp)], 'its keys');
    is($json->{tenant_id}, $tenant, 'its tenant');
    is($json->{stream}, 'beat', 'its profile');

    $id->wait(sub { $_[0]->comments >= 2 && $_[0]->last_event_id eq $position });
    like($id->body, qr/\n\n: heartbeat\nid: \Q$position\E\n\n/, 'as an id: with the position');
    is(join(' ', map { $_->{event} } $id->events), 'connected', 'and fires no event');

    # No empty line: to some clients it ends an event, whatever came before.
    $comment->wait(sub { $_[0]->comments >= 2 });
    like($comment->body, qr/\n\n(?:: heartbeat\n){2,}\z/, 'as a comment: this line and nothing else');
    add($tenant, 'after_comments', '{"n":1}');
    is(($comment->take('after_comments') // {})->{data}, '{"n":1}', 'the next event is whole');
    is(join(' ', map { $_->{event} } $comment->events), 'connected after_comments',
        'and the only one');

    my $place = position36($position);
    ok($three->take(sub { $_[0]{event} eq 'heartbeat' && $_[0]{id} =~ /\Q$place/ }),
        'a heartbeat over three streams has a cursor over three streams');
    $beat->take('heartbeat') for 1 .. 2;
    is(join(' ', map { $_->{event} } $quiet->events), 'connected after_comments',
        'RaglineHeartbeat off');
    is(scalar($quiet->comments), 0, 'means none of either kind');
}

done_testing();
