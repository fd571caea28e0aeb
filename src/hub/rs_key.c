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

static void break_topic(rs_topic_t *topic, const rs_key_t *key)
{
    if (topic->source == key->source && (topic->streams & ((apr_uint64_t)1 << key->stream))) {
        rs_group_broken(topic);
        rs_hub_break_topic(key->source->hub, topic);
    }
}

/* What readers of this key have is not what it holds now: none of them goes on as if nothing had
 * happened. */
static void break_readers(const rs_key_t *key)
{
    rs_topic_t *topic;

    for (topic = key->tenant ? key->tenant->topics : NULL; topic; topic = topic->next) {
        break_topic(topic, key);
    }
    for (topic = key->tenant ? NULL : rs_hub_topics(key->source->hub); topic;
         topic = topic->newer) {
        break_topic(topic, key);
    }
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
        break_readers(key);
    }
    key->known = 1;
    /* What is counted there and was not read yet will be counted when it is read. */
    if (rs_id_cmp(history->newest, key->at) == 0) {
        key->added = history->added;
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
