/* SPDX-License-Identifier: Apache-2.0
 *
 * How a client that is BEHIND comes up to the others: it sends what its socket could not take, then
 * from its topic, or what was fetched for it where the topic does not hold that any more, until it
 * has what its feed has. The streamer's thread; nothing in here waits.
 */
#include <stdlib.h>
#include <string.h>

#include "../log/rs_accepted.h"
#include "../log/rs_ended.h"
#include "../log/rs_profile.h"
#include "../log/rs_source.h"
#include "../log/rs_verdict.h"
#include "../wire/rs_wire.h"
#include "rs_catch_up.h"
#include "rs_deliver.h"
#include "rs_gated.h"
#include "rs_output.h"

/* How long a reader waits before it asks again for what Redis could not give. */
#define FETCH_AGAIN apr_time_from_sec(1)

void rs_catch_up_forget(rs_client_t *client)
{
    rs_fetch_t *fetch = client->fetch;

    if (client->member) {
        rs_deliver_forget(client);
    }
    if (client->gate) {
        rs_gated_forget(client);
    }
    client->fetch = NULL;
    if (fetch && fetch->in_flight) {
        fetch->client = NULL;
    }
    else if (fetch) {
        rs_fetch_free(fetch);
    }
}

/* What a client has, its group has. One that is sent an answer says by itself when it has that
 * (rs_life_input): until then only what was not for it is behind it. */
static void note_accepted(const rs_client_t *client)
{
    const rs_resume_t *resume = client->resume;

    if (!client->profile->wire->one_batch
        || !(resume->bytes || resume->said || client->reason)) {
        rs_accepted_move(client->accepted, &resume->from, &resume->own);
    }
}

/* What it was told just now may be under way: the rest of that does not wait. */
static rs_next_t wait_until(rs_client_t *client, apr_time_t deadline)
{
    client->deadline = deadline;
    return client->pinned ? RS_NEXT_ROOM : RS_NEXT_WAIT;
}

/* Asks for what the topic does not hold. */
static rs_next_t fetch(rs_streamer_t *s, rs_client_t *client)
{
    RS_STAT_ADD(s->common->stats->fetches, 1);
    client->fetch = rs_fetch_create(client);
    if (!client->fetch) {
        return RS_NEXT_GONE;
    }
    client->fetch->in_flight = 1;
    rs_common_tell_hub(s->common, &client->fetch->msg, RS_MSG_FETCH);
    return wait_until(client, s->now + FETCH_AGAIN);
}

int rs_catch_up_too_slow(const rs_client_t *client)
{
    /* Without a number it never was in the topic, and what is fetched comes from elsewhere. */
    return client->profile->slow_disconnect && client->wants_out && client->resume && client->seq
           && !client->fetch
           && rs_topic_read(client->topic, client->seq, client->resume->front, NULL, 0) < 0;
}

/* That something is missing before its position. 0: the reader is gone. A stream that was made anew
 * may have lower ids than those it had something of: its group follows it there. */
static int tell_gap(rs_streamer_t *s, rs_client_t *client, const char *reason, rs_id_t oldest)
{
    rs_who_t who = rs_output_who(client);
    char id[RS_CURSOR_LEN], first[RS_ID_LEN];
    rs_resume_t *resume = client->resume;
    int k;

    for (k = 0; k < resume->from.n; k++) {
        rs_id_lower(&resume->from.pos[k], resume->own.pos[k]);
    }
    resume->said = 1;
    rs_id_format(first, oldest);
    rs_buf_clear(&s->buf);
    client->profile->wire->reset(&s->buf, &who, rs_output_id(client, &client->resume->own, id),
                                 reason, oldest.ms || oldest.seq ? first : NULL);
    return rs_output_buf(client, &s->buf);
}

static int tell_verdict(rs_streamer_t *s, rs_client_t *client, rs_verdict_kind_t kind,
                        rs_id_t oldest)
{
    int good = tell_gap(s, client, rs_verdict_reason(kind), oldest);

    if (good && kind == RS_VERDICT_LOST && !client->pinned) {
        rs_accepted_told(client->accepted, &client->resume->own);
    }
    return good;
}

/* Whether its topic is of what the keys are now, and was when there had been so many losses. */
static int is_settled(const rs_client_t *client, unsigned losses)
{
    return rs_topic_losses(client->topic) == losses && rs_verdict_losses(client->topic) == losses;
}

