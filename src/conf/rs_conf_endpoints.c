/* SPDX-License-Identifier: Apache-2.0
 *
 * What a URL really gets, when the sections around it are merged as httpd merges them: which
 * sections are endpoints, and whether they have all they need. A pattern has many URLs: it is
 * merged with the sections that reach all of them, and for questions like "is there one at all?"
 * with those that may reach some. Main thread, check_config.
 */
#include "rs_httpd.h"
#include <apr_fnmatch.h>

#include "../base/rs_name.h"
#include "../gateway/rs_callbacks.h"
#include "rs_conf_check.h"
#include "rs_conf_tree.h"

/* What goes through all of the checks. */
typedef struct {
    apr_pool_t *pool;
    apr_pool_t *scratch; /* of one section of one host: there may be very many */
    server_rec *main_server;
    apr_array_header_t *all;        /* rs_endpoint_t */
    apr_array_header_t *streams;    /* rs_endpoint_t, those of kind SSE with a URL */
    apr_array_header_t *complained; /* const ap_directive_t *: an AuthType without key */
} check_t;

static int is_pattern(const core_dir_config *section)
{
    return section->r || section->d_is_fnmatch;
}

/* Whether the section's settings are those of all URLs of a place, which is a path or a pattern.
 * -1: perhaps, or of some. */
static int reaches(const core_dir_config *section, const core_dir_config *place)
{
    const char *path = place->d;
    apr_size_t len = strlen(section->d);

    if (section == place) {
        return 1;
    }
    if (is_pattern(place)) {
        return is_pattern(section) ? -1 : rs_tree_reaches(section->d, path, place->r != NULL);
    }
    if (section->r) {
        return ap_regexec(section->r, path, 0, NULL, 0) == 0;
    }
    if (section->d_is_fnmatch) {
        return apr_fnmatch(section->d, path, APR_FNM_PATHNAME) == 0;
    }
    return !strncmp(section->d, path, len)
           && (len == 0 || section->d[len - 1] == '/' || path[len] == '/' || path[len] == '\0');
}

/* The merged configuration of a place, as httpd's walk makes it. perhaps: with what may reach some
 * of it. place NULL: the host's (perhaps: and of anything in it). */
static ap_conf_vector_t *walk(apr_pool_t *p, server_rec *s, const apr_array_header_t *sections,
                              const core_dir_config *place, int perhaps)
{
    ap_conf_vector_t *merged = s->lookup_defaults;
    int i;

    for (i = 0; i < sections->nelts; i++) {
        ap_conf_vector_t *section = APR_ARRAY_IDX(sections, i, ap_conf_vector_t *);
        int reached = place ? reaches(ap_get_core_module_config(section), place) : -1;

        if (reached > 0 || (reached < 0 && perhaps)) {
            merged = ap_merge_per_dir_configs(p, merged, section);
        }
    }
    return merged;
}

/* Without a request the handler's expression cannot be evaluated, but its text can be found. */
static const ap_directive_t *handler_of(const ap_conf_vector_t *section)
{
    const core_dir_config *core = section ? ap_get_core_module_config(section) : NULL;

    if (!core || !core->expr_handler) {
        return NULL;
    }
    return rs_tree_at(ap_conftree, "SetHandler", core->expr_handler->filename,
                      core->expr_handler->line_number);
}

static rs_kind_t kind_of(apr_pool_t *p, const ap_conf_vector_t *section)
{
    const ap_directive_t *handler = handler_of(section);

    return handler ? rs_conf_kind_named(rs_tree_word(p, handler)) : RS_KIND_NONE;
}

static int contains(const apr_array_header_t *list, const void *what)
{
    int i;

    for (i = 0; i < list->nelts; i++) {
        if (APR_ARRAY_IDX(list, i, const void *) == what) {
            return 1;
        }
    }
    return 0;
}

/* --- endpoints by themselves --- */

