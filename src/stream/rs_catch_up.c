/* SPDX-License-Identifier: Apache-2.0
 *
 * How a client that is BEHIND comes up to the others: it sends what its socket could not take, then
 * from its topic, or what was fetched for it where the topic does not hold that any more, until it
 * has what its feed has. The streamer's thread; nothing in here waits.
 */
#include <stdlib.h>

#include "../proto/rs_sse.h"
#include "../log/rs_fetch.h"
#include "../group/rs_group.h"
#include "../log/rs_profile.h"
#include "../group/rs_share.h"
#include "../log/rs_source.h"
#include "rs_streamer_int.h"

/* How long a reader waits before it asks again for what Redis could not give. */
#define FETCH_AGAIN apr_time_from_sec(1)

/* What was fetched, or will be, or was to be delivered: nobody wants it any more. */
void rs_catch_up_forget(rs_client_t *client)
{
    rs_fetch_t *fetch = client->fetch;

    if (client->member) {
        rs_deliver_forget(client);
    }
    client->fetch = NULL;
    if (fetch && fetch->in_flight) {
        fetch->client = NULL;
    }
    else if (fetch) {
        rs_fetch_free(fetch);
    }
}

/* Its socket is full, or it has had its fair share of this turn. */
static void wait_for_room(rs_streamer_t *s, rs_client_t *client)
{
    rs_life_want_out(s, client, 1);
    rs_life_set_deadline(s, client);
}

static void wait_until(rs_streamer_t *s, rs_client_t *client, apr_time_t deadline)
{
    rs_life_want_out(s, client, 0);
    client->deadline = deadline;
    rs_life_set_deadline(s, client);
}

/* Asks for what the topic does not hold. */
static void fetch(rs_streamer_t *s, rs_client_t *client)
{
    RS_STAT_ADD(s->engine->stats->fetches, 1);
    rs_life_want_out(s, client, 0);
    client->fetch = rs_fetch_create(client, s, s->engine->hub);
    if (!client->fetch) {
        rs_life_release(s, client);
        return;
    }
    client->fetch->in_flight = 1;
    client->deadline = s->now + FETCH_AGAIN;
    rs_hub_post(s->engine->hub, &client->fetch->msg, RS_MSG_FETCH);
    rs_life_set_deadline(s, client);
}

int rs_catch_up_too_slow(const rs_client_t *client)
{
    /* Without a number it never was in the topic, and what is fetched comes from elsewhere. */
    return client->profile->slow_disconnect && client->wants_out && client->seq && !client->fetch
           && rs_topic_read(client->topic, client->seq, NULL, 0) < 0;
}

/* That something is missing before its position. 0: the reader is gone. */
static int tell_gap(rs_streamer_t *s, rs_client_t *client, const char *reason, rs_id_t oldest)
{
    rs_sse_who_t who = rs_life_who(client);
    char id[RS_CURSOR_LEN], first[RS_ID_LEN];

    rs_id_format(first, oldest);
    rs_buf_clear(&s->buf);
    rs_sse_reset(&s->buf, &who, rs_cursor_text(&client->resume->own, id), reason,
                 oldest.ms || oldest.seq ? first : NULL);
    return rs_life_send(s, client);
}

/* From its position on, in its topic; what that does not hold is asked of Redis. 0: it waits, or is
 * gone. What it is told moves its position, so it is told once. */
static int find_place(rs_streamer_t *s, rs_client_t *client)
{
    rs_id_t first;
    rs_resume_t *resume = client->resume;
    rs_verdict_kind_t kind = rs_verdict(client->topic, &resume->own, &resume->losses, &first);

    if (kind > RS_VERDICT_ASK && !tell_gap(s, client, rs_verdict_reason(kind), first)) {
        return 0;
    }
    client->seq = rs_topic_seek(client->topic, &client->resume->own);
    if (!client->seq) {
        fetch(s, client);
        return 0;
    }
    if (client->pinned) {
        wait_for_room(s, client);
        return 0;
    }
    return 1;
}

/* Its topic does not hold what comes next. */
static void on_lost(void *baton, rs_client_t *client)
{
    rs_streamer_t *s = baton;

    if (find_place(s, client)) {
        wait_until(s, client, s->now); /* not here: its feed is about to be left by others, too */
    }
}

/* More than it may be given: it goes on from what its topic holds. 0: it is gone. */
static int limit_replay(rs_streamer_t *s, rs_client_t *client)
{
    static const rs_id_t unknown;
    rs_resume_t *resume = client->resume;
    rs_cursor_t start = resume->own;

    resume->unmeasured = 0;
    rs_topic_start(client->topic, start.pos);
    rs_cursor_raise(&resume->own, &start);
    return tell_gap(s, client, "limit", unknown);
}

