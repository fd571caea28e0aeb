/* SPDX-License-Identifier: Apache-2.0
 *
 * How a client ends: what it is told last, and the moment that it has to go first. The streamer's
 * thread.
 */
#ifndef RS_END_H
#define RS_END_H

#include "rs_streamer_int.h"

/* Closes it now. */
void rs_end_release(rs_streamer_t *s, rs_client_t *client);

/* Ends it with what is in s->buf as its last bytes. */
void rs_end_with_buf(rs_streamer_t *s, rs_client_t *client);

/* Everything is written, or the peer has said goodbye meanwhile. */
void rs_end_linger(rs_streamer_t *s, rs_client_t *client);

/* Whether it says when its client has taken the answer, on which the group's position waits. */
int rs_end_is_answered(const rs_client_t *client);

/* As an administrator wants it; reason NULL: in our words. */
void rs_end_ordered(rs_streamer_t *s, rs_client_t *client, const char *code, const char *reason);

/* 1: it might stay no longer, and is ended. */
int rs_end_of_stay(rs_streamer_t *s, rs_client_t *client);

/* Each with its own words. */
void rs_end_draining(rs_streamer_t *s, rs_client_t *client);
void rs_end_refused(rs_streamer_t *s, rs_client_t *client);
void rs_end_slow(rs_streamer_t *s, rs_client_t *client);
void rs_end_mute(rs_streamer_t *s, rs_client_t *client);
void rs_end_full(rs_streamer_t *s, rs_client_t *client);
void rs_end_unfinished(rs_streamer_t *s, rs_client_t *client);

#endif
