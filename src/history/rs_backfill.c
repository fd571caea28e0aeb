/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a client starts, and for which tenants history is kept. The hub's thread.
 */
#include <stdlib.h>
#include <string.h>

#include "../base/rs_clock.h"
#include "../log/rs_ended.h"
#include "rs_backfill_int.h"

/* After somebody came back, topics are made for every tenant for so long: the others are coming. */
#define RECORD apr_time_from_sec(30)

/* --- placing a client --- */

static rs_backfill_t *create(rs_topic_t *topic)
{
    rs_source_t *source = topic->source;
    rs_backfill_t *b = calloc(1, sizeof(*b));

    if (b) {
        b->source = source;
        b->streams = topic->streams;
        b->n = topic->nstreams;
        memcpy(b->key, topic->key, sizeof(b->key));
        rs_backfill_pass_init(&b->job);
    }
    if (b && rs_topic_is_own(topic)) {
        b->topic = topic;
        topic->backfill = b;
    }
    else if (b) {
        b->next = source->backfills;
        source->backfills = b;
    }
    return b;
}

static rs_backfill_t *of_topic(const rs_topic_t *topic)
{
    rs_backfill_t *b;

    if (rs_topic_is_own(topic)) {
        return topic->backfill;
    }
    for (b = topic->source->backfills; b && b->streams != topic->streams; b = b->next) {
    }
    return b;
}

static int recording(const rs_backfill_t *b, apr_time_t now) { return now < b->record_until; }

void rs_backfill_verdict(rs_client_t *client, const char *recovery, const char *reason)
{
    client->recovery = recovery;
    client->reason = reason;
}

/* RaglineStart since: it is placed as if it had come with an id of that time. But it never had
 * anything, so nothing is missing that it would have to be told of. */
static int starts_at_time(const rs_client_t *client)
{
    return client->profile->start_since && !*client->cursor;
}

/* An id that is none stays the reason, whatever becomes of the place it was given instead. */
void rs_backfill_reset(rs_client_t *client, const char *reason)
{
    if (!starts_at_time(client) && (!client->reason || strcmp(client->reason, "unknown") != 0)) {
        rs_backfill_verdict(client, "reset", reason);
    }
}

/* At its position; number 0 where the topic does not hold that: then the streamer has it fetched.
 */
static void place_at(rs_client_t *client)
{
    client->seq = rs_topic_seek(client->topic, &client->resume->own, &client->resume->front);
}

/* From now on. */
static void place_live(rs_client_t *client)
{
    rs_topic_t *topic = client->topic;
    int k;

    for (k = 0; k < topic->nstreams; k++) {
        client->resume->own.pos[k] = topic->key[k]->now.at;
    }
    client->seq = rs_topic_next(topic);
}

/* RaglineStart: right before the newest events that the client wants, if they are all in memory. */
static int place_at_newest(rs_client_t *client)
{
    rs_topic_t *topic = client->topic;
    apr_uint64_t seq = topic->next_seq; /* the hub's own: no lock */
    int want = client->profile->start_last;

    place_live(client);
    while (seq > topic->first && want > 0) {
        const rs_event_t *e = topic->ring[--seq & (topic->size - 1)];

        if (e->notice != RS_NOTICE_GAP && rs_client_wants(client, e)) {
            client->resume->own.pos[rs_topic_k(topic, e->stream)] = rs_id_before(e->id);
            want--;
        }
    }
    place_at(client);
    return want == 0 && client->seq;
}

/* RaglineStart since: after what is older. A stream that holds nothing newer begins where it ends,
 * which no entry is waited for to reach. */
static void place_at_time(rs_client_t *client)
{
    rs_topic_t *topic = client->topic;
    rs_id_t at = {(apr_uint64_t)apr_time_as_msec(apr_time_now() - client->profile->start_since), 0};
    int k;

    for (k = 0; k < topic->nstreams; k++) {
        client->resume->own.pos[k] = rs_id_before(at);
        rs_id_lower(&client->resume->own.pos[k], topic->key[k]->now.at);
    }
}

