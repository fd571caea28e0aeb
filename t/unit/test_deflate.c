/* SPDX-License-Identifier: Apache-2.0
 *
 * permessage-deflate: which offers are taken, what comes of compressed messages, within which
 * bounds, and that an event is compressed once for all who read it so.
 */
#include <stdlib.h>

#include "proto/rs_deflate.h"
#include "proto/rs_ws.h"
#include "proto/rs_ws_offer.h"
#include "tap.h"
#include "wire/rs_frames.h"

#define D "permessage-deflate"
#define YES D "; server_no_context_takeover; client_no_context_takeover"
#define WINDOW YES "; server_max_window_bits=15"

static const struct {
    const char *offers, *answer;
} offers[] = {
    {D, YES},
    {" " D " ", YES},
    {D "; client_max_window_bits", YES},
    {D "; client_max_window_bits=15", YES},
    {D "; client_max_window_bits=8", YES},
    {D ";client_max_window_bits=\"10\"", YES},
    {D " ;\tserver_no_context_takeover ; client_no_context_takeover", YES},
    {D "; server_max_window_bits=15", WINDOW},
    {D "; server_max_window_bits=\"15\"; client_max_window_bits", WINDOW},
    /* in order of preference */
    {"x-webkit-deflate-frame, " D, YES},
    {"other; a=\", " D "\", " D "; client_max_window_bits", YES},
    {"other; a=\"\\\", " D "; b=\"", NULL},
    {D "; server_max_window_bits=10, " D, YES},
    {D "; server_max_window_bits=15, " D, WINDOW},
    {D "; what_is_this, " D "; client_max_window_bits=9, " D "; server_max_window_bits=15", YES},
    {", ," D, YES},
    /* declined */
    {"", NULL},
    {",", NULL},
    {"other", NULL},
    {D "-more", NULL},
    {"Permessage-Deflate", NULL},
    {D " x", NULL},
    {D "=1", NULL},
    {D ";", NULL},
    {D "; ; client_max_window_bits", NULL},
    {D "; client_max_window_bits;", NULL},
    {D "; what_is_this", NULL},
    {D "; what_is_this=1", NULL},
    {D "; server_no_context_takeover=1", NULL},
    {D "; server_no_context_takeover=", NULL},
    {D "; client_no_context_takeover=\"\"", NULL},
    {D "; server_no_context_takeover; server_no_context_takeover", NULL},
    {D "; client_max_window_bits=10; client_max_window_bits", NULL},
    {D "; server_max_window_bits=15; server_max_window_bits=15", NULL},
    {D "; server_max_window_bits", NULL},
    {D "; server_max_window_bits=14", NULL},
    {D "; server_max_window_bits=8", NULL},
    {D "; server_max_window_bits=16", NULL},
    {D "; client_max_window_bits=7", NULL},
    {D "; client_max_window_bits=16", NULL},
    {D "; client_max_window_bits=0", NULL},
    {D "; client_max_window_bits=010", NULL},
    {D "; client_max_window_bits=08", NULL},
    {D "; client_max_window_bits=100", NULL},
    {D "; client_max_window_bits=-9", NULL},
    {D "; client_max_window_bits=9x", NULL},
    {D "; client_max_window_bits=1 0", NULL},
    {D "; client_max_window_bits=", NULL},
    {D "; client_max_window_bits=\"10", NULL},
    {D "; client_max_window_bits=10\"", NULL},
    {D "; client_max_window_bits=\"\"", NULL},
    {D "; Client_max_window_bits", NULL},
};

static void test_offers(void)
{
    size_t i;

    for (i = 0; i < RS_ARRAY_LEN(offers); i++) {
        is_str(rs_ws_offer_answer(offers[i].offers), offers[i].answer, offers[i].offers);
    }
}

/* --- messages --- */

static const char *words[] = {[RS_INFLATED] = "good",
                              [RS_INFLATE_BROKEN] = "broken",
                              [RS_INFLATE_TOO_BIG] = "too big",
                              [RS_INFLATE_NO_MEMORY] = "no memory"};

static const char *inflated(const char *data, size_t len, size_t max)
{
    static rs_buf_t b;
    rs_inflated_t what;

    rs_buf_free(&b);
    what = rs_inflate(&b, data, len, max);
    if (what != RS_INFLATED) {
        return words[what];
    }
    rs_buf_add(&b, "", 1);
    return b.data;
}

