/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSocket frames. The streamer's thread (or a worker, for what is written before there is one).
 */
#include "rs_deflate.h"
#include "rs_ws.h"

#define FIN 0x80
#define RESERVED 0x70
#define OPCODE 0x0F
#define MASKED 0x80
#define LEN 0x7F

enum { CONTINUED = 0, BINARY = 2 };

/* How much a message may become when it is inflated: so much, and so many times what it was. What
 * has something to say never gets that small, and who sends little that becomes much would have a
 * streamer work for nobody else. */
#define INFLATE_FREE 1024
#define INFLATE_TIMES 50

#define MASK_LEN 4
#define CONTROL(opcode) ((opcode)&8)

/* A payload of more than so many bytes has its length in 2 more, or in 8. */
#define LEN_SHORT 125
#define LEN_TWO 126
#define LEN_EIGHT 127

void rs_ws_begin(rs_ws_t *ws, size_t max)
{
    memset(ws, 0, sizeof(*ws));
    ws->max = max;
}

void rs_ws_allow_deflate(rs_ws_t *ws) { ws->may_deflate = 1; }

void rs_ws_end(rs_ws_t *ws) { rs_buf_free(&ws->data); }

void rs_ws_done(rs_ws_t *ws)
{
    if (!ws->given) {
        return;
    }
    ws->given = 0;
    ws->data.len = ws->message;
    if (!ws->open) {
        rs_buf_free(&ws->data);
    }
}

static rs_ws_what_t broken(rs_ws_t *ws, unsigned code)
{
    ws->code = (unsigned short)code;
    return RS_WS_BROKEN;
}

/* How many bytes the header has; 2 before its second one is here. */
static size_t head_size(const rs_ws_t *ws)
{
    size_t more = 0;

    if (ws->head_len >= 2) {
        more = (ws->head[1] & LEN) == LEN_TWO ? 2 : (ws->head[1] & LEN) == LEN_EIGHT ? 8 : 0;
        more += ws->head[1] & MASKED ? MASK_LEN : 0;
    }
    return 2 + more;
}

/* What its first two bytes say, which is enough to refuse it. 0: it is good. */
static unsigned check_start(const rs_ws_t *ws)
{
    int opcode = ws->head[0] & OPCODE, fin = ws->head[0] & FIN, reserved = ws->head[0] & RESERVED;

    /* Of a message, its first frame says that it is compressed. */
    if (ws->may_deflate && !CONTROL(opcode) && opcode != CONTINUED) {
        reserved &= ~RS_WS_DEFLATED;
    }
    if (reserved || !(ws->head[1] & MASKED)) {
        return RS_WS_PROTOCOL;
    }
    if (CONTROL(opcode)) {
        return opcode > RS_WS_OP_PONG || !fin || (ws->head[1] & LEN) > LEN_SHORT ? RS_WS_PROTOCOL
                                                                                 : 0;
    }
    if (opcode > BINARY || (opcode == CONTINUED) != (ws->open != 0)) {
        return RS_WS_PROTOCOL;
    }
    return opcode == BINARY ? RS_WS_UNSUPPORTED : 0;
}

/* What the header says, which has n bytes before its mask. */
static apr_uint64_t payload_len(const rs_ws_t *ws, size_t n)
{
    apr_uint64_t len = 0;
    size_t i;

    for (i = 2; i < n; i++) {
        len = len << 8 | ws->head[i];
    }
    return n == 2 ? (apr_uint64_t)(ws->head[1] & LEN) : len;
}

/* The header is complete. 0: it is good. */
static unsigned begin_frame(rs_ws_t *ws)
{
    size_t n = head_size(ws) - MASK_LEN;
    apr_uint64_t len = payload_len(ws, n);

    if (n > 2 && (len <= (n == 4 ? LEN_SHORT : 0xFFFF) || len >> 63)) {
        return RS_WS_PROTOCOL;
    }
    if (!CONTROL(ws->head[0])) {
        if (len > ws->max || ws->message > ws->max - (size_t)len) {
            return RS_WS_TOO_BIG;
        }
        if (!ws->open) {
            ws->deflated = (ws->head[0] & RS_WS_DEFLATED) != 0;
        }
        ws->open = 1;
    }
    ws->left = len;
    ws->masked = 0;
    ws->in_frame = 1;
    return 0;
}

/* Takes of the header what is here. */
static unsigned take_head(rs_ws_t *ws, const char **at, const char *end)
{
    unsigned code;

    while (*at < end && ws->head_len < head_size(ws)) {
        ws->head[ws->head_len++] = (unsigned char)*(*at)++;
        if (ws->head_len == 2 && (code = check_start(ws))) {
            return code;
        }
    }
    return ws->head_len >= 2 && ws->head_len == head_size(ws) ? begin_frame(ws) : 0;
}

