/* SPDX-License-Identifier: Apache-2.0
 *
 * One pass backwards over what is missing, for everybody who waits. With several streams their
 * entries are merged, the newest id first, so that a topic's order is by id within the pass and
 * the position in the other streams is known at each step. The hub's thread.
 */
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_clock.h"
#include "../redis/rs_stream_reply.h"
#include "rs_backfill_int.h"

#define CHUNK 512

/* --- the pass --- */

static rs_topic_t *first_from(const rs_backfill_t *b, rs_topic_t *topic)
{
    while (topic && (topic->source != b->source || topic->streams != b->streams)) {
        topic = topic->newer;
    }
    return topic;
}

/* The topics that it is about: a pass of another source or set may be under way. */
static rs_topic_t *first_topic(const rs_backfill_t *b)
{
    return b->topic ? b->topic : first_from(b, rs_hub_topics(b->hub));
}

static rs_topic_t *next_topic(const rs_backfill_t *b, const rs_topic_t *topic)
{
    return b->topic ? NULL : first_from(b, topic->newer);
}

static void raise_to(rs_id_t *id, rs_id_t other)
{
    if (rs_id_cmp(other, *id) > 0) {
        *id = other;
    }
}

static void lower_to(rs_id_t *id, rs_id_t other)
{
    if (rs_id_cmp(other, *id) < 0) {
        *id = other;
    }
}

/* From the newest position at which a topic of these clients is not complete down to the oldest
 * that one of them brought. */
static void set_range(rs_backfill_t *b)
{
    const rs_client_t *client;
    int k;

    for (k = 0; k < b->n; k++) {
        part_t *part = &b->part[k];

        memset(part, 0, sizeof(*part));
        part->top = b->since[k];
        for (client = b->riding; client; client = (const rs_client_t *)client->msg.next) {
            raise_to(&part->top, client->topic->start[k]);
        }
        part->upper = part->lower = part->top;
        for (client = b->riding; client; client = (const rs_client_t *)client->msg.next) {
            lower_to(&part->lower, client->resume->own.pos[k]);
        }
        part->done = rs_id_cmp(part->lower, part->upper) >= 0;
    }
}

static void ask_entries(rs_backfill_t *b, int k)
{
    const part_t *part = &b->part[k];
    char upper[RS_ID_LEN], lower[RS_ID_LEN], count[24];
    const char *argv[] = {"XREVRANGE", b->key[k]->name, upper, lower, "COUNT", count};

    rs_id_format(upper, part->upper);
    rs_id_format(lower, rs_id_after(part->lower));
    apr_snprintf(count, sizeof(count), "%d", CHUNK);
    b->asked[b->nasked].k = k;
    b->asked[b->nasked++].history = 0;
    rs_loader_ask(b->source->loader, RS_ARRAY_LEN(argv), argv);
}

/* After the entries, so that what was there when they were read is not taken for trimmed. */
static void ask_history(rs_backfill_t *b, int k)
{
    const char *argv[] = {"XINFO", "STREAM", b->key[k]->name};

    b->asked[b->nasked].k = k;
    b->asked[b->nasked++].history = 1;
    rs_loader_ask(b->source->loader, RS_ARRAY_LEN(argv), argv);
}

static void pass_start(rs_job_t *job)
{
    rs_backfill_t *b = (rs_backfill_t *)job;
    const rs_client_t *client;
    rs_topic_t *topic;
    int k;

    b->riding = b->waiting;
    b->waiting = NULL;
    rs_backfill_keep(b, rs_clock_now());
    set_range(b);
    b->scanned = b->limit = b->limited = b->failed = b->forgot = b->nasked = 0;
    for (client = b->riding; client; client = (const rs_client_t *)client->msg.next) {
        if (client->profile->replay_limit > b->limit) {
            b->limit = client->profile->replay_limit;
        }
    }
    for (topic = first_topic(b); topic; topic = next_topic(b, topic)) {
        topic->trimmed = 0;
    }
    for (k = 0; k < b->n; k++) {
        if (!b->part[k].done) {
            ask_entries(b, k);
        }
        ask_history(b, k);
    }
}

/* No memory is left: the pass goes on, since it has to find out who is more than the limit
 * behind, but keeps nothing more of this tenant. Its readers fetch that by themselves, each as
 * far as it reads. */
static void leave_to_its_readers(rs_backfill_t *b, const rs_entry_t *e)
{
    rs_tenant_t *tenant = rs_tenants_find(b->source, e->tenant.data, e->tenant.len);
    rs_topic_t *topic;

    for (topic = tenant ? tenant->topics : NULL; topic; topic = topic->next) {
        topic->trimmed |= topic->streams == b->streams;
    }
    b->forgot = 1; /* tenants without a topic may have had something */
}

static void prepend(rs_backfill_t *b, int k, rs_id_t id, const redisReply *fields)
{
    char name[RS_NAME_MAX + 1];
    rs_topic_t *topic;
    rs_event_t *event;
    rs_cursor_t cursor;
    rs_skip_t reason;
    rs_entry_t e;
    int i;

    if (!rs_entry_decode(&e, b->key[k], fields, rs_hub_max_message(b->hub), &reason)) {
        return;
    }
    if (rs_hub_is_full(b->hub)) {
        leave_to_its_readers(b, &e);
        return;
    }
    topic = b->topic ? b->topic
                     : rs_hub_topic(b->hub, b->source, rs_entry_tenant(&e, name), b->streams);
    b->forgot |= !topic;
    if (!topic || topic->trimmed || rs_id_cmp(id, topic->start[k]) > 0) {
        return; /* it has this one, or has begun to forget */
    }
    if (rs_id_cmp(topic->start[k], b->part[k].top) > 0) {
        topic->trimmed = 1; /* what is between here and its start was not read */
        return;
    }
    cursor.n = b->n;
    cursor.keys = b->fingerprint;
    for (i = 0; i < b->n; i++) {
        /* What is after its start stands behind this event. */
        cursor.pos[i] = i == k ? id : b->part[i].upper;
        if (i != k) {
            lower_to(&cursor.pos[i], topic->start[i]);
        }
    }
    event = rs_entry_frame(rs_hub_scratch(b->hub), &e, b->key[k]->stream, id, &cursor);
    if (event) {
        rs_hub_prepend(b->hub, topic, event);
    }
    else {
        topic->trimmed = 1;
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
            part->done = part->chunk->elements < CHUNK;
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
            part->done = 1;
            continue;
        }
        if (best < 0 || rs_id_cmp(here, *id) > 0) {
            best = k;
            *id = here;
        }
    }
    return best;
}

