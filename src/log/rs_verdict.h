/* SPDX-License-Identifier: Apache-2.0
 *
 * The verdict of rs_known over all streams of a topic: whether a reader at this position has
 * everything after it. Everybody who says "resumed", or goes on after something, asks here.
 */
#ifndef RS_VERDICT_H
#define RS_VERDICT_H

#include "rs_known.h"
#include "rs_topic.h"

/* The reader was not judged yet. */
#define RS_VERDICT_CAME (~0u)

/* The worst of all streams. RESUMED: rs_topic_seek() finds the position, or with `history` (what
 * Redis said of each stream) Redis has what is missing. TRIMMED, LOST: the position was moved to
 * where the reader goes on, and it has to be told; to be judged again from there. losses: how many
 * there had been of data when the reader was judged last; now as many as there were. first: the
 * oldest entry after that, where it is known and there is one stream. */
rs_verdict_kind_t rs_verdict(rs_topic_t *topic, rs_cursor_t *own, unsigned *losses, rs_id_t *first);

/* The hub's: by what it knows now, which streamers may not know yet. start: of each stream, what
 * comes after this is nothing that the reader would miss in `history`, which may be NULL. */
rs_verdict_kind_t rs_verdict_hub(rs_topic_t *topic, const rs_id_t *start, rs_cursor_t *own,
                                 unsigned *losses, const rs_history_t *history, rs_id_t *first);

/* Of the topic's keys, so far. Any thread. */
unsigned rs_verdict_losses(const rs_topic_t *topic);

/* For readers: "trimmed", "redis_reset". */
const char *rs_verdict_reason(rs_verdict_kind_t kind);

#endif
