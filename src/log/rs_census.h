/* SPDX-License-Identifier: Apache-2.0
 *
 * How many WebSockets a tenant has, as the registry says it of all children, for clients who ask.
 * What was counted is kept for the next one who does. Any thread.
 */
#ifndef RS_CENSUS_H
#define RS_CENSUS_H

#include <pthread.h>

#include "../base/rs_buf.h"
#include "rs_registry.h"

/* Users that are named. */
#define RS_CENSUS_USERS 100

/* Of a tenant. */
typedef struct {
    char *whose; /* NULL: of nobody */
    unsigned total;
    rs_buf_t users;
    apr_uint32_t came;  /* as rs_registry_came() was */
    apr_time_t good_to; /* until then it is good enough whatever has happened */
} rs_counted_t;

typedef struct {
    pthread_mutex_t lock;
    rs_counted_t kept[8]; /* lock */
} rs_census_t;

void rs_census_open(rs_census_t *census);
void rs_census_close(rs_census_t *census);

/* How many the tenant has. Appends {"USER":N,...} of its users, of RS_CENSUS_USERS at most. */
unsigned rs_census_tell(rs_census_t *census, rs_registry_t *registry, const char *realm,
                        const char *tenant, rs_buf_t *users);

#endif
