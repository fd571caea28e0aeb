/* SPDX-License-Identifier: Apache-2.0
 *
 * Sending to connections of the gateway, wherever they are: in this child, in another one of this
 * node (rs_relay.h), on another node (rs_letters.h). The child's main thread makes it; workers
 * send.
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
} rs_office_conf_t;

/* While no thread runs. */
apr_status_t rs_office_create(rs_office_t **office, apr_pool_t *p, rs_common_t *common,
                              const rs_office_conf_t *conf);
apr_status_t rs_office_start(rs_office_t *office, apr_pool_t *p);
void rs_office_stop(rs_office_t *office);

/* Answered within a second, as a rule. Any thread that may wait. */
rs_sent_t rs_office_send(rs_office_t *office, const rs_gateway_order_t *order);

#endif