/* Those of RFC 7692, 7.2.3, and what is not whole. */
static void test_messages(void)
{
    static const char hello[] = "\xf2\x48\xcd\xc9\xc9\x07\x00";
    static const char stored[] = "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00";
    static const char last[] = "\xf3\x48\xcd\xc9\xc9\x07\x00\x00";
    static const char blocks[] = "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00";

    is_str(inflated(hello, 7, 5), "Hello", "a message, as large as may be");
    is_str(inflated(hello, 7, 4), "too big", "larger");
    is_str(inflated(stored, 11, 100), "Hello", "one that is stored");
    is_str(inflated(last, 8, 100), "Hello", "a block that calls itself the last");
    is_str(inflated(blocks, 13, 100), "Hello", "two blocks");
    is_str(inflated("\0", 1, 100), "", "nothing");
    is_str(inflated("\0", 1, 0), "", "nothing, where nothing may be");
    is_str(inflated(hello, 3, 100), "broken", "the end is missing");
    is_str(inflated("", 0, 100), "broken", "no bytes at all are no message");
    is_str(inflated(stored, 9, 100), "broken", "the end of what is stored");
    is_str(inflated(last, 6, 100), "broken", "nothing behind the last block");
    is_str(inflated("\x07\xff\xff", 3, 100), "broken", "a block of no kind");
    is_str(inflated("Hello", 5, 100), "broken", "what was never compressed");
    is_str(inflated("\x4b\x04\x11\x00", 4, 100), "broken", "from before its beginning");
}

static char *text_of(size_t len)
{
    char *text = malloc(len);
    size_t i;

    for (i = 0; i < len; i++) {
        text[i] = "{\"order\":7},"[(i * 7 + i / 100) % 12];
    }
    return text;
}

/* Every size around where windows and tables grow. */
static void test_both_ways(void)
{
    static const size_t sizes[] = {64, 250, 251, 512, 762, 763, 4095, 4096, 4097, 32768, 300000};
    rs_buf_t small = RS_BUF_INIT, same = RS_BUF_INIT;
    size_t i;
    int good = 1;

    for (i = 0; i < RS_ARRAY_LEN(sizes); i++) {
        char *text = text_of(sizes[i]);

        rs_buf_clear(&small);
        rs_buf_free(&same);
        good &= rs_deflate(&small, text, sizes[i]) && small.len < sizes[i]
                && rs_inflate(&same, small.data, small.len, sizes[i]) == RS_INFLATED
                && same.len == sizes[i] && !memcmp(same.data, text, same.len);
        free(text);
    }
    ok(good, "what was compressed is the same again");
    rs_buf_clear(&small);
    rs_buf_puts(&small, "before");
    ok(!rs_deflate(&small, "q8Zk", 4) && !rs_deflate(&small, "", 0) && small.len == 6
           && rs_buf_ok(&small),
       "what would not be smaller is left as it is");
    rs_buf_free(&small);
    rs_buf_free(&same);
}

static void test_bomb(void)
{
    size_t len = (size_t)8 * 1024 * 1024;
    char *zeros = calloc(1, len);
    rs_buf_t bomb = RS_BUF_INIT, b = RS_BUF_INIT;

    ok(rs_deflate(&bomb, zeros, len) && bomb.len < 65536, "8 MB in few bytes");
    is_int(rs_inflate(&b, bomb.data, bomb.len, 65536), RS_INFLATE_TOO_BIG, "are too many");
    ok(b.size <= 2 * 65536 + 2, "%d bytes were spent on it", (int)b.size);
    free(zeros);
    rs_buf_free(&bomb);
    rs_buf_free(&b);
}

/* --- frames --- */

static void frame(rs_buf_t *b, int first, const char *payload, size_t len)
{
    unsigned char head[2] = {(unsigned char)first, (unsigned char)(0x80 | len)};

    rs_buf_add(b, (const char *)head, 2);
    rs_buf_add(b, "\0\0\0\0", 4);
    rs_buf_add(b, payload, len);
}

