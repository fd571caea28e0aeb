/* SPDX-License-Identifier: Apache-2.0
 *
 * What is asked for in the query of a list of administrators. The worker.
 */
#ifndef RS_ADMIN_QUERY_H
#define RS_ADMIN_QUERY_H

#include "../conf/rs_httpd.h"

#define RS_ADMIN_LIMIT_MAX 1000

/* NULL: it is not there. */
typedef struct {
    const char *tenant, *user, *profile, *after;
    int limit;
} rs_admin_query_t;

/* The tenant is the caller's own, unless the location is for all. `of_users`: nothing but tenant,
 * limit and after may be asked for. OK, or the status of an answer that was given. */
int rs_admin_query(request_rec *r, rs_admin_query_t *query, int of_users);

#endif
