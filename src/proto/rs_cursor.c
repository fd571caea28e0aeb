/* SPDX-License-Identifier: Apache-2.0
 *
 * Cursors. Clients send them back, so parsing trusts nothing.
 */
#include <string.h>

#include "rs_cursor.h"

#define DIGITS "0123456789abcdefghijklmnopqrstuvwxyz"
#define TAG_LEN 4
#define TAGS (36u * 36 * 36 * 36)
#define HASH_INIT 2166136261u

/* FNV-1a. The NUL is hashed too: ("ab","c") and ("a","bc") differ. */
static apr_uint32_t hash(apr_uint32_t value, const char *key)
{
    do {
        value = (value ^ (unsigned char)*key) * 16777619u;
    } while (*key++);
    return value;
}

void rs_cursor_tags_add(rs_cursor_tags_t *tags, int k, const char *key)
{
    tags->tag[k] = hash(HASH_INIT, key) % TAGS;
    tags->keys = hash(k ? tags->keys : HASH_INIT, key);
}

int rs_cursor_raise(rs_cursor_t *cursor, const rs_cursor_t *other)
{
    int k, moved = 0;

    for (k = 0; k < cursor->n; k++) {
        moved |= rs_id_cmp(other->pos[k], cursor->pos[k]) > 0;
        rs_id_raise(&cursor->pos[k], other->pos[k]);
    }
    return moved;
}

int rs_cursor_within(const rs_cursor_t *cursor, const rs_cursor_t *other)
{
    int k;

    for (k = 0; k < cursor->n && rs_id_cmp(cursor->pos[k], other->pos[k]) <= 0; k++) {
    }
    return k == cursor->n;
}

/* At least so many digits. */
static char *put_number(char *to, apr_uint64_t value, int least)
{
    char digits[13];
    int n = 0;

    do {
        digits[n++] = DIGITS[value % 36];
        value /= 36;
    } while (value || n < least);
    while (n) {
        *to++ = digits[--n];
    }
    return to;
}

size_t rs_cursor_format(char buf[RS_CURSOR_LEN], const rs_cursor_t *cursor)
{
    char *to = buf;
    int k;

    if (cursor->n == 1) {
        return rs_id_format(buf, cursor->pos[0]);
    }
    *to++ = DIGITS[cursor->n];
    for (k = 0; k < cursor->n; k++) {
        *to = '.';
        to = put_number(to + (k > 0), cursor->tags->tag[k], TAG_LEN);
        to = put_number(to, cursor->pos[k].ms, 1);
        if (cursor->pos[k].seq) {
            *to = '-';
            to = put_number(to + 1, cursor->pos[k].seq, 1);
        }
    }
    return (size_t)(to - buf);
}

const char *rs_cursor_text(const rs_cursor_t *cursor, char buf[RS_CURSOR_LEN])
{
    buf[rs_cursor_format(buf, cursor)] = '\0';
    return buf;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'z' ? c - 'a' + 10 : -1;
}

/* Up to so many digits, at least one; NULL when there is none, or it is too large. */
static const char *get_number(apr_uint64_t *out, const char *s, const char *end, int most)
{
    const char *start = s;
    apr_uint64_t value = 0;

    for (; s < end && s < start + most && digit(*s) >= 0; s++) {
        if (value > (~(apr_uint64_t)0 - (apr_uint64_t)digit(*s)) / 36) {
            return NULL;
        }
        value = value * 36 + (apr_uint64_t)digit(*s);
    }
    *out = value;
    return s > start ? s : NULL;
}

/* One stream's part: its tag and its position. */
static const char *get_part(apr_uint32_t *tag, rs_id_t *id, const char *s, const char *end)
{
    apr_uint64_t value;

    if (end - s <= TAG_LEN || !(s = get_number(&value, s, end, TAG_LEN))) {
        return NULL;
    }
    *tag = (apr_uint32_t)value;
    id->seq = 0;
    s = get_number(&id->ms, s, end, 14);
    if (s && s < end && *s == '-') {
        s = get_number(&id->seq, s + 1, end, 14);
    }
    return s;
}

static int parse_tagged(rs_cursor_t *cursor, const char *s, const char *end)
{
    unsigned found = 0;
    int i, k, known = 0, n = s < end ? digit(*s) : 0;

    if (n < 2 || n > RS_STREAMS_MAX) {
        return 0;
    }
    s++;
    for (i = 0; i < n; i++) {
        apr_uint32_t tag;
        rs_id_t id;

        if (i > 0 && (s == end || *s++ != '.')) {
            return 0;
        }
        s = get_part(&tag, &id, s, end);
        if (!s) {
            return 0;
        }
        for (k = 0; k < cursor->n && (cursor->tags->tag[k] != tag || (found >> k & 1)); k++) {
        }
        if (k < cursor->n) {
            found |= 1u << k;
            cursor->pos[k] = id;
            known++;
        }
    }
    return s == end ? known : 0;
}

/* "HHHHHHHH.ID.ID…": the fingerprint of the keys, and the ids as Redis has them. */
static int parse_old(rs_cursor_t *cursor, const char *s, const char *end)
{
    apr_uint32_t keys = 0;
    int i;

    if (end - s < 8) {
        return 0;
    }
    for (i = 0; i < 8; i++, s++) {
        if (digit(*s) < 0 || digit(*s) > 15) {
            return 0;
        }
        keys = keys << 4 | (apr_uint32_t)digit(*s);
    }
    for (i = 0; keys == cursor->tags->keys && i < cursor->n; i++) {
        const char *dot;

        if (s == end || *s++ != '.') {
            return 0;
        }
        dot = memchr(s, '.', (size_t)(end - s));
        dot = dot ? dot : end;
        if (!rs_id_parse(&cursor->pos[i], s, (size_t)(dot - s))) {
            return 0;
        }
        s = dot;
    }
    return s == end && i == cursor->n ? i : 0;
}

int rs_cursor_parse(rs_cursor_t *cursor, const char *text, size_t len)
{
    rs_cursor_t read = *cursor;
    int n;

    if (cursor->n == 1 && rs_id_parse(&cursor->pos[0], text, len)) {
        return 1;
    }
    n = parse_tagged(&read, text, text + len);
    if (!n && cursor->n > 1) {
        read = *cursor;
        n = parse_old(&read, text, text + len);
    }
    if (n) {
        *cursor = read;
    }
    return n;
}
