/* SPDX-License-Identifier: Apache-2.0
 *
 * Between Redis and the hub: what reads a source. The hub's thread.
 */
#ifndef RS_INGEST_H
#define RS_INGEST_H

#include "../log/rs_source.h"
#include "../redis/rs_resolve.h"

/* Makes what reads the source. Before the thread runs. */
apr_status_t rs_ingest_open(rs_source_t *source, apr_pool_t *p, rs_poll_t *poll,
                            rs_resolver_t *resolver);

/* Does what is due and returns when to be called again. */
apr_time_t rs_ingest_turn(rs_source_t *source, apr_time_t now);

#endif
