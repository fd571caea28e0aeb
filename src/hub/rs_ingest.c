/* SPDX-License-Identifier: Apache-2.0
 *
 * Between Redis and the hub: what reads a source, and when streamers and health checks hear of what
 * was read. The hub's thread.
 */
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_log.h"
#include "../redis/rs_loader.h"
#include "../redis/rs_reader.h"
#include "../group/rs_share.h"
#include "../proto/rs_own_keys.h"
#include "rs_admit.h"
#include "rs_control.h"
#include "rs_ingest.h"
#include "rs_keys.h"
#include "rs_presence.h"
#include "rs_revocation.h"

#define NEVER ((apr_time_t)0x7fffffffffffffffLL)

static void tell(rs_source_t *source)
{
    /* In this order: who reads a position and finds its topic unchanged has everything up to it. */
    rs_key_publish(source);
    rs_topics_tell(source->topics);
}

static void set_caught_up(rs_source_t *source, int caught_up)
{
    __atomic_store_n(&source->caught_up, caught_up, __ATOMIC_RELEASE);
    RS_STAT_SET(source->stats->caught_up, (apr_uint32_t)caught_up);
}

/* With sentinels: which server it is, for logs and statistics. */
static void note_master(rs_source_t *source, const char *master)
{
    rs_source_stats_t *stats = source->stats;

    if (!master) {
        RS_STAT_SET(stats->master, 0);
        return;
    }
    if (!source->master || strcmp(stats->masters[source->master - 1], master) != 0) {
        source->master = source->master == 1 ? 2 : 1;
        apr_cpystrn(stats->masters[source->master - 1], master, RS_STATS_MASTER);
        rs_log(RS_LOG_NOTICE, 0, RSLOGNO(1940) "%s: the master is %s", source->url->label, master);
    }
    __atomic_store_n(&stats->master, (apr_uint32_t)source->master, __ATOMIC_RELEASE);
}

static const char *master_of(const rs_source_t *source)
{
    return source->reader ? rs_reader_master(source->reader) : rs_watcher_master(source->watcher);
}

/* One of those that read it is up now, or failed (again): it is up when all are that are there, and
 * it is known who is not to be let in. */
static void set_up(rs_source_t *source, int failed)
{
    int up = (!source->reader || source->reading) && (!source->watcher || source->watching)
             && (source->control != RS_OBEYS || rs_revoked_known(source->revoked));

    if (up != source->up) {
        RS_STAT_ADD(source->stats->connects, up);
        set_caught_up(source, up && !source->behind);
        note_master(source, up ? master_of(source) : NULL);
    }
    source->behind = 0;
    tell(source);
    __atomic_store_n(&source->up, up, __ATOMIC_RELEASE);
    RS_STAT_SET(source->stats->up, (apr_uint32_t)up);
    if (up || failed) {
        pthread_mutex_lock(&source->lock);
        source->settled = 1;
        pthread_cond_broadcast(&source->settling);
        pthread_mutex_unlock(&source->lock);
    }
}

/* --- keys that all tenants share --- */

static rs_id_t on_ask(void *data, int stream)
{
    rs_source_t *source = data;

    if (!source->read[stream]) {
        return rs_control_ask(source);
    }
    rs_known_ask(&source->read[stream]->now);
    return source->read[stream]->now.at;
}

/* A command may be newer than an answer that is under way; and where some were lost only the set
 * says who was revoked. */
static void hear_of_revocations(rs_source_t *source)
{
    if (source->control_lost) {
        rs_revocation_up(source);
    }
    else if (source->control_revoked) {
        rs_revocation_changes(source);
    }
    source->control_lost = source->control_revoked = 0;
}

static int on_take(void *data, int stream, const rs_history_t *history, const redisReply *entries,
                   int full, int watched)
{
    rs_source_t *source = data;
    rs_key_t *key = source->read[stream];
    int good;

    if (!key) {
        good = rs_control_take(source, history, entries);
        hear_of_revocations(source);
        return good;
    }
    good = rs_key_take(key, history, entries, full, watched);
    source->behind |= rs_id_cmp(key->now.newest, key->now.at) > 0;
    return good;
}

static void on_answered(void *data, int stream)
{
    rs_source_t *source = data;

    if (source->read[stream]) {
        rs_key_answered(source->read[stream]);
    }
}

static void on_batch_end(void *data, int caught_up)
{
    rs_source_t *source = data;

    tell(source);
    set_caught_up(source, caught_up && !source->behind);
    source->behind = 0;
}

static void on_reading(void *data, int up)
{
    rs_source_t *source = data;

    source->reading = up;
    if (up) {
        rs_revocation_up(source);
    }
    set_up(source, !up);
}

