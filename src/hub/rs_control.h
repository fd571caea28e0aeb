/* SPDX-License-Identifier: Apache-2.0
 *
 * The control stream: what administrators want done, and what tokens clients brought to another
 * node than theirs; read by every child of every node. The hub's thread.
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

/* Does what workers of this node were brought for connections of this child. *seen: rs_renewals.h.
 */
void rs_control_renewals(rs_common_t *common, rs_source_t *const *sources, int nsources,
                         apr_uint32_t *seen);

/* Ends those of this child whom that revocation is about. */
void rs_control_revoke(rs_source_t *source, const char *name);

#endif
