/* SPDX-License-Identifier: Apache-2.0
 *
 * What a WebSocket's client may send. The first byte of an input chooses what the rest is: bytes of
 * frames, which must mean the same in pieces of any size, with compression or without; or one
 * message, whose answer must be whole frames with JSON in them.
 */
#include "../../src/base/rs_json.h"
#include "../../src/proto/rs_ws.h"
#include "../../src/wire/rs_ws_message.h"
#include "fuzz.h"

#define MAX 300

void fuzz_setup(apr_pool_t *all) { (void)all; }

static void check(const rs_ws_t *ws, rs_ws_what_t what, const char *payload, size_t len)
{
    if (what == RS_WS_TEXT) {
        require(len <= MAX && rs_utf8_valid(payload, len));
    }
    if (what == RS_WS_PING || what == RS_WS_PONG || what == RS_WS_CLOSE) {
        require(len <= RS_WS_CONTROL_MAX);
    }
    if (what == RS_WS_CLOSE) {
        require(rs_ws_code_valid(ws->code) && len != 1);
    }
    if (what == RS_WS_BROKEN) {
        require(ws->code == RS_WS_PROTOCOL || ws->code == RS_WS_NOT_UTF8
                || ws->code == RS_WS_TOO_BIG || ws->code == RS_WS_UNSUPPORTED);
    }
    /* Of one that is inflated to more, one byte more is known. */
    require(ws->message <= MAX + (what == RS_WS_BROKEN));
    require(ws->data.len <= MAX + RS_WS_CONTROL_MAX);
}

/* Writes down what comes of the bytes, so many at a time, each piece in a block of its own. */
static void hear(rs_buf_t *told, apr_pool_t *p, const char *data, size_t size, size_t step,
                 int deflate)
{
    rs_ws_what_t what = RS_WS_MORE;
    size_t done = 0, used = 0, len, n;
    const char *payload;
    rs_ws_t ws;

    rs_ws_begin(&ws, MAX);
    if (deflate) {
        rs_ws_allow_deflate(&ws);
    }
    while (done < size && what != RS_WS_CLOSE && what != RS_WS_BROKEN) {
        const char *piece, *at;

        n = size - done < step ? size - done : step;
        at = piece = fuzz_text(p, data + done, n);
        while (at < piece + n && what != RS_WS_CLOSE && what != RS_WS_BROKEN) {
            what = rs_ws_next(&ws, &at, piece + n, &payload, &len);
            check(&ws, what, payload, len);
            if (what != RS_WS_MORE) {
                rs_buf_printf(told, "%d %d ", what, ws.code);
            }
            if (what == RS_WS_TEXT || what == RS_WS_PING || what == RS_WS_PONG) {
                rs_buf_add(told, payload, len);
            }
            rs_ws_done(&ws);
            require(ws.open || !ws.in_frame || ws.left);
            require(ws.open || ws.in_frame || !ws.data.data || what == RS_WS_BROKEN);
        }
        used = done + (size_t)(at - piece);
        done += n;
    }
    /* What it says when it was told goodbye, of which nothing may be kept. */
    for (; used < size && !ws.closed; used += n) {
        n = size - used < step ? size - used : step;
        rs_ws_drop(&ws, fuzz_text(p, data + used, n), n);
        require(!ws.data.data);
    }
    rs_buf_printf(told, "%d", ws.closed);
    rs_ws_end(&ws);
}

static void with_frames(apr_pool_t *p, const char *data, size_t size, int deflate)
{
    rs_buf_t whole = RS_BUF_INIT, pieces = RS_BUF_INIT;
    size_t step;

    hear(&whole, p, data, size, size ? size : 1, deflate);
    for (step = 1; step <= 7; step += 3) {
        rs_buf_clear(&pieces);
        hear(&pieces, p, data, size, step, deflate);
        require(whole.len == pieces.len
                && (!whole.len || !memcmp(whole.data, pieces.data, whole.len)));
    }
    rs_buf_free(&whole);
    rs_buf_free(&pieces);
}

static size_t length_of(const unsigned char *head, size_t *len)
{
    *len = head[1] & 0x7f;
    if (*len == 126) {
        *len = (size_t)head[2] << 8 | head[3];
        return 4;
    }
    return 2;
}

static void with_message(apr_pool_t *p, const char *data, size_t size)
{
    rs_asked_t asked = {0};
    rs_subscription_t *wanted;
    rs_buf_t out = RS_BUF_INIT;
    const char *text = fuzz_text(p, data, size);
    rs_asks_t asks = rs_ws_message(&out, text, size, &asked);

    wanted = asked.types;
    require((asks != RS_ASKS_ACK && asks != RS_ASKS_RESUME) || *asked.id);
    require(asks != RS_ASKS_AUTH || (asked.token_len && asked.token_len <= RS_JWT_TOKEN_MAX));
    require(asks != RS_ASKS_END && (asks == RS_ASKS_NOTHING) == (out.len > 0));
    require(asks == RS_ASKS_SUBSCRIBE || !wanted);
    if (wanted) {
        require(wanted->n > 0 && wanted->n <= RS_SUBSCRIPTION_MAX);
        require(rs_subscription_wants(wanted, wanted->text, strcspn(wanted->text, "*")));
        rs_subscription_json(&out, wanted);
        free(wanted);
    }
    else if (out.len) {
        size_t len, head = length_of((const unsigned char *)out.data, &len);
        rs_json_t value, json = {out.data + head, out.data + out.len};

        require((unsigned char)out.data[0] == 0x81 && head + len == out.len);
        require(rs_json_is_good(&value, json, RS_JSON_DEPTH_MAX));
    }
    rs_buf_free(&out);
}

/* Text in two parts is text when the whole is. */
static void with_text(const char *data, size_t size)
{
    size_t cut;

    for (cut = 0; cut <= size && cut < 32; cut++) {
        rs_utf8_t u = {0, 0, 0};
        int good = rs_utf8_feed(&u, data, cut) && rs_utf8_feed(&u, data + cut, size - cut)
                   && rs_utf8_complete(&u);

        require(good == rs_utf8_valid(data, size));
    }
}

void fuzz_one(apr_pool_t *p, const char *data, size_t size)
{
    if (size == 0 || size > 20000) {
        return;
    }
    switch (data[0]) {
    case 'f':
        with_frames(p, data + 1, size - 1, 0);
        break;
    case 'd':
        with_frames(p, data + 1, size - 1, 1);
        break;
    case 'm':
        with_message(p, data + 1, size - 1);
        break;
    case 'u':
        with_text(data + 1, size - 1);
        break;
    default:
        break;
    }
}
