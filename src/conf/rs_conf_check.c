/* SPDX-License-Identifier: Apache-2.0
 *
 * What is only wrong, or only known, when the whole configuration has been read. Runs as a
 * check_config hook, so that `apachectl configtest` says it. Also completes server configurations
 * (defaults, parsed URLs) and loads token keys. Main thread, as root where httpd is started so.
 */
#include "rs_httpd.h"
#include <unistd.h>

#include "../base/rs_secret.h"
#include "rs_conf.h"

static int problems;

static void complain(server_rec *s, const ap_directive_t *at, const char *sentence)
{
    problems++;
    if (at) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "RS0601: %s line %d: %s", at->filename,
                     at->line_num, sentence);
    }
    else {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "RS0602: %s", sentence);
    }
}

/* --- hosts --- */

static void check_server(apr_pool_t *p, server_rec *s)
{
    rs_server_conf_t *conf = rs_conf_server(s);
    const char *problem;

    rs_conf_server_defaults(conf);
    conf->server = s;
    problem = rs_redis_url_parse(&conf->url, p, conf->redis_url);
    if (problem) {
        complain(s, NULL, apr_pstrcat(p, "RaglineRedis: ", problem, NULL));
    }
    if (conf->pool_min > conf->pool_max) {
        complain(s, NULL, "RaglineRedisPool: min is above max: lower min or raise max");
    }
}

static int same_text(const char *a, const char *b) { return a && b ? !strcmp(a, b) : a == b; }

static int same_fields(const rs_stream_conf_t *a, const rs_stream_conf_t *b)
{
    return same_text(a->tenant_field, b->tenant_field)
           && same_text(a->tenant_literal, b->tenant_literal)
           && same_text(a->type_field, b->type_field) && same_text(a->data_field, b->data_field)
           && same_text(a->user_field, b->user_field);
}

/* The stream with this key in an earlier host of the same Redis, or in this one. */
static const rs_stream_conf_t *other_with_key(server_rec *first, const rs_server_conf_t *of,
                                              const rs_stream_conf_t *stream)
{
    server_rec *s;
    int i;

    for (s = first; s; s = s->next) {
        const rs_server_conf_t *conf = rs_conf_server(s);

        for (i = 0;
             conf->url && !strcmp(conf->url->label, of->url->label) && i < conf->streams->nelts;
             i++) {
            const rs_stream_conf_t *other = APR_ARRAY_IDX(conf->streams, i, rs_stream_conf_t *);

            if (other != stream && !strcmp(other->key, stream->key)
                && !same_fields(other, stream)) {
                return other;
            }
        }
    }
    return NULL;
}

