/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration as the rest of the glue reads it. Written while httpd reads its files (one
 * thread), constant from then on; per-request merges live in the request's pool.
 *
 * A scalar is one line in one of the lists below: the lists make the struct's member, its "unset"
 * value, its merge and its default. A directive's setter stands in rs_cmds.c.
 */
#ifndef RS_CONF_H
#define RS_CONF_H

#include "rs_httpd.h"

#include <apr_tables.h>

#include "../auth/rs_jwt.h"
#include "../log/rs_gate.h"
#include "../obs/rs_grouped.h"
#include "../proto/rs_gateway.h"
#include "../wire/rs_wire.h"
#include "../redis/rs_presence_script.h"
#include "../redis/rs_redis_pool.h"
#include "../redis/rs_redis_url.h"

enum { RS_HANDOFF_OFF = 0, RS_HANDOFF_AUTO = 1, RS_HANDOFF_EXPLAIN = 2 };

/* RaglinePresence; else it is the name of a stream. */
#define RS_PRESENCE_OFF "off"
#define RS_PRESENCE_ON "on"

enum { RS_CONTROL_OFF = 0, RS_CONTROL_ON = 1, RS_CONTROL_AUTO = 2 };

/* RaglineStart all: as many as RaglineReplayLimit allows. */
#define RS_START_ALL 0x7fffffff

/* RaglineWebSocketDeflate: smaller ones fit into one packet as they are. */
#define RS_DEFLATE_MIN ((apr_off_t)1024)

/* What a location is, from SetHandler. */
typedef enum {
    RS_KIND_NONE = 0,
    RS_KIND_SSE,
    RS_KIND_WEBSOCKET,
    RS_KIND_PUBLISH,
    RS_KIND_STATS,
    RS_KIND_HEALTH,
    RS_KIND_GATEWAY,
    RS_KIND_GATEWAY_SEND,
    RS_KIND_GATEWAY_HEALTH,
    RS_KIND_ADMIN,
    RS_KIND_WS_STATS
} rs_kind_t;

