/* SPDX-License-Identifier: Apache-2.0
 *
 * What follows from the answers to a lane's turn. Whatever Redis says, the lane goes on: what was
 * refused is said in the log and done again a moment later. The hub's thread.
 */
#include <stdlib.h>
#include <string.h>

#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "../proto/rs_own_keys.h"
#include "../redis/rs_stream_reply.h"
#include "../log/rs_entry.h"
#include "../wire/rs_frames.h"
#include "../log/rs_skip.h"
#include "rs_lane_int.h"
#include "../log/rs_profile.h"

#define PAUSE apr_time_from_sec(1)
#define TELL_AGAIN apr_time_from_sec(60)

static void forget(rs_delivery_t *d)
{
    d->lane->nchores--;
    rs_delivery_free(d);
}

/* A script's error may have other text before it. */
static int no_group(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "NOGROUP") != NULL;
}

static int is_error(const redisReply *reply, const char *word)
{
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, word, strlen(word)) == 0;
}

static void tell(rs_lane_t *lane, const char *why)
{
    rs_stream_t *stream = &lane->share->source->streams[lane->key->stream];
    apr_time_t now = rs_clock_now();

    if (!stream->group_told || now > stream->group_told + TELL_AGAIN) {
        stream->group_told = now;
        rs_log(RS_LOG_ERR, 0,
               RSLOGNO(2021) "%s: shared delivery of %s: Redis refused: %s (it takes Redis 6.2 or "
                             "later; what a user may need to do with ACLs is in "
                             "docs/DIRECTIVES.md)",
               lane->share->source->url->label, lane->key->name, why);
    }
}

static void known(rs_lane_t *lane)
{
    if (!lane->known) {
        lane->known = 1;
        rs_share_known(lane->share);
    }
}

/* Redis cannot do that now, or ever: what had to be done is done later. */
static void hold_on(rs_lane_t *lane, const redisReply *reply)
{
    tell(lane, reply->type == REDIS_REPLY_ERROR ? reply->str : "an unexpected answer");
    lane->pause = rs_clock_now() + PAUSE;
    known(lane);
}

/* What is old cannot be taken, or not be buried: new entries must not wait for that. */
static void look_later(rs_lane_t *lane)
{
    lane->look_after = lane->next_look = rs_clock_now() + RS_LANE_LOOK_MAX;
}

static int is_ours(const rs_lane_t *lane, rs_id_t id)
{
    const rs_ring_t *lists[] = {&lane->share->out, &lane->share->waiting, &lane->chores,
                                &lane->sent};
    const rs_ring_t *link;
    size_t i;

    for (i = 0; i < RS_ARRAY_LEN(lists); i++) {
        for (link = rs_ring_first(lists[i]); link; link = rs_ring_next(lists[i], link)) {
            if (RS_DELIVERY_OF(link)->lane == lane
                && rs_id_cmp(RS_DELIVERY_OF(link)->id, id) == 0) {
                return 1;
            }
        }
    }
    return 0;
}

static rs_delivery_t *new_delivery(rs_lane_t *lane, rs_id_t id, int count)
{
    rs_delivery_t *d = calloc(1, sizeof(*d));

    if (d) {
        d->lane = lane;
        d->id = id;
        d->count = count;
    }
    return d;
}

/* An entry, new or left by others. Where memory is short it stays pending, and becomes old. */
static void take(rs_lane_t *lane, rs_id_t id, const redisReply *fields, int count)
{
    rs_share_t *share = lane->share;
    rs_stream_stats_t *stats = share->source->streams[lane->key->stream].stats;
    rs_delivery_t *d = new_delivery(lane, id, count);
    rs_cursor_t cursor = {1, 0, {id}};
    rs_skip_t reason;
    rs_entry_t e;

    if (!d) {
        return;
    }
    reason = RS_SKIP_TOO_BIG;
    if (!rs_entry_decode(&e, lane->key, fields, share->source->topics->common->max_message, &reason)
        || e.too_big) {
        /* What all tenants may read is counted where all of it is read. */
        if (lane->key == &lane->own) {
            rs_skip(lane->key, id, reason);
        }
        rs_lane_chore(d, RS_CHORE_ACK);
        return;
    }
    if (!rs_profile_wants(share->profile, e.type.data, e.type.len)) {
        RS_STAT_ADD(stats->filtered, 1);
        rs_lane_chore(d, RS_CHORE_ACK);
        return;
    }
    d->event = rs_frames_event(&share->source->topics->scratch, &e, lane->key->stream, id, &cursor);
    if (!d->event) {
        rs_delivery_free(d);
        return;
    }
    rs_share_wait(d);
}

