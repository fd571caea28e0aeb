/* SPDX-License-Identifier: Apache-2.0
 *
 * The directives: what each accepts by itself. What depends on other directives is checked when
 * all are read (rs_conf_check.c). Main thread while httpd reads its files.
 */
#include "rs_httpd.h"

#include "../base/rs_name.h"
#include "../base/rs_secret.h"
#include "rs_args.h"
#include "rs_cmds.h"
#include "rs_conf.h"

static apr_array_header_t *sections; /* rs_section_t */

const apr_array_header_t *rs_conf_sections(void) { return sections; }

int rs_conf_begin(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    sections = apr_array_make(pconf, 8, sizeof(rs_section_t));
    return OK;
}

/* Every setter of a directory directive calls this first: it remembers the section, and whether
 * its path is a URL that names an endpoint. */
static rs_dir_conf_t *dir(cmd_parms *cmd, void *dconf)
{
    rs_dir_conf_t *conf = dconf;
    const ap_directive_t *parent = cmd->directive->parent;
    rs_section_t *section;
    int i;

    for (i = 0; i < sections->nelts; i++) {
        if (APR_ARRAY_IDX(sections, i, rs_section_t).conf == conf) {
            return conf;
        }
    }
    section = apr_array_push(sections);
    section->server = cmd->server;
    section->conf = conf;
    section->directive = cmd->directive;
    if (parent && conf->path) {
        conf->path_literal = !ap_cstr_casecmp(parent->directive, "<Location")
                             && conf->path[0] == '/' && !ap_is_matchexp(conf->path);
        conf->refines = !ap_cstr_casecmpn(parent->directive, "<If", 3)
                        || !ap_cstr_casecmpn(parent->directive, "<Else", 5)
                        || !ap_cstr_casecmpn(parent->directive, "<Files", 6);
    }
    return conf;
}

const char *rs_cmd_problem(cmd_parms *cmd, const char *problem)
{
    return problem ? apr_pstrcat(cmd->pool, cmd->cmd->name, ": ", problem, NULL) : NULL;
}

/* --- the whole server --- */

/* A member of the server's configuration and what it may be. */
typedef struct {
    apr_size_t offset;
    apr_off_t min, max;
} range_t;

#define RANGE(member, min, max)                                                                    \
    (void *)&(const range_t) { APR_OFFSETOF(rs_server_conf_t, member), min, max }
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
    rs_dir_conf_t *conf = dir(cmd, dconf);

    if (ap_cstr_casecmp(arg, "auto") && ap_cstr_casecmp(arg, "off")) {
        return rs_cmd_problem(cmd, "write auto or off");
    }
    conf->handoff = !ap_cstr_casecmp(arg, "auto");
    return NULL;
}

static const char *set_profile(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dir(cmd, dconf);

    conf->profile = arg;
    return rs_name_valid(arg, strlen(arg))
               ? NULL
               : rs_cmd_problem(cmd, "write 1 to 64 of A-Z a-z 0-9 . _ @ -");
}

static const char *set_heartbeat(cmd_parms *cmd, void *dconf, const char *interval,
                                 const char *style)
{
    rs_dir_conf_t *conf = dir(cmd, dconf);

    if (style && ap_cstr_casecmp(style, "event") && ap_cstr_casecmp(style, "comment")) {
        return rs_cmd_problem(cmd, "the second argument is event or comment");
    }
    if (style) {
        conf->heartbeat_style =
            !ap_cstr_casecmp(style, "event") ? RS_HEARTBEAT_EVENT : RS_HEARTBEAT_COMMENT;
    }
    if (!ap_cstr_casecmp(interval, "off")) {
        conf->heartbeat = 0;
        return NULL;
    }
    return rs_cmd_problem(cmd, rs_args_duration(&conf->heartbeat, cmd->pool, interval,
                                                apr_time_from_sec(1), apr_time_from_sec(3600)));
}

static const char *set_retry(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dir(cmd, dconf);

    return rs_cmd_problem(cmd, rs_args_duration(&conf->retry, cmd->pool, arg,
                                                apr_time_from_msec(100), apr_time_from_sec(3600)));
}

