/* SPDX-License-Identifier: Apache-2.0
 *
 * What carries a stream's bytes once httpd has handed the connection over: a socket (also the
 * engine's end of a pump's socketpair), or TLS on one. Non-blocking throughout. A transport that
 * takes bytes has taken them for good: what its layer must keep for a retry, it keeps itself.
 * The streamer's thread, but for rs_transport_socket_setup().
 */
#ifndef RS_TRANSPORT_H
#define RS_TRANSPORT_H

#include <sys/types.h>
#include <sys/uio.h>

#include "../base/rs_base.h"

typedef struct rs_transport_t rs_transport_t;

/* A connection, and what carries it. */
typedef struct {
    const rs_transport_t *transport;
    void *session; /* the transport's own */
    int fd;        /* -1: closed */
    int holds;     /* bytes that were taken wait for room: a writev() of nothing sends them */
} rs_conn_t;

struct rs_transport_t {
    const char *name;
    /* The bytes taken; 0: none can be taken now; -1: the peer is gone. */
    ssize_t (*writev)(rs_conn_t *conn, const struct iovec *iov, int n);
    /* The bytes read; 0: there are none now; -1: the peer is gone. */
    ssize_t (*read)(rs_conn_t *conn, char *buf, size_t size);
    /* Nothing more will be written: tell the peer. 0: not told yet, again when there is room. */
    int (*finish)(rs_conn_t *conn);
    /* Also of what was not finished. */
    void (*close)(rs_conn_t *conn);
    /* Whether the peer's machine has been silent for so long that it is not there any more, though
     * what was written to it waits to be acknowledged. NULL: nobody knows. */
    int (*is_lost)(const rs_conn_t *conn);
};

/* Of a TCP socket: whether nothing was heard for more than so many ms, though what was sent is to
 * be acknowledged. Where the system does not say, or it is no TCP socket: 0. */
int rs_transport_is_silent(const rs_conn_t *conn, unsigned ms);

/* As a socket has it, whose peer is asked by keepalive while nothing is sent. */
int rs_transport_socket_is_lost(const rs_conn_t *conn);
void rs_transport_keepalive(int fd);

extern const rs_transport_t rs_transport_socket;

/* Send buffer, keepalive and the unsent low-water mark of a client's TCP socket; what the system
 * does not know is left alone. The worker's thread, before the client is submitted. */
void rs_transport_socket_setup(int fd, int send_buffer);

#endif
