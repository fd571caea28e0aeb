/* SPDX-License-Identifier: Apache-2.0
 *
 * A thread that owns connections: it waits for room to write, for peers that leave, for news of
 * its topics and for deadlines, and does everything that follows. Several in a child; a client
 * stays with one for life.
 */
#ifndef RS_STREAMER_H
#define RS_STREAMER_H

#include "../base/rs_base.h"
#include "../base/rs_inbox.h"

#define RS_STREAMERS_MAX 4

enum {
    RS_MSG_ATTACH,     /* hub → streamer: a client, with its follow and number */
    RS_MSG_DIRTY,      /* hub → streamer: a follow whose topic has news */
    RS_MSG_UNFOLLOW,   /* hub → streamer: forget this follow */
    RS_MSG_DRAIN,      /* engine → streamer: end every client */
    RS_MSG_SUBMIT,     /* worker → hub: a new client */
    RS_MSG_RELEASE,    /* streamer → hub: a client that has ended */
    RS_MSG_FETCH,      /* streamer → hub: what a reader misses */
    RS_MSG_FETCHED,    /* hub → streamer */
    RS_MSG_UNFOLLOWED, /* streamer → hub */
    RS_MSG_DELIVER,    /* hub → streamer: an event for one client of a share */
    RS_MSG_DELIVERED,  /* streamer → hub: whether it was */
    RS_MSG_RESOLVED,   /* resolver → hub: the address of a name */
    RS_MSG_STOP        /* engine → hub */
};

apr_status_t rs_streamer_create(rs_streamer_t **streamer, apr_pool_t *pchild, rs_engine_t *engine,
                                int index);
apr_status_t rs_streamer_start(rs_streamer_t *streamer, apr_pool_t *pchild);

/* What the thread does, again and again: waits for something and sees to it. 0: it is over. */
int rs_streamer_turn(rs_streamer_t *streamer);

/* And in the end: lets go of everything. */
void rs_streamer_end(rs_streamer_t *streamer);

/* Any thread: see rs_inbox_post(). */
int rs_streamer_post(rs_streamer_t *streamer, rs_msg_t *msg, int kind);

/* The engine: from now on clients are told to come back, spread over `spread`, and ended; the
 * thread is over when they are gone or `limit` has passed. */
void rs_streamer_drain(rs_streamer_t *streamer, apr_interval_time_t spread,
                       apr_interval_time_t limit);
int rs_streamer_ended(rs_streamer_t *streamer);
void rs_streamer_join(rs_streamer_t *streamer);

#endif
