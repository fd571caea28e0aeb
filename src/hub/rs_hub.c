/* SPDX-License-Identifier: Apache-2.0
 *
 * The hub's thread, and what makes it one.
 *
 *      Redis A   Redis B                 workers                    streamers
 *         │         │                       │ a new client              ▲   │ an ended one
 *      reader    reader                     ▼                           │   ▼
 *         └────┬────┘                  ┌──────────────────── inbox ─────┼──────┐
 *              │ entries               │                                │      │
 *              ▼                       ▼                                │
 *        rs_assign: tenant ──► rs_tenants: (URL, tenant) ──► topic ─────┘ "dirty"
 *
 * What readers say is in rs_ingest.c, what an entry is in rs_assign.c.
 *
 * One thread, because then the map from tenants to topics, the order of events and the moment at
 * which a client joins need no locks: a client is attached between two entries, so the number it
 * starts from is exact. What streamers read meanwhile (a topic's ring, a source's positions) is
 * behind locks that are held for the copy of a few pointers.
 *
 * What it does per entry that nobody waits for is one hash miss. What it does per event is one
 * framing and one append; streamers hear of a topic once per batch, however many events it got.
 *
 * It never writes to a client and never waits for anything but its poller.
 */
#include <apr_thread_proc.h>
#include <stdlib.h>

#include "../base/rs_clock.h"
#include "../base/rs_memory.h"
#include "../group/rs_group.h"
#include "../group/rs_share.h"
#include "../history/rs_backfill.h"
#include "../history/rs_fetch_run.h"
#include "../log/rs_profile.h"
#include "../log/rs_renewals.h"
#include "../log/rs_scars.h"
#include "../redis/rs_link.h"
#include "../redis/rs_loader.h"
#include "rs_admit.h"
#include "rs_control.h"
#include "rs_hub.h"
#include "rs_ingest.h"
#include "rs_keys.h"
#include "rs_presence.h"
#include "rs_revocation.h"

/* A topic without clients stays for a while: somebody whose connection broke is back by then. */
#define TOPIC_IDLE apr_time_from_sec(30)
#define SWEEP apr_time_from_sec(1)
#define GIVE_BACK apr_time_from_sec(10)
#define LAST_WORDS apr_time_from_sec(1)

struct rs_hub_t {
    rs_hub_conf_t conf; /* constant */
    rs_poll_t *poll;
    rs_inbox_t inbox;
    rs_resolver_t *resolver;
    apr_thread_t *thread;
    apr_pool_t *p;

    /* The hub's thread. */
    rs_topics_t topics;
    rs_source_t *sources[RS_STATS_SOURCES];
    int nsources;
    apr_time_t next_sweep, next_give_back;
    apr_uint32_t renewals; /* so many of the node's were looked at */
    rs_msg_t stop_msg;
    int stopped;
    apr_time_t stop_limit; /* once stopped */
};

#define FOLLOW_OF_UNFOLLOW(m) ((rs_follow_t *)((char *)(m)-offsetof(rs_follow_t, unfollow)))

/* --- what workers and streamers say --- */

static void forget(rs_hub_t *hub, rs_topic_t *topic)
{
    rs_backfill_forgot(topic);
    rs_group_forget(topic);
    rs_topics_remove(&hub->topics, topic);
}

static void on_unfollowed(rs_hub_t *hub, rs_follow_t *follow)
{
    rs_topic_t *topic = follow->topic;
    int i;

    follow->leaving = 0;
    for (i = 0; i < RS_STREAMERS_MAX; i++) {
        if (topic->follows[i] && topic->follows[i]->leaving) {
            return;
        }
    }
    /* Somebody may have come, and even gone, meanwhile: then news for a streamer may be on its way
     * behind the answer of another. The next sweep asks again. */
    if (topic->clients == 0 && topic->uses == 0 && !topic->visited) {
        forget(hub, topic);
    }
}

