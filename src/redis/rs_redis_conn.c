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
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <apr_strings.h>
#include <hiredis/hiredis.h>

#include "../base/rs_clock.h"
#include "rs_redis_conn.h"
#include "rs_sentinel.h"

#define CLIENT_NAME "ragline-cmd"

/* Commands sent here have short answers; more than this is no Redis. */
#define REPLY_MAX (16 * 1024 * 1024)

struct rs_redis_conn_t {
    redisContext *c;
    const char *name;
    const rs_redis_url_t *url;
    const rs_redis_url_t *at; /* `url`, or that of the master which its sentinels named */
    rs_target_t target;
    int sentinel; /* which of them named it */
    apr_interval_time_t timeout;
    apr_time_t opened;
    apr_time_t deadline; /* of the pipeline under way */
    apr_time_t used;
    int broken;
    char why[256];
};

static apr_status_t fail(rs_redis_conn_t *conn, apr_status_t rv, const char *why)
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

static apr_status_t fail_hiredis(rs_redis_conn_t *conn, apr_status_t rv)
{
    return fail(conn, rv, conn->c->errstr[0] ? conn->c->errstr : "input or output error");
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

void rs_redis_conn_close(rs_redis_conn_t *conn)
{
    if (conn->c) {
        redisFree(conn->c);
        conn->c = NULL;
    }
    conn->broken = 0;
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

void rs_redis_conn_spoil(rs_redis_conn_t *conn, const char *why) { fail(conn, APR_EGENERAL, why); }

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
            return fail(conn, APR_TIMEUP, "no answer in time");
        }
        n = poll(&pfd, 1, (int)apr_time_as_msec(left) + 1);
        if (n > 0) {
            return APR_SUCCESS;
        }
        if (n < 0 && errno != EINTR) {
            return fail(conn, APR_FROM_OS_ERROR(errno), "poll failed");
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
        return fail(conn, APR_ENOMEM, "out of memory");
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
            return fail_hiredis(conn, APR_FROM_OS_ERROR(errno));
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
            return fail_hiredis(conn, APR_EGENERAL);
        }
        if (r) {
            *reply = r;
            conn->used = rs_clock_now();
            return APR_SUCCESS;
        }
        before = conn->c->reader->len;
        errno = 0;
        if (redisBufferRead(conn->c) != REDIS_OK) {
            return fail_hiredis(conn,
                                conn->c->err == REDIS_ERR_EOF ? APR_EOF : APR_FROM_OS_ERROR(errno));
        }
        if (conn->c->reader->len == before) {
            if ((rv = wait_until(conn, POLLIN, conn->deadline)) != APR_SUCCESS) {
                return rv;
            }
        }
        got += conn->c->reader->len - before;
        if (got > REPLY_MAX) {
            return fail(conn, APR_EGENERAL, "an answer of more than 16 MiB");
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

void rs_redis_error_class(char out[RS_REDIS_CLASS_LEN], const redisReply *reply)
{
    size_t n = 0;

    if (reply && reply->type == REDIS_REPLY_ERROR && reply->str) {
        while (n < reply->len && n < RS_REDIS_CLASS_LEN - 1
               && ((reply->str[n] >= 'A' && reply->str[n] <= 'Z') || reply->str[n] == '_')) {
            out[n] = reply->str[n];
            n++;
        }
        if (n < reply->len && reply->str[n] != ' ') {
            n = 0; /* not a word in capitals, or a longer one than Redis has */
        }
    }
    if (n == 0) {
        memcpy(out, "ERR", 3);
        n = 3;
    }
    out[n] = '\0';
}

int rs_redis_login_append(redisContext *c, const rs_redis_url_t *url, const char *name)
{
    const char *auth[3] = {"AUTH", NULL, NULL}, *select[2] = {"SELECT", NULL};
    const char *setname[3] = {"CLIENT", "SETNAME", name};
    char db[16];
    int n = 0;

    if (url->password) {
        auth[1] = url->user ? url->user : url->password;
        auth[2] = url->password;
        if (redisAppendCommandArgv(c, url->user ? 3 : 2, auth, NULL) != REDIS_OK) {
            return -1;
        }
        n++;
    }
    if (url->db) {
        apr_snprintf(db, sizeof(db), "%d", url->db);
        select[1] = db;
        if (redisAppendCommandArgv(c, 2, select, NULL) != REDIS_OK) {
            return -1;
        }
        n++;
    }
    return redisAppendCommandArgv(c, 3, setname, NULL) == REDIS_OK ? n + 1 : -1;
}

/* Redis tells a client that it does not take so in answer to whatever comes first. */
static int is_full(const redisReply *reply)
{
    static const char full[] = "ERR max number of clients";

    return reply->len >= sizeof(full) - 1 && strncmp(reply->str, full, sizeof(full) - 1) == 0;
}

static const char *login_remedy(const redisReply *reply, const char *class)
{
    if (is_full(reply)) {
        return "it takes no more clients: see maxclients in redis.conf";
    }
    if (strcmp(class, "WRONGPASS") == 0) {
        return "it refused the password (WRONGPASS): see RaglineRedisAuth";
    }
    if (strcmp(class, "NOAUTH") == 0) {
        return "it wants a password (NOAUTH): see RaglineRedisAuth";
    }
    if (strcmp(class, "DENIED") == 0) {
        return "its protected mode refused us (DENIED): give it a password or bind it to loopback";
    }
    return NULL;
}

static apr_status_t login_refused(rs_redis_conn_t *conn, const redisReply *reply, const char *what)
{
    char class[RS_REDIS_CLASS_LEN], why[sizeof(conn->why)];
    const char *remedy;

    rs_redis_error_class(class, reply);
    remedy = login_remedy(reply, class);
    if (!remedy) {
        apr_snprintf(why, sizeof(why), "it refused %s (%s)", what, class);
        remedy = why;
    }
    return fail(conn, APR_EACCES, remedy);
}

int rs_redis_setname_may_fail(const redisReply *reply)
{
    char class[RS_REDIS_CLASS_LEN];

    rs_redis_error_class(class, reply);
    return strcmp(class, "NOPERM") == 0 || (strcmp(class, "ERR") == 0 && !is_full(reply));
}

/* A Redis that does not take us says why and hangs up. Writing to it fails before its sentence is
 * read, so it is looked for in what has arrived. */
static void overhear(rs_redis_conn_t *conn)
{
    redisReply reply;
    char buf[128];
    ssize_t n = conn->at->tls ? 0 : recv(conn->c->fd, buf, sizeof(buf), MSG_DONTWAIT);

    if (n > 1 && buf[0] == '-') {
        memset(&reply, 0, sizeof(reply));
        reply.type = REDIS_REPLY_ERROR;
        reply.str = buf + 1;
        reply.len = (size_t)n - 1;
        login_refused(conn, &reply, "another client");
    }
}

static apr_status_t login(rs_redis_conn_t *conn)
{
    int i, n = rs_redis_login_append(conn->c, conn->at, conn->name);
    redisReply *reply;
    apr_status_t rv;

    if (n < 0) {
        return fail(conn, APR_ENOMEM, "out of memory");
    }
    if ((rv = rs_redis_conn_flush(conn)) != APR_SUCCESS) {
        overhear(conn);
        return rv;
    }
    for (i = 0; i < n && rv == APR_SUCCESS; i++) {
        rv = rs_redis_conn_reply(conn, &reply);
        if (!reply) {
            return rv;
        }
        if (reply->type == REDIS_REPLY_ERROR && (i < n - 1 || !rs_redis_setname_may_fail(reply))) {
            rv = login_refused(conn, reply,
                               i == n - 1                     ? "another client"
                               : i == 0 && conn->at->password ? "the login"
                                                              : "the database");
        }
        freeReplyObject(reply);
    }
    return rv;
}

static apr_status_t set_flags(rs_redis_conn_t *conn)
{
    int fd = conn->c->fd, flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0
        || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
        return fail(conn, APR_FROM_OS_ERROR(errno), "fcntl failed");
    }
    conn->c->flags &= ~REDIS_BLOCK;
    return APR_SUCCESS;
}

static apr_status_t settle(rs_redis_conn_t *conn)
{
    apr_interval_time_t left = rs_sentinel_unsettled(conn->url);

    if (left > conn->timeout) {
        return fail(conn, APR_EGENERAL, "the master has just changed");
    }
    if (left) {
        apr_sleep(left);
    }
    return APR_SUCCESS;
}

static apr_status_t find_master(rs_redis_conn_t *conn)
{
    char why[sizeof(conn->why)];
    apr_status_t rv =
        rs_sentinel_ask(&conn->target, &conn->sentinel, conn->url, conn->timeout, why, sizeof(why));

    if (rv != APR_SUCCESS) {
        return fail(conn, rv, why);
    }
    conn->at = &conn->target.url;
    return settle(conn);
}

/* Sentinels may be wrong for a while. */
static apr_status_t check_master(rs_redis_conn_t *conn)
{
    const char *argv[] = {"ROLE"}, *problem;
    redisReply *reply;
    apr_status_t rv = rs_redis_conn_command(conn, &reply, 1, argv, NULL);

    if (rv == APR_SUCCESS) {
        problem = rs_sentinel_role(reply);
        freeReplyObject(reply);
        rv = problem ? fail(conn, APR_EGENERAL, problem) : APR_SUCCESS;
    }
    return rv;
}

static apr_status_t connect_at(rs_redis_conn_t *conn, const rs_redis_url_t *at)
{
    struct timeval tv;
    apr_status_t rv;

    tv.tv_sec = (time_t)apr_time_sec(conn->timeout);
    tv.tv_usec = (suseconds_t)apr_time_usec(conn->timeout);
    errno = 0;
    conn->c = at->path ? redisConnectUnixWithTimeout(at->path, tv)
                       : redisConnectWithTimeout(at->host, at->port, tv);
    rv = APR_FROM_OS_ERROR(errno);
    if (!conn->c) {
        return fail(conn, APR_ENOMEM, "out of memory");
    }
    if (conn->c->err) {
        return fail_hiredis(conn, rv);
    }
    if (at->host && redisEnableKeepAlive(conn->c) != REDIS_OK) {
        return fail_hiredis(conn, APR_EGENERAL);
    }
    if (at->tls
        && (redisSetTimeout(conn->c, tv) != REDIS_OK || rs_redis_tls_start(conn->c, at) != 0)) {
        return fail_hiredis(conn, APR_EGENERAL);
    }
    return set_flags(conn);
}

apr_status_t rs_redis_conn_open(rs_redis_conn_t *conn)
{
    apr_status_t rv;

    rs_redis_conn_close(conn);
    conn->why[0] = '\0';
    conn->opened = rs_clock_now();
    if (conn->url->master && (rv = find_master(conn)) != APR_SUCCESS) {
        return rv;
    }
    rv = connect_at(conn, conn->at);
    if (rv == APR_SUCCESS) {
        rv = login(conn);
    }
    if (rv == APR_SUCCESS && conn->url->master) {
        rv = check_master(conn);
    }
    if (rv != APR_SUCCESS && conn->url->master) {
        rs_sentinel_failed(conn->url, conn->sentinel);
    }
    return rv;
}
