/* SPDX-License-Identifier: Apache-2.0
 *
 * What happens to a client. None of these waits; each may end the client. The streamer's thread.
 */
#ifndef RS_LIFE_H
#define RS_LIFE_H

#include "../log/rs_command.h"
#include "../log/rs_delivery.h"
#include "../log/rs_fetch.h"
#include "rs_streamer_int.h"

void rs_life_attach(rs_streamer_t *s, rs_client_t *client);
void rs_life_input(rs_streamer_t *s, rs_client_t *client, int hung_up);
void rs_life_output(rs_streamer_t *s, rs_client_t *client);
void rs_life_deadline(rs_streamer_t *s, rs_client_t *client);
void rs_life_fetched(rs_streamer_t *s, rs_fetch_t *fetch);
void rs_life_deliver(rs_streamer_t *s, rs_delivery_t *delivery);
/* Does it to those of this streamer, and lets go of it. */
void rs_life_order(rs_streamer_t *s, rs_order_t *order);
void rs_life_drain(rs_streamer_t *s, rs_client_t *client);

/* For rs_feed_flush(). */
void rs_life_feed_calls(rs_streamer_t *s);

/* Does what is to be done with it. */
void rs_life_go(rs_streamer_t *s, rs_client_t *client, rs_next_t next);

#endif
