/* SPDX-License-Identifier: Apache-2.0
 *
 * The pump: a stream that stays in its worker because its connection cannot leave httpd (TLS,
 * HTTP/2, a filter we do not know, `RaglineHandoff off`). The engine writes into one end of a
 * socketpair as if it were the client, the worker copies from the other end through httpd's
 * filters. Costs a thread, and is always right. The worker.
 */
#ifndef RS_PUMP_H
#define RS_PUMP_H

#include "../conf/rs_httpd.h"

#include "../log/rs_client.h"

/* After the headers were sent; returns when the stream has ended. A place in the engine was
 * reserved; it is given back. `socket`: the client's, to notice that it is gone; -1: unknown. */
void rs_pump(request_rec *r, rs_client_params_t *params, int socket);

#endif
