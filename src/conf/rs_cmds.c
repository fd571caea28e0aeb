/* SPDX-License-Identifier: Apache-2.0
 *
 * The directives: what each accepts by itself. What depends on other directives is checked when
 * all are read (rs_conf_check.c). Main thread while httpd reads its files.
 */
#include "rs_httpd.h"
#include <stddef.h>

#include "../base/rs_name.h"
#include "../auth/rs_claims.h"
#include "../base/rs_secret.h"
#include "rs_args.h"
#include "rs_cmds.h"
#include "rs_conf.h"

/* --- the whole server --- */

/* A member of the server's configuration and what it may be. */
typedef struct {
    apr_size_t offset;
    apr_off_t min, max;
} range_t;

#define RANGE(member, min, max)                                                                    \
    (void *)&(const range_t) { offsetof(rs_server_conf_t, member), min, max }
#define KB ((apr_off_t)1024)
#define MB ((apr_off_t)1024 * 1024)

static void *member(cmd_parms *cmd, const range_t *range)
{
    return (char *)rs_conf_server(cmd->server) + range->offset;
}

static const char *set_number(cmd_parms *cmd, void *dconf, const char *arg)
{
    const range_t *range = cmd->info;
    const char *problem = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    return problem ? problem
                   : rs_cmd_problem(cmd, rs_args_number(member(cmd, range), cmd->pool, arg,
                                                        (int)range->min, (int)range->max));
}

static const char *set_size(cmd_parms *cmd, void *dconf, const char *arg)
{
    const range_t *range = cmd->info;
    const char *problem = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    return problem ? problem
                   : rs_cmd_problem(cmd, rs_args_size(member(cmd, range), cmd->pool, arg,
                                                      range->min, range->max));
}

static const char *set_drain(cmd_parms *cmd, void *dconf, const char *arg)
{
    const char *problem = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    return problem
               ? problem
               : rs_cmd_problem(cmd, rs_args_duration(&rs_conf_server(cmd->server)->drain,
                                                      cmd->pool, arg, 0, apr_time_from_sec(600)));
}

/* --- endpoints --- */

static const char *set_handoff(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);

    if (problem) {
        return problem;
    }
    conf->handoff = !ap_cstr_casecmp(arg, "off")       ? RS_HANDOFF_OFF
                    : !ap_cstr_casecmp(arg, "auto")    ? RS_HANDOFF_AUTO
                    : !ap_cstr_casecmp(arg, "explain") ? RS_HANDOFF_EXPLAIN
                                                       : RS_UNSET;
    return conf->handoff == RS_UNSET ? rs_cmd_problem(cmd, "write auto, off or explain") : NULL;
}

static const char *set_profile(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);

    conf->profile = arg;
    if (!problem && !rs_name_valid(arg, strlen(arg))) {
        problem = rs_cmd_problem(cmd, "write 1 to 64 of A-Z a-z 0-9 . _ @ -");
    }
    return problem;
}

static const char *set_heartbeat(cmd_parms *cmd, void *dconf, const char *interval,
                                 const char *style)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);

    if (problem) {
        return problem;
    }
    if (style) {
        conf->heartbeat_style = !ap_cstr_casecmp(style, "event")     ? RS_HEARTBEAT_EVENT
                                : !ap_cstr_casecmp(style, "comment") ? RS_HEARTBEAT_COMMENT
                                : !ap_cstr_casecmp(style, "id")      ? RS_HEARTBEAT_ID
                                                                     : RS_UNSET;
        if (conf->heartbeat_style == RS_UNSET) {
            return rs_cmd_problem(cmd, "the second argument is event, comment or id");
        }
    }
    return rs_cmd_problem(cmd,
                          rs_args_duration_or_off(&conf->heartbeat, cmd->pool, interval,
                                                  apr_time_from_sec(1), apr_time_from_sec(3600)));
}

static const char *set_retry(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);

    return problem ? problem
                   : rs_cmd_problem(cmd, rs_args_duration(&conf->retry, cmd->pool, arg,
                                                          apr_time_from_msec(100),
                                                          apr_time_from_sec(3600)));
}

/* A literal can be judged now: a request would only ever be refused with it. */
static int wrong_literal(const char *text)
{
    return !ap_strstr_c(text, "%{") && !strchr(text, '$') && !rs_name_valid(text, strlen(text));
}