/* From its position on, in its topic; what that does not hold is asked of Redis. What it is told
 * moves its position, so it is told once. As long as it is not known whether what it had is of what
 * the keys are now (of one stream it may have more than the hub has read), it gets nothing new. */
static rs_next_t find_place(rs_streamer_t *s, rs_client_t *client)
{
    rs_id_t first;
    rs_resume_t *resume = client->resume;
    unsigned losses = rs_verdict_losses(client->topic);
    rs_verdict_kind_t kind = rs_verdict(client->topic, &resume->own, &resume->losses, &first);

    if ((kind > RS_VERDICT_ASK || resume->missed)
        && !tell_verdict(s, client, kind > RS_VERDICT_ASK ? kind : RS_VERDICT_TRIMMED, first)) {
        return RS_NEXT_GONE;
    }
    resume->missed = 0;
    client->seq = rs_topic_seek(client->topic, &resume->own, &resume->front);
    if (!is_settled(client, losses)) {
        client->seq = 0; /* once more, a moment later */
        return wait_until(client, s->now + RS_WHEEL_TICK);
    }
    if (!client->seq || resume->losses != losses) {
        return fetch(s, client);
    }
    return client->pinned ? RS_NEXT_ROOM : RS_NEXT_GO;
}

rs_next_t rs_catch_up_lost(rs_streamer_t *s, rs_client_t *client)
{
    rs_next_t next = find_place(s, client);

    /* Not here: its feed is about to be left by others, too. */
    return next == RS_NEXT_GO ? wait_until(client, s->now) : next;
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

/* Sends what was fetched. RS_NEXT_GO: all of it, and the client stands behind it. */
static rs_next_t use_fetch(rs_streamer_t *s, rs_client_t *client)
{
    rs_fetch_t *f = client->fetch;
    rs_resume_t *resume = client->resume;
    int done;

    resume->losses = f->losses;
    if (f->gap != RS_VERDICT_RESUMED) {
        resume->own = f->told; /* ids of before may be above all new ones */
        if (!tell_verdict(s, client, f->gap, f->first)) {
            return RS_NEXT_GONE;
        }
        f->gap = RS_VERDICT_RESUMED;
    }
    if (client->pinned) {
        return RS_NEXT_ROOM;
    }
    done = rs_output_send(client, f->events + f->next, f->n - f->next);
    if (done < 0) {
        return RS_NEXT_GONE;
    }
    f->next += done;
    if (rs_output_has_enough(client) && !client->pinned) {
        return RS_NEXT_DONE;
    }
    if (client->pinned || f->next < f->n) {
        return RS_NEXT_ROOM;
    }
    resume->own = f->own;
    resume->scanned += f->scanned;
    rs_catch_up_forget(client);
    if (resume->unmeasured && resume->scanned > client->profile->replay_limit
        && !rs_topic_seek(client->topic, &resume->own, NULL) && !limit_replay(s, client)) {
        return RS_NEXT_GONE;
    }
    return find_place(s, client);
}

/* It knows more than the hub has read (from another server, or by a fetch), and gets nothing of
 * that again. Whether Redis still has it is asked now and then. */
static rs_next_t wait_for_hub(rs_streamer_t *s, rs_client_t *client)
{
    rs_resume_t *resume = client->resume;

    if (!resume->ahead) {
        resume->ahead = s->now + FETCH_AGAIN;
    }
    if (s->now >= resume->ahead) {
        resume->ahead = s->now + FETCH_AGAIN;
        return fetch(s, client);
    }
    return wait_until(client, s->now + RS_WHEEL_TICK);
}

static int tell_caught_up(rs_streamer_t *s, rs_client_t *client)
{
    rs_who_t who = rs_output_who(client);
    char id[RS_CURSOR_LEN];

    client->resume->announce = 0;
    rs_buf_clear(&s->buf);
    client->profile->wire->caught_up(&s->buf, &who, rs_output_id(client, &client->feed->pos, id),
                                     client->resume->replayed);
    return rs_output_buf(client, &s->buf);
}

/* Of a wire with one batch. */
static int is_done(const rs_streamer_t *s, const rs_client_t *client)
{
    const rs_resume_t *resume = client->resume;

    return resume->replayed || resume->said || client->reason || s->now >= resume->until;
}

/* The client has what the feed has: one of many from now on. */
static rs_next_t join_live(rs_streamer_t *s, rs_client_t *client)
{
    rs_resume_t *resume = client->resume;

    if (!rs_feed_up_to_date(client->feed)) {
        return wait_until(client, s->now + RS_WHEEL_TICK);
    }
    if (!rs_cursor_within(&resume->own, &client->feed->pos)) {
        return wait_for_hub(s, client);
    }
    if (resume->announce) {
        if (!tell_caught_up(s, client)) {
            return RS_NEXT_GONE;
        }
        if (client->pinned) {
            return RS_NEXT_ROOM;
        }
    }
    if (client->profile->wire->one_batch && is_done(s, client)) {
        return RS_NEXT_DONE;
    }
    return rs_feed_enter(client) ? RS_NEXT_WAIT : RS_NEXT_GONE;
}

/* From its topic, until it has what its feed has. */
static rs_next_t follow(rs_streamer_t *s, rs_client_t *client)
{
    int rv;

    /* Others may have joined the feed before it heard of the newest events. */
    rs_feed_flush(client->feed, &s->calls, s->now);
    rv = rs_output_catch_up(client, client->feed->seq);
    if (!client->pinned) {
        note_accepted(client);
    }
    if (rv == -1) {
        return RS_NEXT_GONE;
    }
    if (rs_output_has_enough(client)) {
        return client->pinned ? RS_NEXT_ROOM : RS_NEXT_DONE; /* the rest is for the next request */
    }
    if (rv == -2) {
        return rs_catch_up_too_slow(client) ? RS_NEXT_SLOW : rs_catch_up_lost(s, client);
    }
    return rv == 0 || client->seq < client->feed->seq ? RS_NEXT_ROOM : join_live(s, client);
}

rs_next_t rs_catch_up(rs_streamer_t *s, rs_client_t *client)
{
    rs_next_t next = RS_NEXT_GO;
    int rv = rs_output_flush(client);

    if (rv <= 0) {
        return rv < 0 ? RS_NEXT_GONE : RS_NEXT_ROOM;
    }
    if (client->state == RS_CLOSING || client->state == RS_LINGER) {
        return RS_NEXT_LINGER;
    }
    if (client->member) {
        return rs_deliver(s, client);
    }
    if (client->gate) {
        return rs_gated_go_on(client);
    }
    /* Here, too: one that is slow for hours always is in the middle of an event below. */
    note_accepted(client);
    if (client->fetch && client->fetch->in_flight) {
        return wait_until(client, s->now + FETCH_AGAIN);
    }
    if (client->fetch) {
        next = use_fetch(s, client);
    }
    return next == RS_NEXT_GO ? follow(s, client) : next;
}

/* Of streams that the id does not know it has what it has. */
static int parse(const rs_client_t *client, const char *id, rs_cursor_t *own)
{
    *own = client->state == RS_LIVE ? client->feed->pos : client->resume->own;
    return rs_cursor_parse(own, id, strlen(id));
}

int rs_catch_up_is_held(const rs_client_t *client, const char *id)
{
    rs_cursor_t own;

    return !parse(client, id, &own) || rs_topic_seek(client->topic, &own, NULL);
}

int rs_catch_up_resume(rs_client_t *client, const char *id)
{
    rs_cursor_t own;
    rs_resume_t *resume;

    if (!parse(client, id, &own)) {
        return 0;
    }
    if (client->state == RS_LIVE && !rs_feed_exit(client)) {
        return -1;
    }
    rs_catch_up_forget(client);
    resume = client->resume;
    resume->missed = rs_ended_since(client->topic, &own, apr_time_now());
    resume->own = own;
    resume->losses = RS_VERDICT_CAME;
    resume->announce = resume->unmeasured = 1;
    resume->replayed = 0;
    resume->scanned = resume->said = 0;
    resume->ahead = 0;
    client->seq = 0; /* no event has this number: its place will be looked for */
    return 1;
}

rs_next_t rs_catch_up_fetched(rs_streamer_t *s, rs_fetch_t *f)
{
    rs_client_t *client = f->client;

    f->in_flight = 0;
    if (!client) {
        rs_fetch_free(f);
        return RS_NEXT_GO;
    }
    if (f->failed) {
        rs_catch_up_forget(client);
        client->seq = 0; /* no event has this number: it will ask again */
        return wait_until(client, s->now + FETCH_AGAIN);
    }
    return rs_catch_up(s, client);
}
