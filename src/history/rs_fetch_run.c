/* SPDX-License-Identifier: Apache-2.0
 *
 * Forward reads for one reader. The hub's thread.
 */
#include <stdlib.h>

#include <apr_strings.h>

#include "../redis/rs_stream_reply.h"
#include "../log/rs_entry.h"
#include "../wire/rs_frames.h"
#include "../log/rs_fetch.h"
#include "../log/rs_source.h"
#include "../log/rs_topics.h"
#include "rs_fetch_run.h"

#define CHUNK 256

static rs_fetch_t *of(rs_job_t *job)
{
    return (rs_fetch_t *)((char *)job - offsetof(rs_fetch_t, job));
}

/* One round. Whatever Redis answers, the reader moves: to what was found, or, if that is not all
 * it asked for, to where the hub had read when it asked. */
static void ask(rs_job_t *job)
{
    rs_fetch_t *f = of(job);
    rs_source_t *source = f->topic->source;
    int k, n = f->topic->nstreams;

    for (k = 0; job->round == 0 && k < n; k++) {
        rs_key_t *key = f->topic->key[k];
        char from[RS_ID_LEN], count[24];
        const char *range[] = {"XRANGE", key->name, from, "+", "COUNT", count};
        const char *info[] = {"XINFO", "STREAM", key->name};

        /* No more than is kept of it: what is left over is read again. */
        f->asked[k] = rs_batch_ask(&key->size, CHUNK, n * (int)(RS_BATCH_BYTES / RS_FETCH_BYTES));
        f->known[k] = key->now;
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

    f->scanned++;
    f->own.pos[k] = id;
    if (!rs_entry_decode(&e, f->topic->key[k], fields,
                         f->topic->source->topics->common->max_message, &reason)
        || e.tenant.len != strlen(f->tenant)
        || memcmp(e.tenant.data, f->tenant, e.tenant.len) != 0) {
        return 1;
    }
    event = rs_frames_event(&f->topic->source->topics->scratch, &e, stream, id, &f->own);
    if (!event) {
        f->failed = 1;
        return 0;
    }
    f->events[f->n++] = event;
    *bytes += event->len;
    return f->n < RS_FETCH_MAX && *bytes < RS_FETCH_BYTES;
}

/* All of it is used up, and there was no more when it was asked for. */
static void cover(rs_fetch_t *f)
{
    int k;

    for (k = 0; k < f->topic->nstreams; k++) {
        if (f->answered[k]) {
            rs_id_raise(&f->own.pos[k], f->known[k].at);
        }
    }
}

/* What was trimmed since it was read was told to be missing. */
static void skip_to(const redisReply *chunk, rs_id_t own, size_t *at)
{
    rs_id_t id = {0, 0};

    while (chunk && *at < chunk->elements && rs_stream_entry_id(chunk->element[*at], &id)
           && rs_id_cmp(id, own) <= 0) {
        ++*at;
    }
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

            skip_to(chunk, f->own.pos[k], &at[k]);
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
        if (best < 0) {
            cover(f);
            return;
        }
        if (!keep(f, best, best_id, f->chunk[best]->element[at[best]++]->element[1], &bytes)) {
            return;
        }
    }
}

/* By what Redis has: that a stream is in memory means nothing here. What was found comes after the
 * position that was asked for: where that means nothing any more, it is asked for again, from
 * another one; where the hub has yet to read what is gone in front of it, a moment later. */
static void judge(rs_fetch_t *f)
{
    rs_cursor_t asked = f->own;
    rs_id_t read[RS_STREAMS_MAX] = {{0, 0}};
    int k;

    for (k = 0; k < f->topic->nstreams; k++) {
        read[k] = f->known[k].at;
    }
    f->gap = rs_verdict_hub(f->topic, read, &f->own, &f->losses, f->history, &f->first);
    f->told = f->own;
    for (k = 0; k < f->topic->nstreams; k++) {
        if (rs_id_cmp(f->own.pos[k], asked.pos[k]) < 0) {
            rs_fetch_drop_chunk(f, k);
            f->answered[k] = 0;
        }
        f->failed |= rs_id_cmp(f->own.pos[k], read[k]) >= 0
                     && rs_id_cmp(f->own.pos[k], rs_history_floor(&f->history[k])) < 0;
    }
}

static void reply(rs_job_t *job, int n, redisReply **r, int last)
{
    rs_fetch_t *f = of(job);
    int k = n / 2;

    if (rs_reply_is_error(*r, "WRONGTYPE")) {
        rs_history_none(&f->history[k]); /* it is as good as not there */
        f->answered[k] = 1;
        f->failed |= !rs_known_fits(&f->known[k], &f->history[k]);
    }
    else if (n % 2) {
        f->failed |=
            !rs_history_parse(&f->history[k], *r) || !rs_known_fits(&f->known[k], &f->history[k]);
    }
    else if ((*r)->type == REDIS_REPLY_ARRAY) {
        f->chunk[k] = *r;
        *r = NULL;
        f->answered[k] = 1;
        rs_batch_learn(&f->topic->key[k]->size, f->chunk[k], f->asked[k]);
    }
    else {
        f->failed = 1;
    }
    if (last && !f->failed) {
        judge(f);
        if (!f->failed) {
            merge(f);
        }
    }
}

static void over(rs_job_t *job)
{
    rs_fetch_t *f = of(job);

    rs_fetch_drop_chunks(f);
    f->topic->uses--;
    if (!rs_inbox_post(f->streamer, &f->msg, RS_MSG_FETCHED)) {
        rs_fetch_free(f);
    }
}

static void down(rs_job_t *job)
{
    of(job)->failed = 1;
    over(job);
}

void rs_fetch_run(rs_fetch_t *f)
{
    f->topic->uses++;
    f->job.ask = ask;
    f->job.reply = reply;
    f->job.over = over;
    f->job.down = down;
    rs_loader_post(f->topic->source->loader, &f->topic->queue, &f->job);
}
