/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of connections: of the caller's tenant, or, where the location says so, of all. The
 * worker.
 */
#include "../conf/rs_httpd.h"
#include <http_main.h>

#include "../base/rs_buf.h"
#include "../base/rs_name.h"
#include "../conf/rs_args.h"
#include "../obs/rs_connections.h"
#include "rs_admin.h"
#include "rs_admin_do.h"
#include "rs_child.h"
#include "rs_error.h"
#include "rs_request.h"

#define LIMIT 100
#define LIMIT_MAX 1000

const char *const rs_admin_names[] = {"connections", "close", "send", "revoke", NULL};

/* What was asked for. */
typedef struct {
    rs_whom_t whom;
    int limit;
    apr_uint64_t at;
} wanted_t;

static int bad(request_rec *r, const char *code, const char *message)
{
    return rs_http_error(r, HTTP_BAD_REQUEST, code, message);
}

/* One parameter of the query. */
static int take(request_rec *r, wanted_t *w, rs_registry_t *registry, const char *name, char *value)
{
    const char **wanted = !strcmp(name, "tenant")    ? &w->whom.tenant
                          : !strcmp(name, "user")    ? &w->whom.user
                          : !strcmp(name, "profile") ? &w->whom.profile
                                                     : NULL;

    if (ap_unescape_urlencoded(value) != OK) {
        return bad(r, "bad_query", "the query cannot be decoded");
    }
    if (wanted && !rs_name_valid(value, strlen(value))) {
        return bad(r, "bad_name", "tenant, user and profile are 1 to 64 of A-Z a-z 0-9 . _ @ -");
    }
    if (wanted) {
        *wanted = value;
    }
    if (!strcmp(name, "limit") && rs_args_number(&w->limit, r->pool, value, 1, LIMIT_MAX)) {
        return bad(r, "bad_limit", "limit is a number from 1 to 1000");
    }
    if (!strcmp(name, "after") && !(w->at = rs_registry_after(registry, value))) {
        return bad(r, "bad_after",
                   "after is the `next` of an answer of this node: begin again without it");
    }
    return OK;
}

static int take_all(request_rec *r, wanted_t *w, rs_registry_t *registry)
{
    char *arg, *last;
    int status = OK;

    w->limit = LIMIT;
    for (arg = r->args ? apr_strtok(apr_pstrdup(r->pool, r->args), "&", &last) : NULL;
         arg && status == OK; arg = apr_strtok(NULL, "&", &last)) {
        char *value = strchr(arg, '=');

        if (value) {
            *value++ = '\0';
            status = take(r, w, registry, arg, value);
        }
    }
    return status;
}

/* Only of its own tenant, unless the location is for all. */
static int narrow(request_rec *r, wanted_t *w)
{
    const char *scope;
    int status = rs_admin_scope(r, &scope);

    if (status == OK && scope && w->whom.tenant && strcmp(w->whom.tenant, scope)) {
        status = rs_http_error(r, HTTP_FORBIDDEN, "tenant",
                               "this location is for the caller's own tenant only");
    }
    w->whom.tenant = scope ? scope : w->whom.tenant;
    return status;
}

/* --- for people --- */

static int wants_html(request_rec *r)
{
    const char *accept = apr_table_get(r->headers_in, "Accept");

    return accept && ap_strcasestr(accept, "text/html");
}

static const char *nonce(request_rec *r)
{
    unsigned char random[16];
    char *text = apr_palloc(r->pool, 2 * sizeof(random) + 1);

    if (apr_generate_random_bytes(random, sizeof(random)) != APR_SUCCESS) {
        return NULL;
    }
    ap_bin2hex(random, sizeof(random), text);
    return text;
}

/* The same filters, whose values need no escaping, on the next page. */
static const char *more(request_rec *r, const wanted_t *w)
{
    const char *text = apr_psprintf(r->pool, "?limit=%d", w->limit);

    if (w->whom.tenant && rs_request_conf(r)->admin_all) {
        text = apr_pstrcat(r->pool, text, "&amp;tenant=", w->whom.tenant, NULL);
    }
    if (w->whom.user) {
        text = apr_pstrcat(r->pool, text, "&amp;user=", w->whom.user, NULL);
    }
    if (w->whom.profile) {
        text = apr_pstrcat(r->pool, text, "&amp;profile=", w->whom.profile, NULL);
    }
    return apr_pstrcat(r->pool, text, "&amp;after=", NULL);
}

/* Frees what was built. */
static int answer_html(request_rec *r, rs_buf_t *b, const char *script)
{
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(r->headers_out, "Referrer-Policy", "same-origin");
    apr_table_setn(
        r->headers_out, "Content-Security-Policy",
        apr_psprintf(r->pool,
                     "default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-%s'; "
                     "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
                     script));
    ap_set_content_type(r, "text/html; charset=utf-8");
    ap_set_content_length(r, (apr_off_t)b->len);
    if (!r->header_only) {
        ap_rwrite(b->data, (int)b->len, r);
    }
    rs_buf_free(b);
    return OK;
}

static int list(request_rec *r, rs_registry_t *registry)
{
    rs_connections_links_t links = {NULL, NULL, NULL};
    wanted_t w = {{.realm = rs_conf_server(r->server)->url->label}, LIMIT, 0};
    rs_buf_t b = RS_BUF_INIT;
    int status = take_all(r, &w, registry);

    if (status == OK) {
        status = narrow(r, &w);
    }
    if (status != OK) {
        return status;
    }
    apr_table_mergen(r->headers_out, "Vary", "Accept");
    if (wants_html(r) && (links.nonce = nonce(r)) != NULL) {
        links.more = more(r, &w);
        links.close = rs_conf_obeys(ap_server_conf) ? "close" : NULL;
        rs_connections_html(&b, registry, &w.whom, w.at, w.limit, &links);
    }
    else {
        rs_connections_json(&b, registry, &w.whom, w.at, w.limit);
        rs_buf_add(&b, "", 1);
    }
    if (!rs_buf_ok(&b)) {
        rs_buf_free(&b);
        return rs_http_error(r, HTTP_INTERNAL_SERVER_ERROR, "memory", "out of memory");
    }
    if (links.nonce) {
        return answer_html(r, &b, links.nonce);
    }
    status = rs_http_json(r, HTTP_OK, b.data);
    rs_buf_free(&b);
    return status;
}

int rs_admin_handler(request_rec *r)
{
    rs_registry_t *registry = rs_child_registry();
    const char *name = strrchr(r->uri, '/') + 1;
    int lists = !strcmp(name, "connections");

    if (!lists && strcmp(name, "close") && strcmp(name, "send") && strcmp(name, "revoke")) {
        return rs_http_error(
            r, HTTP_NOT_FOUND, "not_found",
            "there is nothing here but what is below: connections, close, send, revoke");
    }
    if (r->method_number != (lists ? M_GET : M_POST)) {
        return rs_http_method_error(r, lists ? "GET" : "POST");
    }
    if (!registry) {
        return rs_http_error(r, HTTP_SERVICE_UNAVAILABLE, "unavailable",
                             "this child keeps no list of connections");
    }
    if (!lists && !rs_conf_obeys(ap_server_conf)) {
        return rs_http_error(r, HTTP_SERVICE_UNAVAILABLE, "unavailable",
                             "RaglineControl is off: nobody would obey");
    }
    return lists ? list(r, registry) : rs_admin_do(r, registry, name);
}
