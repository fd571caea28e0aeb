/* SPDX-License-Identifier: Apache-2.0
 *
 * How a client that is BEHIND comes up to the others. The streamer's thread.
 */
#ifndef RS_CATCH_UP_H
#define RS_CATCH_UP_H

#include "../log/rs_fetch.h"
#include "rs_streamer_int.h"

/* Moves it on. */
rs_next_t rs_catch_up(rs_streamer_t *s, rs_client_t *client);

/* It was LIVE, and its topic does not hold what comes next. */
rs_next_t rs_catch_up_lost(rs_streamer_t *s, rs_client_t *client);

/* What it had asked for is here. The fetch's client may be NULL: it has ended. */
rs_next_t rs_catch_up_fetched(rs_streamer_t *s, rs_fetch_t *fetch);

/* Whether the client had no room for so long that its topic no longer holds what it needs next, and
 * its endpoint ends such readers. */
int rs_catch_up_too_slow(const rs_client_t *client);

/* What was fetched, or will be, or was to be delivered: nobody wants it any more. */
void rs_catch_up_forget(rs_client_t *client);

/* Whether what comes after this id is in its topic; also of what is no id. */
int rs_catch_up_is_held(const rs_client_t *client, const char *id);

/* From this id on, as if the client had come back with it: what it has had of that comes again. 1;
 * 0: that is no id of its endpoint; -1: memory is short. The rest is rs_catch_up()'s. */
int rs_catch_up_resume(rs_client_t *client, const char *id);

#endif