static void check_cookies(check_t *check, const rs_endpoint_t *e)
{
    const apr_array_header_t *origins = e->conf->origins, *from = e->conf->token_from;
    int i, any = 0, cookie = 0;

    for (i = 0; origins && i < origins->nelts; i++) {
        any |= !strcmp(APR_ARRAY_IDX(origins, i, const char *), "*");
    }
    for (i = 0; from && i < from->nelts; i++) {
        cookie |= APR_ARRAY_IDX(from, i, rs_token_from_t).from == RS_TOKEN_COOKIE;
    }
    if (any && cookie) {
        rs_check_complain(
            e->server, NULL,
            apr_psprintf(check->pool,
                         "%s: RaglineOrigins * and RaglineTokenFrom cookie: do not go together, or "
                         "every page of the web could use its visitors' cookies: name the origins",
                         e->where));
    }
}

static void check_stream(check_t *check, const rs_endpoint_t *e)
{
    if (!e->maybe->subscribe) {
        rs_check_complain(
            e->server, NULL,
            apr_psprintf(check->pool,
                         "%s: SetHandler %s needs RaglineSubscribe with the streams "
                         "of this endpoint",
                         e->where, e->kind == RS_KIND_SSE ? "ragline-sse" : "ragline-websocket"));
    }
    if (!e->conf->profile || !rs_name_valid(e->conf->profile, strlen(e->conf->profile))) {
        rs_check_complain(
            e->server, NULL,
            apr_psprintf(check->pool,
                         "%s: this section's path names no endpoint: add RaglineProfile NAME",
                         e->where));
    }
    if (e->conf->ack && (e->kind != RS_KIND_WEBSOCKET || !e->maybe->shared)) {
        rs_check_complain(
            e->server, NULL,
            apr_psprintf(check->pool,
                         "%s: RaglineAck client is for ragline-websocket with RaglineDelivery "
                         "shared, whose clients can say what they have: write RaglineAck socket",
                         e->where));
    }
    rs_check_group(check->pool, e->server, e->where, e->conf);
    rs_check_tenant(check->pool, e->server, e->where, e->conf);
}

/* For when children start: what its directives said lives as long as the list. */
static void note_backend(apr_array_header_t *gateways, const rs_dir_conf_t *conf)
{
    APR_ARRAY_PUSH(gateways, const rs_dir_conf_t *) =
        apr_pmemdup(gateways->pool, conf, sizeof(*conf));
}

static void check_gateway(check_t *check, const rs_endpoint_t *e)
{
    rs_server_conf_t *main_conf = rs_conf_server(check->main_server);
    const char *problem =
        !rs_callbacks_are_there()
            ? "SetHandler ragline-gateway: this module was built without libcurl"
        : !e->maybe->gateway_callback
            ? "SetHandler ragline-gateway needs RaglineGatewayCallback with the URL of the back "
              "end that is asked"
        : !e->conf->profile || !rs_name_valid(e->conf->profile, strlen(e->conf->profile))
            ? "this section's path names no endpoint: add RaglineProfile NAME"
        : e->maybe->gateway_identity && !main_conf->redis_url
            ? "RaglineIdentity needs RaglineRedis in the main server, where it is known who has "
              "which identity"
            : NULL;

    if (e->maybe->gateway_callback) {
        note_backend(main_conf->gateways, e->conf->gateway_callback ? e->conf : e->maybe);
    }
    if (problem) {
        rs_check_complain(e->server, NULL,
                          apr_psprintf(check->pool, "%s: %s", e->where, problem));
    }
}

