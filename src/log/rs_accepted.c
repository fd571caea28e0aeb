/* SPDX-License-Identifier: Apache-2.0
 *
 * The accepted position moves forwards, from where it stands.
 */
#include <string.h>

#include "rs_accepted.h"

void rs_accepted_move(rs_accepted_t *accepted, const rs_cursor_t *from, const rs_cursor_t *to)
{
    rs_topic_t *topic;
    int k, follows = 1;

    if (!accepted) {
        return;
    }
    topic = accepted->topic;
    pthread_mutex_lock(&topic->lock);
    for (k = 0; k < topic->nstreams; k++) {
        follows &= rs_id_cmp(from->pos[k], accepted->at.pos[k]) <= 0;
    }
    for (k = 0; follows && k < topic->nstreams; k++) {
        if (rs_id_cmp(to->pos[k], accepted->at.pos[k]) > 0) {
            accepted->at.pos[k] = to->pos[k];
            accepted->moved = 1;
        }
    }
    accepted->unknown |= !follows; /* another process may have moved it meanwhile */
    pthread_mutex_unlock(&topic->lock);
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
