/* SPDX-License-Identifier: Apache-2.0
 *
 * One pass backwards over what is missing, for everybody who waits: how far it goes, what it asks,
 * and who has what it waited for. After each round those go on whose position was reached: nobody
 * waits for who comes from further back. The hub's thread.
 */
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_clock.h"
#include "../redis/rs_stream_reply.h"
#include "rs_backfill_int.h"

#define CHUNK 512
/* After a pass for somebody of a tenant, the tenant's next one has to wait: the others' turn. Not
 * for who only joined one: it began nothing, and those who could not join must not wait for it. */
#define AGAIN apr_time_from_sec(1)

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
    return b->topic ? b->topic : first_from(b, b->source->topics->oldest);
}

static rs_topic_t *next_topic(const rs_backfill_t *b, const rs_topic_t *topic)
{
    return b->topic ? NULL : first_from(b, topic->newer);
}

static rs_client_t *pop(rs_client_t **list)
{
    rs_client_t *client = *list;

    if (client) {
        *list = (rs_client_t *)client->msg.next;
    }
    return client;
}

/* A pass goes as far as the one of its clients may whose limit is the highest. */
static void raise_limit(rs_backfill_t *b, const rs_client_t *client)
{
    if (client->profile->replay_limit > b->limit) {
        b->limit = client->profile->replay_limit;
    }
}

static void push(rs_client_t **list, rs_client_t *client)
{
    client->msg.next = (rs_msg_t *)*list;
    *list = client;
}

/* --- the beginning --- */

/* Those who may: of a tenant that had a pass just now, the next one is begun by
 * rs_backfill_sweep(). */
static void board(rs_backfill_t *b)
{
    rs_client_t *all = b->waiting, *client;
    apr_time_t now = rs_clock_now();
    int k;

    b->waiting = NULL;
    while ((client = pop(&all))) {
        rs_topic_t *topic = client->topic;

        if (now < topic->pass_after) {
            push(&b->waiting, client);
            continue;
        }
        raise_limit(b, client);
        if (client->resuming) {
            push(&b->riding, client);
            continue;
        }
        client->resume->want = client->profile->start_last;
        for (k = 0; k < b->n; k++) {
            client->resume->own.pos[k] = b->key[k]->now.at;
        }
        push(&topic->starting, client);
        b->nstarting++;
    }
}

/* From the newest position at which a topic of these clients is not complete, or, if somebody wants
 * the newest events, from where the hub has read, down to the oldest that somebody waits for. */
static void set_range(rs_backfill_t *b)
{
    const rs_client_t *client;
    int k;

    for (k = 0; k < b->n; k++) {
        part_t *part = &b->part[k];

        memset(part, 0, sizeof(*part));
        part->top = b->nstarting ? b->key[k]->now.at : b->since[k];
        for (client = b->riding; client; client = (const rs_client_t *)client->msg.next) {
            rs_id_raise(&part->top, client->topic->start[k]);
        }
        part->upper = part->lower = part->top;
        if (b->nstarting) {
            memset(&part->lower, 0, sizeof(part->lower));
        }
        for (client = b->riding; client; client = (const rs_client_t *)client->msg.next) {
            rs_id_lower(&part->lower, client->resume->own.pos[k]);
        }
        part->done = rs_id_cmp(part->lower, part->upper) >= 0;
    }
}

/* Who came after it began: its topic is made complete like the others, or is not going to be. */
static int may_join(const rs_backfill_t *b, const rs_client_t *client)
{
    const rs_topic_t *topic = client->topic;
    int k, along = !topic->trimmed;

    for (k = 0; k < b->n; k++) {
        along &= rs_id_cmp(topic->start[k], b->part[k].top) <= 0;
    }
    return client->resuming && rs_clock_now() >= topic->pass_after && (along || b->full);
}

static void extend(part_t *part, rs_id_t lower)
{
    if (rs_id_cmp(lower, part->lower) >= 0) {
        return;
    }
    if (part->done) {
        part->upper = part->lower;
        part->done = 0;
    }
    part->asked = 0; /* there may be more than what is left of its chunk */
    part->lower = lower;
}

static void join(rs_backfill_t *b)
{
    rs_client_t *all = b->waiting, *client;
    int k;

    b->waiting = NULL;
    while ((client = pop(&all))) {
        if (!may_join(b, client)) {
            push(&b->waiting, client);
            continue;
        }
        raise_limit(b, client);
        client->resume->along = 1;
        for (k = 0; k < b->n; k++) {
            extend(&b->part[k], client->resume->own.pos[k]);
        }
        push(&b->riding, client);
    }
}

