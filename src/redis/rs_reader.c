/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader's states while its connection is up:
 *
 *   POSITIONS  one XINFO STREAM per key is on its way
 *   READING    one XREAD is on its way, for ever
 *
 * The first XREAD of a connection does not block: only when Redis has answered it is reading
 * possible, and said to be.
 *
 * Redis answers a blocked XREAD with nil when its time is over, so no answer within BLOCK + TIMEOUT
 * means that the connection is dead. Positions are asked for again between two reads, once a second
 * at most: a blocked XREAD does not notice that ids went backwards (a stream was deleted, Redis
 * lost data), and a key that is not a stream, which would make every XREAD fail, is left out
 * until it is one. The hub's thread.
 */
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "rs_batch.h"
#include "rs_history.h"
#include "rs_link.h"
#include "rs_reader.h"
#include "rs_stream_reply.h"

#define TIMEOUT apr_time_from_sec(5)
#define PROBE apr_time_from_sec(1)
#define ANSWER_BYTES ((size_t)4 * 1024 * 1024) /* what an answer should hold at most */
#define KEYS_MAX 64

enum { IDLE, POSITIONS, READING };

struct rs_reader_t {
    rs_link_t *link;
    const rs_redis_url_t *url;
    const char *const *keys;
    int n;
    int batch;
    rs_batch_t size; /* what COUNT is to be, at most `batch` */
    apr_interval_time_t block;
    rs_reader_calls_t calls;

    int state;
    int pending;             /* replies to come in this state */
    int fresh;               /* no XREAD of this connection has been answered yet */
    apr_time_t probe;        /* when positions are asked for again */
    int told_down;           /* logged, until it is up again */
    char refusal[24];        /* the first word of what Redis said, as logged since then */
    char left_out[KEYS_MAX]; /* 1: not a stream now */
    rs_id_t pos[KEYS_MAX];
};

static void enter(rs_reader_t *r, int state, int pending, apr_interval_time_t limit)
{
    r->state = state;
    r->pending = pending;
    rs_link_send(r->link, limit);
}

static void ask_positions(rs_reader_t *r)
{
    int i;

    for (i = 0; i < r->n; i++) {
        const char *argv[3] = {"XINFO", "STREAM", r->keys[i]};

        if (!rs_link_append(r->link, 3, argv)) {
            return;
        }
    }
    r->probe = rs_clock_now() + PROBE;
    enter(r, POSITIONS, r->n, TIMEOUT);
}

static void say_up(rs_reader_t *r)
{
    if (!r->fresh) {
        return;
    }
    r->fresh = 0;
    rs_link_works(r->link);
    if (r->told_down) {
        rs_log(RS_LOG_NOTICE, 0, RSLOGNO(0203) "%s: streams are being read again", r->url->label);
        r->told_down = 0;
        r->refusal[0] = '\0';
    }
    r->calls.up(r->calls.baton, 1);
}

static void ask_entries(rs_reader_t *r)
{
    const char *argv[6 + 2 * KEYS_MAX];
    char count[24], block[24], ids[KEYS_MAX][RS_ID_LEN];
    int i, n = 0, k = 0, argc = 0;

    apr_snprintf(count, sizeof(count), "%d", rs_batch_ask(&r->size, r->batch));
    argv[argc++] = "XREAD";
    argv[argc++] = "COUNT";
    argv[argc++] = count;
    if (!r->fresh) {
        apr_snprintf(
            block, sizeof(block), "%" APR_INT64_T_FMT,
            (apr_int64_t)(apr_time_as_msec(r->block) > 0 ? apr_time_as_msec(r->block) : 1));
        argv[argc++] = "BLOCK";
        argv[argc++] = block;
    }
    argv[argc++] = "STREAMS";
    for (i = 0; i < r->n; i++) {
        if (!r->left_out[i]) {
            argv[argc++] = r->keys[i];
            n++;
        }
    }
    for (i = 0; i < r->n; i++) {
        if (!r->left_out[i]) {
            rs_id_format(ids[k], r->pos[i]);
            argv[argc++] = ids[k++];
        }
    }
    if (n == 0) {
        /* Every key is something else: wait for the next probe with the connection open. */
        enter(r, READING, 0, 0);
        say_up(r);
        return;
    }
    if (!rs_link_append(r->link, argc, argv)) {
        return;
    }
    enter(r, READING, 1, r->block + TIMEOUT);
}

/* --- replies --- */

/* Something about this key. A command that may not be used is about all of them. */
static int is_about_key(const redisReply *reply)
{
    return rs_reply_is_error(reply, "WRONGTYPE")
           || (rs_reply_is_error(reply, "NOPERM") && !strstr(reply->str, "to run"));
}

static void on_position(rs_reader_t *r, const redisReply *reply)
{
    int i = r->n - r->pending;
    rs_history_t history;

    if (is_about_key(reply)) {
        if (!r->left_out[i]) {
            rs_log(RS_LOG_ERR, 0,
                   RSLOGNO(0202) "%s: the key %s is not a stream, or may not be read; it is left "
                                 "out until that changes: %s",
                   r->url->label, r->keys[i], reply->str);
        }
        r->left_out[i] = 1;
    }
    else if (rs_history_parse(&history, reply)) {
        r->left_out[i] = 0;
        r->pos[i] = r->calls.position(r->calls.baton, i, &history);
    }
    else {
        rs_link_fail(r->link, reply->type == REDIS_REPLY_ERROR
                                  ? reply->str
                                  : "unexpected answer to XINFO STREAM");
        return;
    }
    if (--r->pending == 0) {
        ask_entries(r);
    }
}

