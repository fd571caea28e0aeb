/* SPDX-License-Identifier: Apache-2.0
 *
 * The accepted position moves forwards, from where it stands.
 */
#include <string.h>

#include "rs_accepted.h"

/* Another process may have moved it meanwhile: the hub asks. */
static void keep(rs_accepted_t *accepted, const rs_cursor_t *from, const rs_cursor_t *to)
{
    accepted->unknown = 1;
    if (accepted->from.n && rs_cursor_within(&accepted->from, from)
        && rs_cursor_within(from, &accepted->to)) {
        rs_cursor_raise(&accepted->to, to);
    }
    else {
        accepted->from = *from;
        accepted->to = *to;
        accepted->from.n = accepted->topic->nstreams;
    }
}

void rs_accepted_move(rs_accepted_t *accepted, const rs_cursor_t *from, const rs_cursor_t *to)
{
    rs_topic_t *topic;

    if (!accepted) {
        return;
    }
    topic = accepted->topic;
    pthread_mutex_lock(&topic->lock);
    if (rs_cursor_within(from, &accepted->at)) {
        accepted->moved |= rs_cursor_raise(&accepted->at, to);
    }
    else {
        keep(accepted, from, to);
    }
    pthread_mutex_unlock(&topic->lock);
}

void rs_accepted_told(rs_accepted_t *accepted, const rs_cursor_t *own)
{
    int k;

    if (!accepted) {
        return;
    }
    pthread_mutex_lock(&accepted->topic->lock);
    for (k = 0; k < own->n; k++) {
        accepted->moved |= rs_id_cmp(accepted->at.pos[k], own->pos[k]) > 0;
        rs_id_lower(&accepted->at.pos[k], own->pos[k]);
    }
    pthread_mutex_unlock(&accepted->topic->lock);
}

void rs_accepted_learnt(rs_accepted_t *accepted)
{
    if (accepted->from.n && rs_cursor_within(&accepted->from, &accepted->at)) {
        accepted->moved |= rs_cursor_raise(&accepted->at, &accepted->to);
        accepted->from.n = 0;
    }
}

int rs_accepted_has_all(const rs_accepted_t *accepted)
{
    const rs_topic_t *topic = accepted->topic;
    rs_cursor_t tail = accepted->at;
    int k, all = 1;

    memcpy(tail.pos, topic->start, sizeof(tail.pos));
    if (topic->next_seq > topic->first) {
        all = rs_event_cursor(topic->ring[(topic->next_seq - 1) & (topic->size - 1)], &tail);
    }
    for (k = 0; k < topic->nstreams; k++) {
        all &= rs_id_cmp(tail.pos[k], accepted->at.pos[k]) <= 0;
    }
    return all;
}