static void begin(rs_backfill_t *b)
{
    rs_topic_t *topic;

    b->scanned = b->limit = b->limited = b->failed = b->full = 0;
    b->forgot = b->broken = 0;
    rs_backfill_keep(b, rs_clock_now());
    board(b);
    set_range(b);
    for (topic = first_topic(b); topic; topic = next_topic(b, topic)) {
        topic->trimmed = 0;
    }
}

static void ask_entries(rs_backfill_t *b, int k)
{
    part_t *part = &b->part[k];
    char upper[RS_ID_LEN], lower[RS_ID_LEN], count[24];
    const char *argv[] = {"XREVRANGE", b->key[k]->name, upper, lower, "COUNT", count};

    part->asked = rs_batch_ask(&b->key[k]->size, CHUNK, b->n);
    rs_id_format(upper, part->upper);
    rs_id_format(lower, rs_id_after(part->lower));
    apr_snprintf(count, sizeof(count), "%d", part->asked);
    b->asked[b->nasked].k = k;
    b->asked[b->nasked++].history = 0;
    rs_loader_ask(b->source->loader, RS_ARRAY_LEN(argv), argv);
}

/* After the entries, so that what was there when they were read is not taken for trimmed. */
static void ask_history(rs_backfill_t *b, int k)
{
    const char *argv[] = {"XINFO", "STREAM", b->key[k]->name};

    b->part[k].known = b->key[k]->now;
    b->asked[b->nasked].k = k;
    b->asked[b->nasked++].history = 1;
    rs_loader_ask(b->source->loader, RS_ARRAY_LEN(argv), argv);
}

/* A round. Each one gets nearer to the lower end of a stream, or to the limit; where nobody waits
 * any more nothing is asked. */
static void pass_ask(rs_job_t *job)
{
    rs_backfill_t *b = (rs_backfill_t *)job;
    int k;

    b->nasked = 0;
    if (job->round == 0) {
        begin(b);
    }
    else if (!b->limited && rs_backfill_is_on(b)) {
        join(b);
    }
    if (b->failed || !rs_backfill_is_on(b)) {
        return;
    }
    for (k = 0; k < b->n; k++) {
        if (!b->part[k].done && !b->part[k].chunk) {
            ask_entries(b, k);
        }
        ask_history(b, k);
    }
}

/* --- after a round --- */

/* Everything after this was looked at, and was there. */
static rs_id_t reached(const rs_backfill_t *b, int k)
{
    const part_t *part = &b->part[k];
    rs_id_t id = part->done ? part->lower : part->upper;

    rs_id_raise(&id, rs_history_floor(&b->history[k]));
    return id;
}

static void complete(rs_backfill_t *b)
{
    static const rs_id_t beginning = {0, 0};
    rs_topic_t *topic;
    int k;

    for (k = 0; k < b->n; k++) {
        rs_id_t id = reached(b, k);

        if (b->limited && !b->broken) {
            b->limit_at[k] = b->part[k].done ? beginning : b->part[k].upper;
            b->known_limit = b->limit;
        }
        if (!b->forgot) {
            rs_id_lower(&b->since[k], id);
        }
        for (topic = first_topic(b); topic; topic = next_topic(b, topic)) {
            if (!topic->trimmed && rs_id_cmp(topic->start[k], b->part[k].top) <= 0) {
                rs_topic_complete_from(topic, k, id);
            }
        }
    }
}

/* It knows what it waited for. */
static void settle(rs_backfill_t *b, rs_client_t *client)
{
    rs_cursor_t *own = &client->resume->own;
    int k;

    if (!client->resume->along) {
        client->topic->pass_after = rs_clock_now() + AGAIN;
    }
    client->resume->unmeasured = b->full;
    if (client->resuming) {
        rs_backfill_judge(client, b->history);
    }
    for (k = 0; b->limited && k < b->n; k++) {
        if (!b->part[k].done && rs_id_cmp(own->pos[k], b->part[k].upper) < 0) {
            own->pos[k] = b->part[k].upper;
            if (client->resuming) {
                rs_backfill_reset(client, "limit");
            }
        }
    }
    client->seq = rs_topic_seek(client->topic, own, &client->resume->front);
    b->source->topics->calls->attach(client);
}