/* Asks the streamers to forget topics that nobody has been reading for a while. */
static void sweep(rs_hub_t *hub, apr_time_t now)
{
    rs_topic_t *topic, *next;
    int i;

    for (topic = hub->topics.oldest; topic; topic = next) {
        rs_follow_t *last = NULL;
        int busy = 0;

        next = topic->newer;
        rs_group_sweep(topic);
        rs_tenant_key_sweep(topic->owner);
        rs_backfill_sweep(topic);
        for (i = 0; i < RS_STREAMERS_MAX; i++) {
            busy |= topic->follows[i] && topic->follows[i]->leaving;
        }
        if (topic->clients || topic->uses || busy || now < topic->idle_since + TOPIC_IDLE) {
            continue;
        }
        topic->visited = 0;
        for (i = 0; i < RS_STREAMERS_MAX; i++) {
            rs_follow_t *follow = topic->follows[i];

            if (follow && rs_inbox_post(follow->streamer, &follow->unfollow, RS_MSG_UNFOLLOW)) {
                follow->leaving = 1;
                last = follow;
            }
        }
        if (!last) {
            forget(hub, topic);
        }
    }
    if (hub->conf.every_second) {
        hub->conf.every_second();
    }
    hub->next_sweep = now + SWEEP;
    if (now >= hub->next_give_back) {
        rs_memory_give_back();
        hub->next_give_back = now + GIVE_BACK;
    }
}

/* What clients have accepted is written a last time, if Redis takes it at once. */
static void stop(rs_hub_t *hub)
{
    rs_topic_t *topic;

    hub->stopped = 1;
    hub->stop_limit = rs_clock_now() + LAST_WORDS;
    for (topic = hub->topics.oldest; topic; topic = topic->newer) {
        rs_group_sweep(topic);
    }
}

static int over(const rs_hub_t *hub)
{
    int i, busy = 0;

    for (i = 0; i < hub->nsources; i++) {
        busy |= rs_group_busy(hub->sources[i]) || rs_shares_busy(hub->sources[i]);
    }
    return hub->stopped && (!busy || rs_clock_now() >= hub->stop_limit);
}

static void on_message(rs_hub_t *hub, rs_msg_t *msg)
{
    switch (msg->kind) {
    case RS_MSG_SUBMIT:
        rs_admit((rs_client_t *)msg);
        break;
    case RS_MSG_RELEASE:
        rs_admit_release((rs_client_t *)msg);
        break;
    case RS_MSG_FETCH:
        rs_fetch_run((rs_fetch_t *)msg);
        break;
    case RS_MSG_UNFOLLOWED:
        on_unfollowed(hub, FOLLOW_OF_UNFOLLOW(msg));
        break;
    case RS_MSG_DELIVERED:
        rs_share_delivered((rs_delivery_t *)msg);
        break;
    case RS_MSG_RESOLVED:
        ((rs_lookup_t *)msg)->done((rs_lookup_t *)msg);
        break;
    case RS_MSG_STOP:
        stop(hub);
        break;
    }
}

void rs_hub_wake(rs_hub_t *hub) { rs_poll_wake(hub->poll); }

/* --- the loop --- */

static apr_time_t turn(rs_hub_t *hub, apr_time_t now)
{
    apr_time_t next = hub->next_sweep;
    int i;

    for (i = 0; i < hub->nsources; i++) {
        apr_time_t due = rs_ingest_turn(hub->sources[i], now);

        next = due < next ? due : next;
    }
    if (now >= hub->next_sweep) {
        sweep(hub, now);
    }
    if (hub->topics.common->renewals) {
        apr_time_t due = rs_renewals_due(hub->topics.common->renewals, now);

        rs_control_renewals(hub->topics.common, hub->sources, hub->nsources, &hub->renewals);
        next = due < next ? due : next;
    }
    hub->conf.every_turn(hub->conf.baton);
    return next;
}

/* Streamers hear of what was read so far, also where Redis stops between two answers. Positions
 * first: who reads one and finds its topic unchanged has everything up to it. */
static void tell(rs_hub_t *hub)
{
    int i;

    for (i = 0; i < hub->nsources; i++) {
        if (hub->sources[i]->moved) {
            rs_key_publish(hub->sources[i]);
        }
    }
    if (hub->topics.ndirty) {
        rs_topics_tell(&hub->topics);
    }
}