static apr_status_t open_reader(rs_source_t *source, apr_pool_t *p, rs_poll_t *poll,
                                rs_resolver_t *resolver)
{
    rs_reader_calls_t calls = {on_ask, on_take, on_answered, on_batch_end, on_reading, source};
    const char **names = apr_palloc(p, (apr_size_t)(source->nstreams + 1) * sizeof(*names));
    int i, n = 0;

    source->read = apr_palloc(p, (apr_size_t)(source->nstreams + 1) * sizeof(*source->read));
    for (i = 0; i < source->nstreams; i++) {
        if (!source->streams[i].per_tenant) {
            source->read[n] = &source->keys[i];
            names[n++] = source->keys[i].name;
        }
    }
    if (source->control) {
        source->read[n] = NULL;
        names[n++] = RS_OWN_CONTROL;
    }
    return n ? rs_reader_create(&source->reader, p, poll, resolver, source->url, names, n,
                                source->batch, source->block, &calls)
             : APR_SUCCESS;
}

/* That is known now, or cannot be. */
static void on_revocation(rs_source_t *source, int failed)
{
    if (!source->up) {
        set_up(source, failed);
    }
}

/* --- keys of tenants --- */

static void on_watching(void *data, int up)
{
    rs_source_t *source = data;
    apr_hash_index_t *i;
    void *tenant;

    source->watching = up;
    /* NULL: the hash's own iterator; nothing is allocated. */
    for (i = up ? apr_hash_first(NULL, source->tenants) : NULL; i; i = apr_hash_next(i)) {
        apr_hash_this(i, NULL, NULL, &tenant);
        rs_tenant_key_unwatched(tenant);
    }
    if (!up) {
        rs_admit_refuse_waiting(source);
    }
    rs_shares_up(source, up);
    set_up(source, !up);
}

static apr_status_t open_watcher(rs_source_t *source, apr_pool_t *own, rs_poll_t *poll,
                                 rs_resolver_t *resolver)
{
    rs_watcher_calls_t calls = {on_watching, source};
    int i, any = 0;

    for (i = 0; i < source->nstreams; i++) {
        any |= source->streams[i].per_tenant || source->streams[i].shared;
    }
    return any ? rs_watcher_create(&source->watcher, own, poll, resolver, source->url, &calls)
               : APR_SUCCESS;
}

apr_status_t rs_ingest_open(rs_source_t *source, apr_pool_t *p, rs_poll_t *poll,
                            rs_resolver_t *resolver)
{
    apr_allocator_t *allocator;
    apr_pool_t *own;
    apr_status_t rv;

    /* Hashes grow with the number of tenants, in the hub's thread: a pool of its own. */
    rv = apr_allocator_create(&allocator);
    if (rv == APR_SUCCESS) {
        rv = apr_pool_create_ex(&own, p, NULL, allocator);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    apr_allocator_owner_set(allocator, own);
    apr_pool_tag(own, "ragline_tenants");
    source->tenants = apr_hash_make(own);
    source->share_index = apr_hash_make(own);
    rs_ring_init(&source->shares);
    source->scar_index = apr_hash_make(own);
    rs_ring_init(&source->scars);
    rv = rs_loader_create(&source->loader, p, poll, resolver, source->url);
    if (rv == APR_SUCCESS) {
        rv = rs_revocation_open(source, p, on_revocation);
    }
    if (rv == APR_SUCCESS) {
        rv = rs_presence_open(source, p);
    }
    if (rv == APR_SUCCESS) {
        rv = open_reader(source, p, poll, resolver);
    }
    if (rv == APR_SUCCESS) {
        rv = open_watcher(source, own, poll, resolver);
    }
    /* Where there is nothing to read (a gateway's users are told of) nothing is waited for. */
    if (rv == APR_SUCCESS && !source->reader && !source->watcher) {
        set_caught_up(source, 1);
        RS_STAT_SET(source->stats->up, 1);
        source->up = source->settled = 1;
    }
    return rv;
}

apr_time_t rs_ingest_turn(rs_source_t *source, apr_time_t now)
{
    apr_time_t reader = source->reader ? rs_reader_turn(source->reader, now) : NEVER;
    apr_time_t watcher = source->watcher ? rs_watcher_turn(source->watcher, now) : NEVER;
    apr_time_t revocation = rs_revocation_turn(source, now);
    apr_time_t presence = rs_presence_turn(source, now);
    apr_time_t next = rs_loader_turn(source->loader, now), shares = rs_shares_turn(source, now);

    next = shares < next ? shares : next;
    next = revocation < next ? revocation : next;
    next = presence < next ? presence : next;
    next = reader < next ? reader : next;
    return watcher < next ? watcher : next;
}
