/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a client on its streamer: greeted, brought up to the others, kept alive, ended. The
 * streamer's thread; nothing in here waits.
 *
 *   attach ─► BEHIND ─► LIVE ─► BEHIND (its socket was full) ─► …        any ─► CLOSING ─► LINGER ─► gone
 *              │ ▲
 *              ▼ │ the topic does not hold what comes next
 *             fetch
 */
#include <stdlib.h>
#include <string.h>

#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "../proto/rs_sse.h"
#include "rs_fetch.h"
#include "rs_profile.h"
#include "rs_source.h"
#include "rs_streamer_int.h"

#define LINGER apr_time_from_sec(2)
/* A client that takes nothing for so long is ended. */
#define STALL apr_time_from_sec(300)
/* How long a reader waits before it asks again for what Redis could not give. */
#define FETCH_AGAIN apr_time_from_sec(1)

/* --- the end of a client --- */

/* What was fetched, or will be: nobody wants it any more. */
static void drop_fetch(rs_client_t *client)
{
    rs_fetch_t *fetch = client->fetch;

    client->fetch = NULL;
    if (fetch && fetch->in_flight) {
        fetch->client = NULL;
    }
    else if (fetch) {
        rs_fetch_free(fetch);
    }
}

/* The client is closed now and given to the hub at the end of the turn: the poller may have
 * reported it twice. */
void rs_life_release(rs_streamer_t *s, rs_client_t *client)
{
    rs_wheel_unset(&s->wheel, &client->timer);
    rs_poll_del(s->poll, client->fd);
    rs_feed_leave(client);
    drop_fetch(client);
    client->transport->close(client);
    client->fd = -1;
    s->clients--;
    RS_STAT_SUB(s->engine->stats->connections, 1);
    client->msg.next = (rs_msg_t *)s->released;
    s->released = client;
}

static void want_out(rs_streamer_t *s, rs_client_t *client, int wanted)
{
    if (client->wants_out != wanted) {
        client->wants_out = wanted;
        rs_poll_mod(s->poll, client->fd, RS_POLL_IN | (wanted ? RS_POLL_OUT : 0), client);
    }
}

/* Everything is written: say so to the peer and give it a moment to close first, so that its last
 * bytes do not turn our close into a reset that would take away what it has not read yet. */
static void linger(rs_streamer_t *s, rs_client_t *client)
{
    client->state = RS_LINGER;
    client->deadline = s->now + LINGER;
    client->transport->finish(client);
    want_out(s, client, 0);
    rs_wheel_set(&s->wheel, &client->timer, client->deadline);
}

/* Ends a stream with what is in s->buf as its last bytes. A client whose socket is full is just
 * closed if it was stuck within a frame: nothing may come in between. */
static void end_with_buf(rs_streamer_t *s, rs_client_t *client)
{
    if (client->state == RS_CLOSING || client->state == RS_LINGER) {
        return;
    }
    rs_feed_leave(client);
    drop_fetch(client);
    if (client->pinned || !rs_buf_ok(&s->buf) || !rs_client_own(client, s->buf.data, s->buf.len)) {
        rs_life_release(s, client);
        return;
    }
    if (client->pinned) {
        client->state = RS_CLOSING;
        client->deadline = s->now + LINGER;
        want_out(s, client, 1);
        rs_wheel_set(&s->wheel, &client->timer, client->deadline);
        return;
    }
    linger(s, client);
}

static void end(rs_streamer_t *s, rs_client_t *client, const char *code, const char *message,
                const char *error, apr_interval_time_t retry)
{
    rs_buf_clear(&s->buf);
    rs_sse_error(&s->buf, client->profile->name, code, message, error, retry);
    end_with_buf(s, client);
}

static void end_draining(rs_streamer_t *s, rs_client_t *client)
{
    apr_uint32_t spread = (apr_uint32_t)apr_time_as_msec(s->spread);

    end(s, client, "draining", "Stream ended", "the server is restarting, please reconnect",
        client->profile->retry + apr_time_from_msec(rs_jitter(&s->jitter, spread + 1)));
}

static void on_gone(void *baton, rs_client_t *client) { rs_life_release(baton, client); }

/* --- deadlines --- */

