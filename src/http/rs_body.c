/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading bodies. The worker.
 */
#include "../conf/rs_httpd.h"

#include "rs_body.h"
#include "rs_error.h"
#include "rs_request.h"

int rs_body_too_large(request_rec *r, apr_off_t limit)
{
    return rs_http_error(
        r, HTTP_REQUEST_ENTITY_TOO_LARGE, "body_too_large",
        apr_psprintf(r->pool, "the body is larger than %" APR_OFF_T_FMT " bytes", limit));
}

/* What mod_deflate unpacks it takes out of the header, when the body is read. */
int rs_body_is_packed(request_rec *r)
{
    const char *coding = apr_table_get(r->headers_in, "Content-Encoding");

    return coding && *coding && ap_cstr_casecmp(coding, "identity");
}

int rs_body_refuse_packed(request_rec *r)
{
    return rs_http_error(r, HTTP_UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type",
                         "the body is compressed: send it without Content-Encoding, or let httpd "
                         "unpack gzip by SetInputFilter DEFLATE at this location");
}

static int read_failed(request_rec *r, apr_status_t rv)
{
    int status = ap_map_http_request_error(rv, HTTP_BAD_REQUEST);

    ap_log_rerror(APLOG_MARK, APLOG_INFO, rv > 0 ? rv : 0, r,
                  "RS0471: the body of a request cannot be read");
    switch (status) {
    case HTTP_REQUEST_ENTITY_TOO_LARGE:
        return rs_http_error(r, status, "body_too_large",
                             "the body is larger than LimitRequestBody allows");
    case HTTP_REQUEST_TIME_OUT:
        return rs_http_error(r, status, "timeout", "the body did not arrive in time");
    case HTTP_BAD_REQUEST:
        return rs_http_error(r, status, "bad_request",
                             "the body did not arrive whole, or cannot be unpacked");
    default:
        return status; /* a filter has answered already, or httpd knows better */
    }
}

/* Appends a brigade's data. Sets *eos at the end of the body. */
static apr_status_t take_brigade(rs_buf_t *out, apr_bucket_brigade *bb, int *eos)
{
    apr_bucket *b;

    for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b)) {
        const char *data;
        apr_size_t len;
        apr_status_t rv;

        if (APR_BUCKET_IS_EOS(b)) {
            *eos = 1;
            break;
        }
        if (APR_BUCKET_IS_METADATA(b)) {
            continue;
        }
        if ((rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ)) != APR_SUCCESS) {
            return rv;
        }
        rs_buf_add(out, data, len);
    }
    return rs_buf_ok(out) ? APR_SUCCESS : APR_ENOMEM;
}

int rs_body_read(request_rec *r, rs_buf_t *out, apr_off_t limit)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    apr_status_t rv = APR_SUCCESS;
    int eos = 0;

    /* httpd's own filter answers some bad bodies before it returns: let that be JSON as well. */
    rs_http_error(r, HTTP_BAD_REQUEST, "bad_request", "the body is broken or too large");
    while (!eos) {
        rv = ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ,
                            HUGE_STRING_LEN);
        if (rv == APR_SUCCESS) {
            rv = take_brigade(out, bb, &eos);
        }
        apr_brigade_cleanup(bb);
        if (rv != APR_SUCCESS) {
            return read_failed(r, rv);
        }
        if (rs_body_is_packed(r)) {
            return rs_body_refuse_packed(r);
        }
        if ((apr_off_t)out->len > limit) {
            return rs_body_too_large(r, limit);
        }
    }
    rs_request(r)->error_code = NULL;
    return OK;
}
