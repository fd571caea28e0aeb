/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader's states while its connection is up:
 *
 *   LOOKING  an XINFO STREAM of some keys is on its way; what was read of them before is held
 *   READING  one XREAD is on its way
 *
 * Entries are given out only when Redis has said, after they were read, where their stream stands:
 * that is how it is known that nothing was removed in front of them. All keys are asked for when a
 * connection begins, and once a second at most between two reads: a blocked XREAD does not notice
 * that a stream was deleted, or trimmed to nothing, and a key that is not a stream, which would
 * make every XREAD fail, is left out until it is one. So no read blocks for longer than BLOCK_MAX,
 * whatever is configured. A key that was known to end further on, of which a read found nothing
 * while another one had something, is asked for, too: readers may wait until that is passed.
 *
 * Each round sends a read or a look and waits for the answer; a read that finds nothing waits in
 * Redis. The first XREAD of a connection does not block: only when Redis has answered it is reading
 * possible, and said to be. No answer within BLOCK + TIMEOUT means that the connection is dead. The
 * hub's thread.
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
#define BLOCK_MAX apr_time_from_sec(2)
#define KEYS_MAX 65 /* all of a source, and one more */

enum { IDLE, LOOKING, READING };

struct rs_reader_t {
    rs_link_t *link;
    const rs_redis_url_t *url;
    const char *const *keys;
    int n;
    int batch;
    rs_batch_t size;
    int count; /* what the last XREAD asked for */
    apr_interval_time_t block;
    rs_reader_calls_t calls;

    int state;
    int looked[KEYS_MAX];    /* LOOKING: at which keys */
    int nlooked, pending;    /* and how many answers have not come */
    redisReply *held;        /* of the XREAD before that */
    int fresh;               /* no XREAD of this connection has been answered yet */
    int first_look;          /* of this connection */
    apr_time_t probe;        /* when all keys are looked at again */
    int told_down;           /* logged, until it is up again */
    char refusal[24];        /* the first word of what Redis said, as logged since then */
    char left_out[KEYS_MAX]; /* 1: not a stream now */
    char read[KEYS_MAX];     /* 1: in the last XREAD, */
    rs_id_t after[KEYS_MAX]; /* from this id on */
    rs_history_t history[KEYS_MAX];
    char seen[KEYS_MAX]; /* 1: that is of this look */
};

static void enter(rs_reader_t *r, int state, apr_interval_time_t limit)
{
    r->state = state;
    rs_link_send(r->link, limit);
}

static void drop_held(rs_reader_t *r)
{
    if (r->held) {
        freeReplyObject(r->held);
        r->held = NULL;
    }
}

static int is_named(const rs_reader_t *r, int key, const redisReply *name)
{
    return strlen(r->keys[key]) == (size_t)name->len
           && memcmp(r->keys[key], name->str, (size_t)name->len) == 0;
}

/* The part of what is held that is this key's, or NULL. */
static const redisReply *held_entries(const rs_reader_t *r, int key)
{
    const redisReply *part;
    size_t i;

    for (i = 0; r->held && i < r->held->elements; i++) {
        part = r->held->element[i];
        if (is_named(r, key, part->element[0])) {
            return part->element[1];
        }
    }
    return NULL;
}

/* What is up to its end, as far as that was known, is gone. */
static int is_gone(const rs_reader_t *r, int key)
{
    return r->held && r->read[key] && rs_id_cmp(r->history[key].newest, r->after[key]) > 0;
}

