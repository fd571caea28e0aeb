/* SPDX-License-Identifier: Apache-2.0
 *
 * What any thread may ask a source.
 */
#include "rs_source.h"
#include "rs_topic.h"

const char *const rs_skip_names[RS_SKIP_MAX] = {
    "no_tenant", "bad_tenant", "bad_type", "too_big", "malformed", "no_subscriber",
};

void rs_source_cursor(rs_source_t *source, const rs_topic_t *topic, rs_cursor_t *cursor)
{
    int i;

    cursor->n = topic->nstreams;
    cursor->keys = topic->fingerprint;
    pthread_mutex_lock(&source->lock);
    for (i = 0; i < topic->nstreams; i++) {
        cursor->pos[i] = source->pos[topic->stream[i]];
    }
    pthread_mutex_unlock(&source->lock);
}
