/* SPDX-License-Identifier: Apache-2.0
 *
 * A sorted set: who, and until when. One question for all of it. What cannot be read is said here:
 * while it was not read once, nobody is let in.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "../proto/rs_own_keys.h"
#include "../redis/rs_loader.h"
#include "rs_control.h"
#include "rs_revocation.h"

#define AGAIN apr_time_from_sec(1)
#define TELL_AGAIN apr_time_from_sec(60)
#define NEVER ((apr_time_t)0x7fffffffffffffffLL)

/* Later than any time that is meant, and a double holds it exactly. */
#define FOREVER ((apr_int64_t)1 << 52)

struct rs_revocation_t {
    rs_job_t job; /* first */
    rs_queue_t queue;
    rs_source_t *source;
    void (*done)(rs_source_t *source, int failed);
    int answered;   /* in this round */
    int once_more;  /* asked for while it was being read */
    apr_time_t due; /* 0: not */
    apr_time_t told; /* when it was logged that it cannot be read; 0: it can */
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

static void refuse(struct rs_revocation_t *rev, const char *why)
{
    apr_time_t now = rs_clock_now();

    if (!rev->told || now >= rev->told + TELL_AGAIN) {
        rev->told = now;
        rs_log(RS_LOG_ERR, 0,
               RSLOGNO(0525) "%s: it cannot be read who was revoked (%s): %s; %s. A Redis user "
                             "needs +zrangebyscore and the keys ragline:revoked:*",
               rev->source->url->label, RS_OWN_REVOKED, why,
               rs_revoked_known(rev->source->revoked) ? "what was read before holds"
               : rev->source->control == RS_OBEYS
                   ? "no stream is let in until it can (RaglineRevocation open would let them in)"
                   : "everybody is let in (RaglineRevocation open)");
    }
}

/* By hand anything can be written there. */
static apr_int64_t until_of(const redisReply *score)
{
    double until = strtod(score->str, NULL);

    return until >= (double)FOREVER ? FOREVER : until > 0 ? (apr_int64_t)until : 0;
}

static void take(rs_source_t *source, const redisReply *name, const redisReply *score)
{
    if (name->type == REDIS_REPLY_STRING && score->type == REDIS_REPLY_STRING
        && strlen(name->str) == (size_t)name->len && rs_revoked_is_name(name->str)
        && rs_revoked_set(source->revoked, name->str, until_of(score)) > 0) {
        rs_control_revoke(source, name->str);
    }
}

static void reply(rs_job_t *job, int n, redisReply **reply, int last)
{
    struct rs_revocation_t *rev = (struct rs_revocation_t *)job;
    const redisReply *all = *reply;
    size_t i;

    (void)n;
    (void)last;
    if (all->type != REDIS_REPLY_ARRAY) {
        refuse(rev,
               all->type == REDIS_REPLY_ERROR ? all->str : "an answer that Redis does not give");
        return;
    }
    for (i = 0; i + 1 < all->elements; i += 2) {
        take(rev->source, all->element[i], all->element[i + 1]);
    }
    rs_revoked_end(rev->source->revoked);
    rev->answered = 1;
    if (rev->told) {
        rev->told = 0;
        rs_log(RS_LOG_NOTICE, 0, RSLOGNO(0526) "%s: it is read again who was revoked",
               rev->source->url->label);
    }
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
    rev->job.tells = 1;
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

void rs_revocation_changes(rs_source_t *source)
{
    struct rs_revocation_t *rev = source->revocation;

    if (rev && rev->job.queue) {
        rev->once_more = 1;
    }
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
