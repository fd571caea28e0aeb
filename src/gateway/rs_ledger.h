/* SPDX-License-Identifier: Apache-2.0
 *
 * What has to be right in Redis of the gateway's connections of this child: who has which identity,
 * and what back ends are still to be told. A thread of its own, which may wait for Redis; streamers
 * and the callbacks' thread tell it by messages (log/rs_common.h).
 *
 * A first callback that somebody left is made by the streamer, whether Redis is there or not. What
 * failed is told again from here, at longer and longer intervals, until it is too old.
 */
#ifndef RS_LEDGER_H
#define RS_LEDGER_H

#include "../log/rs_common.h"
#include "../redis/rs_redis_pool.h"

typedef struct rs_ledger_t rs_ledger_t;

typedef struct {
    const rs_redis_url_t *url;
    rs_redis_pool_t *pool;    /* for what is sent to other nodes */
    apr_interval_time_t keep; /* how long back ends are told of an end; 0: once */
} rs_ledger_conf_t;

/* While no thread runs; there is a registry. *inbox: where messages are posted. */
apr_status_t rs_ledger_create(rs_ledger_t **ledger, apr_pool_t *p, rs_common_t *common,
                              const rs_ledger_conf_t *conf, rs_inbox_t **inbox);
apr_status_t rs_ledger_start(rs_ledger_t *ledger, apr_pool_t *p);

/* When nobody posts any more. What is left to be told is others'. */
void rs_ledger_stop(rs_ledger_t *ledger);

#endif
