/* SPDX-License-Identifier: Apache-2.0
 *
 * The fan-out loop. The streamer's thread; takes the topic's lock only to copy pointers.
 */
#include <stdlib.h>
#include <sys/socket.h>

#include "rs_feed.h"
#include "../base/rs_clock.h"
#include "../wire/rs_frames.h"
#include "rs_output.h"
#include "../log/rs_accepted.h"
#include "../log/rs_profile.h"
#include "../log/rs_source.h"
#include "../log/rs_verdict.h"

/* Enough to fill a socket's room with small events; few enough that a slow step stays short. */
#define BATCH 64
/* What one write may be expected to take, where events are large. */
#define BATCH_DATA ((size_t)256 * 1024)
/* Then others on this streamer have their turn: to compress this much takes a hundredth of a
 * second. */
#define BATCHES 4
#define FLUSH_DATA (BATCHES * BATCH_DATA)

typedef struct {
    rs_event_t *events[BATCH];
    int index[BATCH]; /* of each chosen one in what was read */
    struct iovec iov[BATCH];
    int n;
    int directed; /* one event for one user: the others must not see it */
    int broken;   /* memory was short for a frame: nobody can be given that event */
    size_t bytes;
    size_t data; /* that these were framed from */
} batch_t;

/* Not raised from where it was: ids may have gone backwards. While its topic is being broken it has
 * no place there (no event has this number) and is entered by nobody. */
static void begin_at_end(rs_feed_t *feed)
{
    rs_topic_t *topic = feed->follow->topic;

    feed->losses = rs_source_cursor(topic->source, topic, &feed->pos);
    feed->seq = rs_topic_tail(topic, &feed->pos);
    if (rs_topic_losses(topic) != feed->losses) {
        feed->seq = 0;
    }
}

/* Takes the subscription over. */
static rs_feed_t *join(rs_follow_t *follow, rs_client_t *client, rs_subscription_t *subscription)
{
    rs_feed_t *feed = follow->feeds;

    while (feed
           && (feed->profile != client->profile
               || !rs_subscription_same(feed->subscription, subscription))) {
        feed = feed->next;
    }
    if (feed || !(feed = calloc(1, sizeof(*feed)))) {
        free(subscription);
    }
    if (!feed) {
        return NULL;
    }
    if (!feed->follow) {
        feed->follow = follow;
        feed->profile = client->profile;
        feed->subscription = subscription;
        feed->accepted = client->accepted;
        /* At the topic's end, wherever the client stands: it comes up by itself. What is published
         * was appended before, so the position is read first. */
        begin_at_end(feed);
        feed->next = follow->feeds;
        follow->feeds = feed;
    }
    feed->members++;
    client->feed = feed;
    client->subscription = feed->subscription;
    return feed;
}

rs_feed_t *rs_feed_join(rs_follow_t *follow, rs_client_t *client)
{
    return join(follow, client, NULL);
}

static void release(rs_feed_t *feed)
{
    rs_feed_t **link;

    if (--feed->members == 0) {
        for (link = &feed->follow->feeds; *link != feed; link = &(*link)->next) {
        }
        *link = feed->next;
        free(feed->subscription);
        free(feed->slots);
        free(feed);
    }
}

void rs_feed_leave(rs_client_t *client)
{
    rs_feed_t *feed = client->feed;

    if (!feed) {
        return;
    }
    if (client->state == RS_LIVE) {
        rs_feed_exit(client);
    }
    client->feed = NULL;
    client->subscription = NULL;
    release(feed);
}

int rs_feed_enter(rs_client_t *client)
{
    rs_feed_t *feed = client->feed;

    if (feed->live == feed->size) {
        int size = feed->size ? feed->size * 2 : 4;
        rs_slot_t *slots = realloc(feed->slots, (size_t)size * sizeof(*slots));

        if (!slots) {
            return 0;
        }
        feed->slots = slots;
        feed->size = size;
    }
    if (!feed->live || rs_cursor_within(&client->resume->from, &feed->from)) {
        feed->from = client->resume->from;
    }
    client->slot = feed->live++;
    client->state = RS_LIVE;
    client->since = rs_clock_now();
    client->events -= feed->sent;
    client->deadline = client->resume->until;
    free(client->resume);
    client->resume = NULL;
    feed->slots[client->slot].client = client;
    feed->slots[client->slot].fd =
        client->conn.transport == &rs_transport_socket ? client->conn.fd : -1;
    return 1;
}

