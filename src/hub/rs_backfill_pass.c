/* SPDX-License-Identifier: Apache-2.0
 *
 * One pass backwards over what is missing, for everybody who waits. With several streams their
 * entries are merged, the newest id first, so that a topic's order is by id within the pass and
 * the position in the other streams is known at each step. After each round those go on whose
 * position was reached: nobody waits for who comes from further back. The hub's thread.
 */
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_clock.h"
#include "../redis/rs_stream_reply.h"
#include "rs_backfill_int.h"

#define CHUNK 512
/* After a pass for somebody of a tenant, the tenant's next one has to wait: the others' turn. */
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

static rs_client_t *pop(rs_client_t **list)
{
    rs_client_t *client = *list;

    if (client) {
        *list = (rs_client_t *)client->msg.next;
    }
    return client;
}

static void push(rs_client_t **list, rs_client_t *client)
{
    client->msg.next = (rs_msg_t *)*list;
    *list = client;
}

/* --- the beginning --- */

/* Those who may: of a tenant that had a pass just now, the next one is begun by rs_backfill_sweep().
 */
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
        if (client->profile->replay_limit > b->limit) {
            b->limit = client->profile->replay_limit;
        }
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
            raise_to(&part->top, client->topic->start[k]);
        }
        part->upper = part->lower = part->top;
        if (b->nstarting) {
            memset(&part->lower, 0, sizeof(part->lower));
        }
        for (client = b->riding; client; client = (const rs_client_t *)client->msg.next) {
            lower_to(&part->lower, client->resume->own.pos[k]);
        }
        part->done = rs_id_cmp(part->lower, part->upper) >= 0;
    }
}

static void begin(rs_backfill_t *b)
{
    rs_topic_t *topic;

    b->scanned = b->limit = b->limited = b->failed = b->full = b->forgot = 0;
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

    b->asked[b->nasked].k = k;
    b->asked[b->nasked++].history = 1;
    rs_loader_ask(b->source->loader, RS_ARRAY_LEN(argv), argv);
}

/* A round. Each one gets nearer to the lower end of a stream, or to the limit; where nobody waits any
 * more nothing is asked. */
static void pass_ask(rs_job_t *job)
{
    rs_backfill_t *b = (rs_backfill_t *)job;
    int k;

    b->nasked = 0;
    if (job->round == 0) {
        begin(b);
    }
    if (b->failed || (!b->riding && !b->nstarting)) {
        return;
    }
    for (k = 0; k < b->n; k++) {
        if (!b->part[k].done && !b->part[k].chunk) {
            ask_entries(b, k);
        }
        ask_history(b, k);
    }
}

/* --- entries --- */

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
            lower_to(&cursor.pos[i], topic->start[i]);
        }
    }
    event = rs_entry_frame(rs_hub_scratch(b->hub), e, b->key[k]->stream, id, &cursor);
    if (event) {
        rs_hub_prepend(b->hub, topic, event);
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

    if (!rs_entry_decode(&e, b->key[k], fields, rs_hub_max_message(b->hub), &reason)) {
        return;
    }
    topic = b->topic ? b->topic : find_topic(b, &e);
    if (topic && topic->starting) {
        count_for_starting(topic, k, id, &e);
    }
    if (rs_hub_is_full(b->hub)) {
        b->full = 1;
        leave_out(b, topic);
        return;
    }
    if (!topic) {
        topic = rs_hub_topic(b->hub, b->source, rs_entry_tenant(&e, name), b->streams);
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
        take(b, k, id, part->chunk->element[part->next++]->element[1]);
        part->upper = rs_id_before(id);
    }
}

/* --- after a round --- */

/* Everything after this was looked at, and was there. */
static rs_id_t reached(const rs_backfill_t *b, int k)
{
    const part_t *part = &b->part[k];
    rs_id_t id = part->done ? part->lower : part->upper;

    raise_to(&id, rs_history_floor(&b->history[k]));
    return id;
}

static void complete(rs_backfill_t *b)
{
    rs_topic_t *topic;
    int k;

    for (k = 0; k < b->n; k++) {
        rs_id_t id = reached(b, k);

        if (b->limited) {
            b->limit_at[k] = id;
            b->known_limit = b->limit;
        }
        if (!b->forgot) {
            lower_to(&b->since[k], id);
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

    client->topic->pass_after = rs_clock_now() + AGAIN;
    client->resume->unmeasured = b->full;
    if (client->resuming) {
        rs_backfill_judge(client, b->history);
    }
    for (k = 0; b->limited && k < b->n; k++) {
        if (rs_id_cmp(own->pos[k], b->part[k].upper) < 0) {
            own->pos[k] = b->part[k].upper;
            if (client->resuming) {
                rs_backfill_verdict(client, "reset", "limit");
            }
        }
    }
    client->seq = rs_topic_seek(client->topic, own);
    rs_hub_attach(b->hub, client);
}

/* Whether nothing that is missing after its position has yet to be looked at. */
static int is_reached(const rs_backfill_t *b, const rs_client_t *client)
{
    int k;

    for (k = 0; k < b->n; k++) {
        rs_id_t from = client->resume->own.pos[k];

        raise_to(&from, rs_history_floor(&b->history[k]));
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

/* Where nothing more can be kept, those who come back get the rest by themselves, each as far as it
 * reads. */
static void settle_all(rs_backfill_t *b)
{
    rs_client_t *list = b->riding, *client;
    int all = all_done(b);
    rs_topic_t *topic;

    b->riding = NULL;
    while ((client = pop(&list))) {
        if (all || b->full || is_reached(b, client)) {
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
    }
    else if (b->asked[n].history) {
        b->failed |= !rs_history_parse(&b->history[k], *reply);
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
    merge(b);
    if (!b->failed) {
        complete(b);
        settle_all(b);
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

static void refuse_all(rs_hub_t *hub, rs_client_t **list)
{
    rs_client_t *client;

    while ((client = pop(list))) {
        rs_hub_refuse(hub, client);
    }
}

static void refuse_riding(rs_backfill_t *b)
{
    rs_topic_t *topic;

    refuse_all(b->hub, &b->riding);
    for (topic = first_topic(b); b->nstarting && topic; topic = next_topic(b, topic)) {
        refuse_all(b->hub, &topic->starting);
    }
    b->nstarting = 0;
}

static void pass_over(rs_job_t *job)
{
    rs_backfill_t *b = (rs_backfill_t *)job;
    const rs_client_t *client;

    rs_backfill_drop_chunks(b);
    refuse_riding(b); /* it failed, if anybody is left */
    for (client = b->waiting; client; client = (const rs_client_t *)client->msg.next) {
        if (rs_clock_now() >= client->topic->pass_after) {
            rs_loader_post(b->source->loader, &b->queue, job);
            return;
        }
    }
}

static void pass_down(rs_job_t *job)
{
    rs_backfill_t *b = (rs_backfill_t *)job;

    rs_backfill_drop_chunks(b);
    refuse_riding(b);
    refuse_all(b->hub, &b->waiting);
}

void rs_backfill_pass_init(rs_job_t *job)
{
    job->ask = pass_ask;
    job->reply = pass_reply;
    job->over = pass_over;
    job->down = pass_down;
}
