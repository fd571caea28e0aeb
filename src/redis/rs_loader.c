/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue of jobs on the loader's connection. A job that waits longer than PATIENCE for a
 * connection is told so. What a refused command means is the job's to know; that a person hears of
 * it is seen to here. The hub's thread.
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
    rs_job_t *first, **last;
    int running;      /* the first job was started */
    int asked, reply; /* of the present round */
    int broken;       /* asking failed: the link is down */
    apr_time_t since; /* when the first job began to wait for the connection */
    apr_time_t told;  /* when a refusal was last logged */
};

static void remove_first(rs_loader_t *l)
{
    rs_job_t *job = l->first;

    l->first = job->next;
    if (!l->first) {
        l->last = &l->first;
    }
    job->queued = 0;
    l->running = 0;
    l->since = rs_clock_now();
}

static void send_or_end(rs_loader_t *l)
{
    if (l->broken) {
        return; /* down() has been called */
    }
    if (l->asked) {
        l->reply = 0;
        rs_link_send(l->link, LIMIT);
    }
    else {
        rs_job_t *job = l->first;

        rs_link_limit(l->link, 0);
        rs_link_works(l->link);
        remove_first(l);
        job->over(job);
    }
}

static void run_next(rs_loader_t *l)
{
    while (l->first && !l->running && rs_link_is_ready(l->link)) {
        l->running = 1;
        l->asked = 0;
        l->broken = 0;
        l->first->start(l->first);
        send_or_end(l);
    }
}

void rs_loader_ask(rs_loader_t *l, int argc, const char **argv)
{
    if (!l->broken && rs_link_append(l->link, argc, argv)) {
        l->asked++;
    }
}

static void on_ready(void *data) { run_next(data); }

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
    int n = l->reply++, last = l->reply == l->asked;

    if (!l->running) {
        rs_link_fail(l->link, "an answer that nobody asked for");
        return;
    }
    rs_link_limit(l->link, LIMIT);
    if (is_refused(*reply)) {
        tell_refused(l, (*reply)->str);
    }
    if (last) {
        l->asked = 0;
    }
    l->first->reply(l->first, n, reply, last);
    if (last) {
        send_or_end(l);
        run_next(l);
    }
}

static void end_first(rs_loader_t *l)
{
    rs_job_t *job = l->first;

    remove_first(l);
    job->down(job);
}

static void on_down(void *data, const char *why)
{
    rs_loader_t *l = data;

    l->broken = 1;
    if (l->first && l->running) {
        rs_log(RS_LOG_INFO, 0, RSLOGNO(0211) "%s: history cannot be read: %s", l->url->label, why);
        end_first(l);
    }
}

void rs_loader_post(rs_loader_t *l, rs_job_t *job)
{
    if (job->queued) {
        return;
    }
    job->queued = 1;
    job->next = NULL;
    if (!l->first) {
        l->since = rs_clock_now();
    }
    *l->last = job;
    l->last = &job->next;
}

void rs_loader_abort(rs_loader_t *l)
{
    while (l->first) {
        end_first(l);
    }
}

apr_time_t rs_loader_turn(rs_loader_t *l, apr_time_t now)
{
    apr_time_t next;

    if (!l->first && !rs_link_is_ready(l->link)) {
        return NEVER; /* nothing to do: no connection is made */
    }
    next = rs_link_turn(l->link, now);
    run_next(l);
    while (l->first && !rs_link_is_ready(l->link) && now >= l->since + PATIENCE) {
        end_first(l);
    }
    if (l->first && !l->running && l->since + PATIENCE < next) {
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
    l->last = &l->first;
    calls.baton = l;
    *out = l;
    return rs_link_create(&l->link, p, poll, resolver, url, "ragline-loader", &calls);
}
