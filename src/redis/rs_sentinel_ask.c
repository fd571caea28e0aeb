/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking sentinels where the master is, over connections that block. Workers, and the keeper.
 */
#include <string.h>

#include <apr_strings.h>
#include <hiredis/hiredis.h>

#include "../base/rs_clock.h"
#include "rs_sentinel_ask.h"

apr_status_t rs_sentinel_ask_one(rs_target_t *target, const rs_redis_url_t *url,
                                 rs_redis_conn_t *conn, const char *label, char *why,
                                 size_t why_size)
{
    const char *argv[3], *problem = NULL;
    redisReply *reply = NULL;
    apr_status_t rv = rs_redis_conn_usable(conn) ? APR_SUCCESS : rs_redis_conn_open_at(conn);

    rs_sentinel_question(argv, url);
    if (rv == APR_SUCCESS
        && (rv = rs_redis_conn_command(conn, &reply, 3, argv, NULL)) == APR_SUCCESS) {
        problem = rs_sentinel_target(target, url, reply);
        rv = problem ? APR_EGENERAL : APR_SUCCESS;
        freeReplyObject(reply);
    }
    if (rv == APR_SUCCESS) {
        rs_sentinel_heard(url, target);
    }
    else {
        apr_snprintf(why, why_size, "the sentinel %s: %s", label,
                     problem ? problem : rs_redis_conn_why(conn));
    }
    return rv;
}

static apr_status_t ask_anew(rs_target_t *target, const rs_redis_url_t *url,
                             const rs_redis_url_t *sentinel, apr_interval_time_t timeout, char *why,
                             size_t why_size)
{
    rs_redis_conn_t *conn = rs_redis_conn_create(sentinel, timeout);
    apr_status_t rv;

    if (!conn) {
        apr_cpystrn(why, "out of memory", why_size);
        return APR_ENOMEM;
    }
    rv = rs_sentinel_ask_one(target, url, conn, sentinel->label, why, why_size);
    rs_redis_conn_free(conn);
    return rv;
}

apr_status_t rs_sentinel_ask(rs_target_t *target, int *index, const rs_redis_url_t *url,
                             apr_interval_time_t timeout, char *why, size_t why_size)
{
    apr_time_t until = rs_clock_now() + timeout, left = timeout;
    /* One that does not answer must leave time for others. */
    const apr_interval_time_t each = url->nsentinels > 1 ? timeout / 2 : timeout;
    apr_status_t rv = APR_TIMEUP;
    int i;

    for (i = 0; i < url->nsentinels && left > 0; i++, left = until - rs_clock_now()) {
        *index = rs_sentinel_turn(url);
        rv = ask_anew(target, url, &url->sentinels[*index], left < each ? left : each, why,
                      why_size);
        if (rv == APR_SUCCESS) {
            return APR_SUCCESS;
        }
        rs_sentinel_failed(url, *index);
    }
    return rv;
}
