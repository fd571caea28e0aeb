/* SPDX-License-Identifier: Apache-2.0
 *
 * How a stream's client is spoken to, and the headers of a stream and of what stands for one. The
 * worker.
 */
#ifndef RS_STREAM_HEADERS_H
#define RS_STREAM_HEADERS_H

#include "../conf/rs_httpd.h"
#include "../wire/rs_wire.h"

/* What the request wants, of what its endpoint allows. */
const rs_wire_t *rs_stream_wire(request_rec *r);

void rs_stream_headers(request_rec *r);

#endif
