/* SPDX-License-Identifier: Apache-2.0
 *
 * What one client gets by itself: frames of its own, catching up, partial writes. The streamer's
 * thread.
 */
#include <stdlib.h>
#include <string.h>

#include "../base/rs_clock.h"
#include "../log/rs_ended.h"
#include "../log/rs_profile.h"
#include "../log/rs_source.h"
#include "../log/rs_topics.h"
#include "../wire/rs_frames.h"
#include "rs_feed.h"
#include "rs_output.h"

#define BATCH 64
#define BATCH_BYTES ((size_t)256 * 1024) /* more than a socket takes at once as a rule */
#define ONE_BATCH ((size_t)256 * 1024)
#define CATCH_UP_ROUNDS 4 /* then the others get their turn */

static rs_common_t *common_of(const rs_client_t *client)
{
    return client->profile->source->topics->common;
}

/* Takes over the reference. What many are in the middle of counts once. */
static void pin(rs_client_t *client, rs_event_t *event, size_t written)
{
    client->pinned = event;
    client->pinned_off = written;
    if (__atomic_fetch_add(&event->pins, 1, __ATOMIC_RELAXED) == 0) {
        RS_STAT_ADD(common_of(client)->pinned, rs_event_cost(event));
    }
}

void rs_output_unpin(rs_client_t *client)
{
    rs_event_t *event = client->pinned;

    if (event) {
        client->pinned = NULL;
        if (__atomic_fetch_sub(&event->pins, 1, __ATOMIC_RELAXED) == 1) {
            RS_STAT_SUB(common_of(client)->pinned, rs_event_cost(event));
        }
        rs_event_drop(event);
    }
}

int rs_output_pins_too_much(const rs_client_t *client)
{
    const rs_common_t *common = common_of(client);

    return client->pinned && __atomic_load_n(&client->pinned->pins, __ATOMIC_RELAXED) == 1
           && RS_STAT_GET(common->pinned) > common->cache;
}

int rs_output_flush(rs_client_t *client)
{
    while (client->pinned) {
        rs_event_t *e = client->pinned;
        rs_text_t frame = rs_frames_get(client->profile->wire, e, NULL); /* it was made */
        struct iovec iov = {(char *)frame.data + client->pinned_off,
                            frame.len - client->pinned_off};
        ssize_t n = client->conn.transport->writev(&client->conn, &iov, 1);

        if (n <= 0) {
            return (int)n;
        }
        client->last_out = rs_clock_now();
        client->pinned_off += (size_t)n;
        if (client->pinned_off == frame.len) {
            rs_output_unpin(client);
        }
    }
    return 1;
}

int rs_output_buf(rs_client_t *client, const rs_buf_t *buf)
{
    struct iovec iov = {buf->data, buf->len};
    ssize_t n;

    if (!rs_buf_ok(buf)) {
        return 0;
    }
    n = client->conn.transport->writev(&client->conn, &iov, 1);
    if (n < 0) {
        return 0;
    }
    client->last_out = rs_clock_now();
    if ((size_t)n < buf->len) {
        rs_event_t *mine = rs_frames_raw(client->profile->wire, buf->data, buf->len);

        if (!mine) {
            return 0;
        }
        pin(client, mine, (size_t)n);
    }
    return 1;
}

rs_who_t rs_output_who(const rs_client_t *client)
{
    rs_who_t who = {client->profile->name, client->tenant_json, client->user_json, NULL};

    return who;
}

const char *rs_output_id(const rs_client_t *client, const rs_cursor_t *at, char buf[RS_CURSOR_LEN])
{
    return client->topic ? rs_ended_text(client->topic, at, buf, apr_time_now()) : NULL;
}

void rs_output_note(const rs_client_t *client)
{
    const rs_cursor_t *at = client->state == RS_LIVE ? &client->feed->pos
                            : client->resume         ? &client->resume->own
                                                     : NULL;
    char id[RS_CURSOR_LEN];

    rs_registry_note(common_of(client)->registry, client->seat,
                     client->events + (client->state == RS_LIVE ? client->feed->sent : 0),
                     at && client->topic ? rs_output_id(client, at, id) : NULL);
}

void rs_output_pin(rs_client_t *client, rs_event_t *const *events, const struct iovec *iov, int n,
                   size_t written, int *complete)
{
    int i;

    for (i = 0; i < n && written >= iov[i].iov_len; i++) {
        written -= iov[i].iov_len;
    }
    *complete = i;
    if (i < n && written > 0) {
        pin(client, rs_event_take(events[i]), written);
    }
}

void rs_output_count(const rs_topic_t *topic, const rs_event_t *event, apr_uint64_t delivered,
                     apr_uint64_t filtered)
{
    rs_stream_stats_t *stats = topic->source->streams[event->stream].stats;

    /* A notice stands for an entry that nobody gets. */
    if (!event->notice) {
        RS_STAT_ADD(stats->delivered, delivered);
        RS_STAT_ADD(stats->filtered, filtered);
    }
}

/* Takes the event's position into the reader's own: in no stream does it ever go back. Returns
 * whether that is now what stands in the event's frame. */
