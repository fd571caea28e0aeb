/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON errors. httpd writes an HTML page for an error status, wherever it comes from (a handler,
 * Require, our authentication); a filter that is there only for error responses of ours puts JSON
 * in its place. So the status, WWW-Authenticate and everything else stay httpd's. The worker.
 */
#include "../conf/rs_httpd.h"
#include <mod_core.h>

#include "../base/rs_buf.h"
#include "rs_error.h"
#include "rs_request.h"

static ap_filter_rec_t *filter;

int rs_http_error(request_rec *r, int status, const char *code, const char *message)
{
    rs_request_t *req = rs_request(r);

    req->error_code = code;
    req->error_message = message;
    return status;
}

int rs_http_method_error(request_rec *r, const char *method)
{
    ap_allow_methods(r, REPLACE_ALLOW, method, NULL);
    return rs_http_error(r, HTTP_METHOD_NOT_ALLOWED, "method_not_allowed",
                         apr_pstrcat(r->pool, "the method here is ", method, NULL));
}

int rs_http_json(request_rec *r, int status, const char *body)
{
    r->status = status;
    ap_set_content_type(r, "application/json");
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    ap_set_content_length(r, (apr_off_t)strlen(body));
    if (!r->header_only) {
        ap_rputs(body, r);
    }
    return OK;
}

static const char *error_body(request_rec *r, const rs_request_t *req)
{
    rs_buf_t b = RS_BUF_INIT;
    const char *body = "{}\n";

    rs_buf_puts(&b, "{\"error\":");
    rs_buf_json(&b, req->error_code, strlen(req->error_code));
    rs_buf_puts(&b, ",\"message\":");
    rs_buf_json(&b, req->error_message, strlen(req->error_message));
    rs_buf_puts(&b, "}\n");
    if (rs_buf_ok(&b)) {
        body = apr_pstrmemdup(r->pool, b.data, b.len);
    }
    rs_buf_free(&b);
    return body;
}

/* Replaces the body at its first brigade and swallows the rest. */
static apr_status_t json_filter(ap_filter_t *f, apr_bucket_brigade *in)
{
    request_rec *r = f->r;
    apr_bucket_brigade *out = apr_brigade_create(r->pool, f->c->bucket_alloc);
    apr_bucket *b;
    int eos = 0;

    for (b = APR_BRIGADE_FIRST(in); b != APR_BRIGADE_SENTINEL(in); b = APR_BUCKET_NEXT(b)) {
        eos |= APR_BUCKET_IS_EOS(b);
    }
    if (!f->ctx) {
        const char *body = error_body(r, rs_request(r));

        f->ctx = f;
        ap_set_content_type(r, "application/json");
        apr_table_setn(r->headers_out, "Cache-Control", "no-store");
        ap_set_content_length(r, (apr_off_t)strlen(body));
        APR_BRIGADE_INSERT_TAIL(
            out, apr_bucket_pool_create(body, strlen(body), r->pool, f->c->bucket_alloc));
    }
    if (eos) {
        APR_BRIGADE_INSERT_TAIL(out, apr_bucket_eos_create(f->c->bucket_alloc));
        ap_remove_output_filter(f);
    }
    apr_brigade_cleanup(in);
    return APR_BRIGADE_EMPTY(out) ? APR_SUCCESS : ap_pass_brigade(f->next, out);
}

/* What refuses after this (mod_security, mod_rewrite) does so whatever the token says. */
static int fixups(request_rec *r)
{
    rs_request(r)->let_in = 1;
    return DECLINED;
}

/* `Require` refused somebody whose token is good. Without a token, or once it is satisfied, it is
 * somebody else who refuses. */
static void note_refusal(request_rec *r, rs_request_t *req)
{
    if (req->error_code || rs_request_kind(r) == RS_KIND_NONE || !req->jwt || req->let_in) {
        return;
    }
    if (r->status == HTTP_FORBIDDEN || r->status == HTTP_UNAUTHORIZED) {
        req->error_code = r->status == HTTP_FORBIDDEN ? "forbidden" : "unauthorized";
        req->error_message = "this token does not allow it";
    }
}

static void insert_error_filter(request_rec *r)
{
    rs_request_t *req = rs_request(r);

    note_refusal(r, req);
    if (req->error_code && r->status >= 400
        && !ap_response_code_string(r, ap_index_of_response(r->status))) {
        ap_add_output_filter_handle(filter, NULL, r, r->connection);
    }
}

void rs_error_hooks(apr_pool_t *p)
{
    filter = ap_register_output_filter("RAGLINE_ERROR", json_filter, NULL, AP_FTYPE_CONTENT_SET);
    ap_hook_fixups(fixups, NULL, NULL, APR_HOOK_REALLY_FIRST - 1);
    ap_hook_insert_error_filter(insert_error_filter, NULL, NULL, APR_HOOK_LAST);
}
