/* SPDX-License-Identifier: Apache-2.0
 *
 * Long polling: one answer with what was missed, or with the first events that come, over a
 * connection that httpd keeps. The worker, which waits as long as the request does.
 */
#ifndef RS_LONG_POLL_H
#define RS_LONG_POLL_H

#include "../conf/rs_httpd.h"

#include "../log/rs_client.h"

/* How long the request wants to wait (?wait=T, 0 to 60s, else 25s); 0: it says something else. */
int rs_long_poll_wait(request_rec *r, apr_interval_time_t *wait);

/* The id that the request brings as an ETag (If-None-Match), or NULL. */
const char *rs_long_poll_cursor(request_rec *r);

/* A place in the engine was reserved. Returns what the handler returns. */
int rs_long_poll(request_rec *r, rs_client_params_t *params);

#endif
