/* SPDX-License-Identifier: Apache-2.0
 *
 * How a client ends: with a last word, or at once. The streamer's thread; nothing in here waits.
 */
#ifndef RS_END_H
#define RS_END_H

#include "../log/rs_profile.h"
#include "../wire/rs_wire.h"
#include "rs_streamer_int.h"

/* Closes it now. */
void rs_end_release(rs_streamer_t *s, rs_client_t *client);

/* Everything is written: the peer may close. */
void rs_end_linger(rs_streamer_t *s, rs_client_t *client);

/* What is in s->buf is the last that it is told. */
void rs_end_with_buf(rs_streamer_t *s, rs_client_t *client);

/* Says why, and when to come again; -1: no word of that. */
void rs_end(rs_streamer_t *s, rs_client_t *client, const char *code, const char *message,
            const char *error, apr_interval_time_t retry);

void rs_end_draining(rs_streamer_t *s, rs_client_t *client);
void rs_end_slow(rs_streamer_t *s, rs_client_t *client);
void rs_end_mute(rs_streamer_t *s, rs_client_t *client);

/* Whether it says when its client has taken the answer, on which the group's position waits. */
static inline int rs_end_is_answered(const rs_client_t *client)
{
    return client->profile->wire->one_batch && client->accepted && client->resume;
}

#endif
