/* SPDX-License-Identifier: Apache-2.0
 *
 * Start and stop: what is set up as root before children exist, in each child, and when a child
 * ends. Main thread of the parent or of the child.
 */
#include "../conf/rs_httpd.h"
#include <jansson.h>
#include <unistd.h>

#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "../conf/rs_conf.h"
#include "../log/rs_renewals.h"
#include "../obs/rs_board.h"
#include "../obs/rs_left_groups.h"
#include "rs_child.h"
#include "rs_gateway_start.h"
#include "rs_limits.h"
#include "rs_pumps.h"
#include "rs_refusal.h"

/* Seconds after which a child of an earlier generation takes itself for forgotten. */
#define FORGOTTEN 3

static struct {
    rs_engine_t *engine;
    rs_registry_t *registry; /* NULL: there is none */
    rs_renewals_t *renewals; /* likewise */
    rs_jwt_cache_t *jwt_cache;
    int send_buffer;
    int broken; /* some threads of an engine that did not start completely may run */
    int generation;
    int old;                 /* hub: seconds for which httpd has had a newer generation */
    apr_time_t pumps_end_at; /* hub */
} child;                     /* written in child_init, before any thread runs */

static server_rec *log_server;

rs_engine_t *rs_child_engine(void) { return child.engine; }
rs_registry_t *rs_child_registry(void) { return child.registry; }
rs_renewals_t *rs_child_renewals(void) { return child.renewals; }
rs_jwt_cache_t *rs_child_jwt_cache(void) { return child.jwt_cache; }
int rs_child_send_buffer(void) { return child.send_buffer; }

static void log_sink(const char *file, int line, int level, apr_status_t rv, const char *message)
{
    ap_log_error(file, line, APLOG_MODULE_INDEX, level, rv, log_server, "%s", message);
}

static void open_log(server_rec *s)
{
    int level = ap_get_server_module_loglevel(s, APLOG_MODULE_INDEX);

    log_server = s;
    /* httpd writes notices whatever the level, and an end of trouble is one. */
    rs_log_sink(log_sink, level < APLOG_NOTICE ? APLOG_NOTICE : level);
}

/* --- before children exist, as root --- */

/* check_config reads them; who may only check the configuration gets so far and no further. */
static int passwords_are_there(apr_pool_t *p, server_rec *main_server)
{
    server_rec *s;

    for (s = main_server; s; s = s->next) {
        const rs_server_conf_t *conf = rs_conf_server(s);

        if (conf->redis_secret && !conf->url->password) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                         "RS0801: RaglineRedisAuth: %s cannot be read by this user",
                         rs_conf_masked(p, conf->redis_secret));
            return 0;
        }
    }
    return 1;
}

static int keys_are_there(apr_pool_t *p, server_rec *s)
{
    const apr_array_header_t *all = rs_conf_sections();
    int i, k;

    for (i = 0; i < all->nelts; i++) {
        const apr_array_header_t *keys = APR_ARRAY_IDX(all, i, rs_section_t).conf->jwt_keys;

        for (k = 0; keys && k < keys->nelts; k++) {
            const rs_key_conf_t *key = APR_ARRAY_IDX(keys, k, rs_key_conf_t *);

            if (!key->keys) {
                ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                             "RS0802: RaglineJWTKey: %s cannot be read by this user",
                             rs_conf_masked(p, key->spec));
                return 0;
            }
        }
    }
    return 1;
}

static int post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                       server_rec *main_server)
{
    int children = 0;

    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG) {
        return OK;
    }
    open_log(main_server);
    /* Before threads: jansson makes the seed of its hash tables at first use. */
    json_object_seed(0);
    if (!passwords_are_there(ptemp, main_server) || !keys_are_there(ptemp, main_server)
        || !rs_gateway_secrets_are_there(ptemp, main_server)) {
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (rs_conf_sections()->nelts > 0) {
        rs_limits_raise(ptemp, main_server, rs_conf_server(main_server));
        rs_limits_warn(ptemp, main_server);
        rs_gateway_warn(main_server);
    }
    ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &children);
    child.renewals = rs_renewals_open(main_server->process->pool);
    return rs_board_open(main_server->process->pool, children) == APR_SUCCESS
                   && rs_registry_open(&child.registry, main_server->process->pool, children,
                                       rs_conf_server(main_server)->max_connections)
                          == APR_SUCCESS
               ? OK
               : HTTP_INTERNAL_SERVER_ERROR;
}

static void child_status(server_rec *s, pid_t pid, ap_generation_t generation, int slot,
                         mpm_child_status status)
{
    if (status == MPM_CHILD_EXITED) {
        rs_board_gone(pid);
        rs_registry_gone(child.registry, pid);
    }
}

