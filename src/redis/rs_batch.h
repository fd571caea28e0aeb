/* SPDX-License-Identifier: Apache-2.0
 *
 * How many entries to ask Redis for at a time. An answer is in memory as a whole, and COUNT knows
 * nothing of bytes: where entries are large, fewer are asked for, as the last answer teaches.
 * Begins with few, since nothing is known. Pure functions.
 */
#ifndef RS_BATCH_H
#define RS_BATCH_H

#include <stddef.h>
#include <hiredis/hiredis.h>

typedef struct {
    int count;    /* to be asked for, of each stream; 0: nothing was asked yet */
    size_t bytes; /* of the present answer, as seen by rs_batch_see() */
    size_t entries;
} rs_batch_t;

/* Before a question. Returns COUNT, at most `max`. */
int rs_batch_ask(rs_batch_t *b, int max);

/* One entry of the answer: its fields, or not even that. */
void rs_batch_see(rs_batch_t *b, const redisReply *fields);

/* After an answer with entries of so many streams, which should have had `limit` bytes at most. */
void rs_batch_learn(rs_batch_t *b, size_t streams, size_t limit);

#endif