static int advance(const rs_event_t *event, rs_cursor_t *own)
{
    rs_cursor_t after;
    int k;

    if (own->n == 1) {
        own->pos[0] = event->id;
        return 1;
    }
    after.n = own->n;
    if (!rs_event_cursor(event, &after)) {
        return 0;
    }
    rs_cursor_raise(own, &after);
    for (k = 0; k < own->n && rs_id_cmp(own->pos[k], after.pos[k]) == 0; k++) {
    }
    return k == own->n;
}

static int has(const rs_client_t *client, const rs_event_t *event, const rs_cursor_t *own)
{
    return rs_id_cmp(event->id, own->pos[rs_topic_k(client->topic, event->stream)]) <= 0;
}

/* Frames for one write. */
typedef struct {
    rs_event_t *frames[BATCH];
    int index[BATCH]; /* of each in what was given */
    struct iovec iov[BATCH];
    int n;
    size_t bytes;
    rs_cursor_t own; /* the client's position after all of them */
} batch_t;

/* Takes what the client gets of these events, as much as one write can be expected to take. Returns
 * how many events that covers; -1: memory is short. */
static int fill(const rs_client_t *client, rs_event_t *const *events, int n, batch_t *batch)
{
    const rs_wire_t *wire = client->profile->wire;
    int i;

    batch->n = 0;
    batch->bytes = 0;
    batch->own = client->resume->own;
    for (i = 0; i < n && batch->n < BATCH && batch->bytes < BATCH_BYTES; i++) {
        rs_event_t *frame;
        rs_text_t bytes;
        int shared;

        if (has(client, events[i], &batch->own)) {
            continue;
        }
        shared = advance(events[i], &batch->own);
        if (!rs_client_wants(client, events[i])) {
            continue;
        }
        frame = shared ? rs_event_take(events[i]) : rs_frames_with_id(wire, events[i], &batch->own);
        if (!frame) {
            return -1;
        }
        bytes = rs_frames_get(wire, frame, &client->topic->tags);
        batch->frames[batch->n] = frame;
        batch->index[batch->n] = i;
        batch->iov[batch->n].iov_base = (char *)bytes.data;
        batch->iov[batch->n++].iov_len = bytes.len;
        batch->bytes += bytes.len;
        if (!bytes.data) {
            return -1;
        }
    }
    return i;
}

/* The client has, or has begun, the first `sent` frames: it stands after the n events that covers,
 * and they are counted. */
static void settle(rs_client_t *client, rs_event_t *const *events, int n, const batch_t *batch,
                   int sent)
{
    rs_cursor_t *own = &client->resume->own;
    int i, k;

    for (i = k = 0; i < n; i++) {
        int mine = k < sent && batch->index[k] == i;

        if (mine || !has(client, events[i], own)) {
            advance(events[i], own);
            rs_output_count(client->topic, events[i], (apr_uint64_t)mine, (apr_uint64_t)!mine);
            client->resume->replayed += (apr_uint64_t)(mine && !events[i]->notice);
            client->events += (apr_uint64_t)(mine && !events[i]->notice);
            client->resume->said |= mine && events[i]->notice;
            client->resume->bytes += mine ? batch->iov[k].iov_len : 0;
            k += mine;
        }
    }
}

int rs_output_has_enough(const rs_client_t *client)
{
    return client->profile->wire->one_batch && client->resume->bytes >= ONE_BATCH;
}

int rs_output_send(rs_client_t *client, rs_event_t *const *events, int n)
{
    int done = 0, full = 0, gone = 0;
    batch_t batch;

    while (done < n && !full && !gone && !rs_output_has_enough(client)) {
        int covered = fill(client, events + done, n - done, &batch);
        int sent = batch.n, i;
        ssize_t written = 0;

        if (covered >= 0 && batch.n) {
            written = client->conn.transport->writev(&client->conn, batch.iov, batch.n);
        }
        gone = covered < 0 || written < 0;
        full = !gone && (size_t)written < batch.bytes;
        if (written > 0) {
            client->last_out = rs_clock_now();
        }
        if (full) {
            rs_output_pin(client, batch.frames, batch.iov, batch.n, (size_t)written, &sent);
            sent += client->pinned != NULL;
            covered = sent ? batch.index[sent - 1] + 1 : 0;
        }
        if (!gone) {
            settle(client, events + done, covered, &batch, sent);
            done += covered;
        }
        for (i = 0; i < batch.n; i++) {
            rs_event_drop(batch.frames[i]);
        }
    }
    return gone ? -1 : done;
}

int rs_output_catch_up(rs_client_t *client, apr_uint64_t upto)
{
    rs_event_t *events[BATCH];
    int round;

    for (round = 0; client->seq < upto && round < CATCH_UP_ROUNDS; round++) {
        apr_uint64_t left = upto - client->seq;
        int i, n, done;

        n = rs_topic_read(client->topic, client->seq, client->resume->front, events,
                          left < BATCH ? (int)left : BATCH);
        if (n < 0) {
            return -2;
        }
        done = rs_output_send(client, events, n);
        for (i = 0; i < n; i++) {
            rs_event_drop(events[i]);
        }
        if (done < 0) {
            return -1;
        }
        client->seq += (apr_uint64_t)done;
        if (client->pinned || done < n) {
            return 0;
        }
    }
    return 1;
}
