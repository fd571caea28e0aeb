/* SPDX-License-Identifier: Apache-2.0
 *
 * Redis behind sentinels: how they are asked where the master is, and how a server is asked
 * whether it is one. The hub's connections do it without blocking (rs_link.c), a worker's within
 * its timeout (rs_redis_open.c, rs_sentinel_ask.c).
 *
 * The sentinels are asked at every connect, one at a time: the one that gave a good answer last,
 * and after it the others. A sentinel that was cut off names a master of before, so a server counts
 * only if it says itself that it is one.
 *
 * And they are asked all the time (rs_redis_keeper.c): in a failover that somebody asked for, the
 * old master lives and says for ten seconds more that it is one, and what it takes is lost. So a
 * connection is left when they have named another master since it was made.
 */
#ifndef RS_SENTINEL_H
#define RS_SENTINEL_H

#include "rs_redis_url.h"

struct redisContext;
struct redisReply;

/* Where the master of a URL is. */
typedef struct {
    rs_redis_url_t url;               /* that of the server itself */
    char host[RS_REDIS_HOST_MAX + 1]; /* url.host */
    char label[RS_REDIS_LABEL_MAX];   /* url.label, HOST:PORT: for people */
    apr_uint32_t word;                /* of rs_sentinel_heard() */
} rs_target_t;

/* Which sentinel to ask: an index. Any thread. */
int rs_sentinel_turn(const rs_redis_url_t *url);

/* What this sentinel said led nowhere, or it said nothing: the next one is asked from now on,
 * unless another thread has found so already. */
void rs_sentinel_failed(const rs_redis_url_t *url, int index);

/* The question, as arguments of a command. */
void rs_sentinel_question(const char *argv[3], const rs_redis_url_t *url);

/* Appends the question to a connection with a sentinel. -1: no memory. */
int rs_sentinel_append(struct redisContext *c, const rs_redis_url_t *url);

/* Reads the answer. Returns NULL, or why there is no target: words without Redis's own text. */
const char *rs_sentinel_target(rs_target_t *target, const rs_redis_url_t *url,
                               const struct redisReply *reply);

/* This is what they say now. Any thread. */
void rs_sentinel_heard(const rs_redis_url_t *url, rs_target_t *target);

/* How long nothing should be written to a new master. Entries that were read from the old one after
 * the new one had been cut from it are lost, but their ids count: what is written to the new one
 * before every reader has left the old one would be behind them, and never read. */
apr_interval_time_t rs_sentinel_unsettled(const rs_redis_url_t *url);

/* Whether they have named no other master since. Any thread. */
int rs_sentinel_is_current(const rs_redis_url_t *url, const rs_target_t *target);

/* What a server answers to ROLE. Returns NULL if it is a master, or why it does not count. */
const char *rs_sentinel_role(const struct redisReply *reply);

#endif