/* When the client was written to last. */
static apr_time_t last_out(const rs_client_t *client)
{
    return client->state == RS_LIVE && client->feed->last_out > client->last_out
               ? client->feed->last_out
               : client->last_out;
}

static int blocked(const rs_client_t *client) { return client->pinned || client->wants_out; }

static void set_deadline(rs_streamer_t *s, rs_client_t *client)
{
    apr_interval_time_t beat = client->profile->heartbeat;
    apr_time_t due = s->now + apr_time_from_sec(3600);

    if (client->state == RS_CLOSING || client->state == RS_LINGER) {
        due = client->deadline;
    }
    else if (client->state == RS_BEHIND) {
        due = blocked(client) ? client->last_out + STALL : client->deadline;
    }
    else if (beat) {
        /* Up to an eighth early: clients that all got the same event must not all be due at the
         * same moment. */
        due = last_out(client) + beat
              - rs_jitter(&s->jitter, (apr_uint32_t)(apr_time_as_msec(beat) / 8 + 1)) * 1000;
    }
    if (client->expires && client->expires < due) {
        due = client->expires;
    }
    rs_wheel_set(&s->wheel, &client->timer, due);
}

/* The feed has everything up to the source's position, if nothing has been appended since that was
 * read (the hub appends before it publishes a position). Then that is where its readers stand. */
static int up_to_date(rs_feed_t *feed)
{
    rs_topic_t *topic = feed->follow->topic;
    rs_cursor_t cursor;

    rs_source_cursor(topic->source, topic, &cursor);
    if (rs_topic_next(topic) != feed->seq) {
        return 0;
    }
    /* The feed may already have what has not been published yet. */
    rs_cursor_raise(&feed->pos, &cursor);
    return 1;
}

static const char *text_of(const rs_cursor_t *cursor, char buf[RS_CURSOR_LEN])
{
    buf[rs_cursor_format(buf, cursor)] = '\0';
    return buf;
}

static rs_sse_who_t who_is(const rs_client_t *client)
{
    rs_sse_who_t who = {client->profile->name, client->tenant_json, client->user_json};

    return who;
}

/* Sends s->buf. 0: the client is gone, and released. */
static int send_buf(rs_streamer_t *s, rs_client_t *client)
{
    if (!rs_buf_ok(&s->buf) || !rs_client_own(client, s->buf.data, s->buf.len)) {
        rs_life_release(s, client);
        return 0;
    }
    return 1;
}

static int heartbeat(rs_streamer_t *s, rs_client_t *client, const rs_cursor_t *pos)
{
    rs_sse_who_t who = who_is(client);
    char id[RS_CURSOR_LEN];

    rs_buf_clear(&s->buf);
    rs_sse_heartbeat(&s->buf, &who, text_of(pos, id), apr_time_now(),
                     client->profile->heartbeat_comment);
    return send_buf(s, client);
}

static void live_heartbeat(rs_streamer_t *s, rs_client_t *client)
{
    if (!up_to_date(client->feed)) {
        rs_wheel_set(&s->wheel, &client->timer, s->now); /* an event is on its way anyway */
        return;
    }
    if (!heartbeat(s, client, &client->feed->pos)) {
        return;
    }
    if (client->pinned) {
        if (!rs_feed_exit(client)) {
            rs_life_release(s, client);
            return;
        }
        want_out(s, client, 1);
    }
    set_deadline(s, client);
}

/* --- on towards the others --- */

/* Asks for what the topic does not hold. */
static void fetch(rs_streamer_t *s, rs_client_t *client)
{
    want_out(s, client, 0);
    client->fetch = rs_fetch_create(client, s, s->engine->hub);
    if (!client->fetch) {
        rs_life_release(s, client);
        return;
    }
    client->fetch->in_flight = 1;
    client->deadline = s->now + FETCH_AGAIN;
    rs_hub_post(s->engine->hub, &client->fetch->msg, RS_MSG_FETCH);
    set_deadline(s, client);
}

static void on_lost(void *baton, rs_client_t *client)
{
    rs_streamer_t *s = baton;

    RS_STAT_ADD(s->engine->stats->fetches, 1);
    fetch(s, client);
}

/* Its socket is full, or it has had its fair share of this turn. */
static void wait_for_room(rs_streamer_t *s, rs_client_t *client)
{
    want_out(s, client, 1);
    set_deadline(s, client);
}

