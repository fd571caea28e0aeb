/* SPDX-License-Identifier: Apache-2.0
 *
 * A backfill from inside: who waits and what is kept (rs_backfill.c), and the pass over what is
 * missing (rs_backfill_pass.c).
 */
#ifndef RS_BACKFILL_INT_H
#define RS_BACKFILL_INT_H

#include "../redis/rs_loader.h"
#include "rs_backfill.h"
#include "../log/rs_profile.h"
#include "../log/rs_source.h"
#include "../log/rs_tenants.h"
#include "../log/rs_topics.h"
#include "../log/rs_verdict.h"

/* One stream of a pass. */
typedef struct {
    rs_id_t top;       /* where the pass began */
    rs_id_t upper;     /* everything after this was looked at */
    rs_id_t lower;     /* the oldest position that somebody waits for */
    int done;          /* down to `lower` */
    redisReply *chunk; /* entries, newest first */
    size_t next;       /* in the chunk */
    int asked;         /* how many entries a chunk has if there may be more */
    rs_known_t known;  /* of the key, when that was asked */
} part_t;

struct rs_backfill_t {
    rs_job_t job;        /* first */
    rs_queue_t queue;    /* its own: passes take turns with what readers fetch */
    rs_backfill_t *next; /* of the same source */
    rs_source_t *source;
    rs_topic_t *topic; /* of keys that are a tenant's own: the only one; NULL: of all tenants */
    apr_uint64_t streams;
    int n;
    rs_key_t *key[RS_STREAMS_MAX];
    rs_id_t since[RS_STREAMS_MAX]; /* while recording: topics are complete after this, and tenants
                                    * without one had nothing */
    apr_time_t record_until;
    rs_client_t *waiting; /* for the next pass, linked by msg.next */
    rs_client_t *riding;  /* this pass is for them, and for those that are `starting` in topics: */
    int nstarting;
    part_t part[RS_STREAMS_MAX];
    rs_history_t history[RS_STREAMS_MAX];
    int scanned, limit;
    int limited;                      /* there was more than the limit */
    rs_id_t limit_at[RS_STREAMS_MAX]; /* before these are more than `known_limit` entries */
    int known_limit;                  /* 0: not known */
    int failed;                       /* Redis answered with an error */
    int full;                         /* nothing more can be kept */
    int forgot; /* during this pass: of tenants without a topic something was left out, or a topic
                 * was forgotten */
    int broken; /* during this pass: what a key held was lost, so its limit is of something else */
    struct {
        int k;
        int history;             /* XINFO, else entries */
    } asked[2 * RS_STREAMS_MAX]; /* of this round */
    int nasked;
};

/* rs_backfill.c: history is kept from now on, if it is not yet. */
void rs_backfill_keep(rs_backfill_t *b, apr_time_t now);
void rs_backfill_verdict(rs_client_t *client, const char *recovery, const char *reason);
void rs_backfill_reset(rs_client_t *client, const char *reason);

/* Whether the client, at its position, has everything after it, and the verdict that follows. */
void rs_backfill_judge(rs_client_t *client, const rs_history_t *history);

/* Somebody has yet to be told by the pass that is under way. */
static inline int rs_backfill_is_on(const rs_backfill_t *b) { return b->riding || b->nstarting; }

/* rs_backfill_take.c: works off the chunks, as far as every stream's next entry is there. */
void rs_backfill_merge(rs_backfill_t *b);

/* rs_backfill_pass.c */
void rs_backfill_pass_init(rs_job_t *job);

/* Everybody who waits is sent away for a while: Redis does not answer, or this is the end. */
void rs_backfill_refuse(rs_backfill_t *b);

#endif
