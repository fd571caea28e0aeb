/* SPDX-License-Identifier: Apache-2.0
 *
 * What a lane says to Redis, in a turn of the source's watcher: first a read of the key (that makes
 * Redis tell of the next change), then what became of entries, then, if a client has room, one of:
 * what others left behind, or new entries. The hub's thread.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_clock.h"
#include "../proto/rs_own_keys.h"
#include "rs_lane_int.h"
#include "rs_lane_script.h"
#include "../log/rs_profile.h"

#define RETURNED "returned"
#define RETURNED_IDLE "100000000" /* more than any RaglineClaimAfter */
#define CHORES 64                 /* of one turn */
#define READ_MAX 64               /* entries of one turn */
#define TOUCH_IDS 128             /* of one command */
#define TOUCH_STEPS 80
/* So many chores that Redis does not take are enough: nothing more is read. */
#define CHORES_MAX 1024
#define SWEEP_INTERVAL apr_time_from_sec(60)
#define NUMBER_LEN 24

static const char *number(char text[NUMBER_LEN], apr_int64_t n)
{
    apr_snprintf(text, NUMBER_LEN, "%" APR_INT64_T_FMT, n);
    return text;
}

static const char *id_text(char text[RS_ID_LEN], rs_id_t id)
{
    rs_id_format(text, id);
    return text;
}

static const char *claim_after(char text[NUMBER_LEN], const rs_lane_t *lane)
{
    return number(text, apr_time_as_msec(lane->share->profile->claim_after));
}

static void ask(rs_lane_t *lane, int kind, int chores, int argc, const char **argv)
{
    if (lane->nsteps < RS_LANE_STEPS) {
        lane->steps[lane->nsteps].kind = (unsigned char)kind;
        lane->steps[lane->nsteps++].chores = (unsigned char)chores;
        rs_watcher_ask(lane->share->source->watcher, argc, argv);
    }
}

/* All that is to be acknowledged goes into one. */
static void ask_acks(rs_lane_t *lane)
{
    char ids[CHORES][RS_ID_LEN];
    const char *argv[3 + CHORES] = {"XACK", lane->key->name, lane->share->group};
    rs_ring_t *link, *next;
    int n = 0;

    for (link = rs_ring_first(&lane->chores); link && n < CHORES; link = next) {
        next = rs_ring_next(&lane->chores, link);
        if (RS_DELIVERY_OF(link)->chore == RS_CHORE_ACK) {
            argv[3 + n] = id_text(ids[n], RS_DELIVERY_OF(link)->id);
            n++;
            rs_ring_put_last(&lane->sent, link);
        }
    }
    if (n) {
        ask(lane, RS_STEP_ACK, n, 3 + n, argv);
    }
}

/* FORCE: it was not delivered, so it is to be pending even if our consumer, or the group, was
 * deleted by hand meanwhile. */
static void ask_again(rs_lane_t *lane, const rs_delivery_t *d)
{
    char id[RS_ID_LEN], count[NUMBER_LEN];
    const char *argv[] = {"XCLAIM",
                          lane->key->name,
                          lane->share->group,
                          lane->share->me,
                          "0",
                          id_text(id, d->id),
                          "RETRYCOUNT",
                          number(count, d->count + 1),
                          "FORCE",
                          "JUSTID"};

    ask(lane, RS_STEP_AGAIN, 1, RS_ARRAY_LEN(argv), argv);
}

static void ask_return(rs_lane_t *lane, const rs_delivery_t *d)
{
    char id[RS_ID_LEN], count[NUMBER_LEN];
    const char *argv[] = {"XCLAIM",
                          lane->key->name,
                          lane->share->group,
                          RETURNED,
                          "0",
                          id_text(id, d->id),
                          "IDLE",
                          RETURNED_IDLE,
                          "RETRYCOUNT",
                          number(count, d->count < 0 ? 0 : d->count),
                          "FORCE",
                          "JUSTID"};

    ask(lane, RS_STEP_RETURN, 1, RS_ARRAY_LEN(argv), argv);
}

