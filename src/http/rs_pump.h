/* SPDX-License-Identifier: Apache-2.0
 *
 * The pump: a stream that stays in its worker because its connection cannot leave httpd
 * (HTTP/2, a filter we do not know, `RaglineHandoff off`). The engine writes into one end of a
 * socketpair as if it were the client, the worker copies from the other end through httpd's
 * filters, and the other way where what the client says means something. Costs a thread, and is
 * always right. The worker.
 */
#ifndef RS_PUMP_H
#define RS_PUMP_H

#include "../conf/rs_httpd.h"

#include "../log/rs_client.h"

/* Where the stream's bytes go; 0: nobody wants them any more. */
typedef int rs_pump_sink_t(request_rec *r, void *baton, const char *data, apr_size_t len);

/* Returns when the stream has ended: the connection to the engine, which is the caller's to close;
 * -1: it did not begin. A place in the engine was reserved; it is given back. socket: the client's,
 * to notice that it is gone; -1: unknown. */
int rs_pump(request_rec *r, rs_client_params_t *params, int socket, rs_pump_sink_t *sink,
            void *baton);

/* Through httpd's filters to the client, at once, after the headers were sent. baton: unused. */
rs_pump_sink_t rs_pump_to_client;

#endif
