/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies of requests, brigade by brigade. The worker.
 */
#ifndef RS_BODY_H
#define RS_BODY_H

#include "../conf/rs_httpd.h"

#include "../base/rs_buf.h"

/* Reads what comes next of it and appends that. Sets *eos at its end. */
apr_status_t rs_body_next(request_rec *r, apr_bucket_brigade *bb, rs_buf_t *out, int *eos);

#endif
