/* SPDX-License-Identifier: Apache-2.0
 *
 * The non-blocking connection. The hub's thread.
 *
 *   DOWN    waits for its next try
 *   LOGIN   connecting; AUTH, SELECT and CLIENT SETNAME are on their way
 *   READY   the owner's commands
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "../base/rs_clock.h"
#include "rs_link.h"
#include "rs_redis_conn.h"

#define LOGIN_LIMIT apr_time_from_sec(5)
#define PROGRESS apr_time_from_sec(5)
#define BACKOFF_MIN apr_time_from_msec(50)
#define BACKOFF_MAX apr_time_from_sec(1)
#define NEVER ((apr_time_t)0x7fffffffffffffffLL)
#define READ_SIZE (64 * 1024)
/* A reply may be as large as Redis makes it, but one turn of the hub must end. */
#define READS_PER_TURN 64

enum { DOWN, LOGIN, READY };

struct rs_link_t {
    rs_poll_t *poll;
    const rs_redis_url_t *url;
    const char *name;
    rs_link_calls_t calls;
    int state;
    redisContext *redis;
    int logins; /* replies of the login to come */
    int wants_out;
    apr_time_t deadline; /* DOWN: the next try; else when a reply must be there */
    apr_interval_time_t backoff;
    apr_uint64_t jitter;
    char buf[READ_SIZE];
};

static void disconnect(rs_link_t *l)
{
    if (l->redis) {
        if (l->redis->fd >= 0) {
            rs_poll_del(l->poll, l->redis->fd);
        }
        redisFree(l->redis);
        l->redis = NULL;
    }
}

void rs_link_fail(rs_link_t *l, const char *why)
{
    if (l->state == DOWN && !l->redis) {
        return;
    }
    l->state = DOWN;
    l->deadline =
        rs_clock_now() + l->backoff / 2 + rs_jitter(&l->jitter, (apr_uint32_t)(l->backoff / 2) + 1);
    l->backoff = l->backoff * 2 > BACKOFF_MAX ? BACKOFF_MAX : l->backoff * 2;
    /* `why` may be the context's own text. */
    l->calls.down(l->calls.baton, why);
    disconnect(l);
}

static void flush(rs_link_t *l)
{
    int done = 0, wanted;

    /* One write a call: not done means that the socket is full, or that there is more. */
    if (redisBufferWrite(l->redis, &done) != REDIS_OK) {
        rs_link_fail(l, l->redis->errstr[0] ? l->redis->errstr : "cannot write");
        return;
    }
    wanted = !done;
    if (wanted != l->wants_out) {
        l->wants_out = wanted;
        rs_poll_mod(l->poll, l->redis->fd, RS_POLL_IN | (wanted ? RS_POLL_OUT : 0), l);
    }
}

static void start(rs_link_t *l)
{
    l->redis = l->url->path ? redisConnectUnixNonBlock(l->url->path)
                            : redisConnectNonBlock(l->url->host, l->url->port);
    if (!l->redis) {
        l->state = LOGIN;
        rs_link_fail(l, "out of memory");
        return;
    }
    l->state = LOGIN;
    l->deadline = rs_clock_now() + LOGIN_LIMIT;
    if (l->redis->err) {
        rs_link_fail(l, l->redis->errstr);
        return;
    }
    l->logins = rs_redis_login_append(l->redis, l->url, l->name);
    if (l->logins < 0) {
        rs_link_fail(l, "out of memory");
        return;
    }
    l->wants_out = 1;
    if (rs_poll_add(l->poll, l->redis->fd, RS_POLL_IN | RS_POLL_OUT, l) != APR_SUCCESS) {
        rs_link_fail(l, "cannot watch the connection");
    }
}

int rs_link_is_ready(const rs_link_t *l) { return l->state == READY; }

int rs_link_append(rs_link_t *l, int argc, const char **argv)
{
    if (redisAppendCommandArgv(l->redis, argc, argv, NULL) != REDIS_OK) {
        rs_link_fail(l, "out of memory");
        return 0;
    }
    return 1;
}

