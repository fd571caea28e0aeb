/* SPDX-License-Identifier: Apache-2.0
 *
 * The topic log: a ring of references under a lock that is held for a copy of pointers only.
 */
#include <stdlib.h>
#include <string.h>

#include "rs_source.h"
#include "rs_topic.h"

/* So many numbers are left out for older events that are put in front. */
#define ROOM_BELOW ((apr_uint64_t)1 << 32)

/* The hub's. */
static unsigned losses_of(const rs_topic_t *topic)
{
    unsigned n = 0;
    int k;

    for (k = 0; k < topic->nstreams; k++) {
        n += topic->key[k]->now.losses;
    }
    return n;
}

rs_topic_t *rs_topic_create(rs_source_t *source, apr_uint64_t streams, rs_key_t *const *key)
{
    rs_topic_t *topic = calloc(1, sizeof(*topic));
    int i;

    if (!topic) {
        return NULL;
    }
    topic->source = source;
    topic->streams = streams;
    topic->next_seq = topic->first = topic->arrived = ROOM_BELOW;
    topic->front = 1;
    for (i = 0; i < source->nstreams && topic->nstreams < RS_STREAMS_MAX; i++) {
        if (streams & ((apr_uint64_t)1 << i)) {
            topic->key[topic->nstreams] = key[topic->nstreams];
            topic->start[topic->nstreams] = key[topic->nstreams]->now.at;
            topic->stream[topic->nstreams++] = (apr_uint16_t)i;
            rs_cursor_tags_add(&topic->tags, topic->nstreams - 1, source->streams[i].key);
        }
    }
    topic->losses = losses_of(topic);
    pthread_mutex_init(&topic->lock, NULL);
    return topic;
}

static void trim_one(rs_topic_t *topic)
{
    rs_event_t *event = topic->ring[topic->first & (topic->size - 1)];
    int k = rs_topic_k(topic, event->stream);

    topic->first++;
    rs_id_raise(&topic->start[k], event->id);
    topic->trimmed = topic->removed = 1;
    topic->bytes -= rs_event_cost(event);
    rs_event_drop(event);
}

/* Whether every feed is past this event: a streamer that is late must find it here, since having
 * its clients fetch it one by one would make it later still. */
static int consumed(const rs_topic_t *topic, apr_uint64_t seq)
{
    int i;

    for (i = 0; i < RS_STREAMERS_MAX; i++) {
        const rs_follow_t *follow = topic->follows[i];

        if (follow && follow->clients
            && __atomic_load_n(&follow->consumed, __ATOMIC_RELAXED) <= seq) {
            return 0;
        }
    }
    return 1;
}

static size_t clear(rs_topic_t *topic, int leave_out)
{
    size_t freed;
    int i;

    pthread_mutex_lock(&topic->lock);
    freed = topic->bytes;
    while (topic->first < topic->next_seq) {
        trim_one(topic);
    }
    topic->next_seq += (apr_uint64_t)leave_out;
    topic->first = topic->next_seq;
    topic->trimmed = topic->removed = 1;
    topic->losses = losses_of(topic);
    for (i = 0; i < topic->nstreams; i++) {
        topic->start[i] = topic->key[i]->now.at;
    }
    free(topic->ring);
    topic->ring = NULL;
    topic->size = 0;
    pthread_mutex_unlock(&topic->lock);
    return freed;
}

size_t rs_topic_clear(rs_topic_t *topic) { return clear(topic, 0); }

size_t rs_topic_break(rs_topic_t *topic) { return clear(topic, 1); }

void rs_topic_free(rs_topic_t *topic)
{
    int i;

    rs_topic_clear(topic);
    for (i = 0; i < RS_STREAMERS_MAX; i++) {
        free(topic->follows[i]);
    }
    pthread_mutex_destroy(&topic->lock);
    free(topic);
}

