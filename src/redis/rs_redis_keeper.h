/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread of a connection pool. It does what nobody's request may have to wait for: it closes
 * connections that lay idle, asks the sentinels where the master is, and looks at Redis's settings
 * when it starts. It may block, so it is not the hub's.
 */
#ifndef RS_REDIS_KEEPER_H
#define RS_REDIS_KEEPER_H

#include "rs_redis_conn.h"

typedef struct rs_redis_keeper_t rs_redis_keeper_t;

typedef struct {
    /* Does what is due in the pool and returns when to be called again. */
    apr_time_t (*tidy)(void *baton);
    /* A connection of the keeper's own, when it starts and after each change of the master; and
     * again after as long as it returns. 0: not before that. */
    apr_interval_time_t (*look)(void *baton, rs_redis_conn_t *conn);
    void *baton;
} rs_redis_keeper_calls_t;

/* `p` is nobody else's. `url` must live as long as the thread. */
apr_status_t rs_redis_keeper_start(rs_redis_keeper_t **keeper, apr_pool_t *p,
                                   const rs_redis_url_t *url, const rs_redis_keeper_calls_t *calls);

/* Something is due before the time that tidy() has returned. Any thread. */
void rs_redis_keeper_wake(rs_redis_keeper_t *keeper);

/* Ends the thread. APR_TIMEUP: it did not end within `limit`, since something that it asks does not
 * answer, and must not find its memory gone. Once more is no mistake. */
apr_status_t rs_redis_keeper_stop(rs_redis_keeper_t *keeper, apr_interval_time_t limit);

#endif