/* Whether nothing that is missing after its position has yet to be looked at. */
static int is_reached(const rs_backfill_t *b, const rs_client_t *client)
{
    int k;

    for (k = 0; k < b->n; k++) {
        rs_id_t from = client->resume->own.pos[k];

        rs_id_raise(&from, rs_history_floor(&b->history[k]));
        if (!b->part[k].done && rs_id_cmp(b->part[k].upper, from) > 0) {
            return 0;
        }
    }
    return 1;
}

static int all_done(const rs_backfill_t *b)
{
    int k;

    for (k = 0; k < b->n && b->part[k].done; k++) {
    }
    return b->limited || k == b->n;
}

static void settle_starting(rs_backfill_t *b, rs_topic_t *topic, int all)
{
    rs_client_t *list = topic->starting, *client;

    topic->starting = NULL;
    while ((client = pop(&list))) {
        if (all || client->resume->want == 0) {
            b->nstarting--;
            settle(b, client);
        }
        else {
            push(&topic->starting, client);
        }
    }
}

/* Where nothing more can be kept, those whose events were left out get the rest by themselves, each
 * as far as it reads. For the others it goes on: they come back with old ids again and again. */
static void settle_all(rs_backfill_t *b)
{
    rs_client_t *list = b->riding, *client;
    int all = all_done(b);
    rs_topic_t *topic;

    b->riding = NULL;
    while ((client = pop(&list))) {
        if (all || (b->full && client->topic->trimmed) || is_reached(b, client)) {
            settle(b, client);
        }
        else {
            push(&b->riding, client);
        }
    }
    for (topic = first_topic(b); b->nstarting && topic; topic = next_topic(b, topic)) {
        settle_starting(b, topic, all);
    }
}

static void pass_reply(rs_job_t *job, int n, redisReply **reply, int last)
{
    rs_backfill_t *b = (rs_backfill_t *)job;
    int k = b->asked[n].k;
    part_t *part = &b->part[k];

    /* A key that is not a stream is one that is not there. */
    if (rs_reply_is_error(*reply, "WRONGTYPE")) {
        part->done = 1;
        rs_history_none(&b->history[k]);
        b->failed |= !rs_known_fits(&part->known, &b->history[k]);
    }
    else if (b->asked[n].history) {
        b->failed |= !rs_history_parse(&b->history[k], *reply)
                     || !rs_known_fits(&part->known, &b->history[k]);
    }
    else if ((*reply)->type == REDIS_REPLY_ARRAY) {
        part->chunk = *reply;
        part->next = 0;
        rs_batch_learn(&b->key[k]->size, part->chunk, part->asked);
        *reply = NULL;
    }
    else {
        b->failed = 1;
    }
    if (!last || b->failed) {
        return;
    }
    rs_backfill_merge(b);
    if (!b->failed) {
        complete(b);
        settle_all(b);
    }
}

/* --- the end of a pass --- */

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

static void refuse_all(rs_backfill_t *b, rs_client_t **list)
{
    rs_client_t *client;

    while ((client = pop(list))) {
        b->source->topics->calls->refuse(client);
    }
}

static void refuse_riding(rs_backfill_t *b)
{
    rs_topic_t *topic;

    refuse_all(b, &b->riding);
    for (topic = first_topic(b); b->nstarting && topic; topic = next_topic(b, topic)) {
        refuse_all(b, &topic->starting);
    }
    b->nstarting = 0;
}

static void pass_over(rs_job_t *job)
{
    rs_backfill_t *b = (rs_backfill_t *)job;
    const rs_client_t *client;

    drop_chunks(b);
    refuse_riding(b); /* it failed, if anybody is left */
    for (client = b->waiting; client; client = (const rs_client_t *)client->msg.next) {
        if (rs_clock_now() >= client->topic->pass_after) {
            rs_loader_post(b->source->loader, &b->queue, job);
            return;
        }
    }
}

void rs_backfill_refuse(rs_backfill_t *b)
{
    drop_chunks(b);
    refuse_riding(b);
    refuse_all(b, &b->waiting);
}

static void pass_down(rs_job_t *job) { rs_backfill_refuse((rs_backfill_t *)job); }

void rs_backfill_pass_init(rs_job_t *job)
{
    job->ask = pass_ask;
    job->reply = pass_reply;
    job->over = pass_over;
    job->down = pass_down;
}
