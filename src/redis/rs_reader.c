/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader's states, in order:
 *
 *   DOWN       waits for its next try (50 ms, doubling to 1 s, with jitter)
 *   LOGIN      connecting; AUTH, SELECT and CLIENT SETNAME are on their way
 *   POSITIONS  one XINFO STREAM per key is on its way
 *   READING    one XREAD is on its way, for ever
 *
 * Each state but READING must end within TIMEOUT, READING within BLOCK + TIMEOUT, or the
 * connection counts as dead: Redis answers a blocked XREAD with nil when its time is over.
 * A key that is not a stream would make every XREAD fail, so it is left out and asked for again
 * every PROBE. The hub's thread.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <apr_strings.h>

#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "rs_reader.h"
#include "rs_redis_conn.h"

#define TIMEOUT apr_time_from_sec(5)
#define PROBE apr_time_from_sec(10)
#define BACKOFF_MIN apr_time_from_msec(50)
#define BACKOFF_MAX apr_time_from_sec(1)
#define KEYS_MAX 64
#define READ_SIZE (64 * 1024)
/* A reply may be as large as Redis makes it, but one turn of the hub must end. */
#define READS_PER_TURN 64

enum { DOWN, LOGIN, POSITIONS, READING };

struct rs_reader_t {
    rs_poll_t *poll;
    void *poll_data;
    const rs_redis_url_t *url;
    const char *const *keys;
    int n;
    int batch;
    apr_interval_time_t block;
    rs_reader_calls_t calls;

    int state;
    redisContext *redis;
    int pending; /* replies to come in this state */
    int wants_out;
    apr_time_t deadline; /* DOWN: the next try; else when the reply must be there */
    apr_time_t probe;    /* when left-out keys are asked for again; 0: none is left out */
    apr_interval_time_t backoff;
    apr_uint64_t jitter;
    int told_down;           /* logged, until it is up again */
    char left_out[KEYS_MAX]; /* 1: not a stream now */
    rs_id_t pos[KEYS_MAX];
    char buf[READ_SIZE];
};

static void disconnect(rs_reader_t *r)
{
    if (r->redis) {
        if (r->redis->fd >= 0) {
            rs_poll_del(r->poll, r->redis->fd);
        }
        redisFree(r->redis);
        r->redis = NULL;
    }
}

/* The one way down. Logged once per interruption, with the reason. */
static void fail(rs_reader_t *r, const char *why)
{
    disconnect(r);
    r->state = DOWN;
    if (!r->told_down) {
        rs_log(RS_LOG_WARNING, 0,
               RSLOGNO(0201) "%s: streams are not being read: %s; trying again until it answers",
               r->url->label, why);
        r->told_down = 1;
    }
    r->deadline =
        rs_clock_now() + r->backoff / 2 + rs_jitter(&r->jitter, (apr_uint32_t)(r->backoff / 2) + 1);
    r->backoff = r->backoff * 2 > BACKOFF_MAX ? BACKOFF_MAX : r->backoff * 2;
    r->calls.up(r->calls.baton, 0);
}

static void watch(rs_reader_t *r)
{
    int wanted = r->redis->obuf && *r->redis->obuf;

    if (wanted != r->wants_out) {
        r->wants_out = wanted;
        rs_poll_mod(r->poll, r->redis->fd, RS_POLL_IN | (wanted ? RS_POLL_OUT : 0), r->poll_data);
    }
}

static void flush(rs_reader_t *r)
{
    int done = 0;

    while (!done) {
        if (redisBufferWrite(r->redis, &done) != REDIS_OK) {
            fail(r, r->redis->errstr[0] ? r->redis->errstr : "cannot write");
            return;
        }
        if (!done) {
            break; /* the socket is full: the poller will say when it is not */
        }
    }
    watch(r);
}

static void enter(rs_reader_t *r, int state, int pending, apr_interval_time_t limit)
{
    r->state = state;
    r->pending = pending;
    r->deadline = rs_clock_now() + limit;
    flush(r);
}

static void ask_positions(rs_reader_t *r)
{
    int i;

    for (i = 0; i < r->n; i++) {
        const char *argv[3] = {"XINFO", "STREAM", r->keys[i]};

        if (redisAppendCommandArgv(r->redis, 3, argv, NULL) != REDIS_OK) {
            fail(r, "out of memory");
            return;
        }
    }
    enter(r, POSITIONS, r->n, TIMEOUT);
}

