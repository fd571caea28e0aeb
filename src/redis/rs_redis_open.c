/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening a connection to whatever server a URL is for: behind sentinels the master, which has to
 * be found first. As rs_redis_conn.c.
 */
#include <apr_time.h>
#include <hiredis/hiredis.h>

#include "rs_redis_conn_private.h"
#include "rs_sentinel_ask.h"

static apr_status_t settle(rs_redis_conn_t *conn)
{
    apr_interval_time_t left = rs_sentinel_unsettled(conn->url);

    if (left > conn->timeout) {
        return rs_redis_conn_fail(conn, APR_EGENERAL, "the master has just changed");
    }
    if (left) {
        apr_sleep(left);
    }
    return APR_SUCCESS;
}

static apr_status_t find_master(rs_redis_conn_t *conn)
{
    char why[sizeof(conn->why)];
    apr_status_t rv =
        rs_sentinel_ask(&conn->target, &conn->sentinel, conn->url, conn->timeout, why, sizeof(why));

    if (rv != APR_SUCCESS) {
        return rs_redis_conn_fail(conn, rv, why);
    }
    conn->at = &conn->target.url;
    return settle(conn);
}

/* Sentinels may be wrong for a while. */
static apr_status_t check_master(rs_redis_conn_t *conn)
{
    const char *argv[] = {"ROLE"}, *problem;
    redisReply *reply;
    apr_status_t rv = rs_redis_conn_command(conn, &reply, 1, argv, NULL);

    if (rv == APR_SUCCESS) {
        problem = rs_sentinel_role(reply);
        freeReplyObject(reply);
        rv = problem ? rs_redis_conn_fail(conn, APR_EGENERAL, problem) : APR_SUCCESS;
    }
    return rv;
}

apr_status_t rs_redis_conn_open(rs_redis_conn_t *conn)
{
    apr_status_t rv;

    if (!conn->url->master) {
        return rs_redis_conn_open_at(conn);
    }
    rs_redis_conn_begin(conn);
    rv = find_master(conn);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = rs_redis_conn_connect(conn);
    if (rv == APR_SUCCESS) {
        rv = check_master(conn);
    }
    if (rv != APR_SUCCESS) {
        rs_sentinel_failed(conn->url, conn->sentinel);
    }
    return rv;
}