static void ask_bury(rs_lane_t *lane, const rs_delivery_t *d)
{
    const rs_share_t *share = lane->share;
    char id[RS_ID_LEN], idle[NUMBER_LEN], dlq[RS_NAME_MAX + 24], now[RS_CLOCK_ISO_LEN];
    const char *argv[] = {"EVAL",
                          rs_lane_bury,
                          "2",
                          lane->key->name,
                          dlq,
                          share->group,
                          id_text(id, d->id),
                          d->event ? "0" : claim_after(idle, lane),
                          share->tenant.name,
                          now};

    apr_snprintf(dlq, sizeof(dlq), RS_OWN_DLQ "%s", share->source->streams[lane->key->stream].name);
    rs_clock_iso(now, apr_time_now());
    ask(lane, RS_STEP_BURY, 1, RS_ARRAY_LEN(argv), argv);
}

static void ask_chores(rs_lane_t *lane)
{
    rs_ring_t *link;
    int n;

    ask_acks(lane);
    for (n = 0; n < CHORES && (link = rs_ring_first(&lane->chores)); n++) {
        rs_delivery_t *d = RS_DELIVERY_OF(link);

        if (d->chore == RS_CHORE_ACK) {
            lane->again = 1; /* more than one command takes */
            return;
        }
        if (d->chore == RS_CHORE_AGAIN) {
            ask_again(lane, d);
        }
        else if (d->chore == RS_CHORE_RETURN) {
            ask_return(lane, d);
        }
        else {
            ask_bury(lane, d);
        }
        rs_ring_put_last(&lane->sent, link);
    }
    lane->again |= !rs_ring_empty(&lane->chores);
}

static int touch_list(rs_lane_t *lane, const rs_ring_t *list, int steps)
{
    char ids[TOUCH_IDS][RS_ID_LEN];
    const char *argv[6 + TOUCH_IDS] = {"XCLAIM", lane->key->name, lane->share->group,
                                       lane->share->me, "0"};
    rs_ring_t *link = rs_ring_first(list);

    while (link && steps < TOUCH_STEPS) {
        int n = 0;

        for (; link && n < TOUCH_IDS; link = rs_ring_next(list, link)) {
            if (RS_DELIVERY_OF(link)->lane == lane) {
                argv[5 + n] = id_text(ids[n], RS_DELIVERY_OF(link)->id);
                n++;
            }
        }
        if (n) {
            argv[5 + n] = "JUSTID";
            ask(lane, RS_STEP_TOUCH, 0, 6 + n, argv);
            steps++;
        }
    }
    return steps;
}

static void ask_touch(rs_lane_t *lane, apr_time_t now)
{
    int steps = touch_list(lane, &lane->share->out, 0);

    (void)touch_list(lane, &lane->share->waiting, steps);
    lane->next_touch = now + lane->share->profile->claim_after / 3;
}

/* Deletes consumers that have nothing and were not heard of for long; `mine`: ours in any case. */
static void ask_sweep(rs_lane_t *lane, apr_time_t now, int mine)
{
    apr_interval_time_t limit = lane->share->profile->claim_after * 4;
    char idle[NUMBER_LEN];
    const char *argv[] = {"EVAL",
                          rs_lane_sweep,
                          "1",
                          lane->key->name,
                          lane->share->group,
                          number(idle, apr_time_as_msec(limit)),
                          mine ? lane->share->me : "",
                          RETURNED};

    lane->next_sweep = now + (limit < SWEEP_INTERVAL ? limit : SWEEP_INTERVAL);
    ask(lane, RS_STEP_SWEEP, mine, RS_ARRAY_LEN(argv), argv);
}

/* What is pending: of processes that are gone, or, after an outage, ours that we do not know of. */
static void ask_look(rs_lane_t *lane, apr_time_t now)
{
    char idle[NUMBER_LEN], count[NUMBER_LEN];
    const char *old[] = {"XPENDING",
                         lane->key->name,
                         lane->share->group,
                         "IDLE",
                         claim_after(idle, lane),
                         "-",
                         "+",
                         number(count, RS_LANE_CLAIMS)};
    const char *ours[] = {"XPENDING",
                          lane->key->name,
                          lane->share->group,
                          "-",
                          "+",
                          number(count, RS_LANE_CLAIMS),
                          lane->share->me};

    lane->recovering = lane->recover;
    if (lane->recover) {
        lane->recover = 0;
        ask(lane, RS_STEP_LOOK, 0, RS_ARRAY_LEN(ours), ours);
        return;
    }
    lane->next_look = now + lane->look_interval;
    ask(lane, RS_STEP_LOOK, 0, RS_ARRAY_LEN(old), old);
}