static const char *set_expr(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf), *wrong = NULL;
    ap_expr_info_t *expr;

    if (problem) {
        return problem;
    }
    expr = ap_expr_parse_cmd(cmd, arg, AP_EXPR_FLAG_STRING_RESULT, &wrong, NULL);
    *(*(const char *)cmd->info == 't' ? &conf->tenant : &conf->user) = expr;
    if (!wrong && wrong_literal(arg)) {
        wrong = apr_psprintf(cmd->pool,
                             "\"%s\" is neither a name (1 to 64 of A-Z a-z 0-9 . _ @ -) nor an "
                             "expression such as %%{REMOTE_USER}",
                             arg);
    }
    return rs_cmd_problem(cmd, wrong);
}

static const char *set_user_only(cmd_parms *cmd, void *dconf, int on)
{
    rs_dir_conf_t *conf = dconf;

    conf->user_only = on;
    return rs_cmd_enter(cmd, conf);
}

/* RaglineSubscribe, RaglineEvents, RaglineOrigins, RaglinePublish: each line of a section adds to
 * that section's list. */
static const char *add_word(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *which = cmd->info, *problem = rs_cmd_enter(cmd, conf);
    apr_array_header_t **list = *which == 's'   ? &conf->subscribe
                                : *which == 'e' ? &conf->events
                                : *which == 'o' ? &conf->origins
                                                : &conf->publish;

    if (problem) {
        return problem;
    }
    if (*which == 'p' && !strcmp(arg, "any-tenant")) {
        conf->publish_any_tenant = 1;
        return NULL;
    }
    if (*which == 'o' && (problem = rs_args_origin(cmd->pool, arg)) != NULL) {
        return rs_cmd_problem(cmd, problem);
    }
    if (*which == 'e' && !rs_event_type_valid(arg, strlen(arg))) {
        return rs_cmd_problem(cmd, apr_psprintf(cmd->pool,
                                                "\"%s\" matches no event type: write 1 to 128 of "
                                                "printable ASCII without spaces",
                                                arg));
    }
    if (!*list) {
        *list = apr_array_make(cmd->pool, 4, sizeof(const char *));
    }
    if (*which == 's' && (*list)->nelts == RS_STREAMS_MAX) {
        return rs_cmd_problem(cmd, apr_psprintf(cmd->pool, "at most %d streams", RS_STREAMS_MAX));
    }
    APR_ARRAY_PUSH(*list, const char *) = arg;
    return NULL;
}

/* --- tokens --- */

/* alg=ALG and kid=ID, which may be shown; the secret before them may not. */
static const char *set_key_option(cmd_parms *cmd, rs_key_conf_t *key, const char *arg)
{
    const char *name, *value = rs_args_pair(&name, cmd->pool, arg);

    if (value && *value && !strcmp(name, "alg") && rs_jwt_alg_known(value)) {
        key->alg = value;
        return NULL;
    }
    if (value && *value && !strcmp(name, "kid")) {
        key->kid = value;
        return NULL;
    }
    return "after the key, only alg=ALG (such as HS256, RS256, ES256) and kid=ID are known";
}

static void show_key(cmd_parms *cmd, const rs_key_conf_t *key)
{
    rs_conf_show(cmd, apr_pstrcat(cmd->pool, rs_conf_masked(cmd->pool, key->spec),
                                  key->alg ? " alg=" : "", key->alg ? key->alg : "",
                                  key->kid ? " kid=" : "", key->kid ? key->kid : "", NULL));
}

static const char *add_key(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    rs_dir_conf_t *conf = dconf;
    rs_key_conf_t *key = apr_pcalloc(cmd->pool, sizeof(*key));
    const char *misplaced = rs_cmd_enter(cmd, conf), *problem;
    int i;

    if (argc < 1) {
        return rs_cmd_problem(cmd, "write secret:TEXT, env:NAME, file:PATH or exec:CMD");
    }
    key->spec = argv[0];
    key->directive = cmd->directive;
    problem = rs_secret_check(cmd->pool, key->spec, 1);
    for (i = 1; !problem && i < argc; i++) {
        problem = set_key_option(cmd, key, argv[i]);
    }
    show_key(cmd, key);
    if (!conf->jwt_keys) {
        conf->jwt_keys = apr_array_make(cmd->pool, 2, sizeof(rs_key_conf_t *));
    }
    APR_ARRAY_PUSH(conf->jwt_keys, rs_key_conf_t *) = key;
    return misplaced ? misplaced : rs_cmd_problem(cmd, problem);
}

