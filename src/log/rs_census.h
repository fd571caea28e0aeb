/* SPDX-License-Identifier: Apache-2.0
 *
 * How many connections each tenant and each user has in this child, of the wires whose clients may
 * ask for that. Any thread.
 */
#ifndef RS_CENSUS_H
#define RS_CENSUS_H

#include <pthread.h>

#include "../base/rs_buf.h"

typedef struct rs_census_node_t rs_census_node_t;

typedef struct {
    pthread_mutex_t lock;
    /* The rest: lock. */
    rs_census_node_t **buckets;
    unsigned size; /* a power of two, or 0 */
    unsigned nodes;
} rs_census_t;

void rs_census_open(rs_census_t *census);
void rs_census_close(rs_census_t *census);

/* `tenant` is what the callers tell tenants apart by.
 *
 * A connection comes. 0 when memory is short: it is not counted. user "": nobody. */
int rs_census_add(rs_census_t *census, const char *tenant, const char *user);

/* And goes. */
void rs_census_remove(rs_census_t *census, const char *tenant, const char *user);

/* How many the tenant has. Appends {"USER":N,...} of its users, of at most `max` of them. */
unsigned rs_census_tell(rs_census_t *census, const char *tenant, int max, rs_buf_t *users);

#endif
