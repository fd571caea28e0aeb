/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of the connection pool share: a pool against the private redis-server, questions
 * to it, and a count of what was logged.
 */
#ifndef REDIS_POOL_H
#define REDIS_POOL_H

#include "redis_server.h"

#include <pthread.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <hiredis/hiredis.h>

#include "../../src/base/rs_clock.h"
#include "../../src/base/rs_log.h"
#include "../../src/redis/rs_redis_pool.h"
#include "tap.h"

#define MSEC(n) ((apr_interval_time_t)(n)*1000)

static apr_pool_t *p;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static int log_warnings, log_notices;
static char log_last[1024];

static inline void sink(const char *file, int line, int level, apr_status_t rv, const char *message)
{
    (void)file;
    (void)line;
    (void)rv;
    pthread_mutex_lock(&log_lock);
    log_warnings += level == RS_LOG_WARNING;
    log_notices += level == RS_LOG_NOTICE;
    apr_cpystrn(log_last, message, sizeof(log_last));
    pthread_mutex_unlock(&log_lock);
}

static inline void logged(int warnings, int notices, const char *name)
{
    pthread_mutex_lock(&log_lock);
    ok(log_warnings == warnings && log_notices == notices, "%s: %d warnings, %d notices", name,
       log_warnings, log_notices);
    pthread_mutex_unlock(&log_lock);
}

static inline void log_reset(void)
{
    pthread_mutex_lock(&log_lock);
    log_warnings = log_notices = 0;
    pthread_mutex_unlock(&log_lock);
}

static inline int msec_since(apr_time_t start)
{
    return (int)apr_time_as_msec(rs_clock_now() - start);
}

static inline rs_redis_url_t *url_of(const char *text)
{
    rs_redis_url_t *u = NULL;
    const char *err = rs_redis_url_parse(&u, p, text);

    if (err) {
        printf("Bail out! %s\n", err);
        exit(1);
    }
    return u;
}

static inline rs_redis_pool_t *create(apr_pool_t *sub, const rs_redis_url_t *url, int max,
                                      int timeout)
{
    rs_redis_pool_conf_t conf = {
        max, 1, apr_time_from_sec(60), MSEC(timeout), apr_time_from_sec(30), NULL, NULL, NULL};
    rs_redis_pool_t *pool = NULL;

    is_int(rs_redis_pool_create(&pool, sub, url, &conf), APR_SUCCESS, "a pool is created");
    return pool;
}

/* The answer as an integer, or -1. */
static inline long long ask(rs_redis_conn_t *conn, const char *a, const char *b, const char *c)
{
    const char *argv[] = {a, b, c};
    redisReply *reply;
    long long n = -1;

    if (rs_redis_conn_command(conn, &reply, c ? 3 : b ? 2 : 1, argv, NULL) == APR_SUCCESS) {
        if (reply->type == REDIS_REPLY_INTEGER) {
            n = reply->integer;
        }
        else if (reply->type == REDIS_REPLY_STRING) {
            n = atoll(reply->str);
        }
        else if (reply->type == REDIS_REPLY_STATUS) {
            n = 0;
        }
        freeReplyObject(reply);
    }
    return n;
}

/* How many connections of ours Redis has. */
static inline int clients(rs_redis_conn_t *conn, const char *what)
{
    const char *argv[] = {"CLIENT", "LIST"};
    redisReply *reply;
    int n = 0;

    if (rs_redis_conn_command(conn, &reply, 2, argv, NULL) == APR_SUCCESS) {
        const char *s = reply->str;

        for (; s && (s = strstr(s, what)); s++) {
            n++;
        }
        freeReplyObject(reply);
    }
    return n;
}

static inline int works(rs_redis_pool_t *pool)
{
    rs_redis_conn_t *conn;
    int good;

    if (rs_redis_pool_acquire(&conn, pool) != APR_SUCCESS) {
        return 0;
    }
    good = ask(conn, "PING", NULL, NULL) == 0;
    rs_redis_pool_release(pool, conn);
    return good;
}

#endif
