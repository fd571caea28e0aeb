/* SPDX-License-Identifier: Apache-2.0
 *
 * The connection pool: idle connections behind a gate. Any worker thread.
 *
 * The gate counts what is in use; a new connection is made only where none is idle, so there are
 * never more than `max`. The one that was used last is used next, so that the others get old; those
 * above `min` the keeper closes then (rs_redis_keeper.c).
 *
 * Down and back. After a failure to connect, nobody tries again for RETRY_AFTER; then one thread
 * tries, and until it knows, the others go on failing at once. So a Redis that swallows packets
 * costs one worker `timeout` per attempt, not every worker. Connections that still live are used
 * all the while: Redis may merely be full.
 *
 * Trouble is logged when it starts and when it ends. "Down" ends with the next connection;
 * "exhausted" ends when half of the connections are free again, so that it does not flap.
 */
#include <errno.h>

#include <apr_allocator.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>
#include <hiredis/hiredis.h>
#include <string.h>

#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "rs_redis_hints.h"
#include "rs_redis_keeper.h"
#include "rs_redis_pool.h"

#define RETRY_AFTER apr_time_from_sec(1)
/* What the keeper asks has half a second to connect, to log in and to answer. */
#define KEEPER_LIMIT apr_time_from_sec(2)
#define LOOK_AGAIN apr_time_from_sec(60)
#define LOOKS 5
#define BEGUN 0x80000000u /* in `told`, above the hints */
#define NEVER ((apr_time_t)0x7fffffffffffffffLL)

struct rs_redis_pool_t {
    const rs_redis_url_t *url;
    rs_redis_pool_conf_t conf;
    apr_pool_t *own;
    rs_redis_keeper_t *keeper;
    int looks;      /* the keeper: so often more it calls conf.begun() */
    unsigned hints; /* atomic */
    int blind;      /* atomic: Redis does not let us see its settings */

    apr_thread_mutex_t *lock;
    apr_thread_cond_t *turn;
    /* All below: lock. */
    rs_redis_conn_t **idle; /* room for `max`; the one that was used last is the last */
    int nidle;
    apr_time_t tidy_at; /* when the keeper comes by */
    int busy;
    int exhausted;
    int down;
    int probing;
    apr_time_t retry_at;
    apr_status_t down_rv;
    apr_time_t outdated; /* what was opened before that goes to a server of before */
};

apr_status_t rs_redis_pool_stop(rs_redis_pool_t *pool)
{
    return rs_redis_keeper_stop(pool->keeper, KEEPER_LIMIT);
}

/* A connection may still be out when httpd's prefork child is stopped in the middle of a request,
 * in a signal handler: then nothing may be locked. */
static apr_status_t cleanup(void *data)
{
    rs_redis_pool_t *pool = data;

    if (rs_redis_pool_stop(pool) == APR_SUCCESS && pool->busy == 0) {
        while (pool->nidle) {
            rs_redis_conn_free(pool->idle[--pool->nidle]);
        }
        apr_pool_destroy(pool->own);
    }
    return APR_SUCCESS;
}

/* The keeper: closes what lay idle for too long. */
static apr_time_t tidy(void *data)
{
    rs_redis_pool_t *pool = data;
    rs_redis_conn_t *old;
    apr_time_t due;

    do {
        old = NULL;
        apr_thread_mutex_lock(pool->lock);
        due = pool->nidle > pool->conf.min ? rs_redis_conn_used(pool->idle[0]) + pool->conf.idle
                                           : NEVER;
        if (due <= rs_clock_now()) {
            old = pool->idle[0];
            memmove(pool->idle, pool->idle + 1, (size_t)--pool->nidle * sizeof(*pool->idle));
        }
        pool->tidy_at = due;
        apr_thread_mutex_unlock(pool->lock);
        rs_redis_conn_free(old);
    } while (old);
    return due;
}

