/* SPDX-License-Identifier: Apache-2.0
 *
 * The control stream: what administrators want done, read by every child of every node. The hub's
 * thread.
 */
#ifndef RS_CONTROL_H
#define RS_CONTROL_H

#include <hiredis/hiredis.h>

#include "../log/rs_source.h"
#include "../redis/rs_history.h"

/* From which id on it is read. */
rs_id_t rs_control_ask(const rs_source_t *source);

/* What Redis says of it, and the entries that were read (NULL: none). 0: those are no entries. */
int rs_control_take(rs_source_t *source, const rs_history_t *history, const redisReply *entries);

/* Ends those of this child whom that revocation is about. */
void rs_control_revoke(rs_source_t *source, const char *name);

#endif
