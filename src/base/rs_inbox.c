/* SPDX-License-Identifier: Apache-2.0
 *
 * Inboxes. Only the message that finds the list empty wakes the owner: under load a batch costs
 * one system call.
 */
#include "rs_inbox.h"

void rs_inbox_open(rs_inbox_t *inbox, rs_poll_t *poll)
{
    pthread_mutex_init(&inbox->lock, NULL);
    inbox->first = NULL;
    inbox->last = &inbox->first;
    inbox->closed = 0;
    inbox->poll = poll;
}

int rs_inbox_post(rs_inbox_t *inbox, rs_msg_t *msg, int kind)
{
    int was_empty, closed;

    msg->next = NULL;
    pthread_mutex_lock(&inbox->lock);
    closed = inbox->closed;
    was_empty = inbox->first == NULL;
    if (!closed) {
        msg->kind = kind;
        *inbox->last = msg;
        inbox->last = &msg->next;
    }
    pthread_mutex_unlock(&inbox->lock);
    if (!closed && was_empty) {
        rs_poll_wake(inbox->poll);
    }
    return !closed;
}

static rs_msg_t *take(rs_inbox_t *inbox, int close)
{
    rs_msg_t *list;

    pthread_mutex_lock(&inbox->lock);
    list = inbox->first;
    inbox->first = NULL;
    inbox->last = &inbox->first;
    inbox->closed |= close;
    pthread_mutex_unlock(&inbox->lock);
    return list;
}

rs_msg_t *rs_inbox_drain(rs_inbox_t *inbox) { return take(inbox, 0); }

rs_msg_t *rs_inbox_close(rs_inbox_t *inbox) { return take(inbox, 1); }
