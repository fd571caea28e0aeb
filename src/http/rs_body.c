/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading bodies. The worker.
 */
#include "rs_body.h"

/* Appends a brigade's data. */
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

apr_status_t rs_body_next(request_rec *r, apr_bucket_brigade *bb, rs_buf_t *out, int *eos)
{
    apr_status_t rv =
        ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ, HUGE_STRING_LEN);

    if (rv == APR_SUCCESS) {
        rv = take_brigade(out, bb, eos);
    }
    apr_brigade_cleanup(bb);
    return rv;
}
