/* SPDX-License-Identifier: Apache-2.0
 *
 * Who may come to an endpoint, and as whom: what comes of AuthType, Require and the directives
 * about identity together, for somebody who brings nothing. What is open or closed by accident is
 * an error; what may be meant is a warning. Main thread, check_config.
 */
#include "rs_httpd.h"

#include "rs_conf_check.h"

typedef struct {
    apr_pool_t *pool;
    const rs_endpoint_t *e;
    rs_guard_t guard;
} access_t;

static void complain(const access_t *a, const char *sentence)
{
    rs_check_complain(a->e->server, NULL, apr_pstrcat(a->pool, a->e->where, ": ", sentence, NULL));
}

static void warn(const access_t *a, const char *sentence)
{
    rs_check_warn(a->e->server, NULL, apr_pstrcat(a->pool, a->e->where, ": ", sentence, NULL));
}

/* The text of RaglineTenant. */
static const char *tenant_text(apr_pool_t *p, const rs_dir_conf_t *conf)
{
    const ap_directive_t *directive =
        conf->tenant ? rs_tree_at(ap_conftree, "RaglineTenant", conf->tenant->filename,
                                  conf->tenant->line_number)
                     : NULL;

    return directive ? rs_tree_word(p, directive) : NULL;
}

const char *rs_check_fixed_tenant(apr_pool_t *p, const rs_dir_conf_t *conf)
{
    const char *text = tenant_text(p, conf);

    return text && !ap_strstr_c(text, "%{") && !strchr(text, '$') ? text : NULL;
}

static int is_about_connections(const rs_endpoint_t *e)
{
    return e->kind == RS_KIND_ADMIN || e->kind == RS_KIND_WS_STATS;
}

static int tenant_of_token(const access_t *a)
{
    const char *text = tenant_text(a->pool, a->e->maybe);

    if ((a->e->kind == RS_KIND_PUBLISH && a->e->maybe->publish_any_tenant)
        || (is_about_connections(a->e) && a->e->maybe->admin_all)) {
        return 0;
    }
    return !a->e->maybe->tenant || (text && ap_strcasestr(text, "ragline_claim"));
}

static int has_tenants(const rs_endpoint_t *e)
{
    return rs_conf_kind_streams(e->kind) || e->kind == RS_KIND_PUBLISH || is_about_connections(e);
}

/* Whether a key was given for this endpoint, and not just for the host. */
static int has_own_key(const rs_endpoint_t *e)
{
    const rs_dir_conf_t *host =
        ap_get_module_config(e->server->lookup_defaults, &ragline_stream_module);

    return e->conf->jwt_keys && (!host || e->conf->jwt_keys != host->jwt_keys);
}

/* A Require that only a user can meet, where nobody is asked for one: another one lets everybody
 * in before. */
static int check_unasked(const access_t *a)
{
    if (!a->guard.asks || a->guard.stranger & RS_NO_USER || !(a->guard.stranger & RS_GRANTED)) {
        return 0;
    }
    complain(a,
             apr_psprintf(a->pool,
                          "everybody is let in without being asked who it is, so Require %s (line "
                          "%d) has no effect: write Require valid-user in place of Require all "
                          "granted",
                          a->guard.asks->args, a->guard.asks->line_num));
    return 1;
}

/* A Require that only a user can meet, and a section that comes later and does without. */
static int check_undone(const access_t *a)
{
    const ap_directive_t *by = a->guard.require;

    if (!a->guard.undone) {
        return 0;
    }
    (has_tenants(a->e) && tenant_of_token(a) ? complain : warn)(
        a, apr_psprintf(a->pool,
                        "Require %s (line %d) has no effect: %s %s (line %d) comes later, replaces "
                        "it, and asks nobody who it is: write that section before this one, or "
                        "leave its Require out",
                        a->guard.undone->args, a->guard.undone->line_num, by->directive, by->args,
                        by->line_num));
    return 1;
}

/* Without an identity every request would be answered 403. */
static int check_identity(const access_t *a)
{
    if (!has_tenants(a->e) || !tenant_of_token(a)) {
        return 0;
    }
    if (!a->guard.ours) {
        complain(a,
                 apr_pstrcat(a->pool, "nothing says whose ",
                             is_about_connections(a->e) ? "connections" : "events", " these are: ",
                             a->e->maybe->tenant
                                 ? "RaglineTenant reads a token's claim, and nobody is asked for a "
                                   "token; write another expression or a literal"
                                 : "add RaglineTenant with an expression or a literal",
                             ", or guard it with AuthType RaglineJWT, RaglineJWTKey and Require "
                             "valid-user",
                             NULL));
        return 1;
    }
    if (!(a->guard.stranger & RS_NO_USER)) {
        rs_check_complain(
            a->e->server, a->guard.auth_type,
            apr_psprintf(a->pool,
                         "%s: AuthType RaglineJWT asks nobody for a token, since no Require needs "
                         "a user, and the tenant comes from the token: add Require valid-user",
                         a->e->where));
        return 1;
    }
    return 0;
}

/* Whether nothing is asked of anybody: neither a token, nor an address. What is not certain is left
 * to those who wrote it; the type of those who are asked does not matter. */
