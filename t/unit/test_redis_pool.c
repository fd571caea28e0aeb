/* SPDX-License-Identifier: Apache-2.0
 *
 * The connection pool against a real redis-server: down, hung, back, exhausted, restarted, many
 * threads.
 */
#include "redis_pool.h"

#include <apr_atomic.h>

static int works_within(rs_redis_pool_t *pool, int msec)
{
    apr_time_t start = rs_clock_now();

    while (!works(pool)) {
        if (msec_since(start) > msec) {
            return 0;
        }
        apr_sleep(MSEC(20));
    }
    return 1;
}

static void test_down(void)
{
    apr_pool_t *sub;
    rs_redis_pool_t *pool;
    rs_redis_conn_t *conn = NULL;
    apr_time_t start = rs_clock_now();
    apr_status_t rv;
    int i, failed = 0;

    apr_pool_create(&sub, p);
    log_reset();
    pool = create(sub, url_of(redis_url), 2, 1000);
    is_int(rs_redis_pool_down(pool), 0, "nothing is known about Redis yet");
    rv = rs_redis_pool_acquire(&conn, pool);
    ok(rv != APR_SUCCESS && rv != APR_TIMEUP && !conn, "down: a status of its own");
    for (i = 0; i < 100; i++) {
        failed += rs_redis_pool_acquire(&conn, pool) != APR_SUCCESS;
    }
    ok(failed == 100 && msec_since(start) < 500, "down: 100 more fail in %d ms", msec_since(start));
    is_int(rs_redis_pool_down(pool), 1, "it says that it is down");
    logged(1, 0, "down is logged once");
    ok(strstr(log_last, redis_socket) && strstr(log_last, "RaglineRedis"),
       "  with the place and what to do");
    ok(redis_start(), "redis-server starts");
    ok(works_within(pool, 2000), "it is found again within %d ms", msec_since(start));
    logged(1, 1, "back is logged once");
    is_int(rs_redis_pool_down(pool), 0, "it says that it is up");
    apr_pool_destroy(sub);
}

static apr_uint32_t slow_failures, fast_failures;

static void *fail_thread(void *data)
{
    rs_redis_pool_t *pool = data;
    rs_redis_conn_t *conn;
    apr_time_t start = rs_clock_now();

    if (rs_redis_pool_acquire(&conn, pool) != APR_SUCCESS) {
        apr_atomic_inc32(msec_since(start) >= 700 ? &slow_failures : &fast_failures);
    }
    else {
        rs_redis_pool_release(pool, conn);
    }
    return NULL;
}

static void run_threads(void *(*fn)(void *), void *data, int n)
{
    pthread_t threads[32];
    int i;

    for (i = 0; i < n; i++) {
        if (pthread_create(&threads[i], NULL, fn, data) != 0) {
            printf("Bail out! no threads\n");
            exit(1);
        }
    }
    for (i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
    }
}

/* A Redis that accepts and says nothing. */
static void test_hung(void)
{
    apr_pool_t *sub;
    rs_redis_pool_t *pool;
    rs_redis_conn_t *conn;
    apr_time_t start;
    apr_status_t rv;

    apr_pool_create(&sub, p);
    log_reset();
    kill(redis_pid, SIGSTOP);
    pool = create(sub, url_of(redis_url), 16, 800);
    start = rs_clock_now();
    rv = rs_redis_pool_acquire(&conn, pool);
    ok(rv != APR_SUCCESS && rv != APR_TIMEUP && msec_since(start) >= 790
           && msec_since(start) < 1600,
       "hung: the first waits its time, %d ms", msec_since(start));
    start = rs_clock_now();
    run_threads(fail_thread, pool, 16);
    ok(fast_failures == 16 && msec_since(start) < 700, "hung: 16 more fail at once, in %d ms",
       msec_since(start));
    apr_sleep(MSEC(1050));
    slow_failures = fast_failures = 0;
    run_threads(fail_thread, pool, 16);
    ok(slow_failures == 1 && fast_failures == 15, "hung: later only one tries (%d slow, %d fast)",
       (int)slow_failures, (int)fast_failures);
    logged(1, 0, "hung is logged once");
    ok(strstr(log_last, "no answer in time") != NULL, "  with the reason");
    kill(redis_pid, SIGCONT);
    ok(works_within(pool, 2000), "it is found again");
    logged(1, 1, "back is logged once");
    apr_pool_destroy(sub);
}

