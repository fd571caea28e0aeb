/* SPDX-License-Identifier: Apache-2.0
 *
 * A sorted set: who, and until when. One question for all of it.
 */
#include <stdlib.h>

#include <apr_strings.h>

#include "../base/rs_clock.h"
#include "../proto/rs_own_keys.h"
#include "../redis/rs_loader.h"
#include "rs_control.h"
#include "rs_revocation.h"

#define AGAIN apr_time_from_sec(1)
#define NEVER ((apr_time_t)0x7fffffffffffffffLL)

struct rs_revocation_t {
    rs_job_t job; /* first */
    rs_queue_t queue;
    rs_source_t *source;
    void (*done)(rs_source_t *source, int failed);
    int answered;   /* in this round */
    int once_more;  /* asked for while it was being read */
    apr_time_t due; /* 0: not */
};

static void ask(rs_job_t *job)
{
    struct rs_revocation_t *rev = (struct rs_revocation_t *)job;
    char now[24];
    const char *argv[] = {"ZRANGEBYSCORE", RS_OWN_REVOKED, now, "+inf", "WITHSCORES"};

    if (job->round) {
        return; /* one round is all of it */
    }
    apr_snprintf(now, sizeof(now), "%" APR_INT64_T_FMT, (apr_int64_t)apr_time_sec(apr_time_now()));
    rev->answered = 0;
    rs_revoked_begin(rev->source->revoked);
    rs_loader_ask(rev->source->loader, RS_ARRAY_LEN(argv), argv);
}

static void reply(rs_job_t *job, int n, redisReply **reply, int last)
{
    struct rs_revocation_t *rev = (struct rs_revocation_t *)job;
    const redisReply *all = *reply;
    size_t i;

    (void)n;
    (void)last;
    if (all->type != REDIS_REPLY_ARRAY) {
        return;
    }
    for (i = 0; i + 1 < all->elements; i += 2) {
        const redisReply *name = all->element[i], *until = all->element[i + 1];

        if (name->type == REDIS_REPLY_STRING && until->type == REDIS_REPLY_STRING
            && rs_revoked_set(rev->source->revoked, name->str, apr_atoi64(until->str)) > 0) {
            rs_control_revoke(rev->source, name->str);
        }
    }
    rs_revoked_end(rev->source->revoked);
    rev->answered = 1;
}

static void over(rs_job_t *job)
{
    struct rs_revocation_t *rev = (struct rs_revocation_t *)job;

    rev->due = rev->once_more ? 1 : rev->answered ? 0 : rs_clock_now() + AGAIN;
    rev->once_more = 0;
    rev->done(rev->source, !rev->answered);
}

/* When the source is up again it is asked for. */
static void down(rs_job_t *job)
{
    struct rs_revocation_t *rev = (struct rs_revocation_t *)job;

    rev->due = rs_clock_now() + AGAIN;
    rev->done(rev->source, 1);
}

apr_status_t rs_revocation_open(rs_source_t *source, apr_pool_t *p,
                                void (*done)(rs_source_t *source, int failed))
{
    struct rs_revocation_t *rev;

    if (!source->control) {
        return APR_SUCCESS;
    }
    rev = apr_pcalloc(p, sizeof(*rev));
    rev->source = source;
    rev->done = done;
    rev->job.ask = ask;
    rev->job.reply = reply;
    rev->job.over = over;
    rev->job.down = down;
    source->revocation = rev;
    source->revoked = rs_revoked_create();
    return source->revoked ? APR_SUCCESS : APR_ENOMEM;
}

void rs_revocation_close(rs_source_t *source)
{
    rs_revoked_free(source->revoked);
    source->revoked = NULL;
}

void rs_revocation_up(rs_source_t *source)
{
    struct rs_revocation_t *rev = source->revocation;

    if (rev && rev->job.queue) {
        rev->once_more = 1;
    }
    else if (rev) {
        rev->due = 0;
        rs_loader_post(source->loader, &rev->queue, &rev->job);
    }
}

apr_time_t rs_revocation_turn(rs_source_t *source, apr_time_t now)
{
    struct rs_revocation_t *rev = source->revocation;

    if (!rev || !rev->due) {
        return NEVER;
    }
    if (now >= rev->due) {
        rs_revocation_up(source);
        return NEVER;
    }
    return rev->due;
}
