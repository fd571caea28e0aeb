/* SPDX-License-Identifier: Apache-2.0
 *
 * A streamer from inside: what all that it does with its clients needs.
 */
#ifndef RS_STREAMER_INT_H
#define RS_STREAMER_INT_H

#include <apr_thread_proc.h>

#include "../base/rs_buf.h"
#include "../base/rs_wheel.h"
#include "rs_feed.h"
#include "rs_streamer.h"

struct rs_streamer_t {
    rs_common_t *common;
    rs_poll_t *poll;
    rs_inbox_t inbox;
    apr_thread_t *thread;
    int index; /* constant */
    int ended; /* atomic */

    rs_msg_t drain_msg; /* posted once, with: */
    apr_interval_time_t spread, limit;

    /* This thread's. */
    rs_wheel_t wheel;
    rs_buf_t buf; /* for a frame of one client's own */
    rs_feed_calls_t calls;
    apr_uint64_t jitter;
    apr_time_t now;
    apr_time_t drain_until; /* 0: not draining */
    int clients;
    rs_client_t *released; /* ended in this turn, linked by msg.next */
};

/* What is to be done with a client: said by rs_catch_up.c, rs_deliver.c and rs_hear.c, done by
 * rs_life.c. */
typedef enum {
    RS_NEXT_GO,     /* nothing: it goes on */
    RS_NEXT_ROOM,   /* its socket is full, or it has had its fair share of this turn */
    RS_NEXT_WAIT,   /* until its deadline */
    RS_NEXT_GONE,   /* the peer is gone, or memory is short: it is closed */
    RS_NEXT_SLOW,   /* it is ended because it reads too slowly */
    RS_NEXT_MUTE,   /* it is ended because it acknowledges nothing */
    RS_NEXT_FULL,   /* it is ended because too much is kept of what clients do not finish */
    RS_NEXT_LINGER, /* everything is written: the peer may close */
    RS_NEXT_DONE,   /* it has what it came for: it is ended */
    RS_NEXT_LAST    /* it is ended with what is in s->buf */
} rs_next_t;

#endif
