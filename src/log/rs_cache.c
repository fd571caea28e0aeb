/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of all topics and what they weigh. The hub's thread.
 */
#include "rs_cache.h"

static void unlist(rs_cache_t *c, rs_topic_t *topic)
{
    *(topic->older ? &topic->older->newer : &c->oldest) = topic->newer;
    *(topic->newer ? &topic->newer->older : &c->newest) = topic->older;
    topic->older = topic->newer = NULL;
}

static void list_newest(rs_cache_t *c, rs_topic_t *topic)
{
    topic->older = c->newest;
    topic->newer = NULL;
    *(c->newest ? &c->newest->newer : &c->oldest) = topic;
    c->newest = topic;
}

void rs_cache_add(rs_cache_t *c, rs_topic_t *topic) { list_newest(c, topic); }

void rs_cache_remove(rs_cache_t *c, rs_topic_t *topic)
{
    unlist(c, topic);
    c->bytes -= rs_topic_clear(topic);
}

static void weigh(rs_cache_t *c, apr_int64_t change)
{
    c->bytes = (size_t)((apr_int64_t)c->bytes + change);
}

void rs_cache_append(rs_cache_t *c, rs_topic_t *topic, rs_event_t *event, apr_time_t now)
{
    weigh(c, rs_topic_append(topic, event, now, rs_cache_is_full(c)));
    if (topic != c->newest) {
        unlist(c, topic);
        list_newest(c, topic);
    }
}

void rs_cache_prepend(rs_cache_t *c, rs_topic_t *topic, rs_event_t *event, apr_time_t now)
{
    weigh(c, rs_topic_prepend(topic, event, now));
}

void rs_cache_break(rs_cache_t *c, rs_topic_t *topic) { c->bytes -= rs_topic_break(topic); }

void rs_cache_evict(rs_cache_t *c)
{
    rs_topic_t *victim = c->oldest, *last = c->newest, *next;

    for (; c->bytes > c->limit && victim; victim = next) {
        next = victim == last ? NULL : victim->newer;
        /* Nothing is gained by what keeps nothing: it still knows from where on that is all. */
        if (victim->bytes) {
            c->bytes -= rs_topic_clear(victim);
        }
        /* Empty now: behind the others, where eviction does not come by again and again. */
        unlist(c, victim);
        list_newest(c, victim);
    }
}