static int key_index(const rs_reader_t *r, const redisReply *name)
{
    int i;

    for (i = 0; name->type == REDIS_REPLY_STRING && i < r->n; i++) {
        if (!r->left_out[i] && strlen(r->keys[i]) == (size_t)name->len
            && memcmp(r->keys[i], name->str, (size_t)name->len) == 0) {
            return i;
        }
    }
    return -1;
}

/* One stream's part of an XREAD reply: its name and its entries. Returns how many, or -1. */
static int on_stream(rs_reader_t *r, const redisReply *part)
{
    const redisReply *entries;
    size_t i;
    int stream;

    if (part->type != REDIS_REPLY_ARRAY || part->elements != 2
        || (stream = key_index(r, part->element[0])) < 0) {
        return -1;
    }
    entries = part->element[1];
    if (entries->type != REDIS_REPLY_ARRAY) {
        return -1;
    }
    for (i = 0; i < entries->elements; i++) {
        const redisReply *e = entries->element[i];
        rs_id_t id;

        if (!rs_stream_entry_id(e, &id)) {
            return -1;
        }
        r->pos[stream] = id;
        rs_batch_see(&r->size, e->element[1]);
        r->calls.entry(r->calls.baton, stream, id, e->element[1]);
    }
    return (int)entries->elements;
}

static void on_entries(rs_reader_t *r, const redisReply *reply)
{
    int full = 0;
    size_t i;

    if (rs_reply_is_error(reply, "WRONGTYPE")) {
        ask_positions(r); /* finds out which */
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        rs_link_fail(r->link, reply->str);
        return;
    }
    say_up(r);
    for (i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        int n = on_stream(r, reply->element[i]);

        if (n < 0) {
            rs_link_fail(r->link, "unexpected answer to XREAD");
            return;
        }
        full |= n >= r->size.count;
    }
    rs_batch_learn(&r->size, reply->elements, ANSWER_BYTES);
    r->calls.batch_end(r->calls.baton, !full);
    if (rs_clock_now() >= r->probe) {
        ask_positions(r);
        return;
    }
    ask_entries(r);
}

static void on_ready(void *data)
{
    rs_reader_t *r = data;

    r->fresh = 1;
    r->size.count = 0;
    ask_positions(r);
}

static void on_reply(void *data, redisReply **reply)
{
    rs_reader_t *r = data;

    if (r->state == POSITIONS) {
        on_position(r, *reply);
    }
    else {
        on_entries(r, *reply);
    }
}

/* Redis answers, but no: its first word for it ("NOPERM"). */
static int is_new_refusal(rs_reader_t *r, const char *why)
{
    size_t n = strspn(why, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");

    if (n < 3 || n >= sizeof(r->refusal) || why[n] != ' '
        || (strncmp(r->refusal, why, n) == 0 && !r->refusal[n])) {
        return 0;
    }
    apr_cpystrn(r->refusal, why, n + 1);
    return 1;
}

/* Logged once per interruption, with the reason; again when it was gone, is back and refuses. */
static void on_down(void *data, const char *why)
{
    rs_reader_t *r = data;
    int refused = is_new_refusal(r, why);

    r->state = IDLE;
    if (!r->told_down || refused) {
        rs_log(RS_LOG_WARNING, 0,
               RSLOGNO(0201) "%s: streams are not being read: %s; trying again until it answers",
               r->url->label, why);
        r->told_down = 1;
    }
    r->calls.up(r->calls.baton, 0);
}

const char *rs_reader_master(const rs_reader_t *r) { return rs_link_master(r->link); }

apr_time_t rs_reader_turn(rs_reader_t *r, apr_time_t now)
{
    apr_time_t next = rs_link_turn(r->link, now);

    if (r->state == READING && r->pending == 0) {
        if (now >= r->probe) {
            ask_positions(r);
        }
        return r->probe < next ? r->probe : next;
    }
    return next;
}

apr_status_t rs_reader_create(rs_reader_t **out, apr_pool_t *p, rs_poll_t *poll,
                              rs_resolver_t *resolver, const rs_redis_url_t *url,
                              const char *const *keys, int n, int batch, apr_interval_time_t block,
                              const rs_reader_calls_t *calls)
{
    rs_link_calls_t link = {on_ready, on_reply, on_down, NULL};
    rs_reader_t *r;

    if (n < 1 || n > KEYS_MAX) {
        return APR_EINVAL;
    }
    r = apr_pcalloc(p, sizeof(*r));
    r->url = url;
    r->keys = keys;
    r->n = n;
    r->batch = batch;
    r->block = block;
    r->calls = *calls;
    link.baton = r;
    *out = r;
    return rs_link_create(&r->link, p, poll, resolver, url, "ragline-reader", &link);
}
