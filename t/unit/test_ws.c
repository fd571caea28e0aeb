/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSocket frames: what is read in pieces of any size, what is written, and that nothing is kept
 * between messages. An event whose reader has a position of its own, of another length; what
 * clients ask for: sets of types, and how many there are.
 */
#include <stdlib.h>

#include <apr_strings.h>

#include "proto/rs_ws.h"
#include "tap.h"
#include "wire/rs_frames.h"

/* What a client sends: masked. */
static void frame(rs_buf_t *b, int first, const char *payload, size_t len)
{
    static const char mask[4] = {0x11, 0x22, 0x33, 0x44};
    unsigned char head[4] = {(unsigned char)first, (unsigned char)(0x80 | len)};
    size_t i;

    if (len > 125) {
        head[1] = 0x80 | 126;
        head[2] = (unsigned char)(len >> 8);
        head[3] = (unsigned char)len;
    }
    rs_buf_add(b, (const char *)head, len > 125 ? 4 : 2);
    rs_buf_add(b, mask, sizeof(mask));
    for (i = 0; i < len; i++) {
        char c = (char)(payload[i] ^ mask[i % 4]);

        rs_buf_add(b, &c, 1);
    }
}

/* All that comes of these bytes, given `step` at a time: "text:...", "ping:...", "close:CODE". */
static const char *hear(const rs_buf_t *b, size_t step, size_t max)
{
    static rs_buf_t out;
    const char *at = b->data, *end = b->data + b->len, *payload;
    rs_ws_what_t what = RS_WS_MORE;
    size_t len;
    rs_ws_t ws;

    rs_buf_clear(&out);
    rs_ws_begin(&ws, max);
    while (at < end && what != RS_WS_CLOSE && what != RS_WS_BROKEN) {
        const char *stop = (size_t)(end - at) < step ? end : at + step;

        what = rs_ws_next(&ws, &at, stop, &payload, &len);
        if (what == RS_WS_CLOSE || what == RS_WS_BROKEN) {
            rs_buf_printf(&out, "%s:%d ", what == RS_WS_CLOSE ? "close" : "broken", ws.code);
        }
        else if (what != RS_WS_MORE) {
            rs_buf_puts(&out, what == RS_WS_TEXT   ? "text:"
                              : what == RS_WS_PING ? "ping:"
                                                   : "pong:");
            rs_buf_add(&out, payload, len);
            rs_buf_puts(&out, " ");
        }
    }
    rs_ws_done(&ws);
    if (ws.data.data && !ws.open) {
        rs_buf_puts(&out, "(memory kept)");
    }
    rs_ws_end(&ws);
    rs_buf_add(&out, "", 1);
    return out.data;
}

static void is_heard(const rs_buf_t *b, size_t max, const char *want, const char *name)
{
    size_t step;

    is_str(hear(b, b->len, max), want, name);
    for (step = 1; step < 9 && !strcmp(hear(b, step, max), want); step++) {
    }
    ok(step == 9, "%s: in pieces", name);
}

static void test_reading(void)
{
    rs_buf_t b = RS_BUF_INIT;

    frame(&b, 0x81, "one", 3);
    frame(&b, 0x01, "t", 1);
    frame(&b, 0x89, "p", 1);
    frame(&b, 0x00, "", 0);
    frame(&b, 0x8A, "", 0);
    frame(&b, 0x80, "wo", 2);
    frame(&b, 0x88, "\x03\xe9xyz", 5);
    is_heard(&b, 100, "text:one ping:p pong: text:two close:1001 ",
             "fragments, and what is between");
    is_heard(&b, 3, "text:one ping:p pong: text:two close:1001 ", "as large as may be");
    is_heard(&b, 2, "broken:1009 ", "larger");
    rs_buf_clear(&b);
    frame(&b, 0x01, "\xe2\x82", 2);
    frame(&b, 0x89, "\xff", 1);
    frame(&b, 0x80, "\xac", 1);
    is_heard(&b, 100, "ping:\xff text:\xe2\x82\xac ", "a character in two fragments");
    rs_buf_clear(&b);
    frame(&b, 0x01, "\xe2\x82", 2);
    frame(&b, 0x80, "x", 1);
    is_heard(&b, 100, "broken:1007 ", "half of one");
    rs_buf_free(&b);
}