int rs_hub_turn(rs_hub_t *hub)
{
    rs_poll_event_t events[4 * RS_STATS_SOURCES];
    apr_time_t now = rs_clock_now(), next = turn(hub, now);
    rs_msg_t *msg, *next_msg;
    int i, n;

    n = rs_poll_wait(hub->poll, events, 4 * RS_STATS_SOURCES, next > now ? next - now : 0);
    hub->topics.now = rs_clock_now();
    for (i = 0; i < n; i++) {
        rs_link_io(events[i].data, events[i].events);
    }
    tell(hub);
    for (msg = rs_inbox_drain(&hub->inbox); msg; msg = next_msg) {
        next_msg = msg->next;
        on_message(hub, msg);
    }
    return !over(hub);
}

void rs_hub_end(rs_hub_t *hub)
{
    rs_msg_t *msg, *next_msg;
    int i;

    for (msg = rs_inbox_close(&hub->inbox); msg; msg = next_msg) {
        next_msg = msg->next;
        if (msg->kind == RS_MSG_SUBMIT || msg->kind == RS_MSG_RELEASE) {
            rs_common_destroy(hub->topics.common, (rs_client_t *)msg);
        }
    }
    for (i = 0; i < hub->nsources; i++) {
        rs_loader_abort(hub->sources[i]->loader);
        rs_backfill_close(hub->sources[i]);
        rs_group_close(hub->sources[i]);
        rs_admit_refuse_waiting(hub->sources[i]);
        rs_shares_close(hub->sources[i]);
    }
    while (hub->topics.oldest) {
        forget(hub, hub->topics.oldest);
    }
    for (i = 0; i < hub->nsources; i++) {
        rs_scars_close(hub->sources[i]);
        rs_revocation_close(hub->sources[i]);
        rs_presence_close(hub->sources[i]);
    }
    rs_topics_close(&hub->topics);
}

static void *APR_THREAD_FUNC run(apr_thread_t *thread __attribute__((unused)), void *data)
{
    while (rs_hub_turn(data)) {
    }
    rs_hub_end(data);
    return NULL;
}

apr_status_t rs_hub_create(rs_hub_t **out, apr_pool_t *pchild, rs_common_t *common,
                           const rs_hub_conf_t *conf)
{
    static const rs_hub_calls_t calls = {
        rs_tenant_key_open, rs_tenant_key_close, rs_backfill_made, rs_admit_place,
        rs_admit_attach,    rs_admit_attach_to,  rs_admit_refuse};
    rs_hub_t *hub = apr_pcalloc(pchild, sizeof(*hub));
    apr_status_t rv;

    hub->conf = *conf;
    hub->topics.common = common;
    hub->topics.calls = &calls;
    hub->p = pchild;
    rv = rs_poll_create(&hub->poll, pchild);
    if (rv == APR_SUCCESS) {
        rs_inbox_open(&hub->inbox, hub->poll);
        common->hub = &hub->inbox;
        rv = rs_resolver_create(&hub->resolver, pchild, &hub->inbox, RS_MSG_RESOLVED);
    }
    *out = hub;
    return rv;
}

apr_status_t rs_hub_add_source(rs_hub_t *hub, rs_source_t *source)
{
    apr_status_t rv;

    source->topics = &hub->topics;
    rv = rs_ingest_open(source, hub->p, hub->poll, hub->resolver);
    if (rv == APR_SUCCESS) {
        hub->sources[hub->nsources++] = source;
    }
    return rv;
}

void rs_hub_add_nowhere(rs_hub_t *hub, rs_source_t *source) { source->topics = &hub->topics; }

rs_resolver_t *rs_hub_resolver(const rs_hub_t *hub) { return hub->resolver; }

apr_status_t rs_hub_start(rs_hub_t *hub)
{
    return apr_thread_create(&hub->thread, NULL, run, hub, hub->p);
}

void rs_hub_stop(rs_hub_t *hub)
{
    apr_status_t ignored;

    if (hub->thread) {
        rs_inbox_post(&hub->inbox, &hub->stop_msg, RS_MSG_STOP);
        apr_thread_join(&ignored, hub->thread);
    }
}