/* Those of one reply; -1: that is none. A nil stands for one that was deleted meanwhile. */
static int on_entries(rs_lane_t *lane, const redisReply *entries, int claimed)
{
    rs_stream_stats_t *stats = lane->share->source->streams[lane->key->stream].stats;
    rs_id_t id;
    size_t i;
    int k;

    for (i = 0; i < entries->elements; i++) {
        int count = 1;

        if (entries->element[i]->type == REDIS_REPLY_NIL) {
            continue;
        }
        if (!rs_stream_entry_id(entries->element[i], &id)) {
            return -1;
        }
        for (k = 0; claimed && k < lane->nclaims; k++) {
            if (rs_id_cmp(lane->claims[k].id, id) == 0) {
                count = lane->claims[k].count + 1;
            }
        }
        if (claimed) {
            /* What was given back before anybody had some of it is delivered for the first time. */
            RS_STAT_ADD(stats->redelivered, count > 1);
        }
        else if (lane->key == &lane->own) {
            RS_STAT_ADD(stats->read, 1);
            RS_STAT_SET(stats->last_ms, id.ms);
            RS_STAT_SET(stats->last_seq, id.seq);
        }
        /* Just what the group has: it may be behind what the stream held when this began. */
        if (!claimed || rs_id_cmp(id, lane->last) > 0) {
            lane->last = id;
        }
        take(lane, id, entries->element[i]->element[1], count);
    }
    rs_batch_learn(&lane->size, entries, lane->asked);
    rs_share_dispatch(lane->share);
    return (int)entries->elements;
}

static void on_read(rs_lane_t *lane, const redisReply *reply)
{
    const redisReply *key =
        reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 ? reply->element[0] : NULL;

    if (reply->type == REDIS_REPLY_NIL) {
        return;
    }
    if (!key || key->type != REDIS_REPLY_ARRAY || key->elements != 2
        || key->element[1]->type != REDIS_REPLY_ARRAY || on_entries(lane, key->element[1], 0) < 0) {
        hold_on(lane, reply);
        return;
    }
    lane->again = 1;
}

static void on_claim(rs_lane_t *lane, const redisReply *reply)
{
    if (reply->type != REDIS_REPLY_ARRAY || on_entries(lane, reply, 1) < 0) {
        tell(lane,
             reply->type == REDIS_REPLY_ERROR ? reply->str : "an unexpected answer to XCLAIM");
        look_later(lane);
    }
    lane->nclaims = 0;
    lane->again = 1;
}

/* One line of XPENDING: [id, consumer, idle, deliveries]. */
static void on_pending(rs_lane_t *lane, const redisReply *line)
{
    const rs_profile_t *profile = lane->share->profile;
    rs_delivery_t *d;
    rs_id_t id;
    int count;

    if (line->type != REDIS_REPLY_ARRAY || line->elements != 4
        || line->element[0]->type != REDIS_REPLY_STRING
        || line->element[1]->type != REDIS_REPLY_STRING
        || line->element[3]->type != REDIS_REPLY_INTEGER
        || !rs_id_parse(&id, line->element[0]->str, (size_t)line->element[0]->len)
        || (strcmp(line->element[1]->str, lane->share->me) == 0 && is_ours(lane, id))) {
        return;
    }
    count = line->element[3]->integer > 1000000 ? 1000000 : (int)line->element[3]->integer;
    if (count >= profile->max_deliveries && !lane->recovering) {
        d = new_delivery(lane, id, count);
        if (d) {
            rs_lane_chore(d, RS_CHORE_BURY);
        }
    }
    else if (lane->nclaims < RS_LANE_CLAIMS && lane->nclaims < rs_share_room(lane->share)) {
        lane->claims[lane->nclaims].id = id;
        lane->claims[lane->nclaims++].count = count;
    }
}

static void on_look(rs_lane_t *lane, const redisReply *reply)
{
    size_t i;

    lane->again = 1;
    if (reply->type != REDIS_REPLY_ARRAY) {
        tell(lane,
             reply->type == REDIS_REPLY_ERROR ? reply->str : "an unexpected answer to XPENDING");
        return;
    }
    for (i = 0; i < reply->elements; i++) {
        on_pending(lane, reply->element[i]);
    }
    if (!lane->recovering) {
        lane->look_interval = reply->elements ? RS_LANE_LOOK_MIN : lane->look_interval * 2;
        if (lane->look_interval > RS_LANE_LOOK_MAX) {
            lane->look_interval = RS_LANE_LOOK_MAX;
        }
        if (reply->elements >= RS_LANE_CLAIMS && rs_clock_now() >= lane->look_after) {
            lane->next_look = 0;
        }
    }
}

/* LOST: the group is gone, and maybe the stream with it. It begins where we were, so that nothing
 * that came meanwhile is passed over; if ids went back, at the stream's start. */
static void on_where(rs_lane_t *lane, const redisReply *reply)
{
    rs_history_t history;

    if (!rs_history_parse(&history, reply)) {
        hold_on(lane, reply);
        return;
    }
    if (lane->state == RS_LANE_MAKE) {
        lane->last = lane->lost ? lane->last : history.newest;
        return;
    }
    if (rs_id_cmp(history.newest, lane->last) < 0) {
        memset(&lane->last, 0, sizeof(lane->last));
    }
    lane->state = RS_LANE_MAKE;
    lane->again = 1;
}

