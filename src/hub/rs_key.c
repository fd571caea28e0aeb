/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known of keys, and from which moment on. The hub's thread.
 */
#include "../base/rs_log.h"
#include "rs_backfill.h"
#include "rs_group.h"
#include "rs_hub.h"

static void moved(rs_key_t *key)
{
    if (!key->is_moved) {
        key->is_moved = 1;
        key->next_moved = key->source->moved;
        key->source->moved = key;
    }
}

void rs_key_publish(rs_source_t *source)
{
    rs_key_t *key;

    pthread_mutex_lock(&source->lock);
    for (key = source->moved; key; key = key->next_moved) {
        key->pos = key->at;
    }
    pthread_mutex_unlock(&source->lock);
    while ((key = source->moved)) {
        rs_stream_stats_t *stats = source->streams[key->stream].stats;

        source->moved = key->next_moved;
        key->is_moved = 0;
        RS_STAT_SET(stats->last_ms, key->at.ms);
        RS_STAT_SET(stats->last_seq, key->at.seq);
    }
}

static void each_topic(const rs_key_t *key, void (*call)(rs_hub_t *hub, rs_topic_t *topic))
{
    rs_hub_t *hub = key->source->hub;
    rs_topic_t *topic;

    for (topic = key->tenant ? key->tenant->topics : rs_hub_topics(hub); topic;
         topic = key->tenant ? topic->next : topic->newer) {
        if (topic->source == key->source && rs_topic_reads(topic, key)) {
            call(hub, topic);
        }
    }
}

/* What its readers have is not what the key holds now: none of them goes on as if nothing had
 * happened. */
static void break_topic(rs_hub_t *hub, rs_topic_t *topic)
{
    rs_group_broken(topic);
    rs_hub_break_topic(hub, topic);
}

static void owe(rs_hub_t *hub, rs_topic_t *topic)
{
    (void)hub;
    topic->owed = 1;
}

/* A tenant's own key seldom is the only one: one line for all. */
static void tell_lost(const rs_key_t *key)
{
    rs_stream_t *stream = &key->source->streams[key->stream];
    apr_time_t now = rs_hub_now(key->source->hub);

    if (key->tenant && stream->lost_told && now < stream->lost_told + apr_time_from_sec(10)) {
        return;
    }
    stream->lost_told = now;
    rs_log(RS_LOG_WARNING, 0,
           RSLOGNO(0501) "%s: %s is not what it was (data was lost, or the stream was replaced); "
                         "its readers are told so%s",
           key->source->url->label, key->name,
           key->tenant ? ", as are those of other tenants' keys of which that is true" : "");
}

/* Whether entries were removed between what was read and what is there. Redis before 7 does not
 * count them, so there it cannot be known. */
static int trimmed_unread(const rs_key_t *key, const rs_history_t *h)
{
    if (key->added < 0 || h->added < 0) {
        return 0;
    }
    if (rs_id_cmp(h->newest, key->at) == 0) {
        /* Removing single entries (XDEL) is no gap: then older ones are still there, unless those
         * were trimmed within the same second. */
        return h->added > key->added && (h->empty || rs_id_cmp(h->first, key->sure) > 0);
    }
    return !h->empty && rs_id_cmp(h->first, key->at) > 0 && h->gone > key->added;
}

static void tell_trimmed(rs_key_t *key, const rs_history_t *h)
{
    rs_stream_t *stream = &key->source->streams[key->stream];
    apr_time_t now = rs_hub_now(key->source->hub);

    if (!stream->trimmed_told || now >= stream->trimmed_told + apr_time_from_sec(10)) {
        stream->trimmed_told = now;
        rs_log(
            RS_LOG_WARNING, 0,
            RSLOGNO(0503) "%s: entries of %s were trimmed before they were read; its readers are "
                          "told so: let writers keep more (MAXLEN)",
            key->source->url->label, key->name);
    }
    each_topic(key, owe);
    rs_assign_gap(key->source->hub, key);
    key->added = rs_id_cmp(h->newest, key->at) == 0 ? h->added : h->gone;
}

void rs_key_position(rs_key_t *key, const rs_history_t *history)
{
    int order = rs_id_cmp(history->newest, key->at);
    /* Another stream under the same name, with newer ids: it counts its entries from the start. */
    int replaced = history->added >= 0 && history->added < key->added;

    if (!key->known || order < 0) {
        key->at = history->newest;
        moved(key);
    }
    if (key->known && (order < 0 || replaced)) {
        tell_lost(key);
        key->replaced = 1;
        rs_backfill_broken(key);
        /* First: readers that find their topic broken take their position from here. */
        rs_key_publish(key->source);
        each_topic(key, break_topic);
    }
    else if (key->known && trimmed_unread(key, history)) {
        tell_trimmed(key, history);
    }
    key->known = 1;
    /* What is counted there and was not read yet will be counted when it is read. */
    if (rs_id_cmp(history->newest, key->at) == 0) {
        key->added = history->added;
        key->sure = key->at;
    }
    else if (replaced) {
        key->added = -1;
    }
}

void rs_key_entry(rs_key_t *key, rs_id_t id, const redisReply *fields)
{
    /* So that a stream with fewer entries than were read is another one. */
    if (key->added >= 0) {
        key->added++;
    }
    key->at = id;
    moved(key);
    rs_assign_entry(key->source->hub, key, id, fields);
}
