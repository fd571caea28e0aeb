/* SPDX-License-Identifier: Apache-2.0
 *
 * How many entries are asked for at a time, by their size.
 */
#include "redis/rs_batch.h"
#include "tap.h"

#define MAX 512
#define LIMIT (4 * 1024 * 1024)

/* An answer with so many entries, each with two strings that have `size` bytes together. */
static void answer(rs_batch_t *b, int entries, int size, int streams)
{
    redisReply name = {.type = REDIS_REPLY_STRING, .str = NULL, .len = 0};
    redisReply value = {.type = REDIS_REPLY_STRING, .str = NULL, .len = 0};
    redisReply *both[] = {&name, &value};
    redisReply fields = {.type = REDIS_REPLY_ARRAY, .elements = 2, .element = both};

    name.len = size > 7 ? 7 : 0;
    value.len = size - (int)name.len;
    while (entries--) {
        rs_batch_see(b, &fields);
    }
    rs_batch_learn(b, (size_t)streams, LIMIT);
}

/* What is asked for after some full answers with entries of that size. */
static int after(rs_batch_t *b, int answers, int size, int streams)
{
    while (answers--) {
        answer(b, rs_batch_ask(b, MAX), size, streams);
    }
    return rs_batch_ask(b, MAX);
}

int main(void)
{
    rs_batch_t b = {0};
    redisReply nil = {.type = REDIS_REPLY_NIL};

    is_int(rs_batch_ask(&b, MAX), 16, "begins with few");
    is_int(after(&b, 1, 300, 1), 32, "twice as many each time");
    is_int(after(&b, 10, 300, 1), MAX, "up to what is allowed");
    is_int(rs_batch_ask(&b, 100), 100, "which may be less");
    is_int(after(&b, 10, 300, 64), LIMIT / 64 / 301, "of each of many streams fewer");
    is_int(after(&b, 10, 0, 1), MAX, "empty ones: as many as is allowed");
    is_int(after(&b, 1, 1000000, 1), 4, "fewer of large ones, at once");
    is_int(after(&b, 1, 8000000, 1), 1, "one of very large ones");
    is_int(after(&b, 3, 8000000, 64), 1, "never none");
    is_int(after(&b, 2, 300, 1), 4, "more again when they are small");
    answer(&b, 0, 0, 1);
    is_int(rs_batch_ask(&b, MAX), 4, "an answer without entries teaches nothing");
    rs_batch_see(&b, &nil);
    rs_batch_learn(&b, 1, LIMIT);
    is_int(rs_batch_ask(&b, MAX), 8, "an entry without fields is a small one");
    b = (rs_batch_t){0};
    is_int(rs_batch_ask(&b, 5), 5, "never more than allowed");
    return done_testing();
}
