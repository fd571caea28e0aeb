/* SPDX-License-Identifier: Apache-2.0
 *
 * What a URL really gets, when the sections around it are merged as httpd merges them: whether an
 * endpoint has all it needs, who guards it, and whether two endpoints get into each other's way.
 * Sections that are patterns cannot be merged without a URL: of those only what is certain is said.
 * Main thread, check_config.
 */
#include "rs_httpd.h"
#include <apr_fnmatch.h>

#include "../base/rs_name.h"
#include "rs_conf_check.h"
#include "rs_conf_tree.h"

/* A section that is an endpoint, in one host. */
typedef struct {
    server_rec *server;
    const char *where; /* for messages */
    const char *url;   /* NULL: the section is a pattern */
    const rs_dir_conf_t *conf;
    const apr_array_header_t *keys; /* const char *: in Redis */
    rs_kind_t kind;
} endpoint_t;

/* What goes through all of the checks. */
typedef struct {
    apr_pool_t *pool;
    apr_pool_t *scratch; /* of one section of one host: there may be very many */
    server_rec *main_server;
    apr_array_header_t *streams;    /* endpoint_t, those of kind SSE */
    apr_array_header_t *complained; /* const ap_directive_t *: an AuthType without key */
    apr_array_header_t *pairs;      /* const char *: of two endpoints, see check_pair() */
} check_t;

static int is_pattern(const core_dir_config *section)
{
    return section->r || section->d_is_fnmatch;
}

static int reaches(const core_dir_config *section, const char *path)
{
    apr_size_t len = strlen(section->d);

    if (section->r) {
        return ap_regexec(section->r, path, 0, NULL, 0) == 0;
    }
    if (section->d_is_fnmatch) {
        return apr_fnmatch(section->d, path, APR_FNM_PATHNAME) == 0;
    }
    return !strncmp(section->d, path, len)
           && (len == 0 || section->d[len - 1] == '/' || path[len] == '/' || path[len] == '\0');
}

/* The merged configuration of a section's own path, as httpd's walk makes it. path NULL: of any
 * path, for questions like "is there one at all?". */
static ap_conf_vector_t *walk(apr_pool_t *p, server_rec *s, const apr_array_header_t *sections,
                              const char *path)
{
    ap_conf_vector_t *merged = s->lookup_defaults;
    int i;

    for (i = 0; i < sections->nelts; i++) {
        ap_conf_vector_t *section = APR_ARRAY_IDX(sections, i, ap_conf_vector_t *);

        if (!path || reaches(ap_get_core_module_config(section), path)) {
            merged = ap_merge_per_dir_configs(p, merged, section);
        }
    }
    return merged;
}

