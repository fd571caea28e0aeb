/* SPDX-License-Identifier: Apache-2.0
 *
 * Start and stop of a child's engine. The child's main thread, but for submit, reserve and drain.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "../log/rs_source.h"
#include "../proto/rs_template.h"
#include "rs_engine.h"

/* A client that is being closed lingers for up to two seconds: no drain is shorter than that. */
#define DRAIN_MIN apr_time_from_sec(3)
/* What a name that is being resolved may still take. */
#define RESOLVER_LIMIT apr_time_from_msec(500)

/* How long what back ends are still to be told of may take, when all streams have ended. */
#define LAST_CALLS apr_time_from_sec(5)
#define LAST_CALLS_HARD apr_time_from_msec(500)

/* The hub's thread: rs_engine_drain() may have been called from a signal handler. */
static void look_for_drain(void *data)
{
    rs_engine_t *engine = data;
    int i;

    if (engine->drained || !rs_engine_draining(engine)) {
        return;
    }
    engine->drained = 1;
    for (i = 0; i < engine->conf.streamers; i++) {
        rs_streamer_drain(engine->streamers[i], engine->conf.drain, rs_engine_end_limit(engine));
    }
}

apr_status_t rs_engine_create(rs_engine_t **out, apr_pool_t *pchild, const rs_engine_conf_t *conf,
                              rs_stats_t *stats)
{
    rs_engine_t *engine = apr_pcalloc(pchild, sizeof(*engine));
    rs_hub_conf_t hub = {conf->every_second, look_for_drain, engine};
    apr_status_t rv;
    int i;

    engine->conf = *conf;
    engine->common.cache = conf->cache;
    engine->common.max_message = conf->max_message;
    engine->common.nstreamers = conf->streamers;
    engine->common.stats = stats;
    engine->common.registry = conf->registry;
    engine->common.renewals = conf->registry ? conf->renewals : NULL;
    rs_profiles_open(&engine->profiles);
    rs_census_open(&engine->common.census);
    rs_gates_open(&engine->common.gates);
    rs_backends_open(&engine->common.backends);
    *out = engine;
    rv = rs_hub_create(&engine->hub, pchild, &engine->common, &hub);
    for (i = 0; rv == APR_SUCCESS && i < engine->conf.streamers; i++) {
        rv = rs_streamer_create(&engine->streamers[i], pchild, &engine->common, i);
    }
    if (rv == APR_SUCCESS && conf->callbacks.concurrent) {
        rv = rs_callbacks_create(&engine->callbacks, pchild, RS_MSG_CALL, &conf->callbacks,
                                 &engine->common.callbacks);
    }
    if (rv == APR_SUCCESS) {
        rs_hub_add_nowhere(engine->hub, &engine->nowhere);
    }
    return rv;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const rs_stream_t *)a)->key, ((const rs_stream_t *)b)->key);
}

static apr_status_t claim_stats(rs_engine_t *engine, rs_source_t *source)
{
    rs_stats_t *stats = engine->common.stats;
    apr_uint32_t index = stats->nsources;
    int i;

    if (index >= RS_STATS_SOURCES
        || stats->nstreams + (apr_uint32_t)source->nstreams > RS_STATS_STREAMS) {
        rs_log(RS_LOG_ERR, 0,
               RSLOGNO(0401) "at most %d Redis URLs with %d streams in all can be subscribed to",
               RS_STATS_SOURCES, RS_STATS_STREAMS);
        return APR_ENOSPC;
    }
    source->stats = &stats->sources[index];
    apr_cpystrn(source->stats->label, source->url->label, sizeof(source->stats->label));
    for (i = 0; i < source->nstreams; i++) {
        rs_stream_stats_t *s = &stats->streams[stats->nstreams + (apr_uint32_t)i];

        source->streams[i].stats = s;
        s->source = index;
        apr_cpystrn(s->name, source->streams[i].name, sizeof(s->name));
        apr_cpystrn(s->key, source->streams[i].key, sizeof(s->key));
    }
    /* Readers of the shared memory trust the counts, so these come last. */
    RS_STAT_SET(stats->nsources, index + 1);
    RS_STAT_SET(stats->nstreams, stats->nstreams + (apr_uint32_t)source->nstreams);
    return APR_SUCCESS;
}