static void ask_entries(rs_reader_t *r)
{
    const char *argv[6 + 2 * KEYS_MAX];
    char count[24], block[24], ids[KEYS_MAX][RS_ID_LEN];
    int i, n = 0, k = 0, argc = 0;

    apr_snprintf(count, sizeof(count), "%d", r->batch);
    apr_snprintf(block, sizeof(block), "%" APR_INT64_T_FMT,
                 (apr_int64_t)(apr_time_as_msec(r->block) > 0 ? apr_time_as_msec(r->block) : 1));
    argv[argc++] = "XREAD";
    argv[argc++] = "COUNT";
    argv[argc++] = count;
    argv[argc++] = "BLOCK";
    argv[argc++] = block;
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
        enter(r, READING, 0, PROBE + TIMEOUT);
        return;
    }
    if (redisAppendCommandArgv(r->redis, argc, argv, NULL) != REDIS_OK) {
        fail(r, "out of memory");
        return;
    }
    enter(r, READING, 1, r->block + TIMEOUT);
}

static void start(rs_reader_t *r)
{
    int replies;

    r->redis = r->url->path ? redisConnectUnixNonBlock(r->url->path)
                            : redisConnectNonBlock(r->url->host, r->url->port);
    if (!r->redis || r->redis->err) {
        fail(r, r->redis ? r->redis->errstr : "out of memory");
        return;
    }
    replies = rs_redis_login_append(r->redis, r->url, "ragline-reader");
    if (replies < 0) {
        fail(r, "out of memory");
        return;
    }
    r->wants_out = 1;
    if (rs_poll_add(r->poll, r->redis->fd, RS_POLL_IN | RS_POLL_OUT, r->poll_data) != APR_SUCCESS) {
        fail(r, "cannot watch the connection");
        return;
    }
    r->state = LOGIN;
    r->pending = replies;
    r->deadline = rs_clock_now() + TIMEOUT;
}

/* --- replies --- */

static int is_error(const redisReply *reply, const char *word)
{
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, word, strlen(word)) == 0;
}

static int newest_id(const redisReply *reply, rs_id_t *id)
{
    size_t i;

    for (i = 0; reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements; i += 2) {
        const redisReply *name = reply->element[i], *value = reply->element[i + 1];

        if (name->type == REDIS_REPLY_STRING && value->type == REDIS_REPLY_STRING
            && strcmp(name->str, "last-generated-id") == 0) {
            return rs_id_parse(id, value->str, (size_t)value->len);
        }
    }
    return 0;
}

static void on_position(rs_reader_t *r, const redisReply *reply)
{
    int i = r->n - r->pending;
    rs_id_t newest = {0, 0};

    if (is_error(reply, "WRONGTYPE")) {
        if (!r->left_out[i]) {
            rs_log(RS_LOG_ERR, 0,
                   RSLOGNO(0202) "%s: the key %s is not a stream; it is left out until it is one",
                   r->url->label, r->keys[i]);
        }
        r->left_out[i] = 1;
        r->probe = rs_clock_now() + PROBE;
    }
    else if (is_error(reply, "ERR no such key") || newest_id(reply, &newest)) {
        r->left_out[i] = 0;
        r->pos[i] = r->calls.position(r->calls.baton, i, newest);
    }
    else {
        fail(r,
             reply->type == REDIS_REPLY_ERROR ? reply->str : "unexpected answer to XINFO STREAM");
        return;
    }
    if (--r->pending == 0) {
        r->backoff = BACKOFF_MIN;
        if (r->told_down) {
            rs_log(RS_LOG_NOTICE, 0, RSLOGNO(0203) "%s: streams are being read again",
                   r->url->label);
            r->told_down = 0;
        }
        ask_entries(r);
        if (r->state == READING) {
            r->calls.up(r->calls.baton, 1);
        }
    }
}

