/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a client on its streamer: greeted, brought up to the others, kept alive, ended. The
 * streamer's thread; nothing in here waits.
 *
 *   attach ─► BEHIND ─► LIVE ─► BEHIND (its socket was full) ─► …   any ─► CLOSING ─► LINGER
 *              │ ▲
 *              ▼ │ the topic does not hold what comes next
 *             fetch
 */
#include <stdlib.h>
#include <string.h>

#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "../log/rs_accepted.h"
#include "../log/rs_profile.h"
#include "../log/rs_source.h"
#include "../wire/rs_wire.h"
#include "rs_catch_up.h"
#include "rs_deliver.h"
#include "rs_due.h"
#include "rs_end.h"
#include "rs_feed.h"
#include "rs_gated.h"
#include "rs_hear.h"
#include "rs_life.h"
#include "rs_order.h"
#include "rs_output.h"
#include "rs_renew.h"
#include "rs_watch.h"

/* A client that takes nothing for so long is ended while such clients hold too much memory: not at
 * once, which would hit those that are only slow. */
#define STUCK apr_time_from_sec(10)

static void go(rs_streamer_t *s, rs_client_t *client, rs_next_t next);
static void go_on(rs_streamer_t *s, rs_client_t *client);

/* --- deadlines --- */

static void set_deadline(rs_streamer_t *s, rs_client_t *client)
{
    rs_output_note(client);
    rs_wheel_set(&s->wheel, &client->timer, rs_due(s, client));
}

/* Sends s->buf. 0: the client is gone, and released. */
static int send_buf(rs_streamer_t *s, rs_client_t *client)
{
    if (!rs_output_buf(client, &s->buf)) {
        rs_end_release(s, client);
        return 0;
    }
    return 1;
}

static int heartbeat(rs_streamer_t *s, rs_client_t *client, const rs_cursor_t *pos)
{
    rs_who_t who = rs_output_who(client);
    char id[RS_CURSOR_LEN];

    rs_buf_clear(&s->buf);
    client->profile->wire->heartbeat(&s->buf, &who, rs_output_id(client, pos, id), apr_time_now(),
                                     client->profile->heartbeat_style);
    return send_buf(s, client);
}

/* After a frame of its own: if that did not fit, the feed writes to it no more. */
static void settle(rs_streamer_t *s, rs_client_t *client)
{
    if (client->pinned) {
        if (client->state == RS_LIVE && !rs_feed_exit(client)) {
            rs_end_release(s, client);
            return;
        }
        rs_watch_out(s, client, 1);
    }
    set_deadline(s, client);
}

static void live_heartbeat(rs_streamer_t *s, rs_client_t *client)
{
    if (!rs_feed_up_to_date(client->feed)) {
        rs_wheel_set(&s->wheel, &client->timer, s->now); /* an event is on its way anyway */
        return;
    }
    if (heartbeat(s, client, &client->feed->pos)) {
        settle(s, client);
    }
}

/* Whether nothing was heard of it for as long as that may be. */
static int is_silent(const rs_streamer_t *s, const rs_client_t *client)
{
    apr_time_t due = rs_hear_due(client);

    return due && s->now >= due && !rs_due_blocked(client);
}

/* Whether it has not finished what it has begun to say for as long as that may be. */
static int is_dawdling(const rs_streamer_t *s, const rs_client_t *client)
{
    apr_time_t due = rs_hear_finish_due(client);

    return due && s->now >= due && !rs_due_blocked(client);
}

/* Whether it has taken nothing for longer than that may be. */
static int is_stuck(const rs_streamer_t *s, const rs_client_t *client)
{
    apr_time_t since = rs_due_stuck_since(client);

    return s->now >= since + rs_due_patience(client)
           || (s->now >= since + STUCK && rs_output_pins_too_much(client));
}

static void end_stale(rs_streamer_t *s, rs_client_t *client)
{
    if (client->profile->wire->peer) {
        RS_STAT_ADD(s->common->stats->stale, 1);
    }
    rs_gated_reason(client, "error");
    rs_end_release(s, client);
}

/* Something is to be heard of it. */
static void ask(rs_streamer_t *s, rs_client_t *client)
{
    if (is_dawdling(s, client)) {
        rs_end_unfinished(s, client);
    }
    else if (rs_hear_ask(s, client) == RS_NEXT_GO) {
        settle(s, client);
    }
    else {
        end_stale(s, client);
    }
}

/* 1: it was time to ask it for a new token. */
static int challenge(rs_streamer_t *s, rs_client_t *client)
{
    apr_time_t due = rs_renew_challenge_due(client);

    if (!due || s->now < due || rs_due_blocked(client)) {
        return 0;
    }
    if (rs_renew_challenge(s, client) == RS_NEXT_GO) {
        settle(s, client);
    }
    else {
        rs_end_release(s, client);
    }
    return 1;
}