/* Called with the lock held. */
static int grow(rs_topic_t *topic)
{
    size_t size = topic->size ? topic->size * 2 : 16;
    rs_event_t **ring = malloc(size * sizeof(*ring));
    apr_uint64_t seq;

    if (!ring) {
        return 0;
    }
    for (seq = topic->first; seq < topic->next_seq; seq++) {
        ring[seq & (size - 1)] = topic->ring[seq & (topic->size - 1)];
    }
    free(topic->ring);
    topic->ring = ring;
    topic->size = size;
    return 1;
}

/* Whether the oldest event has had its time, if there is any, and stands in the way of a new one.
 */
static int may_trim(const rs_topic_t *topic, const rs_event_t *incoming, int full)
{
    const rs_event_t *oldest = topic->ring[topic->first & (topic->size - 1)];

    return topic->bytes + rs_event_cost(incoming) > RS_TOPIC_BYTES_MAX
           && (full || incoming->appended - oldest->appended > RS_TOPIC_KEEP_MSEC)
           && consumed(topic, topic->first);
}

apr_int64_t rs_topic_append(rs_topic_t *topic, rs_event_t *event, apr_time_t now, int full)
{
    size_t before;
    apr_int64_t change;

    event->appended = (apr_uint32_t)(now / 1000);
    pthread_mutex_lock(&topic->lock);
    before = topic->bytes;
    while (topic->first < topic->next_seq && may_trim(topic, event, full)) {
        trim_one(topic);
    }
    if (topic->next_seq - topic->first == topic->size && !grow(topic)) {
        /* Short of memory: lose the oldest rather than the newest, or this one if there is none. */
        if (topic->size == 0) {
            topic->first = ++topic->next_seq;
            rs_id_raise(&topic->start[rs_topic_k(topic, event->stream)], event->id);
            topic->trimmed = topic->removed = 1;
            pthread_mutex_unlock(&topic->lock);
            rs_event_drop(event);
            return 0;
        }
        trim_one(topic);
    }
    topic->ring[topic->next_seq & (topic->size - 1)] = event;
    topic->next_seq++;
    topic->bytes += rs_event_cost(event);
    change = (apr_int64_t)topic->bytes - (apr_int64_t)before;
    pthread_mutex_unlock(&topic->lock);
    return change;
}

apr_int64_t rs_topic_prepend(rs_topic_t *topic, rs_event_t *event, apr_time_t now)
{
    apr_int64_t change = (apr_int64_t)rs_event_cost(event);

    event->appended = (apr_uint32_t)(now / 1000);
    pthread_mutex_lock(&topic->lock);
    if (topic->next_seq - topic->first == topic->size && !grow(topic)) {
        topic->trimmed = 1; /* nothing is put in front of what is missing */
        pthread_mutex_unlock(&topic->lock);
        rs_event_drop(event);
        return 0;
    }
    if (topic->removed) {
        /* The numbers below were those of other events. */
        topic->removed = 0;
        topic->arrived = topic->first > topic->arrived ? topic->first : topic->arrived;
        topic->front++;
    }
    topic->first--;
    topic->ring[topic->first & (topic->size - 1)] = event;
    topic->bytes += rs_event_cost(event);
    topic->start[rs_topic_k(topic, event->stream)] = rs_id_before(event->id);
    pthread_mutex_unlock(&topic->lock);
    return change;
}

int rs_topic_known(const rs_topic_t *topic)
{
    int k;

    /* Those that all share are asked for before the child takes clients; one that is no
     * stream never is known, and harms nobody. */
    for (k = 0; k < topic->nstreams && (topic->key[k]->now.sure || !topic->key[k]->tenant); k++) {
    }
    return k == topic->nstreams;
}

void rs_topic_begin(rs_topic_t *topic, const rs_key_t *key)
{
    pthread_mutex_lock(&topic->lock);
    topic->start[rs_topic_k(topic, key->stream)] = key->now.at;
    topic->losses = losses_of(topic);
    pthread_mutex_unlock(&topic->lock);
}

