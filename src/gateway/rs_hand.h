/* SPDX-License-Identifier: Apache-2.0
 *
 * What a connection of this child is sent: found by its token, framed as it knows it, and handed to
 * its streamer. Any thread that may wait.
 */
#ifndef RS_HAND_H
#define RS_HAND_H

#include "../log/rs_common.h"
#include "../proto/rs_gateway.h"

/* RS_SENT_GONE: there is no such connection. Waits until then at most, on the monotonic clock. */
rs_sent_t rs_hand_over(rs_common_t *common, const rs_gateway_order_t *order, apr_time_t until);

/* Whether there is one. */
int rs_hand_has(rs_common_t *common, const char *token);

#endif