apr_status_t rs_engine_add_source(rs_source_t **out, rs_engine_t *engine, apr_pool_t *pchild,
                                  const rs_redis_url_t *url, int batch, apr_interval_time_t block,
                                  rs_obeys_t control, const rs_presence_conf_t *presence,
                                  const rs_stream_params_t *streams, int nstreams)
{
    rs_source_t *source;
    apr_status_t rv;
    int i;

    if (nstreams < (!control && !presence) || nstreams > RS_SOURCE_STREAMS_MAX) {
        return APR_EINVAL;
    }
    source = apr_pcalloc(pchild, sizeof(*source));
    source->url = url;
    source->batch = batch;
    source->block = block;
    source->control = control;
    source->presence_conf = presence;
    source->nstreams = nstreams;
    source->streams = apr_pcalloc(pchild, (apr_size_t)nstreams * sizeof(rs_stream_t));
    for (i = 0; i < nstreams; i++) {
        source->streams[i].name = streams[i].name;
        source->streams[i].key = streams[i].key;
        source->streams[i].tenant_field = streams[i].tenant_field;
        source->streams[i].tenant_literal = streams[i].tenant_literal;
        source->streams[i].idle = streams[i].idle;
        source->streams[i].type_field = streams[i].type_field;
        source->streams[i].data_field = streams[i].data_field;
        source->streams[i].user_field = streams[i].user_field;
        source->streams[i].shared = streams[i].shared;
        source->streams[i].per_tenant = rs_template_per_tenant(streams[i].key);
    }
    qsort(source->streams, (size_t)nstreams, sizeof(rs_stream_t), by_key);
    source->keys = apr_pcalloc(pchild, (apr_size_t)nstreams * sizeof(rs_key_t));
    for (i = 0; i < nstreams; i++) {
        source->keys[i].name = source->streams[i].key;
        source->keys[i].source = source;
        source->keys[i].stream = i;
    }
    pthread_mutex_init(&source->lock, NULL);
    pthread_cond_init(&source->settling, NULL);
    rv = claim_stats(engine, source);
    if (rv == APR_SUCCESS) {
        rv = rs_hub_add_source(engine->hub, source);
    }
    *out = source;
    return rv;
}

apr_status_t rs_engine_add_office(rs_engine_t *engine, apr_pool_t *pchild,
                                  const rs_office_conf_t *conf)
{
    return rs_office_create(&engine->office, pchild, &engine->common, conf);
}

apr_status_t rs_engine_start(rs_engine_t *engine, apr_pool_t *pchild)
{
    apr_status_t rv = APR_SUCCESS;
    int i;

    for (i = 0; rv == APR_SUCCESS && i < engine->conf.streamers; i++) {
        rv = rs_streamer_start(engine->streamers[i], pchild);
    }
    if (rv == APR_SUCCESS && engine->callbacks) {
        rv = rs_callbacks_start(engine->callbacks, pchild);
    }
    if (rv == APR_SUCCESS && engine->office) {
        rv = rs_office_start(engine->office, pchild);
    }
    return rv == APR_SUCCESS ? rs_hub_start(engine->hub) : rv;
}

static rs_refusal_t enter(rs_engine_t *engine, const rs_arrival_t *who, int *seat)
{
    rs_registry_t *registry = engine->common.registry;

    switch (registry ? rs_registry_enter(registry, who, seat) : RS_ENTERED) {
    case RS_ENTERED:
        return RS_REFUSED_MAX;
    case RS_ENTER_TENANT_FULL:
        return RS_REFUSED_TENANT;
    case RS_ENTER_USER_FULL:
        return RS_REFUSED_USER;
    default:
        return RS_REFUSED_UNAVAILABLE;
    }
}

