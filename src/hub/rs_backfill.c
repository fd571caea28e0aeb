/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a client starts, and for which tenants history is kept. The hub's thread.
 */
#include <stdlib.h>
#include <string.h>

#include "../base/rs_clock.h"
#include "rs_backfill_int.h"

/* After somebody came back, topics are made for every tenant for so long: the others are coming. */
#define RECORD apr_time_from_sec(30)

/* --- placing a client --- */

static rs_backfill_t *create(rs_hub_t *hub, rs_topic_t *topic)
{
    rs_source_t *source = topic->source;
    rs_backfill_t *b = calloc(1, sizeof(*b));

    if (b) {
        b->hub = hub;
        b->source = source;
        b->streams = topic->streams;
        b->n = topic->nstreams;
        b->fingerprint = topic->fingerprint;
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

/* RaglineStart: at the newest events that the client wants, and its position right before them. */
static void place_at_newest(rs_client_t *client)
{
    rs_topic_t *topic = client->topic;

    client->seq = newest(client, client->profile->start_last);
    if (topic->nstreams == 1) {
        client->resume->own.pos[0] =
            client->seq < topic->next_seq
                ? rs_id_before(topic->ring[client->seq & (topic->size - 1)]->id)
                : topic->key[0]->at;
    }
}

/* At its position; number 0 where the topic does not hold that (it was trimmed meanwhile): then the
 * streamer has it fetched. */
void rs_backfill_place_at(rs_client_t *client)
{
    if (client->profile->start_last && !client->resuming) {
        place_at_newest(client);
    }
    else {
        client->seq = rs_topic_seek(client->topic, &client->resume->own);
    }
}

/* From now on. */
void rs_backfill_place_live(rs_client_t *client)
{
    rs_topic_t *topic = client->topic;
    int k;

    for (k = 0; k < topic->nstreams; k++) {
        client->resume->own.pos[k] = topic->key[k]->at;
    }
    client->seq = rs_topic_next(topic);
}

static int in_memory(const rs_client_t *client)
{
    const rs_topic_t *topic = client->topic;
    int k;

    for (k = 0; k < topic->nstreams; k++) {
        /* Once a stream was replaced, an id may be one of the old stream: Redis has to tell. */
        if (topic->key[k]->replaced || rs_id_cmp(client->resume->own.pos[k], topic->key[k]->at) > 0
            || rs_id_cmp(client->resume->own.pos[k], topic->start[k]) < 0) {
            return 0;
        }
    }
    return 1;
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
        rs_backfill_verdict(client, "reset", "limit");
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
        b->since[k] = b->key[k]->at;
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
    rs_backfill_verdict(client, "new", NULL);
    if (!*client->cursor && !client->resuming && !client->profile->start_last) {
        rs_backfill_place_live(client);
        return 1;
    }
    client->resume->announce = 1;
    if (*client->cursor && !rs_cursor_parse(own, client->cursor, strlen(client->cursor))) {
        rs_backfill_verdict(client, "reset", "unknown");
        rs_backfill_place_live(client);
        return 1;
    }
    client->resuming |= *client->cursor != '\0';
    if (client->resuming) {
        rs_backfill_verdict(client, "resumed", NULL);
    }
    b = of_topic(topic);
    if (b) {
        apply_known_limit(b, client);
    }
    if (in_memory(client)) {
        rs_backfill_place_at(client);
        return 1;
    }
    if (!b && !(b = create(hub, topic))) {
        client->refused = "internal";
        return 1;
    }
    rs_backfill_keep(b, rs_clock_now());
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
        if ((b->streams & ((apr_uint64_t)1 << stream)) && recording(b, rs_hub_now(hub))) {
            rs_hub_topic(hub, source, rs_entry_tenant(e, name), b->streams);
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
    if (b && b->riding && b->forgot) {
        topic->trimmed = 1; /* the pass that is under way has gone by some of its events */
    }
}

void rs_backfill_forgot(rs_topic_t *topic)
{
    rs_backfill_t *b = of_topic(topic);
    int k;

    if (b && b->topic) {
        topic->backfill = NULL;
        rs_backfill_drop_chunks(b);
        free(b);
        return;
    }
    for (k = 0; b && recording(b, rs_clock_now()) && k < b->n; k++) {
        b->since[k] = b->key[k]->at;
        b->forgot = 1;
    }
}

void rs_backfill_broken(const rs_key_t *key)
{
    rs_topic_t *topic;
    rs_backfill_t *b;
    int k;

    for (topic = key->tenant ? key->tenant->topics : NULL; topic; topic = topic->next) {
        if (topic->backfill) {
            topic->backfill->known_limit = 0;
        }
    }
    for (b = key->source->backfills; b; b = b->next) {
        for (k = 0; k < b->n; k++) {
            if (b->key[k] == key) {
                b->since[k] = key->at;
                b->forgot = 1;
                b->known_limit = 0;
            }
        }
    }
}

void rs_backfill_close(rs_source_t *source)
{
    rs_backfill_t *b;

    while ((b = source->backfills)) {
        source->backfills = b->next;
        rs_backfill_drop_chunks(b);
        free(b);
    }
}
