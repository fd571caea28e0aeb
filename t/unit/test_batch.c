/* SPDX-License-Identifier: Apache-2.0
 *
 * How many entries are asked for at a time, by their size.
 */
#include "redis/rs_batch.h"
#include "tap.h"

#define MAX 512
#define MOST 1024

/* An answer with so many entries, each with two strings that have `size` bytes together. */
static void answer(rs_batch_t *b, int entries, int size, int asked)
{
    redisReply name = {.type = REDIS_REPLY_STRING}, value = {.type = REDIS_REPLY_STRING};
    redisReply *both[] = {&name, &value};
    redisReply fields = {.type = REDIS_REPLY_ARRAY, .elements = 2, .element = both};
    redisReply id = {.type = REDIS_REPLY_STRING};
    redisReply *parts[] = {&id, &fields}, *list[MOST];
    redisReply entry = {.type = REDIS_REPLY_ARRAY, .elements = 2, .element = parts};
    redisReply all = {.type = REDIS_REPLY_ARRAY, .elements = (size_t)entries, .element = list};
    int i;

    name.len = size > 7 ? 7 : 0;
    value.len = (size_t)size - name.len;
    for (i = 0; i < entries; i++) {
        list[i] = &entry;
    }
    rs_batch_learn(b, &all, asked);
}

/* What is asked for after some full answers with entries of that size. */
static int after(rs_batch_t *b, int answers, int size)
{
    while (answers--) {
        int asked = rs_batch_ask(b, MAX, 1);

        answer(b, asked, size, asked);
    }
    return rs_batch_ask(b, MAX, 1);
}

int main(void)
{
    rs_batch_t b = {0};

    is_int(rs_batch_ask(&b, MAX, 1), 8, "begins with few");
    is_int(after(&b, 1, 300), 16, "twice as many each time");
    is_int(after(&b, 10, 300), MAX, "up to what is allowed");
    is_int(rs_batch_ask(&b, 100, 1), 100, "which may be less");
    is_int(after(&b, 1, 1000000), (int)(RS_BATCH_BYTES / 1000001), "fewer of large ones, at once");
    is_int(after(&b, 1, 8000000), 1, "one of very large ones");
    is_int(rs_batch_ask(&b, MAX, 64), 1, "never none, however many streams share it");
    is_int(after(&b, 2, 300), 4, "more again when they are small");
    answer(&b, 0, 0, 4);
    is_int(rs_batch_ask(&b, MAX, 1), 4, "an answer without entries teaches nothing");
    answer(&b, 3, 300, 4);
    is_int(rs_batch_ask(&b, MAX, 1), 4, "one that is not full does not say that more are as small");
    answer(&b, 3, 3000000, 4);
    is_int(rs_batch_ask(&b, MAX, 1), 1, "but that they are large");
    b = (rs_batch_t){0};
    is_int(rs_batch_ask(&b, 5, 1), 5, "never more than allowed");
    is_int(after(&b, 10, 0), MAX, "empty ones: as many as is allowed");
    is_int(rs_batch_ask(&b, MAX, 64), b.count / 64, "of each of many streams fewer");
    return done_testing();
}
