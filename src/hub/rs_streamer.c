/* SPDX-License-Identifier: Apache-2.0
 *
 * The streamer's loop, and the life of a client from attach to close. One turn: take what the
 * poller reports, then the inbox, then deadlines. Nothing in here waits for anything else.
 */
#include <apr_thread_proc.h>
#include <stdlib.h>
#include <string.h>

#include "../base/rs_buf.h"
#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "../proto/rs_sse.h"
#include "rs_engine.h"
#include "rs_feed.h"
#include "rs_hub.h"
#include "rs_profile.h"
#include "rs_source.h"

#define LINGER apr_time_from_sec(2)
/* A client that takes nothing for so long is ended. */
#define STALL apr_time_from_sec(300)

struct rs_streamer_t {
    rs_engine_t *engine;
    rs_poll_t *poll;
    rs_inbox_t inbox;
    apr_thread_t *thread;
    apr_pool_t *p; /* this thread's */
    int ended;     /* atomic */
    int joined;    /* engine */

    rs_msg_t drain_msg; /* engine posts it once, with: */
    apr_interval_time_t spread, limit;

    /* This thread's. */
    rs_wheel_t wheel;
    rs_buf_t buf;
    rs_feed_calls_t calls;
    apr_uint64_t jitter;
    apr_time_t now;
    apr_time_t drain_until; /* 0: not draining */
    int clients;
    rs_client_t *released; /* ended in this turn, linked by msg.next */
};

#define CLIENT_OF_TIMER(t) ((rs_client_t *)((char *)(t)-offsetof(rs_client_t, timer)))

/* --- the end of a client --- */

/* The client is closed now and given to the hub at the end of the turn: the poller may have
 * reported it twice. */
static void release(rs_streamer_t *s, rs_client_t *client)
{
    rs_wheel_unset(&s->wheel, &client->timer);
    rs_poll_del(s->poll, client->fd);
    rs_feed_leave(client);
    client->transport->close(client);
    client->fd = -1;
    s->clients--;
    RS_STAT_SUB(s->engine->stats->connections, 1);
    client->msg.next = (rs_msg_t *)s->released;
    s->released = client;
}

