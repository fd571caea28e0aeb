/* SPDX-License-Identifier: Apache-2.0
 *
 * Server-Sent Events: the bytes are rs_sse's.
 */
#include "rs_wire.h"

const rs_wire_t rs_wire_sse = {
    .frames = RS_WIRE_SSE,
    .name = "sse",
    .media_type = "text/event-stream",
    .event = rs_sse_event,
    .id = rs_sse_id,
    .connected = rs_sse_connected,
    .caught_up = rs_sse_caught_up,
    .reset = rs_sse_reset,
    .heartbeat = rs_sse_heartbeat,
    .challenge = rs_sse_challenge,
    .message = rs_sse_message,
    .error = rs_sse_error,
};
