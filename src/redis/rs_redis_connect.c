/* SPDX-License-Identifier: Apache-2.0
 *
 * Reaching one server: connecting, TLS, logging in, and why it was not possible. As
 * rs_redis_conn.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include <apr_strings.h>
#include <hiredis/hiredis.h>

#include "rs_redis_conn_private.h"

static const char *login_remedy(const redisReply *reply, const char *class)
{
    if (rs_redis_is_full(reply)) {
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
    return rs_redis_conn_fail(conn, APR_EACCES, remedy);
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
        return rs_redis_conn_fail(conn, APR_ENOMEM, "out of memory");
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
        return rs_redis_conn_fail(conn, APR_FROM_OS_ERROR(errno), "fcntl failed");
    }
    conn->c->flags &= ~REDIS_BLOCK;
    return APR_SUCCESS;
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
        return rs_redis_conn_fail(conn, APR_ENOMEM, "out of memory");
    }
    if (conn->c->err) {
        return rs_redis_conn_fail_hiredis(conn, rv);
    }
    if (at->host && redisEnableKeepAlive(conn->c) != REDIS_OK) {
        return rs_redis_conn_fail_hiredis(conn, APR_EGENERAL);
    }
    if (at->tls
        && (redisSetTimeout(conn->c, tv) != REDIS_OK || rs_redis_tls_start(conn->c, at) != 0)) {
        return rs_redis_conn_fail_hiredis(conn, APR_EGENERAL);
    }
    return set_flags(conn);
}

apr_status_t rs_redis_conn_connect(rs_redis_conn_t *conn)
{
    apr_status_t rv = connect_at(conn, conn->at);

    return rv == APR_SUCCESS ? login(conn) : rv;
}

apr_status_t rs_redis_conn_open_at(rs_redis_conn_t *conn)
{
    rs_redis_conn_begin(conn);
    return rs_redis_conn_connect(conn);
}
