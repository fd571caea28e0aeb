/* SPDX-License-Identifier: Apache-2.0
 *
 * The handshake of WebSocket (RFC 6455, 4.2): what the request must be, and the answer, which goes
 * through httpd's filters up to where it becomes bytes. From there on nothing is HTTP any more. The
 * worker.
 */
#ifndef RS_WEBSOCKET_H
#define RS_WEBSOCKET_H

#include "../conf/rs_httpd.h"
#include "../wire/rs_wire.h"

/* Whether the request is a good handshake for one of our endpoints. */
int rs_websocket_is_asked(request_rec *r);

/* OK, or why it is none: a status to return. */
int rs_websocket_check(request_rec *r);

/* What the client offers to do beyond RFC 6455 is agreed on, if it is ours: the wire for that, or
 * this one. */
const rs_wire_t *rs_websocket_agree(request_rec *r, const rs_wire_t *plain);

/* The answer, 101, is what goes out with the first bytes or the first flush; what follows are
 * frames. */
void rs_websocket_accept(request_rec *r);

/* Accepts and closes at once: of a status a browser's page would know nothing. Returns DONE. */
int rs_websocket_refuse(request_rec *r, unsigned code, const char *reason);

/* After its last frame: waits for the client's, for two seconds at most. What httpd sends at the
 * end of a connection over TLS keeps some clients from answering, who then know of no close. */
void rs_websocket_part(request_rec *r);

/* What the client sent behind its handshake is kept in what is remembered of the request: what was
 * read of it (nothing of other requests), and what can be read now. 0: that is too much. */
int rs_websocket_keep(request_rec *r, apr_bucket_brigade *bb);
int rs_websocket_early(request_rec *r);

/* The token of `bearer.TOKEN` among the protocols that the client offers, or NULL; it is taken out
 * of the request. */
const char *rs_websocket_token(request_rec *r);

void rs_websocket_hooks(apr_pool_t *p);

#endif