void rs_backfill_judge(rs_client_t *client, const rs_history_t *history)
{
    rs_cursor_t *own = &client->resume->own;
    rs_id_t first;
    unsigned came = RS_VERDICT_CAME;
    rs_verdict_kind_t kind =
        rs_verdict_hub(client->topic, client->topic->start, own, &came, history, &first);

    if (kind > RS_VERDICT_ASK) {
        if (!client->reason || kind == RS_VERDICT_LOST) {
            rs_backfill_reset(client, rs_verdict_reason(kind));
        }
        if (!starts_at_time(client)) {
            client->first = first;
        }
    }
    place_at(client);
}

/* It may have what this child has yet to read; or what Redis has lost. */
static int is_ahead(const rs_client_t *client)
{
    const rs_topic_t *topic = client->topic;
    int k;

    for (k = 0; k < topic->nstreams; k++) {
        if (rs_id_cmp(client->resume->own.pos[k], topic->key[k]->now.at) > 0) {
            return 1;
        }
    }
    return 0;
}

/* Who was more than its limit behind the last time is so again: nothing is looked through for that
 * a second time, however often it comes back with an old id. */
static void apply_known_limit(const rs_backfill_t *b, rs_client_t *client)
{
    rs_id_t *own = client->resume->own.pos;
    int k, beyond = 0;

    for (k = 0; client->profile->replay_limit <= b->known_limit && k < b->n; k++) {
        if (rs_id_cmp(own[k], b->limit_at[k]) < 0) {
            own[k] = b->limit_at[k];
            beyond = 1;
        }
    }
    if (beyond && client->resuming) {
        rs_backfill_reset(client, "limit");
    }
}

/* History is kept from now on, if it is not yet. */
void rs_backfill_keep(rs_backfill_t *b, apr_time_t now)
{
    int k;

    if (b->topic) {
        return; /* nobody else reads these keys */
    }
    for (k = 0; !recording(b, now) && k < b->n; k++) {
        b->since[k] = b->key[k]->now.at;
    }
    b->record_until = now + RECORD;
}

static int wait_for_pass(rs_client_t *client)
{
    rs_backfill_t *b = of_topic(client->topic);

    if (!b && !(b = create(client->topic))) {
        client->refused = "internal";
        return 1;
    }
    rs_backfill_keep(b, rs_clock_now());
    client->msg.next = (rs_msg_t *)b->waiting;
    b->waiting = client;
    rs_backfill_sweep(client->topic);
    return 0;
}

int rs_backfill_reads(rs_client_t *client)
{
    rs_cursor_t *own = &client->resume->own;

    own->n = client->topic->nstreams;
    own->tags = &client->topic->tags;
    place_live(client); /* streams that the id does not know begin now */
    if (!rs_cursor_parse(own, client->cursor, strlen(client->cursor))) {
        return 0;
    }
    client->resume->ended = rs_ended_since(client->topic, own, apr_time_now());
    return 1;
}

int rs_backfill_place(rs_client_t *client)
{
    rs_topic_t *topic = client->topic;
    rs_backfill_t *b;

    client->resume->own.n = topic->nstreams;
    client->resume->own.tags = &topic->tags;
    rs_backfill_verdict(client, client->reason ? "reset" : "new", client->reason);
    if (starts_at_time(client)) {
        place_at_time(client);
        client->resuming = 1;
    }
    client->resume->announce =
        *client->cursor || client->reason || client->resuming || client->profile->start_last;
    if (!*client->cursor && !client->resuming && !client->profile->start_last) {
        place_live(client);
        return 1;
    }
    if (*client->cursor && !client->resuming) {
        if (!rs_backfill_reads(client)) {
            rs_backfill_verdict(client, "reset", "unknown");
            place_live(client);
            return 1;
        }
        client->resuming = 1;
    }
    if (!client->resuming) {
        return place_at_newest(client) || wait_for_pass(client);
    }
    if (!client->reason && !starts_at_time(client)) {
        rs_backfill_verdict(client, "resumed", NULL);
    }
    if (client->resume->ended) {
        rs_backfill_reset(client, "trimmed");
    }
    b = of_topic(topic);
    if (b) {
        apply_known_limit(b, client);
    }
    rs_backfill_judge(client, NULL);
    return (client->seq && !is_ahead(client)) || wait_for_pass(client);
}

