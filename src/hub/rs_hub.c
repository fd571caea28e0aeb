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

#include "../base/rs_buf.h"
#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "../base/rs_memory.h"
#include "../redis/rs_link.h"
#include "../redis/rs_loader.h"
#include "../history/rs_backfill.h"
#include "../log/rs_cache.h"
#include "../engine/rs_engine.h"
#include "../log/rs_fetch.h"
#include "../group/rs_group.h"
#include "../log/rs_scars.h"
#include "../group/rs_share.h"

/* A topic without clients stays for a while: somebody whose connection broke is back by then. */
#define TOPIC_IDLE apr_time_from_sec(30)
#define SWEEP apr_time_from_sec(1)
#define GIVE_BACK apr_time_from_sec(10)
#define LAST_WORDS apr_time_from_sec(1)

struct rs_hub_t {
    rs_engine_t *engine;
    rs_poll_t *poll;
    rs_inbox_t inbox;
    apr_thread_t *thread;
    apr_pool_t *p;

    /* The hub's thread. */
    rs_source_t *sources[RS_STATS_SOURCES];
    int nsources;
    rs_buf_t scratch;
    rs_topic_t **dirty; /* appended to in this batch */
    int ndirty, dirty_size;
    size_t untold; /* appended since streamers were told */
    rs_cache_t cache;
    apr_time_t now; /* of this turn */
    apr_time_t next_sweep, next_give_back;
    int draining;
    rs_msg_t stop_msg;
    int stopped;
    apr_time_t stop_limit; /* once stopped */
};

#define FOLLOW_OF_UNFOLLOW(m) ((rs_follow_t *)((char *)(m)-offsetof(rs_follow_t, unfollow)))

rs_buf_t *rs_hub_scratch(rs_hub_t *hub) { return &hub->scratch; }
size_t rs_hub_max_message(const rs_hub_t *hub) { return hub->engine->conf.max_message; }

/* --- topics --- */

static void note_dirty(rs_hub_t *hub, rs_topic_t *topic)
{
    if (topic->dirty) {
        return;
    }
    if (hub->ndirty == hub->dirty_size) {
        int size = hub->dirty_size ? hub->dirty_size * 2 : 64;
        rs_topic_t **list = realloc(hub->dirty, (size_t)size * sizeof(*list));

        if (!list) {
            return; /* its readers will see the event with the next one */
        }
        hub->dirty = list;
        hub->dirty_size = size;
    }
    topic->dirty = 1;
    hub->dirty[hub->ndirty++] = topic;
}

void rs_hub_append(rs_hub_t *hub, rs_topic_t *topic, rs_event_t *event)
{
    hub->untold += rs_event_cost(event);
    rs_cache_append(&hub->cache, topic, event, hub->now);
    note_dirty(hub, topic);
    /* A batch may be larger than all that may be kept. */
    if (hub->untold > hub->cache.limit / 4) {
        rs_hub_batch_end(hub);
    }
}

void rs_hub_prepend(rs_hub_t *hub, rs_topic_t *topic, rs_event_t *event)
{
    rs_cache_prepend(&hub->cache, topic, event, hub->now);
}

int rs_hub_is_full(const rs_hub_t *hub) { return rs_cache_is_full(&hub->cache); }

rs_topic_t *rs_hub_topics(rs_hub_t *hub) { return hub->cache.oldest; }

apr_time_t rs_hub_now(const rs_hub_t *hub) { return hub->now; }

rs_topic_t *rs_hub_topic(rs_hub_t *hub, rs_source_t *source, const char *tenant,
                         apr_uint64_t streams)
{
    rs_topic_t *topic = rs_tenants_topic(source, tenant, streams);

    if (topic && !topic->listed) {
        topic->listed = 1;
        topic->idle_since = rs_clock_now();
        rs_cache_add(&hub->cache, topic);
        rs_backfill_made(topic);
    }
    return topic;
}

void rs_hub_batch_end(rs_hub_t *hub)
{
    int i, k;

    for (i = 0; i < hub->ndirty; i++) {
        rs_topic_t *topic = hub->dirty[i];

        topic->dirty = 0;
        for (k = 0; k < hub->engine->conf.streamers; k++) {
            rs_follow_t *follow = topic->follows[k];

            if (follow && follow->clients
                && !__atomic_exchange_n(&follow->queued, 1, __ATOMIC_SEQ_CST)) {
                rs_streamer_post(follow->streamer, &follow->dirty, RS_MSG_DIRTY);
            }
        }
    }
    hub->ndirty = 0;
    hub->untold = 0;
    rs_cache_evict(&hub->cache);
}

void rs_hub_break_topic(rs_hub_t *hub, rs_topic_t *topic)
{
    rs_cache_break(&hub->cache, topic);
    note_dirty(hub, topic);
}

/* --- what workers and streamers say --- */

void rs_hub_destroy(rs_hub_t *hub, rs_client_t *client)
{
    rs_client_destroy(client);
    rs_engine_unreserve(hub->engine);
}

rs_engine_t *rs_hub_engine(rs_hub_t *hub) { return hub->engine; }

void rs_hub_leave_topic(rs_topic_t *topic)
{
    if (--topic->clients == 0) {
        topic->idle_since = rs_clock_now();
    }
}

void rs_hub_release(rs_hub_t *hub, rs_client_t *client)
{
    if (client->follow) {
        client->follow->clients--;
    }
    rs_group_leave(client);
    if (client->topic) {
        rs_hub_leave_topic(client->topic);
    }
    if (!client->member || rs_share_leave(client)) {
        rs_hub_destroy(hub, client);
    }
}