void rs_link_limit(rs_link_t *l, apr_interval_time_t limit)
{
    l->deadline = limit ? rs_clock_now() + limit : NEVER;
}

void rs_link_send(rs_link_t *l, apr_interval_time_t limit)
{
    rs_link_limit(l, limit);
    flush(l);
}

static void on_reply(rs_link_t *l, redisReply **reply)
{
    if (l->state == READY) {
        l->calls.reply(l->calls.baton, reply);
    }
    else if ((*reply)->type == REDIS_REPLY_ERROR) {
        rs_link_fail(l, (*reply)->str);
    }
    else if (--l->logins == 0) {
        l->state = READY;
        l->backoff = BACKOFF_MIN;
        l->deadline = NEVER;
        l->calls.ready(l->calls.baton);
    }
}

static int work_off_replies(rs_link_t *l)
{
    while (l->redis) {
        redisReply *reply = NULL;

        if (redisGetReplyFromReader(l->redis, (void **)&reply) != REDIS_OK) {
            rs_link_fail(l, l->redis->errstr);
            return 0;
        }
        if (!reply) {
            return 1;
        }
        on_reply(l, &reply);
        if (reply) {
            freeReplyObject(reply);
        }
    }
    return 0;
}

static void receive(rs_link_t *l)
{
    int turn;

    /* Not redisBufferRead(): it takes 16 kB a call and does not say whether more is waiting. */
    for (turn = 0; l->redis && turn < READS_PER_TURN; turn++) {
        ssize_t n = recv(l->redis->fd, l->buf, sizeof(l->buf), MSG_DONTWAIT);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            return;
        }
        if (n <= 0) {
            rs_link_fail(l, n == 0 ? "Redis closed the connection" : strerror(errno));
            return;
        }
        /* A large reply on a slow line is an answer, too. */
        if (l->deadline != NEVER && l->deadline < rs_clock_now() + PROGRESS) {
            l->deadline = rs_clock_now() + PROGRESS;
        }
        if (redisReaderFeed(l->redis->reader, l->buf, (size_t)n) != REDIS_OK) {
            rs_link_fail(l, "out of memory");
            return;
        }
        if (!work_off_replies(l) || n < (ssize_t)sizeof(l->buf)) {
            return;
        }
    }
}

void rs_link_io(rs_link_t *l, int events)
{
    if (l->redis && (events & RS_POLL_OUT)) {
        int error = 0;
        socklen_t len = sizeof(error);

        if (getsockopt(l->redis->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error) {
            rs_link_fail(l, strerror(error));
            return;
        }
        flush(l);
    }
    if (l->redis && (events & (RS_POLL_IN | RS_POLL_HUP))) {
        receive(l);
    }
}

static int readable(const rs_link_t *l)
{
    struct pollfd fd = {l->redis ? l->redis->fd : -1, POLLIN, 0};

    return fd.fd >= 0 && poll(&fd, 1, 0) == 1 && (fd.revents & POLLIN);
}

apr_time_t rs_link_turn(rs_link_t *l, apr_time_t now)
{
    if (now >= l->deadline && l->state != DOWN && readable(l)) {
        l->deadline = now + PROGRESS; /* it was us who did not look */
    }
    if (now >= l->deadline) {
        if (l->state == DOWN) {
            start(l);
        }
        else {
            rs_link_fail(l, l->state == LOGIN ? "it does not accept the connection"
                                              : "it does not answer");
        }
    }
    return l->deadline;
}

static apr_status_t cleanup(void *data)
{
    disconnect(data);
    return APR_SUCCESS;
}

apr_status_t rs_link_create(rs_link_t **out, apr_pool_t *p, rs_poll_t *poll,
                            const rs_redis_url_t *url, const char *name,
                            const rs_link_calls_t *calls)
{
    rs_link_t *l = apr_pcalloc(p, sizeof(*l));

    apr_pool_cleanup_register(p, l, cleanup, apr_pool_cleanup_null);
    l->poll = poll;
    l->url = url;
    l->name = name;
    l->calls = *calls;
    l->backoff = BACKOFF_MIN;
    *out = l;
    return APR_SUCCESS;
}