apr_time_t rs_feed_last_out(const rs_client_t *client)
{
    const rs_feed_t *feed = client->feed;

    return client->state == RS_LIVE && feed->last_out > client->last_out
                   && feed->last_out > client->since
               ? feed->last_out
               : client->last_out;
}

int rs_feed_exit(rs_client_t *client)
{
    rs_feed_t *feed = client->feed;
    rs_slot_t *last = &feed->slots[--feed->live];

    feed->slots[client->slot] = *last;
    last->client->slot = client->slot;
    client->last_out = rs_feed_last_out(client);
    client->state = RS_BEHIND;
    client->events += feed->sent;
    client->seq = feed->seq;
    client->resume = calloc(1, sizeof(*client->resume));
    if (!client->resume) {
        return 0;
    }
    client->resume->own = feed->pos;
    client->resume->from = feed->from;
    client->resume->losses = feed->losses;
    client->resume->until = client->deadline;
    return 1;
}

int rs_feed_move(rs_client_t *client, rs_subscription_t *subscription)
{
    rs_feed_t *feed = client->feed;

    if (client->state == RS_LIVE && !rs_feed_exit(client)) {
        free(subscription);
        return 0;
    }
    if (!join(feed->follow, client, subscription)) {
        return 0;
    }
    release(feed);
    return 1;
}

