/* SPDX-License-Identifier: Apache-2.0
 *
 * What all topics of a child keep together: bounded by RaglineCache. The topics that were quiet
 * longest lose what they keep. The hub's thread.
 */
#ifndef RS_CACHE_H
#define RS_CACHE_H

#include "rs_topic.h"

typedef struct {
    size_t limit;
    size_t bytes;
    rs_topic_t *oldest, *newest; /* all topics, by last append; linked by `older` and `newer` */
} rs_cache_t;

void rs_cache_add(rs_cache_t *cache, rs_topic_t *topic);
void rs_cache_remove(rs_cache_t *cache, rs_topic_t *topic);

/* As the topic's own functions, which take over the event. */
void rs_cache_append(rs_cache_t *cache, rs_topic_t *topic, rs_event_t *event, apr_time_t now);
void rs_cache_prepend(rs_cache_t *cache, rs_topic_t *topic, rs_event_t *event, apr_time_t now);
void rs_cache_break(rs_cache_t *cache, rs_topic_t *topic);

/* When streamers have been told of what was appended: they may have sent it; what is given up of
 * that they fetch. */
void rs_cache_evict(rs_cache_t *cache);

static inline int rs_cache_is_full(const rs_cache_t *cache) { return cache->bytes >= cache->limit; }

#endif