static void check_streams(apr_pool_t *p, server_rec *first, server_rec *s)
{
    const rs_server_conf_t *conf = rs_conf_server(s);
    int i;

    for (i = 0; conf->url && i < conf->streams->nelts; i++) {
        const rs_stream_conf_t *stream = APR_ARRAY_IDX(conf->streams, i, rs_stream_conf_t *);
        const rs_stream_conf_t *other = other_with_key(first, conf, stream);

        if (other) {
            complain(s, NULL,
                     apr_psprintf(p,
                                  "RaglineStream: %s and %s have the key %s but different fields: "
                                  "one key has one meaning, give them the same options",
                                  stream->name, other->name, stream->key));
        }
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
            complain(section->server, section->directive,
                     apr_psprintf(p,
                                  "%s: there is no stream %s: define it with RaglineStream %s KEY",
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
            complain(section->server, section->directive,
                     "RaglineOrigins: * stands for every origin: write it alone, or leave it out");
        }
    }
}

/* A configtest by somebody who may not read the key must not fail for that. */
static int unreadable_here(const char *spec)
{
    return geteuid() != 0 && !strncmp(spec, "file:", 5) && access(spec + 5, F_OK) == 0
           && access(spec + 5, R_OK) != 0;
}

static void load_keys(apr_pool_t *p, const rs_section_t *section)
{
    const rs_dir_conf_t *host =
        ap_get_module_config(section->server->lookup_defaults, &ragline_stream_module);
    const char *alg = section->conf->jwt_alg  ? section->conf->jwt_alg
                      : host && host->jwt_alg ? host->jwt_alg
                                              : "HS256";
    int i;

    for (i = 0; section->conf->jwt_keys && i < section->conf->jwt_keys->nelts; i++) {
        rs_key_conf_t *key = APR_ARRAY_IDX(section->conf->jwt_keys, i, rs_key_conf_t *);
        apr_array_header_t *keys = apr_array_make(p, 1, sizeof(rs_jwt_key_t *));
        const char *material, *problem;
        apr_size_t len;

        if (unreadable_here(key->spec)) {
            ap_log_error(
                APLOG_MARK, APLOG_WARNING, 0, section->server,
                "RS0603: RaglineJWTKey: %s cannot be read by this user; its content is not checked",
                key->spec + 5);
            continue;
        }
        problem = rs_secret_read(&material, &len, p, key->spec, 1);
        if (!problem) {
            problem = rs_jwt_keys_add(keys, p, key->alg, alg, key->kid, material, len);
        }
        if (problem) {
            complain(section->server, section->directive,
                     apr_pstrcat(p, "RaglineJWTKey: ", problem, NULL));
            continue;
        }
        key->keys = keys;
    }
}

/* --- endpoints: what a URL of a <Location> really gets --- */

static int location_matches(const core_dir_config *entry, const char *url)
{
    apr_size_t len = strlen(entry->d);

    return !entry->r && !entry->d_is_fnmatch && !strncmp(entry->d, url, len)
           && (len == 0 || entry->d[len - 1] == '/' || url[len] == '/' || url[len] == '\0');
}

/* As httpd's location walk does it. */
static ap_conf_vector_t *walk(apr_pool_t *p, server_rec *s, const apr_array_header_t *sec_url,
                              ap_conf_vector_t *of)
{
    const core_dir_config *target = ap_get_core_module_config(of);
    ap_conf_vector_t *merged = s->lookup_defaults;
    int i;

    for (i = 0; i < sec_url->nelts; i++) {
        ap_conf_vector_t *section = APR_ARRAY_IDX(sec_url, i, ap_conf_vector_t *);

        if (section == of || location_matches(ap_get_core_module_config(section), target->d)) {
            merged = ap_merge_per_dir_configs(p, merged, section);
        }
    }
    return merged;
}

static void check_sse(apr_pool_t *p, server_rec *s, const char *where, const rs_dir_conf_t *conf)
{
    if (!conf->subscribe) {
        complain(s, NULL,
                 apr_psprintf(p,
                              "%s: SetHandler ragline-sse needs RaglineSubscribe with the streams "
                              "of this endpoint",
                              where));
    }
    if (!conf->profile || strlen(conf->profile) > RS_NAME_MAX) {
        complain(s, NULL,
                 apr_psprintf(p,
                              "%s: this section's path names no endpoint: add RaglineProfile NAME",
                              where));
    }
    if (!conf->tenant && !conf->jwt_keys) {
        complain(s, NULL,
                 apr_psprintf(p,
                              "%s: nothing says whose events these are: add RaglineTenant with an "
                              "expression or a literal, or AuthType RaglineJWT with RaglineJWTKey",
                              where));
    }
}

/* The SetHandler directive that stands there in the configuration. */
static const ap_directive_t *set_handler_at(const ap_directive_t *tree, const char *file,
                                            unsigned line)
{
    for (; tree; tree = tree->next) {
        const ap_directive_t *found;

        if ((unsigned)tree->line_num == line && !ap_cstr_casecmp(tree->directive, "SetHandler")
            && !strcmp(tree->filename, file)) {
            return tree;
        }
        found = set_handler_at(tree->first_child, file, line);
        if (found) {
            return found;
        }
    }
    return NULL;
}

/* Without a request the handler's expression cannot be evaluated, but its text can be found. */
static rs_kind_t kind_of(apr_pool_t *p, const ap_conf_vector_t *section)
{
    const core_dir_config *core = ap_get_core_module_config(section);
    const ap_directive_t *directive =
        core->expr_handler ? set_handler_at(ap_conftree, core->expr_handler->filename,
                                            core->expr_handler->line_number)
                           : NULL;
    const char *args = directive ? directive->args : "";

    return rs_conf_kind_named(ap_getword_conf(p, &args));
}

static int contains(const apr_array_header_t *sections, const ap_conf_vector_t *section)
{
    int i;

    for (i = 0; i < sections->nelts; i++) {
        if (APR_ARRAY_IDX(sections, i, ap_conf_vector_t *) == section) {
            return 1;
        }
    }
    return 0;
}

static void check_endpoints(apr_pool_t *p, server_rec *main_server, server_rec *s)
{
    const core_server_config *core = ap_get_core_module_config(s->module_config);
    const core_server_config *main_core = ap_get_core_module_config(main_server->module_config);
    int i;

    for (i = 0; i < core->sec_url->nelts; i++) {
        ap_conf_vector_t *section = APR_ARRAY_IDX(core->sec_url, i, ap_conf_vector_t *);
        const core_dir_config *dir = ap_get_core_module_config(section);
        ap_conf_vector_t *merged = walk(p, s, core->sec_url, section);
        const rs_dir_conf_t *conf = ap_get_module_config(merged, &ragline_stream_module);
        rs_kind_t kind = kind_of(p, merged);
        const char *where = apr_psprintf(p, "<Location %s>", dir->d);

        /* A section that only refines others (no SetHandler of its own) is seen through them. */
        if (kind == RS_KIND_NONE || kind_of(p, section) == RS_KIND_NONE) {
            continue;
        }
        /* Hosts inherit the main server's sections: one sentence is enough. */
        if (s != main_server && contains(main_core->sec_url, section)) {
            continue;
        }
        conf = rs_conf_dir_defaults(p, conf, dir->r || dir->d_is_fnmatch ? NULL : dir->d);
        if (kind == RS_KIND_SSE) {
            check_sse(p, s, where, conf);
        }
        else if (kind == RS_KIND_PUBLISH && !conf->publish) {
            complain(s, NULL,
                     apr_psprintf(p,
                                  "%s: SetHandler ragline-publish needs RaglinePublish with the "
                                  "streams that may be written",
                                  where));
        }
    }
}

/* AuthType is mod_authn_core's own; whether it is ours is only to be seen in the tree. */
static void check_auth_types(const ap_directive_t *tree, server_rec *s)
{
    int i, any = 0;

    for (i = 0; i < rs_conf_sections()->nelts; i++) {
        any |= APR_ARRAY_IDX(rs_conf_sections(), i, rs_section_t).conf->jwt_keys != NULL;
    }
    for (; tree && !any; tree = tree->next) {
        if (!ap_cstr_casecmp(tree->directive, "AuthType")
            && !ap_cstr_casecmp(tree->args, "RaglineJWT")) {
            complain(s, tree,
                     "AuthType RaglineJWT needs a key: add RaglineJWTKey file:PATH, or env:NAME");
        }
        check_auth_types(tree->first_child, s);
    }
}

int rs_conf_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *main_server)
{
    const apr_array_header_t *all = rs_conf_sections();
    server_rec *s;
    int i;

    problems = 0;
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
        load_keys(pconf, section);
    }
    for (s = main_server; s; s = s->next) {
        check_endpoints(ptemp, main_server, s);
    }
    check_auth_types(ap_conftree, main_server);
    return problems ? HTTP_INTERNAL_SERVER_ERROR : OK;
}

