/* SPDX-License-Identifier: Apache-2.0
 *
 * Between a reader and the hub: where a stream is read on from, what is known to have been read,
 * and when streamers and health checks hear of it. The hub's thread.
 */
#include "../base/rs_log.h"
#include "../redis/rs_loader.h"
#include "../redis/rs_reader.h"
#include "rs_backfill.h"
#include "rs_engine.h"

typedef struct {
    rs_hub_t *hub;
    rs_source_t *source;
    int behind; /* some stream holds more than was read */
} baton_t;

static void publish_positions(rs_source_t *source)
{
    int i;

    pthread_mutex_lock(&source->lock);
    for (i = 0; i < source->nstreams; i++) {
        source->keys[i].pos = source->keys[i].at;
    }
    pthread_mutex_unlock(&source->lock);
    for (i = 0; i < source->nstreams; i++) {
        RS_STAT_SET(source->streams[i].stats->last_ms, source->keys[i].at.ms);
        RS_STAT_SET(source->streams[i].stats->last_seq, source->keys[i].at.seq);
    }
}

static rs_id_t on_position(void *data, int stream, const rs_history_t *history)
{
    baton_t *baton = data;
    rs_source_t *source = baton->source;
    rs_key_t *key = &source->keys[stream];
    int backwards = rs_id_cmp(history->newest, key->at) < 0;
    /* Another stream under the same name, with newer ids: it counts its entries from the start. */
    int replaced = history->added >= 0 && history->added < key->added;

    if (!key->known || backwards) {
        key->at = history->newest;
    }
    if (key->known && (backwards || replaced)) {
        rs_log(
            RS_LOG_WARNING, 0,
            RSLOGNO(0501) "%s: %s is not what it was (data was lost, or the stream was replaced); "
                          "its readers are told so",
            source->url->label, key->name);
        key->replaced = 1;
        rs_backfill_broken(key);
        /* First: readers that find their topic broken take their position from here. */
        publish_positions(source);
        rs_hub_break(baton->hub, key);
    }
    key->known = 1;
    baton->behind |= rs_id_cmp(history->newest, key->at) > 0;
    /* What is counted there and was not read yet will be counted when it is read. */
    if (rs_id_cmp(history->newest, key->at) == 0 || backwards || replaced) {
        key->added = rs_id_cmp(history->newest, key->at) == 0 ? history->added : -1;
    }
    return key->at;
}

static void on_entry(void *data, int stream, rs_id_t id, const redisReply *fields)
{
    baton_t *baton = data;
    rs_key_t *key = &baton->source->keys[stream];

    /* So that a stream with fewer entries than were read is another one. */
    if (key->added >= 0) {
        key->added++;
    }
    rs_assign_entry(baton->hub, key, id, fields);
}

static void set_caught_up(rs_source_t *source, int caught_up)
{
    __atomic_store_n(&source->caught_up, caught_up, __ATOMIC_RELEASE);
    RS_STAT_SET(source->stats->caught_up, (apr_uint32_t)caught_up);
}

static void on_batch_end(void *data, int caught_up)
{
    baton_t *baton = data;

    /* In this order: who reads a position and finds its topic unchanged has everything up to it. */
    publish_positions(baton->source);
    rs_hub_batch_end(baton->hub);
    set_caught_up(baton->source, caught_up);
}

static void on_up(void *data, int up)
{
    baton_t *baton = data;
    rs_source_t *source = baton->source;

    if (up != source->up) {
        RS_STAT_ADD(source->stats->connects, up);
        set_caught_up(source, up && !baton->behind);
    }
    baton->behind = 0;
    publish_positions(source);
    rs_hub_batch_end(baton->hub);
    __atomic_store_n(&source->up, up, __ATOMIC_RELEASE);
    RS_STAT_SET(source->stats->up, (apr_uint32_t)up);
    pthread_mutex_lock(&source->lock);
    source->settled = 1;
    pthread_cond_broadcast(&source->settling);
    pthread_mutex_unlock(&source->lock);
}

apr_status_t rs_ingest_open(rs_hub_t *hub, rs_source_t *source, apr_pool_t *p, rs_poll_t *poll)
{
    rs_reader_calls_t calls = {on_position, on_entry, on_batch_end, on_up, NULL};
    baton_t *baton = apr_palloc(p, sizeof(*baton));
    const char **keys = apr_palloc(p, (apr_size_t)source->nstreams * sizeof(*keys));
    apr_allocator_t *allocator;
    apr_pool_t *own;
    apr_status_t rv;
    int i;

    for (i = 0; i < source->nstreams; i++) {
        keys[i] = source->streams[i].key;
    }
    baton->hub = hub;
    baton->source = source;
    baton->behind = 0;
    calls.baton = baton;
    /* The hash grows with the number of tenants, in the hub's thread: a pool of its own. */
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
    rv = rs_loader_create(&source->loader, p, poll, source->url);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    return rs_reader_create(&source->reader, p, poll, source->url, keys, source->nstreams,
                            source->batch, source->block, &calls);
}