void rs_backfill_record(rs_source_t *source, const rs_entry_t *e, int stream)
{
    rs_backfill_t *b;
    char name[RS_NAME_MAX + 1];

    for (b = source->backfills; b; b = b->next) {
        if ((b->streams & ((apr_uint64_t)1 << stream)) && recording(b, source->topics->now)) {
            rs_topics_get(source->topics, source, rs_entry_tenant(e, name), b->streams);
        }
    }
}

void rs_backfill_made(rs_topic_t *topic)
{
    rs_backfill_t *b = of_topic(topic);
    int k;

    for (k = 0; b && recording(b, rs_clock_now()) && k < b->n; k++) {
        rs_topic_complete_from(topic, k, b->since[k]);
    }
    if (b && rs_backfill_is_on(b) && b->forgot) {
        topic->trimmed = 1; /* the pass that is under way has gone by some of its events */
    }
}

void rs_backfill_forgot(rs_topic_t *topic)
{
    rs_backfill_t *b = of_topic(topic);
    int k;

    if (b && b->topic) {
        topic->backfill = NULL;
        rs_backfill_refuse(b);
        free(b);
        return;
    }
    for (k = 0; b && recording(b, rs_clock_now()) && k < b->n; k++) {
        b->since[k] = b->key[k]->now.at;
        b->forgot = 1;
    }
}

/* What is known of a key begins anew, at this id; where the ids before it mean nothing, so does
 * what was found out of them. */
static void begin_anew(rs_backfill_t *b, const rs_key_t *key, rs_id_t at, int broken)
{
    int k;

    for (k = 0; k < b->n; k++) {
        if (b->key[k] == key) {
            b->since[k] = broken || rs_id_cmp(at, b->since[k]) > 0 ? at : b->since[k];
            b->forgot = 1;
            if (broken) {
                b->broken = 1;
                b->known_limit = 0;
            }
        }
    }
}

static void each_begins_anew(const rs_key_t *key, rs_id_t at, int broken)
{
    rs_topic_t *topic;
    rs_backfill_t *b;

    for (topic = key->tenant ? key->tenant->topics : NULL; topic; topic = topic->next) {
        if (topic->backfill) {
            begin_anew(topic->backfill, key, at, broken);
        }
    }
    for (b = key->source->backfills; b; b = b->next) {
        begin_anew(b, key, at, broken);
    }
}

void rs_backfill_broken(const rs_key_t *key) { each_begins_anew(key, key->now.at, 1); }

void rs_backfill_begins(const rs_key_t *key) { each_begins_anew(key, key->now.at, 0); }

void rs_backfill_gap(const rs_key_t *key) { each_begins_anew(key, key->now.gap, 0); }

void rs_backfill_sweep(rs_topic_t *topic)
{
    rs_backfill_t *b = of_topic(topic);
    const rs_client_t *client;

    for (client = b ? b->waiting : NULL; client; client = (const rs_client_t *)client->msg.next) {
        if (client->topic == topic && rs_clock_now() >= topic->pass_after) {
            rs_loader_post(b->source->loader, &b->queue, &b->job);
            return;
        }
    }
}

void rs_backfill_close(rs_source_t *source)
{
    rs_backfill_t *b;

    while ((b = source->backfills)) {
        source->backfills = b->next;
        rs_backfill_refuse(b);
        free(b);
    }
}
