/* SPDX-License-Identifier: Apache-2.0
 *
 * What is only wrong, or only known, when the whole configuration has been read. Runs as a
 * check_config hook, so that `apachectl configtest` says it. Also completes server configurations
 * (defaults, parsed URLs). Main thread, as root where httpd is started so.
 *
 * rs_conf_secrets.c reads keys and passwords, rs_conf_endpoints.c looks at what URLs really get,
 * rs_conf_logs.c at who would log tokens, rs_conf_tree.c at other modules' directives.
 */
#include "rs_httpd.h"

#include "../base/rs_log.h"
#include "../base/rs_name.h"
#include "../log/rs_stats.h"
#include "rs_conf_check.h"
#include "rs_conf_tree.h"

static server_rec *log_server;

/* What the core has to say of a secret's file. Until post_config installs its own. */
static void log_sink(const char *file, int line, int level, apr_status_t rv, const char *message)
{
    if (!rs_check_quiet()) {
        ap_log_error(file, line, APLOG_MODULE_INDEX, level, rv, log_server, "%s", message);
    }
}

/* --- hosts --- */

/* A host without a directive of ours shares the main server's configuration in httpd, and would be
 * taken for it: it gets one that says the same. */
static void own_server_conf(apr_pool_t *p, server_rec *first, server_rec *s)
{
    if (rs_conf_server(s) == rs_conf_server(first)) {
        ap_set_module_config(
            s->module_config, &ragline_stream_module,
            rs_conf_server_merge(p, rs_conf_server(first), rs_conf_server_create(p, s)));
    }
}

static void check_server(apr_pool_t *p, server_rec *s)
{
    rs_server_conf_t *conf = rs_conf_server(s);
    const char *problem;

    rs_conf_server_defaults(conf);
    conf->server = s;
    conf->grouped = apr_array_make(p, 2, sizeof(rs_grouped_t));
    conf->gateways = apr_array_make(p, 2, sizeof(const rs_dir_conf_t *));
    problem = conf->redis_url ? rs_redis_urls_parse(&conf->url, p, conf->redis_url->nelts,
                                                    (const char *const *)conf->redis_url->elts)
                              : rs_redis_url_parse(&conf->url, p, "redis://127.0.0.1:6379/0");
    if (problem) {
        rs_check_complain(s, NULL, apr_pstrcat(p, "RaglineRedis: ", problem, NULL));
    }
    if (conf->pool_min > conf->pool_max) {
        rs_check_complain(s, NULL, "RaglineRedisPool: min is above max: lower min or raise max");
    }
}

static int same_fields(const rs_stream_conf_t *a, const rs_stream_conf_t *b)
{
    return rs_same_text(a->tenant_field, b->tenant_field)
           && rs_same_text(a->tenant_literal, b->tenant_literal)
           && rs_same_text(a->type_field, b->type_field)
           && rs_same_text(a->data_field, b->data_field)
           && rs_same_text(a->user_field, b->user_field) && a->idle == b->idle;
}

static int has(const rs_server_conf_t *conf, const rs_stream_conf_t *stream)
{
    int i;

    for (i = 0; i < conf->streams->nelts; i++) {
        if (APR_ARRAY_IDX(conf->streams, i, rs_stream_conf_t *) == stream) {
            return 1;
        }
    }
    return 0;
}

/* A stream of the same Redis that has this one's key and comes before it, but has other fields. */
static const rs_stream_conf_t *other_with_key(server_rec *first, const rs_server_conf_t *of,
                                              const rs_stream_conf_t *stream)
{
    server_rec *s;
    int i;

    for (s = first; s; s = s->next) {
        const rs_server_conf_t *conf = rs_conf_server(s);

        for (i = 0; rs_check_same_redis(conf, of) && i < conf->streams->nelts; i++) {
            const rs_stream_conf_t *other = APR_ARRAY_IDX(conf->streams, i, rs_stream_conf_t *);

            if (other == stream && conf == of) {
                return NULL;
            }
            if (!strcmp(other->key, stream->key) && !same_fields(other, stream)) {
                return other;
            }
        }
    }
    return NULL;
}

