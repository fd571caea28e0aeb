/* SPDX-License-Identifier: Apache-2.0
 *
 * Which URLs are endpoints: handlers that are none, or stand where no URL can have them, and URLs
 * that look like an endpoint's and are not. Main thread, check_config.
 */
#include "rs_httpd.h"
#include <apr_fnmatch.h>

#include "rs_conf_check.h"

static int is_file_section(const ap_directive_t *at)
{
    return rs_tree_around(at, "<Directory") || rs_tree_around(at, "<Files")
           || rs_tree_around(at, "<Proxy");
}

static int is_misspelt(const char *word)
{
    return !ap_cstr_casecmpn(word, "ragline", 7) && !strchr(word, '%')
           && rs_conf_kind_named(word) == RS_KIND_NONE;
}

static void check_handler(apr_pool_t *p, server_rec *s, const ap_directive_t *at)
{
    const char *word = rs_tree_word(p, at);

    if (is_misspelt(word)) {
        rs_check_complain(s, at,
                          apr_psprintf(p, "SetHandler %s: there is no such handler: write %s", word,
                                       rs_conf_kind_names(p)));
    }
    else if (rs_conf_kind_named(word) != RS_KIND_NONE && is_file_section(at)) {
        rs_check_complain(
            s, at,
            apr_psprintf(p,
                         "SetHandler %s has no effect in %s>: an endpoint is a URL, and no file or "
                         "directory: write it in a <Location>",
                         word, at->parent->directive));
    }
}

static void check_level(apr_pool_t *p, server_rec *s, const ap_directive_t *at)
{
    for (; at; at = at->next) {
        const char *word = at->args ? rs_tree_word(p, at) : "";

        if (!ap_cstr_casecmp(at->directive, "SetHandler")) {
            check_handler(p, s, at);
        }
        else if (!ap_cstr_casecmp(at->directive, "AddHandler")
                 && !ap_cstr_casecmpn(word, "ragline", 7)) {
            rs_check_complain(s, at,
                              apr_psprintf(p,
                                           "AddHandler %s has no effect: an endpoint is a URL, and "
                                           "no file: write SetHandler in a <Location>",
                                           word));
        }
        else if (!ap_cstr_casecmp(at->directive, "AuthType") && !strchr(word, '%')
                 && !ap_cstr_casecmpn(word, "ragline", 7) && ap_cstr_casecmp(word, "RaglineJWT")) {
            rs_check_complain(
                s, at,
                apr_psprintf(p, "AuthType %s: there is no such type: write RaglineJWT", word));
        }
        check_level(p, s, at->first_child);
    }
}

void rs_check_handlers(apr_pool_t *p, server_rec *main_server)
{
    check_level(p, main_server, ap_conftree);
}

void rs_check_place(apr_pool_t *p, const rs_endpoint_t *e)
{
    apr_size_t len = e->url ? strlen(e->url) : 0;

    if (e->url && *e->url != '/') {
        rs_check_complain(e->server, NULL,
                          apr_psprintf(p,
                                       "%s: the path of a URL begins with a slash, so none reaches "
                                       "this endpoint: write <Location /%s>",
                                       e->where, ap_strstr_c(e->url, "://") ? "..." : e->url));
    }
    else if (len > 1 && e->url[len - 1] == '/') {
        rs_check_warn(
            e->server, NULL,
            apr_psprintf(p,
                         "%s: only %s with the slash at its end reaches this endpoint, and "
                         "%.*s does not: leave the slash out, then both do",
                         e->where, e->url, (int)len - 1, e->url));
    }
}

/* --- streams without an endpoint --- */

/* Of an expression nobody knows what it makes of which URL. */
static int has_expression(apr_pool_t *p, const ap_directive_t *at)
{
    for (; at; at = at->next) {
        if ((!ap_cstr_casecmp(at->directive, "SetHandler") && strchr(at->args, '%'))
            || has_expression(p, at->first_child)) {
            return 1;
        }
    }
    return 0;
}

/* Whether an endpoint may have what a section at the path says; hosts have what the main server's
 * sections say. */
static int serves(const rs_endpoint_t *e, const server_rec *main_server, const server_rec *s,
                  const char *path)
{
    apr_size_t len = strlen(path);

    if (s != main_server && s != e->server) {
        return 0;
    }
    return !e->url
           || (!strncmp(e->url, path, len)
               && (len == 0 || path[len - 1] == '/' || e->url[len] == '/' || !e->url[len]));
}

