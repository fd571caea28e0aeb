/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS on a socket, over a session that somebody else has opened (OpenSSL). It does no handshakes
 * and refuses new ones. The streamer's thread, but for rs_tls_open() and rs_tls_begin().
 */
#ifndef RS_TLS_H
#define RS_TLS_H

#include <openssl/types.h>

#include "rs_transport.h"

extern const rs_transport_t rs_transport_tls;

/* Makes this session what carries conn, whose descriptor is there. Its owner goes on to use it
 * until rs_tls_begin(); before that, conn may only be closed. 0: memory is short. The worker. */
int rs_tls_open(rs_conn_t *conn, SSL *ssl);

/* Its owner is done with the session: nothing of the owner's will be called any more. 0: memory is
 * short. Whoever has the connection. */
int rs_tls_begin(rs_conn_t *conn);

#endif
