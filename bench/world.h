/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the load client share. It is one program of several processes: readers, which
 * hold the connections; the parent, which leads through the phases and publishes; and one that
 * publishes events for nobody. All they know of each other is in `world`, one shared mapping, so
 * an event carries nothing but its number: when it was due is looked up there.
 */
#ifndef WORLD_H
#define WORLD_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECOND 1000000000LL
#define READERS_MAX 8
#define TENANTS_MAX 65536
#define EVENTS_MAX (1u << 23)
#define SERVERS_MAX 4
#define RATES_MAX 64
/* Of a gateway's connection. */
#define TOKEN_LEN 36
/* Of latencies: 64 for each power of two of microseconds. */
#define BUCKETS (64 * 36)

typedef struct {
    const char *name;
    int pid;
} server_t;

typedef enum { HANDSHAKES_NONE, HANDSHAKES_FULL, HANDSHAKES_RESUMED } handshakes_t;

typedef struct {
    const char *host;
    int port;
    /* The path; %t is the tenant's number. */
    const char *path;
    bool tls, websocket;
    /* Compression is asked of WebSockets. */
    int deflate;
    int connections;
    int tenants;
    int readers;
    int in_flight;
    /* These stop reading while events are published, with this receive buffer. */
    int stopped;
    int receive_buffer;
    double rates[RATES_MAX];
    int rate_count;
    /* Where the search for the highest rate begins; 0: only `rates`. */
    double search;
    /* Seconds after which a search begins no further step. */
    double limit;
    double seconds;
    double idle;
    int size;
    /* Events that are there before anybody connects. */
    int backlog;
    /* Where to publish: Redis and a key, or a path that takes POST. */
    const char *publish_host;
    int publish_port;
    const char *key;
    const char *post;
    /* Of a gateway: its back end's port, and a path that takes POST. `rates` are publishers. */
    int callbacks;
    const char *send;
    double noise;
    const char *token_alg;
    const char *token_key;
    int token_each;
    /* Connections that end are opened again, as EventSource does. */
    int again;
    /* The first server is told to restart gracefully, and that is all that is measured. */
    int reload;
    /* Nothing but TLS handshakes, one after the other. */
    handshakes_t handshakes;
    server_t servers[SERVERS_MAX];
    int server_count;
} options_t;

typedef struct {
    int64_t due;
    uint32_t want;
    _Atomic uint32_t got;
    _Atomic int64_t first, last;
} event_t;

/* A reader's own counts: written by it alone. */
typedef struct {
    _Atomic uint64_t opened, failed, closed;
    _Atomic uint64_t delivered, repeated, missed, foreign, late, bytes;
    /* With --again: streams that ended and came back, by a session's resumption or not; attempts
     * that were answered with an error. When the last one was back. */
    _Atomic uint64_t left, returned, resumed, refused;
    _Atomic int64_t last_back;
    _Atomic uint32_t connect[BUCKETS], latency[BUCKETS];
} reader_t;

typedef enum { PHASE_WAIT, PHASE_CONNECT, PHASE_READ, PHASE_STOP, PHASE_END } phase_t;

typedef struct {
    _Atomic int phase;
    /* Readers that have their tokens. */
    _Atomic int ready;
    uint32_t nonce;
    /* Open connections of each tenant. */
    _Atomic uint32_t open[TENANTS_MAX];
    /* The next event's number, and the first one of the step that runs. */
    _Atomic uint32_t next, step;
    _Atomic int noise_on;
    _Atomic uint64_t noise_sent;
    char tokens[TENANTS_MAX][TOKEN_LEN + 1];
    reader_t readers[READERS_MAX];
    event_t events[EVENTS_MAX];
} world_t;

extern options_t options;
extern world_t *world;

/* Connections of a tenant, if all are open. */
uint32_t share_of(int tenant);
/* The sum of a counter of all readers: offsetof(reader_t, ...). */
uint64_t total_of(size_t member);
int64_t now(void);
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* TEMPLATE with a number in the place of each %t. */
void expand(char *out, size_t size, const char *template, int number);

#endif