void rs_check_unused(apr_pool_t *p, server_rec *main_server, const apr_array_header_t *endpoints)
{
    const apr_array_header_t *sections = rs_conf_sections();
    int i, k, regex;

    for (i = 0; i < sections->nelts && !has_expression(p, ap_conftree); i++) {
        const rs_section_t *section = &APR_ARRAY_IDX(sections, i, rs_section_t);
        const ap_directive_t *at = section->directive->parent;
        const rs_dir_conf_t *conf = section->conf;
        const char *path;

        if (!at || ap_cstr_casecmp(at->directive, "<Location")
            || (!conf->subscribe && !conf->publish)
            || rs_tree_find(p, at->first_child, "SetHandler", NULL)) {
            continue; /* what is wrong with a handler is said of that */
        }
        path = rs_tree_path(p, at, &regex);
        for (k = 0; k < endpoints->nelts
                    && !serves(&APR_ARRAY_IDX(endpoints, k, rs_endpoint_t), main_server,
                               section->server, path);
             k++) {
        }
        if (k == endpoints->nelts && !regex && !apr_fnmatch_test(path)) {
            rs_check_warn(
                section->server, at,
                apr_psprintf(p, "<Location %s> has %s and is no endpoint: add SetHandler %s", path,
                             conf->subscribe ? "RaglineSubscribe" : "RaglinePublish",
                             conf->subscribe ? "ragline-sse or ragline-websocket"
                                             : "ragline-publish"));
        }
    }
}

/* --- the same host over TLS --- */

static int is_tls(apr_pool_t *p, server_rec *s)
{
    const ap_directive_t *host = rs_tree_host(s);
    const ap_directive_t *engine =
        host ? rs_tree_last(host->first_child, "SSLEngine") : NULL;

    return engine && ap_cstr_casecmp(rs_tree_word(p, engine), "off");
}

static int is_named(const server_rec *s, const char *name, int wild)
{
    const apr_array_header_t *names = wild ? s->wild_names : s->names;
    int i;

    if (s->server_hostname && !ap_cstr_casecmp(s->server_hostname, name)) {
        return 1;
    }
    for (i = 0; names && i < names->nelts; i++) {
        const char *alias = APR_ARRAY_IDX(names, i, const char *);

        if (wild ? !ap_strcasecmp_match(name, alias) : !ap_cstr_casecmp(name, alias)) {
            return 1;
        }
    }
    return 0;
}

/* ServerName of the one may be a ServerAlias of the other. */
static int same_name(const server_rec *a, const server_rec *b, int wild)
{
    return (a->server_hostname && is_named(b, a->server_hostname, wild))
           || (b->server_hostname && is_named(a, b->server_hostname, wild));
}

static int has_url(const apr_array_header_t *endpoints, const server_rec *s, const char *url)
{
    int i;

    for (i = 0; i < endpoints->nelts; i++) {
        const rs_endpoint_t *e = &APR_ARRAY_IDX(endpoints, i, rs_endpoint_t);

        if (e->server == s && !strcmp(e->url, url)) {
            return 1;
        }
    }
    return 0;
}

/* Those with TLS that have the endpoint's host, and not the endpoint. Returns how many have the
 * host, as ServerName or ServerAlias or, wild, by a pattern. */
static int check_tls_twins(apr_pool_t *p, server_rec *main_server,
                           const apr_array_header_t *endpoints, const rs_endpoint_t *e, int wild,
                           server_rec **said)
{
    server_rec *s;
    int twins = 0;

    for (s = main_server->next; s; s = s->next) {
        if (s == e->server || !same_name(s, e->server, wild) || !is_tls(p, s)) {
            continue;
        }
        twins++;
        if (*said != e->server && !has_url(endpoints, s, e->url)) {
            *said = e->server;
            rs_check_warn(s, rs_tree_host(s),
                          apr_psprintf(p,
                                       "%s of the same host without TLS (line %u) is not there "
                                       "with TLS: a <VirtualHost> has nothing of what another one "
                                       "says: write it in this one, too, or outside of both",
                                       e->where, e->server->defn_line_number));
        }
    }
    return twins;
}

void rs_check_tls_hosts(apr_pool_t *p, server_rec *main_server, const apr_array_header_t *endpoints)
{
    server_rec *said = NULL;
    int i;

    for (i = 0; i < endpoints->nelts; i++) {
        const rs_endpoint_t *e = &APR_ARRAY_IDX(endpoints, i, rs_endpoint_t);

        /* httpd looks for names first, and then for patterns. */
        if (e->server != said && e->server != main_server && !is_tls(p, e->server)
            && !check_tls_twins(p, main_server, endpoints, e, 0, &said)) {
            check_tls_twins(p, main_server, endpoints, e, 1, &said);
        }
    }
}