static void deadline(rs_streamer_t *s, rs_client_t *client)
{
    apr_interval_time_t beat = client->profile->heartbeat;
    int beat_due = beat && s->now >= rs_feed_last_out(client) + beat - beat / 8;

    if (client->state == RS_CLOSING || client->state == RS_LINGER) {
        if (s->now >= client->deadline) {
            rs_end_release(s, client);
            return;
        }
    }
    else if (rs_end_of_stay(s, client) || challenge(s, client)) {
        return;
    }
    else if (rs_deliver_due(client) && s->now >= rs_deliver_due(client)) {
        rs_next_t next = rs_deliver_expire(s, client);

        go(s, client, next);
        if (next != RS_NEXT_GO) {
            return;
        }
    }
    else if (rs_hear_has_rest(client) && !rs_due_blocked(client)) {
        rs_life_input(s, client, 0);
        return;
    }
    else if (is_dawdling(s, client) || is_silent(s, client)) {
        ask(s, client);
        return;
    }
    else if (client->state == RS_LIVE && client->profile->wire->one_batch) {
        if (s->now >= client->deadline) {
            go(s, client, RS_NEXT_DONE);
            return;
        }
    }
    else if (client->state == RS_LIVE) {
        if (beat_due) {
            live_heartbeat(s, client);
            return;
        }
    }
    else if (rs_due_blocked(client)) {
        if (is_stuck(s, client)) {
            end_stale(s, client);
            return;
        }
        if (rs_catch_up_too_slow(client)) {
            rs_end_slow(s, client);
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

void rs_life_deadline(rs_streamer_t *s, rs_client_t *client)
{
    (rs_due_is_lost(client)   ? end_stale
     : rs_gated_waits(client) ? set_deadline
                              : deadline)(s, client);
}

/* --- moving on --- */

static void go(rs_streamer_t *s, rs_client_t *client, rs_next_t next)
{
    switch (next) {
    case RS_NEXT_GO:
        break;
    case RS_NEXT_ROOM:
    case RS_NEXT_WAIT:
        rs_watch_out(s, client, next == RS_NEXT_ROOM);
        set_deadline(s, client);
        break;
    case RS_NEXT_GONE:
        rs_end_release(s, client);
        break;
    case RS_NEXT_SLOW:
        rs_end_slow(s, client);
        break;
    case RS_NEXT_MUTE:
        rs_end_mute(s, client);
        break;
    case RS_NEXT_FULL:
        rs_end_full(s, client);
        break;
    case RS_NEXT_LINGER:
        rs_end_linger(s, client);
        break;
    case RS_NEXT_DONE:
        rs_buf_clear(&s->buf);
        rs_end_with_buf(s, client);
        break;
    case RS_NEXT_LAST:
        rs_end_with_buf(s, client);
        break;
    }
}

/* Listens to it. 0: it ended, by what it said or otherwise. */
static int hear(rs_streamer_t *s, rs_client_t *client)
{
    rs_next_t next = rs_hear(s, client);

    go(s, client, next);
    return next == RS_NEXT_GO;
}

static void go_on(rs_streamer_t *s, rs_client_t *client)
{
    if (client->pinned) {
        rs_hear_begin_anew(s, client);
    }
    /* What it said while nothing could be answered. */
    if (rs_hear_listens(client) && (client->pinned || rs_hear_has_rest(client))
        && rs_output_flush(client) == 1 && !hear(s, client)) {
        return;
    }
    go(s, client, rs_catch_up(s, client));
}

void rs_life_output(rs_streamer_t *s, rs_client_t *client)
{
    if (client->wants_out) {
        go_on(s, client);
    }
    else if (client->conn.transport->writev(&client->conn, NULL, 0) < 0) {
        rs_end_release(s, client);
    }
    else {
        rs_watch(s, client);
    }
}

void rs_life_fetched(rs_streamer_t *s, rs_fetch_t *fetch)
{
    rs_client_t *client = fetch->client;

    go(s, client, rs_catch_up_fetched(s, fetch));
}

void rs_life_deliver(rs_streamer_t *s, rs_delivery_t *delivery)
{
    rs_client_t *client = delivery->client;

    go(s, client, rs_deliver_take(s, delivery));
}

static void on_gone(void *s, rs_client_t *client) { rs_end_release(s, client); }

static void on_behind(void *s, rs_client_t *client) { go(s, client, RS_NEXT_ROOM); }

static void on_lost(void *s, rs_client_t *client) { go(s, client, rs_catch_up_lost(s, client)); }

void rs_life_feed_calls(rs_streamer_t *s)
{
    s->calls.gone = on_gone;
    s->calls.behind = on_behind;
    s->calls.lost = on_lost;
    s->calls.baton = s;
}

/* --- the beginning --- */

/* The first bytes after the headers: the verdict, and where the reader stands. */
static int greet(rs_streamer_t *s, rs_client_t *client)
{
    rs_who_t who = rs_output_who(client);
    char id[RS_CURSOR_LEN], first[RS_ID_LEN], connection[RS_CONNECTION_ID_LEN];

    if (client->seat != RS_NO_SEAT && s->common->registry) {
        who.connection = rs_registry_id(s->common->registry, client->seat, connection);
    }
    rs_output_note(client);
    rs_id_format(first, client->first);
    rs_buf_clear(&s->buf);
    client->profile->wire->connected(&s->buf, &who, client->profile->retry,
                                     rs_output_id(client, &client->resume->own, id), apr_time_now(),
                                     client->recovery, client->reason,
                                     client->first.ms || client->first.seq ? first : NULL);
    return send_buf(s, client);
}

void rs_life_attach(rs_streamer_t *s, rs_client_t *client)
{
    apr_status_t rv;

    client->state = RS_BEHIND;
    client->last_out = s->now;
    s->clients++;
    rs_common_arrived(s->common);
    RS_STAT_ADD(s->common->stats->connections, 1);
    client->polled = RS_POLL_IN;
    rv = rs_poll_add(s->poll, client->conn.fd, RS_POLL_IN, client);
    if (rv != APR_SUCCESS) {
        rs_log(RS_LOG_ERR, rv, RSLOGNO(0101) "cannot watch a connection, it is closed");
        rs_end_release(s, client);
        return;
    }
    if (!rs_hear_begin(s, client)) {
        rs_end_release(s, client);
        return;
    }
    if (client->gate) {
        rs_renew_begin(s, client);
        go(s, client, rs_gated_begin(s, client));
        return;
    }
    if (s->drain_until) {
        rs_end_draining(s, client);
        return;
    }
    if (client->refused) {
        rs_end_refused(s, client);
        return;
    }
    if (!client->member && !rs_feed_join(client->follow, client)) {
        rs_end_release(s, client);
        return;
    }
    if (!rs_order_begin(s, client)) {
        return;
    }
    rs_renew_begin(s, client);
    if (greet(s, client) && (!rs_hear_listens(client) || hear(s, client))) {
        go_on(s, client);
    }
}

void rs_life_order(rs_streamer_t *s, rs_order_t *order)
{
    rs_command_t *command = order->command;
    rs_next_t next;
    int i;

    for (i = 0; i < command->ntickets; i++) {
        rs_client_t *client =
            rs_registry_served(s->common->registry, &command->tickets[i], s->index);

        if (client && command->code && rs_gated_waits(client)) {
            continue; /* it is marked, and ends when it is answered */
        }
        if (client && command->renews) {
            rs_renew_ordered(s, client, command);
        }
        else if (client && command->code) {
            rs_end_ordered(s, client, command->code, command->reason);
        }
        else if (client) {
            next = rs_order_send(s, client, command);
            if (next == RS_NEXT_GO) {
                settle(s, client);
            }
            else if (next != RS_NEXT_WAIT) {
                go(s, client, next);
            }
        }
    }
    rs_command_drop(command);
}

void rs_life_drain(rs_streamer_t *s, rs_client_t *client)
{
    if (client->state == RS_CLOSING || client->state == RS_LINGER || rs_gated_waits(client)) {
        set_deadline(s, client);
        return;
    }
    rs_end_draining(s, client);
}

void rs_life_go(rs_streamer_t *s, rs_client_t *client, rs_next_t next) { go(s, client, next); }

/* Bytes from a peer that nobody understands mean nothing; their end means it is gone. Of an answer
 * they mean that it was taken. */
static void skip(rs_streamer_t *s, rs_client_t *client)
{
    char buf[4096];
    ssize_t n;
    int turns = 4;

    do {
        n = client->conn.transport->read(&client->conn, buf, sizeof(buf));
        if (n > 0 && client->state == RS_LINGER && rs_end_is_answered(client)) {
            rs_accepted_move(client->accepted, &client->resume->from, &client->resume->own);
        }
    } while (n > 0 && --turns);
    if (n < 0) {
        rs_end_release(s, client);
    }
    else {
        rs_watch(s, client);
    }
}

/* Of one that has been told goodbye. */
static void hear_goodbye(rs_streamer_t *s, rs_client_t *client)
{
    rs_next_t next = rs_hear_goodbye(client);

    if (next == RS_NEXT_LINGER && client->state == RS_LINGER) {
        rs_end_linger(s, client);
    }
    else if (next == RS_NEXT_GONE) {
        rs_end_release(s, client);
    }
    else {
        rs_watch(s, client);
    }
}

void rs_life_input(rs_streamer_t *s, rs_client_t *client, int hung_up)
{
    if (rs_hear_awaits(client)) {
        hear_goodbye(s, client);
    }
    else if (!rs_hear_listens(client)) {
        skip(s, client);
    }
    else if (client->pinned && hung_up) {
        rs_end_release(s, client); /* nothing is read of it that would say so */
    }
    else if (hear(s, client)) {
        if (client->pinned) {
            settle(s, client);
        }
        else if (client->state == RS_BEHIND) {
            go_on(s, client);
        }
        if (client->conn.fd >= 0) {
            if (rs_hear_has_rest(client) || rs_hear_has_begun(s, client) || !client->timer.next) {
                set_deadline(s, client);
            }
            rs_watch(s, client);
        }
    }
}
