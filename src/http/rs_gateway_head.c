/* SPDX-License-Identifier: Apache-2.0
 *
 * Heads. All of httpd's filters see the response to a stream that is opened, since what they add
 * (mod_headers, CORS) is the same for any answer; a filter of ours behind them keeps the bytes.
 */
#include "rs_gateway_head.h"

#include "rs_stream_headers.h"

static ap_filter_rec_t *filter;

/* What the engine says itself. */
static const char *const own[] = {
    "cache-control",  "connection",   "content-length", "content-type",
    "x-accel-buffering", "incremental", "transfer-encoding",
};

static apr_status_t keep(ap_filter_t *f, apr_bucket_brigade *in)
{
    apr_bucket *b;

    for (b = APR_BRIGADE_FIRST(in); b != APR_BRIGADE_SENTINEL(in); b = APR_BUCKET_NEXT(b)) {
        const char *data;
        apr_size_t len;

        if (!APR_BUCKET_IS_METADATA(b)
            && apr_bucket_read(b, &data, &len, APR_BLOCK_READ) == APR_SUCCESS) {
            apr_brigade_write(f->ctx, NULL, NULL, data, len); /* copies it */
        }
    }
    apr_brigade_cleanup(in);
    return APR_SUCCESS;
}

static int is_own(const char *line)
{
    apr_size_t i, len = strcspn(line, ":");

    for (i = 0; i < RS_ARRAY_LEN(own); i++) {
        if (len == strlen(own[i]) && !ap_cstr_casecmpn(line, own[i], len)) {
            return 1;
        }
    }
    return 0;
}

/* Without the status line, the empty one at the end, and our own. */
static const char *lines_of(apr_pool_t *p, char *head)
{
    const char *lines = "";
    char *line, *rest;

    apr_strtok(head, "\r\n", &rest);
    while ((line = apr_strtok(NULL, "\r\n", &rest))) {
        if (!is_own(line)) {
            lines = apr_pstrcat(p, lines, line, "\r\n", NULL);
        }
    }
    return lines;
}

const char *rs_gateway_head_lines(request_rec *r)
{
    apr_bucket_brigade *kept = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    ap_filter_t *f = ap_add_output_filter_handle(filter, kept, r, r->connection);
    char *head = NULL;
    apr_size_t len;

    rs_stream_headers(r);
    if (ap_rflush(r) >= 0 && !r->connection->aborted
        && apr_brigade_pflatten(kept, &head, &len, r->pool) == APR_SUCCESS && len) {
        head = apr_pstrmemdup(r->pool, head, len);
    }
    else {
        head = NULL;
    }
    ap_remove_output_filter(f);
    apr_brigade_destroy(kept);
    return head ? lines_of(r->pool, head) : NULL;
}

void rs_gateway_head_again(request_rec *r)
{
    const ap_filter_t *f;

    for (f = r->output_filters; f && ap_cstr_casecmp(f->frec->name, "http_header"); f = f->next) {
    }
    if (!f) {
        ap_add_output_filter("HTTP_HEADER", NULL, r, r->connection);
    }
}

static void take_line(request_rec *r, char *line)
{
    char *value = strchr(line, ':');

    if (!value) {
        return;
    }
    *value++ = '\0';
    value += strspn(value, " ");
    if (!ap_cstr_casecmp(line, "Content-Type")) {
        ap_set_content_type(r, value);
    }
    else if (ap_cstr_casecmp(line, "Connection")) {
        apr_table_set(r->headers_out, line, value);
    }
}

apr_size_t rs_gateway_head_take(request_rec *r, const char *head, apr_size_t len)
{
    char *copy = apr_pstrmemdup(r->pool, head, len), *end = strstr(copy, "\r\n\r\n");
    char *line, *rest;

    if (!end) {
        return 0;
    }
    end[2] = '\0';
    line = apr_strtok(copy, "\r\n", &rest);
    r->status = line && strlen(line) > 12 ? atoi(line + 9) : HTTP_OK;
    /* A status that httpd does not know would be 500. */
    r->status_line = line && strlen(line) > 12 ? line + 9 : NULL;
    while ((line = apr_strtok(NULL, "\r\n", &rest))) {
        take_line(r, line);
    }
    return (apr_size_t)(end - copy) + 4;
}

void rs_gateway_head_hooks(apr_pool_t *p)
{
    /* Behind whatever adds to a response, in front of what carries it. */
    filter = ap_register_output_filter("RAGLINE_HEAD", keep, NULL, AP_FTYPE_CONNECTION - 1);
}