static void test_writing(void)
{
    static const struct {
        size_t len, head;
    } sizes[] = {{0, 2}, {125, 2}, {126, 4}, {65535, 4}, {65536, 10}};
    char *text = malloc(65536);
    rs_buf_t b = RS_BUF_INIT, same = RS_BUF_INIT;
    size_t i, shift, start;

    memset(text, 'x', 65536);
    for (i = 0; i < RS_ARRAY_LEN(sizes); i++) {
        rs_buf_clear(&b);
        rs_buf_clear(&same);
        rs_buf_puts(&b, "before");
        start = rs_ws_open(&b);
        rs_buf_add(&b, text, sizes[i].len);
        shift = rs_ws_finish(&b, start, RS_WS_OP_TEXT);
        rs_ws_frame(&same, RS_WS_OP_TEXT, text, sizes[i].len);
        ok(shift == 10 - sizes[i].head && same.len == sizes[i].head + sizes[i].len
               && b.len == 6 + same.len && !memcmp(b.data + 6, same.data, same.len)
               && !memcmp(b.data, "before", 6),
           "a frame of %d bytes", (int)sizes[i].len);
    }
    rs_buf_clear(&b);
    memset(text, 'r', 200);
    text[200] = '\0';
    rs_ws_close(&b, 1013, text);
    ok(b.len == 127 && !memcmp(b.data, "\x88\x7d\x03\xf5rrr", 7), "a close with a long reason");
    rs_buf_free(&b);
    rs_buf_free(&same);
    free(text);
}

static size_t head_of(rs_text_t frame)
{
    return (frame.data[1] & 0x7f) == 126 ? 4 : (frame.data[1] & 0x7f) == 127 ? 10 : 2;
}

static size_t length_in(rs_text_t frame)
{
    const unsigned char *head = (const unsigned char *)frame.data;

    return head_of(frame) == 2 ? head[1] : (size_t)head[2] << 8 | head[3];
}

/* An event's frame, and the same with the longest position, around where the header grows. */
static void test_position(void)
{
    static const char *const keys[] = {"a", "b"};
    rs_cursor_tags_t tags;
    rs_cursor_t cursor = {.n = 2, .tags = &tags};
    rs_buf_t scratch = RS_BUF_INIT;
    char data[256];
    int n, good = 1;

    memset(&tags, 0, sizeof(tags));
    rs_cursor_tags_add(&tags, 0, keys[0]);
    rs_cursor_tags_add(&tags, 1, keys[1]);
    memset(data, '7', sizeof(data));
    for (n = 1; n < 64; n++) {
        rs_entry_t entry = {.type = {"t", 1}, .data = {data, (size_t)n}, .user = {"", 0}};
        rs_id_t id = {5, 0};
        rs_event_t *event, *mine;
        rs_text_t frame;

        cursor.pos[0] = id;
        cursor.pos[1] = (rs_id_t){0, 0};
        event = rs_frames_event(&scratch, &entry, 0, id, &cursor);
        cursor.pos[1] = (rs_id_t){~(apr_uint64_t)0, ~(apr_uint64_t)0};
        mine = event ? rs_frames_with_id(&rs_wire_websocket, event, &cursor) : NULL;
        if (!mine) {
            good = 0;
            break;
        }
        frame = rs_frames_get(&rs_wire_websocket, event, &tags);
        good &= length_in(frame) + head_of(frame) == frame.len;
        frame = rs_frames_get(&rs_wire_websocket, mine, &tags);
        good &= length_in(frame) + head_of(frame) == frame.len && frame.data[head_of(frame)] == '{'
                && frame.data[frame.len - 1] == '}';
        rs_event_drop(event);
        rs_event_drop(mine);
    }
    ok(good && n == 64, "an event with a position of its own is a whole frame");
    rs_buf_free(&scratch);
}

static rs_subscription_t *set_of(const char *a, const char *b, const char *c)
{
    const char *patterns[] = {a, b, c};

    return rs_subscription_create(patterns, c ? 3 : b ? 2 : 1);
}

static void test_subscriptions(void)
{
    rs_subscription_t *one = set_of("b", "a*", "b"), *same = set_of("a*", "b", NULL),
                      *other = set_of("a*", "c", NULL);
    rs_buf_t b = RS_BUF_INIT;

    ok(rs_subscription_same(one, same) && !rs_subscription_same(one, other)
           && !rs_subscription_same(one, NULL) && rs_subscription_same(NULL, NULL),
       "the same patterns are the same, in whatever order");
    ok(rs_subscription_wants(one, "b", 1) && rs_subscription_wants(one, "abc", 3)
           && !rs_subscription_wants(one, "bc", 2) && rs_subscription_wants(one, "", 0)
           && rs_subscription_wants(NULL, "x", 1),
       "what they want");
    rs_subscription_json(&b, one);
    rs_buf_puts(&b, " ");
    rs_subscription_json(&b, NULL);
    rs_buf_add(&b, "", 1);
    is_str(b.data, "[\"a*\",\"b\"] []", "as JSON");
    rs_buf_free(&b);
    free(one);
    free(same);
    free(other);
}

/* What a client says after we have closed: the tail of a broken frame, then what is asked for. */
static int dropped(rs_ws_t *ws, const char *bytes, size_t len, size_t piece)
{
    int closed = 0;
    size_t n;

    for (; len; bytes += n, len -= n) {
        n = piece < len ? piece : len;
        closed = rs_ws_drop(ws, bytes, n);
    }
    return closed;
}