/* Takes of the payload what is here. */
static unsigned take_payload(rs_ws_t *ws, const char **at, const char *end)
{
    const unsigned char *mask = ws->head + head_size(ws) - MASK_LEN;
    size_t n = (size_t)(end - *at), i;
    char *to;

    n = ws->left < n ? (size_t)ws->left : n;
    to = rs_buf_room(&ws->data, n);
    if (!to) {
        return RS_WS_INTERNAL;
    }
    for (i = 0; i < n; i++) {
        to[i] = (char)((unsigned char)(*at)[i] ^ mask[ws->masked]);
        ws->masked = (ws->masked + 1) % MASK_LEN;
    }
    *at += n;
    ws->left -= n;
    ws->data.len += n;
    if (!CONTROL(ws->head[0])) {
        ws->message += n;
        if (!ws->deflated && !rs_utf8_feed(&ws->utf8, to, n)) {
            return RS_WS_NOT_UTF8;
        }
    }
    return 0;
}

int rs_ws_code_valid(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014)
           || (code >= 3000 && code <= 4999);
}

static rs_ws_what_t take_close(rs_ws_t *ws, const char *payload, size_t len)
{
    unsigned code = RS_WS_NORMAL;

    if (len == 1) {
        return broken(ws, RS_WS_PROTOCOL);
    }
    if (len) {
        code = (unsigned)((unsigned char)payload[0] << 8 | (unsigned char)payload[1]);
        if (!rs_ws_code_valid(code)) {
            return broken(ws, RS_WS_PROTOCOL);
        }
        if (!rs_utf8_valid(payload + 2, len - 2)) {
            return broken(ws, RS_WS_NOT_UTF8);
        }
    }
    ws->code = (unsigned short)code;
    return RS_WS_CLOSE;
}

/* The message is what its bytes were compressed from. 0: it is good. */
static unsigned inflate_message(rs_ws_t *ws)
{
    static const unsigned codes[] = {[RS_INFLATED] = 0,
                                     [RS_INFLATE_BROKEN] = RS_WS_NOT_UTF8,
                                     [RS_INFLATE_TOO_BIG] = RS_WS_TOO_BIG,
                                     [RS_INFLATE_NO_MEMORY] = RS_WS_INTERNAL};
    rs_buf_t text = RS_BUF_INIT;
    size_t most = INFLATE_FREE + INFLATE_TIMES * ws->message;
    rs_inflated_t what =
        rs_inflate(&text, ws->data.data, ws->message, most < ws->max ? most : ws->max);

    rs_buf_free(&ws->data);
    ws->data = text;
    ws->message = text.len;
    return what == RS_INFLATED && !rs_utf8_feed(&ws->utf8, text.data, text.len) ? RS_WS_NOT_UTF8
                                                                                : codes[what];
}

/* The frame is complete. */
static rs_ws_what_t finish_frame(rs_ws_t *ws, const char **payload, size_t *len)
{
    int opcode = ws->head[0] & OPCODE, fin = ws->head[0] & FIN;
    unsigned code;

    ws->in_frame = 0;
    ws->head_len = 0;
    ws->closed = opcode == RS_WS_OP_CLOSE;
    if (!ws->open || (fin && !CONTROL(opcode))) {
        ws->nth++;
    }
    if (CONTROL(opcode)) {
        ws->given = 1;
        *len = ws->data.len - ws->message;
        *payload = *len ? ws->data.data + ws->message : "";
        return opcode == RS_WS_OP_PING   ? RS_WS_PING
               : opcode == RS_WS_OP_PONG ? RS_WS_PONG
                                         : take_close(ws, *payload, *len);
    }
    if (!fin) {
        return RS_WS_MORE;
    }
    if (ws->deflated && (code = inflate_message(ws))) {
        return broken(ws, code);
    }
    if (!rs_utf8_complete(&ws->utf8)) {
        return broken(ws, RS_WS_NOT_UTF8);
    }
    *len = ws->message;
    *payload = *len ? ws->data.data : "";
    ws->given = 1;
    ws->open = 0;
    ws->message = 0;
    return RS_WS_TEXT;
}

rs_ws_what_t rs_ws_next(rs_ws_t *ws, const char **at, const char *end, const char **payload,
                        size_t *len)
{
    rs_ws_what_t what = RS_WS_MORE;
    unsigned code;

    rs_ws_done(ws);
    while (what == RS_WS_MORE && *at < end) {
        code = ws->in_frame ? take_payload(ws, at, end) : take_head(ws, at, end);
        if (code) {
            return broken(ws, code);
        }
        if (ws->in_frame && !ws->left) {
            what = finish_frame(ws, payload, len);
        }
    }
    return what;
}

