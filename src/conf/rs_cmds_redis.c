/* SPDX-License-Identifier: Apache-2.0
 *
 * The directives about Redis and streams. Main thread while httpd reads its files.
 */
#include "rs_httpd.h"

#include "../base/rs_name.h"
#include "../base/rs_secret.h"
#include "../base/rs_utf8.h"
#include "../proto/rs_template.h"
#include "rs_args.h"
#include "rs_cmds.h"
#include "rs_conf.h"

const char *rs_cmd_redis(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    rs_server_conf_t *conf = rs_conf_server(cmd->server);
    apr_array_header_t *words = apr_array_make(cmd->pool, argc, sizeof(const char *));
    const char *shown = "";
    rs_redis_url_t *ignored;
    int i;

    for (i = 0; i < argc; i++) {
        APR_ARRAY_PUSH(words, const char *) = argv[i];
        shown = apr_pstrcat(cmd->pool, shown, i ? " " : "", rs_conf_masked_url(cmd->pool, argv[i]),
                            NULL);
    }
    rs_conf_show(cmd, shown);
    conf->redis_url = words;
    return rs_cmd_problem(cmd, rs_redis_urls_parse(&ignored, cmd->pool, words->nelts,
                                                   (const char *const *)words->elts));
}

const char *rs_cmd_redis_auth(cmd_parms *cmd, void *dconf, const char *one, const char *two)
{
    rs_server_conf_t *conf = rs_conf_server(cmd->server);

    conf->redis_user = two ? one : NULL;
    conf->redis_secret = two ? two : one;
    rs_conf_show(cmd, apr_pstrcat(cmd->pool, two ? one : "", two ? " " : "",
                                  rs_conf_masked(cmd->pool, conf->redis_secret), NULL));
    return rs_cmd_problem(cmd, rs_secret_check(cmd->pool, conf->redis_secret, 0));
}

const char *rs_cmd_redis_pool(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_server_conf_t *conf = rs_conf_server(cmd->server);
    const char *name, *value = rs_args_pair(&name, cmd->pool, arg);
    const apr_interval_time_t hour = apr_time_from_sec(3600), ms = apr_time_from_msec(1);
    const char *problem = NULL;

    if (value && !strcmp(name, "max")) {
        problem = rs_args_number(&conf->pool_max, cmd->pool, value, 1, 10000);
    }
    else if (value && !strcmp(name, "min")) {
        problem = rs_args_number(&conf->pool_min, cmd->pool, value, 0, 10000);
    }
    else if (value && !strcmp(name, "idle")) {
        problem = rs_args_duration(&conf->pool_idle, cmd->pool, value, 1000 * ms, 24 * hour);
    }
    else if (value && !strcmp(name, "timeout")) {
        problem = rs_args_duration(&conf->pool_timeout, cmd->pool, value, 10 * ms, 60 * 1000 * ms);
    }
    else if (value && !strcmp(name, "healthcheck")) {
        problem = rs_args_duration(&conf->pool_healthcheck, cmd->pool, value, 1000 * ms, 24 * hour);
    }
    else {
        problem = apr_psprintf(cmd->pool,
                               "\"%s\" is not known: write max=N, min=N, idle=T, timeout=T "
                               "or healthcheck=T",
                               arg);
    }
    return rs_cmd_problem(cmd, problem);
}

const char *rs_cmd_read(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_server_conf_t *conf = rs_conf_server(cmd->server);
    const char *name, *value = rs_args_pair(&name, cmd->pool, arg);

    if (value && !strcmp(name, "batch")) {
        return rs_cmd_problem(cmd, rs_args_number(&conf->read_batch, cmd->pool, value, 1, 10000));
    }
    if (value && !strcmp(name, "block")) {
        return rs_cmd_problem(cmd, rs_args_duration(&conf->read_block, cmd->pool, value,
                                                    apr_time_from_msec(10), apr_time_from_sec(60)));
    }
    return rs_cmd_problem(
        cmd, apr_psprintf(cmd->pool, "\"%s\" is not known: write batch=N or block=T", arg));
}

