/* SPDX-License-Identifier: Apache-2.0
 *
 * Queues in a ring: the first job of the first queue has a round, then that queue goes to the end.
 * A job that waits longer than PATIENCE for a connection is told so. What a refused command means
 * is the job's to know; that a person hears of it is seen to here. The hub's thread.
 */
#include <string.h>

#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "rs_loader.h"

#define LIMIT apr_time_from_sec(5)
#define PATIENCE apr_time_from_sec(2)
#define TELL_AGAIN apr_time_from_sec(60)
#define NEVER ((apr_time_t)0x7fffffffffffffffLL)

struct rs_loader_t {
    rs_link_t *link;
    const rs_redis_url_t *url;
    rs_ring_t queues;
    rs_job_t *running; /* a round of it is under way */
    int asked, got;    /* of that */
    int broken;        /* asking failed: the link is down */
    apr_time_t since;  /* when jobs began to wait for the connection */
    apr_time_t told;   /* when a refusal was last logged */
    unsigned connects;
};

static rs_queue_t *first_queue(const rs_loader_t *l)
{
    rs_ring_t *link = rs_ring_first(&l->queues);

    return link ? RS_RING_OF(link, rs_queue_t, link) : NULL;
}

/* The first job of the first queue. */
static rs_job_t *first_job(const rs_loader_t *l)
{
    rs_queue_t *queue = first_queue(l);

    return queue ? queue->first : NULL;
}

static rs_job_t *remove_first(rs_loader_t *l)
{
    rs_queue_t *queue = first_queue(l);
    rs_job_t *job = queue->first;

    queue->first = job->next;
    job->queue = NULL;
    rs_ring_remove(&queue->link);
    if (queue->first) {
        rs_ring_put_last(&l->queues, &queue->link);
    }
    l->running = NULL;
    return job;
}

/* One round of a job, or, if it has nothing to ask, its end. */
static void run_next(rs_loader_t *l)
{
    rs_job_t *job;

    while (!l->running && rs_link_is_ready(l->link) && (job = first_job(l))) {
        l->running = job;
        l->asked = l->got = l->broken = 0;
        job->ask(job);
        if (l->broken) {
            return; /* down() has been called */
        }
        job->round++;
        if (l->asked) {
            rs_link_send(l->link, LIMIT);
            return;
        }
        remove_first(l);
        job->over(job);
    }
}

void rs_loader_ask(rs_loader_t *l, int argc, const char **argv)
{
    if (!l->broken && rs_link_append(l->link, argc, argv)) {
        l->asked++;
    }
}

static void on_ready(void *data)
{
    rs_loader_t *l = data;

    l->connects++;
    run_next(l);
}

unsigned rs_loader_connects(const rs_loader_t *l) { return l->connects; }

/* A key that is not there, or is something else, is nothing that an administrator has to see to. */
static int is_refused(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "WRONGTYPE", 9) != 0
           && strncmp(reply->str, "ERR no such key", 15) != 0;
}

static void tell_refused(rs_loader_t *l, const char *why)
{
    apr_time_t now = rs_clock_now();

    if (!l->told || now >= l->told + TELL_AGAIN) {
        l->told = now;
        rs_log(RS_LOG_WARNING, 0,
               RSLOGNO(2000) "%s: history cannot be read: %s; who comes back or has fallen behind "
                             "waits until it can",
               l->url->label, why);
    }
}

static void on_reply(void *data, redisReply **reply)
{
    rs_loader_t *l = data;
    rs_job_t *job = l->running;
    int n = l->got++, last = l->got == l->asked;

    if (!job) {
        rs_link_fail(l->link, "an answer that nobody asked for");
        return;
    }
    rs_link_limit(l->link, LIMIT);
    if (is_refused(*reply) && !job->tells) {
        tell_refused(l, (*reply)->str);
    }
    job->reply(job, n, reply, last);
    if (last && l->running == job) {
        rs_queue_t *queue = job->queue;

        rs_link_limit(l->link, 0);
        rs_link_works(l->link);
        l->running = NULL;
        rs_ring_put_last(&l->queues, &queue->link);
        run_next(l);
    }
}

static void end_first(rs_loader_t *l)
{
    rs_job_t *job = remove_first(l);

    job->down(job);
}

static void on_down(void *data, const char *why)
{
    rs_loader_t *l = data;

    l->broken = 1;
    l->since = rs_clock_now();
    if (l->running) {
        rs_log(RS_LOG_INFO, 0, RSLOGNO(0211) "%s: history cannot be read: %s", l->url->label, why);
        end_first(l);
    }
}

void rs_loader_post(rs_loader_t *l, rs_queue_t *queue, rs_job_t *job)
{
    if (job->queue) {
        return;
    }
    if (!first_job(l)) {
        l->since = rs_clock_now();
    }
    job->queue = queue;
    job->round = 0;
    job->next = NULL;
    *(queue->first ? queue->last : &queue->first) = job;
    queue->last = &job->next;
    if (!queue->link.next) {
        rs_ring_put_last(&l->queues, &queue->link);
    }
}

void rs_loader_abort(rs_loader_t *l)
{
    while (first_job(l)) {
        end_first(l);
    }
}

apr_time_t rs_loader_turn(rs_loader_t *l, apr_time_t now)
{
    apr_time_t next;

    if (!first_job(l) && !rs_link_is_ready(l->link)) {
        return NEVER; /* nothing to do: no connection is made */
    }
    next = rs_link_turn(l->link, now);
    run_next(l);
    while (!rs_link_is_ready(l->link) && now >= l->since + PATIENCE && first_job(l)) {
        end_first(l);
    }
    if (first_job(l) && !l->running && l->since + PATIENCE < next) {
        next = l->since + PATIENCE;
    }
    return next;
}

apr_status_t rs_loader_create(rs_loader_t **out, apr_pool_t *p, rs_poll_t *poll,
                              rs_resolver_t *resolver, const rs_redis_url_t *url)
{
    rs_link_calls_t calls = {on_ready, on_reply, on_down, NULL};
    rs_loader_t *l = apr_pcalloc(p, sizeof(*l));

    l->url = url;
    rs_ring_init(&l->queues);
    calls.baton = l;
    *out = l;
    return rs_link_create(&l->link, p, poll, resolver, url, "ragline-loader", &calls);
}
