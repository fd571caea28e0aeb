/* SPDX-License-Identifier: Apache-2.0
 *
 * Which way.
 */
#include "rs_route.h"

#include "../base/rs_clock.h"
#include "rs_letters.h"
#include "rs_relay.h"

#define PATIENCE apr_time_from_sec(1)

rs_sent_t rs_route_send(rs_common_t *common, rs_redis_pool_t *pool,
                        const rs_gateway_order_t *order)
{
    rs_gate_token_t where;

    switch (rs_gate_token_read(&where, order->token, common->registry)) {
    case RS_TOKEN_HERE:
        return rs_hand_over(common, order, rs_clock_now() + PATIENCE);
    case RS_TOKEN_CHILD:
        return rs_relay_send(common, &where, order, rs_clock_now() + PATIENCE);
    case RS_TOKEN_NODE:
        return pool ? rs_letters_send(pool, where.node, order) : RS_SENT_GONE;
    default:
        return RS_SENT_GONE;
    }
}
