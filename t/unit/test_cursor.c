/* SPDX-License-Identifier: Apache-2.0
 *
 * Ids and cursors: what is written is read back, and nothing else is read.
 */
#include <stdlib.h>

#include <apr_strings.h>

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

static rs_cursor_t cursor_of(rs_cursor_tags_t *tags, int n, const char *const *key)
{
    rs_cursor_t cursor = {n, tags, {{1, 0}, {1732100000000u, 40}, {0, 0}}};
    int k;

    for (k = 0; k < n; k++) {
        rs_cursor_tags_add(tags, k, key[k]);
    }
    return cursor;
}

static int reads(rs_cursor_t *cursor, const char *text)
{
    memset(cursor->pos, 0xff, sizeof(cursor->pos));
    return rs_cursor_parse(cursor, text, strlen(text));
}

static void cursors(void)
{
    static const char *const abc[] = {"a", "b", "c"}, *const bcd[] = {"b", "c", "d"},
                             *const odd[] = {"ab", "", "x"};
    rs_cursor_tags_t tags, other_tags, odd_tags;
    rs_cursor_t cursor = cursor_of(&tags, 3, abc), read = cursor;
    rs_cursor_t other = cursor_of(&other_tags, 3, bcd), foreign = cursor_of(&odd_tags, 3, odd);
    char buf[RS_CURSOR_LEN], cut[RS_CURSOR_LEN], old[80];
    size_t len = rs_cursor_format(buf, &cursor), i;
    int refused = 1;

    rs_cursor_text(&cursor, buf);
    is_int((long long)strspn(buf, "0123456789abcdefghijklmnopqrstuvwxyz.-"), (long long)len,
           "a cursor is of letters, digits, dots and dashes");
    ok(buf[0] == '3' && strcmp(buf + 5, "1.") > 0 && strstr(buf, "m3prm9kw-14."), "%s", buf);
    is_int(reads(&read, buf), 3, "three positions");
    ok(memcmp(read.pos, cursor.pos, 3 * sizeof(rs_id_t)) == 0, "are read back");
    is_int(reads(&other, buf), 2, "of another set, those of the streams that are in both");
    ok(rs_id_cmp(other.pos[0], cursor.pos[1]) == 0 && rs_id_cmp(other.pos[1], cursor.pos[2]) == 0
           && other.pos[2].ms == ~(apr_uint64_t)0,
       "each to its own, the new one as it was");
    is_int(reads(&foreign, buf), 0, "of none of its streams: not a cursor");
    other.n = 1;
    is_int(reads(&other, buf), 1, "an endpoint with one of the streams reads it, too");
    ok(rs_id_cmp(other.pos[0], cursor.pos[1]) == 0, "its own position");
    is_int(reads(&other, "5-6"), 1, "one stream: the Redis id itself");
    ok(other.pos[0].ms == 5 && other.pos[0].seq == 6, "as it is");
    is_int(reads(&read, "5-6"), 0, "which says nothing of several");
    for (i = 0; i < len; i++) {
        if (i == len - 1) {
            continue; /* the last position is one digit */
        }
        memcpy(cut, buf, i);
        cut[i] = '\0';
        refused &= i > len - 5 || !reads(&read, cut);
    }
    ok(refused, "without its last stream it is refused");
    apr_snprintf(cut, sizeof(cut), "%s.", buf);
    is_int(reads(&read, cut), 0, "so it is with a dot at its end");
    apr_snprintf(old, sizeof(old), "%08x.1-0.1732100000000-40.0-0", tags.keys);
    is_int(reads(&read, old), 3, "an id as they were before");
    ok(memcmp(read.pos, cursor.pos, 3 * sizeof(rs_id_t)) == 0, "is read");
    old[0] = old[0] == '1' ? '2' : '1';
    is_int(reads(&read, old), 0, "but not one of other keys");
    cursor.n = RS_STREAMS_MAX;
    for (i = 0; i < RS_STREAMS_MAX; i++) {
        rs_cursor_tags_add(&tags, (int)i, i % 2 ? "x" : "y");
        cursor.pos[i] = (rs_id_t){1795916862656u, i};
    }
    rs_cursor_text(&cursor, buf);
    ok(strlen(buf) <= 128, "with the most streams it needs no preflight: %d bytes",
       (int)strlen(buf));
    read = cursor;
    is_int(reads(&read, buf), RS_STREAMS_MAX, "tags that are alike are told apart by their order");
    ok(memcmp(read.pos, cursor.pos, sizeof(read.pos)) == 0, "and read back");
}

int main(void)
{
    ids();
    cursors();
    return done_testing();
}
