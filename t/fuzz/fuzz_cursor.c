/* SPDX-License-Identifier: Apache-2.0
 *
 * Stream ids and cursors, which clients send back. The first byte chooses what the rest is. What is
 * read must be what a second, slow reader here takes it for, and must be read the same when it was
 * written again.
 */
#include "../../src/log/rs_event.h"
#include "fuzz.h"

static const char *const keys[RS_STREAMS_MAX] = {"a", "b", "app:events", "", "{x}", "f", "g", "h"};

void fuzz_setup(apr_pool_t *all) { (void)all; }

static rs_cursor_tags_t tags[RS_STREAMS_MAX];

static rs_cursor_t cursor_of(int n)
{
    rs_cursor_t cursor;
    int i;

    memset(&cursor, 0, sizeof(cursor));
    cursor.n = n;
    cursor.tags = &tags[n - 1];
    for (i = 0; i < n; i++) {
        rs_cursor_tags_add(&tags[n - 1], i, keys[i]);
    }
    return cursor;
}

/* Decimal digits up to something else, compared as text: no arithmetic that could overflow. */
static const char *slow_number(apr_uint64_t *out, const char *s, const char *end)
{
    static const char most[] = "18446744073709551615";
    const char *start = s, *first;
    char digits[24];
    size_t n;

    while (s < end && *s >= '0' && *s <= '9') {
        s++;
    }
    for (first = start; first < s && *first == '0'; first++) {
    }
    n = (size_t)(s - first);
    if (s == start || n > 20 || (n == 20 && memcmp(first, most, 20) > 0)) {
        return NULL;
    }
    memcpy(digits, first, n);
    digits[n] = '\0';
    *out = strtoull(n ? digits : "0", NULL, 10);
    return s;
}

static const char *slow_id(rs_id_t *id, const char *s, const char *end)
{
    s = slow_number(&id->ms, s, end);
    return s && s < end && *s == '-' ? slow_number(&id->seq, s + 1, end) : NULL;
}

/* Of one stream, or as they were with a fingerprint of the keys. */
static int slow_cursor(rs_cursor_t *cursor, const char *s, size_t len)
{
    const char *end = s + len;
    char mark[9];
    int i;

    if (cursor->n > 1) {
        apr_snprintf(mark, sizeof(mark), "%08x", cursor->tags->keys);
        if (len < 8 || memcmp(s, mark, 8) != 0) {
            return 0;
        }
        s += 8;
    }
    for (i = 0; i < cursor->n; i++) {
        if (cursor->n > 1 && (s == end || *s++ != '.')) {
            return 0;
        }
        if (!(s = slow_id(&cursor->pos[i], s, end))) {
            return 0;
        }
    }
    return s == end ? cursor->n : 0;
}

static int same(const rs_cursor_t *a, const rs_cursor_t *b)
{
    return a->n == b->n && a->tags == b->tags
           && !memcmp(a->pos, b->pos, (size_t)a->n * sizeof(a->pos[0]));
}

/* Whatever the positions are, they come back, also through an event. */
static void round_trip(const rs_cursor_t *cursor)
{
    /* On the heap, so that a byte too many is seen. */
    char *buf = malloc(RS_CURSOR_LEN), text[RS_CURSOR_LEN], again[RS_CURSOR_LEN];
    rs_cursor_t read = cursor_of(cursor->n);
    size_t len = rs_cursor_format(buf, cursor);
    rs_event_parts_t parts = {.id = cursor->pos[0], .cursor = cursor, .frame = {"", 0}};
    rs_event_t *event;

    require(len < RS_CURSOR_LEN && rs_cursor_text(cursor, text) == text);
    require(strlen(text) == len && !memcmp(text, buf, len));
    require(rs_cursor_parse(&read, buf, len) && same(&read, cursor));
    require(rs_cursor_format(again, &read) == len && !memcmp(again, buf, len));
    parts.type = parts.data = parts.user = parts.frame;
    event = rs_event_create(&parts);
    read = cursor_of(cursor->n);
    require(rs_event_cursor(event, &read) && same(&read, cursor));
    rs_event_drop(event);
    /* Of an endpoint with one stream more all that it knows is read, but for a single one's. */
    if (cursor->n < RS_STREAMS_MAX) {
        read = cursor_of(cursor->n + 1);
        require(rs_cursor_parse(&read, buf, len) == (cursor->n > 1 ? cursor->n : 0));
    }
    free(buf);
}

static void parse(int n, const char *text, size_t len)
{
    rs_cursor_t cursor = cursor_of(n), slow = cursor;
    int good = rs_cursor_parse(&cursor, text, len);

    require(good >= 0 && good <= n);
    if (slow_cursor(&slow, text, len)) {
        require(good == n && same(&cursor, &slow));
    }
    if (good == n) {
        round_trip(&cursor);
    }
}

static void neighbours(rs_id_t id)
{
    const rs_id_t none = {0, 0}, most = {~(apr_uint64_t)0, ~(apr_uint64_t)0};
    rs_id_t before = rs_id_before(id), after = rs_id_after(id);

    require(rs_id_cmp(before, id) == (rs_id_cmp(id, none) ? -1 : 0));
    require(rs_id_cmp(after, id) == (rs_id_cmp(id, most) ? 1 : 0));
    require(!rs_id_cmp(id, none) || !rs_id_cmp(rs_id_after(before), id));
    require(!rs_id_cmp(id, most) || !rs_id_cmp(rs_id_before(after), id));
}

/* Raw numbers as positions. Two cursors of them: the higher of both is not below either. */
static void numbers(int n, const char *data, size_t size)
{
    rs_cursor_t a = cursor_of(n), b = cursor_of(n), ab, ba;
    size_t half = (size_t)n * sizeof(rs_id_t);
    int i;

    memcpy(a.pos, data, size < half ? size : half);
    if (size > half) {
        memcpy(b.pos, data + half, size - half < half ? size - half : half);
    }
    round_trip(&a);
    ab = a;
    rs_cursor_raise(&ab, &b);
    ba = b;
    rs_cursor_raise(&ba, &a);
    require(same(&ab, &ba));
    for (i = 0; i < n; i++) {
        neighbours(a.pos[i]);
        require(rs_id_cmp(a.pos[i], b.pos[i]) == -rs_id_cmp(b.pos[i], a.pos[i]));
        require(rs_id_cmp(ab.pos[i], a.pos[i]) >= 0 && rs_id_cmp(ab.pos[i], b.pos[i]) >= 0);
        require(!rs_id_cmp(ab.pos[i], a.pos[i]) || !rs_id_cmp(ab.pos[i], b.pos[i]));
    }
}

/* 1 to 8: a cursor of so many streams. A to H: the same, with the right fingerprint in front. a to
 * h: positions as numbers. */
void fuzz_one(apr_pool_t *p, const char *data, size_t size)
{
    rs_cursor_t cursor;
    char *text;

    if (size == 0) {
        return;
    }
    if (data[0] >= '1' && data[0] <= '8') {
        parse(data[0] - '0', fuzz_text(p, data + 1, size - 1), size - 1);
    }
    else if (data[0] >= 'A' && data[0] <= 'H') {
        cursor = cursor_of(data[0] - 'A' + 1);
        text = malloc(size + 7); /* without a NUL */
        memcpy(text, apr_psprintf(p, "%08x", cursor.tags->keys), 8);
        memcpy(text + 8, data + 1, size - 1);
        parse(cursor.n, text, size + 7);
        free(text);
    }
    else if (data[0] >= 'a' && data[0] <= 'h') {
        numbers(data[0] - 'a' + 1, data + 1, size - 1);
    }
}
