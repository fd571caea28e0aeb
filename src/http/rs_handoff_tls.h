/* SPDX-License-Identifier: Apache-2.0
 *
 * The hand-off of a connection with TLS: its session is taken out of mod_ssl. The worker.
 */
#ifndef RS_HANDOFF_TLS_H
#define RS_HANDOFF_TLS_H

#include "../conf/rs_httpd.h"

#include "../log/rs_client.h"

/* What keeps a stream over this connection in its worker: "tls module", "tls library",
 * "tls mod_ssl", "tls keylog". NULL: nothing that is known. */
const char *rs_handoff_tls_obstacle(conn_rec *c);

/* Has the session read what httpd's filters hold of its records. NULL, or "tls early bytes": there
 * is no end to it. c->aborted: the client is gone. */
const char *rs_handoff_tls_settle(request_rec *r);

/* Makes the session what carries conn, whose descriptor is there. 0: it cannot be had. */
int rs_handoff_tls_open(conn_rec *c, rs_conn_t *conn);

/* Gives the client, with that session, to the engine when httpd is done with the connection. */
void rs_handoff_tls_take(conn_rec *c, rs_client_t *client);

void rs_handoff_tls_hooks(apr_pool_t *p);

#endif