static void check_endpoint(check_t *check, const rs_endpoint_t *e)
{
    if (e->kind == RS_KIND_GATEWAY_SEND && e->maybe->gateway_keep > 0
        && !rs_conf_server(check->main_server)->redis_url) {
        rs_check_complain(e->server, NULL,
                          apr_psprintf(check->pool,
                                       "%s: RaglineIdentityKeep needs RaglineRedis in the main "
                                       "server, where it is kept",
                                       e->where));
    }
    if (e->kind == RS_KIND_GATEWAY) {
        check_gateway(check, e);
    }
    if (rs_conf_kind_streams(e->kind)) {
        check_stream(check, e);
    }
    else if (e->kind == RS_KIND_PUBLISH && !e->maybe->publish) {
        rs_check_complain(e->server, NULL,
                          apr_psprintf(check->pool,
                                       "%s: SetHandler ragline-publish needs RaglinePublish with "
                                       "the streams that may be written",
                                       e->where));
    }
    if (rs_conf_kind_streams(e->kind) || e->kind == RS_KIND_PUBLISH
        || e->kind == RS_KIND_GATEWAY) {
        check_cookies(check, e);
    }
    rs_check_place(check->pool, e);
}

static apr_array_header_t *keys_of(apr_pool_t *p, const rs_endpoint_t *e)
{
    const rs_server_conf_t *server = rs_conf_server(e->server);
    apr_array_header_t *keys = apr_array_make(p, 4, sizeof(const char *));
    int i;

    for (i = 0; e->conf->subscribe && i < e->conf->subscribe->nelts; i++) {
        const rs_stream_conf_t *stream =
            rs_conf_stream(server, APR_ARRAY_IDX(e->conf->subscribe, i, const char *));

        if (stream) {
            APR_ARRAY_PUSH(keys, const char *) = stream->key;
        }
    }
    return keys;
}

static const rs_dir_conf_t *conf_of(check_t *check, const ap_conf_vector_t *merged,
                                    const ap_conf_vector_t *more, const char *url)
{
    rs_dir_conf_t *conf = ap_get_module_config(merged, &ragline_stream_module);
    rs_dir_conf_t *add = more ? ap_get_module_config(more, &ragline_stream_module) : NULL;

    if (add) {
        conf = conf ? rs_conf_dir_merge(check->scratch, conf, add) : add;
    }
    return rs_conf_dir_defaults(check->pool, conf, url);
}

/* Whether the section is an endpoint of the host; if so, *e is what it is. place: the <Location>,
 * NULL for the whole host; condition: an <If> in it, or NULL. */
static int endpoint(check_t *check, server_rec *s, const apr_array_header_t *sections,
                    const core_dir_config *place, const ap_conf_vector_t *section,
                    const ap_conf_vector_t *condition, rs_endpoint_t *e)
{
    int one_url = place && !is_pattern(place);
    ap_conf_vector_t *merged;
    const ap_directive_t *handler;

    memset(e, 0, sizeof(*e));
    e->server = s;
    e->url = one_url ? place->d : NULL;
    if ((!one_url || condition)
        && kind_of(check->scratch, condition ? condition : section) == RS_KIND_NONE) {
        return 0;
    }
    merged = walk(check->scratch, s, sections, place, 0);
    handler = handler_of(condition ? condition : one_url ? merged : section);
    e->kind = handler ? rs_conf_kind_named(rs_tree_word(check->scratch, handler)) : RS_KIND_NONE;
    if (e->kind == RS_KIND_NONE) {
        return 0;
    }
    e->where = place ? apr_psprintf(check->pool, "%s<Location%s %s>", condition ? "<If> in " : "",
                                    place->r ? "Match" : "", place->d)
                     : apr_psprintf(check->pool, "SetHandler %s in line %d", handler->args,
                                    handler->line_num);
    e->conf = conf_of(check, merged, condition, e->url);
    e->maybe = one_url
                   ? e->conf
                   : conf_of(check, walk(check->scratch, s, sections, place, 1), condition, NULL);
    e->keys = keys_of(check->pool, e);
    e->place.kind = "<Location";
    e->place.path = e->url;
    e->place.section = condition || !one_url ? handler->parent : NULL;
    e->place.method = 
        e->kind == RS_KIND_PUBLISH || e->kind == RS_KIND_GATEWAY_SEND ? "POST" : "GET";
    return 1;
}

