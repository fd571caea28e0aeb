/* SPDX-License-Identifier: Apache-2.0
 *
 * The way of what is sent to a connection, as its token says: to this child, another one of this
 * node (rs_relay.h), or another node (rs_letters.h). Any thread that may wait.
 */
#ifndef RS_ROUTE_H
#define RS_ROUTE_H

#include "../redis/rs_redis_pool.h"
#include "rs_hand.h"

/* Answered within a second, as a rule. pool NULL: this node is alone. */
rs_sent_t rs_route_send(rs_common_t *common, rs_redis_pool_t *pool,
                        const rs_gateway_order_t *order);

#endif