/* At all keys when that is due, otherwise at those of which something is held, or is gone. */
static void look(rs_reader_t *r)
{
    int i, all = rs_clock_now() >= r->probe;

    r->nlooked = 0;
    for (i = 0; i < r->n; i++) {
        const char *argv[3] = {"XINFO", "STREAM", r->keys[i]};

        r->seen[i] = 0;
        if (all || held_entries(r, i) || is_gone(r, i)) {
            if (!rs_link_append(r->link, 3, argv)) {
                return;
            }
            r->looked[r->nlooked++] = i;
        }
    }
    if (all) {
        r->probe = rs_clock_now() + PROBE;
    }
    r->pending = r->nlooked;
    enter(r, LOOKING, TIMEOUT);
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

static void read_on(rs_reader_t *r)
{
    const char *argv[6 + 2 * KEYS_MAX];
    char count[24], block[24], ids[KEYS_MAX][RS_ID_LEN];
    apr_interval_time_t wait = r->block < BLOCK_MAX ? r->block : BLOCK_MAX;
    int i, n = 0, argc = 0;

    for (i = 0; i < r->n; i++) {
        r->read[i] = !r->left_out[i];
        n += r->read[i];
    }
    if (n == 0) {
        /* Every key is something else: wait for the next probe with the connection open. */
        r->count = 0;
        enter(r, READING, 0);
        say_up(r);
        return;
    }
    r->count = rs_batch_ask(&r->size, r->batch, n);
    apr_snprintf(count, sizeof(count), "%d", r->count);
    argv[argc++] = "XREAD";
    argv[argc++] = "COUNT";
    argv[argc++] = count;
    if (!r->fresh) {
        apr_snprintf(block, sizeof(block), "%" APR_INT64_T_FMT,
                     (apr_int64_t)(apr_time_as_msec(wait) > 0 ? apr_time_as_msec(wait) : 1));
        argv[argc++] = "BLOCK";
        argv[argc++] = block;
    }
    argv[argc++] = "STREAMS";
    for (i = 0; i < r->n; i++) {
        if (r->read[i]) {
            argv[argc++] = r->keys[i];
        }
    }
    for (i = 0; i < r->n; i++) {
        if (r->read[i]) {
            r->after[i] = r->calls.ask(r->calls.baton, i);
            rs_id_format(ids[i], r->after[i]);
            argv[argc++] = ids[i];
        }
    }
    if (rs_link_append(r->link, argc, argv)) {
        enter(r, READING, wait + TIMEOUT);
    }
}

/* --- replies --- */

/* Something about this key. A command that may not be used is about all of them. */
static int is_about_key(const redisReply *reply)
{
    return rs_reply_is_error(reply, "WRONGTYPE")
           || (rs_reply_is_error(reply, "NOPERM") && !strstr(reply->str, "to run"));
}

/* What was read before the look, key by key. */
static void give_out(rs_reader_t *r)
{
    rs_batch_t least = r->size;
    int i, n, full = 0;

    for (i = 0; i < r->n; i++) {
        const redisReply *entries = held_entries(r, i);

        n = entries ? (int)entries->elements : 0;
        if (r->held && r->read[i] && !entries) {
            r->calls.answered(r->calls.baton, i); /* before the look, which tells how */
        }
        if (r->seen[i]
            && !r->calls.take(r->calls.baton, i, &r->history[i], entries, n >= r->count,
                              !r->first_look)) {
            rs_link_fail(r->link, "unexpected answer to XREAD");
            return;
        }
        if (entries) {
            rs_batch_t size = r->size;

            full |= n >= r->count;
            rs_batch_learn(&size, entries, r->count);
            least = least.count == r->size.count || size.count < least.count ? size : least;
        }
    }
    r->size = least;
    drop_held(r);
    if (!r->first_look) {
        r->calls.batch_end(r->calls.baton, !full);
    }
    r->first_look = 0;
    read_on(r);
}

static void on_look(rs_reader_t *r, const redisReply *reply)
{
    int i = r->looked[r->nlooked - r->pending];

    r->seen[i] = 1;
    if (is_about_key(reply)) {
        if (!r->left_out[i]) {
            rs_log(RS_LOG_ERR, 0,
                   RSLOGNO(0202) "%s: the key %s is not a stream, or may not be read; it is left "
                                 "out until that changes: %s",
                   r->url->label, r->keys[i], reply->str);
        }
        r->left_out[i] = 1;
        /* Something else is no stream; what may not be read may hold anything. */
        r->seen[i] = rs_reply_is_error(reply, "WRONGTYPE");
        rs_history_none(&r->history[i]);
    }
    else if (rs_history_parse(&r->history[i], reply)) {
        r->left_out[i] = 0;
    }
    else {
        rs_link_fail(r->link, reply->type == REDIS_REPLY_ERROR
                                  ? reply->str
                                  : "unexpected answer to XINFO STREAM");
        return;
    }
    if (--r->pending == 0) {
        give_out(r);
    }
}

/* [[name, [entry…]]…] of keys that were asked for. */
static int is_entries(const rs_reader_t *r, const redisReply *reply)
{
    size_t i;
    int k;

    for (i = 0; i < reply->elements; i++) {
        const redisReply *part = reply->element[i];

        if (part->type != REDIS_REPLY_ARRAY || part->elements != 2
            || part->element[0]->type != REDIS_REPLY_STRING
            || part->element[1]->type != REDIS_REPLY_ARRAY) {
            return 0;
        }
        for (k = 0; k < r->n && !(r->read[k] && is_named(r, k, part->element[0])); k++) {
        }
        if (k == r->n) {
            return 0;
        }
    }
    return 1;
}

static void on_read(rs_reader_t *r, redisReply **reply)
{
    int i;

    if (rs_reply_is_error(*reply, "WRONGTYPE")) {
        r->probe = 0;
        look(r); /* finds out which */
        return;
    }
    if ((*reply)->type == REDIS_REPLY_ERROR) {
        rs_link_fail(r->link, (*reply)->str);
        return;
    }
    say_up(r);
    if ((*reply)->type == REDIS_REPLY_ARRAY) {
        if (!is_entries(r, *reply)) {
            rs_link_fail(r->link, "unexpected answer to XREAD");
            return;
        }
        r->held = *reply;
        *reply = NULL;
        look(r);
        return;
    }
    for (i = 0; i < r->n; i++) {
        if (r->read[i]) {
            r->calls.answered(r->calls.baton, i);
        }
    }
    r->calls.batch_end(r->calls.baton, 1);
    if (rs_clock_now() >= r->probe) {
        look(r);
        return;
    }
    read_on(r);
}

static void on_ready(void *data)
{
    rs_reader_t *r = data;

    r->fresh = r->first_look = 1;
    r->size.count = 0;
    r->probe = 0;
    look(r);
}

static void on_reply(void *data, redisReply **reply)
{
    rs_reader_t *r = data;

    if (r->state == LOOKING) {
        on_look(r, *reply);
    }
    else {
        on_read(r, reply);
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
    drop_held(r);
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

    if (r->state == READING && r->count == 0) {
        if (now >= r->probe) {
            look(r);
        }
        return r->probe < next ? r->probe : next;
    }
    return next;
}

static apr_status_t cleanup(void *data)
{
    drop_held(data);
    return APR_SUCCESS;
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
    apr_pool_cleanup_register(p, r, cleanup, apr_pool_cleanup_null);
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