static const char *set_expr(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dir(cmd, dconf);
    const char *problem = NULL;
    ap_expr_info_t *expr = ap_expr_parse_cmd(cmd, arg, AP_EXPR_FLAG_STRING_RESULT, &problem, NULL);

    *(*(const char *)cmd->info == 't' ? &conf->tenant : &conf->user) = expr;
    return rs_cmd_problem(cmd, problem);
}

static const char *set_user_only(cmd_parms *cmd, void *dconf, int on)
{
    dir(cmd, dconf)->user_only = on;
    return NULL;
}

/* RaglineSubscribe, RaglineEvents, RaglineOrigins, RaglinePublish: each line of a section adds to
 * that section's list. */
static const char *add_word(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dir(cmd, dconf);
    const char *which = cmd->info;
    apr_array_header_t **list = *which == 's'   ? &conf->subscribe
                                : *which == 'e' ? &conf->events
                                : *which == 'o' ? &conf->origins
                                                : &conf->publish;

    if (*which == 'p' && !strcmp(arg, "any-tenant")) {
        conf->publish_any_tenant = 1;
        return NULL;
    }
    if (*which == 'o' && strcmp(arg, "*") && strncmp(arg, "http://", 7)
        && strncmp(arg, "https://", 8)) {
        return rs_cmd_problem(cmd, apr_psprintf(cmd->pool,
                                                "\"%s\" is not an origin: write https://HOST or "
                                                "https://HOST:PORT",
                                                arg));
    }
    if (*which == 'o' && strlen(arg) > 8 && strchr(arg + 8, '/')) {
        return rs_cmd_problem(cmd,
                              apr_psprintf(cmd->pool,
                                           "\"%s\" is not an origin: leave out the path and the "
                                           "slash at the end",
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

static const char *add_key(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    rs_dir_conf_t *conf = dir(cmd, dconf);
    rs_key_conf_t *key = apr_pcalloc(cmd->pool, sizeof(*key));
    const char *problem;
    int i;

    if (argc < 1) {
        return rs_cmd_problem(cmd, "write secret:TEXT, env:NAME, file:PATH or exec:CMD");
    }
    key->spec = argv[0];
    problem = rs_secret_check(cmd->pool, key->spec, 1);
    for (i = 1; !problem && i < argc; i++) {
        const char *name, *value = rs_args_pair(&name, cmd->pool, argv[i]);

        if (value && *value && !strcmp(name, "alg") && rs_jwt_alg_known(value)) {
            key->alg = value;
        }
        else if (value && *value && !strcmp(name, "kid")) {
            key->kid = value;
        }
        else {
            problem =
                "after the key, only alg=ALG (such as HS256, RS256, ES256) and kid=ID are known";
        }
    }
    if (!conf->jwt_keys) {
        conf->jwt_keys = apr_array_make(cmd->pool, 2, sizeof(rs_key_conf_t *));
    }
    APR_ARRAY_PUSH(conf->jwt_keys, rs_key_conf_t *) = key;
    return rs_cmd_problem(cmd, problem);
}

static const char *set_alg(cmd_parms *cmd, void *dconf, const char *arg)
{
    dir(cmd, dconf)->jwt_alg = arg;
    return rs_jwt_alg_known(arg)
               ? NULL
               : rs_cmd_problem(cmd, "write an algorithm such as HS256, RS256 or ES256");
}

static const char *add_require(cmd_parms *cmd, void *dconf, const char *claim, const char *value)
{
    rs_dir_conf_t *conf = dir(cmd, dconf);
    rs_jwt_require_t *require;

    if (!conf->jwt_require) {
        conf->jwt_require = apr_array_make(cmd->pool, 2, sizeof(rs_jwt_require_t));
    }
    require = apr_array_push(conf->jwt_require);
    require->claim = claim;
    require->value = value;
    return NULL;
}

static const char *set_leeway(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dir(cmd, dconf);

    return rs_cmd_problem(
        cmd, rs_args_duration(&conf->jwt_leeway, cmd->pool, arg, 0, apr_time_from_sec(600)));
}

static const char *add_token_from(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dir(cmd, dconf);
    rs_token_from_t *from;

    if (!conf->token_from) {
        conf->token_from = apr_array_make(cmd->pool, 3, sizeof(rs_token_from_t));
    }
    from = apr_array_push(conf->token_from);
    if (!strcmp(arg, "header")) {
        from->from = RS_TOKEN_HEADER;
    }
    else if (!strncmp(arg, "cookie:", 7) && arg[7]) {
        from->from = RS_TOKEN_COOKIE;
        from->name = arg + 7;
    }
    else if (!strncmp(arg, "query:", 6) && arg[6]) {
        from->from = RS_TOKEN_QUERY;
        from->name = arg + 6;
    }
    else {
        return rs_cmd_problem(cmd, apr_psprintf(cmd->pool,
                                                "\"%s\" is not known: write header, cookie:NAME or "
                                                "query:NAME",
                                                arg));
    }
    return NULL;
}

#define SERVER RSRC_CONF
#define ANYWHERE (RSRC_CONF | ACCESS_CONF)

const command_rec rs_cmds[] = {
    AP_INIT_TAKE1("RaglineRedis", rs_cmd_redis, NULL, SERVER,
                  "URL of the Redis server: redis://HOST:PORT/DB or unix:///PATH"),
    AP_INIT_TAKE12("RaglineRedisAuth", rs_cmd_redis_auth, NULL, SERVER,
                   "[USER] and where its password is: file:PATH, env:NAME or exec:CMD"),
    AP_INIT_ITERATE("RaglineRedisPool", rs_cmd_redis_pool, NULL, SERVER,
                    "command connections of a child: max=N min=N idle=T timeout=T healthcheck=T"),
    AP_INIT_ITERATE("RaglineRead", rs_cmd_read, NULL, SERVER,
                    "how streams are read: batch=N block=T"),
    AP_INIT_TAKE_ARGV(
        "RaglineStream", rs_cmd_stream, NULL, SERVER,
        "NAME KEY [maxlen=N] [tenant=FIELD|literal:NAME] [type=FIELD] [data=FIELD] [user=FIELD]"),
    AP_INIT_TAKE1("RaglineStreamers", set_number, RANGE(streamers, 1, 4), SERVER,
                  "threads of a child that write to streams, 1 to 4"),
    AP_INIT_TAKE1("RaglineMaxConnections", set_number, RANGE(max_connections, 1, 10000000), SERVER,
                  "open streams of a child"),
    AP_INIT_TAKE1("RaglineMaxPumps", set_number, RANGE(max_pumps, 1, 100000), SERVER,
                  "open streams of a child that keep a worker"),
    AP_INIT_TAKE1("RaglineCache", set_size, RANGE(cache, MB, 1024 * 1024 * MB), SERVER,
                  "memory of a child for recent events"),
    AP_INIT_TAKE1("RaglineMaxMessage", set_size, RANGE(max_message, KB, 64 * MB), SERVER,
                  "largest event"),
    AP_INIT_TAKE1("RaglineSendBuffer", set_size, RANGE(send_buffer, 4 * KB, 16 * MB), SERVER,
                  "kernel send buffer of a stream"),
    AP_INIT_TAKE1("RaglineDrain", set_drain, NULL, SERVER,
                  "over which time clients come back after a restart"),
    AP_INIT_TAKE1("RaglineHandoff", set_handoff, NULL, ANYWHERE,
                  "auto, or off to keep each stream in its worker"),
    AP_INIT_ITERATE("RaglineSubscribe", add_word, (void *)"subscribe", ANYWHERE,
                    "streams of this endpoint"),
    AP_INIT_ITERATE("RaglineEvents", add_word, (void *)"events", ANYWHERE,
                    "event types of this endpoint; * stands for anything"),
    AP_INIT_TAKE1("RaglineProfile", set_profile, NULL, ANYWHERE, "name of this endpoint"),
    AP_INIT_TAKE12("RaglineHeartbeat", set_heartbeat, NULL, ANYWHERE,
                   "interval, and event or comment; or off"),
    AP_INIT_TAKE1("RaglineRetry", set_retry, NULL, ANYWHERE,
                  "how long a client waits before it reconnects"),
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
