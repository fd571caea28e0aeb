/* SPDX-License-Identifier: Apache-2.0
 *
 * Handing over.
 */
#include "../base/rs_clock.h"
#include "../wire/rs_wire.h"
#include "rs_hand.h"

/* What frames have besides data. */
#define MORE 4096

int rs_hand_has(rs_common_t *common, const char *token)
{
    rs_gate_t *gate = rs_gates_find(&common->gates, token);

    rs_gate_drop(gate);
    return gate != NULL;
}

rs_sent_t rs_hand_over(rs_common_t *common, const rs_gateway_order_t *order, apr_time_t until)
{
    rs_gate_t *gate = rs_gates_find(&common->gates, order->token);
    apr_interval_time_t left = until - rs_clock_now();
    rs_buf_t frame = RS_BUF_INIT;
    rs_sent_t sent = RS_SENT_FULL;

    if (!gate) {
        return RS_SENT_GONE;
    }
    if (order->data) {
        rs_wire_gateway_event(&frame, gate->dialect, order->name, order->data);
    }
    if (frame.len > common->max_message + MORE) {
        sent = RS_SENT_TOO_BIG;
    }
    else if (rs_buf_ok(&frame)) {
        sent = rs_gate_send(gate, frame.data, frame.len, order->close, left > 0 ? left : 0);
    }
    rs_buf_free(&frame);
    rs_gate_drop(gate);
    return sent;
}