void rs_topic_complete_from(rs_topic_t *topic, int k, rs_id_t start)
{
    pthread_mutex_lock(&topic->lock);
    rs_id_lower(&topic->start[k], start);
    pthread_mutex_unlock(&topic->lock);
}

void rs_topic_raise(rs_topic_t *topic, int k, rs_id_t start)
{
    pthread_mutex_lock(&topic->lock);
    rs_id_raise(&topic->start[k], start);
    pthread_mutex_unlock(&topic->lock);
}

void rs_topic_start(rs_topic_t *topic, rs_id_t start[RS_STREAMS_MAX])
{
    pthread_mutex_lock(&topic->lock);
    memcpy(start, topic->start, sizeof(topic->start));
    pthread_mutex_unlock(&topic->lock);
}

/* Called with the lock held. The first of one stream's events that comes after the id. */
static apr_uint64_t first_after(const rs_topic_t *topic, rs_id_t id)
{
    apr_uint64_t low = topic->first, high = topic->next_seq;

    while (low < high) {
        apr_uint64_t middle = low + (high - low) / 2;

        if (rs_id_cmp(topic->ring[middle & (topic->size - 1)]->id, id) > 0) {
            high = middle;
        }
        else {
            low = middle + 1;
        }
    }
    return low;
}

apr_uint64_t rs_topic_seek(rs_topic_t *topic, const rs_cursor_t *cursor, unsigned *front)
{
    apr_uint64_t seq;
    int k;

    pthread_mutex_lock(&topic->lock);
    seq = topic->nstreams == 1 ? first_after(topic, cursor->pos[0]) : topic->first;
    for (k = 0; k < topic->nstreams; k++) {
        if (rs_id_cmp(cursor->pos[k], topic->start[k]) < 0) {
            seq = 0;
        }
    }
    if (front) {
        *front = topic->front;
    }
    pthread_mutex_unlock(&topic->lock);
    return seq;
}

apr_uint64_t rs_topic_next(rs_topic_t *topic)
{
    apr_uint64_t next;

    pthread_mutex_lock(&topic->lock);
    next = topic->next_seq;
    pthread_mutex_unlock(&topic->lock);
    return next;
}

unsigned rs_topic_losses(rs_topic_t *topic)
{
    unsigned losses;

    pthread_mutex_lock(&topic->lock);
    losses = topic->losses;
    pthread_mutex_unlock(&topic->lock);
    return losses;
}

apr_uint64_t rs_topic_tail(rs_topic_t *topic, rs_cursor_t *cursor)
{
    rs_cursor_t last = *cursor;
    apr_uint64_t next;

    pthread_mutex_lock(&topic->lock);
    next = topic->next_seq;
    if (next > topic->first) {
        const rs_event_t *e = topic->ring[(next - 1) & (topic->size - 1)];

        if (rs_event_cursor(e, &last)) {
            rs_cursor_raise(cursor, &last);
        }
    }
    pthread_mutex_unlock(&topic->lock);
    return next;
}

int rs_topic_read(rs_topic_t *topic, apr_uint64_t seq, unsigned front, rs_event_t **events,
                  int max)
{
    int n = -1;

    pthread_mutex_lock(&topic->lock);
    if (seq >= topic->first && (seq >= topic->arrived || front == topic->front)) {
        for (n = 0; n < max && seq < topic->next_seq; n++, seq++) {
            events[n] = rs_event_take(topic->ring[seq & (topic->size - 1)]);
        }
    }
    pthread_mutex_unlock(&topic->lock);
    return n;
}

rs_follow_t *rs_topic_follow(rs_topic_t *topic, rs_inbox_t *streamer, int index)
{
    rs_follow_t *follow = topic->follows[index];

    if (!follow) {
        follow = calloc(1, sizeof(*follow));
        if (follow) {
            follow->topic = topic;
            follow->consumed = rs_topic_next(topic);
            follow->streamer = streamer;
            topic->follows[index] = follow;
        }
    }
    return follow;
}