/* X(type, member, unset, default): directory context. */
#define RS_DIR_SCALARS(X)                                                                          \
    X(const char *, profile, NULL, NULL)                                                           \
    X(int, handoff, RS_UNSET, RS_HANDOFF_AUTO)                                                     \
    X(apr_interval_time_t, heartbeat, RS_UNSET, apr_time_from_sec(30))                             \
    X(int, heartbeat_style, RS_UNSET, RS_HEARTBEAT_EVENT)                                          \
    X(int, wires, RS_UNSET, 1 << RS_WIRE_SSE | 1 << RS_WIRE_NDJSON) /* a bit for each */           \
    X(apr_interval_time_t, retry, RS_UNSET, apr_time_from_sec(2))                                  \
    X(apr_interval_time_t, challenge, RS_UNSET, apr_time_from_sec(60)) /* 0: off */                \
    X(apr_interval_time_t, reauthorize, RS_UNSET, 0)                   /* likewise */              \
    X(ap_expr_info_t *, tenant, NULL, NULL)                                                        \
    X(ap_expr_info_t *, user, NULL, NULL)                                                          \
    X(int, user_only, RS_UNSET, 0)                                                                 \
    X(int, start_last, RS_UNSET, 0) /* of RaglineStart; 0: new, or group */                        \
    X(apr_interval_time_t, start_since, RS_UNSET, 0)                                               \
    X(int, start_group, RS_UNSET, 0)                                                               \
    X(int, replay_limit, RS_UNSET, 10000)                                                          \
    X(int, shared, RS_UNSET, 0)                                                                    \
    X(int, ack, RS_UNSET, 0) /* of RaglineAck client: how many may be open; 0: socket */           \
    X(const char *, group, NULL, "ragline-{profile}-{tenant}")                                     \
    X(apr_interval_time_t, claim_after, RS_UNSET, apr_time_from_sec(30))                           \
    X(int, max_deliveries, RS_UNSET, 5)                                                            \
    X(int, slow_disconnect, RS_UNSET, 0)                                                           \
    X(apr_interval_time_t, stall, RS_UNSET, apr_time_from_sec(300))                                \
    X(apr_off_t, ws_max_message, RS_UNSET, (apr_off_t)64 * 1024)                                   \
    X(apr_interval_time_t, ws_ping, RS_UNSET, apr_time_from_sec(60))                               \
    X(apr_off_t, ws_deflate, RS_UNSET, RS_DEFLATE_MIN) /* of events with so much data; 0: off */   \
    X(int, ws_ragline, RS_UNSET, 0)                                                                \
    X(const char *, gateway_callback, NULL, NULL)                                                  \
    X(apr_interval_time_t, gateway_timeout, RS_UNSET, apr_time_from_sec(5))                        \
    X(rs_secret_conf_t *, gateway_secret, NULL, NULL)                                              \
    X(const char *, gateway_ca, NULL, NULL)                                                        \
    X(int, gateway_forward, RS_UNSET, 0)                                                           \
    X(int, gateway_dialect, RS_UNSET, RS_DIALECT_CURRENT)                                          \
    X(ap_expr_info_t *, gateway_identity, NULL, NULL)                                              \
    X(int, gateway_duplicate, RS_UNSET, RS_DUPLICATE_REPLACE)                                      \
    X(apr_interval_time_t, gateway_keep, RS_UNSET, 0) /* of RaglineIdentityKeep; 0: off */         \
    X(const char *, jwt_alg, NULL, "HS256")                                                        \
    X(apr_interval_time_t, jwt_leeway, RS_UNSET, apr_time_from_sec(30))                            \
    X(int, limit_tenant, RS_UNSET, 0) /* of RaglineLimit; 0: none */                               \
    X(int, limit_user, RS_UNSET, 0)                                                                \
    X(int, admin_all, RS_UNSET, 0)                                                                 \
    X(const char *, presence, NULL, RS_PRESENCE_OFF)                                               \
    X(int, publish_any_tenant, RS_UNSET, 0)                                                        \
    /* Lists: the innermost section's replaces, so they merge like scalars. */                     \
    X(apr_array_header_t *, subscribe, NULL, NULL)   /* const char *: stream names */              \
    X(apr_array_header_t *, events, NULL, NULL)      /* const char *: patterns */                  \
    X(apr_array_header_t *, jwt_keys, NULL, NULL)    /* rs_key_conf_t * */                         \
    X(apr_array_header_t *, jwt_require, NULL, NULL) /* rs_jwt_require_t */                        \
    X(apr_array_header_t *, token_from, NULL, NULL)  /* rs_token_from_t */                         \
    X(apr_array_header_t *, origins, NULL, NULL)     /* const char *: origins */                   \
    X(apr_array_header_t *, publish, NULL, NULL)     /* const char *: stream names */

/* X(type, member, unset, default): server config and virtual hosts. */
#define RS_SERVER_SCALARS(X)                                                                       \
    X(apr_array_header_t *, redis_url, NULL, NULL) /* const char *: words of RaglineRedis */       \
    X(const char *, redis_user, NULL, NULL)                                                        \
    X(const char *, redis_secret, NULL, NULL) /* file:PATH, env:NAME or exec:CMD */                \
    X(int, pool_max, RS_UNSET, 20)                                                                 \
    X(int, pool_min, RS_UNSET, 1)                                                                  \
    X(apr_interval_time_t, pool_idle, RS_UNSET, apr_time_from_sec(60))                             \
    X(apr_interval_time_t, pool_timeout, RS_UNSET, apr_time_from_sec(2))                           \
    X(apr_interval_time_t, pool_healthcheck, RS_UNSET, apr_time_from_sec(30))                      \
    X(int, read_batch, RS_UNSET, 512)                                                              \
    X(apr_interval_time_t, read_block, RS_UNSET, apr_time_from_sec(2))

