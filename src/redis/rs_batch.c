/* SPDX-License-Identifier: Apache-2.0
 *
 * COUNT by the size of entries. Pure functions.
 */
#include "rs_batch.h"

#define FIRST 8
#define MOST 1000000

int rs_batch_ask(rs_batch_t *b, int max, int streams)
{
    int count;

    if (b->count < 1) {
        b->count = FIRST;
    }
    count = b->count / streams;
    return count < 1 ? 1 : count > max ? max : count;
}

static size_t size_of(const redisReply *entry)
{
    size_t i, bytes = 0;
    const redisReply *fields =
        entry->type == REDIS_REPLY_ARRAY && entry->elements == 2 ? entry->element[1] : NULL;

    for (i = 0; fields && fields->type == REDIS_REPLY_ARRAY && i < fields->elements; i++) {
        if (fields->element[i]->type == REDIS_REPLY_STRING) {
            bytes += (size_t)fields->element[i]->len;
        }
    }
    return bytes;
}

void rs_batch_learn(rs_batch_t *b, const redisReply *entries, int count)
{
    size_t i, fit, bytes = 0;

    if (!entries->elements) {
        return;
    }
    for (i = 0; i < entries->elements; i++) {
        bytes += size_of(entries->element[i]);
    }
    fit = RS_BATCH_BYTES / (bytes / entries->elements + 1);
    /* Grows only by what was really seen of such entries: what comes next may be larger. */
    if (fit > (size_t)b->count && entries->elements < (size_t)count) {
        return;
    }
    if (fit > (size_t)b->count * 2) {
        fit = (size_t)b->count * 2;
    }
    b->count = fit < 1 ? 1 : fit > MOST ? MOST : (int)fit;
}
