/* SPDX-License-Identifier: Apache-2.0
 *
 * How a client is spoken to: a constant table of functions that append bytes to a buffer. What is
 * said, when and to whom is the streamers'. To add a wire: its file here, and its line in
 * rs_wires.c. Any thread.
 */
#ifndef RS_WIRE_H
#define RS_WIRE_H

#include "../auth/rs_jwt.h"
#include "../log/rs_entry.h"
#include "../log/rs_event.h"
#include "../log/rs_subscription.h"
#include "../proto/rs_sse.h"

/* The first one's frame is made with the event, and holds it. A request chooses among the first
 * RS_WIRES_CHOSEN by what it accepts; the others have a handler of their own, and are its dialects.
 * Behind them are the indices of frames that are compressed.
 */
enum {
    RS_WIRE_SSE,
    RS_WIRE_NDJSON,
    RS_WIRE_POLL,
    RS_WIRES_CHOSEN,
    RS_WIRE_WEBSOCKET = RS_WIRES_CHOSEN,
    RS_WIRE_WEBSOCKET_PLAIN,
    RS_WIRE_WEBSOCKET_ORDERS,
    RS_WIRES
};

/* What a peer that may speak asks for. */
typedef enum {
    RS_ASKS_NOTHING,   /* more, or nothing that was not answered at once */
    RS_ASKS_SUBSCRIBE, /* from now on for what it wants, and nothing else */
    RS_ASKS_RESUME,    /* what comes after an id, once more or not */
    RS_ASKS_ACK,       /* that an event be called its own: it has it */
    RS_ASKS_AUTH,      /* to be let stay for as long as this token is good */
    RS_ASKS_STATS,     /* how many its tenant has */
    RS_ASKS_END        /* what was appended is the last that it is told: a goodbye */
} rs_asks_t;

/* Of what. */
typedef struct {
    rs_subscription_t *types;     /* SUBSCRIBE: the caller's; NULL is everything */
    char id[RS_CURSOR_LEN];       /* ACK, RESUME */
    char token[RS_JWT_TOKEN_MAX]; /* AUTH */
    size_t token_len;
} rs_asked_t;

/* How a peer is understood. */
typedef struct {
    size_t size; /* of what is known of each */
    void (*begin)(void *state, size_t max);
    void (*end)(void *state);
    /* Takes bytes from *at on until there is a message, or all of them. What is answered at once is
     * appended to `out`. */
    rs_asks_t (*hear)(void *state, const char **at, const char *end, rs_buf_t *out,
                      rs_asked_t *asked);
    /* The number of what it has begun to say and not finished, and how many bytes are kept of that;
     * 0: there is nothing. */
    unsigned (*unfinished)(const void *state, size_t *kept);
    /* It was told goodbye, which is what error() ends with, and is to say that, too. Takes what it
     * says instead, and keeps nothing; whether it has said goodbye. */
    int (*part)(void *state, const char *bytes, size_t len);
    /* The answers to what it asks for; `what` went wrong (NULL: the message did), `why` is a
     * sentence. */
    void (*subscribed)(rs_buf_t *out, const rs_subscription_t *wanted);
    void (*renewed)(rs_buf_t *out, apr_interval_time_t left); /* -1: for ever */
    void (*refused)(rs_buf_t *out, const char *what, const char *why);
    /* The tenant has so many; `users` is a JSON object. */
    void (*stats)(rs_buf_t *out, const char *tenant, unsigned connections, const rs_buf_t *users);
    /* What every peer that is alive answers by itself. */
    void (*ping)(rs_buf_t *out);
} rs_wire_peer_t;

struct rs_wire_t {
    int frames;             /* whose frames of events it has: an index, its own as a rule */
    int one_batch;          /* the stream ends with the first events, or when its time is over */
    const char *name;       /* for RaglineWires; NULL: it is not chosen so */
    const char *media_type; /* what a request accepts, and the answer is */
    const rs_wire_peer_t *peer; /* NULL: what it says means nothing */

    /* Where frames are shared that are smaller than those of another wire, with which it has all
     * else in common: that one; of events with how much data; and what appends the smaller one, or
     * 0 where there is none. NULL: it is none of these. */
    const rs_wire_t *plain;
    size_t pack_min;
    int (*pack)(rs_buf_t *out, const char *frame, size_t len);

    /* An event; type is rs_event_type_valid(), data is anything. *head and *tail: where in what was
     * appended the id stands, for which id() makes other bytes. */
    void (*event)(rs_buf_t *b, const char *type, size_t type_len, const char *id, size_t id_len,
                  const char *data, size_t data_len, size_t *head, size_t *tail);
    void (*id)(rs_buf_t *b, const char *id, size_t len);
    /* Makes a frame whole in which that was done; NULL: it is. */
    void (*reframe)(rs_buf_t *frame);
    /* In the place of an event, that it or others are missing; NULL: an event called `reset`. */
    void (*notice)(rs_buf_t *b, const char *reason, const char *id, size_t id_len, size_t *head,
                   size_t *tail);

    /* The module's own messages; rs_said.h and rs_sse.h tell the parameters. */
    void (*connected)(rs_buf_t *b, const rs_who_t *who, apr_interval_time_t retry, const char *id,
                      apr_time_t wall, const char *recovery, const char *reason, const char *first);
    void (*caught_up)(rs_buf_t *b, const rs_who_t *who, const char *id, apr_uint64_t replayed);
    void (*reset)(rs_buf_t *b, const rs_who_t *who, const char *id, const char *reason,
                  const char *first);
    void (*heartbeat)(rs_buf_t *b, const rs_who_t *who, const char *id, apr_time_t wall, int style);
    /* NULL: its clients know of no such thing. */
    void (*challenge)(rs_buf_t *b, const char *connection, int seconds);
    /* What is in no stream and has no id; data is JSON. */
    void (*message)(rs_buf_t *b, const char *type, size_t type_len, const char *data,
                    size_t data_len);
    void (*error)(rs_buf_t *b, const char *profile, const char *code, const char *message,
                  const char *error, apr_interval_time_t retry);
};

extern const rs_wire_t rs_wire_sse, rs_wire_ndjson, rs_wire_poll;
extern const rs_wire_t rs_wire_websocket, rs_wire_websocket_plain, rs_wire_websocket_orders;

/* Of a connection that is sent to and reads no stream: its heartbeats and its end. And an event of
 * it, as its dialect (rs_gateway.h) has it: name NULL or "": none; and the one that says that it is
 * open. */
extern const rs_wire_t rs_wire_gateway;
void rs_wire_gateway_event(rs_buf_t *b, int dialect, const char *name, const char *data);
void rs_wire_gateway_ready(rs_buf_t *b);

/* All of them, by index. */
extern const rs_wire_t *const rs_wires[RS_WIRES];

/* The wire of WebSockets that agreed on compression, for events with so much data; NULL: there are
 * too many of them. `min` is more than 0. */
const rs_wire_t *rs_wire_deflated(const rs_wire_t *plain, size_t min);

/* The one of these (a bit for each index; NULL: there are none) that a request with this Accept
 * header wants most: the first one where it names none of them, or has no such header (NULL). */
const rs_wire_t *rs_wires_choose(unsigned allowed, const char *accept);

/* "sse, ndjson, poll". */
const char *rs_wires_names(apr_pool_t *p);

/* The index of the wire with this name; -1: there is none. */
int rs_wires_find(const char *name);

/* Appends the data of an event as a JSON value in one line: as it was written, or, where it is no
 * JSON, a string. */
void rs_wire_json(rs_buf_t *b, const char *data, size_t len);

#endif
