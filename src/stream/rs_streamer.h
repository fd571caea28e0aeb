/* SPDX-License-Identifier: Apache-2.0
 *
 * A thread that owns connections: it waits for room to write, for peers that leave, for news of
 * its topics and for deadlines, and does everything that follows. Several in a child; a client
 * stays with one for life.
 */
#ifndef RS_STREAMER_H
#define RS_STREAMER_H

#include "../log/rs_common.h"

/* Fills in common->streamer[index]. */
apr_status_t rs_streamer_create(rs_streamer_t **streamer, apr_pool_t *pchild, rs_common_t *common,
                                int index);
apr_status_t rs_streamer_start(rs_streamer_t *streamer, apr_pool_t *pchild);

/* What the thread does, again and again: waits for something and sees to it. 0: it is over. */
int rs_streamer_turn(rs_streamer_t *streamer);

/* And in the end: lets go of everything. */
void rs_streamer_end(rs_streamer_t *streamer);

/* Any thread, once: from now on clients are told to come back, spread over `spread`, and ended; the
 * thread is over when they are gone or `limit` has passed. */
void rs_streamer_drain(rs_streamer_t *streamer, apr_interval_time_t spread,
                       apr_interval_time_t limit);
int rs_streamer_ended(rs_streamer_t *streamer);
void rs_streamer_join(rs_streamer_t *streamer);

#endif
