/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper's rounds. Its own thread.
 *
 * Sentinels are asked rather than subscribed to: they name the new master as soon as it is one, and
 * announce it (+switch-master) only when its replicas have been told, seconds later.
 */
#include <apr_thread_proc.h>

#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "../base/rs_poll.h"
#include "rs_redis_keeper.h"
#include "rs_sentinel_ask.h"

#define NEVER ((apr_time_t)0x7fffffffffffffffLL)
#define ASK_EVERY apr_time_from_msec(250)
#define ASK_LIMIT apr_time_from_msec(500)
#define ASK_AGAIN apr_time_from_sec(1) /* when none has answered */
#define LOOK_AGAIN apr_time_from_sec(5)

struct rs_redis_keeper_t {
    const rs_redis_url_t *url;
    rs_redis_keeper_calls_t calls;
    rs_poll_t *poll; /* to wait, and to be woken */
    apr_thread_t *thread;
    int stopping; /* atomic */
    int ended;    /* atomic */

    /* The thread. */
    rs_redis_conn_t *sentinel; /* the one that is asked; NULL: none is connected */
    int index;                 /* of it */
    int silent;                /* so many did not answer, one after the other */
    int told_silent;
    apr_uint32_t word; /* the master of it */
    apr_time_t ask_at;
    apr_time_t look_at;
};

static rs_redis_conn_t *make_conn(const rs_redis_url_t *url)
{
    rs_redis_conn_t *conn = rs_redis_conn_create(url, ASK_LIMIT);

    if (conn) {
        rs_redis_conn_call(conn, "ragline-keeper");
    }
    return conn;
}

static void hang_up(rs_redis_keeper_t *k)
{
    rs_redis_conn_free(k->sentinel);
    k->sentinel = NULL;
}

static void on_silence(rs_redis_keeper_t *k, apr_status_t rv, const char *why)
{
    hang_up(k);
    rs_sentinel_failed(k->url, k->index);
    if (++k->silent < k->url->nsentinels) {
        return;
    }
    k->ask_at = rs_clock_now() + ASK_AGAIN;
    k->silent = 0;
    /* Who has never heard of a master says so elsewhere. */
    if (k->word && !k->told_silent) {
        k->told_silent = 1;
        rs_log(
            RS_LOG_WARNING, rv,
            RSLOGNO(0455) "%s: no sentinel answers, the last one was %s. The master is used as "
                          "long as it lives, but a failover is not heard of: check that they run",
            k->url->label, why);
    }
}

static void ask(rs_redis_keeper_t *k)
{
    int turn = rs_sentinel_turn(k->url);
    char why[512] = "out of memory";
    apr_status_t rv = APR_ENOMEM;
    rs_target_t target;

    if (k->sentinel && k->index != turn) {
        hang_up(k); /* what it says has led nowhere */
    }
    k->index = turn;
    if (!k->sentinel) {
        k->sentinel = make_conn(&k->url->sentinels[turn]);
    }
    if (k->sentinel) {
        rv = rs_sentinel_ask_one(&target, k->url, k->sentinel, k->url->sentinels[turn].label, why,
                                 sizeof(why));
    }
    if (rv != APR_SUCCESS) {
        on_silence(k, rv, why);
        return;
    }
    k->ask_at = rs_clock_now() + ASK_EVERY;
    k->silent = 0;
    if (k->told_silent) {
        k->told_silent = 0;
        rs_log(RS_LOG_NOTICE, 0, RSLOGNO(0456) "%s: a sentinel answers again", k->url->label);
    }
    if (k->word != target.word) {
        k->look_at = k->word ? rs_clock_now() + LOOK_AGAIN : 0;
        k->word = target.word;
    }
}

static void look(rs_redis_keeper_t *k)
{
    rs_redis_conn_t *conn = make_conn(k->url);
    apr_interval_time_t again;

    k->look_at = rs_clock_now() + LOOK_AGAIN;
    if (conn && rs_redis_conn_open(conn) == APR_SUCCESS) {
        again = k->calls.look(k->calls.baton, conn);
        k->look_at = again ? rs_clock_now() + again : NEVER;
    }
    rs_redis_conn_free(conn);
}

static int is_stopping(rs_redis_keeper_t *k)
{
    return __atomic_load_n(&k->stopping, __ATOMIC_ACQUIRE);
}

static void *APR_THREAD_FUNC run(apr_thread_t *thread, void *data)
{
    rs_redis_keeper_t *k = data;
    rs_poll_event_t none;
    apr_time_t next;

    (void)thread;
    while (!is_stopping(k)) {
        if (k->url->master && rs_clock_now() >= k->ask_at) {
            ask(k);
        }
        else if (rs_clock_now() >= k->look_at) {
            look(k);
        }
        next = k->calls.tidy(k->calls.baton);
        next = k->look_at < next ? k->look_at : next;
        next = k->url->master && k->ask_at < next ? k->ask_at : next;
        if (!is_stopping(k) && next > rs_clock_now()) {
            rs_poll_wait(k->poll, &none, 1, next == NEVER ? -1 : next - rs_clock_now());
        }
    }
    hang_up(k);
    __atomic_store_n(&k->ended, 1, __ATOMIC_RELEASE);
    return NULL;
}

apr_status_t rs_redis_keeper_start(rs_redis_keeper_t **out, apr_pool_t *p,
                                   const rs_redis_url_t *url, const rs_redis_keeper_calls_t *calls)
{
    rs_redis_keeper_t *k = apr_pcalloc(p, sizeof(*k));
    apr_status_t rv = rs_poll_create(&k->poll, p);

    k->url = url;
    k->calls = *calls;
    *out = k;
    return rv == APR_SUCCESS ? apr_thread_create(&k->thread, NULL, run, k, p) : rv;
}

void rs_redis_keeper_wake(rs_redis_keeper_t *k) { rs_poll_wake(k->poll); }

apr_status_t rs_redis_keeper_stop(rs_redis_keeper_t *k, apr_interval_time_t limit)
{
    apr_time_t until = rs_clock_now() + limit;
    apr_status_t ignored;

    if (!k->thread) {
        return APR_SUCCESS;
    }
    __atomic_store_n(&k->stopping, 1, __ATOMIC_RELEASE);
    rs_poll_wake(k->poll);
    while (!__atomic_load_n(&k->ended, __ATOMIC_ACQUIRE)) {
        if (rs_clock_now() >= until) {
            return APR_TIMEUP;
        }
        apr_sleep(apr_time_from_msec(5));
    }
    apr_thread_join(&ignored, k->thread);
    k->thread = NULL;
    return APR_SUCCESS;
}