static apr_interval_time_t look(void *data, rs_redis_conn_t *conn)
{
    rs_redis_pool_t *pool = data;

    rs_redis_pool_look(pool, conn);
    if (!pool->looks && pool->conf.begun && pool->conf.told
        && !(__atomic_fetch_or(pool->conf.told, BEGUN, __ATOMIC_RELAXED) & BEGUN)) {
        pool->looks = LOOKS;
    }
    if (pool->looks) {
        pool->looks = pool->conf.begun(pool->conf.baton, conn) ? 0 : pool->looks - 1;
    }
    return pool->looks ? LOOK_AGAIN : 0;
}

static apr_status_t init(rs_redis_pool_t *pool)
{
    rs_redis_keeper_calls_t calls = {tidy, look, pool};
    apr_status_t rv;

    pool->tidy_at = NEVER;
    pool->idle = apr_pcalloc(pool->own, (apr_size_t)pool->conf.max * sizeof(*pool->idle));
    if ((rv = apr_thread_mutex_create(&pool->lock, APR_THREAD_MUTEX_DEFAULT, pool->own))
            != APR_SUCCESS
        || (rv = apr_thread_cond_create(&pool->turn, pool->own)) != APR_SUCCESS) {
        return rv;
    }
    return rs_redis_keeper_start(&pool->keeper, pool->own, pool->url, &calls);
}

apr_status_t rs_redis_pool_create(rs_redis_pool_t **out, apr_pool_t *p, const rs_redis_url_t *url,
                                  const rs_redis_pool_conf_t *conf)
{
    apr_allocator_t *allocator;
    rs_redis_pool_t *pool;
    apr_pool_t *own;
    apr_status_t rv;

    *out = NULL;
    if (conf->max < 1 || conf->min < 0 || conf->idle < 0 || conf->timeout <= 0) {
        return APR_EINVAL;
    }
    /* Unmanaged: see cleanup(). */
    if ((rv = apr_allocator_create(&allocator)) != APR_SUCCESS) {
        return rv;
    }
    rv = apr_pool_create_unmanaged_ex(&own, NULL, allocator);
    if (rv != APR_SUCCESS) {
        apr_allocator_destroy(allocator);
        return rv;
    }
    apr_allocator_owner_set(allocator, own);
    apr_pool_tag(own, "rs_redis_pool");
    pool = apr_pcalloc(own, sizeof(*pool));
    pool->own = own;
    pool->url = url;
    pool->conf = *conf;
    if ((rv = init(pool)) != APR_SUCCESS) {
        apr_pool_destroy(own);
        return rv;
    }
    apr_pool_cleanup_register(p, pool, cleanup, apr_pool_cleanup_null);
    *out = pool;
    return APR_SUCCESS;
}

static void log_exhausted(const rs_redis_pool_t *pool)
{
    rs_log(RS_LOG_WARNING, APR_TIMEUP,
           RSLOGNO(0451) "all %d command connections to %s were in use for %" APR_TIME_T_FMT
                         " ms; what waited for one was refused. Raise max= in RaglineRedisPool, or"
                         " look why Redis is slow (SLOWLOG GET)",
           pool->conf.max, pool->url->label, apr_time_as_msec(pool->conf.timeout));
}

static void log_down(const rs_redis_pool_t *pool, apr_status_t rv, const char *why)
{
    rs_log(RS_LOG_WARNING, rv,
           RSLOGNO(0452) "Redis at %s cannot be used: %s. What needs it is refused until it is"
                         " back; it is tried once a second. Check that it runs, and RaglineRedis",
           pool->url->label, why);
}

/* Waits for one of the `max` places. */
static apr_status_t gate_enter(rs_redis_pool_t *pool)
{
    apr_time_t deadline = rs_clock_now() + pool->conf.timeout, left;
    apr_status_t rv = APR_SUCCESS;
    int first = 0;

    apr_thread_mutex_lock(pool->lock);
    while (pool->busy >= pool->conf.max) {
        left = deadline - rs_clock_now();
        if (left <= 0) {
            rv = pool->down ? pool->down_rv : APR_TIMEUP;
            break;
        }
        apr_thread_cond_timedwait(pool->turn, pool->lock, left);
    }
    if (rv == APR_SUCCESS) {
        pool->busy++;
    }
    else if (rv == APR_TIMEUP) {
        first = !pool->exhausted;
        pool->exhausted = 1;
    }
    apr_thread_mutex_unlock(pool->lock);
    if (first) {
        log_exhausted(pool);
    }
    return rv;
}

