/* SPDX-License-Identifier: Apache-2.0
 *
 * What an administrator has done with connections: POST of …/close, …/send, …/revoke. The worker.
 */
#ifndef RS_ADMIN_DO_H
#define RS_ADMIN_DO_H

#include "../conf/rs_httpd.h"

#include "../log/rs_registry.h"

/* `what` is "close", "send" or "revoke". Returns what the handler returns. */
int rs_admin_do(request_rec *r, rs_registry_t *registry, const char *what);

/* The tenant whom the caller may see and touch; NULL: all. A status if it has none. */
int rs_admin_scope(request_rec *r, const char **tenant);

#endif
