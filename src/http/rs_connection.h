/* SPDX-License-Identifier: Apache-2.0
 *
 * What the module remembers of a client's connection (streams of HTTP/2 have none of their own).
 * The thread that has the connection; `stream`: see rs_pumps.c.
 */
#ifndef RS_CONNECTION_H
#define RS_CONNECTION_H

#include "../conf/rs_httpd.h"

#include <openssl/types.h>

#include "../engine/rs_engine.h"

typedef struct {
    const conn_rec *stream;     /* HTTP/2: the stream that has its place for one */
    SSL *ssl;                   /* of mod_ssl; NULL: none that is known */
    rs_client_t *client;        /* who gets that when httpd is done with it, */
    rs_engine_t *engine;        /* here; */
    apr_uint64_t read, written; /* what had gone through it when this was decided */
    apr_bucket_brigade *bb;     /* see rs_connection_brigade() */
} rs_connection_t;

/* Made at the first call. */
rs_connection_t *rs_connection(conn_rec *c);

/* NULL: there is none. */
rs_connection_t *rs_connection_of(const conn_rec *c);

/* An empty one, for one use at a time, to be left empty. A brigade is memory of its pool as long as
 * that lives: one for each message would add up while a WebSocket is open for days. */
apr_bucket_brigade *rs_connection_brigade(conn_rec *c);

/* What the client has sent, through the connection's filters. The bytes read; 0: there are none
 * now, RS_CONNECTION_END: it says nothing more, -1: it is gone. */
#define RS_CONNECTION_END (-2)
apr_ssize_t rs_connection_read(conn_rec *c, char *buf, apr_size_t size);

#endif
