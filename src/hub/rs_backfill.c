/* SPDX-License-Identifier: Apache-2.0
 *
 * One pass backwards over what is missing, for everybody who waits. With several streams their
 * entries are merged, the newest id first, so that a topic's order is by id within the pass and
 * the position in the other streams is known at each step. The hub's thread.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "../redis/rs_history.h"
#include "../redis/rs_loader.h"
#include "rs_backfill.h"
#include "rs_engine.h"

#define CHUNK 512
/* After somebody came back, topics are made for every tenant for so long: the others are coming. */
#define RECORD apr_time_from_sec(30)

typedef struct {
    rs_id_t top;       /* where the pass began */
    rs_id_t upper;     /* everything after this was looked at */
    rs_id_t lower;     /* the oldest position that somebody waits for */
    int done;          /* down to `lower` */
    redisReply *chunk; /* entries, newest first */
    size_t next;       /* in the chunk */
    rs_history_t history;
} part_t;

struct rs_backfill_t {
    rs_job_t job;        /* first */
    rs_backfill_t *next; /* of the same source */
    rs_hub_t *hub;
    rs_source_t *source;
    apr_uint64_t streams;
    int n;
    apr_uint16_t stream[RS_STREAMS_MAX];
    apr_uint32_t fingerprint;
    rs_id_t since[RS_STREAMS_MAX]; /* while recording: topics are complete after this, and tenants
                                    * without one had nothing */
    apr_time_t record_until;
    rs_client_t *waiting; /* for the next pass, linked by msg.next */
    rs_client_t *riding;  /* this pass is for them */
    part_t part[RS_STREAMS_MAX];
    int scanned, limit, limited;
    int failed; /* Redis answered with an error */
    int forgot; /* a topic was forgotten during this pass */
    struct {
        int k;
        int history;             /* XINFO, else entries */
    } asked[2 * RS_STREAMS_MAX]; /* of this round */
    int nasked;
};

/* --- placing a client ---------------------------------------------------------------------------- */

static void pass_start(rs_job_t *job);
static void pass_reply(rs_job_t *job, int n, redisReply **reply, int last);
static void pass_over(rs_job_t *job);
static void pass_down(rs_job_t *job);

static rs_backfill_t *find(rs_hub_t *hub, const rs_topic_t *topic)
{
    rs_source_t *source = topic->source;
    rs_backfill_t *b;

    for (b = source->backfills; b && b->streams != topic->streams; b = b->next) {
    }
    if (!b && (b = calloc(1, sizeof(*b)))) {
        b->hub = hub;
        b->source = source;
        b->streams = topic->streams;
        b->n = topic->nstreams;
        b->fingerprint = topic->fingerprint;
        memcpy(b->stream, topic->stream, sizeof(b->stream));
        b->job.start = pass_start;
        b->job.reply = pass_reply;
        b->job.over = pass_over;
        b->job.down = pass_down;
        b->next = source->backfills;
        source->backfills = b;
    }
    return b;
}

static int recording(const rs_backfill_t *b, apr_time_t now) { return now < b->record_until; }

static void verdict(rs_client_t *client, const char *recovery, const char *reason)
{
    client->recovery = recovery;
    client->reason = reason;
}

/* The number at which the newest `last` events begin that this client wants. */
static apr_uint64_t newest(rs_client_t *client, int last)
{
    rs_topic_t *topic = client->topic;
    apr_uint64_t seq = topic->next_seq; /* the hub's own: no lock */

    while (seq > topic->first && last > 0) {
        seq--;
        last -= rs_client_wants(client, topic->ring[seq & (topic->size - 1)]) != 0;
    }
    return seq;
}

/* At its position; number 0 where the topic does not hold that (it was trimmed meanwhile): then the
 * streamer has it fetched. */
static void place_at(rs_client_t *client)
{
    client->seq = client->profile->start_last && !*client->cursor
                      ? newest(client, client->profile->start_last)
                      : rs_topic_seek(client->topic, &client->resume->own);
}

/* From now on. */
static void place_live(rs_client_t *client)
{
    rs_topic_t *topic = client->topic;
    int k;

    for (k = 0; k < topic->nstreams; k++) {
        client->resume->own.pos[k] = topic->source->at[topic->stream[k]];
    }
    client->seq = rs_topic_next(topic);
}

