/* SPDX-License-Identifier: Apache-2.0
 *
 * The second connection of a Redis URL: reads of history, while the first is blocked in XREAD. Jobs
 * run one after the other; each sends commands and gets their replies in rounds. Connects when
 * there is a job. The hub's thread.
 */
#ifndef RS_LOADER_H
#define RS_LOADER_H

#include "rs_link.h"

typedef struct rs_loader_t rs_loader_t;
typedef struct rs_job_t rs_job_t;

/* A member of what wants something read. */
struct rs_job_t {
    rs_job_t *next;
    int queued;
    /* Its turn has come: calls rs_loader_ask() for each command. */
    void (*start)(rs_job_t *job);
    /* The n-th reply of the round; the last one comes with last = 1, and may ask for more. When
     * nothing was asked the job is over. The reply may be taken, leaving NULL. */
    void (*reply)(rs_job_t *job, int n, redisReply **reply, int last);
    /* Called when the job is over in the regular way; it may post itself again, or free itself. */
    void (*over)(rs_job_t *job);
    /* Redis does not answer. The job is over, as with over(). */
    void (*down)(rs_job_t *job);
};

apr_status_t rs_loader_create(rs_loader_t **loader, apr_pool_t *p, rs_poll_t *poll,
                              rs_resolver_t *resolver, const rs_redis_url_t *url);

/* At the end of the queue, unless it is in it. */
void rs_loader_post(rs_loader_t *loader, rs_job_t *job);

/* From start() or the last reply(): one more command of the next round. */
void rs_loader_ask(rs_loader_t *loader, int argc, const char **argv);

/* Ends every job. */
void rs_loader_abort(rs_loader_t *loader);

apr_time_t rs_loader_turn(rs_loader_t *loader, apr_time_t now);

#endif
