/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the children of a node: what is to be sent to a connection that another child has. Each
 * child listens at a socket that is called by its place, which goes when the child goes, however
 * that is: who asks hears of it at once. A thread of its own answers, one after the other.
 */
#ifndef RS_RELAY_H
#define RS_RELAY_H

#include "rs_hand.h"

typedef struct rs_relay_t rs_relay_t;

/* While no thread runs. APR_ENOTIMPL: not on this system. */
apr_status_t rs_relay_create(rs_relay_t **relay, apr_pool_t *p, rs_common_t *common);
apr_status_t rs_relay_start(rs_relay_t *relay, apr_pool_t *p);
void rs_relay_stop(rs_relay_t *relay);

/* To a connection of this node, as its token says. Until then the answer is there, on the monotonic
 * clock. Any thread that may wait. */
rs_sent_t rs_relay_send(rs_common_t *common, const rs_gate_token_t *where,
                        const rs_gateway_order_t *order, apr_time_t until);

/* Whether this can be done at all. */
int rs_relay_is_there(void);

#endif
