/* SPDX-License-Identifier: Apache-2.0
 *
 * The clients of a share and who of them gets what. Clients with room stand in a line: the first
 * one gets the next event and, if it still has room, goes to the end. The hub's thread.
 *
 * A client that was freed while a streamer still had deliveries for it would be missed there: so a
 * member that has left stays until all of them are back. A share is freed by rs_shares_turn()
 * alone, never while one of its lanes is talking to Redis.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "../base/rs_name.h"
#include "../proto/rs_template.h"
#include "../log/rs_profile.h"
#include "rs_share.h"

#define NEVER ((apr_time_t)0x7fffffffffffffffLL)
#define TICK apr_time_from_msec(250)
/* What one client may have at once: events, where RaglineAck does not say how many, and bytes of
 * them (one event may be larger). */
#define CLIENT_EVENTS 16
#define CLIENT_BYTES ((size_t)64 * 1024)
/* And all clients of a share together. */
#define SHARE_EVENTS 8192
/* When nobody here has room for so long, what was read already is given to other processes. */
#define WAIT_LIMIT apr_time_from_sec(1)

#define DELIVERY(link_) RS_RING_OF(link_, rs_delivery_t, link)
#define SHARE(link_) RS_RING_OF(link_, rs_share_t, link)

void rs_delivery_free(rs_delivery_t *d)
{
    rs_ring_remove(&d->link);
    rs_event_drop(d->event);
    free(d);
}

/* --- room --- */

/* Notes what the member has room for, and whether it is in the line. */
static void weigh(rs_member_t *m)
{
    rs_share_t *share = m->share;
    int most = share->profile->ack ? share->profile->ack : CLIENT_EVENTS;
    int room = m->left || m->blocked || m->bytes >= CLIENT_BYTES ? 0 : most - m->out;

    share->room += room - m->room;
    m->room = room;
    if (!room) {
        rs_ring_remove(&m->ready);
    }
    else if (!m->ready.next) {
        rs_ring_put_last(&share->ready, &m->ready);
    }
}

int rs_share_room(const rs_share_t *share)
{
    int left = SHARE_EVENTS - share->nout;

    return left < share->room ? (left < 0 ? 0 : left) : share->room;
}

static void touch_lanes(rs_share_t *share)
{
    int k;

    for (k = 0; k < share->nlanes; k++) {
        rs_lane_touch(&share->lanes[k]);
    }
}

/* --- deliveries --- */

void rs_share_wait(rs_delivery_t *d)
{
    rs_share_t *share = d->lane->share;

    d->client = NULL;
    if (!share->nmembers) {
        d->count--; /* not tried */
        rs_lane_chore(d, RS_CHORE_RETURN);
        return;
    }
    d->since = rs_clock_now();
    rs_ring_put_last(&share->waiting, &d->link);
}

static void take_back(rs_delivery_t *d)
{
    rs_member_t *m = d->client->member;

    m->out--;
    m->bytes -= d->event->len;
    m->share->nout--;
}

static void give(rs_delivery_t *d, rs_member_t *m)
{
    rs_share_t *share = m->share;

    d->client = m->client;
    d->begun = d->done = d->passed = 0;
    rs_ring_put_last(&share->out, &d->link);
    share->nout++;
    m->out++;
    m->bytes += d->event->len;
    rs_ring_remove(&m->ready);
    weigh(m);
    if (!rs_inbox_post(m->client->streamer, &d->msg, RS_MSG_DELIVER)) {
        /* The client's end is under way. */
        take_back(d);
        m->blocked = 1;
        weigh(m);
        rs_ring_put_first(&share->waiting, &d->link);
    }
}

void rs_share_dispatch(rs_share_t *share)
{
    rs_ring_t *d, *m;

    while ((d = rs_ring_first(&share->waiting)) && (m = rs_ring_first(&share->ready))) {
        give(DELIVERY(d), RS_RING_OF(m, rs_member_t, ready));
    }
}

/* The client did not take it, or not all of it. */
static void on_undone(rs_delivery_t *d)
{
    rs_share_t *share = d->lane->share;

    if (d->begun && d->count >= share->profile->max_deliveries) {
        rs_lane_chore(d, RS_CHORE_BURY);
    }
    else if (d->begun) {
        rs_lane_chore(d, share->nmembers ? RS_CHORE_AGAIN : RS_CHORE_RETURN);
    }
    else {
        rs_share_wait(d);
        if (share->nmembers) {
            rs_ring_put_first(&share->waiting, &d->link);
        }
    }
}

static void remove_member(rs_member_t *m)
{
    rs_ring_remove(&m->link);
    rs_ring_remove(&m->ready);
}