/* What comes of it, so many bytes at a time. */
static const char *heard(const rs_buf_t *b, size_t step, size_t max, int deflate)
{
    static rs_buf_t out;
    const char *at = b->data, *end = b->data + b->len, *payload;
    rs_ws_what_t what = RS_WS_MORE;
    size_t len;
    rs_ws_t ws;

    rs_buf_clear(&out);
    rs_ws_begin(&ws, max);
    if (deflate) {
        rs_ws_allow_deflate(&ws);
    }
    while (at < end && what != RS_WS_BROKEN) {
        const char *stop = (size_t)(end - at) < step ? end : at + step;

        what = rs_ws_next(&ws, &at, stop, &payload, &len);
        if (what == RS_WS_BROKEN) {
            rs_buf_printf(&out, "%d", ws.code);
        }
        else if (what != RS_WS_MORE) {
            rs_buf_puts(&out, what == RS_WS_TEXT ? "text:" : "ping:");
            rs_buf_add(&out, payload, len);
            rs_buf_puts(&out, " ");
        }
    }
    rs_ws_done(&ws);
    rs_buf_puts(&out, ws.data.data && !ws.open && what != RS_WS_BROKEN ? "(memory kept)" : "");
    rs_ws_end(&ws);
    rs_buf_add(&out, "", 1);
    return out.data;
}

static void is_heard(rs_buf_t *b, size_t max, const char *want, const char *name)
{
    ok(!strcmp(heard(b, b->len, max, 1), want) && !strcmp(heard(b, 1, max, 1), want), "%s", name);
    rs_buf_clear(b);
}

static void test_reading(void)
{
    static const char hello[] = "\xf2\x48\xcd\xc9\xc9\x07\x00";
    rs_buf_t b = RS_BUF_INIT;

    frame(&b, 0xC1, hello, 7);
    is_str(heard(&b, b.len, 100, 0), "1002", "what nobody agreed on");
    frame(&b, 0x81, "plain", 5);
    frame(&b, 0xC1, hello, 7);
    is_heard(&b, 100, "text:Hello text:plain text:Hello ", "compressed, plain, and again");
    frame(&b, 0x41, hello, 3);
    frame(&b, 0x89, "p", 1);
    frame(&b, 0x00, hello + 3, 2);
    frame(&b, 0x80, hello + 5, 2);
    frame(&b, 0x01, "pla", 3);
    frame(&b, 0x80, "in", 2);
    is_heard(&b, 100, "ping:p text:Hello text:plain ", "fragments, and what is between");
    frame(&b, 0x41, "", 0);
    frame(&b, 0x80, hello, 7);
    is_heard(&b, 100, "text:Hello ", "a first fragment of no bytes");
    frame(&b, 0x01, "x", 1);
    frame(&b, 0xC0, hello, 7);
    is_heard(&b, 100, "1002", "the bit in a fragment that is not the first");
    frame(&b, 0xC9, "", 0);
    is_heard(&b, 100, "1002", "of a ping");
    frame(&b, 0xA1, hello, 7);
    is_heard(&b, 100, "1002", "another bit");
    frame(&b, 0xC2, hello, 7);
    is_heard(&b, 100, "1003", "no text");
    frame(&b, 0xC1, "\xff\xff\xff", 3);
    is_heard(&b, 100, "1007", "no message");
    frame(&b, 0xC1, "\xfa\x0f\x00", 3);
    is_heard(&b, 100, "1007", "what is in it is not UTF-8");
    frame(&b, 0xC1, hello, 7);
    is_heard(&b, 7, "text:Hello ", "as large as may be");
    frame(&b, 0xC1, "\x4a\x84\x03\x00", 4);
    is_heard(&b, 6, "1009", "seven bytes in four");
    rs_buf_free(&b);
}

/* Bytes of one kind, which get smaller than anything that is said. */
static void test_ratio(void)
{
    rs_buf_t b = RS_BUF_INIT, small = RS_BUF_INIT;
    char text[10000];

    memset(text, 'x', sizeof(text));
    rs_deflate(&small, text, 1024);
    frame(&b, 0xC1, small.data, small.len);
    ok(!strncmp(heard(&b, b.len, 100000, 1), "text:xx", 7), "1 KB in %d bytes", (int)small.len);
    rs_buf_clear(&b);
    rs_buf_clear(&small);
    rs_deflate(&small, text, sizeof(text));
    frame(&b, 0xC1, small.data, small.len);
    is_heard(&b, 100000, "1009", "much in few bytes, though it would not be too much");
    rs_buf_free(&b);
    rs_buf_free(&small);
}

