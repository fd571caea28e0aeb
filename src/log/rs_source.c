/* SPDX-License-Identifier: Apache-2.0
 *
 * What any thread may ask a source.
 */
#include <string.h>
#include <time.h>

#include "rs_source.h"
#include "rs_topic.h"

unsigned rs_source_cursor(rs_source_t *source, const rs_topic_t *topic, rs_cursor_t *cursor)
{
    unsigned losses = 0;
    int i;

    cursor->n = topic->nstreams;
    cursor->tags = &topic->tags;
    pthread_mutex_lock(&source->lock);
    for (i = 0; i < topic->nstreams; i++) {
        cursor->pos[i] = topic->key[i]->shown.at;
        losses += topic->key[i]->shown.losses;
    }
    pthread_mutex_unlock(&source->lock);
    return losses;
}

int rs_source_wait(rs_source_t *source, apr_interval_time_t limit)
{
    struct timespec until;

    if (rs_source_is_up(source)) {
        return 1;
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)apr_time_sec(limit);
    pthread_mutex_lock(&source->lock);
    while (!source->settled
           && pthread_cond_timedwait(&source->settling, &source->lock, &until) == 0) {
    }
    pthread_mutex_unlock(&source->lock);
    return rs_source_is_up(source);
}

apr_uint64_t rs_source_stream_bit(const rs_source_t *source, const char *key)
{
    int i;

    for (i = 0; i < source->nstreams; i++) {
        if (strcmp(source->streams[i].key, key) == 0) {
            return (apr_uint64_t)1 << i;
        }
    }
    return 0;
}
