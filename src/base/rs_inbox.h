/* SPDX-License-Identifier: Apache-2.0
 *
 * How threads talk: a locked list of messages into a thread that sleeps in its rs_poll_t. A
 * message is a member of the thing it is about, so posting allocates nothing and cannot fail; a
 * thing is in one inbox at a time. Any thread posts, the owner drains in order.
 */
#ifndef RS_INBOX_H
#define RS_INBOX_H

#include <pthread.h>

#include "rs_poll.h"

typedef struct rs_msg_t rs_msg_t;

struct rs_msg_t {
    rs_msg_t *next;
    int kind;
};

typedef struct {
    pthread_mutex_t lock;
    rs_msg_t *first; /* lock */
    rs_msg_t **last; /* lock */
    int closed;      /* lock */
    rs_poll_t *poll;
} rs_inbox_t;

void rs_inbox_open(rs_inbox_t *inbox, rs_poll_t *poll);

/* Returns 0, and the message stays the caller's, when the owner has closed its inbox. */
int rs_inbox_post(rs_inbox_t *inbox, rs_msg_t *msg, int kind);

/* All of them, in order, as a list. Owner. */
rs_msg_t *rs_inbox_drain(rs_inbox_t *inbox);

/* Nothing can be posted from now on; returns what was. Owner. */
rs_msg_t *rs_inbox_close(rs_inbox_t *inbox);

#endif