unsigned rs_ws_unfinished(const rs_ws_t *ws, size_t *kept)
{
    *kept = ws->data.size;
    return ws->open || ws->head_len ? ws->nth + 1 : 0;
}

int rs_ws_drop(rs_ws_t *ws, const char *bytes, size_t len)
{
    const char *end = bytes + len;
    apr_uint64_t n;

    rs_buf_free(&ws->data);
    while (!ws->closed) {
        while (!ws->in_frame && bytes < end && ws->head_len < head_size(ws)) {
            ws->head[ws->head_len++] = (unsigned char)*bytes++;
        }
        if (!ws->in_frame) {
            if (ws->head_len < head_size(ws)) {
                break;
            }
            ws->left = payload_len(ws, head_size(ws) - (ws->head[1] & MASKED ? MASK_LEN : 0));
            ws->in_frame = 1;
        }
        n = (apr_uint64_t)(end - bytes) < ws->left ? (apr_uint64_t)(end - bytes) : ws->left;
        bytes += n;
        ws->left -= n;
        if (ws->left) {
            break;
        }
        ws->closed = (ws->head[0] & OPCODE) == RS_WS_OP_CLOSE;
        ws->in_frame = 0;
        ws->head_len = 0;
    }
    return ws->closed;
}

/* --- what is sent --- */

/* The longest header that is not masked. */
#define HEAD 10

size_t rs_ws_open(rs_buf_t *b)
{
    size_t start = b->len;

    if (rs_buf_room(b, HEAD)) {
        b->len += HEAD;
    }
    return start;
}

static size_t put_head(unsigned char *head, int opcode, size_t len)
{
    size_t more = len <= LEN_SHORT ? 0 : len <= 0xFFFF ? 2 : 8, i;

    head[0] = (unsigned char)(FIN | opcode);
    head[1] = (unsigned char)(more == 0 ? len : more == 2 ? LEN_TWO : LEN_EIGHT);
    for (i = 0; i < more; i++) {
        head[2 + i] = (unsigned char)((apr_uint64_t)len >> 8 * (more - 1 - i));
    }
    return 2 + more;
}

size_t rs_ws_finish(rs_buf_t *b, size_t start, int opcode)
{
    unsigned char head[HEAD];
    size_t len, head_len;

    if (!rs_buf_ok(b)) {
        return 0;
    }
    len = b->len - start - HEAD;
    head_len = put_head(head, opcode, len);
    memmove(b->data + start + head_len, b->data + start + HEAD, len);
    memcpy(b->data + start, head, head_len);
    b->len = start + head_len + len;
    return HEAD - head_len;
}

void rs_ws_frame(rs_buf_t *b, int opcode, const char *payload, size_t len)
{
    unsigned char head[HEAD];

    rs_buf_add(b, (const char *)head, put_head(head, opcode, len));
    rs_buf_add(b, payload, len);
}

/* How long the header of a frame is that is not masked. */
static size_t head_of(const char *frame)
{
    int len = (unsigned char)frame[1] & LEN;

    return len == LEN_TWO ? 4 : len == LEN_EIGHT ? HEAD : 2;
}

int rs_ws_deflate(rs_buf_t *b, const char *frame, size_t len)
{
    size_t start = rs_ws_open(b), head = head_of(frame);

    if (!rs_buf_ok(b)) {
        return 0;
    }
    if (!rs_deflate(b, frame + head, len - head)) {
        b->len = start;
        return 0;
    }
    rs_ws_finish(b, start, ((unsigned char)frame[0] & OPCODE) | RS_WS_DEFLATED);
    return 1;
}

void rs_ws_reframe(rs_buf_t *b)
{
    unsigned char head[HEAD];
    size_t old = head_of(b->data), payload = b->len - old, now;

    now = put_head(head, (unsigned char)b->data[0] & OPCODE, payload);
    if (now > old && !rs_buf_room(b, now - old)) {
        return;
    }
    memmove(b->data + now, b->data + old, payload);
    memcpy(b->data, head, now);
    b->len = now + payload;
}

void rs_ws_close(rs_buf_t *b, unsigned code, const char *reason)
{
    char payload[RS_WS_CONTROL_MAX];
    size_t len = strlen(reason);

    len = len < sizeof(payload) - 2 ? len : sizeof(payload) - 2;
    payload[0] = (char)(code >> 8);
    payload[1] = (char)(code & 0xFF);
    memcpy(payload + 2, reason, len);
    rs_ws_frame(b, RS_WS_OP_CLOSE, payload, len + 2);
}
