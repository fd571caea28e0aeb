/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSocket frames (RFC 6455) of one connection, as a server reads and writes them: bytes in pieces
 * of any size become whole messages, control frames between the fragments of one come out by
 * themselves, and what breaks the protocol ends in a close code. Text is checked to be UTF-8 as it
 * comes, or when it has been inflated (RFC 7692). Nothing here knows sockets, threads, or what
 * messages mean. Between messages a connection has no memory but this structure.
 */
#ifndef RS_WS_H
#define RS_WS_H

#include "../base/rs_buf.h"
#include "../base/rs_utf8.h"

/* Status codes (RFC 6455, 7.4.1, and IANA's list). */
enum {
    RS_WS_NORMAL = 1000,
    RS_WS_GOING_AWAY = 1001,
    RS_WS_PROTOCOL = 1002,
    RS_WS_UNSUPPORTED = 1003,
    RS_WS_NOT_UTF8 = 1007,
    RS_WS_POLICY = 1008,
    RS_WS_TOO_BIG = 1009,
    RS_WS_INTERNAL = 1011,
    RS_WS_COME_BACK = 1012,
    RS_WS_TRY_LATER = 1013,
    RS_WS_CLOSED = 4000 /* by an administrator */
};

/* Opcodes of what is written. */
enum { RS_WS_OP_TEXT = 1, RS_WS_OP_CLOSE = 8, RS_WS_OP_PING = 9, RS_WS_OP_PONG = 10 };

/* With an opcode: the payload is compressed. */
#define RS_WS_DEFLATED 0x40

/* What a control frame may carry. */
#define RS_WS_CONTROL_MAX 125

typedef enum {
    RS_WS_MORE, /* all bytes are taken, and nothing is complete */
    RS_WS_TEXT, /* a message */
    RS_WS_PING, /* to be answered with the same payload */
    RS_WS_PONG,
    RS_WS_CLOSE, /* by the peer; `code` is what to answer */
    RS_WS_BROKEN /* to be closed with `code`: nothing that follows means anything */
} rs_ws_what_t;

typedef struct {
    rs_buf_t data;     /* the message so far, and behind it the control frame between */
    size_t message;    /* bytes of it that are the message's */
    size_t max;        /* of a message, as it is sent and as it is inflated */
    apr_uint64_t left; /* bytes of the frame's payload that are still to come */
    rs_utf8_t utf8;    /* where in a character the message's text is */
    unsigned char head[14];
    unsigned char head_len;     /* bytes of the header that are here */
    unsigned char masked;       /* which byte of the mask is next */
    unsigned char in_frame : 1; /* the header is complete */
    unsigned char open : 1;     /* a message has begun, and its last fragment was not here */
    unsigned char given : 1;    /* what was told of last is still in `data` */
    unsigned char may_deflate : 1;
    unsigned char deflated : 1; /* the message that has begun is */
    unsigned char closed : 1;   /* the peer has said goodbye */
    unsigned short code;
    unsigned nth; /* of the messages, and what came outside of one */
} rs_ws_t;

void rs_ws_begin(rs_ws_t *ws, size_t max);
void rs_ws_end(rs_ws_t *ws);

/* The peer may compress its messages, each by itself. */
void rs_ws_allow_deflate(rs_ws_t *ws);

/* Takes bytes from *at up to `end`, or up to the next thing to be told of: its payload is valid
 * until the next call, or until rs_ws_done(). After RS_WS_CLOSE and RS_WS_BROKEN it is not called
 * again. */
rs_ws_what_t rs_ws_next(rs_ws_t *ws, const char **at, const char *end, const char **payload,
                        size_t *len);

/* The number of what has begun and is not complete, and how much is kept of it; 0: none. */
unsigned rs_ws_unfinished(const rs_ws_t *ws, size_t *kept);

/* Instead, once a Close frame was sent: nothing is kept, or told of, or broken. Returns whether the
 * peer has sent its own. */
int rs_ws_drop(rs_ws_t *ws, const char *bytes, size_t len);

/* What was told of has been seen to: keeps no memory that is not needed. */
void rs_ws_done(rs_ws_t *ws);

/* Whether a peer may close with this code. */
int rs_ws_code_valid(unsigned code);

/* --- what a server sends: not masked --- */

/* A frame is what is appended to b between these two, which shift it to where it belongs: returns
 * how far a place in it, counted from `start`, has moved. */
size_t rs_ws_open(rs_buf_t *b);
size_t rs_ws_finish(rs_buf_t *b, size_t start, int opcode);

/* A whole frame. */
void rs_ws_frame(rs_buf_t *b, int opcode, const char *payload, size_t len);

/* Appends the same whole frame with its payload compressed. 0: that would not be smaller, or memory
 * is short, which b knows. */
int rs_ws_deflate(rs_buf_t *b, const char *frame, size_t len);

/* Gives the one frame that b is a header for the length that it has now. */
void rs_ws_reframe(rs_buf_t *b);

/* The reason is cut where it would be too long. */
void rs_ws_close(rs_buf_t *b, unsigned code, const char *reason);

#endif
