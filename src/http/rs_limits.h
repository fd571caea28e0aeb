/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether this httpd can hold what its configuration promises. The parent, before there are
 * children.
 */
#ifndef RS_LIMITS_H
#define RS_LIMITS_H

#include "../conf/rs_conf.h"

/* File descriptors for RaglineMaxConnections, or that number is lowered. */
void rs_limits_raise(apr_pool_t *p, server_rec *s, rs_server_conf_t *conf);

/* Settings of the MPM that end streams, or leave no room for them. */
void rs_limits_warn(apr_pool_t *p, server_rec *s);

#endif