/* X(type, member, unset, default): the whole server; 0 means "derived when the child starts". */
#define RS_GLOBAL_SCALARS(X)                                                                       \
    X(int, streamers, RS_UNSET, 0)                                                                 \
    X(int, max_connections, RS_UNSET, 20000)                                                       \
    X(int, revocation_open, RS_UNSET, 0)                                                           \
    X(int, control, RS_UNSET, RS_CONTROL_AUTO)                                                     \
    X(int, max_pumps, RS_UNSET, 0)                                                                 \
    X(apr_off_t, cache, RS_UNSET, (apr_off_t)256 * 1024 * 1024)                                    \
    X(apr_off_t, max_message, RS_UNSET, (apr_off_t)1024 * 1024)                                    \
    X(apr_off_t, send_buffer, RS_UNSET, (apr_off_t)128 * 1024)                                     \
    X(int, gateway_concurrent, RS_UNSET, 100)                                                      \
    X(int, gateway_waiting, RS_UNSET, 10000)                                                       \
    X(apr_interval_time_t, gateway_remember, RS_UNSET, apr_time_from_sec(3600)) /* 0: off */       \
    X(apr_interval_time_t, drain, RS_UNSET, apr_time_from_sec(10))

#define RS_CONF_MEMBER(type, member, unset, value) type member;

typedef struct {
    enum { RS_TOKEN_HEADER, RS_TOKEN_COOKIE, RS_TOKEN_QUERY } from;
    const char *name; /* of the cookie or query parameter */
} rs_token_from_t;

/* RaglineJWTKey. `keys` is filled when the secret has been read (rs_conf_secrets.c). */
typedef struct {
    const char *spec; /* secret:TEXT, env:NAME, file:PATH or exec:CMD */
    const char *alg;  /* NULL: RaglineJWTAlg of its section, or of the host */
    const char *kid;
    apr_array_header_t *keys; /* rs_jwt_key_t *; NULL: it could not be read by this user */
    const ap_directive_t *directive;
} rs_key_conf_t;

/* RaglineGatewaySecret. */
typedef struct {
    const char *spec;  /* env:NAME, file:PATH or exec:CMD */
    const char *value; /* NULL: it could not be read by this user (rs_conf_secrets.c) */
    const ap_directive_t *directive;
} rs_secret_conf_t;

/* RaglineStream. */
typedef struct {
    const char *name;
    const char *key;
    apr_int64_t maxlen;         /* 0: none */
    apr_interval_time_t maxage; /* 0: none */
    apr_interval_time_t idle;   /* 0: none */
    const char *tenant_field;
    const char *tenant_literal; /* set: every entry is this tenant's */
    const char *type_field;
    const char *data_field;
    const char *user_field;
} rs_stream_conf_t;

typedef struct {
    RS_DIR_SCALARS(RS_CONF_MEMBER)
} rs_dir_conf_t;

typedef struct {
    RS_SERVER_SCALARS(RS_CONF_MEMBER)
    RS_GLOBAL_SCALARS(RS_CONF_MEMBER)
    apr_array_header_t *streams; /* rs_stream_conf_t *, this host's and, by name, inherited ones */
    apr_array_header_t *grouped; /* rs_grouped_t of endpoints at a <Location> that is no pattern:
                                    rs_conf_check */
    int more_grouped;            /* endpoints without a path may have groups besides */
    int administered;            /* of the main server: there is a ragline-admin somewhere, */
    int gatewayed;               /* or a ragline-gateway-send */
    apr_array_header_t *gateways; /* of the main server: const rs_dir_conf_t *, with callbacks */
    server_rec *server;
    rs_redis_url_t *url;   /* rs_conf_check, with its password */
    rs_redis_pool_t *pool; /* child_init; shared by hosts with the same URL */
    rs_source_t *source;   /* child_init; likewise. NULL where nothing is subscribed */
} rs_server_conf_t;

void *rs_conf_dir_create(apr_pool_t *p, char *section);
void *rs_conf_dir_merge(apr_pool_t *p, void *base, void *add);
void *rs_conf_server_create(apr_pool_t *p, server_rec *s);
void *rs_conf_server_merge(apr_pool_t *p, void *base, void *add);

/* Fills in what was not set. Once, after all merging (rs_conf_check). */
void rs_conf_server_defaults(rs_server_conf_t *conf);

