/* SPDX-License-Identifier: Apache-2.0
 *
 * From a stream entry to events in topics: which tenant it is for and whether anybody of that
 * tenant listens. Whatever an entry holds, the stream goes on: what cannot be delivered is
 * counted by reason, and the first of each reason is logged with its remedy. The hub's thread.
 */
#include <hiredis/hiredis.h>

#include "../base/rs_log.h"
#include "../history/rs_backfill.h"
#include "../log/rs_skip.h"
#include "../log/rs_source.h"
#include "../log/rs_tenants.h"
#include "../log/rs_topics.h"
#include "../wire/rs_frames.h"
#include "rs_assign.h"

/* The cursor of a topic right after this entry: the hub has read the other streams up to `at`. */
static void cursor_after(const rs_topic_t *topic, int stream, rs_id_t id, rs_cursor_t *cursor)
{
    int i;

    cursor->n = topic->nstreams;
    cursor->tags = &topic->tags;
    for (i = 0; i < topic->nstreams; i++) {
        cursor->pos[i] = topic->stream[i] == stream ? id : topic->key[i]->now.at;
    }
}

static void append(rs_topic_t *topic, int stream, rs_id_t id, const rs_entry_t *e)
{
    rs_topics_t *topics = topic->source->topics;
    rs_cursor_t cursor;
    rs_event_t *event;

    cursor_after(topic, stream, id, &cursor);
    event = rs_frames_event(&topics->scratch, e, stream, id, &cursor);
    if (!event) {
        rs_log(RS_LOG_ERR, APR_ENOMEM, RSLOGNO(0302) "stream %s: an event is lost",
               topic->source->streams[stream].key);
        rs_topics_break(topics, topic);
        return;
    }
    rs_topics_append(topics, topic, event);
}

void rs_assign_gap(rs_topic_t *topic, const rs_key_t *key, rs_id_t gap)
{
    rs_topics_t *topics = key->source->topics;
    rs_cursor_t cursor;
    rs_event_t *event;

    cursor_after(topic, key->stream, gap, &cursor);
    event = rs_frames_gap(&topics->scratch, key->stream, gap, &cursor);
    if (!event) {
        rs_topics_break(topics, topic);
        return;
    }
    rs_topics_append(topics, topic, event);
    rs_topic_raise(topic, rs_topic_k(topic, key->stream), gap);
}

void rs_assign_entry(rs_key_t *key, rs_id_t id, const redisReply *fields)
{
    rs_source_t *source = key->source;
    rs_stream_t *stream = &source->streams[key->stream];
    rs_skip_t reason;
    rs_tenant_t *tenant = key->tenant;
    rs_topic_t *topic;
    int clients = 0;
    rs_entry_t e;

    RS_STAT_ADD(stream->stats->read, 1);
    if (!rs_entry_decode(&e, key, fields, source->topics->common->max_message, &reason)) {
        rs_skip(key, id, reason);
        return;
    }
    if (e.too_big) {
        rs_skip(key, id, RS_SKIP_TOO_BIG);
    }
    if (!tenant) {
        rs_backfill_record(source, &e, key->stream);
        tenant = rs_tenants_find(source, e.tenant.data, e.tenant.len);
    }
    for (topic = tenant ? tenant->topics : NULL; topic; topic = topic->next) {
        if (rs_topic_reads(topic, key)) {
            append(topic, key->stream, id, &e);
            clients += topic->clients;
        }
    }
    rs_topics_relieve(source->topics);
    if (!clients && !e.too_big && !key->shares) {
        rs_skip(key, id, RS_SKIP_NO_SUBSCRIBER);
    }
}