static const char *set_alg(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);

    conf->jwt_alg = arg;
    if (!problem && !rs_jwt_alg_known(arg)) {
        problem = rs_cmd_problem(cmd, "write an algorithm such as HS256, RS256 or ES256");
    }
    return problem;
}

static const char *add_require(cmd_parms *cmd, void *dconf, const char *claim, const char *value)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);
    rs_jwt_require_t *require;

    if (!conf->jwt_require) {
        conf->jwt_require = apr_array_make(cmd->pool, 2, sizeof(rs_jwt_require_t));
    }
    require = apr_array_push(conf->jwt_require);
    require->claim = claim;
    require->value = value;
    if (!problem && strlen(claim) > RS_CLAIM_PATH_MAX) {
        problem = rs_cmd_problem(cmd, "the name of a claim has at most 255 bytes");
    }
    return problem;
}

static const char *set_leeway(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);

    return problem ? problem
                   : rs_cmd_problem(cmd, rs_args_duration(&conf->jwt_leeway, cmd->pool, arg, 0,
                                                          apr_time_from_sec(600)));
}

/* "cookie:NAME" with a name that a cookie or a parameter can have, or NULL. */
static const char *name_after(const char *arg, const char *prefix)
{
    apr_size_t len = strlen(prefix);

    return !strncmp(arg, prefix, len) && arg[len] && !arg[len + strcspn(arg + len, " \t=;,&?#%\"")]
               ? arg + len
               : NULL;
}

static const char *add_token_from(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    rs_token_from_t from = {RS_TOKEN_HEADER, NULL};
    const char *problem = rs_cmd_enter(cmd, conf);

    if (problem) {
        return problem;
    }
    if ((from.name = name_after(arg, "cookie:")) != NULL) {
        from.from = RS_TOKEN_COOKIE;
    }
    else if ((from.name = name_after(arg, "query:")) != NULL) {
        from.from = RS_TOKEN_QUERY;
    }
    else if (strcmp(arg, "header")) {
        return rs_cmd_problem(cmd, apr_psprintf(cmd->pool,
                                                "\"%s\" is not known: write header, cookie:NAME or "
                                                "query:NAME",
                                                arg));
    }
    if (!conf->token_from) {
        conf->token_from = apr_array_make(cmd->pool, 3, sizeof(rs_token_from_t));
    }
    APR_ARRAY_PUSH(conf->token_from, rs_token_from_t) = from;
    return NULL;
}

#define SERVER RSRC_CONF
#define ANYWHERE (RSRC_CONF | ACCESS_CONF)

