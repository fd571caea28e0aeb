/* SPDX-License-Identifier: Apache-2.0
 *
 * What the poller reports of a client. The streamer's thread.
 */
#ifndef RS_WATCH_H
#define RS_WATCH_H

#include "rs_streamer_int.h"

/* After anything on which that depends has changed. */
void rs_watch(rs_streamer_t *s, rs_client_t *client);

/* Whether something waits for room. */
void rs_watch_out(rs_streamer_t *s, rs_client_t *client, int wanted);

#endif
