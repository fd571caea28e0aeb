/* SPDX-License-Identifier: Apache-2.0
 *
 * Command connections. One httpd worker thread uses a connection at a time; the functions block,
 * each within a deadline.
 *
 * hiredis connects, formats and parses. The waiting is done here, on a socket that does not block:
 * SO_RCVTIMEO would bound each read, not the whole answer, and would not tell whether a command
 * left this machine completely, which decides whether a failed write may have happened.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include <hiredis/hiredis.h>

#include "../base/rs_clock.h"
#include "rs_redis_conn_private.h"

#define CLIENT_NAME "ragline-cmd"

/* Commands sent here have short answers; more than this is no Redis. */
#define REPLY_MAX (16 * 1024 * 1024)

apr_status_t rs_redis_conn_fail(rs_redis_conn_t *conn, apr_status_t rv, const char *why)
{
    char *s;

    conn->broken = 1;
    apr_cpystrn(conn->why, why, sizeof(conn->why));
    for (s = conn->why; *s; s++) {
        if (*s < ' ' || *s > '~') {
            *s = '?';
        }
    }
    return rv ? rv : APR_EGENERAL;
}

apr_status_t rs_redis_conn_fail_hiredis(rs_redis_conn_t *conn, apr_status_t rv)
{
    return rs_redis_conn_fail(conn, rv,
                              conn->c->errstr[0] ? conn->c->errstr : "input or output error");
}

rs_redis_conn_t *rs_redis_conn_create(const rs_redis_url_t *url, apr_interval_time_t timeout)
{
    rs_redis_conn_t *conn = calloc(1, sizeof(*conn));

    if (conn) {
        conn->name = CLIENT_NAME;
        conn->url = conn->at = url;
        conn->timeout = timeout;
    }
    return conn;
}

void rs_redis_conn_call(rs_redis_conn_t *conn, const char *name) { conn->name = name; }

apr_interval_time_t rs_redis_conn_patience(rs_redis_conn_t *conn, apr_interval_time_t timeout)
{
    apr_interval_time_t before = conn->timeout;

    conn->timeout = timeout;
    return before;
}

int rs_redis_conn_fd(const rs_redis_conn_t *conn) { return conn->c ? conn->c->fd : -1; }

void rs_redis_conn_close(rs_redis_conn_t *conn)
{
    if (conn->c) {
        redisFree(conn->c);
        conn->c = NULL;
    }
    conn->broken = 0;
}

void rs_redis_conn_begin(rs_redis_conn_t *conn)
{
    rs_redis_conn_close(conn);
    conn->why[0] = '\0';
    conn->opened = rs_clock_now();
}

void rs_redis_conn_free(rs_redis_conn_t *conn)
{
    if (conn) {
        rs_redis_conn_close(conn);
        free(conn);
    }
}

int rs_redis_conn_usable(const rs_redis_conn_t *conn) { return conn->c && !conn->broken; }

const char *rs_redis_conn_why(const rs_redis_conn_t *conn) { return conn->why; }

apr_time_t rs_redis_conn_used(const rs_redis_conn_t *conn) { return conn->used; }

apr_time_t rs_redis_conn_opened(const rs_redis_conn_t *conn) { return conn->opened; }

int rs_redis_conn_current(const rs_redis_conn_t *conn)
{
    return rs_sentinel_is_current(conn->url, &conn->target);
}

void rs_redis_conn_spoil(rs_redis_conn_t *conn, const char *why)
{
    rs_redis_conn_fail(conn, APR_EGENERAL, why);
}

int rs_redis_conn_stale(const rs_redis_conn_t *conn)
{
    struct pollfd pfd = {.fd = -1, .events = POLLIN};

    if (!rs_redis_conn_usable(conn)) {
        return 1;
    }
    pfd.fd = conn->c->fd;
    return poll(&pfd, 1, 0) != 0;
}

static apr_status_t wait_until(rs_redis_conn_t *conn, short events, apr_time_t deadline)
{
    struct pollfd pfd = {.fd = conn->c->fd, .events = events};

    for (;;) {
        apr_time_t left = deadline - rs_clock_now();
        int n;

        if (left <= 0) {
            return rs_redis_conn_fail(conn, APR_TIMEUP, "no answer in time");
        }
        n = poll(&pfd, 1, (int)apr_time_as_msec(left) + 1);
        if (n > 0) {
            return APR_SUCCESS;
        }
        if (n < 0 && errno != EINTR) {
            return rs_redis_conn_fail(conn, APR_FROM_OS_ERROR(errno), "poll failed");
        }
    }
}

apr_status_t rs_redis_conn_append(rs_redis_conn_t *conn, int argc, const char **argv,
                                  const apr_size_t *lens)
{
    if (!rs_redis_conn_usable(conn)) {
        return APR_EGENERAL;
    }
    if (redisAppendCommandArgv(conn->c, argc, argv, lens) != REDIS_OK) {
        return rs_redis_conn_fail(conn, APR_ENOMEM, "out of memory");
    }
    return APR_SUCCESS;
}

apr_status_t rs_redis_conn_flush(rs_redis_conn_t *conn)
{
    apr_status_t rv;
    int done = 0;

    if (!rs_redis_conn_usable(conn)) {
        return APR_EGENERAL;
    }
    conn->used = rs_clock_now();
    conn->deadline = conn->used + conn->timeout;
    for (;;) {
        errno = 0;
        if (redisBufferWrite(conn->c, &done) != REDIS_OK) {
            return rs_redis_conn_fail_hiredis(conn, APR_FROM_OS_ERROR(errno));
        }
        if (done) {
            return APR_SUCCESS;
        }
        if ((rv = wait_until(conn, POLLOUT, conn->deadline)) != APR_SUCCESS) {
            return rv;
        }
    }
}

apr_status_t rs_redis_conn_reply(rs_redis_conn_t *conn, redisReply **reply)
{
    apr_status_t rv;
    apr_size_t before, got = 0;
    void *r = NULL;

    *reply = NULL;
    if (!rs_redis_conn_usable(conn)) {
        return APR_EGENERAL;
    }
    for (;;) {
        if (redisGetReplyFromReader(conn->c, &r) != REDIS_OK) {
            return rs_redis_conn_fail_hiredis(conn, APR_EGENERAL);
        }
        if (r) {
            *reply = r;
            conn->used = rs_clock_now();
            return APR_SUCCESS;
        }
        before = conn->c->reader->len;
        errno = 0;
        if (redisBufferRead(conn->c) != REDIS_OK) {
            return rs_redis_conn_fail_hiredis(
                conn, conn->c->err == REDIS_ERR_EOF ? APR_EOF : APR_FROM_OS_ERROR(errno));
        }
        if (conn->c->reader->len == before) {
            if ((rv = wait_until(conn, POLLIN, conn->deadline)) != APR_SUCCESS) {
                return rv;
            }
        }
        got += conn->c->reader->len - before;
        if (got > REPLY_MAX) {
            return rs_redis_conn_fail(conn, APR_EGENERAL, "an answer of more than 16 MiB");
        }
    }
}

apr_status_t rs_redis_conn_command(rs_redis_conn_t *conn, redisReply **reply, int argc,
                                   const char **argv, const apr_size_t *lens)
{
    apr_status_t rv;

    *reply = NULL;
    if ((rv = rs_redis_conn_append(conn, argc, argv, lens)) != APR_SUCCESS
        || (rv = rs_redis_conn_flush(conn)) != APR_SUCCESS) {
        return rv;
    }
    return rs_redis_conn_reply(conn, reply);
}
