/* SPDX-License-Identifier: Apache-2.0
 *
 * The second connection of a Redis URL: reads of history, while the first is blocked in XREAD. A
 * job asks in rounds, one round of one job at a time, and queues take turns: so however many jobs
 * somebody has, and however long they are, the others' go on. Connects when there is a job. What
 * has to be told to Redis goes the same way. The hub's thread.
 */
#ifndef RS_LOADER_H
#define RS_LOADER_H

#include "../base/rs_ring.h"
#include "rs_link.h"

typedef struct rs_loader_t rs_loader_t;
typedef struct rs_job_t rs_job_t;

/* The jobs of somebody: of a tenant's topic, of a pass over what all share. Zeroed when it is made,
 * and to be kept while there are jobs in it. */
typedef struct {
    rs_ring_t link; /* in the loader, while it has jobs */
    rs_job_t *first, **last;
} rs_queue_t;

/* A member of what wants something read. */
struct rs_job_t {
    rs_job_t *next;
    rs_queue_t *queue; /* it is in; NULL: none */
    int round;         /* 0 for the first, and so on */
    int tells;         /* what Redis refuses, it says itself */
    /* Its turn has come: calls rs_loader_ask() for each command of the round. The job is over when
     * it asks nothing, so every job has to come to that: each says where it stands why it does. */
    void (*ask)(rs_job_t *job);
    /* The n-th reply of the round. It may be taken, leaving NULL. */
    void (*reply)(rs_job_t *job, int n, redisReply **reply, int last);
    /* Called when the job is over in the regular way; it may post itself again, or free itself. */
    void (*over)(rs_job_t *job);
    /* Redis does not answer. The job is over, as with over(). */
    void (*down)(rs_job_t *job);
};

apr_status_t rs_loader_create(rs_loader_t **loader, apr_pool_t *p, rs_poll_t *poll,
                              rs_resolver_t *resolver, const rs_redis_url_t *url);

/* At the end of this queue, unless it is in one. */
void rs_loader_post(rs_loader_t *loader, rs_queue_t *queue, rs_job_t *job);

/* From ask(): one more command of the round. */
void rs_loader_ask(rs_loader_t *loader, int argc, const char **argv);

/* How many connections there have been: what was said over another one may be lost. */
unsigned rs_loader_connects(const rs_loader_t *loader);

/* Ends every job. */
void rs_loader_abort(rs_loader_t *loader);

apr_time_t rs_loader_turn(rs_loader_t *loader, apr_time_t now);

#endif
