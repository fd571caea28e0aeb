/* SPDX-License-Identifier: Apache-2.0
 *
 * Deliveries of a share on their way into a client's socket. The streamer's thread.
 */
#ifndef RS_DELIVER_H
#define RS_DELIVER_H

#include "../log/rs_delivery.h"
#include "rs_streamer_int.h"

/* One more for its client, which may have ended. */
rs_next_t rs_deliver_take(rs_streamer_t *s, rs_delivery_t *delivery);

/* Writes what there is to a client of whom nothing is pinned. */
rs_next_t rs_deliver(rs_streamer_t *s, rs_client_t *client);

/* The client says that it has this one. 0: it was not sent it, or its time is over. */
int rs_deliver_acknowledged(const rs_streamer_t *s, rs_client_t *client, rs_id_t id);

/* When the time is over of the next one that it has not said so of; 0: there is none. */
apr_time_t rs_deliver_due(const rs_client_t *client);

/* Gives those back. RS_NEXT_MUTE: there is nothing left that it could say something of. */
rs_next_t rs_deliver_expire(const rs_streamer_t *s, rs_client_t *client);

/* The client ends: gives back what it did not take. */
void rs_deliver_forget(rs_client_t *client);

/* How long the client may take nothing: while an event is there for it, no longer than that would
 * stay with a process that is gone. */
apr_interval_time_t rs_deliver_patience(const rs_client_t *client);

#endif
