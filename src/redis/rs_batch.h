/* SPDX-License-Identifier: Apache-2.0
 *
 * How many entries to ask Redis for at a time. An answer is in memory as a whole, and COUNT knows
 * nothing of bytes: where entries are large, fewer are asked for, as the answers teach. Begins with
 * few, since nothing is known. Every question for entries asks here first. Pure functions.
 */
#ifndef RS_BATCH_H
#define RS_BATCH_H

#include <stddef.h>
#include <hiredis/hiredis.h>

#define RS_BATCH_BYTES ((size_t)4 * 1024 * 1024) /* what an answer should have at most */

typedef struct {
    int count; /* what may be asked for; 0: nothing was asked yet */
} rs_batch_t;

/* COUNT for a question about so many streams at once: at least 1, at most `max`. */
int rs_batch_ask(rs_batch_t *batch, int max, int streams);

/* From some entries of an answer (an array of them) that asked for `count`. */
void rs_batch_learn(rs_batch_t *batch, const redisReply *entries, int count);

#endif