void rs_share_delivered(rs_delivery_t *d)
{
    rs_client_t *client = d->client;
    rs_member_t *m = client->member;
    rs_share_t *share = m->share;
    int room = share->room;

    take_back(d);
    m->blocked = !d->done && !d->passed;
    weigh(m);
    if (d->done) {
        RS_STAT_ADD(share->source->streams[d->lane->key->stream].stats->delivered, 1);
        rs_lane_chore(d, RS_CHORE_ACK);
    }
    else {
        on_undone(d);
    }
    if (m->left && !m->out) {
        remove_member(m);
        rs_common_destroy(share->source->topics->common, client);
    }
    if (!room && share->room) {
        touch_lanes(share);
    }
    rs_share_dispatch(share);
}

static void return_waiting(rs_share_t *share)
{
    rs_ring_t *link;

    while ((link = rs_ring_first(&share->waiting))) {
        rs_delivery_t *d = DELIVERY(link);

        d->count--;
        rs_lane_chore(d, RS_CHORE_RETURN);
    }
}

/* --- clients --- */

static void attach(rs_share_t *share, rs_client_t *client)
{
    rs_member_t *m = client->member;

    /* An event wakes one of them: they may be on all streamers. */
    if (!share->source->topics->calls->attach_to(client, share->nmembers)) {
        rs_common_destroy(share->source->topics->common, client);
        return;
    }
    rs_ring_put_last(&share->members, &m->link);
    share->nmembers++;
    weigh(m);
}

static rs_client_t *take_joining(rs_share_t *share)
{
    rs_client_t *client = share->joining;

    if (client) {
        share->joining = (rs_client_t *)client->msg.next;
    }
    return client;
}

void rs_share_known(rs_share_t *share)
{
    rs_client_t *client;
    int k;

    for (k = 0; k < share->nlanes; k++) {
        if (!share->lanes[k].known) {
            return;
        }
    }
    if (share->joining) {
        while ((client = take_joining(share))) {
            attach(share, client);
        }
        touch_lanes(share);
        rs_share_dispatch(share);
    }
}

/* Nothing can be said to Redis now: the client comes back. */
static void refuse(rs_client_t *client)
{
    rs_topics_t *topics = client->profile->source->topics;

    free(client->member);
    client->member = NULL;
    client->refused = "redis_unavailable";
    if (!topics->calls->attach_to(client, 0)) {
        rs_common_destroy(topics->common, client);
    }
}

int rs_share_leave(rs_client_t *client)
{
    rs_member_t *m = client->member;
    rs_share_t *share = m->share;

    m->left = 1;
    share->nmembers--;
    weigh(m);
    if (!share->nmembers) {
        return_waiting(share);
        touch_lanes(share);
    }
    if (m->out) {
        return 0;
    }
    remove_member(m);
    return 1;
}

/* --- shares --- */

static void name_consumer(rs_share_t *share)
{
    char host[65] = "";
    char *c;

    (void)gethostname(host, sizeof(host) - 1);
    for (c = host; *c; c++) {
        if (!rs_name_valid(c, 1)) {
            *c = '_';
        }
    }
    /* Never again the name of one that was: what is pending under it is somebody's. */
    apr_snprintf(share->me, sizeof(share->me), "%s-%ld-%" APR_UINT64_T_HEX_FMT "-%u", host,
                 (long)getpid(), (apr_uint64_t)apr_time_now(), ++share->source->shares_opened);
}

static const char *index_key(char key[RS_SHARE_KEY_MAX], const rs_client_t *client)
{
    apr_snprintf(key, RS_SHARE_KEY_MAX, "%pp %s", (const void *)client->profile, client->tenant);
    return key;
}

static rs_share_t *create(const rs_client_t *client)
{
    const rs_profile_t *profile = client->profile;
    rs_source_t *source = profile->source;
    size_t len = rs_template_fill_group(NULL, profile->group, client->tenant), size;
    rs_share_t *share;
    char key[RS_SHARE_KEY_MAX];
    int i, n = 0;

    for (i = 0; i < source->nstreams; i++) {
        n += (int)(profile->streams >> i & 1);
    }
    size = sizeof(*share) + (size_t)n * sizeof(rs_lane_t);
    share = calloc(1, size + len + 1);
    if (!share) {
        return NULL;
    }
    share->source = source;
    share->profile = profile;
    share->tenant.source = source;
    apr_cpystrn(share->tenant.name, client->tenant, sizeof(share->tenant.name));
    share->group = (char *)share + size;
    rs_template_fill_group(share->group, profile->group, client->tenant);
    name_consumer(share);
    rs_ring_init(&share->members);
    rs_ring_init(&share->ready);
    rs_ring_init(&share->waiting);
    rs_ring_init(&share->out);
    share->nlanes = n;
    apr_cpystrn(share->index, index_key(key, client), sizeof(share->index));
    apr_hash_set(source->share_index, share->index, APR_HASH_KEY_STRING, share);
    rs_ring_put_last(&source->shares, &share->link);
    for (i = source->nstreams; i-- > 0;) {
        if (profile->streams >> i & 1) {
            rs_lane_open(&share->lanes[--n], share, i);
        }
    }
    return share;
}

