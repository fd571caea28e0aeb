/* SPDX-License-Identifier: Apache-2.0
 *
 * A streamer from inside: its loop (rs_streamer.c) and what it does with its clients (rs_life.c).
 */
#ifndef RS_STREAMER_INT_H
#define RS_STREAMER_INT_H

#include <apr_thread_proc.h>

#include "../base/rs_buf.h"
#include "../proto/rs_sse.h"
#include "../engine/rs_engine.h"
#include "rs_feed.h"

struct rs_streamer_t {
    rs_engine_t *engine;
    rs_poll_t *poll;
    rs_inbox_t inbox;
    apr_thread_t *thread;
    apr_pool_t *p; /* this thread's */
    int ended;     /* atomic */
    int joined;    /* engine */

    rs_msg_t drain_msg; /* engine posts it once, with: */
    apr_interval_time_t spread, limit;

    /* This thread's. */
    rs_wheel_t wheel;
    rs_buf_t buf;
    rs_feed_calls_t calls;
    apr_uint64_t jitter;
    apr_time_t now;
    apr_time_t drain_until; /* 0: not draining */
    int clients;
    rs_client_t *released; /* ended in this turn, linked by msg.next */
};

/* rs_life.c: what happens to a client. None of these waits; each may end the client. */
void rs_life_attach(rs_streamer_t *s, rs_client_t *client);
void rs_life_input(rs_streamer_t *s, rs_client_t *client);
void rs_life_deadline(rs_streamer_t *s, rs_client_t *client);
void rs_life_drain(rs_streamer_t *s, rs_client_t *client);

/* Closes it now. */
void rs_life_release(rs_streamer_t *s, rs_client_t *client);

/* Waits for the peer to close, everything being written. */
void rs_life_linger(rs_streamer_t *s, rs_client_t *client);

/* Ends it because it reads too slowly. */
void rs_life_end_slow(rs_streamer_t *s, rs_client_t *client);
void rs_life_want_out(rs_streamer_t *s, rs_client_t *client, int wanted);
void rs_life_set_deadline(rs_streamer_t *s, rs_client_t *client);
rs_sse_who_t rs_life_who(const rs_client_t *client);

/* Sends s->buf. 0: the client is gone, and released. */
int rs_life_send(rs_streamer_t *s, rs_client_t *client);

/* rs_catch_up.c: moves a client that is BEHIND on. */
void rs_catch_up(rs_streamer_t *s, rs_client_t *client);
void rs_catch_up_fetched(rs_streamer_t *s, rs_fetch_t *fetch);

/* Whether the client had no room for so long that its topic no longer holds what it needs next, and
 * its endpoint ends such readers. */
int rs_catch_up_too_slow(const rs_client_t *client);

/* What was fetched, or will be, or was to be delivered: nobody wants it any more. */
void rs_catch_up_forget(rs_client_t *client);

/* For rs_feed_flush(). */
void rs_catch_up_feed_calls(rs_streamer_t *s);

#endif