static void wait_until(rs_streamer_t *s, rs_client_t *client, apr_time_t deadline)
{
    want_out(s, client, 0);
    client->deadline = deadline;
    set_deadline(s, client);
}

/* A gap that the reader has to be told of. 0: it is gone. */
static int tell_gap(rs_streamer_t *s, rs_client_t *client, rs_fetch_t *f)
{
    rs_sse_who_t who = who_is(client);
    char id[RS_CURSOR_LEN], first[RS_ID_LEN];

    rs_id_format(first, f->first);
    rs_buf_clear(&s->buf);
    rs_sse_reset(&s->buf, &who, text_of(&client->resume->own, id),
                 f->gap == RS_GAP_TRIMMED ? "trimmed" : "redis_reset",
                 f->own.n == 1 && f->gap == RS_GAP_TRIMMED ? first : NULL);
    if (f->gap == RS_GAP_REDIS_RESET) {
        client->resume->own = f->own; /* the old ids would be above all new ones */
    }
    f->gap = RS_GAP_NONE;
    return send_buf(s, client);
}

/* Sends what was fetched. 1: all of it, and the client stands behind it. */
static int use_fetch(rs_streamer_t *s, rs_client_t *client)
{
    rs_fetch_t *f = client->fetch;
    int done;

    if (f->gap && !tell_gap(s, client, f)) {
        return 0;
    }
    while (!client->pinned && f->next < f->n) {
        done = rs_client_send(client, f->events + f->next, f->n - f->next);
        if (done < 0) {
            rs_life_release(s, client);
            return 0;
        }
        f->next += done;
    }
    if (client->pinned) {
        wait_for_room(s, client);
        return 0;
    }
    client->resume->own = f->own;
    drop_fetch(client);
    client->seq = rs_topic_seek(client->topic, &client->resume->own);
    if (!client->seq) {
        fetch(s, client);
        return 0;
    }
    return 1;
}

static int not_beyond(const rs_cursor_t *own, const rs_cursor_t *pos)
{
    int k;

    for (k = 0; k < own->n; k++) {
        if (rs_id_cmp(own->pos[k], pos->pos[k]) > 0) {
            return 0;
        }
    }
    return 1;
}

/* The client has what the feed has: one of many from now on. */
static void join_live(rs_streamer_t *s, rs_client_t *client)
{
    rs_resume_t *resume = client->resume;

    /* It may know more than the hub has read (from another server, or by a fetch). */
    if (!up_to_date(client->feed) || !not_beyond(&resume->own, &client->feed->pos)) {
        wait_until(s, client, s->now + RS_WHEEL_TICK);
        return;
    }
    if (resume->announce) {
        rs_sse_who_t who = who_is(client);
        char id[RS_CURSOR_LEN];

        resume->announce = 0;
        rs_buf_clear(&s->buf);
        rs_sse_caught_up(&s->buf, &who, text_of(&client->feed->pos, id), resume->replayed);
        if (!send_buf(s, client)) {
            return;
        }
        if (client->pinned) {
            wait_for_room(s, client);
            return;
        }
    }
    if (!rs_feed_enter(client)) {
        rs_life_release(s, client);
        return;
    }
    want_out(s, client, 0);
    set_deadline(s, client);
}

/* Moves a client that is BEHIND on. */
static void go_on(rs_streamer_t *s, rs_client_t *client)
{
    int rv = rs_client_flush(client);

    if (rv < 0) {
        rs_life_release(s, client);
        return;
    }
    if (rv == 0) {
        wait_for_room(s, client);
        return;
    }
    if (client->state == RS_CLOSING) {
        linger(s, client);
        return;
    }
    if (client->fetch && client->fetch->in_flight) {
        wait_until(s, client, s->now + FETCH_AGAIN);
        return;
    }
    if (client->fetch && !use_fetch(s, client)) {
        return;
    }
    /* Others may have joined the feed before it heard of the newest events. */
    rs_feed_flush(client->feed, &s->calls, s->now);
    rv = rs_client_catch_up(client, client->feed->seq);
    if (rv == -1) {
        rs_life_release(s, client);
    }
    else if (rv == -2) {
        on_lost(s, client);
    }
    else if (rv == 0 || client->seq < client->feed->seq) {
        wait_for_room(s, client);
    }
    else {
        join_live(s, client);
    }
}

