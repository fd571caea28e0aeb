/* SPDX-License-Identifier: Apache-2.0
 *
 * Listening. What a wire makes of the bytes is the wire's; what has to be done is done here, or
 * said to rs_life.c. The streamer's thread; nothing in here waits.
 */
#include <stdlib.h>
#include <string.h>

#include "../base/rs_clock.h"
#include "../log/rs_profile.h"
#include "../log/rs_source.h"
#include "../wire/rs_wire.h"
#include "rs_catch_up.h"
#include "rs_deliver.h"
#include "rs_hear.h"
#include "rs_output.h"
#include "rs_renew.h"

/* How much is read at once (a whole record of TLS: of what is left in the session no poller tells),
 * and how often before others have their turn. */
#define CHUNK 16384
#define TURNS 4

/* What one hearing may come to before others have their turn: compressed, a few bytes can ask for
 * many, or have many to be read. */
#define ANSWERS_MAX ((size_t)16 * 1024)
#define TIME_MAX apr_time_from_msec(10)

/* How often a token is looked at: that is work for the processor, which others wait for. */
#define JUDGE apr_time_from_sec(1)

/* How often it may ask for what only Redis has. */
#define READ apr_time_from_sec(1)

/* A message has to be finished while a client might be silent, for twice its ping; and that, too,
 * bounds what is kept, where somebody may be silent for hours. */
#define SILENCE apr_time_from_sec(60)

struct rs_hearing_t {
    rs_common_t *common;  /* its streamer's */
    apr_time_t heard;     /* something, last */
    apr_time_t asked;     /* since then: when; 0: it was not */
    apr_time_t judged;    /* a token of its, last; 0: none */
    apr_time_t read;      /* Redis was, for what it asked for, last; 0: never */
    apr_time_t until;     /* this hearing may take its time */
    apr_time_t begun;     /* what it has not finished; 0: nothing */
    size_t kept;          /* of that, */
    unsigned nth;         /* which is the message with this number */
    unsigned parting : 1; /* it was told goodbye, */
    unsigned parted : 1;  /* and has said that, too */
    char *rest;           /* what was not heard yet, first of all before the stream began; NULL: */
    size_t rest_len;      /* nothing */
    apr_uint64_t state[]; /* the wire's */
};

static const rs_wire_peer_t *peer_of(const rs_client_t *client)
{
    return client->profile->wire->peer;
}

int rs_hear_begin(rs_streamer_t *s, rs_client_t *client)
{
    const rs_wire_peer_t *peer = peer_of(client);
    rs_hearing_t *h;

    if (!peer) {
        return 1;
    }
    h = calloc(1, sizeof(*h) + peer->size);
    if (!h) {
        return 0;
    }
    h->heard = s->now;
    h->rest = client->early;
    h->rest_len = client->early_len;
    client->early = NULL;
    h->common = s->common;
    peer->begin(h->state, client->profile->max_heard);
    client->hearing = h;
    return 1;
}

/* So much is kept of what it has not finished. Returns what all of them have in common then. */
static size_t count_kept(const rs_client_t *client, size_t kept)
{
    rs_hearing_t *h = client->hearing;
    size_t more = kept - h->kept; /* it wraps around */

    h->kept = kept;
    return more ? RS_STAT_ADD(h->common->unfinished, more) + more
                : RS_STAT_GET(h->common->unfinished);
}

void rs_hear_end(rs_client_t *client)
{
    rs_hearing_t *h = client->hearing;

    if (h) {
        count_kept(client, 0);
        peer_of(client)->end(h->state);
        free(h->rest);
        free(h);
        client->hearing = NULL;
    }
}

void rs_hear_part(rs_client_t *client)
{
    rs_hearing_t *h = client->hearing;

    if (!h || h->parting) {
        return;
    }
    count_kept(client, 0);
    h->parting = 1;
    h->parted = peer_of(client)->part(h->state, h->rest, h->rest ? h->rest_len : 0);
    free(h->rest);
    h->rest = NULL;
}

int rs_hear_awaits(const rs_client_t *client)
{
    return client->hearing && client->hearing->parting && !client->hearing->parted;
}

rs_next_t rs_hear_goodbye(rs_client_t *client)
{
    rs_hearing_t *h = client->hearing;
    char buf[CHUNK];
    ssize_t n;
    int turn;

    for (turn = 0; turn < TURNS && !h->parted; turn++) {
        n = client->conn.transport->read(&client->conn, buf, sizeof(buf));
        if (n <= 0) {
            return n < 0 ? RS_NEXT_GONE : RS_NEXT_GO;
        }
        h->parted = peer_of(client)->part(h->state, buf, (size_t)n);
    }
    return h->parted ? RS_NEXT_LINGER : RS_NEXT_GO;
}

