/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine of one child: the hub, the streamers and what they share. The glue makes it in
 * child_init, submits connections to it, and ends it when the child stops. It knows nothing of
 * httpd.
 */
#ifndef RS_ENGINE_H
#define RS_ENGINE_H

#include "../redis/rs_resolve.h"
#include "../redis/rs_presence_script.h"
#include "../log/rs_client.h"
#include "../gateway/rs_callbacks.h"
#include "../gateway/rs_office.h"
#include "../hub/rs_hub.h"
#include "../log/rs_profile.h"
#include "../log/rs_source.h"
#include "../log/rs_stats.h"
#include "../stream/rs_streamer.h"

typedef struct rs_engine_t rs_engine_t;

typedef struct {
    int streamers;      /* 1 to RS_STREAMERS_MAX */
    size_t cache;       /* bytes, all topics together */
    size_t max_message; /* bytes */
    int max_connections;
    apr_interval_time_t drain;
    rs_callbacks_conf_t callbacks; /* concurrent 0: none are made */
    rs_registry_t *registry;    /* NULL: there is none */
    rs_renewals_t *renewals;    /* likewise; only where there is a registry */
    void (*every_second)(void); /* the hub's thread; NULL: nothing */
} rs_engine_conf_t;

struct rs_engine_t {
    rs_engine_conf_t conf; /* constant */
    rs_common_t common;
    rs_hub_t *hub;
    rs_callbacks_t *callbacks; /* NULL: none are made */
    rs_office_t *office;       /* NULL: there is no gateway, and nobody sends to one */
    rs_source_t nowhere;       /* of clients that read no stream */
    rs_streamer_t *streamers[RS_STREAMERS_MAX];
    rs_profiles_t profiles;
    int draining; /* atomic */
    int graceful; /* atomic */
    int drained;  /* hub: the streamers were told */
};

/* stats is zeroed and outlives the engine. No thread runs yet. */
apr_status_t rs_engine_create(rs_engine_t **engine, apr_pool_t *pchild,
                              const rs_engine_conf_t *conf, rs_stats_t *stats);

/* A stream of a source, before rs_engine_start(). Fields are constant strings. */
typedef struct {
    const char *name, *key, *tenant_field, *tenant_literal, *type_field, *data_field, *user_field;
    apr_interval_time_t idle; /* after which a key ends that nobody writes to; 0: never */
    int shared;               /* some endpoint may have shared delivery of it */
} rs_stream_params_t;

/* A source with its streams, sorted by key here; with none where only administrators are obeyed.
 * presence NULL: it is not told which users are there. */
apr_status_t rs_engine_add_source(rs_source_t **source, rs_engine_t *engine, apr_pool_t *pchild,
                                  const rs_redis_url_t *url, int batch, apr_interval_time_t block,
                                  rs_obeys_t control, const rs_presence_conf_t *presence,
                                  const rs_stream_params_t *streams, int nstreams);
/* Sending to connections of the gateway, before rs_engine_start(). */
apr_status_t rs_engine_add_office(rs_engine_t *engine, apr_pool_t *pchild,
                                  const rs_office_conf_t *conf);

apr_status_t rs_engine_start(rs_engine_t *engine, apr_pool_t *pchild);

/* A place for one more connection, and its seat in the registry; who NULL: it has none.
 * RS_REFUSED_MAX: it has them; else why not. Given back by rs_engine_unreserve(), or by the end of
 * the client that was submitted. */
rs_refusal_t rs_engine_reserve(rs_engine_t *engine, const rs_arrival_t *who, int *seat);
void rs_engine_unreserve(rs_engine_t *engine, int seat);

/* Hands a client over, for good. Any thread. */
void rs_engine_submit(rs_engine_t *engine, rs_client_t *client);

static inline int rs_engine_draining(rs_engine_t *engine)
{
    return __atomic_load_n(&engine->draining, __ATOMIC_SEQ_CST);
}

/* Says that the child stops. Returns at once; may be called from a signal handler. */
void rs_engine_drain(rs_engine_t *engine, int graceful);

/* How long streams may take to end: RaglineDrain, at least as long as a closing one lingers. */
apr_interval_time_t rs_engine_drain_limit(const rs_engine_t *engine);
#define RS_ENGINE_HARD_STOP apr_time_from_sec(2)

/* That of the stop which was said by rs_engine_drain(). */
static inline apr_interval_time_t rs_engine_end_limit(rs_engine_t *engine)
{
    return __atomic_load_n(&engine->graceful, __ATOMIC_ACQUIRE) ? rs_engine_drain_limit(engine)
                                                                : RS_ENGINE_HARD_STOP;
}

/* Ends all streams and threads: within RaglineDrain, or two seconds when the stop is not graceful.
 * Threads that do not end by then are left (APR_TIMEUP) and must not find their memory gone. */
apr_status_t rs_engine_stop(rs_engine_t *engine);

#endif