static void test_healthcheck(void)
{
    rs_redis_pool_conf_t conf = {4, 1, apr_time_from_sec(60), MSEC(300), 0, NULL, NULL, NULL};
    rs_redis_pool_t *pool = NULL;
    rs_redis_conn_t *conn, *conns[4];
    apr_pool_t *sub;
    apr_time_t start;
    apr_status_t rv;
    int i;

    apr_pool_create(&sub, p);
    log_reset();
    rs_redis_pool_create(&pool, sub, url_of(redis_url), &conf);
    for (i = 0; i < 4; i++) {
        is_int(rs_redis_pool_acquire(&conns[i], pool), APR_SUCCESS, "one of four connections");
    }
    for (i = 0; i < 4; i++) {
        rs_redis_pool_release(pool, conns[i]);
    }
    ok(works(pool), "a connection is asked whether it lives");
    kill(redis_pid, SIGSTOP);
    start = rs_clock_now();
    rv = rs_redis_pool_acquire(&conn, pool);
    ok(rv != APR_SUCCESS && rv != APR_TIMEUP && msec_since(start) < 900,
       "a hung Redis costs one timeout and not one for each idle connection: %d ms",
       msec_since(start));
    logged(1, 0, "hung is logged");
    kill(redis_pid, SIGCONT);
    ok(works_within(pool, 2000), "it is found again");
    apr_pool_destroy(sub);
}

static void test_exhausted(void)
{
    apr_pool_t *sub;
    rs_redis_pool_t *pool;
    rs_redis_conn_t *a, *b, *c;
    apr_time_t start;

    apr_pool_create(&sub, p);
    log_reset();
    pool = create(sub, url_of(redis_url), 2, 200);
    is_int(rs_redis_pool_acquire(&a, pool), APR_SUCCESS, "the first of two");
    is_int(rs_redis_pool_acquire(&b, pool), APR_SUCCESS, "the second of two");
    ok(a != b, "they are two");
    start = rs_clock_now();
    is_int(rs_redis_pool_acquire(&c, pool), APR_TIMEUP, "the third is told that all are in use");
    ok(msec_since(start) >= 190 && msec_since(start) < 1200, "  after %d ms", msec_since(start));
    is_int(rs_redis_pool_acquire(&c, pool), APR_TIMEUP, "and again");
    logged(1, 0, "exhausted is logged once");
    ok(strstr(log_last, "max=") && strstr(log_last, redis_socket), "  with what to do");
    is_int(rs_redis_pool_down(pool), 0, "exhausted is not down");
    rs_redis_pool_release(pool, a);
    is_int(rs_redis_pool_acquire(&c, pool), APR_SUCCESS, "one that came back is taken");
    ok(c == a, "  and it is the same");
    rs_redis_pool_release(pool, b);
    rs_redis_pool_release(pool, c);
    logged(1, 1, "the end is logged once");
    rs_redis_pool_release(pool, NULL);
    apr_pool_destroy(sub);
}

static apr_uint32_t longest;

static void *greedy_thread(void *data)
{
    rs_redis_pool_t *pool = data;
    rs_redis_conn_t *conn;
    int i;

    for (i = 0; i < 12; i++) {
        apr_time_t start = rs_clock_now();
        apr_status_t rv = rs_redis_pool_acquire(&conn, pool);
        apr_uint32_t took = (apr_uint32_t)msec_since(start), seen;

        do {
            seen = apr_atomic_read32(&longest);
        } while (took > seen && apr_atomic_cas32(&longest, took, seen) != seen);
        if (rv == APR_SUCCESS) {
            apr_sleep(MSEC(15));
            rs_redis_pool_release(pool, conn);
        }
    }
    return NULL;
}

/* With 16 threads on 2 places every wake-up may lose to a thread that just came. */
static void test_deadline(void)
{
    apr_pool_t *sub;
    rs_redis_pool_t *pool;

    apr_pool_create(&sub, p);
    pool = create(sub, url_of(redis_url), 2, 200);
    run_threads(greedy_thread, pool, 16);
    ok(longest < 900, "no thread waits longer than its time under contention: %d ms", (int)longest);
    ok(works(pool), "and the pool is whole");
    apr_pool_destroy(sub);
}

static void test_restart(void)
{
    apr_pool_t *sub;
    rs_redis_pool_t *pool;
    rs_redis_conn_t *a, *b, *c;

    apr_pool_create(&sub, p);
    pool = create(sub, url_of(redis_url), 4, 1000);
    rs_redis_pool_acquire(&a, pool);
    rs_redis_pool_acquire(&b, pool);
    rs_redis_pool_acquire(&c, pool);
    rs_redis_pool_release(pool, b);
    rs_redis_pool_release(pool, c);
    log_reset();
    redis_stop(SIGTERM);
    ok(rs_redis_conn_stale(a), "a connection in use sees the end of Redis");
    ok(redis_start(), "redis-server starts again");
    ok(works(pool), "idle connections from before are not given out");
    ok(ask(a, "PING", NULL, NULL) == -1 && !rs_redis_conn_usable(a), "one that was in use fails");
    ok(rs_redis_conn_why(a)[0] != '\0', "  and says why: %s", rs_redis_conn_why(a));
    is_int(rs_redis_conn_append(a, 1, (const char *[]){"PING"}, NULL) != APR_SUCCESS, 1,
           "  and stays failed");
    rs_redis_pool_release(pool, a);
    logged(0, 0, "a restart that nobody ran into is not logged");
    ok(works(pool) && works(pool), "the pool is whole");
    apr_pool_destroy(sub);
}

static int falls_to(rs_redis_conn_t *conn, int n)
{
    apr_time_t start = rs_clock_now();

    while (clients(conn, "name=ragline-cmd") != n && msec_since(start) < 10000) {
        apr_sleep(MSEC(20));
    }
    return clients(conn, "name=ragline-cmd");
}