static int in_memory(const rs_client_t *client)
{
    const rs_topic_t *topic = client->topic;
    int k;

    for (k = 0; k < topic->nstreams; k++) {
        if (rs_id_cmp(client->resume->own.pos[k], topic->source->at[topic->stream[k]]) > 0
            || rs_id_cmp(client->resume->own.pos[k], topic->start[k]) < 0) {
            return 0;
        }
    }
    return 1;
}

/* History is kept from now on, if it is not yet. */
static void record(rs_backfill_t *b, apr_time_t now)
{
    int k;

    for (k = 0; !recording(b, now) && k < b->n; k++) {
        b->since[k] = b->source->at[b->stream[k]];
    }
    b->record_until = now + RECORD;
}

int rs_backfill_place(rs_hub_t *hub, rs_client_t *client)
{
    rs_topic_t *topic = client->topic;
    rs_cursor_t *own = &client->resume->own;
    rs_backfill_t *b;

    own->n = topic->nstreams;
    own->keys = topic->fingerprint;
    verdict(client, "new", NULL);
    if (!*client->cursor && !client->profile->start_last) {
        place_live(client);
        return 1;
    }
    client->resume->announce = 1;
    if (*client->cursor && !rs_cursor_parse(own, client->cursor, strlen(client->cursor))) {
        verdict(client, "reset", "unknown");
        place_live(client);
        return 1;
    }
    if (*client->cursor) {
        verdict(client, "resumed", NULL);
    }
    if (in_memory(client)) {
        place_at(client);
        return 1;
    }
    b = find(hub, topic);
    if (!b) {
        client->refused = "internal";
        return 1;
    }
    record(b, rs_clock_now());
    client->msg.next = (rs_msg_t *)b->waiting;
    b->waiting = client;
    rs_loader_post(b->source->loader, &b->job);
    return 0;
}

void rs_backfill_record(rs_hub_t *hub, rs_source_t *source, const rs_entry_t *e, int stream)
{
    rs_backfill_t *b;
    char name[RS_NAME_MAX + 1];

    for (b = source->backfills; b; b = b->next) {
        if ((b->streams & ((apr_uint64_t)1 << stream)) && recording(b, rs_clock_now())) {
            memcpy(name, e->tenant.data, e->tenant.len);
            name[e->tenant.len] = '\0';
            rs_hub_topic(hub, source, name, b->streams);
        }
    }
}

static rs_backfill_t *of_topic(const rs_topic_t *topic)
{
    rs_backfill_t *b;

    for (b = topic->source->backfills; b && b->streams != topic->streams; b = b->next) {
    }
    return b && recording(b, rs_clock_now()) ? b : NULL;
}

void rs_backfill_made(rs_topic_t *topic)
{
    rs_backfill_t *b = of_topic(topic);
    int k;

    for (k = 0; b && k < b->n; k++) {
        rs_topic_complete_from(topic, k, b->since[k]);
    }
}

void rs_backfill_forgot(const rs_topic_t *topic)
{
    rs_backfill_t *b = of_topic(topic);
    int k;

    for (k = 0; b && k < b->n; k++) {
        b->since[k] = b->source->at[b->stream[k]];
        b->forgot = 1;
    }
}

/* --- the pass ------------------------------------------------------------------------------------ */

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
    const char *argv[] = {"XREVRANGE", b->source->streams[b->stream[k]].key, upper, lower, "COUNT",
                          count};

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
    const char *argv[] = {"XINFO", "STREAM", b->source->streams[b->stream[k]].key};

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
    record(b, rs_clock_now());
    set_range(b);
    b->scanned = b->limit = b->limited = b->failed = b->forgot = b->nasked = 0;
    for (client = b->riding; client; client = (const rs_client_t *)client->msg.next) {
        if (client->profile->replay_limit > b->limit) {
            b->limit = client->profile->replay_limit;
        }
    }
    for (topic = rs_hub_topics(b->hub); topic; topic = topic->newer) {
        topic->trimmed = 0;
    }
    for (k = 0; k < b->n; k++) {
        if (!b->part[k].done) {
            ask_entries(b, k);
        }
        ask_history(b, k);
    }
}

