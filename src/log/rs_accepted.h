/* SPDX-License-Identifier: Apache-2.0
 *
 * How far the clients of a tenant's consumer group have come: streamers say it, the hub writes it
 * to Redis (rs_group).
 */
#ifndef RS_ACCEPTED_H
#define RS_ACCEPTED_H

#include "rs_client.h"

struct rs_accepted_t {
    rs_topic_t *topic; /* constant */
    rs_cursor_t at;    /* topic->lock */
    int moved;         /* topic->lock: since it was written */
    int unknown;       /* topic->lock: somebody has accepted what does not follow on that: */
    rs_cursor_t from;  /* topic->lock: from here; n = 0: nothing is kept */
    rs_cursor_t to;    /* topic->lock: up to here */
};

/* Streamer: clients of the group have everything from one position up to the other. That moves it
 * if it stands in between: nothing is passed over that nobody had. Otherwise it is kept, as long as
 * what comes after it follows on it. accepted may be NULL. */
void rs_accepted_move(rs_accepted_t *accepted, const rs_cursor_t *from, const rs_cursor_t *to);

/* Streamer: one of them was told that data was lost, and goes on from there: also where ids are
 * lower than those that the group had. */
void rs_accepted_told(rs_accepted_t *accepted, const rs_cursor_t *own);

/* The hub's thread has learnt where another process has moved it: what was kept may follow now.
 * With the topic's lock held. */
void rs_accepted_learnt(rs_accepted_t *accepted);

/* Whether everything that came for the tenant was accepted. With the topic's lock held. */
int rs_accepted_has_all(const rs_accepted_t *accepted);

#endif
