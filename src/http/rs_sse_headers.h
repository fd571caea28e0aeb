/* SPDX-License-Identifier: Apache-2.0
 *
 * The headers of a stream, and of what stands for one. The worker.
 */
#ifndef RS_SSE_HEADERS_H
#define RS_SSE_HEADERS_H

#include "../conf/rs_httpd.h"

void rs_sse_headers(request_rec *r);

#endif
