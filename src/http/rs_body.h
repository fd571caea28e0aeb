/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of a request, whole and bounded, and what is wrong with one. The worker.
 */
#ifndef RS_BODY_H
#define RS_BODY_H

#include "../conf/rs_httpd.h"

#include "../base/rs_buf.h"

/* Appends it. OK, or what the handler is to return. */
int rs_body_read(request_rec *r, rs_buf_t *out, apr_off_t limit);

/* Whether it is compressed, and nobody has unpacked it. */
int rs_body_is_packed(request_rec *r);

/* 415 and 413. */
int rs_body_refuse_packed(request_rec *r);
int rs_body_too_large(request_rec *r, apr_off_t limit);

#endif