/* Without a request the handler's expression cannot be evaluated, but its text can be found. */
static rs_kind_t kind_of(apr_pool_t *p, const ap_conf_vector_t *section)
{
    const core_dir_config *core = ap_get_core_module_config(section);
    const ap_directive_t *directive =
        core->expr_handler ? rs_tree_at(ap_conftree, "SetHandler", core->expr_handler->filename,
                                        core->expr_handler->line_number)
                           : NULL;

    return directive ? rs_conf_kind_named(rs_tree_word(p, directive)) : RS_KIND_NONE;
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

/* --- who may come in, and as whom --- */

/* Whether an expression's text uses the token. */
static int reads_token(apr_pool_t *p, const ap_expr_info_t *expr)
{
    const ap_directive_t *directive =
        rs_tree_at(ap_conftree, "RaglineTenant", expr->filename, expr->line_number);

    return directive && ap_strcasestr(directive->args, "ragline_claim") != NULL;
}

/* Without an identity every request would be answered 403. */
static void check_identity(check_t *check, const endpoint_t *e, const rs_guard_t *guard)
{
    const ap_expr_info_t *tenant = e->conf->tenant;

    if ((tenant && !reads_token(check->pool, tenant))
        || (e->kind == RS_KIND_PUBLISH && e->conf->publish_any_tenant)) {
        return;
    }
    if (!guard->ours && !guard->unsure) {
        rs_check_complain(
            e->server, NULL,
            apr_psprintf(check->pool,
                         "%s: nothing says whose events these are: %s, or guard it with AuthType "
                         "RaglineJWT, RaglineJWTKey and Require valid-user",
                         e->where,
                         tenant ? "RaglineTenant reads a token's claim, and nobody is asked for "
                                  "a token; write another expression or a literal"
                                : "add RaglineTenant with an expression or a literal"));
    }
    else if (guard->ours && !guard->unsure && !guard->asks_user) {
        rs_check_complain(
            e->server, guard->auth_type,
            apr_psprintf(check->pool,
                         "%s: AuthType RaglineJWT asks nobody for a token, since no Require needs "
                         "a user, and the tenant comes from the token: add Require valid-user",
                         e->where));
    }
}

static void check_open(check_t *check, const endpoint_t *e, const rs_guard_t *guard)
{
    if (guard->require || guard->unsure
        || (e->kind != RS_KIND_STATS && e->kind != RS_KIND_PUBLISH)) {
        return;
    }
    rs_check_warn(e->server, NULL,
                  apr_psprintf(check->pool,
                               "%s: no Require says who may %s, so everybody may: add "
                               "one (Require all granted if that is meant)",
                               e->where,
                               e->kind == RS_KIND_STATS ? "see the statistics" : "publish"));
}

static void check_cookies(check_t *check, const endpoint_t *e)
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

/* --- endpoints by themselves --- */

static void check_stream(check_t *check, const endpoint_t *e)
{
    if (!e->conf->subscribe) {
        rs_check_complain(e->server, NULL,
                          apr_psprintf(check->pool,
                                       "%s: SetHandler ragline-sse needs RaglineSubscribe with the "
                                       "streams of this endpoint",
                                       e->where));
    }
    if (!e->conf->profile || !rs_name_valid(e->conf->profile, strlen(e->conf->profile))) {
        rs_check_complain(
            e->server, NULL,
            apr_psprintf(check->pool,
                         "%s: this section's path names no endpoint: add RaglineProfile NAME",
                         e->where));
    }
    rs_check_group(check->pool, e->server, e->where, e->conf);
}

static void check_endpoint(check_t *check, const endpoint_t *e)
{
    if (e->kind == RS_KIND_SSE) {
        check_stream(check, e);
    }
    else if (e->kind == RS_KIND_PUBLISH && !e->conf->publish) {
        rs_check_complain(e->server, NULL,
                          apr_psprintf(check->pool,
                                       "%s: SetHandler ragline-publish needs RaglinePublish with "
                                       "the streams that may be written",
                                       e->where));
    }
    if (e->kind == RS_KIND_SSE || e->kind == RS_KIND_PUBLISH) {
        check_cookies(check, e);
    }
    if (e->url) {
        rs_guard_t guard =
            rs_tree_guard(check->scratch, check->main_server, e->server, "<Location", e->url);

        check_open(check, e, &guard);
        if (e->kind == RS_KIND_SSE || e->kind == RS_KIND_PUBLISH) {
            check_identity(check, e, &guard);
        }
    }
}

static apr_array_header_t *keys_of(apr_pool_t *p, const endpoint_t *e)
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

/* Whether the section is an endpoint of the host; if so, *e is what it is. */
static int endpoint(check_t *check, server_rec *s, const apr_array_header_t *sections,
                    ap_conf_vector_t *section, endpoint_t *e)
{
    const core_dir_config *dir = ap_get_core_module_config(section);
    ap_conf_vector_t *merged;
    rs_dir_conf_t *conf;

    memset(e, 0, sizeof(*e));
    e->server = s;
    e->url = is_pattern(dir) ? NULL : dir->d;
    e->where = apr_psprintf(check->pool, "<Location%s %s>", dir->r ? "Match" : "", dir->d);
    if (!e->url && kind_of(check->scratch, section) == RS_KIND_NONE) {
        return 0;
    }
    merged = walk(check->scratch, s, sections, e->url);
    e->kind = kind_of(check->scratch, e->url ? merged : section);
    conf = rs_conf_dir_defaults(check->pool, ap_get_module_config(merged, &ragline_stream_module),
                                e->url);
    if (!e->url) {
        /* The merge was with sections of any path, and a name must not come from those. */
        const rs_dir_conf_t *own = ap_get_module_config(section, &ragline_stream_module);

        conf->profile = own ? own->profile : NULL;
    }
    e->conf = conf;
    e->keys = keys_of(check->pool, e);
    return e->kind != RS_KIND_NONE;
}

/* --- endpoints against each other --- */

static int in_list(const apr_array_header_t *list, const char *text)
{
    int i;

    for (i = 0; list && i < list->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(list, i, const char *), text)) {
            return 1;
        }
    }
    return 0;
}

static int same_set(const apr_array_header_t *a, const apr_array_header_t *b)
{
    int i;

    for (i = 0; a && i < a->nelts; i++) {
        if (!in_list(b, APR_ARRAY_IDX(a, i, const char *))) {
            return 0;
        }
    }
    for (i = 0; b && i < b->nelts; i++) {
        if (!in_list(a, APR_ARRAY_IDX(b, i, const char *))) {
            return 0;
        }
    }
    return !a == !b;
}

/* A key that both read, or NULL. */
static const char *shared_key(const endpoint_t *a, const endpoint_t *b)
{
    int i;

    for (i = 0; i < a->keys->nelts; i++) {
        if (in_list(b->keys, APR_ARRAY_IDX(a->keys, i, const char *))) {
            return APR_ARRAY_IDX(a->keys, i, const char *);
        }
    }
    return NULL;
}

/* Where a tenant is on a key is kept by the endpoint's name, so what two of one name send of a key
 * must be the same; and within a host one name has one meaning altogether. */
static int same_meaning(const endpoint_t *a, const endpoint_t *b)
{
    return same_set(a->conf->events, b->conf->events) && a->conf->user_only == b->conf->user_only
           && (a->server != b->server || same_set(a->keys, b->keys));
}