static int is_open(const rs_guard_t *guard)
{
    if (guard->unsure & (RS_UNSURE_REQUIRE | RS_UNSURE_FOR_GOOD)
        || (guard->unsure & RS_UNSURE_OLD && guard->old_narrows)) {
        return 0;
    }
    return !guard->require || guard->stranger == RS_GRANTED
           || (guard->unsure & RS_UNSURE_OLD && guard->old_is_enough);
}

/* Who is connected, and who is not any more, is for nobody of whom nothing is asked, whatever the
 * method. */
static int check_admin(const access_t *a, server_rec *main_server)
{
    rs_place_t post = a->e->place;
    rs_guard_t guard;

    if (!is_about_connections(a->e)) {
        return 0;
    }
    post.method = "POST";
    guard = rs_tree_guard(a->pool, main_server, a->e->server, &post);
    if (!is_open(&a->guard) && (a->e->kind != RS_KIND_ADMIN || !is_open(&guard))) {
        return 0;
    }
    complain(a, is_open(&a->guard)
                    ? "everybody could see who is connected: guard it with AuthType RaglineJWT, "
                      "RaglineJWTKey and Require ragline-claim (valid-user is everybody who has "
                      "a token), or with another Require than all granted"
                    : "everybody could end connections and send to them, since no Require is for "
                      "POST: write it outside of <Limit>");
    return 1;
}

/* Where the only method that does something is not the one that is guarded. */
static int check_method(const access_t *a)
{
    if (strcmp(a->e->place.method, "POST") || !a->guard.require || a->guard.applies) {
        return 0;
    }
    complain(a, a->e->kind == RS_KIND_PUBLISH
                    ? "everybody may publish, since no Require is for POST: write it outside of "
                      "<Limit>"
                    : "everybody may send to every connection, since no Require is for POST: "
                      "write it outside of <Limit>");
    return 1;
}

/* No Require at all: httpd lets everybody in, whatever AuthType says. */
static void check_no_require(const access_t *a)
{
    const char *what = a->e->kind == RS_KIND_STATS     ? "see the statistics"
                       : a->e->kind == RS_KIND_PUBLISH ? "publish"
                                                       : "read these events";

    /* Of a gateway's connections its back end decides. */
    if (a->e->kind == RS_KIND_HEALTH || a->e->kind == RS_KIND_GATEWAY_HEALTH
        || a->e->kind == RS_KIND_GATEWAY) {
        return;
    }
    if (a->e->kind == RS_KIND_GATEWAY_SEND) {
        complain(a, "no Require says who may send to every connection, so everybody may: add one, "
                    "such as Require ip with the addresses of the application");
        return;
    }
    if (a->guard.auth_type || has_own_key(a->e)) {
        complain(a, apr_psprintf(a->pool,
                                 "%s asks nobody for %s, since there is no Require, so everybody "
                                 "may %s: add %sRequire valid-user",
                                 a->guard.auth_type ? "AuthType" : "RaglineJWTKey",
                                 a->guard.auth_type && !a->guard.ours ? "a user" : "a token", what,
                                 a->guard.auth_type ? "" : "AuthType RaglineJWT and "));
    }
    /* Where the tenant is not the same for all, who has none is refused. */
    else if (!rs_conf_kind_streams(a->e->kind) || rs_check_fixed_tenant(a->pool, a->e->conf)) {
        warn(a, apr_psprintf(a->pool,
                             "no Require says who may %s, so everybody may: add one (Require all "
                             "granted if that is meant)",
                             what));
    }
}

static void check_require(const access_t *a)
{
    const ap_directive_t *type = a->guard.auth_type;

    if (a->guard.asks && a->guard.stranger & RS_NO_USER && !type) {
        /* Some modules find a user without it. A key is for one of ours only. */
        (a->e->conf->jwt_keys ? complain : warn)(
            a,
            apr_psprintf(a->pool,
                         "Require %s needs a user, and without AuthType nobody finds out who it "
                         "is, so every request is answered 500: add AuthType RaglineJWT, or that "
                         "of another module",
                         a->guard.asks->args));
    }
    else if (type && a->guard.ours && type->parent == a->guard.require
             && !(a->guard.stranger & RS_NO_USER)) {
        warn(a, "AuthType RaglineJWT asks nobody for a token, since no Require needs a user: add "
                "Require valid-user, or leave AuthType out");
    }
}

void rs_check_access(apr_pool_t *p, server_rec *main_server, const rs_endpoint_t *e, int inherited)
{
    access_t a = {p, e, rs_tree_guard(p, main_server, e->server, &e->place)};

    if (inherited) {
        rs_guard_t base = rs_tree_guard(p, main_server, main_server, &e->place);

        if (a.guard.require == base.require && a.guard.auth_type == base.auth_type) {
            return; /* it was said of the main server */
        }
    }
    if (check_admin(&a, main_server) || a.guard.unsure || check_unasked(&a) || check_undone(&a)
        || check_identity(&a) || check_method(&a)) {
        return;
    }
    if (a.guard.require) {
        check_require(&a);
    }
    else {
        check_no_require(&a);
    }
}
