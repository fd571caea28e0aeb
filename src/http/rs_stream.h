/* SPDX-License-Identifier: Apache-2.0
 *
 * Handlers ragline-sse and ragline-websocket: a request for a stream. The worker.
 */
#ifndef RS_STREAM_H
#define RS_STREAM_H

#include "../conf/rs_httpd.h"

int rs_stream_handler(request_rec *r);

/* Whether this host is for the connection on which the request came. */
int rs_stream_at_home(request_rec *r);

#endif
