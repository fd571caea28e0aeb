/* SPDX-License-Identifier: Apache-2.0
 *
 * One stream of a share and its group in Redis. The hub's thread.
 *
 *   MAKE   the group is made, if it is not there
 *   GOOD   it is used
 *   LOST   it was there and is not any more: where it has to begin again is asked
 *
 * An entry is pending in Redis, in our name, from XREADGROUP to XACK. While we have it, it is
 * touched now and then, so that only what a process left that is gone becomes old. What we cannot
 * deliver is put under the name "returned", as old as it gets: whoever looks next takes it.
 */
#include <stdlib.h>
#include <string.h>

#include "../proto/rs_template.h"
#include "rs_lane_int.h"
#include "../log/rs_profile.h"

/* After an outage entries are old, and those who have them need a moment to say so. */
#define LOOK_AFTER_OUTAGE apr_time_from_sec(2)

#define LANE_OF_WATCH(w) RS_RING_OF(w, rs_lane_t, watch)

void rs_lane_touch(rs_lane_t *lane)
{
    if (lane->open) {
        rs_watcher_touch(lane->share->source->watcher, &lane->watch);
    }
}

void rs_lane_chore(rs_delivery_t *d, rs_chore_t chore)
{
    rs_lane_t *lane = d->lane;

    d->chore = chore;
    rs_ring_put_last(&lane->chores, &d->link);
    lane->nchores++;
    rs_lane_touch(lane);
}

static void on_turn(rs_watch_t *watch) { rs_lane_ask(LANE_OF_WATCH(watch)); }

static int on_reply(rs_watch_t *watch, int n, redisReply **reply, int last)
{
    return rs_lane_answer(LANE_OF_WATCH(watch), n, *reply, last);
}

static int open_own(rs_lane_t *lane, const char *pattern)
{
    const char *tenant = lane->share->tenant.name;
    char *name = malloc(rs_template_fill(NULL, pattern, tenant) + 1);

    if (name) {
        rs_template_fill(name, pattern, tenant);
        lane->own.name = name;
        lane->own.tenant = &lane->share->tenant;
    }
    return name != NULL;
}

void rs_lane_open(rs_lane_t *lane, rs_share_t *share, int stream)
{
    rs_source_t *source = share->source;
    const rs_stream_t *s = &source->streams[stream];

    lane->share = share;
    rs_ring_init(&lane->chores);
    rs_ring_init(&lane->sent);
    lane->look_interval = RS_LANE_LOOK_MIN;
    lane->own.source = source;
    lane->own.stream = stream;
    lane->key = s->per_tenant ? &lane->own : &source->keys[stream];
    /* What is another tenant's is not even asked for: to read a group is to take from it. */
    lane->open = s->per_tenant
                     ? open_own(lane, s->key)
                     : s->tenant_literal && !strcmp(s->tenant_literal, share->tenant.name);
    lane->known = !lane->open;
    if (lane->open) {
        lane->key->shares++;
        lane->watch.key = lane->key->name;
        lane->watch.ask = on_turn;
        lane->watch.reply = on_reply;
        rs_watcher_add(source->watcher, &lane->watch);
    }
}

void rs_lane_close(rs_lane_t *lane)
{
    rs_ring_t *link;

    while ((link = rs_ring_first(&lane->chores)) || (link = rs_ring_first(&lane->sent))) {
        rs_delivery_free(RS_DELIVERY_OF(link));
    }
    if (lane->open) {
        lane->key->shares--;
        rs_watcher_remove(lane->share->source->watcher, &lane->watch);
    }
    free((char *)lane->own.name);
}

int rs_lane_is_due(const rs_lane_t *lane, apr_time_t now)
{
    const rs_share_t *share = lane->share;

    if (!lane->open || now < lane->pause) {
        return 0;
    }
    if (lane->state != RS_LANE_GOOD || lane->nchores) {
        return 1;
    }
    if (!share->nmembers) {
        return !lane->swept;
    }
    return now >= lane->next_sweep || (rs_share_room(share) && now >= lane->next_look)
           || (now >= lane->next_touch && (share->nout || !rs_ring_empty(&share->waiting)));
}

void rs_lane_recover(rs_lane_t *lane, apr_time_t now)
{
    lane->recover = 1;
    lane->nclaims = 0;
    lane->pause = 0;
    lane->next_touch = 0;
    lane->next_look = now + LOOK_AFTER_OUTAGE;
    lane->look_interval = RS_LANE_LOOK_MIN;
}

int rs_lane_is_over(const rs_lane_t *lane)
{
    return !lane->open || lane->swept || lane->state != RS_LANE_GOOD;
}
