/* SPDX-License-Identifier: Apache-2.0
 *
 * How far keys were read, for streamers and for statistics. The hub's thread.
 */
#include "rs_key.h"
#include "rs_source.h"

void rs_key_publish(rs_source_t *source)
{
    rs_key_t *key;

    pthread_mutex_lock(&source->lock);
    for (key = source->moved; key; key = key->next_moved) {
        key->shown = key->now;
    }
    pthread_mutex_unlock(&source->lock);
    while ((key = source->moved)) {
        rs_stream_stats_t *stats = source->streams[key->stream].stats;

        source->moved = key->next_moved;
        key->is_moved = 0;
        RS_STAT_SET(stats->last_ms, key->now.at.ms);
        RS_STAT_SET(stats->last_seq, key->now.at.seq);
    }
}
