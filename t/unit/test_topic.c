/* SPDX-License-Identifier: Apache-2.0
 *
 * The topic log: numbers without gaps, bounded memory, and never another event than asked for.
 */
#include <stdlib.h>

#include "log/rs_source.h"
#include "log/rs_topic.h"
#include "tap.h"

#define SECOND apr_time_from_sec(1)

static rs_event_t *make(apr_uint64_t n, size_t size)
{
    char *text = calloc(1, size);
    rs_event_parts_t parts = {.id = {n, 0}, .frame = {text, size}};
    rs_event_t *event;

    parts.type = parts.data = parts.user = (rs_text_t){text, 0};
    event = rs_event_create(&parts);

    free(text);
    return event;
}

static int holds(rs_topic_t *topic, apr_uint64_t seq, unsigned front, apr_uint64_t id)
{
    rs_event_t *event;
    int good = rs_topic_read(topic, seq, front, &event, 1) == 1 && event->id.ms == id;

    if (good) {
        rs_event_drop(event);
    }
    return good;
}

static rs_cursor_t at(rs_topic_t *topic, apr_uint64_t ms)
{
    rs_cursor_t cursor = {topic->nstreams, &topic->tags, {{ms, 0}, {ms, 0}}};

    return cursor;
}

/* What a feed has yet to read is cleared, and some of it is put back in front. */
static void late(rs_topic_t *topic)
{
    apr_uint64_t next = rs_topic_next(topic);
    rs_follow_t *follow = rs_topic_follow(topic, NULL, 0);
    rs_event_t *event;

    follow->clients = 1;
    rs_topic_append(topic, make(2001, 50), SECOND, 0);
    rs_topic_append(topic, make(2002, 50), SECOND, 0);
    rs_topic_clear(topic);
    rs_topic_prepend(topic, make(2002, 50), SECOND);
    rs_topic_prepend(topic, make(1999, 50), SECOND);
    is_int(rs_topic_read(topic, next, 0, &event, 1), -1, "no number ever is that of another event");
}

static rs_event_t *of(int stream, apr_uint64_t n)
{
    rs_event_t *event = make(n, 50);

    event->stream = (apr_uint16_t)stream;
    return event;
}

/* Two streams, one read after the other. A reader is in the middle of that when they are forgotten,
 * and put in front again for somebody else: by id, as a pass finds them. */
static void another_order(rs_source_t *source)
{
    rs_key_t *both[2] = {&source->keys[0], &source->keys[1]};
    rs_topic_t *topic;
    rs_cursor_t had = {2, NULL, {{102, 0}, rs_id_before((rs_id_t){100, 0})}};
    rs_event_t *event;
    apr_uint64_t seq, i;
    unsigned front;

    source->keys[0].now.at = source->keys[1].now.at = (rs_id_t){50, 0};
    topic = rs_topic_create(source, 3, both);
    for (i = 0; i < 6; i++) {
        rs_topic_append(topic, of(i / 3, 100 + i % 3), SECOND, 0);
    }
    seq = rs_topic_seek(topic, &had, &front) + 3;
    is_int(rs_topic_read(topic, seq, front, &event, 1), 1, "a reader in the middle of two streams");
    ok(event->stream == 1 && event->id.ms == 100, "is to have the first of the second one");
    rs_event_drop(event);
    source->keys[0].now.at = source->keys[1].now.at = (rs_id_t){102, 0};
    rs_topic_clear(topic);
    for (i = 0; i < 6; i++) {
        rs_topic_prepend(topic, of(1 - (int)i % 2, 102 - i / 2), SECOND);
    }
    is_int(rs_topic_read(topic, seq, front, &event, 1), -1,
           "which is elsewhere when they are back");
    seq = rs_topic_seek(topic, &had, &front);
    is_int(rs_topic_read(topic, seq, front, &event, 1), 1, "and found by its position");
    rs_event_drop(event);
    rs_topic_free(topic);
}