const command_rec rs_cmds[] = {
    AP_INIT_TAKE_ARGV("RaglineRedis", rs_cmd_redis, NULL, SERVER,
                      "URL of the Redis server: redis://HOST:PORT/DB or unix:///PATH; or those of "
                      "sentinels and master=NAME"),
    AP_INIT_TAKE12("RaglineRedisAuth", rs_cmd_redis_auth, NULL, SERVER,
                   "[USER] and where its password is: file:PATH, env:NAME or exec:CMD"),
    AP_INIT_ITERATE("RaglineRedisPool", rs_cmd_redis_pool, NULL, SERVER,
                    "command connections of a child: max=N min=N idle=T timeout=T healthcheck=T"),
    AP_INIT_ITERATE("RaglineRead", rs_cmd_read, NULL, SERVER,
                    "how streams are read: batch=N block=T"),
    AP_INIT_TAKE_ARGV("RaglineStream", rs_cmd_stream, NULL, SERVER,
                      "NAME KEY [maxlen=N] [maxage=T] [idle=T] [tenant=FIELD|literal:NAME] "
                      "[type=FIELD] [data=FIELD] [user=FIELD]"),
    AP_INIT_TAKE1("RaglineStreamers", set_number, RANGE(streamers, 1, 4), SERVER,
                  "threads of a child that write to streams, 1 to 4"),
    AP_INIT_TAKE1("RaglineMaxConnections", set_number, RANGE(max_connections, 1, 10000000), SERVER,
                  "open streams of a child"),
    AP_INIT_TAKE1("RaglineControl", rs_cmd_control, NULL, SERVER,
                  "whether commands of administrators are read from Redis: auto, on or off"),
    AP_INIT_TAKE1("RaglineRevocation", rs_cmd_revocation, NULL, SERVER,
                  "closed: nobody comes while it is not known who was revoked; or open"),
    AP_INIT_TAKE1("RaglineMaxPumps", set_number, RANGE(max_pumps, 1, 100000), SERVER,
                  "open streams that keep a worker, of all children together"),
    AP_INIT_TAKE1("RaglineCache", set_size, RANGE(cache, MB, 1024 * 1024 * MB), SERVER,
                  "memory of a child for recent events"),
    AP_INIT_TAKE1("RaglineMaxMessage", set_size, RANGE(max_message, KB, 64 * MB), SERVER,
                  "largest event"),
    AP_INIT_TAKE1("RaglineSendBuffer", set_size, RANGE(send_buffer, 4 * KB, 16 * MB), SERVER,
                  "kernel send buffer of a stream"),
    AP_INIT_TAKE1("RaglineDrain", set_drain, NULL, SERVER,
                  "over which time clients come back after a restart"),
    AP_INIT_TAKE1("RaglineHandoff", set_handoff, NULL, ANYWHERE,
                  "auto; off to keep each stream in its worker; explain: auto, and each stream "
                  "says what was done"),
    AP_INIT_ITERATE("RaglineSubscribe", add_word, (void *)"subscribe", ANYWHERE,
                    "streams of this endpoint"),
    AP_INIT_ITERATE("RaglineEvents", add_word, (void *)"events", ANYWHERE,
                    "event types of this endpoint; * stands for anything"),
    AP_INIT_TAKE1("RaglineProfile", set_profile, NULL, ANYWHERE, "name of this endpoint"),
    AP_INIT_TAKE12("RaglineHeartbeat", set_heartbeat, NULL, ANYWHERE,
                   "interval, and event, comment or id; or off"),
    AP_INIT_TAKE1("RaglineRetry", set_retry, NULL, ANYWHERE,
                  "how long a client waits before it reconnects"),
    AP_INIT_TAKE1("RaglineChallenge", rs_cmd_challenge, NULL, ANYWHERE,
                  "how long before its token's end a client is asked for a new one, or off"),
    AP_INIT_TAKE1("RaglineReauthorize", rs_cmd_reauthorize, NULL, ANYWHERE,
                  "after which time a client has to come anew, or off"),
    AP_INIT_TAKE12("RaglineStart", rs_cmd_start, NULL, ANYWHERE,
                   "what a client without an id gets first: new, group, all, last=N or since=T"),
    AP_INIT_TAKE_ARGV(
        "RaglineWires", rs_cmd_wires, NULL, ANYWHERE,
        "how clients may be spoken to: sse, ndjson; the first one that a request names"),
    AP_INIT_TAKE1("RaglineReplayLimit", rs_cmd_replay_limit, NULL, ANYWHERE,
                  "how many entries of a stream a replay may look at"),
    AP_INIT_TAKE1("RaglineDelivery", rs_cmd_delivery, NULL, ANYWHERE,
                  "broadcast: every client gets every event; shared: one of them does"),
    AP_INIT_TAKE12("RaglineAck", rs_cmd_ack, NULL, ANYWHERE,
                   "what acknowledges an event of shared delivery: socket, or client and window=N"),
    AP_INIT_TAKE1("RaglineGroup", rs_cmd_group, NULL, ANYWHERE,
                  "name of a tenant's consumer group, with {profile} and {tenant}"),
    AP_INIT_TAKE1("RaglineClaimAfter", rs_cmd_claim_after, NULL, ANYWHERE,
                  "when what a dead process had not delivered is delivered by others"),
    AP_INIT_TAKE1("RaglineMaxDeliveries", rs_cmd_max_deliveries, NULL, ANYWHERE,
                  "how often delivery of an event is tried"),
    AP_INIT_TAKE12("RaglineSlowConsumer", rs_cmd_slow_consumer, NULL, ANYWHERE,
                   "resume or disconnect, and stall=T"),
    AP_INIT_TAKE1("RaglineWebSocketMaxMessage", rs_cmd_ws_max_message, NULL, ANYWHERE,
                  "largest message of a client"),
    AP_INIT_TAKE1("RaglineWebSocketPing", rs_cmd_ws_ping, NULL, ANYWHERE,
                  "how long a client may be silent before it is asked, or off"),
    AP_INIT_TAKE12("RaglineWebSocketDeflate", rs_cmd_ws_deflate, NULL, ANYWHERE,
                   "on, and from which size on events are compressed; or off"),
    AP_INIT_TAKE1("RaglineWebSocketDialect", rs_cmd_ws_dialect, NULL, ANYWHERE,
                  "standard; or ragline, for clients of that service"),
    AP_INIT_TAKE1("RaglineGatewayCallback", rs_cmd_gateway_callback, NULL, ANYWHERE,
                  "URL of the back end that is asked and told of connections"),
    AP_INIT_TAKE1("RaglineGatewayTimeout", rs_cmd_gateway_timeout, NULL, ANYWHERE,
                  "how long it may take to answer"),
    AP_INIT_TAKE1("RaglineGatewaySecret", rs_cmd_gateway_secret, NULL, ANYWHERE,
                  "file:PATH, env:NAME or exec:CMD: what callbacks are known by"),
    AP_INIT_TAKE1("RaglineGatewayCA", rs_cmd_gateway_ca, NULL, ANYWHERE,
                  "file with the authorities that an https back end's certificate may be of"),
    AP_INIT_FLAG("RaglineGatewayForwardToken", rs_cmd_gateway_forward, NULL, ANYWHERE,
                 "on: callbacks hold the token that this server has checked itself"),
    AP_INIT_TAKE1("RaglineGatewayDialect", rs_cmd_gateway_dialect, NULL, ANYWHERE,
                  "current, 2026-01 or 2025-11: what clients and back end know of the protocol"),
    AP_INIT_TAKE1("RaglineGatewayRemember", rs_cmd_gateway_remember, NULL, SERVER,
                  "how long a back end that does not answer is told of an end; or off"),
    AP_INIT_TAKE1("RaglineIdentity", rs_cmd_gateway_identity, NULL, ANYWHERE,
                  "expression that names what a gateway's connection is known by"),
    AP_INIT_TAKE1("RaglineDuplicate", rs_cmd_gateway_duplicate, NULL, ANYWHERE,
                  "of connections with one identity: replace, allow or reject"),
    AP_INIT_TAKE1("RaglineIdentityKeep", rs_cmd_gateway_keep, NULL, ANYWHERE,
                  "how long what is sent to an identity that is not there is kept; or off"),
    AP_INIT_ITERATE("RaglineGatewayLimit", rs_cmd_gateway_limit, NULL, SERVER,
                    "concurrent=N callbacks to a back end, waiting=N for it"),
    AP_INIT_TAKE1("RaglineAdmin", rs_cmd_admin, NULL, ANYWHERE,
                  "whom ragline-admin is for: own, the caller's tenant; or all"),
    AP_INIT_TAKE1("RaglinePresence", rs_cmd_presence, NULL, ANYWHERE,
                  "whether it is kept which users are there: off, on, or a stream that is told"),
    AP_INIT_TAKE12("RaglineLimit", rs_cmd_limit, NULL, ANYWHERE,
                   "how many streams a tenant, or a user, may have: tenant=N user=N"),
    AP_INIT_TAKE1("RaglineTenant", set_expr, (void *)"tenant", ANYWHERE,
                  "expression or literal that names the tenant"),
    AP_INIT_TAKE1("RaglineUser", set_expr, (void *)"user", ANYWHERE,
                  "expression or literal that names the user"),
    AP_INIT_FLAG("RaglineUserOnly", set_user_only, NULL, ANYWHERE,
                 "on: events with a user reach only that user"),
    AP_INIT_TAKE_ARGV("RaglineJWTKey", add_key, NULL, ANYWHERE,
                      "secret:TEXT, env:NAME, file:PATH or exec:CMD, then [alg=ALG] [kid=ID]"),
    AP_INIT_TAKE1("RaglineJWTAlg", set_alg, NULL, ANYWHERE, "algorithm of keys that name none"),
    AP_INIT_TAKE2("RaglineJWTRequire", add_require, NULL, ANYWHERE,
                  "claim and the value it must have"),
    AP_INIT_TAKE1("RaglineJWTLeeway", set_leeway, NULL, ANYWHERE, "tolerated difference of clocks"),
    AP_INIT_ITERATE("RaglineTokenFrom", add_token_from, NULL, ANYWHERE,
                    "where tokens are looked for: header, cookie:NAME, query:NAME"),
    AP_INIT_ITERATE("RaglineOrigins", add_word, (void *)"origins", ANYWHERE,
                    "origins of pages that may use this endpoint"),
    AP_INIT_ITERATE("RaglinePublish", add_word, (void *)"publish", ANYWHERE,
                    "streams that may be published to, and any-tenant"),
    {NULL, {NULL}, NULL, 0, 0, NULL},
};
