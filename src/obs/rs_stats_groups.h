/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a tenant's consumer groups stand, for the statistics page. The worker.
 */
#ifndef RS_STATS_GROUPS_H
#define RS_STATS_GROUPS_H

#include "../conf/rs_httpd.h"
#include <jansson.h>

struct redisReply;

/* The value called `name` in a list of names and values as XINFO replies it, or NULL. */
const struct redisReply *rs_reply_value(const struct redisReply *list, const char *name, int type);

/* One object for each endpoint of this host that has consumer groups, and each of its streams: this
 * tenant's group, and nobody else's. JSON's null: Redis cannot be asked. */
json_t *rs_stats_groups(request_rec *r, const char *tenant);

#endif
