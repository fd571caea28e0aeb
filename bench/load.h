/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the load client do for load.c, which leads. None of them calls it.
 */
#ifndef LOAD_H
#define LOAD_H

#include "world.h"

/* options.c: or says what is wrong, and ends. */
void options_read(int argc, char **argv);

/* reader.c: holds connections [from, to) until the end. */
void reader_run(int index, int from, int to);
/* The bucket of a time, and the microseconds a bucket begins at. */
unsigned bucket_of(int64_t nanoseconds);
double bucket_start(unsigned bucket);

/* websocket.c: where a WebSocket's reader is within its frames. */
typedef struct {
    unsigned char head[10];
    uint8_t head_len, control_len;
    uint64_t left;
    char control[125];
    /* Where compression was agreed on, what there is of a message. */
    bool packed;
    char *message;
    size_t message_len, message_size;
} ws_t;
enum { WS_MORE = -1, WS_WRONG = -2, WS_TEXT = 1, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };
#define WS_PONG_MAX (6 + 125)
/* The handshake, with a header line or "". */
int ws_request(char *out, size_t size, const char *path, const char *authorization);
/* Goes on to the end of a frame: its opcode, or that it is not all there, or not as it must be. */
int ws_next(ws_t *w, const char **at, const char *end);
/* Whether the head of the response agrees on compression as it was asked for. */
bool ws_agreed(const char *head, size_t len);
/* The text of the message that has just ended; NULL: it is none. Valid until the next frame. */
char *ws_text(ws_t *w, size_t *len);
/* The answer to a ping that has just ended, at most WS_PONG_MAX bytes. */
size_t ws_pong(const ws_t *w, char *out);

/* unpack.c: what was compressed; NULL: nothing was. Valid until the next call. */
char *unpack(const char *bytes, size_t len, size_t *text_len);

/* token.c: a signed token, malloc'ed; `each` makes tokens of one tenant differ. */
char *token_make(int tenant, int each);

/* publish.c */
#define MARK_SIZE 19
typedef struct publisher_t publisher_t;
publisher_t *publisher_open(void);
/* Publishes events from world->next on at this rate; returns how many were acknowledged. */
uint64_t publisher_run(publisher_t *p, double rate, double seconds);
/* How late it was at most, in nanoseconds, since the last call. */
int64_t publisher_lag(publisher_t *p);
void publisher_close(publisher_t *p);
/* At least options.size bytes that an event is filled up with. */
const char *fill_text(void);
/* Publishes for tenants that have no subscribers, while world->noise_on, until the end. */
void noise_run(void);

/* backend.c: listens, in the parent; then answers a gateway's callbacks until the end. */
int backend_listen(void);
void backend_run(int listener);

/* senders.c: so many send for so long, one event after the other; how many were acknowledged. */
uint64_t senders_run(int count, double seconds);

/* cost.c: what processes and their children have used so far. */
typedef struct {
    int64_t when;
    /* CPU time of each server, of this program, and of the whole machine. */
    int64_t cpu[SERVERS_MAX], own, machine;
    int64_t pss_kib[SERVERS_MAX], threads[SERVERS_MAX];
} cost_t;
void cost_read(cost_t *cost);

/* report.c: JSON on standard output. */
typedef struct {
    double rate;
    uint32_t first, count;
    uint64_t acknowledged, expected, delivered, bytes;
    int64_t lag;
    /* When the last delivery was seen. */
    int64_t done;
    bool passed;
    bool hopeless; /* far from it: no bad luck */
    cost_t before, published, after;
    uint64_t noise;
} step_t;
void report_connect(const cost_t *before, const cost_t *after, const cost_t *idle_from,
                    const cost_t *idle_to);
/* Of the backlog: how long after connecting began the last delivery was. */
void report_backlog(uint64_t expected, uint64_t delivered, int64_t began);
/* Prints a step; `passed` is set: all was delivered, the last of it within a second. */
void report_step(step_t *step, bool first);
/* Of a restart: each second's cores before it, and after it. */
void report_reload(const step_t *step, int64_t asked, int calm, double (*before)[SERVERS_MAX],
                   int n, double (*cores)[SERVERS_MAX]);
void report_handshakes(const cost_t *before, const cost_t *after, uint64_t done, uint64_t resumed);
void report_end(bool cut);

/* load.c: until all of it has arrived, or nothing has for a while. */
void step_wait(step_t *step, uint64_t before);

/* reload.c */
void reload_run(publisher_t *p);

#endif
