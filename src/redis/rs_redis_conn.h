/* SPDX-License-Identifier: Apache-2.0
 *
 * A blocking command connection to Redis for worker threads. A connection belongs to one thread at
 * a time. It never reconnects by itself: the pool decides that.
 */
#ifndef RS_REDIS_CONN_H
#define RS_REDIS_CONN_H

#include "rs_redis_login.h"
#include "rs_redis_url.h"

struct redisContext;
struct redisReply;

typedef struct rs_redis_conn_t rs_redis_conn_t;

/* On the heap, not connected. NULL: no memory. `url` must live as long as the connection.
 * `timeout` is for connecting, for logging in, and for each command or pipeline. */
rs_redis_conn_t *rs_redis_conn_create(const rs_redis_url_t *url, apr_interval_time_t timeout);

/* Its name in CLIENT LIST, where it is not "ragline-cmd"; constant. */
void rs_redis_conn_call(rs_redis_conn_t *conn, const char *name);

/* Connects and logs in; with sentinels, to the server that they name and that says itself that it
 * is the master, within twice `timeout` more. On failure the reason is in rs_redis_conn_why(). */
apr_status_t rs_redis_conn_open(rs_redis_conn_t *conn);

/* The same of a server that is known, as a sentinel is: nobody is asked where it is. */
apr_status_t rs_redis_conn_open_at(rs_redis_conn_t *conn);

void rs_redis_conn_close(rs_redis_conn_t *conn);
void rs_redis_conn_free(rs_redis_conn_t *conn);

/* Connected and without an error so far. */
int rs_redis_conn_usable(const rs_redis_conn_t *conn);

/* Why the last operation failed, as a few words without secrets and without Redis's own text. */
const char *rs_redis_conn_why(const rs_redis_conn_t *conn);

/* Whether an idle connection has something to read or was hung up: either way it is useless. */
int rs_redis_conn_stale(const rs_redis_conn_t *conn);

/* A pipeline: append commands, flush once, read as many replies. All of it has `timeout` from the
 * flush on (APR_TIMEUP). After any failure the connection is not usable any more. When flush
 * fails, the last appended command did not reach Redis whole. */
apr_status_t rs_redis_conn_append(rs_redis_conn_t *conn, int argc, const char **argv,
                                  const apr_size_t *lens);
apr_status_t rs_redis_conn_flush(rs_redis_conn_t *conn);

/* The caller frees the reply with freeReplyObject(). An error reply of Redis is a success here. */
apr_status_t rs_redis_conn_reply(rs_redis_conn_t *conn, struct redisReply **reply);

/* Append, flush and reply in one. `lens` may be NULL: the arguments are strings. */
apr_status_t rs_redis_conn_command(rs_redis_conn_t *conn, struct redisReply **reply, int argc,
                                   const char **argv, const apr_size_t *lens);

/* From now on; what it was before. */
apr_interval_time_t rs_redis_conn_patience(rs_redis_conn_t *conn, apr_interval_time_t timeout);

/* For a poller; -1: it is not connected. */
int rs_redis_conn_fd(const rs_redis_conn_t *conn);

/* When it last was sent or answered something, by rs_clock_now(). */
apr_time_t rs_redis_conn_used(const rs_redis_conn_t *conn);

/* With sentinels: whether they have named no other master since it was opened. */
int rs_redis_conn_current(const rs_redis_conn_t *conn);

/* When opening it began. */
apr_time_t rs_redis_conn_opened(const rs_redis_conn_t *conn);

/* Marks a connection whose state is in doubt, so that the pool closes it. */
void rs_redis_conn_spoil(rs_redis_conn_t *conn, const char *why);

/* Starts TLS on a connected context and has OpenSSL verify the server's certificate and name; does
 * nothing for a URL without TLS. In a context without REDIS_BLOCK the handshake goes on in the
 * reads and writes that follow. Returns 0, or -1 with the reason in c->errstr. */
int rs_redis_tls_start(struct redisContext *c, const rs_redis_url_t *url);

#endif
