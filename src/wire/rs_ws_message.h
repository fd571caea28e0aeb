/* SPDX-License-Identifier: Apache-2.0
 *
 * What a WebSocket's client says: one JSON object in each text message. Pure functions.
 */
#ifndef RS_WS_MESSAGE_H
#define RS_WS_MESSAGE_H

#include "rs_wire.h"

/* Reads a message. Appends the frame of what is answered at once; else says what is asked for. */
rs_asks_t rs_ws_message(rs_buf_t *out, const char *text, size_t len, rs_asked_t *asked);

#endif