static void check_streams(apr_pool_t *p, server_rec *first, server_rec *s)
{
    const rs_server_conf_t *conf = rs_conf_server(s), *main_conf = rs_conf_server(first);
    int i;

    for (i = 0; i < conf->streams->nelts; i++) {
        const rs_stream_conf_t *stream = APR_ARRAY_IDX(conf->streams, i, rs_stream_conf_t *),
                               *other;

        /* Said of the main server already. */
        if (s != first && rs_check_same_redis(conf, main_conf) && has(main_conf, stream)) {
            continue;
        }
        other = other_with_key(first, conf, stream);
        if (other) {
            rs_check_complain(s, NULL,
                              apr_psprintf(p,
                                           "RaglineStream: %s and %s have the key %s but different "
                                           "fields, or another idle=: "
                                           "one key has one meaning, give them the same options",
                                           stream->name, other->name, stream->key));
        }
    }
}

/* What the tables of a child have room for: without this a child would start without streams. */
static void check_amounts(apr_pool_t *p, server_rec *main_server)
{
    int sources = 0, streams = 0;
    server_rec *s;

    for (s = main_server; s; s = s->next) {
        if (!rs_conf_server(s)->url) {
            return; /* that has been said */
        }
    }
    for (s = main_server; s; s = s->next) {
        rs_server_conf_t *conf = rs_conf_server(s);

        if (rs_conf_same_redis(main_server, conf) == conf) {
            int n = rs_conf_subscribed(p, main_server, conf)->nelts;

            sources += n > 0;
            streams += n;
        }
    }
    if (sources > RS_STATS_SOURCES) {
        rs_check_complain(
            main_server, NULL,
            apr_psprintf(
                p,
                "RaglineRedis: %d Redis servers are subscribed to, and %d is the most that "
                "a server can read: take streams together in fewer, or run another httpd",
                sources, RS_STATS_SOURCES));
    }
    if (streams > RS_STATS_STREAMS) {
        rs_check_complain(
            main_server, NULL,
            apr_psprintf(p,
                         "RaglineSubscribe: %d streams are subscribed to, and %d is the most that "
                         "a server can read: let tenants share streams, or run another httpd",
                         streams, RS_STATS_STREAMS));
    }
}

/* --- sections --- */

static void check_names(apr_pool_t *p, const rs_section_t *section, const apr_array_header_t *names,
                        const char *directive)
{
    const rs_server_conf_t *conf = rs_conf_server(section->server);
    int i;

    for (i = 0; names && i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *);

        if (!rs_conf_stream(conf, name)) {
            rs_check_complain(
                section->server, section->directive,
                apr_psprintf(p, "%s: there is no stream %s: define it with RaglineStream %s KEY",
                             directive, name, name));
        }
    }
}

static void check_origins(const rs_section_t *section)
{
    const apr_array_header_t *origins = section->conf->origins;
    int i;

    for (i = 0; origins && origins->nelts > 1 && i < origins->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(origins, i, const char *), "*")) {
            rs_check_complain(
                section->server, section->directive,
                "RaglineOrigins: * stands for every origin: write it alone, or leave it out");
        }
    }
}

int rs_conf_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *main_server)
{
    const apr_array_header_t *all = rs_conf_sections();
    server_rec *s;
    int i;

    rs_check_begin();
    log_server = main_server;
    rs_log_sink(log_sink, RS_LOG_WARNING);
    for (s = main_server->next; s; s = s->next) {
        own_server_conf(pconf, main_server, s);
    }
    for (s = main_server; s; s = s->next) {
        check_server(pconf, s);
    }
    for (s = main_server; s; s = s->next) {
        check_streams(ptemp, main_server, s);
    }
    for (i = 0; i < all->nelts; i++) {
        const rs_section_t *section = &APR_ARRAY_IDX(all, i, rs_section_t);

        check_names(ptemp, section, section->conf->subscribe, "RaglineSubscribe");
        check_names(ptemp, section, section->conf->publish, "RaglinePublish");
        check_origins(section);
        rs_check_presence(ptemp, section);
    }
    rs_check_keys(ptemp, main_server);
    rs_check_secrets(pconf, main_server);
    check_amounts(ptemp, main_server);
    rs_check_endpoints(ptemp, main_server);
    rs_check_pumps(ptemp, main_server);
    rs_check_logs(pconf, main_server);
    return rs_check_problems() ? HTTP_INTERNAL_SERVER_ERROR : OK;
}