/* Older events in front, and finding one's place. */
static void history(rs_source_t *source)
{
    rs_key_t *first = &source->keys[0];
    rs_topic_t *topic;
    rs_cursor_t cursor;
    apr_uint64_t i, seq;
    unsigned front;
    int good = 1;

    source->keys[0].now.at = (rs_id_t){1000, 0};
    topic = rs_topic_create(source, 1, &first);
    cursor = at(topic, 999);
    ok(rs_topic_seek(topic, &cursor, NULL) == 0, "a new topic knows nothing of what was before");
    cursor = at(topic, 1000);
    ok(rs_topic_seek(topic, &cursor, NULL) == rs_topic_next(topic),
       "who has all of that starts here");
    for (i = 1; i <= 10; i++) {
        rs_topic_append(topic, make(1000 + i, 50), SECOND, 0);
    }
    for (i = 998; i >= 2; i -= 2) {
        rs_topic_prepend(topic, make(i, 50), SECOND);
    }
    for (i = 2; i < 1010; i++) {
        cursor = at(topic, i);
        seq = rs_topic_seek(topic, &cursor, &front);
        good &= holds(topic, seq, front, i >= 1000 ? i + 1 : i >= 998 ? 1001 : (i / 2 + 1) * 2);
    }
    ok(good, "every position finds the event after it");
    cursor = at(topic, 1);
    ok(rs_topic_seek(topic, &cursor, NULL) == 0, "before the oldest it is not complete");
    rs_topic_complete_from(topic, 0, (rs_id_t){0, 0});
    ok(rs_topic_seek(topic, &cursor, NULL) != 0, "unless it is known that there was nothing");
    rs_topic_clear(topic);
    cursor = at(topic, 999);
    ok(rs_topic_seek(topic, &cursor, NULL) == 0, "after clearing only the present is known");
    late(topic);
    rs_topic_free(topic);
}

int main(void)
{
    rs_stream_t streams[3] = {{.key = "a"}, {.key = "b"}, {.key = "c"}};
    rs_key_t keys[3] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
    rs_source_t source = {.streams = streams, .nstreams = 3, .keys = keys};
    rs_key_t *both[2] = {&keys[0], &keys[2]};
    rs_topic_t *topic = rs_topic_create(&source, 5, both);
    rs_event_t *events[64];
    apr_int64_t bytes = 0;
    apr_uint64_t i, start = rs_topic_next(topic);
    int good = 1, n;

    ok(topic->nstreams == 2 && topic->stream[0] == 0 && topic->stream[1] == 2,
       "the streams of the mask");
    is_int(rs_topic_read(topic, start, 0, events, 64), 0, "nothing yet");
    for (i = 0; i < 1000; i++) {
        bytes += rs_topic_append(topic, make(i, 100), SECOND, 0);
    }
    for (i = 0; i < 1000; i++) {
        good &= holds(topic, start + i, 0, i);
    }
    ok(good, "a thousand events by their numbers");
    is_int(bytes, (long long)topic->bytes, "the change of memory adds up");
    n = rs_topic_read(topic, start + 990, 0, events, 64);
    is_int(n, 10, "a read ends at the newest");
    while (n) {
        rs_event_drop(events[--n]);
    }
    is_int(rs_topic_read(topic, start + 1000, 0, events, 64), 0,
           "the next number is not there yet");
    for (i = 0; i < 100; i++) {
        bytes += rs_topic_append(topic, make(5000 + i, 20000), SECOND + i, 0);
    }
    ok(holds(topic, start, 0, 0), "a burst loses nothing, whatever it weighs");
    for (i = 0; i < 100; i++) {
        bytes += rs_topic_append(topic, make(6000 + i, 20000), 10 * SECOND, 0);
    }
    is_int(rs_topic_read(topic, start, 0, events, 64), -1, "seconds later the oldest have gone");
    ok(holds(topic, start + 1100, 0, 6000), "and the newest are there");
    bytes += rs_topic_append(topic, make(7000, 100), 20 * SECOND, 0);
    ok(topic->bytes <= RS_TOPIC_BYTES_MAX, "what is older is bounded");
    for (i = 0; i < 100; i++) {
        bytes += rs_topic_append(topic, make(8000 + i, 20000), 20 * SECOND, 1);
    }
    ok(topic->bytes <= RS_TOPIC_BYTES_MAX, "and so is all of it where memory is short");
    is_int(bytes, (long long)topic->bytes, "the change of memory still adds up");

    i = rs_topic_next(topic);
    is_int((long long)rs_topic_clear(topic), bytes, "clearing gives all of it back");
    is_int(rs_topic_read(topic, i, 0, events, 64), 0, "a reader that had everything goes on");
    is_int(rs_topic_read(topic, i - 1, 0, events, 64), -1,
           "another one finds that it missed something");
    rs_topic_break(topic);
    is_int(rs_topic_read(topic, i, 0, events, 64), -1, "after a break nobody goes on");
    is_int(rs_topic_read(topic, rs_topic_next(topic), 0, events, 64), 0, "but a new reader does");
    rs_topic_prepend(topic, make(2, 50), 20 * SECOND);
    is_int(rs_topic_read(topic, i, 0, events, 64), -1, "nor does it with older events in front");
    rs_topic_free(topic);
    history(&source);
    another_order(&source);
    return done_testing();
}
