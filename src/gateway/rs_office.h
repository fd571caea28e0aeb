/* SPDX-License-Identifier: Apache-2.0
 *
 * What a child has for its gateway besides callbacks: sending to connections wherever they are
 * (rs_route.h), or by identity (rs_names.h), and the ledger (rs_ledger.h). The child's main thread
 * makes it; workers send.
 */
#ifndef RS_OFFICE_H
#define RS_OFFICE_H

#include "../redis/rs_redis_pool.h"
#include "rs_hand.h"

typedef struct rs_office_t rs_office_t;

typedef struct {
    const rs_redis_url_t *url; /* NULL: this node is alone */
    rs_redis_pool_t *pool;
    int serves; /* this child has connections of the gateway */
    apr_interval_time_t remember; /* how long back ends are told of an end; 0: once */
} rs_office_conf_t;

/* While no thread runs. */
apr_status_t rs_office_create(rs_office_t **office, apr_pool_t *p, rs_common_t *common,
                              const rs_office_conf_t *conf);
apr_status_t rs_office_start(rs_office_t *office, apr_pool_t *p);

/* When this child's connections are gone; and, when no callbacks are made any more either: what is
 * left to be told is left to others. */
void rs_office_stop(rs_office_t *office);
void rs_office_close_ledger(rs_office_t *office);

/* keep: how long what is for an identity that nobody has is kept; 0: not at all. Answered within a
 * second, as a rule. Any thread that may wait. */
rs_sent_t rs_office_send(rs_office_t *office, const rs_gateway_order_t *order,
                         apr_interval_time_t keep);

#endif