/* --- in the child --- */

static int any_shared(void)
{
    const apr_array_header_t *all = rs_conf_sections();
    int i;

    for (i = 0; i < all->nelts && APR_ARRAY_IDX(all, i, rs_section_t).conf->shared != 1; i++) {
    }
    return i < all->nelts;
}

static apr_status_t open_source(apr_pool_t *p, server_rec *main_server, rs_server_conf_t *conf)
{
    apr_array_header_t *streams = rs_conf_subscribed(p, main_server, conf);
    rs_obeys_t obeys = !rs_conf_obeys(main_server)                    ? RS_OBEYS_NOBODY
                       : rs_conf_server(main_server)->revocation_open ? RS_OBEYS_AND_IS_OPEN
                                                                      : RS_OBEYS;
    const rs_presence_conf_t *presence =
        rs_conf_presence(p, main_server, conf, child.generation);
    rs_stream_params_t *params;
    int i, shared = any_shared();

    if (streams->nelts == 0
        && ((obeys == RS_OBEYS_NOBODY && !presence) || !rs_conf_has_gateway())) {
        return APR_SUCCESS;
    }
    params = apr_pcalloc(p, (apr_size_t)streams->nelts * sizeof(*params));
    for (i = 0; i < streams->nelts; i++) {
        const rs_stream_conf_t *stream = APR_ARRAY_IDX(streams, i, rs_stream_conf_t *);

        params[i].name = stream->name;
        params[i].key = stream->key;
        params[i].tenant_field = stream->tenant_field;
        params[i].tenant_literal = stream->tenant_literal;
        params[i].idle = stream->idle;
        params[i].type_field = stream->type_field;
        params[i].data_field = stream->data_field;
        params[i].user_field = stream->user_field;
        params[i].shared = shared && stream->tenant_literal;
    }
    return rs_engine_add_source(&conf->source, child.engine, p, conf->url, conf->read_batch,
                                conf->read_block, obeys, presence, params, streams->nelts);
}

/* The groups that endpoints use in this Redis, or NULL: there may be more than are known. */
static rs_left_groups_t *groups_of(apr_pool_t *p, server_rec *main_server,
                                   const rs_server_conf_t *redis)
{
    apr_array_header_t *grouped = apr_array_make(p, 4, sizeof(rs_grouped_t));
    rs_left_groups_t *groups = apr_pcalloc(p, sizeof(*groups));
    server_rec *s;

    for (s = main_server; s; s = s->next) {
        const rs_server_conf_t *conf = rs_conf_server(s);

        if (conf->more_grouped) {
            return NULL;
        }
        if (rs_redis_url_same(conf->url, redis->url)) {
            apr_array_cat(grouped, conf->grouped);
        }
    }
    groups->redis = redis->url->label;
    groups->grouped = grouped;
    return groups;
}

static apr_status_t open_host(apr_pool_t *p, server_rec *main_server, rs_server_conf_t *conf,
                              int nth)
{
    const rs_left_groups_t *groups = groups_of(p, main_server, conf);
    rs_redis_pool_conf_t pool = {conf->pool_max,
                                 conf->pool_min,
                                 conf->pool_idle,
                                 conf->pool_timeout,
                                 conf->pool_healthcheck,
                                 rs_board_told(nth),
                                 groups ? rs_left_groups_look : NULL,
                                 groups};
    const rs_server_conf_t *other = rs_conf_same_redis(main_server, conf);
    apr_status_t rv;

    if (other != conf) {
        conf->pool = other->pool;
        conf->source = other->source;
        return APR_SUCCESS;
    }
    rv = rs_redis_pool_create(&conf->pool, p, conf->url, &pool);
    return rv == APR_SUCCESS ? open_source(p, main_server, conf) : rv;
}

/* httpd may have more children than it thinks, after some were killed: its stop does not reach all
 * of them, and who is forgotten goes on with the old configuration. Not within the first seconds:
 * those are for httpd to say how the child is to end. */
static void drain_if_forgotten(void)
{
    if (ap_get_scoreboard_global()->running_generation == child.generation) {
        child.old = 0;
    }
    else if (++child.old == FORGOTTEN && !rs_engine_draining(child.engine)) {
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, log_server,
                     "RS0807: httpd has not told this child that it was replaced: its streams are "
                     "sent to the new ones");
        rs_engine_drain(child.engine, 1);
    }
}