static void check_pair(check_t *check, const endpoint_t *a, const endpoint_t *b)
{
    const rs_server_conf_t *a_server = rs_conf_server(a->server);
    const rs_server_conf_t *b_server = rs_conf_server(b->server);
    const char *key, *pair, *groups;

    if (!a->conf->profile || !b->conf->profile || !a_server->url || !b_server->url
        || strcmp(a_server->url->label, b_server->url->label)) {
        return;
    }
    groups = rs_check_group_pair(check->pool, a->conf, b->conf);
    if (!groups && (strcmp(a->conf->profile, b->conf->profile) || same_meaning(a, b))) {
        return;
    }
    key = shared_key(a, b);
    /* Hosts inherit the main server's sections: each pair once, whatever the hosts. */
    pair = strcmp(a->where, b->where) < 0 ? apr_pstrcat(check->pool, a->where, b->where, NULL)
                                          : apr_pstrcat(check->pool, b->where, a->where, NULL);
    if (key && !in_list(check->pairs, pair)) {
        APR_ARRAY_PUSH(check->pairs, const char *) = pair;
        rs_check_complain(
            b->server, NULL,
            groups ? apr_psprintf(
                check->pool,
                "%s and %s %s and read the key %s: give one of them another RaglineGroup", a->where,
                b->where, groups, key)
                   : apr_psprintf(
                       check->pool,
                       "%s and %s are both named %s and read the key %s, but with different "
                       "streams or events: give one of them another name with RaglineProfile",
                       a->where, b->where, a->conf->profile, key));
    }
}

/* --- AuthType RaglineJWT, in endpoints and elsewhere --- */

static void check_key(check_t *check, server_rec *s, const apr_array_header_t *sections,
                      const char *kind, const char *path)
{
    rs_guard_t guard = rs_tree_guard(check->scratch, check->main_server, s, kind, path);
    const rs_dir_conf_t *conf;
    int shown = (int)strlen(path);

    /* httpd adds a slash to a directory. */
    if (shown > 1 && path[shown - 1] == '/') {
        shown--;
    }
    if (!guard.ours || !(guard.asks_user || guard.unsure)
        || contains(check->complained, guard.auth_type)) {
        return;
    }
    conf = ap_get_module_config(walk(check->scratch, s, sections, guard.unsure ? NULL : path),
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
            check_key(check, s, core->sec_dir, "<Directory", dir->d);
        }
    }
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
        /* Hosts inherit the main server's sections: one sentence is enough. */
        int inherited = s != check->main_server && contains(main_core->sec_url, section);
        endpoint_t e;

        apr_pool_clear(check->scratch);
        if (!is_pattern(dir) && !inherited) {
            check_key(check, s, core->sec_url, "<Location", dir->d);
        }
        if (!endpoint(check, s, core->sec_url, section, &e)) {
            continue;
        }
        if (!inherited) {
            check_endpoint(check, &e);
        }
        if (e.kind == RS_KIND_SSE && e.url) {
            APR_ARRAY_PUSH(check->streams, endpoint_t) = e;
            rs_check_keep_group(s, e.conf);
        }
    }
    check_directories(check, s);
}

/* SetHandler ragline-sse outside of a <Location>'s own list: in <Directory>, <Files>, <If>, or for
 * the whole host. There the path names nothing. */
static void check_handlers(check_t *check, const ap_directive_t *tree, int named)
{
    const ap_directive_t *at;

    for (at = tree; at; at = at->next) {
        named |= !ap_cstr_casecmp(at->directive, "RaglineProfile");
    }
    for (at = tree; at; at = at->next) {
        int location = !ap_cstr_casecmpn(at->directive, "<Location", 9);

        if (!named && !ap_cstr_casecmp(at->directive, "SetHandler")
            && rs_conf_kind_named(rs_tree_word(check->pool, at)) == RS_KIND_SSE
            && !(at->parent && !ap_cstr_casecmpn(at->parent->directive, "<Location", 9))) {
            rs_check_complain(check->main_server, at,
                              "SetHandler ragline-sse outside of a <Location>: nothing names this "
                              "endpoint: add RaglineProfile NAME");
        }
        /* What is within a <Location> has its name, or check_stream() has complained. */
        check_handlers(check, at->first_child, named || location);
    }
}

void rs_check_endpoints(apr_pool_t *p, server_rec *main_server)
{
    check_t check = {p,
                     NULL,
                     main_server,
                     apr_array_make(p, 8, sizeof(endpoint_t)),
                     apr_array_make(p, 8, sizeof(const ap_directive_t *)),
                     apr_array_make(p, 8, sizeof(const char *))};
    server_rec *s;
    int i, k;

    apr_pool_create(&check.scratch, p);
    for (s = main_server; s; s = s->next) {
        check_host(&check, s);
    }
    for (i = 0; i < check.streams->nelts; i++) {
        for (k = i + 1; k < check.streams->nelts; k++) {
            check_pair(&check, &APR_ARRAY_IDX(check.streams, i, endpoint_t),
                       &APR_ARRAY_IDX(check.streams, k, endpoint_t));
        }
    }
    check_any_key(&check);
    check_handlers(&check, ap_conftree, 0);
}