void rs_share_join(rs_client_t *client)
{
    rs_source_t *source = client->profile->source;
    char key[RS_SHARE_KEY_MAX];
    rs_share_t *share;
    int k;

    if (!source->watcher || !rs_watcher_is_up(source->watcher)) {
        refuse(client);
        return;
    }
    share = apr_hash_get(source->share_index, index_key(key, client), APR_HASH_KEY_STRING);
    client->member = calloc(1, sizeof(*client->member));
    if (!client->member || (!share && !(share = create(client)))) {
        rs_log(RS_LOG_ERR, APR_ENOMEM, RSLOGNO(2020) "a stream is closed");
        rs_common_destroy(source->topics->common, client);
        return;
    }
    client->member->share = share;
    client->member->client = client;
    client->member->common = source->topics->common;
    client->recovery = "new";
    client->msg.next = (rs_msg_t *)share->joining;
    share->joining = client;
    source->shares_due = 0;
    for (k = 0; k < share->nlanes; k++) {
        share->lanes[k].swept = 0;
    }
    rs_share_known(share);
}

static int is_over(const rs_share_t *share)
{
    int k, up = rs_watcher_is_up(share->source->watcher);

    if (share->joining || !rs_ring_empty(&share->members) || !rs_ring_empty(&share->waiting)
        || !rs_ring_empty(&share->out)) {
        return 0;
    }
    for (k = 0; k < share->nlanes; k++) {
        const rs_lane_t *lane = &share->lanes[k];

        if (lane->nchores || (up && !rs_lane_is_over(lane))) {
            return 0;
        }
    }
    return 1;
}

static void destroy(rs_share_t *share)
{
    rs_ring_t *d;
    int k;

    while ((d = rs_ring_take(&share->waiting)) || (d = rs_ring_take(&share->out))) {
        rs_delivery_free(DELIVERY(d));
    }
    for (k = 0; k < share->nlanes; k++) {
        rs_lane_close(&share->lanes[k]);
    }
    rs_ring_remove(&share->link);
    apr_hash_set(share->source->share_index, share->index, APR_HASH_KEY_STRING, NULL);
    free(share);
}

void rs_shares_up(rs_source_t *source, int up)
{
    apr_time_t now = rs_clock_now();
    rs_client_t *client;
    rs_ring_t *link;
    int k;

    for (link = rs_ring_first(&source->shares); link; link = rs_ring_next(&source->shares, link)) {
        rs_share_t *share = SHARE(link);

        for (k = 0; up && k < share->nlanes; k++) {
            rs_lane_recover(&share->lanes[k], now);
        }
        while (!up && (client = take_joining(share))) {
            refuse(client);
        }
    }
}

static void turn(rs_share_t *share, apr_time_t now)
{
    const rs_ring_t *oldest = rs_ring_first(&share->waiting);
    int k;

    if (oldest && !share->room && now > DELIVERY(oldest)->since + WAIT_LIMIT) {
        return_waiting(share);
    }
    for (k = 0; k < share->nlanes; k++) {
        if (rs_lane_is_due(&share->lanes[k], now)) {
            rs_lane_touch(&share->lanes[k]);
        }
    }
}

apr_time_t rs_shares_turn(rs_source_t *source, apr_time_t now)
{
    rs_ring_t *link, *next;

    if (now >= source->shares_due) {
        for (link = rs_ring_first(&source->shares); link; link = next) {
            rs_share_t *share = SHARE(link);

            next = rs_ring_next(&source->shares, link);
            if (is_over(share)) {
                destroy(share);
            }
            else {
                turn(share, now);
            }
        }
        source->shares_due = now + TICK;
    }
    return rs_ring_empty(&source->shares) ? NEVER : source->shares_due;
}

int rs_shares_busy(const rs_source_t *source)
{
    const rs_ring_t *link;

    for (link = rs_ring_first(&source->shares); link && is_over(SHARE(link));
         link = rs_ring_next(&source->shares, link)) {
    }
    return link != NULL;
}

void rs_shares_close(rs_source_t *source)
{
    rs_client_t *client;
    rs_ring_t *one, *link;

    while ((one = rs_ring_take(&source->shares))) {
        rs_share_t *share = SHARE(one);

        while ((client = take_joining(share))) {
            refuse(client);
        }
        while ((link = rs_ring_take(&share->members))) {
            rs_member_t *m = RS_RING_OF(link, rs_member_t, link);

            remove_member(m);
            if (m->left) {
                rs_common_destroy(share->source->topics->common, m->client);
            }
        }
        destroy(share);
    }
}
