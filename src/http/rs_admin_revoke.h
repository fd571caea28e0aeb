/* SPDX-License-Identifier: Apache-2.0
 *
 * Revoking: what is to be remembered, and until when. The worker.
 */
#ifndef RS_ADMIN_REVOKE_H
#define RS_ADMIN_REVOKE_H

#include "../conf/rs_httpd.h"

#include "../base/rs_json.h"
#include "../redis/rs_redis_pool.h"

/* Unix seconds, or a time as RFC 3339 has it, not beyond ten years from now. 0: it is none. */
int rs_admin_until(apr_int64_t *until, apr_pool_t *p, rs_json_t value);

/* In Redis, for children that start later; in the past: forgets it. OK; or a status, its error
 * noted and the connection given back. */
int rs_admin_remember(request_rec *r, rs_redis_pool_t *pool, rs_redis_conn_t *conn,
                      const char *name, apr_int64_t until);

#endif
