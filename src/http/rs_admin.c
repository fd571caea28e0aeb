/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of connections: of the caller's tenant, or, where the location says so, of all. The
 * worker.
 */
#include "../conf/rs_httpd.h"
#include <http_main.h>

#include "../base/rs_buf.h"
#include "../obs/rs_connections.h"
#include "rs_admin.h"
#include "rs_admin_do.h"
#include "rs_admin_presence.h"
#include "rs_admin_query.h"
#include "rs_child.h"
#include "rs_error.h"
#include "rs_request.h"
#include "rs_revocation_check.h"

const char *const rs_admin_names[] = {"connections", "presence", "close", "send", "revoke", NULL};

/* What was asked for. */
typedef struct {
    rs_whom_t whom;
    int limit;
    apr_uint64_t at;
} wanted_t;

static int read_wanted(request_rec *r, wanted_t *w, rs_registry_t *registry)
{
    rs_admin_query_t query;
    int status = rs_admin_query(r, &query, 0);

    w->whom.tenant = query.tenant;
    w->whom.user = query.user;
    w->whom.profile = query.profile;
    w->limit = query.limit;
    if (status == OK && query.after && !(w->at = rs_registry_after(registry, query.after))) {
        return rs_http_error(r, HTTP_BAD_REQUEST, "bad_after",
                             "after is the `next` of an answer of this node: begin again without "
                             "it");
    }
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
    wanted_t w = {{.realm = rs_conf_server(r->server)->url->label}, 0, 0};
    rs_buf_t b = RS_BUF_INIT;
    int status = read_wanted(r, &w, registry);

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
    int presence = !strcmp(name, "presence"), lists = presence || !strcmp(name, "connections");
    int status, i;

    for (i = 0; rs_admin_names[i] && strcmp(name, rs_admin_names[i]) != 0; i++) {
    }
    if (!rs_admin_names[i]) {
        return rs_http_error(r, HTTP_NOT_FOUND, "not_found",
                             "there is nothing here but what is below: connections, presence, "
                             "close, send, revoke");
    }
    if (r->method_number != (lists ? M_GET : M_POST)) {
        return rs_http_method_error(r, lists ? "GET" : "POST");
    }
    /* Else who has taken a token could undo its revocation. */
    if ((status = rs_revocation_check_caller(r)) != OK) {
        return status;
    }
    if (presence) {
        return rs_admin_presence(r);
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
