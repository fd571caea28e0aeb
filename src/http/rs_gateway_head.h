/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose response's status is known only when the worker has gone: what httpd and its modules would
 * say in the head beside what the engine says itself; and, where the worker stays, the engine's
 * head as httpd's own. The worker.
 */
#ifndef RS_GATEWAY_HEAD_H
#define RS_GATEWAY_HEAD_H

#include "../conf/rs_httpd.h"

/* Has httpd make the head of a stream, and keeps it from the client: its lines, without those that
 * the engine writes. NULL: nothing came out. */
const char *rs_gateway_head_lines(request_rec *r);

/* After that httpd may have to write a head all the same. */
void rs_gateway_head_again(request_rec *r);

/* Takes the head that `head` begins with into the response. The bytes that it has; 0: it is not
 * whole yet. */
apr_size_t rs_gateway_head_take(request_rec *r, const char *head, apr_size_t len);

void rs_gateway_head_hooks(apr_pool_t *p);

#endif