apr_array_header_t *rs_conf_subscribed(apr_pool_t *p, server_rec *main_server, const char *label)
{
    apr_array_header_t *streams = apr_array_make(p, 8, sizeof(rs_stream_conf_t *));
    const apr_array_header_t *all = rs_conf_sections();
    server_rec *s;
    int i, k, n;

    for (s = main_server; s; s = s->next) {
        const rs_server_conf_t *conf = rs_conf_server(s);

        for (i = 0; !strcmp(conf->url->label, label) && i < all->nelts; i++) {
            const rs_section_t *section = &APR_ARRAY_IDX(all, i, rs_section_t);
            const apr_array_header_t *names = section->conf->subscribe;

            /* Hosts inherit the sections of the main server. */
            if (!names || (section->server != s && section->server != main_server)) {
                continue;
            }
            for (k = 0; k < names->nelts; k++) {
                const rs_stream_conf_t *stream =
                    rs_conf_stream(conf, APR_ARRAY_IDX(names, k, const char *));

                for (n = 0;
                     stream && n < streams->nelts
                     && strcmp(APR_ARRAY_IDX(streams, n, rs_stream_conf_t *)->key, stream->key);
                     n++) {
                }
                if (stream && n == streams->nelts) {
                    APR_ARRAY_PUSH(streams, const rs_stream_conf_t *) = stream;
                }
            }
        }
    }
    return streams;
}