static void test_goodbye(void)
{
    static const struct {
        const char *bytes;
        size_t len;
        int closes;
        const char *name;
    } said[] = {
#define SAID(bytes, closes, name) {bytes, sizeof(bytes) - 1, closes, name}
        SAID("\x88\x85mask\x03\xe8" "bye", 1, "a goodbye"),
        SAID("\x88\x80mask", 1, "one that gives no reason"),
        SAID("\x88\x82mask\x03", 0, "one that is not complete"),
        SAID("\x89\x81maskx\x01\x82mask\x88\x80\x88\x80mask", 1, "behind others, and not before"),
        SAID("\x01\x82mask\x88\x80", 0, "what only looks like one"),
        SAID("\x82\xfe\x00\x03mask\x88\x80m\x88\x80mask", 1, "behind a length in two bytes"),
        SAID("\x82\xff\0\0\0\0\0\0\0\x01mask\x88\x88\x80mask", 1, "in eight"),
        SAID("\x82\xff\xff\0\0\0\0\0\0\x01mask\x88\x88\x80mask", 0, "in what never ends"),
        SAID("\x81\x01x\x88\x80mask", 1, "behind what is not masked"),
        SAID("\xf3\x81maskx\x88\x80mask", 1, "behind what means nothing"),
        SAID("\x88\x82mask\0\0\x81\x80", 1, "with a code that is none, and more behind it"),
#undef SAID
    };
    const char *at, *end, *payload;
    rs_ws_t ws;
    size_t i, piece, before, len;
    int good, closed;

    for (i = 0; i < RS_ARRAY_LEN(said); i++) {
        good = 1;
        for (piece = 1; piece <= said[i].len; piece++) {
            rs_ws_begin(&ws, 100);
            good &= dropped(&ws, said[i].bytes, said[i].len, piece) == said[i].closes;
            rs_ws_end(&ws);
        }
        ok(good, "%s, in pieces of any size", said[i].name);
        /* Wherever listening ended, or broke. */
        good = 1;
        for (before = 0; before <= said[i].len; before++) {
            rs_ws_what_t what = RS_WS_MORE;

            rs_ws_begin(&ws, 100);
            at = said[i].bytes;
            while (at < said[i].bytes + before && what != RS_WS_BROKEN && what != RS_WS_CLOSE) {
                what = rs_ws_next(&ws, &at, said[i].bytes + before, &payload, &len);
            }
            end = said[i].bytes + said[i].len;
            closed = at == end ? ws.closed : dropped(&ws, at, (size_t)(end - at), 3);
            good &= closed == said[i].closes && (at == end || !ws.data.data);
            rs_ws_end(&ws);
        }
        ok(good, "%s, wherever that begins, and nothing is kept", said[i].name);
    }
}

/* The number of what is unfinished after these bytes. */
static unsigned begun(rs_ws_t *ws, const char *bytes, size_t len, size_t *kept)
{
    const char *at = bytes, *payload;
    size_t n;

    while (at < bytes + len) {
        rs_ws_next(ws, &at, bytes + len, &payload, &n);
    }
    rs_ws_done(ws);
    return rs_ws_unfinished(ws, kept);
}

static void test_unfinished(void)
{
    char half[206] = "\x81\xfe\x01\x00mask";
    rs_ws_t ws;
    size_t kept;
    unsigned nth;

    rs_ws_begin(&ws, 1000);
    ok(!begun(&ws, "", 0, &kept) && !kept, "nothing has begun");
    ok(!begun(&ws, "\x81\x82maskab\x89\x80mask", 14, &kept) && !kept, "nor when all is complete");
    nth = begun(&ws, "\x81", 1, &kept);
    ok(nth && !kept, "a byte is a beginning");
    is_int(begun(&ws, "\x80mask\x01", 6, &kept) != nth, 1, "the next message is another one");
    nth = begun(&ws, "\x82maskab\x89\x81mask", 13, &kept);
    ok(nth && kept, "something is kept of it");
    is_int(begun(&ws, "x\x8a\x80mask\x00\x80mask", 13, &kept), nth,
           "pings and parts change nothing");
    ok(!begun(&ws, "\x80\x80mask", 6, &kept) && !kept, "until it ends");
    nth = begun(&ws, half, sizeof(half), &kept);
    ok(nth && kept >= sizeof(half) - 8, "half of a frame");
    ok(!rs_ws_drop(&ws, "", 0), "nobody said goodbye");
    rs_ws_unfinished(&ws, &kept);
    is_int(kept, 0, "then nothing is kept any more");
    rs_ws_end(&ws);
}

int main(void)
{
    test_goodbye();
    test_unfinished();
    test_reading();
    test_writing();
    test_position();
    test_subscriptions();
    return done_testing();
}
