/* SPDX-License-Identifier: Apache-2.0
 *
 * Handler ragline-sse. The worker.
 */
#ifndef RS_SSE_HANDLER_H
#define RS_SSE_HANDLER_H

#include "../conf/rs_httpd.h"

int rs_sse_handler(request_rec *r);

#endif