/* How long its entries and its key are kept. 0: the option is another one. */
static int set_time(cmd_parms *cmd, rs_stream_conf_t *stream, const char *name, const char *value,
                    const char **problem)
{
    apr_interval_time_t *t = !strcmp(name, "maxage") ? &stream->maxage
                             : !strcmp(name, "idle") ? &stream->idle
                                                     : NULL;

    if (t) {
        *problem = rs_args_duration(t, cmd->pool, value, apr_time_from_sec(1), RS_LONGEST);
    }
    return t != NULL;
}

static const char *set_stream_option(cmd_parms *cmd, rs_stream_conf_t *stream, const char *arg)
{
    const char *name, *problem, *value = rs_args_pair(&name, cmd->pool, arg);
    int number;

    if (value && *value && !strcmp(name, "maxlen")) {
        problem = rs_args_number(&number, cmd->pool, value, 1, 0x7fffffff);
        stream->maxlen = problem ? 0 : number;
        return problem;
    }
    if (value && *value && set_time(cmd, stream, name, value, &problem)) {
        return problem;
    }
    if (value && !strcmp(name, "tenant") && !strncmp(value, "literal:", 8)) {
        stream->tenant_literal = value + 8;
        return rs_name_valid(value + 8, strlen(value + 8))
                   ? NULL
                   : "the literal tenant must be 1 to 64 of A-Z a-z 0-9 . _ @ -";
    }
    if (value && *value) {
        const char **field = !strcmp(name, "tenant") ? &stream->tenant_field
                             : !strcmp(name, "type") ? &stream->type_field
                             : !strcmp(name, "data") ? &stream->data_field
                             : !strcmp(name, "user") ? &stream->user_field
                                                     : NULL;

        if (field) {
            *field = value;
            return NULL;
        }
    }
    return apr_psprintf(cmd->pool,
                        "\"%s\" is not known: write maxlen=N, maxage=T, idle=T, tenant=FIELD, "
                        "tenant=literal:NAME, type=FIELD, data=FIELD or user=FIELD",
                        arg);
}

/* What its options make together. */
static const char *check_stream(const rs_stream_conf_t *stream)
{
    int own = rs_template_per_tenant(stream->key);

    if (stream->tenant_literal && own) {
        return "a key with {tenant} is each tenant's own: leave tenant=literal: out, or {tenant}";
    }
    if (stream->idle && !own) {
        return "idle= is for keys that each tenant has for itself: put {tenant} into the key, or "
               "leave idle= out";
    }
    if (stream->idle && stream->idle < stream->maxage) {
        return "idle= is shorter than maxage=: the whole key would go before its entries are that "
               "old: raise idle=, or lower maxage=";
    }
    return NULL;
}

const char *rs_cmd_stream(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    rs_server_conf_t *conf = rs_conf_server(cmd->server);
    rs_stream_conf_t *stream = apr_pcalloc(cmd->pool, sizeof(*stream));
    const char *problem;
    int i;

    if (argc < 2) {
        return rs_cmd_problem(cmd, "write NAME KEY, then options such as maxlen=50000");
    }
    stream->name = argv[0];
    stream->key = argv[1];
    stream->tenant_field = "tenant_id";
    stream->type_field = "event_type";
    stream->data_field = "payload";
    stream->user_field = "user_id";
    if (!rs_name_valid(stream->name, strlen(stream->name))) {
        return rs_cmd_problem(cmd, "the name must be 1 to 64 of A-Z a-z 0-9 . _ @ -");
    }
    if (strlen(stream->key) >= 160) {
        return rs_cmd_problem(cmd, "the key must be shorter than 160 characters");
    }
    if (!rs_utf8_valid(stream->key, strlen(stream->key))) {
        return rs_cmd_problem(cmd, "the key is not valid UTF-8, and could not be shown anywhere: "
                                   "write one that is");
    }
    for (i = 2; i < argc; i++) {
        problem = set_stream_option(cmd, stream, argv[i]);
        if (problem) {
            return rs_cmd_problem(cmd, problem);
        }
    }
    if ((problem = check_stream(stream))) {
        return rs_cmd_problem(cmd, problem);
    }
    for (i = 0; i < conf->streams->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(conf->streams, i, rs_stream_conf_t *)->name, stream->name)) {
            return rs_cmd_problem(cmd,
                                  apr_psprintf(cmd->pool,
                                               "the stream %s is defined twice: give the second "
                                               "one another name",
                                               stream->name));
        }
    }
    APR_ARRAY_PUSH(conf->streams, rs_stream_conf_t *) = stream;
    return NULL;
}
