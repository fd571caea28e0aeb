/* SPDX-License-Identifier: Apache-2.0
 *
 * What administrators want done with a client. The streamer's thread.
 */
#ifndef RS_ORDER_H
#define RS_ORDER_H

#include "../log/rs_command.h"
#include "rs_streamer_int.h"

/* Sends it what the command has. RS_NEXT_WAIT: nothing, since it has no room; RS_NEXT_GO: it may
 * have taken a part. */
rs_next_t rs_order_send(rs_streamer_t *s, rs_client_t *client, const rs_command_t *command);

/* The client is this streamer's from now on. 0: it was to be ended, and is. */
int rs_order_begin(rs_streamer_t *s, rs_client_t *client);

#endif