int rs_hear_listens(const rs_client_t *client)
{
    return client->hearing && (client->state == RS_LIVE || client->state == RS_BEHIND);
}

int rs_hear_has_rest(const rs_client_t *client)
{
    return rs_hear_listens(client) && client->hearing->rest;
}

/* From now on for these events. What it was sent before is as it was, and what comes next is judged
 * by this: it stands where it stood. */
static int subscribe(rs_client_t *client, rs_subscription_t *wanted, rs_buf_t *out)
{
    const rs_wire_peer_t *peer = peer_of(client);

    if (client->profile->group) {
        /* The position is the tenant's: what one does not want others would not get. */
        free(wanted);
        peer->refused(out, NULL, "this endpoint has a consumer group: no subscriptions");
        return 1;
    }
    peer->subscribed(out, wanted);
    return rs_feed_move(client, wanted);
}

/* To go on from this id. One at a time: it may be a long way. 0: memory is short. */
static int resume(rs_streamer_t *s, rs_client_t *client, const char *id)
{
    rs_hearing_t *h = client->hearing;
    const char *why = "this is no id of this endpoint";
    int held = 1, rv = 0;

    if (client->profile->group) {
        why = "this endpoint has a consumer group: ids have no meaning";
    }
    else if (client->resume && client->resume->announce) {
        why = "wait for caught_up";
    }
    else if (!(held = rs_catch_up_is_held(client, id)) && h->read && s->now < h->read + READ) {
        why = "one resume a second, where it is Redis that has the events";
    }
    else {
        rv = rs_catch_up_resume(client, id);
    }
    if (rv > 0 && !held) {
        h->read = s->now;
    }
    if (!rv) {
        peer_of(client)->refused(&s->buf, NULL, why);
    }
    return rv >= 0;
}

/* That it has an event of shared delivery. Nothing is answered to what was expected. */
static void acknowledge(rs_streamer_t *s, rs_client_t *client, const char *text)
{
    rs_id_t id;

    if (!client->profile->ack) {
        peer_of(client)->refused(&s->buf, NULL, "this endpoint waits for no acknowledgements");
    }
    else if (!client->member || !rs_id_parse(&id, text, strlen(text))
             || !rs_deliver_acknowledged(s, client, id)) {
        peer_of(client)->refused(&s->buf, NULL,
                                 "no event with this id waits for an acknowledgement");
    }
}

/* That another token take the place of the one that it came with. */
static void renew(rs_streamer_t *s, rs_client_t *client, const rs_asked_t *asked)
{
    rs_hearing_t *h = client->hearing;

    if (h->judged && s->now < h->judged + JUDGE) {
        peer_of(client)->refused(&s->buf, NULL, "one token a second");
        return;
    }
    h->judged = s->now;
    rs_renew(s, client, asked->token, asked->token_len, &s->buf);
}

static int tell_stats(rs_streamer_t *s, rs_client_t *client)
{
    rs_buf_t users = RS_BUF_INIT;
    unsigned n = rs_census_tell(&s->common->census, s->common->registry,
                                client->profile->source->url->label, client->tenant, &users);

    if (rs_buf_ok(&users)) {
        peer_of(client)->stats(&s->buf, client->tenant, n, &users);
    }
    n = rs_buf_ok(&users);
    rs_buf_free(&users);
    return (int)n;
}

/* From *at on, all of these bytes or as many as have their turn now; the answers are appended
 * to s->buf. */
static rs_next_t hear_bytes(rs_streamer_t *s, rs_client_t *client, const char **at, const char *end)
{
    const rs_wire_peer_t *peer = peer_of(client);
    rs_asked_t asked;
    rs_asks_t asks = RS_ASKS_NOTHING;

    do {
        asks = peer->hear(client->hearing->state, at, end, &s->buf, &asked);
        if (asks == RS_ASKS_ACK) {
            acknowledge(s, client, asked.id);
        }
        if (asks == RS_ASKS_AUTH) {
            renew(s, client, &asked);
        }
        if ((asks == RS_ASKS_SUBSCRIBE && !subscribe(client, asked.types, &s->buf))
            || (asks == RS_ASKS_RESUME && !resume(s, client, asked.id))
            || (asks == RS_ASKS_STATS && !tell_stats(s, client))) {
            return RS_NEXT_GONE;
        }
    } while (*at < end && asks != RS_ASKS_END && s->buf.len < ANSWERS_MAX
             && rs_clock_now() < client->hearing->until);
    return asks == RS_ASKS_END ? RS_NEXT_LAST : RS_NEXT_GO;
}

