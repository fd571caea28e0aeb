/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of all topics, what they weigh, and which of them have news. The hub's thread.
 */
#include <stdlib.h>

#include "../base/rs_clock.h"
#include "rs_source.h"
#include "rs_tenants.h"
#include "rs_topics.h"

/* --- the list --- */

static void unlist(rs_topics_t *t, rs_topic_t *topic)
{
    *(topic->older ? &topic->older->newer : &t->oldest) = topic->newer;
    *(topic->newer ? &topic->newer->older : &t->newest) = topic->older;
    topic->older = topic->newer = NULL;
}

static void list_newest(rs_topics_t *t, rs_topic_t *topic)
{
    topic->older = t->newest;
    topic->newer = NULL;
    *(t->newest ? &t->newest->newer : &t->oldest) = topic;
    t->newest = topic;
}

static void weigh(rs_topics_t *t, apr_int64_t change)
{
    t->bytes = (size_t)((apr_int64_t)t->bytes + change);
}

rs_topic_t *rs_topics_get(rs_topics_t *t, rs_source_t *source, const char *tenant,
                          apr_uint64_t streams)
{
    rs_topic_t *topic = rs_tenants_topic(source, tenant, streams);

    if (topic && !topic->listed) {
        topic->listed = 1;
        topic->idle_since = rs_clock_now();
        list_newest(t, topic);
        t->calls->topic_made(topic);
    }
    return topic;
}

void rs_topics_remove(rs_topics_t *t, rs_topic_t *topic)
{
    int i;

    for (i = 0; topic->dirty && i < t->ndirty; i++) {
        if (t->dirty[i] == topic) {
            t->dirty[i] = t->dirty[--t->ndirty];
            topic->dirty = 0;
        }
    }
    unlist(t, topic);
    t->bytes -= rs_topic_clear(topic);
    rs_tenants_remove(topic);
}

/* --- news --- */

static void note_dirty(rs_topics_t *t, rs_topic_t *topic)
{
    if (topic->dirty) {
        return;
    }
    if (t->ndirty == t->dirty_size) {
        int size = t->dirty_size ? t->dirty_size * 2 : 64;
        rs_topic_t **list = realloc(t->dirty, (size_t)size * sizeof(*list));

        if (!list) {
            return; /* its readers will see the event with the next one */
        }
        t->dirty = list;
        t->dirty_size = size;
    }
    topic->dirty = 1;
    t->dirty[t->ndirty++] = topic;
}

void rs_topics_append(rs_topics_t *t, rs_topic_t *topic, rs_event_t *event)
{
    t->untold += rs_event_cost(event);
    weigh(t, rs_topic_append(topic, event, t->now, rs_topics_are_full(t)));
    if (topic != t->newest) {
        unlist(t, topic);
        list_newest(t, topic);
    }
    note_dirty(t, topic);
}

void rs_topics_prepend(rs_topics_t *t, rs_topic_t *topic, rs_event_t *event)
{
    weigh(t, rs_topic_prepend(topic, event, t->now));
}

void rs_topics_clear(rs_topics_t *t, rs_topic_t *topic)
{
    t->bytes -= rs_topic_clear(topic);
    note_dirty(t, topic);
}

void rs_topics_break(rs_topics_t *t, rs_topic_t *topic)
{
    t->bytes -= rs_topic_break(topic);
    note_dirty(t, topic);
}

static void tell(rs_topics_t *t, rs_topic_t *topic)
{
    int k;

    for (k = 0; k < t->common->nstreamers; k++) {
        rs_follow_t *follow = topic->follows[k];

        if (follow && follow->clients
            && !__atomic_exchange_n(&follow->queued, 1, __ATOMIC_SEQ_CST)) {
            rs_inbox_post(follow->streamer, &follow->dirty, RS_MSG_DIRTY);
        }
    }
}

/* When streamers have been told of what was appended: they may have sent it; what is given up of
 * that they fetch. */
static void evict(rs_topics_t *t)
{
    rs_topic_t *victim = t->oldest, *last = t->newest, *next;

    for (; t->bytes > t->common->cache && victim; victim = next) {
        next = victim == last ? NULL : victim->newer;
        /* Nothing is gained by what keeps nothing: it still knows from where on that is all. */
        if (victim->bytes) {
            t->bytes -= rs_topic_clear(victim);
            tell(t, victim); /* who has yet to read of it finds that it is not there */
        }
        /* Empty now: behind the others, where eviction does not come by again and again. */
        unlist(t, victim);
        list_newest(t, victim);
    }
}

void rs_topics_tell(rs_topics_t *t)
{
    int i;

    for (i = 0; i < t->ndirty; i++) {
        rs_topic_t *topic = t->dirty[i];

        topic->dirty = 0;
        tell(t, topic);
    }
    t->ndirty = 0;
    t->untold = 0;
    evict(t);
}

void rs_topics_relieve(rs_topics_t *t)
{
    if (t->untold > t->common->cache / 4) {
        rs_topics_tell(t);
    }
}

void rs_topics_close(rs_topics_t *t)
{
    rs_buf_free(&t->scratch);
    free(t->dirty);
}
