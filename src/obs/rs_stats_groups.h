/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a tenant's consumer groups stand, for the statistics page. The worker.
 */
#ifndef RS_STATS_GROUPS_H
#define RS_STATS_GROUPS_H

#include <jansson.h>

#include <apr_tables.h>

#include "../redis/rs_redis_pool.h"
#include "rs_grouped.h"

struct redisReply;

/* The value called `name` in a list of names and values as XINFO replies it, or NULL. */
const struct redisReply *rs_reply_value(const struct redisReply *list, const char *name, int type);

/* One object for each of `grouped` (rs_grouped_t), a host's: this tenant's group, nobody else's.
 * JSON's null: Redis cannot be asked (pool NULL: there is none). */
json_t *rs_stats_groups(apr_pool_t *p, const apr_array_header_t *grouped, rs_redis_pool_t *pool,
                        const char *tenant);

#endif