static ssize_t write_slot(const rs_slot_t *slot, const struct iovec *iov, int n)
{
    struct msghdr msg = {0};
    ssize_t written;

    if (slot->fd < 0) {
        return slot->client->conn.transport->writev(&slot->client->conn, iov, n);
    }
    msg.msg_iov = (struct iovec *)iov;
    msg.msg_iovlen = (size_t)n;
    written = sendmsg(slot->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    /* Not the full amount is the rare case: there the transport tells "full" from "gone". */
    return written < 0 ? slot->client->conn.transport->writev(&slot->client->conn, iov, n)
                       : written;
}

/* Takes over the event's position. */
static void position_after(const rs_feed_t *feed, const rs_event_t *event, rs_cursor_t *pos)
{
    rs_cursor_t after = feed->pos;

    if (rs_event_cursor(event, &after)) {
        *pos = after;
    }
}

/* The client took only part of the batch (or nothing): from here it goes on by itself. 0 when
 * memory is short. */
static int fall_behind(rs_client_t *client, const batch_t *batch, ssize_t written)
{
    rs_feed_t *feed = client->feed;
    int i, complete, sent;

    if (!rs_feed_exit(client)) {
        return 0;
    }
    rs_output_pin(client, batch->events, batch->iov, batch->n, (size_t)written, &complete);
    sent = complete + (client->pinned != NULL);
    if (sent) {
        client->seq += (apr_uint64_t)batch->index[sent - 1] + 1;
        position_after(feed, batch->events[sent - 1], &client->resume->own);
    }
    for (i = 0; i < sent; i++) {
        client->events += !batch->events[i]->notice;
        rs_output_count(client->topic, batch->events[i], 1, 0);
    }
    return 1;
}

static void send_to_all(rs_feed_t *feed, const batch_t *batch, const rs_feed_calls_t *calls,
                        apr_time_t now)
{
    apr_uint64_t delivered = 0, filtered = 0;
    int i = 0;

    while (i < feed->live) {
        rs_client_t *client = feed->slots[i].client;
        ssize_t written;

        if (batch->directed && !rs_client_wants(client, batch->events[0])) {
            filtered++;
            i++;
            continue;
        }
        written = batch->broken ? -1 : write_slot(&feed->slots[i], batch->iov, batch->n);
        if (written == (ssize_t)batch->bytes) {
            if (batch->directed) { /* of what is for all the feed keeps count */
                client->events += !batch->events[0]->notice;
                client->last_out = now;
            }
            delivered++;
            i++;
        }
        else if (written < 0 || !fall_behind(client, batch, written)) {
            calls->gone(calls->baton, client);
        }
        else {
            calls->behind(calls->baton, client);
        }
    }
    for (i = 0; i < batch->n; i++) {
        feed->sent += !batch->directed && !batch->events[i]->notice;
        rs_output_count(feed->follow->topic, batch->events[i], delivered, filtered);
    }
}

/* Fills the batch with what the endpoint wants and returns how many of the n events that covers:
 * all, or those that are enough for one write, or those before a directed one, or that one alone.
 */
static int choose(const rs_feed_t *feed, rs_event_t **events, int n, batch_t *batch)
{
    int i;

    batch->n = 0;
    batch->bytes = batch->data = 0;
    batch->directed = batch->broken = 0;
    for (i = 0; i < n && !batch->directed && batch->data < BATCH_DATA; i++) {
        rs_event_t *e = events[i];
        rs_text_t bytes;

        if (!rs_profile_wants(feed->profile, rs_event_type(e).data, e->type_len)
            || !rs_subscription_wants(feed->subscription, rs_event_type(e).data, e->type_len)) {
            rs_output_count(feed->follow->topic, e, 0, (apr_uint64_t)feed->live);
            continue;
        }
        if (feed->profile->user_only && e->user_len) {
            if (batch->n) {
                break;
            }
            batch->directed = 1;
        }
        batch->events[batch->n] = e;
        batch->index[batch->n] = i;
        bytes = rs_frames_get(feed->profile->wire, e, &feed->follow->topic->tags);
        batch->broken |= !bytes.data;
        batch->iov[batch->n].iov_base = (char *)bytes.data;
        batch->iov[batch->n++].iov_len = bytes.len;
        batch->bytes += bytes.len;
        batch->data += e->data_len;
    }
    return i;
}

/* Of a wire with one batch: each of them that one of these events is for gets it by itself, and
 * ends. */
static void wake(rs_feed_t *feed, rs_event_t *const *events, int n, const rs_feed_calls_t *calls)
{
    int slot, i;

    for (slot = feed->live - 1; slot >= 0; slot--) {
        rs_client_t *client = feed->slots[slot].client;

        for (i = 0; i < n && !rs_client_wants(client, events[i]); i++) {
        }
        if (i < n) {
            (rs_feed_exit(client) ? calls->behind : calls->gone)(calls->baton, client);
        }
    }
}

int rs_feed_flush(rs_feed_t *feed, const rs_feed_calls_t *calls, apr_time_t now)
{
    rs_event_t *events[BATCH];
    batch_t batch;
    size_t data = 0;
    int i, n = 0, done, turn;

    feed->members++; /* the callbacks may end every client: the feed must outlive the loop */
    for (turn = 0; turn < BATCHES && data < FLUSH_DATA; turn++) {
        n = rs_topic_read(feed->follow->topic, feed->seq, 0, events, BATCH);
        if (n <= 0) {
            break;
        }
        if (feed->profile->wire->one_batch) {
            wake(feed, events, n, calls);
        }
        for (done = 0; done < n && data < FLUSH_DATA;) {
            int covered = choose(feed, events + done, n - done, &batch);

            if (batch.n) {
                send_to_all(feed, &batch, calls, now);
                feed->last_out = batch.directed || !feed->live ? feed->last_out : now;
            }
            data += batch.data;
            feed->seq += (apr_uint64_t)covered;
            done += covered;
            position_after(feed, events[done - 1], &feed->pos);
        }
        for (i = 0; i < n; i++) {
            rs_event_drop(events[i]);
        }
    }
    if (feed->live) {
        rs_accepted_move(feed->accepted, &feed->from, &feed->pos);
    }
    if (n < 0) {
        while (feed->live) {
            rs_client_t *client = feed->slots[feed->live - 1].client;

            if (rs_feed_exit(client)) {
                calls->lost(calls->baton, client);
            }
            else {
                calls->gone(calls->baton, client);
            }
        }
        begin_at_end(feed);
    }
    release(feed);
    return turn == BATCHES || data >= FLUSH_DATA;
}

int rs_feed_up_to_date(rs_feed_t *feed)
{
    rs_topic_t *topic = feed->follow->topic;
    rs_cursor_t cursor;
    unsigned losses = rs_source_cursor(topic->source, topic, &cursor);

    if (rs_topic_losses(topic) != losses || rs_topic_next(topic) != feed->seq) {
        return 0;
    }
    /* The feed may already have what has not been published yet. */
    rs_cursor_raise(&feed->pos, &cursor);
    return 1;
}