/* A handler of ours that does not come to anything. */
static void check_lost(check_t *check, server_rec *s, const ap_conf_vector_t *section)
{
    const core_dir_config *dir = ap_get_core_module_config(section);

    if (kind_of(check->scratch, section) != RS_KIND_NONE) {
        rs_check_warn(s, handler_of(section),
                      apr_psprintf(check->pool,
                                   "<Location %s>: a section further down gives this URL another "
                                   "handler, so it is no endpoint: leave one of the two out",
                                   dir->d));
    }
}

/* --- AuthType RaglineJWT, in endpoints and elsewhere --- */

static void check_key(check_t *check, server_rec *s, const apr_array_header_t *sections,
                      const char *kind, const core_dir_config *dir)
{
    const rs_place_t place = {kind, dir->d, NULL, "GET"};
    rs_guard_t guard = rs_tree_guard(check->scratch, check->main_server, s, &place);
    const rs_dir_conf_t *conf;
    const char *path = dir->d;
    int shown = (int)strlen(path);

    /* httpd adds a slash to a directory. */
    if (shown > 1 && path[shown - 1] == '/') {
        shown--;
    }
    if (!guard.ours || !(guard.stranger & RS_NO_USER || guard.unsure)
        || contains(check->complained, guard.auth_type)) {
        return;
    }
    conf = ap_get_module_config(
        walk(check->scratch, s, sections, guard.unsure ? NULL : dir, guard.unsure),
        &ragline_stream_module);
    if (!conf || !conf->jwt_keys) {
        APR_ARRAY_PUSH(check->complained, const ap_directive_t *) = guard.auth_type;
        rs_check_complain(s, guard.auth_type,
                          apr_psprintf(check->pool,
                                       "AuthType RaglineJWT needs a key, and %s %.*s> has none: "
                                       "add RaglineJWTKey file:PATH, or env:NAME",
                                       kind, shown, path));
    }
}

/* Of those that no path was found for (patterns, <Files>, <If>) only this is known. */
static void check_any_key(check_t *check)
{
    const ap_directive_t *at = rs_tree_find(check->pool, ap_conftree, "AuthType", "RaglineJWT");

    if (at && !check->complained->nelts
        && !rs_tree_find(check->pool, ap_conftree, "RaglineJWTKey", NULL)) {
        rs_check_complain(check->main_server, at,
                          "AuthType RaglineJWT needs a key: add RaglineJWTKey file:PATH, or "
                          "env:NAME");
    }
}

static void check_directories(check_t *check, server_rec *s)
{
    const core_server_config *core = ap_get_core_module_config(s->module_config);
    int i;

    for (i = 0; i < core->sec_dir->nelts; i++) {
        const core_dir_config *dir =
            ap_get_core_module_config(APR_ARRAY_IDX(core->sec_dir, i, ap_conf_vector_t *));

        apr_pool_clear(check->scratch);
        if (!is_pattern(dir) && dir->d) {
            check_key(check, s, core->sec_dir, "<Directory", dir);
        }
    }
}

static void note(check_t *check, const rs_endpoint_t *e, int inherited)
{
    /* Hosts inherit the main server's sections: one sentence is enough. */
    if (!inherited) {
        check_endpoint(check, e);
    }
    rs_check_access(check->scratch, check->main_server, e, inherited);
    APR_ARRAY_PUSH(check->all, rs_endpoint_t) = *e;
    rs_conf_server(check->main_server)->administered |= e->kind == RS_KIND_ADMIN;
    rs_conf_server(check->main_server)->gatewayed |= e->kind == RS_KIND_GATEWAY_SEND;
    if (rs_conf_kind_streams(e->kind) && e->url) {
        APR_ARRAY_PUSH(check->streams, rs_endpoint_t) = *e;
        rs_check_keep_group(e->server, e->conf);
    }
    else if (rs_conf_kind_streams(e->kind)) {
        rs_conf_server(e->server)->more_grouped |=
            e->conf->shared || e->conf->start_group || e->maybe->shared || e->maybe->start_group;
    }
}