/* conn: to be used again, or NULL. */
static void gate_leave(rs_redis_pool_t *pool, rs_redis_conn_t *conn)
{
    int ended, early = 0;

    apr_thread_mutex_lock(pool->lock);
    if (conn) {
        pool->idle[pool->nidle++] = conn;
        early = pool->nidle > pool->conf.min
                && rs_redis_conn_used(pool->idle[0]) + pool->conf.idle < pool->tidy_at;
        /* Once is enough. */
        pool->tidy_at = early ? 0 : pool->tidy_at;
    }
    pool->busy--;
    ended = pool->exhausted && pool->busy <= pool->conf.max / 2;
    if (ended) {
        pool->exhausted = 0;
    }
    apr_thread_cond_signal(pool->turn);
    apr_thread_mutex_unlock(pool->lock);
    if (early) {
        rs_redis_keeper_wake(pool->keeper);
    }
    if (ended) {
        rs_log(RS_LOG_NOTICE, APR_SUCCESS, RSLOGNO(0453) "command connections to %s are free again",
               pool->url->label);
    }
}

/* Takes note of whether connecting worked. `probe`: this thread was the one that tried. */
static apr_status_t judge(rs_redis_pool_t *pool, apr_status_t rv, const char *why, int probe)
{
    int was_down;

    if (rv == APR_TIMEUP) {
        rv = APR_FROM_OS_ERROR(ETIMEDOUT); /* APR_TIMEUP says "exhausted" to our caller */
    }
    apr_thread_mutex_lock(pool->lock);
    was_down = pool->down;
    pool->down = rv != APR_SUCCESS;
    pool->down_rv = rv;
    pool->retry_at = rs_clock_now() + RETRY_AFTER;
    if (probe) {
        pool->probing = 0;
    }
    apr_thread_mutex_unlock(pool->lock);
    if (rv != APR_SUCCESS && !was_down) {
        log_down(pool, rv, why);
    }
    else if (rv == APR_SUCCESS && was_down) {
        rs_log(RS_LOG_NOTICE, APR_SUCCESS, RSLOGNO(0454) "Redis at %s is back", pool->url->label);
    }
    return rv;
}

static apr_status_t connect_now(rs_redis_pool_t *pool, rs_redis_conn_t *conn)
{
    apr_status_t rv = APR_SUCCESS;
    int probe = 0;

    apr_thread_mutex_lock(pool->lock);
    if (pool->down) {
        if (pool->probing || rs_clock_now() < pool->retry_at) {
            rv = pool->down_rv;
        }
        else {
            probe = pool->probing = 1;
        }
    }
    apr_thread_mutex_unlock(pool->lock);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rv = rs_redis_conn_open(conn);
    return judge(pool, rv, rs_redis_conn_why(conn), probe);
}

static int is_outdated(rs_redis_pool_t *pool, const rs_redis_conn_t *conn)
{
    int outdated;

    apr_thread_mutex_lock(pool->lock);
    outdated = rs_redis_conn_opened(conn) <= pool->outdated;
    apr_thread_mutex_unlock(pool->lock);
    return outdated;
}

void rs_redis_pool_demoted(rs_redis_pool_t *pool, rs_redis_conn_t *conn)
{
    rs_redis_conn_spoil(conn, "it is a replica now");
    apr_thread_mutex_lock(pool->lock);
    pool->outdated = rs_clock_now();
    apr_thread_mutex_unlock(pool->lock);
}

/* APR_SUCCESS: alive. APR_TIMEUP: Redis accepts but does not answer, which the next connection
 * would not do either. Else this one connection is dead. */