/* Workers that write to clients that do not read do not see that the child ends. */
static void end_pumps(void)
{
    rs_engine_t *engine = child.engine;
    apr_time_t now = rs_clock_now();

    if (!rs_engine_draining(engine)) {
        return;
    }
    if (!child.pumps_end_at) {
        child.pumps_end_at = now + rs_engine_end_limit(engine);
    }
    else if (now >= child.pumps_end_at) {
        rs_pumps_cut();
    }
}

/* The hub's thread. */
static void every_second(void)
{
    drain_if_forgotten();
    end_pumps();
    rs_refusal_look(log_server);
}

static apr_status_t open_engine(apr_pool_t *p, server_rec *main_server, rs_stats_t *stats)
{
    const rs_server_conf_t *conf = rs_conf_server(main_server);
    rs_engine_conf_t engine = {
        conf->streamers,       (size_t)conf->cache, (size_t)conf->max_message,
        conf->max_connections, conf->drain,         {0, 0, NULL},
        child.registry,        child.renewals,      every_second};
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    rs_engine_t *created;
    apr_status_t rv;
    server_rec *s;
    int nth = 0;

    if (engine.streamers == 0) {
        engine.streamers = cores < 1 ? 1 : cores > RS_STREAMERS_MAX ? RS_STREAMERS_MAX : (int)cores;
    }
    rs_gateway_callbacks(&engine.callbacks, conf, stats);
    rv = rs_engine_create(&created, p, &engine, stats);
    if (rv == APR_SUCCESS) {
        child.engine = created; /* a signal handler may look from now on */
    }
    for (s = main_server; rv == APR_SUCCESS && s; s = s->next) {
        rv = open_host(p, main_server, rs_conf_server(s), nth++);
    }
    if (rv == APR_SUCCESS) {
        rv = rs_gateway_office(child.engine, p, main_server);
    }
    return rv == APR_SUCCESS ? rs_engine_start(child.engine, p) : rv;
}

static int pools_end(server_rec *s)
{
    for (; s; s = s->next) {
        rs_redis_pool_t *pool = rs_conf_server(s)->pool;

        if (pool && rs_redis_pool_stop(pool) != APR_SUCCESS) {
            return 0;
        }
    }
    return 1;
}

static apr_status_t close_engine(void *data)
{
    rs_engine_t *engine = child.engine;

    if (child.broken || (engine && rs_engine_stop(engine) != APR_SUCCESS) || !pools_end(data)) {
        /* Threads still run on memory that is about to go: leave without tearing it down. */
        _exit(0);
    }
    child.engine = NULL;
    return APR_SUCCESS;
}

static void claim_registry(void)
{
    int claimed = rs_registry_claim(child.registry);

    if (claimed != 1) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, log_server,
                     "RS0809: too many children of earlier configurations are still there: the "
                     "streams of this one are in no list, and count for no RaglineLimit of others");
    }
    if (claimed < 0) {
        child.registry = NULL;
    }
}

static void child_init(apr_pool_t *p, server_rec *main_server)
{
    const rs_server_conf_t *conf = rs_conf_server(main_server);
    rs_pump_limits_t pumps;
    rs_stats_t *stats;
    apr_status_t rv;

    open_log(main_server);
    if (rs_conf_sections()->nelts == 0 && !conf->gatewayed) {
        return;
    }
    stats = rs_board_claim();
    claim_registry();
    pumps = rs_conf_pumps(p, conf);
    rs_pumps_open(&pumps, stats);
    rs_refusal_open(stats, conf->max_connections);
    ap_mpm_query(AP_MPMQ_GENERATION, &child.generation);
    child.send_buffer = (int)conf->send_buffer;
    rv = rs_jwt_cache_create(&child.jwt_cache, p);
    if (rv == APR_SUCCESS) {
        rv = open_engine(p, main_server, stats);
    }
    if (rv != APR_SUCCESS) {
        ap_log_error(
            APLOG_MARK, APLOG_CRIT, rv, main_server,
            "RS0806: this child cannot serve streams; it sends their clients away for a while");
        child.engine = NULL;
        child.broken = 1;
    }
    /* Before sub-pools go: the engine's threads use some. */
    apr_pool_pre_cleanup_register(p, main_server, close_engine);
}

/* May run inside signal_threads() or, on prefork, in a signal handler: it only flags. */
static void child_stopping(apr_pool_t *p, int graceful)
{
    if (child.engine) {
        rs_engine_drain(child.engine, graceful);
    }
}

void rs_child_hooks(apr_pool_t *p)
{
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_stopping(child_stopping, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_status(child_status, NULL, NULL, APR_HOOK_MIDDLE);
}
