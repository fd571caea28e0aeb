/* SPDX-License-Identifier: Apache-2.0
 *
 * Consumer groups that an endpoint used before it, or its RaglineGroup, was renamed: what waits in
 * them is nobody's. Looked for when httpd starts, in a child's keeper thread (rs_redis_keeper.h).
 */
#ifndef RS_LEFT_GROUPS_H
#define RS_LEFT_GROUPS_H

#include <apr_tables.h>

#include "../redis/rs_redis_conn.h"

typedef struct {
    const char *redis;                 /* for messages */
    const apr_array_header_t *grouped; /* rs_grouped_t: all there are in it, of all hosts */
} rs_left_groups_t;

/* Logs the first one that is found, and how many there are. `in`: an rs_left_groups_t of the Redis
 * at the other end of the connection. Takes a second at most: where there are many tenants it does
 * not see all. 0: later it may see more. */
int rs_left_groups_look(const void *in, rs_redis_conn_t *conn);

#endif