static rs_event_t *event_of(const char *data, size_t len)
{
    rs_entry_t entry = {.type = {"t", 1}, .data = {data, len}, .user = {"", 0}};
    rs_cursor_t cursor = {.n = 1};
    rs_buf_t scratch = RS_BUF_INIT;
    rs_event_t *event;

    cursor.pos[0] = (rs_id_t){5, 0};
    event = rs_frames_event(&scratch, &entry, 0, cursor.pos[0], &cursor);
    rs_buf_free(&scratch);
    return event;
}

static int is_packed(rs_text_t frame_of)
{
    return frame_of.data && (unsigned char)frame_of.data[0] == 0xC1;
}

/* Who shares what. */
static void test_events(void)
{
    const rs_wire_t *all = rs_wire_deflated(&rs_wire_websocket, 100),
                    *plain = rs_wire_deflated(&rs_wire_websocket_plain, 100),
                    *orders = rs_wire_deflated(&rs_wire_websocket_orders, 100),
                    *large = rs_wire_deflated(&rs_wire_websocket, 1000);
    char *text = text_of(500);
    rs_event_t *event = event_of(text, 500), *small = event_of(text, 99), *own;
    rs_cursor_t cursor = {.n = 1};
    rs_buf_t json = RS_BUF_INIT;
    rs_text_t a, b;
    size_t head;

    ok(all == rs_wire_deflated(&rs_wire_websocket, 100) && all != large, "a wire for each size");
    a = rs_frames_get(all, event, NULL);
    b = rs_frames_get(plain, event, NULL);
    ok(is_packed(a) && a.data == b.data && rs_frames_get(all, event, NULL).data == a.data,
       "an event is compressed once");
    b = rs_frames_get(orders, event, NULL);
    ok(is_packed(b) && b.data != a.data, "once for each dialect");
    b = rs_frames_get(&rs_wire_websocket, event, NULL);
    ok(!is_packed(b) && rs_frames_get(large, event, NULL).data == b.data && b.len > 2 * a.len,
       "who agreed on nothing, or on larger ones, has it as it is");
    head = (a.data[1] & 0x7f) == 126 ? 4 : 2;
    ok(rs_inflate(&json, a.data + head, a.len - head, 2000) == RS_INFLATED && json.len + 4 == b.len
           && !memcmp(json.data, b.data + 4, 100),
       "it is the same");
    b = rs_frames_get(all, small, NULL);
    ok(b.data && !is_packed(b) && b.data == rs_frames_get(&rs_wire_websocket, small, NULL).data,
       "a small one is not compressed");
    cursor.pos[0] = (rs_id_t){7, 7};
    own = rs_frames_with_id(all, event, &cursor);
    b = rs_frames_get(all, own, NULL);
    ok(b.data && !is_packed(b) && (unsigned char)b.data[0] == 0x81, "nor one for a single reader");
    rs_event_drop(event);
    rs_event_drop(small);
    rs_event_drop(own);
    rs_buf_free(&json);
    free(text);
}

static int tried;

static int never_smaller(rs_buf_t *b, const char *data, size_t len)
{
    (void)b, (void)data, (void)len;
    tried++;
    return 0;
}

static void test_nothing_to_gain(void)
{
    rs_wire_t wire = *rs_wire_deflated(&rs_wire_websocket, 1);
    rs_event_t *event = event_of("7", 1);
    rs_text_t a, b;

    wire.pack = never_smaller;
    a = rs_frames_get(&wire, event, NULL);
    b = rs_frames_get(&rs_wire_websocket, event, NULL);
    ok(a.data && a.data == b.data && rs_frames_get(&wire, event, NULL).data == a.data && tried == 1,
       "what does not get smaller stays as it is, and is tried once");
    rs_event_drop(event);
}

static void test_many_sizes(void)
{
    int i;

    for (i = 2000; i < 2100 && rs_wire_deflated(&rs_wire_websocket, (size_t)i); i++) {
    }
    ok(i > 2030 && i < 2100, "of too many sizes some are not compressed");
    ok(rs_wire_deflated(&rs_wire_websocket, 2000) != NULL, "those that are there stay");
}

int main(void)
{
    if (!rs_deflate_is_there()) {
        puts("1..0 # SKIP built without zlib");
        return 0;
    }
    test_offers();
    test_messages();
    test_both_ways();
    test_bomb();
    test_reading();
    test_ratio();
    test_events();
    test_nothing_to_gain();
    test_many_sizes();
    return done_testing();
}
