/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of a reader share: its connections.
 */
#ifndef CONN_H
#define CONN_H

#include <openssl/ssl.h>

#include "load.h"

#define TAIL (MARK_SIZE - 1)

typedef enum {
    CONN_NEW,
    CONN_CONNECTING,
    CONN_HANDSHAKE,
    CONN_GOODBYE, /* with --handshakes */
    CONN_HEAD,
    CONN_OPEN,
    CONN_GONE
} state_t;

/* With --again: what an EventSource keeps, and where it is between two connections. */
typedef struct {
    char id[64], pending[64], line[64];
    uint8_t len;
    /* Of this connection: `connected` came; `error` did. */
    bool met, told;
    /* It had a stream, which ended. */
    bool away;
    int retry;
    int64_t due;
    int next; /* of the same slot, -1: the last one */
} again_t;

typedef struct {
    int fd;
    int number;
    uint8_t state;
    uint8_t tail_len;
    bool stops;
    char tail[TAIL];
    /* The number of the event that comes next. */
    uint32_t next;
    int64_t began;
    SSL *ssl;
    SSL_SESSION *session;
    again_t *again;
    char *token;
    ws_t ws;
} conn_t;

/* reader.c: only this process writes the counters; others read them. */
extern reader_t *me;
extern conn_t *conns;
extern int conn_opening;
void count_add(_Atomic uint64_t *counter, uint64_t n);
void count_time(_Atomic uint32_t *buckets, int64_t nanoseconds);
void conn_watch(conn_t *c, int how, uint32_t events);

/* conn.c: one connection. Each is called when its socket is ready for it. */
void conn_begin(conn_t *c);
void conn_ask(conn_t *c);
void conn_receive(conn_t *c);

/* tls.c */
void tls_open(void);
/* With the session that it had, if it had one. */
SSL *tls_new(conn_t *c);
/* No goodbye, but the session stays good. */
void tls_free(conn_t *c);
/* The server has said goodbye, or closed without a word. */
bool tls_is_over(const conn_t *c);

/* marks.c: notes all whole marks; returns where what is not a whole mark begins. */
char *marks_read(conn_t *c, char *at, char *end);

/* again.c */
void again_open(conn_t *c, int slots);
/* Walks the stream's lines. */
void again_read(conn_t *c, const char *at, const char *end);
/* Its connection has ended: it comes again when it was told to. */
void again_end(conn_t *c);
/* Begins the connections that are due. */
void again_turn(void);

#endif