/* Works off what is there; asks for more, or leaves nothing asked when the pass is over. */
static void merge(rs_backfill_t *b)
{
    rs_id_t id;
    int k;

    while ((k = next_part(b, &id)) >= 0) {
        part_t *part = &b->part[k];

        b->limited = b->scanned == b->limit;
        if (b->limited) {
            return;
        }
        b->scanned++;
        prepend(b, k, id, part->chunk->element[part->next++]->element[1]);
        part->upper = rs_id_before(id);
    }
    b->nasked = 0;
    for (k = 0; k < b->n; k++) {
        if (!b->part[k].done && !b->part[k].chunk) {
            ask_entries(b, k);
            ask_history(b, k);
        }
    }
}

/* A key that is not a stream is one that is not there. */
static int is_other_type(const redisReply *reply) { return rs_reply_is_error(reply, "WRONGTYPE"); }

static void pass_reply(rs_job_t *job, int n, redisReply **reply, int last)
{
    rs_backfill_t *b = (rs_backfill_t *)job;
    part_t *part = &b->part[b->asked[n].k];

    if (b->asked[n].history) {
        b->failed |= !rs_history_parse(&part->history, *reply) && !is_other_type(*reply);
    }
    else if ((*reply)->type == REDIS_REPLY_ARRAY) {
        part->chunk = *reply;
        part->next = 0;
        *reply = NULL;
    }
    else if (is_other_type(*reply)) {
        part->done = 1;
    }
    else {
        b->failed = 1;
    }
    if (last && !b->failed) {
        merge(b);
    }
}

/* --- the end of a pass --- */

void rs_backfill_drop_chunks(rs_backfill_t *b)
{
    int k;

    for (k = 0; k < b->n; k++) {
        if (b->part[k].chunk) {
            freeReplyObject(b->part[k].chunk);
            b->part[k].chunk = NULL;
        }
    }
}

static void refuse_all(rs_hub_t *hub, rs_client_t *client)
{
    rs_client_t *next;

    for (; client; client = next) {
        next = (rs_client_t *)client->msg.next;
        rs_hub_refuse(hub, client);
    }
}

static void settle(rs_backfill_t *b, rs_client_t *client)
{
    const rs_id_t *own = client->resume->own.pos;
    const char *reason = client->reason;
    int k;

    for (k = 0; k < b->n && client->resuming; k++) {
        rs_gap_t gap = rs_history_gap(&b->part[k].history, own[k]);

        if (gap == RS_GAP_REDIS_RESET) {
            rs_backfill_verdict(client, "reset", "redis_reset");
            rs_backfill_place_live(client);
            return;
        }
        if (b->limited && rs_id_cmp(own[k], b->part[k].upper) < 0) {
            reason = "limit";
            client->resume->own.pos[k] = b->part[k].upper;
        }
        else if (gap == RS_GAP_TRIMMED && !reason
                 && (rs_id_cmp(own[k], b->part[k].top) < 0 || b->key[k]->replaced)) {
            reason = "trimmed";
        }
    }
    if (reason) {
        rs_backfill_verdict(client, "reset", reason);
        if (b->n == 1) {
            client->first = b->part[0].history.first;
        }
    }
    rs_backfill_place_at(client);
}

static void pass_over(rs_job_t *job)
{
    rs_backfill_t *b = (rs_backfill_t *)job;
    rs_client_t *client, *next;
    rs_topic_t *topic;
    int k;

    rs_backfill_drop_chunks(b);
    if (b->failed) {
        refuse_all(b->hub, b->riding);
        b->riding = NULL;
    }
    for (k = 0; !b->failed && k < b->n; k++) {
        rs_id_t reached = b->limited ? b->part[k].upper : b->part[k].lower;

        if (b->limited) {
            b->limit_at[k] = reached;
            b->known_limit = b->limit;
        }
        if (!b->forgot) {
            lower_to(&b->since[k], reached);
        }
        for (topic = first_topic(b); topic; topic = next_topic(b, topic)) {
            if (!topic->trimmed && rs_id_cmp(topic->start[k], b->part[k].top) <= 0) {
                rs_topic_complete_from(topic, k, reached);
            }
        }
    }
    for (client = b->riding; client; client = next) {
        next = (rs_client_t *)client->msg.next;
        settle(b, client);
        rs_hub_attach(b->hub, client);
    }
    b->riding = NULL;
    if (b->waiting) {
        rs_loader_post(b->source->loader, job);
    }
}

static void pass_down(rs_job_t *job)
{
    rs_backfill_t *b = (rs_backfill_t *)job;

    rs_backfill_drop_chunks(b);
    refuse_all(b->hub, b->riding);
    refuse_all(b->hub, b->waiting);
    b->riding = b->waiting = NULL;
}

void rs_backfill_pass_init(rs_job_t *job)
{
    job->start = pass_start;
    job->reply = pass_reply;
    job->over = pass_over;
    job->down = pass_down;
}
