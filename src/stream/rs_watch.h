/* SPDX-License-Identifier: Apache-2.0
 *
 * What the poller is to report of a client. The streamer's thread.
 */
#ifndef RS_WATCH_H
#define RS_WATCH_H

#include "rs_streamer_int.h"

/* As it is now. */
void rs_watch(rs_streamer_t *s, rs_client_t *client);

/* Whether it waits for room. */
void rs_watch_room(rs_streamer_t *s, rs_client_t *client, int wanted);

#endif
