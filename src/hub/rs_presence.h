/* SPDX-License-Identifier: Apache-2.0
 *
 * Presence: which users a node has, told to Redis by one child for all of the node. The hub's
 * thread. Nothing that an event or a client does waits for it.
 */
#ifndef RS_PRESENCE_H
#define RS_PRESENCE_H

#include "../log/rs_source.h"

/* Before the thread runs; does nothing where nobody asks for presence. */
apr_status_t rs_presence_open(rs_source_t *source, apr_pool_t *p);

/* After the loader has ended its jobs: another child takes over. */
void rs_presence_close(rs_source_t *source);

/* Does what is due and returns when to be called again. */
apr_time_t rs_presence_turn(rs_source_t *source, apr_time_t now);

#endif