static void prepend(rs_backfill_t *b, int k, rs_id_t id, const redisReply *fields)
{
    const rs_stream_t *stream = &b->source->streams[b->stream[k]];
    char name[RS_NAME_MAX + 1];
    rs_topic_t *topic;
    rs_event_t *event;
    rs_cursor_t cursor;
    rs_skip_t reason;
    rs_entry_t e;
    int i;

    if (!rs_entry_decode(&e, stream, fields, rs_hub_max_message(b->hub), &reason)) {
        return;
    }
    memcpy(name, e.tenant.data, e.tenant.len);
    name[e.tenant.len] = '\0';
    topic = rs_hub_topic(b->hub, b->source, name, b->streams);
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
    event = rs_entry_frame(rs_hub_scratch(b->hub), &e, b->stream[k], id, &cursor);
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
        if (e->type != REDIS_REPLY_ARRAY || e->elements != 2
            || e->element[0]->type != REDIS_REPLY_STRING
            || !rs_id_parse(&here, e->element[0]->str, (size_t)e->element[0]->len)) {
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

        if (b->scanned == b->limit || rs_hub_is_full(b->hub)) {
            b->limited = 1;
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

static void pass_reply(rs_job_t *job, int n, redisReply **reply, int last)
{
    rs_backfill_t *b = (rs_backfill_t *)job;
    part_t *part = &b->part[b->asked[n].k];

    if (b->asked[n].history) {
        b->failed |= !rs_history_parse(&part->history, *reply);
    }
    else if ((*reply)->type == REDIS_REPLY_ARRAY) {
        part->chunk = *reply;
        part->next = 0;
        *reply = NULL;
    }
    else {
        b->failed = 1;
    }
    if (last && !b->failed) {
        merge(b);
    }
}

/* --- the end of a pass ------------------------------------------------------------------------------ */

static void drop_chunks(rs_backfill_t *b)
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
        client->refused = "redis_unavailable";
        rs_hub_attach(hub, client);
    }
}

static void settle(rs_backfill_t *b, rs_client_t *client)
{
    const rs_id_t *own = client->resume->own.pos;
    const char *reason = NULL;
    int k;

    for (k = 0; k < b->n && *client->cursor; k++) {
        rs_gap_t gap = rs_history_gap(&b->part[k].history, own[k]);

        if (gap == RS_GAP_REDIS_RESET) {
            verdict(client, "reset", "redis_reset");
            place_live(client);
            return;
        }
        if (b->limited && rs_id_cmp(own[k], b->part[k].upper) < 0) {
            reason = "limit";
            client->resume->own.pos[k] = b->part[k].upper;
        }
        else if (gap == RS_GAP_TRIMMED && rs_id_cmp(own[k], b->part[k].top) < 0 && !reason) {
            reason = "trimmed";
        }
    }
    if (reason) {
        verdict(client, "reset", reason);
        if (b->n == 1) {
            client->first = b->part[0].history.first;
        }
    }
    place_at(client);
}

static void pass_over(rs_job_t *job)
{
    rs_backfill_t *b = (rs_backfill_t *)job;
    rs_client_t *client, *next;
    rs_topic_t *topic;
    int k;

    drop_chunks(b);
    if (b->failed) {
        refuse_all(b->hub, b->riding);
        b->riding = NULL;
    }
    for (k = 0; !b->failed && k < b->n; k++) {
        rs_id_t reached = b->limited ? b->part[k].upper : b->part[k].lower;

        if (!b->forgot) {
            lower_to(&b->since[k], reached);
        }
        for (topic = rs_hub_topics(b->hub); topic; topic = topic->newer) {
            if (topic->source == b->source && topic->streams == b->streams && !topic->trimmed
                && rs_id_cmp(topic->start[k], b->part[k].top) <= 0) {
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

    drop_chunks(b);
    refuse_all(b->hub, b->riding);
    refuse_all(b->hub, b->waiting);
    b->riding = b->waiting = NULL;
}

void rs_backfill_close(rs_source_t *source)
{
    rs_backfill_t *b;

    while ((b = source->backfills)) {
        source->backfills = b->next;
        drop_chunks(b);
        free(b);
    }
}