/* Nobody asks for a connection meanwhile. */
static void test_idle(void)
{
    rs_redis_pool_conf_t conf = {5,    2,    MSEC(300), MSEC(1000), apr_time_from_sec(30),
                                 NULL, NULL, NULL};
    rs_redis_conn_t *conns[5], *observer = rs_redis_conn_create(url_of(redis_url), MSEC(1000));
    rs_redis_pool_t *pool = NULL;
    apr_time_t before;
    apr_pool_t *sub;
    int i;

    apr_pool_create(&sub, p);
    rs_redis_conn_call(observer, "observer");
    rs_redis_conn_open(observer);
    rs_redis_pool_create(&pool, sub, url_of(redis_url), &conf);
    for (i = 0; i < 5; i++) {
        rs_redis_pool_acquire(&conns[i], pool);
    }
    is_int(clients(observer, "name=ragline-cmd"), 5, "five connections when five are needed");
    before = rs_clock_now();
    for (i = 0; i < 5; i++) {
        rs_redis_pool_release(pool, conns[i]);
    }
    is_int(falls_to(observer, 2), 2, "those above min are closed when their time is over");
    apr_sleep(MSEC(700));
    is_int(clients(observer, "name=ragline-cmd"), 2, "the others stay");
    for (i = 0; i < 3; i++) {
        rs_redis_pool_acquire(&conns[i], pool);
    }
    ok(rs_redis_conn_opened(conns[0]) <= before && rs_redis_conn_opened(conns[1]) <= before
           && rs_redis_conn_opened(conns[2]) > before,
       "and are used before a new one is made");
    for (i = 0; i < 3; i++) {
        rs_redis_pool_release(pool, conns[i]);
    }
    is_int(falls_to(observer, 2), 2, "the same once more");
    conf.max = 0;
    is_int(rs_redis_pool_create(&pool, sub, url_of(redis_url), &conf), APR_EINVAL,
           "a pool of none is refused");
    apr_pool_destroy(sub);
    is_int(falls_to(observer, 0), 0, "no connection outlives the pool");
    rs_redis_conn_free(observer);
}

/* Of LeakSanitizer, where there is one. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

/* httpd's prefork MPM ends a child in a signal handler, in the middle of a request. */
static void test_cut_short(void)
{
    rs_redis_pool_t *pool;
    rs_redis_conn_t *conn = NULL;
    apr_pool_t *sub;

    apr_pool_create(&sub, p);
    pool = create(sub, url_of(redis_url), 2, 1000);
    ok(works(pool) && rs_redis_pool_acquire(&conn, pool) == APR_SUCCESS, "a connection is in use");
    apr_pool_destroy(sub);
    is_int(ask(conn, "PING", NULL, NULL), 0, "it outlives the pool that it came from");
    rs_redis_pool_release(pool, conn);
}

static apr_uint32_t hammered, hammer_failed;

static void *hammer_thread(void *data)
{
    rs_redis_pool_t *pool = data;
    rs_redis_conn_t *conn;
    int i;

    for (i = 0; i < 250; i++) {
        if (rs_redis_pool_acquire(&conn, pool) != APR_SUCCESS) {
            apr_atomic_inc32(&hammer_failed);
            continue;
        }
        if (i % 50 == 49) {
            rs_redis_conn_spoil(conn, "the test says so");
        }
        else if (ask(conn, "INCR", "n", NULL) > 0) {
            apr_atomic_inc32(&hammered);
        }
        rs_redis_pool_release(pool, conn);
    }
    return NULL;
}

static void test_threads(void)
{
    apr_pool_t *sub;
    rs_redis_pool_t *pool;
    rs_redis_conn_t *conn;

    apr_pool_create(&sub, p);
    log_reset();
    pool = create(sub, url_of(redis_url), 5, 5000);
    run_threads(hammer_thread, pool, 16);
    is_int(hammer_failed, 0, "16 threads: none is refused");
    is_int(hammered, 16 * 245, "16 threads: every command is answered");
    rs_redis_pool_acquire(&conn, pool);
    is_int(ask(conn, "GET", "n", NULL), 16 * 245, "16 threads: no command is lost or doubled");
    ok(clients(conn, "name=ragline-cmd") <= 5, "never more connections than max");
    rs_redis_pool_release(pool, conn);
    logged(0, 0, "nothing to log");
    apr_pool_destroy(sub);
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&p, NULL);
    rs_log_sink(sink, RS_LOG_DEBUG);
    if (!ok(redis_prepare(), "a directory for redis-server")) {
        return done_testing();
    }
    test_down();
    if (redis_pid) {
        test_hung();
        test_healthcheck();
        test_exhausted();
        test_deadline();
        test_restart();
        test_idle();
        if (__lsan_disable) {
            __lsan_disable(); /* the process was to end */
        }
        test_cut_short();
        if (__lsan_enable) {
            __lsan_enable();
        }
        test_threads();
    }
    apr_pool_destroy(p);
    apr_terminate();
    return done_testing();
}
