/* SPDX-License-Identifier: Apache-2.0
 *
 * A command connection from inside: using it (rs_redis_conn.c), reaching a server
 * (rs_redis_connect.c), and finding out which one (rs_redis_open.c).
 */
#ifndef RS_REDIS_CONN_PRIVATE_H
#define RS_REDIS_CONN_PRIVATE_H

#include "rs_redis_conn.h"
#include "rs_sentinel.h"

struct rs_redis_conn_t {
    redisContext *c;
    const char *name;
    const rs_redis_url_t *url;
    const rs_redis_url_t *at; /* `url`, or that of the master which its sentinels named */
    rs_target_t target;
    int sentinel; /* which of them named it */
    apr_interval_time_t timeout;
    apr_time_t opened;
    apr_time_t deadline; /* of the pipeline under way */
    apr_time_t used;
    int broken;
    char why[256];
};

/* Notes why, without what no log may show, and returns rv, or an error where that is none. */
apr_status_t rs_redis_conn_fail(rs_redis_conn_t *conn, apr_status_t rv, const char *why);
apr_status_t rs_redis_conn_fail_hiredis(rs_redis_conn_t *conn, apr_status_t rv);

/* Closes it, for a new beginning. */
void rs_redis_conn_begin(rs_redis_conn_t *conn);

/* Connects to conn->at and logs in. */
apr_status_t rs_redis_conn_connect(rs_redis_conn_t *conn);

#endif
