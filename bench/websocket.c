/* SPDX-License-Identifier: Apache-2.0
 *
 * What a client of WebSockets does and one of event streams does not: it asks for another protocol,
 * and walks the frames, since pings want an answer. It takes no frame that a server may not send.
 */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_CONTEXT "server_no_context_takeover"
/* With a context all that a connection was sent would have to be inflated for each. */
#define DEFLATE "permessage-deflate; " NO_CONTEXT "; client_no_context_takeover"

int ws_request(char *out, size_t size, const char *path, const char *authorization)
{
    /* The key and so the answer to it are those of RFC 6455: no server looks for another. */
    return snprintf(out, size,
                    "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s%s\r\n",
                    path, options.deflate ? "Sec-WebSocket-Extensions: " DEFLATE "\r\n" : "",
                    authorization);
}

bool ws_agreed(const char *head, size_t len)
{
    return memmem(head, len, "permessage-deflate", 18) && memmem(head, len, NO_CONTEXT, 26);
}

/* The bytes that this frame's header has, as far as they tell; 2 at first. */
static unsigned head_size(const ws_t *w)
{
    unsigned len = w->head[1];

    return w->head_len < 2 || len < 126 ? 2 : len == 126 ? 4 : 10;
}

/* The header is whole: what it says. */
static bool head_take(ws_t *w)
{
    unsigned i, len = w->head[1], opcode = w->head[0] & 15u;

    w->left = len < 126 ? len : 0;
    for (i = 2; i < w->head_len; i++) {
        w->left = w->left << 8 | w->head[i];
    }
    w->control_len = 0;
    if (opcode < 8) {
        w->message_len = 0;
        w->packed = w->head[0] & 0x40;
        /* Where it would have to be put together nothing comes in fragments from these servers. */
        if (options.deflate ? !opcode || !(w->head[0] & 0x80) : w->packed) {
            return false;
        }
    }
    /* Reserved bits, a mask, a control frame that is too large or not the last of its own. */
    return !(w->head[0] & (opcode < 8 ? 0x30 : 0x70)) && len < 128
           && (opcode < 8 || (w->head[0] & 0x80 && len < 126));
}

static void message_add(ws_t *w, const char *bytes, size_t n)
{
    if (w->message_len + n > w->message_size) {
        w->message_size = w->message_len + n + 1024;
        if (!(w->message = realloc(w->message, w->message_size))) {
            die("out of memory");
        }
    }
    memcpy(w->message + w->message_len, bytes, n);
    w->message_len += n;
}

char *ws_text(ws_t *w, size_t *len)
{
    if (w->packed) {
        return unpack(w->message, w->message_len, len);
    }
    *len = w->message_len;
    return w->message ? w->message : (char *)"";
}

int ws_next(ws_t *w, const char **at, const char *end)
{
    while (w->head_len < head_size(w)) {
        if (*at == end) {
            return WS_MORE;
        }
        w->head[w->head_len++] = (unsigned char)*(*at)++;
        if (w->head_len == head_size(w) && !head_take(w)) {
            return WS_WRONG;
        }
    }
    if (w->left > 0) {
        size_t n = (size_t)(end - *at) < w->left ? (size_t)(end - *at) : (size_t)w->left;

        if (w->head[0] & 8) {
            memcpy(w->control + w->control_len, *at, n);
            w->control_len = (uint8_t)(w->control_len + n);
        }
        else if (options.deflate) {
            message_add(w, *at, n);
        }
        *at += n;
        w->left -= n;
        if (w->left > 0) {
            return WS_MORE;
        }
    }
    w->head_len = 0;
    return w->head[0] & 15;
}

size_t ws_pong(const ws_t *w, char *out)
{
    /* A mask of zeros is one, too. */
    const unsigned char head[6] = {0x80 | WS_PONG, (unsigned char)(0x80 | w->control_len)};

    memcpy(out, head, sizeof(head));
    memcpy(out + sizeof(head), w->control, w->control_len);
    return sizeof(head) + w->control_len;
}