rs_refusal_t rs_engine_reserve(rs_engine_t *engine, const rs_arrival_t *who, int *seat)
{
    rs_refusal_t refused = RS_REFUSED_MAX;

    *seat = RS_NO_SEAT;
    /* Before it is looked whether the child ends: a streamer that ends does so after that was said,
     * and looks for those who come. */
    __atomic_add_fetch(&engine->common.arriving, 1, __ATOMIC_SEQ_CST);
    if (__atomic_add_fetch(&engine->common.connections, 1, __ATOMIC_ACQ_REL)
        > engine->conf.max_connections) {
        refused = RS_REFUSED_CONNECTIONS;
    }
    if (rs_engine_draining(engine)) {
        refused = RS_REFUSED_DRAINING;
    }
    if (refused == RS_REFUSED_MAX && who) {
        refused = enter(engine, who, seat);
    }
    if (refused != RS_REFUSED_MAX) {
        rs_common_unreserve(&engine->common);
    }
    return refused;
}

void rs_engine_unreserve(rs_engine_t *engine, int seat)
{
    rs_registry_leave(engine->common.registry, seat);
    rs_common_unreserve(&engine->common);
}

void rs_engine_submit(rs_engine_t *engine, rs_client_t *client)
{
    RS_STAT_ADD(engine->common.stats->accepted, 1);
    rs_common_tell_hub(&engine->common, &client->msg, RS_MSG_SUBMIT);
}

void rs_engine_drain(rs_engine_t *engine, int graceful)
{
    __atomic_store_n(&engine->graceful, graceful, __ATOMIC_RELEASE);
    __atomic_store_n(&engine->draining, 1, __ATOMIC_SEQ_CST);
    RS_STAT_SET(engine->common.stats->draining, 1);
    rs_hub_wake(engine->hub);
}

static int all_ended(rs_engine_t *engine)
{
    int i;

    for (i = 0; i < engine->conf.streamers; i++) {
        if (engine->streamers[i] && !rs_streamer_ended(engine->streamers[i])) {
            return 0;
        }
    }
    return 1;
}

apr_interval_time_t rs_engine_drain_limit(const rs_engine_t *engine)
{
    return engine->conf.drain > DRAIN_MIN ? engine->conf.drain : DRAIN_MIN;
}

apr_status_t rs_engine_stop(rs_engine_t *engine)
{
    int graceful =
        !rs_engine_draining(engine) || __atomic_load_n(&engine->graceful, __ATOMIC_ACQUIRE);
    apr_interval_time_t limit = graceful ? rs_engine_drain_limit(engine) : RS_ENGINE_HARD_STOP;
    apr_time_t until = rs_clock_now() + limit + apr_time_from_sec(1);
    int i;

    rs_engine_drain(engine, graceful);
    while (!all_ended(engine)) {
        if (rs_clock_now() >= until) {
            rs_log(RS_LOG_ERR, APR_TIMEUP,
                   RSLOGNO(0402) "streams do not end, the child exits anyway");
            return APR_TIMEUP;
        }
        apr_sleep(apr_time_from_msec(5));
    }
    for (i = 0; i < engine->conf.streamers; i++) {
        if (engine->streamers[i]) {
            rs_streamer_join(engine->streamers[i]);
        }
    }
    if (engine->office) {
        rs_office_stop(engine->office);
    }
    if (engine->callbacks) {
        rs_callbacks_stop(engine->callbacks, graceful ? LAST_CALLS : LAST_CALLS_HARD);
    }
    if (engine->office) {
        rs_office_close_ledger(engine->office);
    }
    rs_hub_stop(engine->hub);
    if (rs_resolver_stop(rs_hub_resolver(engine->hub), RESOLVER_LIMIT) != APR_SUCCESS) {
        return APR_TIMEUP;
    }
    rs_profiles_close(&engine->profiles);
    rs_census_close(&engine->common.census);
    rs_gates_close(&engine->common.gates);
    rs_backends_close(&engine->common.backends);
    return APR_SUCCESS;
}