static void ask_claim(rs_lane_t *lane)
{
    char idle[NUMBER_LEN], ids[RS_LANE_CLAIMS][RS_ID_LEN];
    const char *argv[5 + RS_LANE_CLAIMS] = {"XCLAIM", lane->key->name, lane->share->group,
                                            lane->share->me,
                                            lane->recovering ? "0" : claim_after(idle, lane)};
    int i, n = rs_batch_ask(&lane->size, lane->nclaims, 1);

    if (n < lane->nclaims) {
        lane->nclaims = n; /* the others are found again */
        lane->next_look = 0;
    }
    for (i = 0; i < lane->nclaims; i++) {
        argv[5 + i] = id_text(ids[i], lane->claims[i].id);
    }
    lane->asked = n;
    ask(lane, RS_STEP_CLAIM, 0, 5 + lane->nclaims, argv);
}

static void ask_read(rs_lane_t *lane, int room)
{
    char count[NUMBER_LEN];
    const char *argv[] = {"XREADGROUP",
                          "GROUP",
                          lane->share->group,
                          lane->share->me,
                          "COUNT",
                          number(count, lane->asked = rs_batch_ask(
                                            &lane->size, room < READ_MAX ? room : READ_MAX, 1)),
                          "STREAMS",
                          lane->key->name,
                          ">"};

    ask(lane, RS_STEP_READ, 0, RS_ARRAY_LEN(argv), argv);
}

static void ask_create(rs_lane_t *lane)
{
    static const rs_id_t none = {0, 0};
    char id[RS_ID_LEN];
    const char *argv[] = {"XGROUP", "CREATE", lane->key->name, lane->share->group, "$", "MKSTREAM"};

    if (lane->lost) {
        argv[4] = rs_id_cmp(lane->last, none) ? id_text(id, lane->last) : "0";
    }
    ask(lane, RS_STEP_CREATE, 0, RS_ARRAY_LEN(argv), argv);
}

/* Of a turn whose replies never came. */
static void take_back_sent(rs_lane_t *lane)
{
    while (!rs_ring_empty(&lane->sent)) {
        rs_ring_put_first(&lane->chores, lane->sent.prev);
    }
}

/* The group has to be made. Where the stream stands is where the group begins, if it is new, and
 * where it is to begin again, should it be lost before anything was read. */
static void ask_make(rs_lane_t *lane)
{
    const char *where[] = {"XINFO", "STREAM", lane->key->name};

    ask(lane, RS_STEP_WHERE, 0, RS_ARRAY_LEN(where), where);
    if (lane->state == RS_LANE_MAKE) {
        ask_create(lane);
    }
}

static void ask_for_more(rs_lane_t *lane, apr_time_t now)
{
    int room = rs_share_room(lane->share);

    if (!room || lane->nchores >= CHORES_MAX) {
        return;
    }
    if (lane->nclaims) {
        ask_claim(lane);
    }
    else if (lane->recover || now >= lane->next_look) {
        ask_look(lane, now);
    }
    else if (rs_ring_empty(&lane->share->waiting)) {
        ask_read(lane, room);
    }
}

void rs_lane_ask(rs_lane_t *lane)
{
    const char *len[] = {"XLEN", lane->key->name};
    const rs_share_t *share = lane->share;
    apr_time_t now = rs_clock_now();

    take_back_sent(lane);
    lane->nsteps = lane->again = 0;
    if (now < lane->pause) {
        return;
    }
    if (lane->state != RS_LANE_GOOD) {
        ask_make(lane);
        return;
    }
    ask(lane, RS_STEP_READ_KEY, 0, RS_ARRAY_LEN(len), len);
    ask_chores(lane);
    if (!share->nmembers && !share->joining) {
        if (!lane->nchores && !lane->swept && rs_ring_empty(&share->out)) {
            ask_sweep(lane, now, 1);
        }
        return;
    }
    if (now >= lane->next_touch) {
        ask_touch(lane, now);
    }
    if (now >= lane->next_sweep) {
        ask_sweep(lane, now, 0);
    }
    ask_for_more(lane, now);
}