/* Sends what was fetched. 1: all of it, and the client stands behind it. */
static int use_fetch(rs_streamer_t *s, rs_client_t *client)
{
    rs_fetch_t *f = client->fetch;
    rs_resume_t *resume = client->resume;
    int done;

    resume->losses = f->losses;
    if (f->gap != RS_VERDICT_RESUMED) {
        resume->own = f->told; /* ids of before may be above all new ones */
        if (!tell_gap(s, client, rs_verdict_reason(f->gap), f->first)) {
            return 0;
        }
        f->gap = RS_VERDICT_RESUMED;
    }
    if (client->pinned) {
        wait_for_room(s, client);
        return 0;
    }
    done = rs_client_send(client, f->events + f->next, f->n - f->next);
    if (done < 0) {
        rs_life_release(s, client);
        return 0;
    }
    f->next += done;
    if (client->pinned || f->next < f->n) {
        wait_for_room(s, client);
        return 0;
    }
    resume->own = f->own;
    resume->scanned += f->scanned;
    rs_catch_up_forget(client);
    if (resume->unmeasured && resume->scanned > client->profile->replay_limit
        && !rs_topic_seek(client->topic, &resume->own) && !limit_replay(s, client)) {
        return 0;
    }
    return find_place(s, client);
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

/* It knows more than the hub has read (from another server, or by a fetch), and gets nothing of
 * that again. Whether Redis still has it is asked now and then. */
static void wait_for_hub(rs_streamer_t *s, rs_client_t *client)
{
    rs_resume_t *resume = client->resume;

    if (!resume->ahead) {
        resume->ahead = s->now + FETCH_AGAIN;
    }
    if (s->now >= resume->ahead) {
        resume->ahead = s->now + FETCH_AGAIN;
        fetch(s, client);
        return;
    }
    wait_until(s, client, s->now + RS_WHEEL_TICK);
}

/* The client has what the feed has: one of many from now on. */
static void join_live(rs_streamer_t *s, rs_client_t *client)
{
    rs_resume_t *resume = client->resume;

    if (!rs_feed_up_to_date(client->feed)) {
        wait_until(s, client, s->now + RS_WHEEL_TICK);
        return;
    }
    if (!not_beyond(&resume->own, &client->feed->pos)) {
        wait_for_hub(s, client);
        return;
    }
    if (resume->announce) {
        rs_sse_who_t who = rs_life_who(client);
        char id[RS_CURSOR_LEN];

        resume->announce = 0;
        rs_buf_clear(&s->buf);
        rs_sse_caught_up(&s->buf, &who, rs_cursor_text(&client->feed->pos, id), resume->replayed);
        if (!rs_life_send(s, client)) {
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
    rs_life_want_out(s, client, 0);
    rs_life_set_deadline(s, client);
}

/* Moves a client that is BEHIND on. */
void rs_catch_up(rs_streamer_t *s, rs_client_t *client)
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
        rs_life_linger(s, client);
        return;
    }
    if (client->member) {
        rs_deliver(s, client);
        return;
    }
    /* Here, too: one that is slow for hours always is in the middle of an event below. */
    rs_group_accept(client->group, &client->resume->from, &client->resume->own);
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
    if (!client->pinned) {
        rs_group_accept(client->group, &client->resume->from, &client->resume->own);
    }
    if (rv == -1) {
        rs_life_release(s, client);
    }
    else if (rv == -2 && rs_catch_up_too_slow(client)) {
        rs_life_end_slow(s, client);
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

void rs_catch_up_fetched(rs_streamer_t *s, rs_fetch_t *f)
{
    rs_client_t *client = f->client;

    f->in_flight = 0;
    if (!client) {
        rs_fetch_free(f);
        return;
    }
    if (f->failed) {
        rs_catch_up_forget(client);
        client->seq = 0; /* no event has this number: it will ask again */
        wait_until(s, client, s->now + FETCH_AGAIN);
        return;
    }
    rs_catch_up(s, client);
}

static void on_gone(void *baton, rs_client_t *client) { rs_life_release(baton, client); }

static void on_behind(void *baton, rs_client_t *client) { wait_for_room(baton, client); }

void rs_catch_up_feed_calls(rs_streamer_t *s)
{
    s->calls.gone = on_gone;
    s->calls.behind = on_behind;
    s->calls.lost = on_lost;
    s->calls.baton = s;
}
