/* SPDX-License-Identifier: Apache-2.0
 *
 * How many WebSockets there are, of all children, as the service Ragline tells it. Any thread.
 */
#ifndef RS_WS_STATS_H
#define RS_WS_STATS_H

#include "../base/rs_buf.h"
#include "../log/rs_registry.h"

/* Appends the JSON. p is for names meanwhile; wall: what time it is. */
void rs_ws_stats(rs_buf_t *b, apr_pool_t *p, rs_registry_t *registry, const rs_whom_t *whom,
                 apr_time_t wall);

#endif
