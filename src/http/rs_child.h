/* SPDX-License-Identifier: Apache-2.0
 *
 * What a child process has of the module: the engine, command connections, limits. Made in
 * child_init, ended before the child's pool goes.
 */
#ifndef RS_CHILD_H
#define RS_CHILD_H

#include "../conf/rs_httpd.h"

#include "../auth/rs_jwt.h"
#include "../engine/rs_engine.h"

/* NULL: nothing is subscribed to in this configuration. Any worker. */
rs_engine_t *rs_child_engine(void);
rs_registry_t *rs_child_registry(void);
rs_renewals_t *rs_child_renewals(void);
rs_jwt_cache_t *rs_child_jwt_cache(void);

/* The kernel send buffer of a stream, in bytes. */
int rs_child_send_buffer(void);

void rs_child_hooks(apr_pool_t *p);

#endif
