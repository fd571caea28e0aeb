/* SPDX-License-Identifier: Apache-2.0
 *
 * Forward reads for one reader. The streamer makes and frees, the hub's thread does the rest.
 */
#include <stdlib.h>

#include <apr_strings.h>

#include "../redis/rs_stream_reply.h"
#include "rs_entry.h"
#include "rs_fetch.h"
#include "rs_hub.h"

#define CHUNK 256
/* Of an answer; most of its entries may be of other tenants. */
#define ANSWER_BYTES (4 * RS_FETCH_BYTES)

static rs_fetch_t *of(rs_job_t *job)
{
    return (rs_fetch_t *)((char *)job - offsetof(rs_fetch_t, job));
}

static void start(rs_job_t *job)
{
    rs_fetch_t *f = of(job);
    rs_source_t *source = f->topic->source;
    int k;

    for (k = 0; k < f->topic->nstreams; k++) {
        const char *key = f->topic->key[k]->name;
        char from[RS_ID_LEN], count[24];
        const char *range[] = {"XRANGE", key, from, "+", "COUNT", count};
        const char *info[] = {"XINFO", "STREAM", key};

        f->asked[k] = rs_batch_ask(&source->streams[f->topic->stream[k]].size, CHUNK);
        apr_snprintf(count, sizeof(count), "%d", f->asked[k]);
        rs_id_format(from, rs_id_after(f->own.pos[k]));
        rs_loader_ask(source->loader, RS_ARRAY_LEN(range), range);
        rs_loader_ask(source->loader, RS_ARRAY_LEN(info), info);
    }
}

static int keep(rs_fetch_t *f, int k, rs_id_t id, const redisReply *fields, size_t *bytes)
{
    int stream = f->topic->stream[k];
    rs_skip_t reason;
    rs_event_t *event;
    rs_entry_t e;

    f->own.pos[k] = id;
    if (!rs_entry_decode(&e, f->topic->key[k], fields, rs_hub_max_message(f->hub), &reason)
        || e.tenant.len != strlen(f->tenant)
        || memcmp(e.tenant.data, f->tenant, e.tenant.len) != 0) {
        return 1;
    }
    event = rs_entry_frame(rs_hub_scratch(f->hub), &e, stream, id, &f->own);
    if (!event) {
        f->failed = 1;
        return 0;
    }
    f->events[f->n++] = event;
    *bytes += event->len;
    return f->n < RS_FETCH_MAX && *bytes < RS_FETCH_BYTES;
}

/* In the order of their ids, as far as every stream is known. */
static void merge(rs_fetch_t *f)
{
    size_t at[RS_STREAMS_MAX] = {0}, bytes = 0;

    for (;;) {
        rs_id_t id = {0, 0}, best_id = {0, 0};
        int k, best = -1;

        for (k = 0; k < f->topic->nstreams; k++) {
            const redisReply *chunk = f->chunk[k];

            if (!chunk || at[k] == chunk->elements) {
                if (chunk && chunk->elements == (size_t)f->asked[k]) {
                    return; /* there may be more of this one before what others have */
                }
                continue;
            }
            if (!rs_stream_entry_id(chunk->element[at[k]], &id)) {
                f->failed = 1;
                return;
            }
            if (best < 0 || rs_id_cmp(id, best_id) < 0) {
                best = k;
                best_id = id;
            }
        }
        if (best < 0
            || !keep(f, best, best_id, f->chunk[best]->element[at[best]++]->element[1], &bytes)) {
            return;
        }
    }
}

static void judge(rs_fetch_t *f)
{
    int k;

    for (k = 0; k < f->topic->nstreams; k++) {
        rs_gap_t gap = rs_history_gap(&f->history[k], f->own.pos[k]);

        if (gap > f->gap) {
            f->gap = gap;
            f->first = f->history[k].first;
        }
        if (gap == RS_GAP_REDIS_RESET) {
            /* The old ids mean nothing any more: go on from what the hub reads now. */
            f->own.pos[k] = f->topic->key[k]->at;
            if (f->chunk[k]) {
                freeReplyObject(f->chunk[k]);
                f->chunk[k] = NULL;
            }
        }
    }
}

static void learn_size(rs_fetch_t *f, int k)
{
    rs_batch_t *size = &f->topic->source->streams[f->topic->stream[k]].size;
    size_t i;

    for (i = 0; i < f->chunk[k]->elements; i++) {
        const redisReply *e = f->chunk[k]->element[i];

        if (e->type == REDIS_REPLY_ARRAY && e->elements == 2) {
            rs_batch_see(size, e->element[1]);
        }
    }
    rs_batch_learn(size, (size_t)f->topic->nstreams, ANSWER_BYTES);
}

static void reply(rs_job_t *job, int n, redisReply **r, int last)
{
    rs_fetch_t *f = of(job);
    int k = n / 2;

    if (n % 2) {
        f->failed |= !rs_history_parse(&f->history[k], *r);
    }
    else if ((*r)->type == REDIS_REPLY_ARRAY) {
        f->chunk[k] = *r;
        *r = NULL;
        learn_size(f, k);
    }
    else {
        f->failed = 1;
    }
    if (last && !f->failed) {
        judge(f);
        merge(f);
    }
}

static void drop_chunks(rs_fetch_t *f)
{
    int k;

    for (k = 0; k < RS_STREAMS_MAX; k++) {
        if (f->chunk[k]) {
            freeReplyObject(f->chunk[k]);
            f->chunk[k] = NULL;
        }
    }
}

static void over(rs_job_t *job)
{
    rs_fetch_t *f = of(job);

    drop_chunks(f);
    rs_hub_fetched(f->hub, f);
}

static void down(rs_job_t *job)
{
    of(job)->failed = 1;
    over(job);
}

rs_fetch_t *rs_fetch_create(rs_client_t *client, rs_streamer_t *streamer, rs_hub_t *hub)
{
    rs_fetch_t *f = calloc(1, sizeof(*f));

    if (f) {
        f->client = client;
        f->streamer = streamer;
        f->hub = hub;
        f->topic = client->topic;
        f->tenant = ((rs_tenant_t *)client->topic->owner)->name;
        f->own = client->resume->own;
    }
    return f;
}

void rs_fetch_free(rs_fetch_t *f)
{
    drop_chunks(f);
    while (f->n) {
        rs_event_drop(f->events[--f->n]);
    }
    free(f);
}

void rs_fetch_run(rs_fetch_t *f)
{
    f->job.start = start;
    f->job.reply = reply;
    f->job.over = over;
    f->job.down = down;
    rs_loader_post(f->topic->source->loader, &f->job);
}