/* Each <If> of a <Location> or, place NULL, of the host, however deep. */
static void check_conditions(check_t *check, server_rec *s, const core_dir_config *place,
                             const core_dir_config *within, int inherited)
{
    const core_server_config *core = ap_get_core_module_config(s->module_config);
    int i;

    for (i = 0; within->sec_if && i < within->sec_if->nelts; i++) {
        ap_conf_vector_t *condition = APR_ARRAY_IDX(within->sec_if, i, ap_conf_vector_t *);
        rs_endpoint_t e;

        if (endpoint(check, s, core->sec_url, place, NULL, condition, &e)) {
            note(check, &e, inherited);
        }
        check_conditions(check, s, place, ap_get_core_module_config(condition), inherited);
    }
}

/* What is said for all URLs of a host: SetHandler itself, or in an <If>. */
static void check_whole_host(check_t *check, server_rec *s)
{
    const core_server_config *core = ap_get_core_module_config(s->module_config);
    const core_dir_config *own = ap_get_core_module_config(s->lookup_defaults);
    const core_dir_config *base = ap_get_core_module_config(check->main_server->lookup_defaults);
    int inherited = s != check->main_server;
    rs_endpoint_t e;

    if (endpoint(check, s, core->sec_url, NULL, s->lookup_defaults, NULL, &e)) {
        note(check, &e, inherited && own->expr_handler == base->expr_handler);
    }
    check_conditions(check, s, NULL, own,
                     inherited && base->sec_if && own->sec_if
                         && own->sec_if->nelts == base->sec_if->nelts);
}

/* Several sections of one path are one place; the last of them stands for it. */
static int comes_again(const apr_array_header_t *sections, int i)
{
    const core_dir_config *dir =
        ap_get_core_module_config(APR_ARRAY_IDX(sections, i, ap_conf_vector_t *));

    for (i++; !is_pattern(dir) && i < sections->nelts; i++) {
        const core_dir_config *other =
            ap_get_core_module_config(APR_ARRAY_IDX(sections, i, ap_conf_vector_t *));

        if (!is_pattern(other) && !strcmp(other->d, dir->d)) {
            return 1;
        }
    }
    return 0;
}

static void check_host(check_t *check, server_rec *s)
{
    const core_server_config *core = ap_get_core_module_config(s->module_config);
    const core_server_config *main_core =
        ap_get_core_module_config(check->main_server->module_config);
    int i;

    for (i = 0; i < core->sec_url->nelts; i++) {
        ap_conf_vector_t *section = APR_ARRAY_IDX(core->sec_url, i, ap_conf_vector_t *);
        const core_dir_config *dir = ap_get_core_module_config(section);
        int inherited = s != check->main_server && contains(main_core->sec_url, section);
        rs_endpoint_t e;

        apr_pool_clear(check->scratch);
        if (!is_pattern(dir) && !inherited) {
            check_key(check, s, core->sec_url, "<Location", dir);
        }
        if (!comes_again(core->sec_url, i)
            && endpoint(check, s, core->sec_url, dir, section, NULL, &e)) {
            note(check, &e, inherited);
        }
        else if (!inherited && !is_pattern(dir) && !comes_again(core->sec_url, i)) {
            check_lost(check, s, section);
        }
        check_conditions(check, s, dir, dir, inherited);
    }
    check_whole_host(check, s);
    check_directories(check, s);
}

void rs_check_endpoints(apr_pool_t *p, server_rec *main_server)
{
    check_t check = {p,
                     NULL,
                     main_server,
                     apr_array_make(p, 8, sizeof(rs_endpoint_t)),
                     apr_array_make(p, 8, sizeof(rs_endpoint_t)),
                     apr_array_make(p, 8, sizeof(const ap_directive_t *))};
    server_rec *s;

    apr_pool_create(&check.scratch, p);
    for (s = main_server; s; s = s->next) {
        check_host(&check, s);
    }
    rs_check_pairs(p, check.streams);
    check_any_key(&check);
    rs_check_unused(p, main_server, check.all);
    rs_check_tls_hosts(p, main_server, check.streams);
    rs_check_handlers(p, main_server);
}