static void on_fetch(rs_hub_t *hub, rs_fetch_t *fetch)
{
    (void)hub;
    fetch->topic->uses++;
    rs_fetch_run(fetch);
}

void rs_hub_fetched(rs_hub_t *hub, rs_fetch_t *fetch)
{
    fetch->topic->uses--;
    if (!rs_streamer_post(fetch->streamer, &fetch->msg, RS_MSG_FETCHED)) {
        rs_fetch_free(fetch);
    }
    (void)hub;
}

static void forget(rs_hub_t *hub, rs_topic_t *topic)
{
    int i;

    for (i = 0; topic->dirty && i < hub->ndirty; i++) {
        if (hub->dirty[i] == topic) {
            hub->dirty[i] = hub->dirty[--hub->ndirty];
            topic->dirty = 0;
        }
    }
    rs_backfill_forgot(topic);
    rs_group_forget(topic);
    rs_cache_remove(&hub->cache, topic);
    rs_tenants_remove(topic);
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

    for (topic = hub->cache.oldest; topic; topic = next) {
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

            if (follow && rs_streamer_post(follow->streamer, &follow->unfollow, RS_MSG_UNFOLLOW)) {
                follow->leaving = 1;
                last = follow;
            }
        }
        if (!last) {
            forget(hub, topic);
        }
    }
    if (hub->engine->conf.every_second) {
        hub->engine->conf.every_second();
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
    for (topic = hub->cache.oldest; topic; topic = topic->newer) {
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
        rs_admit(hub, (rs_client_t *)msg);
        break;
    case RS_MSG_RELEASE:
        rs_hub_release(hub, (rs_client_t *)msg);
        break;
    case RS_MSG_FETCH:
        on_fetch(hub, (rs_fetch_t *)msg);
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

void rs_hub_post(rs_hub_t *hub, rs_msg_t *msg, int kind)
{
    if (!rs_inbox_post(&hub->inbox, msg, kind)
        && (kind == RS_MSG_SUBMIT || kind == RS_MSG_RELEASE)) {
        rs_hub_destroy(hub, (rs_client_t *)msg);
    }
}

void rs_hub_wake(rs_hub_t *hub) { rs_poll_wake(hub->poll); }

/* --- the loop --- */

static void start_drain(rs_hub_t *hub)
{
    rs_engine_t *engine = hub->engine;
    int i;

    hub->draining = 1;
    for (i = 0; i < engine->conf.streamers; i++) {
        rs_streamer_drain(engine->streamers[i], engine->conf.drain, rs_engine_end_limit(engine));
    }
}

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
    if (!hub->draining && rs_engine_draining(hub->engine)) {
        start_drain(hub);
    }
    return next;
}

int rs_hub_turn(rs_hub_t *hub)
{
    rs_poll_event_t events[4 * RS_STATS_SOURCES];
    apr_time_t now = rs_clock_now(), next = turn(hub, now);
    rs_msg_t *msg, *next_msg;
    int i, n;

    n = rs_poll_wait(hub->poll, events, 4 * RS_STATS_SOURCES, next > now ? next - now : 0);
    hub->now = rs_clock_now();
    for (i = 0; i < n; i++) {
        rs_link_io(events[i].data, events[i].events);
    }
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
            rs_hub_destroy(hub, (rs_client_t *)msg);
        }
    }
    for (i = 0; i < hub->nsources; i++) {
        rs_loader_abort(hub->sources[i]->loader);
        rs_backfill_close(hub->sources[i]);
        rs_group_close(hub->sources[i]);
        rs_hub_refuse_waiting(hub, hub->sources[i]);
        rs_shares_close(hub->sources[i]);
    }
    while (hub->cache.oldest) {
        rs_topic_t *topic = hub->cache.oldest;

        rs_cache_remove(&hub->cache, topic);
        rs_backfill_forgot(topic);
        rs_group_forget(topic);
        rs_tenants_remove(topic);
    }
    for (i = 0; i < hub->nsources; i++) {
        rs_scars_close(hub->sources[i]);
    }
    rs_buf_free(&hub->scratch);
    free(hub->dirty);
}

static void *APR_THREAD_FUNC run(apr_thread_t *thread __attribute__((unused)), void *data)
{
    while (rs_hub_turn(data)) {
    }
    rs_hub_end(data);
    return NULL;
}

apr_status_t rs_hub_create(rs_hub_t **out, apr_pool_t *pchild, rs_engine_t *engine)
{
    rs_hub_t *hub = apr_pcalloc(pchild, sizeof(*hub));
    apr_status_t rv;

    hub->engine = engine;
    hub->cache.limit = engine->conf.cache;
    hub->p = pchild;
    rv = rs_poll_create(&hub->poll, pchild);
    if (rv == APR_SUCCESS) {
        rs_inbox_open(&hub->inbox, hub->poll);
        rv = rs_resolver_create(&engine->resolver, pchild, &hub->inbox, RS_MSG_RESOLVED);
    }
    *out = hub;
    return rv;
}

apr_status_t rs_hub_add_source(rs_hub_t *hub, rs_source_t *source)
{
    apr_status_t rv;

    source->hub = hub;
    rv = rs_ingest_open(source, hub->p, hub->poll, hub->engine->resolver);

    if (rv == APR_SUCCESS) {
        hub->sources[hub->nsources++] = source;
    }
    return rv;
}

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