static void on_create(rs_lane_t *lane, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR && !is_error(reply, "BUSYGROUP")) {
        hold_on(lane, reply);
        return;
    }
    lane->state = RS_LANE_GOOD;
    lane->again = 1;
    known(lane);
}

static void on_sweep(rs_lane_t *lane, const rs_step_t *step, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR) {
        tell(lane, reply->str);
    }
    lane->swept = step->chores;
}

/* --- what was said of entries --- */

static void on_acked(rs_lane_t *lane, rs_delivery_t *d, const redisReply *reply)
{
    /* That is done again. A key that is no stream any more has nothing pending. */
    if (reply->type == REDIS_REPLY_ERROR && !is_error(reply, "WRONGTYPE")) {
        hold_on(lane, reply);
        rs_ring_put_last(&lane->chores, &d->link);
        return;
    }
    forget(d);
}

static void on_again(rs_lane_t *lane, rs_delivery_t *d, const redisReply *reply)
{
    rs_stream_stats_t *stats = lane->share->source->streams[lane->key->stream].stats;

    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 0) {
        forget(d); /* it was deleted */
        return;
    }
    /* Whatever Redis refused: it was not delivered. */
    if (reply->type == REDIS_REPLY_ERROR && !no_group(reply)) {
        tell(lane, reply->str);
    }
    d->count++;
    lane->nchores--;
    RS_STAT_ADD(stats->redelivered, 1);
    rs_share_wait(d);
    rs_share_dispatch(lane->share);
}

static void on_buried(rs_lane_t *lane, rs_delivery_t *d, const redisReply *reply)
{
    rs_stream_t *stream = &lane->share->source->streams[lane->key->stream];
    char id[RS_ID_LEN];

    if (reply->type == REDIS_REPLY_ERROR && !no_group(reply)) {
        tell(lane, reply->str);
        look_later(lane);
    }
    else if (reply->type == REDIS_REPLY_INTEGER && reply->integer) {
        RS_STAT_ADD(stream->stats->dead_lettered, 1);
        if (!stream->buried_told) {
            stream->buried_told = 1;
            rs_id_format(id, d->id);
            rs_log(
                RS_LOG_WARNING, 0,
                RSLOGNO(2022) "%s: %s, entry %s could not be delivered in %d attempts and is now "
                              "in " RS_OWN_DLQ "%s; further ones of this stream are only counted",
                lane->share->source->url->label, lane->key->name, id, d->count, stream->name);
        }
    }
    forget(d); /* what is still pending becomes old, and is found again */
}

static void on_returned(rs_lane_t *lane, rs_delivery_t *d, const redisReply *reply)
{
    if (no_group(reply)) {
        rs_ring_put_last(&lane->chores, &d->link); /* to the one that is made again */
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        tell(lane, reply->str);
    }
    forget(d);
}

static void on_chores(rs_lane_t *lane, const rs_step_t *step, const redisReply *reply)
{
    rs_ring_t *link;
    int i;

    for (i = 0; i < step->chores && (link = rs_ring_first(&lane->sent)); i++) {
        rs_delivery_t *d = RS_DELIVERY_OF(link);

        switch (step->kind) {
        case RS_STEP_ACK:
            on_acked(lane, d, reply);
            break;
        case RS_STEP_AGAIN:
            on_again(lane, d, reply);
            break;
        case RS_STEP_BURY:
            on_buried(lane, d, reply);
            break;
        default:
            on_returned(lane, d, reply);
            break;
        }
    }
    lane->again |= !lane->share->nmembers;
}

static void on_step(rs_lane_t *lane, const rs_step_t *step, const redisReply *reply)
{
    switch (step->kind) {
    case RS_STEP_WHERE:
        on_where(lane, reply);
        break;
    case RS_STEP_CREATE:
        on_create(lane, reply);
        break;
    case RS_STEP_SWEEP:
        on_sweep(lane, step, reply);
        break;
    case RS_STEP_LOOK:
        on_look(lane, reply);
        break;
    case RS_STEP_CLAIM:
        on_claim(lane, reply);
        break;
    case RS_STEP_READ:
        on_read(lane, reply);
        break;
    case RS_STEP_READ_KEY:
    case RS_STEP_TOUCH:
        break; /* what is wrong is said by the others */
    default:
        on_chores(lane, step, reply);
        break;
    }
}

int rs_lane_answer(rs_lane_t *lane, int n, const redisReply *reply, int last)
{
    const rs_step_t *step = &lane->steps[n];

    if (is_error(reply, "LOADING") || is_error(reply, "READONLY")
        || is_error(reply, "MASTERDOWN")) {
        rs_watcher_fail(lane->share->source->watcher, reply->str);
        return 0;
    }
    if (no_group(reply) && lane->state == RS_LANE_GOOD) {
        lane->state = RS_LANE_LOST;
        lane->lost = 1;
        lane->again = 1;
        lane->nclaims = 0;
    }
    if (!no_group(reply) || step->chores) {
        on_step(lane, step, reply);
    }
    return last && lane->again;
}