static void give_back_released(rs_streamer_t *s)
{
    while (s->released) {
        rs_client_t *client = s->released;

        s->released = (rs_client_t *)client->msg.next;
        rs_hub_post(s->engine->hub, &client->msg, RS_MSG_RELEASE);
    }
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
    if (client->pinned || !rs_buf_ok(&s->buf) || !rs_client_own(client, s->buf.data, s->buf.len)) {
        release(s, client);
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

static void on_gone(void *baton, rs_client_t *client) { release(baton, client); }

/* What this reader would need next is no longer kept. */
static void on_lost(void *baton, rs_client_t *client)
{
    rs_streamer_t *s = baton;

    RS_STAT_ADD(s->engine->stats->lost_slow, 1);
    end(s, client, "reset", "Stream ended", "this reader's position is no longer kept",
        client->profile->retry);
}

/* --- deadlines --- */

/* When the client was written to last. */
static apr_time_t last_out(const rs_client_t *client)
{
    return client->state == RS_LIVE && client->feed->last_out > client->last_out
               ? client->feed->last_out
               : client->last_out;
}

static void set_deadline(rs_streamer_t *s, rs_client_t *client)
{
    apr_interval_time_t beat = client->profile->heartbeat;
    apr_time_t due = s->now + apr_time_from_sec(3600);

    if (client->state == RS_CLOSING || client->state == RS_LINGER) {
        due = client->deadline;
    }
    else if (client->pinned || client->wants_out) {
        due = client->last_out + STALL;
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

/* The id of a reader that has everything below `seq`: the source's position, if nothing has been
 * appended since. The position is read first: the hub appends before it publishes one. */
static const char *position(rs_topic_t *topic, apr_uint64_t seq, char buf[RS_CURSOR_LEN])
{
    rs_cursor_t cursor;

    rs_source_cursor(topic->source, topic, &cursor);
    if (rs_topic_next(topic) != seq) {
        return NULL;
    }
    buf[rs_cursor_format(buf, &cursor)] = '\0';
    return buf;
}

static void heartbeat(rs_streamer_t *s, rs_client_t *client)
{
    rs_sse_who_t who = {client->profile->name, client->tenant_json, client->user_json};
    char buf[RS_CURSOR_LEN];
    const char *id = position(client->follow->topic, client->feed->seq, buf);

    if (!id) {
        rs_wheel_set(&s->wheel, &client->timer, s->now); /* an event is on its way anyway */
        return;
    }
    rs_buf_clear(&s->buf);
    rs_sse_heartbeat(&s->buf, &who, id, apr_time_now(), client->profile->heartbeat_comment);
    if (!rs_buf_ok(&s->buf) || !rs_client_own(client, s->buf.data, s->buf.len)) {
        release(s, client);
        return;
    }
    if (client->pinned) {
        rs_feed_exit(client);
        want_out(s, client, 1);
    }
    set_deadline(s, client);
}

static void on_deadline(rs_streamer_t *s, rs_client_t *client)
{
    apr_interval_time_t beat = client->profile->heartbeat;

    if (client->state == RS_CLOSING || client->state == RS_LINGER) {
        if (s->now >= client->deadline) {
            release(s, client);
            return;
        }
    }
    else if (client->expires && s->now >= client->expires) {
        end(s, client, "token_expired", "Stream ended", "the token has expired",
            client->profile->retry);
        return;
    }
    else if (client->state == RS_LIVE) {
        if (beat && s->now >= last_out(client) + beat - beat / 8) {
            heartbeat(s, client);
            return;
        }
    }
    else if (s->now >= client->last_out + STALL) {
        release(s, client);
        return;
    }
    set_deadline(s, client);
}

/* --- attach and go on --- */

/* Moves a client that is BEHIND on towards the others. */
static void go_on(rs_streamer_t *s, rs_client_t *client)
{
    int rv = rs_client_flush(client);

    if (rv == 1 && client->state == RS_CLOSING) {
        linger(s, client);
        return;
    }
    if (rv == 1) {
        rv = rs_client_catch_up(client, client->feed->seq);
    }
    if (rv == -2) {
        on_lost(s, client);
        return;
    }
    if (rv < 0) {
        release(s, client);
        return;
    }
    if (rv == 1 && client->seq == client->feed->seq) {
        if (!rs_feed_enter(client)) {
            release(s, client);
            return;
        }
        want_out(s, client, 0);
    }
    else {
        want_out(s, client, 1);
    }
    set_deadline(s, client);
}

static void on_behind(void *baton, rs_client_t *client)
{
    rs_streamer_t *s = baton;

    want_out(s, client, 1);
    set_deadline(s, client);
}

/* The first bytes after the headers: the verdict, and where the reader stands (left out when an
 * event came in this very moment: it brings its own id). */
static int greet(rs_streamer_t *s, rs_client_t *client)
{
    rs_sse_who_t who = {client->profile->name, client->tenant_json, client->user_json};
    char buf[RS_CURSOR_LEN];

    rs_buf_clear(&s->buf);
    rs_sse_connected(&s->buf, &who, client->profile->retry,
                     position(client->follow->topic, client->seq, buf), apr_time_now(),
                     client->brought_cursor ? "reset" : "new",
                     client->brought_cursor ? "unknown" : NULL);
    return rs_buf_ok(&s->buf) && rs_client_own(client, s->buf.data, s->buf.len);
}

static void attach(rs_streamer_t *s, rs_client_t *client)
{
    apr_status_t rv;

    client->state = RS_BEHIND;
    client->last_out = s->now;
    s->clients++;
    RS_STAT_ADD(s->engine->stats->connections, 1);
    rv = rs_poll_add(s->poll, client->fd, RS_POLL_IN, client);
    if (rv != APR_SUCCESS) {
        rs_log(RS_LOG_ERR, rv, RSLOGNO(0101) "cannot watch a connection, it is closed");
        release(s, client);
        return;
    }
    if (s->drain_until) {
        end_draining(s, client);
        return;
    }
    if (!rs_feed_join(client->follow, client) || !greet(s, client)) {
        release(s, client);
        return;
    }
    /* A feed that others joined earlier may be behind this client: catch it up first. */
    rs_feed_flush(client->feed, &s->calls, s->now);
    go_on(s, client);
}

/* Bytes from the peer mean nothing on an SSE stream; their end means it is gone. */
static void on_input(rs_streamer_t *s, rs_client_t *client)
{
    char buf[4096];
    ssize_t n;
    int turns = 4;

    do {
        n = client->transport->read(client, buf, sizeof(buf));
    } while (n > 0 && --turns);
    if (n < 0) {
        release(s, client);
    }
}

static void on_event(rs_streamer_t *s, const rs_poll_event_t *event)
{
    rs_client_t *client = event->data;

    if (client->fd >= 0 && (event->events & (RS_POLL_IN | RS_POLL_HUP))) {
        on_input(s, client);
    }
    if (client->fd >= 0 && (event->events & RS_POLL_OUT) && client->wants_out) {
        go_on(s, client);
    }
}

/* --- the inbox and the loop --- */

static void on_dirty(rs_streamer_t *s, rs_follow_t *follow)
{
    rs_feed_t *feed, *next;

    /* Before looking: what is appended from here on posts again. */
    __atomic_store_n(&follow->queued, 0, __ATOMIC_SEQ_CST);
    for (feed = follow->feeds; feed; feed = next) {
        next = feed->next;
        rs_feed_flush(feed, &s->calls, s->now);
    }
}

static void drain(rs_streamer_t *s)
{
    rs_client_t *all = NULL, *next;
    rs_timer_t *timer;

    s->drain_until = s->now + s->limit;
    /* First out of the wheel, all of them: ending a client puts it back there. */
    while ((timer = rs_wheel_any(&s->wheel))) {
        rs_client_t *client = CLIENT_OF_TIMER(timer);

        client->msg.next = (rs_msg_t *)all;
        all = client;
    }
    for (; all; all = next) {
        next = (rs_client_t *)all->msg.next;
        if (all->state == RS_CLOSING || all->state == RS_LINGER) {
            set_deadline(s, all);
        }
        else {
            end_draining(s, all);
        }
    }
}

static void on_message(rs_streamer_t *s, rs_msg_t *msg)
{
    switch (msg->kind) {
    case RS_MSG_ATTACH:
        attach(s, (rs_client_t *)msg);
        break;
    case RS_MSG_DIRTY:
        on_dirty(s, (rs_follow_t *)msg);
        break;
    case RS_MSG_UNFOLLOW:
        rs_hub_post(s->engine->hub, msg, RS_MSG_UNFOLLOWED);
        break;
    case RS_MSG_DRAIN:
        drain(s);
        break;
    default:
        break;
    }
}

static int over(const rs_streamer_t *s)
{
    return s->drain_until && (s->clients == 0 || s->now >= s->drain_until);
}

static void *APR_THREAD_FUNC run(apr_thread_t *thread __attribute__((unused)), void *data)
{
    rs_streamer_t *s = data;
    rs_poll_event_t events[256];
    rs_timer_t *timer;
    rs_msg_t *msg, *next;
    int i, n;

    s->now = rs_clock_now();
    rs_wheel_init(&s->wheel, s->now);
    while (!over(s)) {
        n = rs_poll_wait(s->poll, events, 256,
                         s->wheel.armed ? s->wheel.next - s->now : apr_time_from_sec(10));
        s->now = rs_clock_now();
        for (i = 0; i < n; i++) {
            on_event(s, &events[i]);
        }
        for (msg = rs_inbox_drain(&s->inbox); msg; msg = next) {
            next = msg->next;
            on_message(s, msg);
        }
        while ((timer = rs_wheel_due(&s->wheel, s->now))) {
            on_deadline(s, CLIENT_OF_TIMER(timer));
        }
        give_back_released(s);
    }
    for (msg = rs_inbox_close(&s->inbox); msg; msg = next) {
        next = msg->next;
        if (msg->kind == RS_MSG_ATTACH) {
            rs_hub_post(s->engine->hub, msg, RS_MSG_RELEASE);
        }
    }
    while ((timer = rs_wheel_any(&s->wheel))) {
        release(s, CLIENT_OF_TIMER(timer));
    }
    give_back_released(s);
    rs_buf_free(&s->buf);
    __atomic_store_n(&s->ended, 1, __ATOMIC_RELEASE);
    return NULL;
}

apr_status_t rs_streamer_create(rs_streamer_t **out, apr_pool_t *pchild, rs_engine_t *engine,
                                int index)
{
    rs_streamer_t *s = apr_pcalloc(pchild, sizeof(*s));
    apr_status_t rv;

    s->engine = engine;
    s->jitter = (apr_uint64_t)rs_clock_now() * 2654435761u + (apr_uint64_t)index + 1;
    s->calls.gone = on_gone;
    s->calls.behind = on_behind;
    s->calls.lost = on_lost;
    s->calls.baton = s;
    rv = rs_poll_create(&s->poll, pchild);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rs_inbox_open(&s->inbox, s->poll);
    *out = s;
    return apr_thread_create(&s->thread, NULL, run, s, pchild);
}

int rs_streamer_post(rs_streamer_t *s, rs_msg_t *msg, int kind)
{
    return rs_inbox_post(&s->inbox, msg, kind);
}

void rs_streamer_drain(rs_streamer_t *s, apr_interval_time_t spread, apr_interval_time_t limit)
{
    s->spread = spread;
    s->limit = limit;
    rs_inbox_post(&s->inbox, &s->drain_msg, RS_MSG_DRAIN);
}

int rs_streamer_ended(rs_streamer_t *s) { return __atomic_load_n(&s->ended, __ATOMIC_ACQUIRE); }

void rs_streamer_join(rs_streamer_t *s)
{
    apr_status_t ignored;

    apr_thread_join(&ignored, s->thread);
}