/* A copy with defaults filled in. location: the <Location> with exactly the URL's path; NULL: there
 * is none. merged NULL: no section holds a Ragline directive. */
rs_dir_conf_t *rs_conf_dir_defaults(apr_pool_t *p, const rs_dir_conf_t *merged,
                                    const char *location);

/* The path of the <Location> that is exactly the URL's path (a slash at its end aside), NULL if
 * there is none. */
const char *rs_conf_location(server_rec *s, const char *uri);

/* Whether the section whose SetHandler is in effect says by itself which URLs it is for: a pattern,
 * a condition, the host. If not it is a <Location> with a path, and then an endpoint has one, too.
 * Sections that only set a value do not count. */
int rs_conf_matches_itself(request_rec *r);

/* What SetHandler makes of the location: of a request, or by the handler's name. */
rs_kind_t rs_conf_kind(request_rec *r);
rs_kind_t rs_conf_kind_named(const char *handler);

/* Whether such an endpoint has streams for its clients. */
static inline int rs_conf_kind_streams(rs_kind_t kind)
{
    return kind == RS_KIND_SSE || kind == RS_KIND_WEBSOCKET;
}

/* Whether any section has a RaglineGatewayCallback: callbacks may have to be made. */
int rs_conf_has_gateway(void);

/* All that there are: "a, b or c". */
const char *rs_conf_kind_names(apr_pool_t *p);

/* Merged, with defaults filled in; never NULL. In the request's pool, made anew at each call. */
const rs_dir_conf_t *rs_conf_dir(request_rec *r);
rs_server_conf_t *rs_conf_server(server_rec *s);

/* The stream called `name` in this host, or NULL. */
const rs_stream_conf_t *rs_conf_stream(const rs_server_conf_t *sc, const char *name);

/* Whether what administrators write to Redis is obeyed. */
int rs_conf_obeys(server_rec *main_server);

/* Whether the endpoint's users are counted among those who are there, and in which room. */
int rs_conf_is_present(const rs_dir_conf_t *conf);
apr_uint64_t rs_conf_room(const rs_server_conf_t *server, const rs_dir_conf_t *conf);

/* Which streams are told of users, of all hosts with this Redis. NULL: nobody asks for that. */
const rs_presence_conf_t *rs_conf_presence(apr_pool_t *p, server_rec *main_server,
                                           const rs_server_conf_t *redis, int generation);

/* The name of the endpoint's consumer groups, still with {tenant}; NULL: it uses none. */
const char *rs_conf_group(apr_pool_t *p, const rs_dir_conf_t *conf);

/* A section that holds a Ragline directive, as it was read. */
typedef struct {
    server_rec *server;
    rs_dir_conf_t *conf;
    const ap_directive_t *directive; /* the first one: for messages */
} rs_section_t;

/* All of them, in the order of the files. Valid from one reading of the configuration to the next;
 * main thread. */
const apr_array_header_t *rs_conf_sections(void);

/* The names of query parameters that are a token somewhere, const char *. Never NULL once the
 * configuration has been checked, and constant from then on. */
const apr_array_header_t *rs_conf_query_tokens(void);

/* What may be shown of where a secret is: secret:TEXT without the text, exec: without arguments. */
const char *rs_conf_masked(apr_pool_t *p, const char *spec);

/* pre_config: forgets what an earlier reading left. */
int rs_conf_begin(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp);

extern const command_rec rs_cmds[];

/* check_config hook: everything that can be known to be wrong, each with a sentence
 * (rs_conf_check.c). Also completes the server configurations: defaults, URLs. */
int rs_conf_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *main_server);

/* The first host with the same server, database and login: one connection is for both. `conf`
 * itself if there is no earlier one. Once passwords are known. */
rs_server_conf_t *rs_conf_same_redis(server_rec *main_server, rs_server_conf_t *conf);

/* The streams that any section of hosts with this one's server, database and login subscribes to,
 * as rs_stream_conf_t *, each key once. */
apr_array_header_t *rs_conf_subscribed(apr_pool_t *p, server_rec *main_server,
                                       const rs_server_conf_t *redis);

#endif