/* 0: memory is short. */
static int keep(rs_hearing_t *h, const char *bytes, size_t len)
{
    h->rest = len ? malloc(len) : NULL;
    h->rest_len = len;
    if (h->rest) {
        memcpy(h->rest, bytes, len);
    }
    return h->rest || !len;
}

/* What it has begun to say and not finished. 0: all of them together have more of that than they
 * may, and it has added to it. */
static int note_unfinished(const rs_streamer_t *s, rs_client_t *client)
{
    rs_hearing_t *h = client->hearing;
    size_t kept, before = h->kept;
    unsigned nth = peer_of(client)->unfinished(h->state, &kept);

    if (!nth || nth != h->nth) {
        h->begun = nth ? s->now : 0;
    }
    h->nth = nth;
    return count_kept(client, kept) <= s->common->cache || kept <= before;
}

static rs_next_t hear_and_answer(rs_streamer_t *s, rs_client_t *client, const char *bytes,
                                 size_t len)
{
    const char *at = bytes, *end = bytes + len;
    rs_next_t next;

    rs_buf_clear(&s->buf);
    next = hear_bytes(s, client, &at, end);
    if (!keep(client->hearing, at, (size_t)(end - at)) || !rs_buf_ok(&s->buf)) {
        return RS_NEXT_GONE;
    }
    if (next != RS_NEXT_GO) {
        return next;
    }
    if (s->buf.len && !rs_output_buf(client, &s->buf)) {
        return RS_NEXT_GONE;
    }
    return note_unfinished(s, client) ? RS_NEXT_GO : RS_NEXT_FULL;
}

static rs_next_t hear_rest(rs_streamer_t *s, rs_client_t *client)
{
    rs_hearing_t *h = client->hearing;
    char *rest = h->rest;
    rs_next_t next;

    h->rest = NULL;
    next = hear_and_answer(s, client, rest, h->rest_len);
    free(rest);
    return next;
}

rs_next_t rs_hear(rs_streamer_t *s, rs_client_t *client)
{
    rs_hearing_t *h = client->hearing;
    rs_next_t next = RS_NEXT_GO;
    char buf[CHUNK];
    ssize_t n;
    int turn;

    h->until = rs_clock_now() + TIME_MAX;
    for (turn = 0; turn < TURNS && next == RS_NEXT_GO && !client->pinned; turn++) {
        if (turn && rs_clock_now() >= h->until) {
            break;
        }
        if (h->rest) {
            next = hear_rest(s, client);
            continue;
        }
        n = client->conn.transport->read(&client->conn, buf, sizeof(buf));
        if (n <= 0) {
            return n < 0 ? RS_NEXT_GONE : RS_NEXT_GO;
        }
        h->heard = s->now;
        h->asked = 0;
        next = hear_and_answer(s, client, buf, (size_t)n);
    }
    return next;
}

apr_time_t rs_hear_due(const rs_client_t *client)
{
    const rs_hearing_t *h = client->hearing;

    if (!rs_hear_listens(client) || !client->profile->ping) {
        return 0;
    }
    return (h->asked ? h->asked : h->heard) + client->profile->ping;
}

apr_time_t rs_hear_finish_due(const rs_client_t *client)
{
    const rs_hearing_t *h = client->hearing;
    apr_interval_time_t silence = client->profile->ping;

    if (!rs_hear_listens(client) || !h->begun) {
        return 0;
    }
    return h->begun + 2 * (silence && silence < SILENCE ? silence : SILENCE);
}

int rs_hear_has_begun(const rs_streamer_t *s, const rs_client_t *client)
{
    return rs_hear_finish_due(client) && client->hearing->begun == s->now;
}

void rs_hear_begin_anew(const rs_streamer_t *s, rs_client_t *client)
{
    if (rs_hear_listens(client) && client->hearing->begun) {
        client->hearing->begun = s->now;
    }
}

rs_next_t rs_hear_ask(rs_streamer_t *s, rs_client_t *client)
{
    rs_hearing_t *h = client->hearing;

    if (h->asked) {
        return RS_NEXT_GONE;
    }
    h->asked = s->now;
    rs_buf_clear(&s->buf);
    peer_of(client)->ping(&s->buf);
    return rs_output_buf(client, &s->buf) ? RS_NEXT_GO : RS_NEXT_GONE;
}
