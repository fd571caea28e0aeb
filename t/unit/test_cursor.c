/* SPDX-License-Identifier: Apache-2.0
 *
 * Ids and cursors: what is written is read back, and nothing else is read.
 */
#include <stdlib.h>

#include "proto/rs_cursor.h"
#include "tap.h"

static void ids(void)
{
    static const char *const bad[] = {
        "",
        "-",
        "1",
        "1-",
        "-1",
        "1-2-3",
        "1-2 ",
        " 1-2",
        "+1-2",
        "1--2",
        "0x1-0",
        "1-18446744073709551616",
        "18446744073709551616-0",
        "$",
        ">",
        "*",
        "1.5-0",
        "99999999999999999999999999-1",
    };
    char buf[RS_ID_LEN];
    rs_id_t id = {0, 0}, big = {~(apr_uint64_t)0, ~(apr_uint64_t)0};
    size_t i;

    ok(rs_id_parse(&id, "1732100000000-7", 15) && id.ms == 1732100000000u && id.seq == 7, "an id");
    is_int((long long)rs_id_format(buf, id), 15, "its length");
    is_str(buf, "1732100000000-7", "and back");
    rs_id_format(buf, big);
    is_str(buf, "18446744073709551615-18446744073709551615", "the largest");
    ok(rs_id_parse(&id, buf, strlen(buf)) && rs_id_cmp(id, big) == 0, "and back");
    for (i = 0; i < RS_ARRAY_LEN(bad); i++) {
        ok(!rs_id_parse(&id, bad[i], strlen(bad[i])), "not an id: \"%s\"", bad[i]);
    }
    ok(!rs_id_parse(&id, "1-2\0", 4), "a NUL is no end");
    ok(rs_id_cmp((rs_id_t){1, 5}, (rs_id_t){2, 0}) < 0
           && rs_id_cmp((rs_id_t){2, 1}, (rs_id_t){2, 0}) > 0
           && rs_id_cmp((rs_id_t){3, 3}, (rs_id_t){3, 3}) == 0,
       "the order is milliseconds, then sequence");
}

static rs_cursor_t three(const char *a, const char *b, const char *c)
{
    rs_cursor_t cursor = {3, RS_CURSOR_KEYS_INIT, {{1, 0}, {22, 1}, {0, 0}}};

    cursor.keys = rs_cursor_keys_add(cursor.keys, a);
    cursor.keys = rs_cursor_keys_add(cursor.keys, b);
    cursor.keys = rs_cursor_keys_add(cursor.keys, c);
    return cursor;
}

static void cursors(void)
{
    rs_cursor_t cursor = three("a", "b", "c"), other = three("ab", "", "c"), read = cursor;
    char buf[RS_CURSOR_LEN], cut[RS_CURSOR_LEN];
    size_t len = rs_cursor_format(buf, &cursor), i;
    int refused = 1;

    ok(len == 8 + 4 + 5 + 4 && memcmp(buf + 8, ".1-0.22-1.0-0", 13) == 0, "three positions");
    memset(read.pos, 0, sizeof(read.pos));
    ok(rs_cursor_parse(&read, buf, len) && memcmp(read.pos, cursor.pos, 3 * sizeof(rs_id_t)) == 0,
       "are read back");
    ok(other.keys != cursor.keys, "keys are told apart, not only their letters");
    ok(!rs_cursor_parse(&other, buf, len), "a cursor of other keys is not ours");
    other = cursor;
    other.n = 2;
    ok(!rs_cursor_parse(&other, buf, len), "nor one with more streams");
    for (i = 0; i < len - 2; i++) {
        memcpy(cut, buf, i);
        refused &= !rs_cursor_parse(&read, cut, i);
    }
    ok(refused, "cut anywhere it is refused");
    memcpy(cut, buf, len);
    cut[len] = '.';
    ok(!rs_cursor_parse(&read, cut, len + 1), "a trailing dot is refused");
    read.n = 1;
    ok(rs_cursor_parse(&read, "5-6", 3) && read.pos[0].ms == 5, "one stream: the Redis id itself");
    cursor.n = RS_STREAMS_MAX;
    for (i = 0; i < RS_STREAMS_MAX; i++) {
        cursor.pos[i] = (rs_id_t){1732100000000u, 123};
    }
    ok(rs_cursor_format(buf, &cursor) < 200, "with the most streams it stays below 200 bytes");
}

int main(void)
{
    ids();
    cursors();
    return done_testing();
}
