/* SPDX-License-Identifier: Apache-2.0
 *
 * What a pass finds. With several streams their entries are merged, the newest id first, so that a
 * topic's order is by id within the pass and the position in the other streams is known at each
 * step. Each is put in front of its tenant's topic. The hub's thread.
 */
#include "../redis/rs_stream_reply.h"
#include "../wire/rs_frames.h"
#include "rs_backfill_int.h"

/* Who wants the newest events of the tenant is before this one, if it is one of them. */
static void count_for_starting(rs_topic_t *topic, int k, rs_id_t id, const rs_entry_t *e)
{
    rs_client_t *client;

    for (client = topic->starting; client; client = (rs_client_t *)client->msg.next) {
        rs_resume_t *resume = client->resume;

        if (resume->want
            && rs_client_wants_entry(client, e->type.data, e->type.len, e->user.data,
                                     e->user.len)) {
            resume->own.pos[k] = rs_id_before(id);
            resume->want--;
        }
    }
}

/* Of a tenant whose topic does not take it, what comes before that cannot be put in front of it. */
static void leave_out(rs_backfill_t *b, rs_topic_t *topic)
{
    b->forgot = 1; /* tenants without a topic may have had something */
    if (topic) {
        topic->trimmed = 1;
    }
}

static void prepend(rs_backfill_t *b, rs_topic_t *topic, int k, rs_id_t id, const rs_entry_t *e)
{
    rs_event_t *event;
    rs_cursor_t cursor;
    int i;

    if (topic->trimmed || rs_id_cmp(id, topic->start[k]) > 0) {
        return; /* it has this one, or has begun to forget */
    }
    if (rs_id_cmp(topic->start[k], b->part[k].top) > 0) {
        topic->trimmed = 1; /* what is between here and its start was not read */
        return;
    }
    cursor.n = b->n;
    cursor.tags = &topic->tags;
    for (i = 0; i < b->n; i++) {
        /* What is after its start stands behind this event. */
        cursor.pos[i] = i == k ? id : b->part[i].upper;
        if (i != k) {
            rs_id_lower(&cursor.pos[i], topic->start[i]);
        }
    }
    event = rs_frames_event(&b->source->topics->scratch, e, b->key[k]->stream, id, &cursor);
    if (event) {
        rs_topics_prepend(b->source->topics, topic, event);
    }
    else {
        leave_out(b, topic);
    }
}

static rs_topic_t *find_topic(const rs_backfill_t *b, const rs_entry_t *e)
{
    rs_tenant_t *tenant = rs_tenants_find(b->source, e->tenant.data, e->tenant.len);
    rs_topic_t *topic = tenant ? tenant->topics : NULL;

    while (topic && topic->streams != b->streams) {
        topic = topic->next;
    }
    return topic;
}

static void take(rs_backfill_t *b, int k, rs_id_t id, const redisReply *fields)
{
    char name[RS_NAME_MAX + 1];
    rs_topic_t *topic;
    rs_skip_t reason;
    rs_entry_t e;

    if (!rs_entry_decode(&e, b->key[k], fields, b->source->topics->common->max_message, &reason)) {
        return;
    }
    topic = b->topic ? b->topic : find_topic(b, &e);
    if (topic && topic->starting) {
        count_for_starting(topic, k, id, &e);
    }
    if (rs_topics_are_full(b->source->topics)) {
        b->full = 1;
        leave_out(b, topic);
        return;
    }
    if (!topic) {
        topic = rs_topics_get(b->source->topics, b->source, rs_entry_tenant(&e, name), b->streams);
    }
    if (topic) {
        prepend(b, topic, k, id, &e);
    }
    else {
        leave_out(b, NULL);
    }
}

/* The part whose next entry is the newest of all; -1: none is left; -2: one has to be asked. */
static int next_part(rs_backfill_t *b, rs_id_t *id)
{
    int k, best = -1;

    for (k = 0; k < b->n; k++) {
        part_t *part = &b->part[k];
        const redisReply *e;
        rs_id_t here;

        if (!part->done && part->chunk && part->next == part->chunk->elements) {
            part->done = part->chunk->elements < (size_t)part->asked;
            freeReplyObject(part->chunk);
            part->chunk = NULL;
        }
        if (part->done) {
            continue;
        }
        if (!part->chunk) {
            return -2;
        }
        e = part->chunk->element[part->next];
        if (!rs_stream_entry_id(e, &here)) {
            b->failed = 1;
            return -1;
        }
        if (best < 0 || rs_id_cmp(here, *id) > 0) {
            best = k;
            *id = here;
        }
    }
    return best;
}

/* Between what was taken and the next entries there is nothing: who has those misses no more than
 * the limit. */
static void stop_at_limit(rs_backfill_t *b)
{
    int k;

    b->limited = 1;
    for (k = 0; k < b->n; k++) {
        part_t *part = &b->part[k];

        if (!part->done) {
            (void)rs_stream_entry_id(part->chunk->element[part->next], &part->upper);
        }
    }
}

void rs_backfill_merge(rs_backfill_t *b)
{
    rs_id_t id;
    int k;

    while ((k = next_part(b, &id)) >= 0) {
        part_t *part = &b->part[k];

        if (b->scanned == b->limit) {
            stop_at_limit(b);
            return;
        }
        b->scanned++;
        take(b, k, id, part->chunk->element[part->next++]->element[1]);
        part->upper = rs_id_before(id);
    }
}
