/* SPDX-License-Identifier: Apache-2.0
 *
 * The verdict of rs_known over all streams of a topic: whether a reader at this position has
 * everything after it. Everybody who says "resumed", or goes on after something, asks here.
 */
#ifndef RS_VERDICT_H
#define RS_VERDICT_H

#include "rs_known.h"
#include "rs_topic.h"

/* The worst of all streams. RESUMED: rs_topic_seek() finds the position, or with `history` (what
 * Redis said of each stream) Redis has what is missing. TRIMMED, LOST: the position was moved to
 * where the reader goes on, and it has to be told; to be judged again from there. first: the oldest
 * entry after that, where it is known and there is one stream. */
rs_verdict_kind_t rs_verdict(rs_topic_t *topic, rs_cursor_t *own, rs_id_t *first);

/* The hub's: by what it knows now, which streamers may not know yet. start: of each stream, what
 * comes after this is nothing that the reader would miss in `history`, which may be NULL. */
rs_verdict_kind_t rs_verdict_hub(rs_topic_t *topic, const rs_id_t *start, rs_cursor_t *own,
                                 const rs_history_t *history, rs_id_t *first);

/* For readers: "trimmed", "redis_reset". */
const char *rs_verdict_reason(rs_verdict_kind_t kind);

#endif
