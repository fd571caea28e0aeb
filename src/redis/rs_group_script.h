/* SPDX-License-Identifier: Apache-2.0
 *
 * The position of consumer groups, in one script: opens groups, moves them forward, never back. A
 * hash beside the stream holds the positions ("ID ENTRIES"), since XINFO GROUPS looks at every
 * group of a stream. ENTRIES is how many entries there ever were up to ID: what lags is told from
 * that. Functions on commands and replies; any thread.
 *
 *     EVAL script 2 KEY HASH  GROUP ID ENTRIES  GROUP ID ENTRIES …
 *
 * ID "": only opens it; "=ID": and if it is new, it begins there, where its first client does.
 * ENTRIES "": not known. The reply has for each group two elements: its position, and "" or one of
 *     new    it was made now, at the end of the stream
 *     ahead  the stream ends before its position, or before ID: it is not what it was
 */
#ifndef RS_GROUP_SCRIPT_H
#define RS_GROUP_SCRIPT_H

#include <hiredis/hiredis.h>

#include "../proto/rs_id.h"

extern const char rs_group_script[];

/* The hash's key: in the same slot of a cluster as the stream's. Room for a RaglineStream key of
 * 159 characters that is made of {tenant} only. */
#define RS_GROUP_HASH_LEN 1400
const char *rs_group_hash(char out[RS_GROUP_HASH_LEN], const char *key);

typedef enum { RS_GROUP_OLD, RS_GROUP_NEW, RS_GROUP_AHEAD } rs_group_state_t;

/* The n-th group's part of the reply; 0 when it is not that. */
int rs_group_parse(const redisReply *reply, int n, rs_id_t *id, rs_group_state_t *state);

#endif