static apr_status_t check_idle(rs_redis_pool_t *pool, rs_redis_conn_t *conn)
{
    const char *ping[] = {"PING"};
    redisReply *reply;
    apr_status_t rv;

    if (rs_redis_conn_stale(conn) || is_outdated(pool, conn) || !rs_redis_conn_current(conn)) {
        return APR_EOF;
    }
    if (rs_clock_now() - rs_redis_conn_used(conn) < pool->conf.healthcheck) {
        return APR_SUCCESS;
    }
    rv = rs_redis_conn_command(conn, &reply, 1, ping, NULL);
    if (rv == APR_SUCCESS) {
        rv = reply->type == REDIS_REPLY_STATUS ? APR_SUCCESS : APR_EGENERAL;
        freeReplyObject(reply);
    }
    return rv;
}

static rs_redis_conn_t *take_idle(rs_redis_pool_t *pool)
{
    rs_redis_conn_t *conn;

    apr_thread_mutex_lock(pool->lock);
    conn = pool->nidle ? pool->idle[--pool->nidle] : NULL;
    apr_thread_mutex_unlock(pool->lock);
    return conn;
}

apr_status_t rs_redis_pool_acquire(rs_redis_conn_t **out, rs_redis_pool_t *pool)
{
    rs_redis_conn_t *conn;
    apr_status_t rv;
    int fresh;

    *out = NULL;
    if ((rv = gate_enter(pool)) != APR_SUCCESS) {
        return rv;
    }
    do {
        conn = take_idle(pool);
        fresh = !conn;
        if (fresh && !(conn = rs_redis_conn_create(pool->url, pool->conf.timeout))) {
            rv = APR_ENOMEM;
            break;
        }
        rv = fresh ? connect_now(pool, conn) : check_idle(pool, conn);
        if (rv == APR_SUCCESS) {
            *out = conn;
            return APR_SUCCESS;
        }
        if (rv == APR_TIMEUP) {
            rv = judge(pool, rv, rs_redis_conn_why(conn), 0);
            fresh = 1;
        }
        rs_redis_conn_free(conn);
    } while (!fresh);
    gate_leave(pool, NULL);
    return rv;
}

void rs_redis_pool_release(rs_redis_pool_t *pool, rs_redis_conn_t *conn)
{
    if (!conn) {
        return;
    }
    if (!rs_redis_conn_usable(conn)) {
        rs_redis_conn_free(conn);
        conn = NULL;
    }
    gate_leave(pool, conn);
}

int rs_redis_pool_down(rs_redis_pool_t *pool)
{
    int down;

    apr_thread_mutex_lock(pool->lock);
    down = pool->down;
    apr_thread_mutex_unlock(pool->lock);
    return down;
}

unsigned rs_redis_pool_hints(rs_redis_pool_t *pool)
{
    return __atomic_load_n(&pool->hints, __ATOMIC_RELAXED);
}

/* Once, whichever child saw it first. */
static void tell_hints(rs_redis_pool_t *pool, unsigned found)
{
    unsigned fresh =
        pool->conf.told ? found & ~__atomic_fetch_or(pool->conf.told, found, __ATOMIC_RELAXED) : 0;
    int i;

    for (i = 0; i < RS_HINTS; i++) {
        if (fresh >> i & 1) {
            rs_log(RS_LOG_NOTICE, 0, RSLOGNO(0457) "Redis at %s, %s: %s", pool->url->label,
                   rs_redis_hint_setting(i), rs_redis_hint_sentence(i));
        }
    }
}

void rs_redis_pool_look(rs_redis_pool_t *pool, rs_redis_conn_t *conn)
{
    const char *info[] = {"INFO"};
    redisReply *reply;
    unsigned found = 0;

    if (__atomic_load_n(&pool->blind, __ATOMIC_RELAXED)
        || rs_redis_conn_command(conn, &reply, 1, info, NULL) != APR_SUCCESS) {
        return;
    }
    if (reply->type == REDIS_REPLY_STRING) {
        found = rs_redis_hints_parse(reply->str, (size_t)reply->len, pool->url->master != NULL);
    }
    else {
        __atomic_store_n(&pool->blind, 1, __ATOMIC_RELAXED);
    }
    __atomic_store_n(&pool->hints, found, __ATOMIC_RELAXED);
    tell_hints(pool, found);
    freeReplyObject(reply);
}

const char *rs_redis_pool_label(const rs_redis_pool_t *pool) { return pool->url->label; }
