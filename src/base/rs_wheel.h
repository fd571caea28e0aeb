/* SPDX-License-Identifier: Apache-2.0
 *
 * Deadlines of tens of thousands of clients without a timer each: a wheel of lists, a tick a list.
 * A client is in one list. Its turn only says "look at this client": deadlines that moved away
 * meanwhile (an event went out, so the heartbeat is later) cost nothing until then. One thread.
 */
#ifndef RS_WHEEL_H
#define RS_WHEEL_H

#include "rs_base.h"

#define RS_WHEEL_SLOTS 512
#define RS_WHEEL_TICK ((apr_interval_time_t)100 * 1000)

typedef struct rs_timer_t rs_timer_t;

/* A member of what has the deadline. */
struct rs_timer_t {
    rs_timer_t *next, *prev; /* NULL: in no list */
};

typedef struct {
    rs_timer_t slots[RS_WHEEL_SLOTS];
    apr_time_t next; /* when the next tick is due */
    apr_uint64_t tick;
    int turning;    /* the list of this tick is being worked off */
    int armed;      /* how many timers there are */
    unsigned sweep; /* where rs_wheel_any() goes on looking */
} rs_wheel_t;

void rs_wheel_init(rs_wheel_t *wheel, apr_time_t now);

/* (Re)places the timer. Further away than the wheel reaches: it comes up early, to be set again. */
void rs_wheel_set(rs_wheel_t *wheel, rs_timer_t *timer, apr_time_t due);
void rs_wheel_unset(rs_wheel_t *wheel, rs_timer_t *timer);

/* The next timer whose turn has come, out of its list; NULL when there is none left now. */
rs_timer_t *rs_wheel_due(rs_wheel_t *wheel, apr_time_t now);

/* Any timer, out of its list, or NULL: to end everything. */
rs_timer_t *rs_wheel_any(rs_wheel_t *wheel);

#endif