void rs_life_room(rs_streamer_t *s, rs_client_t *client) { go_on(s, client); }

void rs_life_fetched(rs_streamer_t *s, rs_fetch_t *f)
{
    rs_client_t *client = f->client;

    f->in_flight = 0;
    if (!client) {
        rs_fetch_free(f);
        return;
    }
    if (f->failed) {
        drop_fetch(client);
        client->seq = 0; /* no event has this number: it will ask again */
        wait_until(s, client, s->now + FETCH_AGAIN);
        return;
    }
    go_on(s, client);
}

static void on_behind(void *baton, rs_client_t *client) { wait_for_room(baton, client); }

void rs_life_feed_calls(rs_streamer_t *s)
{
    s->calls.gone = on_gone;
    s->calls.behind = on_behind;
    s->calls.lost = on_lost;
    s->calls.baton = s;
}

void rs_life_deadline(rs_streamer_t *s, rs_client_t *client)
{
    apr_interval_time_t beat = client->profile->heartbeat;
    int beat_due = beat && s->now >= last_out(client) + beat - beat / 8;

    if (client->state == RS_CLOSING || client->state == RS_LINGER) {
        if (s->now >= client->deadline) {
            rs_life_release(s, client);
            return;
        }
    }
    else if (client->expires && s->now >= client->expires) {
        end(s, client, "token_expired", "Stream ended", "the token has expired",
            client->profile->retry);
        return;
    }
    else if (client->state == RS_LIVE) {
        if (beat_due) {
            live_heartbeat(s, client);
            return;
        }
    }
    else if (blocked(client)) {
        if (s->now >= client->last_out + STALL) {
            rs_life_release(s, client);
            return;
        }
    }
    else {
        if (!beat_due || heartbeat(s, client, &client->resume->own)) {
            go_on(s, client);
        }
        return;
    }
    set_deadline(s, client);
}

/* --- the beginning --- */

/* The first bytes after the headers: the verdict, and where the reader stands. */
static int greet(rs_streamer_t *s, rs_client_t *client)
{
    rs_sse_who_t who = who_is(client);
    char id[RS_CURSOR_LEN], first[RS_ID_LEN];

    rs_id_format(first, client->first);
    rs_buf_clear(&s->buf);
    rs_sse_connected(&s->buf, &who, client->profile->retry, text_of(&client->resume->own, id),
                     apr_time_now(), client->recovery, client->reason,
                     client->first.ms || client->first.seq ? first : NULL);
    return send_buf(s, client);
}

void rs_life_attach(rs_streamer_t *s, rs_client_t *client)
{
    apr_status_t rv;

    client->state = RS_BEHIND;
    client->last_out = s->now;
    s->clients++;
    RS_STAT_ADD(s->engine->stats->connections, 1);
    rv = rs_poll_add(s->poll, client->fd, RS_POLL_IN, client);
    if (rv != APR_SUCCESS) {
        rs_log(RS_LOG_ERR, rv, RSLOGNO(0101) "cannot watch a connection, it is closed");
        rs_life_release(s, client);
        return;
    }
    if (s->drain_until) {
        end_draining(s, client);
        return;
    }
    if (client->refused) {
        end(s, client, client->refused, "Stream failed", "events cannot be read at the moment",
            client->profile->retry);
        return;
    }
    if (!rs_feed_join(client->follow, client)) {
        rs_life_release(s, client);
        return;
    }
    if (greet(s, client)) {
        go_on(s, client);
    }
}

void rs_life_drain(rs_streamer_t *s, rs_client_t *client)
{
    if (client->state == RS_CLOSING || client->state == RS_LINGER) {
        set_deadline(s, client);
        return;
    }
    end_draining(s, client);
}

/* Bytes from the peer mean nothing on an SSE stream; their end means it is gone. */
void rs_life_input(rs_streamer_t *s, rs_client_t *client)
{
    char buf[4096];
    ssize_t n;
    int turns = 4;

    do {
        n = client->transport->read(client, buf, sizeof(buf));
    } while (n > 0 && --turns);
    if (n < 0) {
        rs_life_release(s, client);
    }
}
