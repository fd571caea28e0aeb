/* SPDX-License-Identifier: Apache-2.0
 *
 * The command connections of one child to one Redis server: bounded, opened when first needed,
 * shared by httpd's worker threads. Everything here may be called from any thread. Streamers and
 * the hub must not: acquiring may block.
 */
#ifndef RS_REDIS_POOL_H
#define RS_REDIS_POOL_H

#include "rs_redis_conn.h"
#include "rs_redis_url.h"

typedef struct rs_redis_pool_t rs_redis_pool_t;

typedef struct {
    int max;                         /* connections at most */
    int min;                         /* idle ones that stay however long */
    apr_interval_time_t idle;        /* the others are closed after so long */
    apr_interval_time_t timeout;     /* of connecting, of a command, and of waiting for a turn */
    apr_interval_time_t healthcheck; /* one that lay idle so long is sent a PING before its use */
    apr_uint32_t *told; /* atomic, of all children: what was logged; NULL: nothing is */
    /* Called by the keeper in one child of all that share `told`, when it starts, and then once a
     * minute until it returns 1; NULL: nobody. */
    int (*begun)(const void *baton, rs_redis_conn_t *conn);
    const void *baton;
} rs_redis_pool_conf_t;

/* Waits for nothing: Redis may be down now. `url` must live as long as `p`. If a connection is in
 * use when p is cleaned up, or the keeper does not end, the pool and its connections stay until the
 * process ends. */
apr_status_t rs_redis_pool_create(rs_redis_pool_t **pool, apr_pool_t *p, const rs_redis_url_t *url,
                                  const rs_redis_pool_conf_t *conf);

/* A connection that is logged in and was alive a moment ago. APR_TIMEUP: all were in use for
 * `timeout`. Any other failure: Redis is down or refuses us (never APR_TIMEUP). After a failure to
 * connect only one caller a second tries again; the others are told at once. */
apr_status_t rs_redis_pool_acquire(rs_redis_conn_t **conn, rs_redis_pool_t *pool);

/* Every acquired connection comes back here; one with an error is closed. */
void rs_redis_pool_release(rs_redis_pool_t *pool, rs_redis_conn_t *conn);

/* The server of this connection takes no writes any more (READONLY): it was the master, and another
 * one is now. Neither this connection nor any that was opened before now is used again. The
 * connection still has to be released. */
void rs_redis_pool_demoted(rs_redis_pool_t *pool, rs_redis_conn_t *conn);

/* Whether the last attempt to connect failed. */
int rs_redis_pool_down(rs_redis_pool_t *pool);

/* Which settings of Redis put events at risk: bits of rs_redis_hints.h, as seen last. */
unsigned rs_redis_pool_hints(rs_redis_pool_t *pool);

/* Looks at them over any connection with the same Redis; does nothing once Redis refused that. */
void rs_redis_pool_look(rs_redis_pool_t *pool, rs_redis_conn_t *conn);

/* Ends the keeper (rs_redis_keeper.h): APR_TIMEUP if it does not end, and must not find its memory
 * gone. Nobody uses the pool any more. */
apr_status_t rs_redis_pool_stop(rs_redis_pool_t *pool);

const char *rs_redis_pool_label(const rs_redis_pool_t *pool);

#endif
