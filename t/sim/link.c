/* SPDX-License-Identifier: Apache-2.0
 *
 * A link to the simulated Redis: states, limits and backoff as in src/redis/rs_link.c, without
 * names, sentinels and logins.
 */
#include "base/rs_clock.h"
#include "redis/rs_link.h"
#include "sim.h"

#define LOGIN_LIMIT SEC(5)
#define PROGRESS SEC(5)
#define BACKOFF_MIN MSEC(50)
#define BACKOFF_MAX SEC(1)

enum { DOWN, LOGIN, READY };

struct rs_link_t {
    rs_link_t *next; /* of the poller */
    rs_poll_t *poll;
    rs_link_calls_t calls;
    int state;
    apr_time_t deadline;
    apr_interval_time_t backoff;
    apr_uint64_t jitter;
    sim_rconn_t *conn;
    int follows; /* its connections read on, or are told of changes */
};

rs_link_t *sim_link_list(rs_link_t *l) { return l->next; }

int sim_link_ready(const rs_link_t *l)
{
    if (!l->conn) {
        return 0;
    }
    if (l->state == LOGIN) {
        return sim_now >= l->conn->ready_at || (l->conn->broken && sim_now >= l->conn->broken_at);
    }
    return sim_rconn_has(l->conn);
}

/* When there may be something to do that nobody else brings about. */
apr_time_t sim_link_next(const rs_link_t *l)
{
    apr_time_t at = SIM_NEVER;

    if (l->conn && l->state == LOGIN) {
        at = l->conn->ready_at;
    }
    if (l->conn && l->state == READY && l->conn->out) {
        at = l->conn->out->at;
    }
    if (l->conn && l->conn->broken && l->conn->broken_at < at && !l->conn->out) {
        at = l->conn->broken_at;
    }
    return at;
}

static void disconnect(rs_link_t *l)
{
    if (l->conn) {
        l->follows = l->conn->follows;
        sim_rconn_close(l->conn);
        l->conn = NULL;
    }
}

void rs_link_fail(rs_link_t *l, const char *why)
{
    if (l->state == DOWN && !l->conn) {
        return;
    }
    TRACE("link %s: %s", l->conn && l->conn->engine ? "of e1" : "of e0", why);
    l->state = DOWN;
    l->deadline =
        sim_now + l->backoff / 2 + rs_jitter(&l->jitter, (apr_uint32_t)(l->backoff / 2) + 1);
    l->backoff = l->backoff * 2 > BACKOFF_MAX ? BACKOFF_MAX : l->backoff * 2;
    l->calls.down(l->calls.baton, why);
    disconnect(l);
}

int rs_link_is_ready(const rs_link_t *l) { return l->state == READY; }

void rs_link_works(rs_link_t *l) { l->backoff = BACKOFF_MIN; }

const char *rs_link_master(const rs_link_t *l)
{
    (void)l;
    return NULL;
}

void rs_link_check(rs_link_t *l) { (void)l; }

void rs_link_take_any_role(rs_link_t *l) { (void)l; }

int rs_link_append(rs_link_t *l, int argc, const char **argv)
{
    return sim_rconn_append(l->conn, argc, argv);
}

void rs_link_limit(rs_link_t *l, apr_interval_time_t limit)
{
    l->deadline = limit ? sim_now + limit : SIM_NEVER;
}

void rs_link_send(rs_link_t *l, apr_interval_time_t limit)
{
    rs_link_limit(l, limit);
    sim_rconn_send(l->conn);
}

static void receive(rs_link_t *l)
{
    const sim_rconn_t *conn = l->conn;
    redisReply *r;

    while (l->conn == conn && (r = sim_rconn_take(l->conn))) {
        if (l->deadline != SIM_NEVER && l->deadline < sim_now + PROGRESS) {
            l->deadline = sim_now + PROGRESS;
        }
        l->calls.reply(l->calls.baton, &r);
        if (r) {
            freeReplyObject(r);
        }
        if (sim_rand(&sim_sched, 8) == 0) {
            return; /* the rest has not arrived yet */
        }
    }
    if (l->conn && l->conn == conn && l->conn->broken && !l->conn->out) {
        rs_link_fail(l, "Redis closed the connection");
    }
}

void rs_link_io(rs_link_t *l, int events)
{
    (void)events;
    if (!l->conn) {
        return;
    }
    if (l->state == LOGIN) {
        if (l->conn->broken) {
            rs_link_fail(l, "Connection refused");
        }
        else if (sim_now >= l->conn->ready_at) {
            l->state = READY;
            l->deadline = SIM_NEVER;
            l->calls.ready(l->calls.baton);
        }
    }
    else {
        receive(l);
    }
}

apr_time_t rs_link_turn(rs_link_t *l, apr_time_t now)
{
    if (now >= l->deadline && l->conn && l->state == READY && sim_rconn_has(l->conn)) {
        l->deadline = now + PROGRESS;
    }
    if (now >= l->deadline) {
        if (l->state == DOWN) {
            l->state = LOGIN;
            l->deadline = now + LOGIN_LIMIT;
            l->conn = sim_rconn_open(l->poll->actor->engine, l);
            l->conn->follows = l->follows;
        }
        else {
            rs_link_fail(l, "it does not answer");
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
                            rs_resolver_t *resolver, const rs_redis_url_t *url, const char *name,
                            const rs_link_calls_t *calls)
{
    rs_link_t *l = apr_pcalloc(p, sizeof(*l));

    (void)resolver;
    (void)url;
    apr_pool_cleanup_register(p, l, cleanup, apr_pool_cleanup_null);
    l->poll = poll;
    l->calls = *calls;
    l->backoff = BACKOFF_MIN;
    l->follows = strcmp(name, "ragline-reader") == 0;
    l->next = poll->links;
    poll->links = l;
    *out = l;
    return APR_SUCCESS;
}