static int key_index(const rs_reader_t *r, const redisReply *name)
{
    int i;

    for (i = 0; name->type == REDIS_REPLY_STRING && i < r->n; i++) {
        if (strlen(r->keys[i]) == (size_t)name->len
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

        if (e->type != REDIS_REPLY_ARRAY || e->elements != 2
            || e->element[0]->type != REDIS_REPLY_STRING
            || !rs_id_parse(&id, e->element[0]->str, (size_t)e->element[0]->len)) {
            return -1;
        }
        r->pos[stream] = id;
        r->calls.entry(r->calls.baton, stream, id, e->element[1]);
    }
    return (int)entries->elements;
}

static void on_entries(rs_reader_t *r, const redisReply *reply)
{
    int full = 0;
    size_t i;

    if (is_error(reply, "WRONGTYPE")) {
        ask_positions(r); /* finds out which */
        return;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        fail(r, reply->str);
        return;
    }
    for (i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        int n = on_stream(r, reply->element[i]);

        if (n < 0) {
            fail(r, "unexpected answer to XREAD");
            return;
        }
        full |= n >= r->batch;
    }
    r->calls.batch_end(r->calls.baton, !full);
    if (r->probe && rs_clock_now() >= r->probe) {
        r->probe = 0;
        ask_positions(r);
        return;
    }
    ask_entries(r);
}

static void on_reply(rs_reader_t *r, const redisReply *reply)
{
    switch (r->state) {
    case LOGIN:
        if (reply->type == REDIS_REPLY_ERROR) {
            fail(r, reply->str);
        }
        else if (--r->pending == 0) {
            ask_positions(r);
        }
        break;
    case POSITIONS:
        on_position(r, reply);
        break;
    case READING:
        on_entries(r, reply);
        break;
    default:
        break;
    }
}

static int work_off_replies(rs_reader_t *r)
{
    void *reply = NULL;

    while (r->redis) {
        if (redisGetReplyFromReader(r->redis, &reply) != REDIS_OK) {
            fail(r, r->redis->errstr);
            return 0;
        }
        if (!reply) {
            return 1;
        }
        on_reply(r, reply);
        freeReplyObject(reply);
    }
    return 0;
}

static void receive(rs_reader_t *r)
{
    int turn;

    /* Not redisBufferRead(): it takes 16 kB a call and does not say whether more is waiting. */
    for (turn = 0; r->redis && turn < READS_PER_TURN; turn++) {
        ssize_t n = recv(r->redis->fd, r->buf, sizeof(r->buf), MSG_DONTWAIT);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        }
        if (n <= 0) {
            fail(r, n == 0 ? "Redis closed the connection" : strerror(errno));
            return;
        }
        if (redisReaderFeed(r->redis->reader, r->buf, (size_t)n) != REDIS_OK) {
            fail(r, "out of memory");
            return;
        }
        if (!work_off_replies(r) || n < (ssize_t)sizeof(r->buf)) {
            return;
        }
    }
}

void rs_reader_io(rs_reader_t *r, int events)
{
    if (!r->redis) {
        return;
    }
    if (events & RS_POLL_OUT) {
        int error = 0;
        socklen_t len = sizeof(error);

        if (getsockopt(r->redis->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error) {
            fail(r, strerror(error));
            return;
        }
        flush(r);
    }
    if (r->redis && (events & (RS_POLL_IN | RS_POLL_HUP))) {
        receive(r);
    }
}

apr_time_t rs_reader_turn(rs_reader_t *r, apr_time_t now)
{
    if (now >= r->deadline) {
        if (r->state == DOWN) {
            start(r);
        }
        else if (r->state == READING && r->pending == 0) {
            ask_positions(r);
        }
        else {
            fail(r, r->state == LOGIN ? "it does not accept the connection" : "it does not answer");
        }
    }
    return r->deadline;
}

static apr_status_t cleanup(void *data)
{
    disconnect(data);
    return APR_SUCCESS;
}

apr_status_t rs_reader_create(rs_reader_t **out, apr_pool_t *p, rs_poll_t *poll, void *poll_data,
                              const rs_redis_url_t *url, const char *const *keys, int n, int batch,
                              apr_interval_time_t block, const rs_reader_calls_t *calls)
{
    rs_reader_t *r;

    if (n < 1 || n > KEYS_MAX) {
        return APR_EINVAL;
    }
    r = apr_pcalloc(p, sizeof(*r));
    apr_pool_cleanup_register(p, r, cleanup, apr_pool_cleanup_null);
    r->poll = poll;
    r->poll_data = poll_data;
    r->url = url;
    r->keys = keys;
    r->n = n;
    r->batch = batch;
    r->block = block;
    r->calls = *calls;
    r->backoff = BACKOFF_MIN;
    *out = r;
    return APR_SUCCESS;
}
