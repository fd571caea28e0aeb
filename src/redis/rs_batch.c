/* SPDX-License-Identifier: Apache-2.0
 *
 * COUNT by the size of entries. Pure functions.
 */
#include "rs_batch.h"

#define FIRST 16

int rs_batch_ask(rs_batch_t *b, int max)
{
    if (b->count < 1) {
        b->count = FIRST;
    }
    if (b->count > max) {
        b->count = max;
    }
    b->bytes = b->entries = 0;
    return b->count;
}

void rs_batch_see(rs_batch_t *b, const redisReply *fields)
{
    size_t i;

    b->entries++;
    for (i = 0; fields->type == REDIS_REPLY_ARRAY && i < fields->elements; i++) {
        if (fields->element[i]->type == REDIS_REPLY_STRING) {
            b->bytes += (size_t)fields->element[i]->len;
        }
    }
}

void rs_batch_learn(rs_batch_t *b, size_t streams, size_t limit)
{
    size_t fit;

    if (!b->entries) {
        return;
    }
    fit = limit / streams / (b->bytes / b->entries + 1);
    if (fit > (size_t)b->count * 2) {
        fit = (size_t)b->count * 2;
    }
    b->count = fit < 1 ? 1 : (int)fit;
}
