/* SPDX-License-Identifier: Apache-2.0
 *
 * A process that holds connections and notes when events arrive. It looks for marks,
 * @NONCE...@, anywhere in what it reads, so it takes the events of any server. What it checks: each
 * connection gets the events of its own tenant only, each once, in order, without a gap.
 */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif
/* Of one source address: the kernel takes every second of 28,232 ports first, then searches. */
#define PER_ADDRESS 10000
#define BUFFER 65536
#define TAIL (MARK_SIZE - 1)

typedef enum { CONN_NEW, CONN_CONNECTING, CONN_HANDSHAKE, CONN_HEAD, CONN_OPEN, CONN_GONE } state_t;

typedef struct {
    int fd;
    int number;
    uint8_t state;
    uint8_t tail_len;
    bool stops;
    char tail[TAIL];
    /* The number of the event that comes next. */
    uint32_t next;
    int64_t began;
    SSL *ssl;
    char *token;
    ws_t ws;
} conn_t;

static reader_t *me;
static int epoll_fd;
static SSL_CTX *tls;
static conn_t *conns;
static int conn_count, conn_opening;

unsigned bucket_of(int64_t nanoseconds)
{
    uint64_t us = nanoseconds < 0 ? 0 : (uint64_t)nanoseconds / 1000;
    unsigned power, bucket;

    if (us < 64) {
        return (unsigned)us;
    }
    power = 63 - (unsigned)__builtin_clzll(us);
    bucket = 64 * (power - 5) + (unsigned)(us >> (power - 6)) - 64;
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

double bucket_start(unsigned bucket)
{
    return bucket < 64 ? bucket : (double)((uint64_t)(bucket % 64 + 64) << (bucket / 64 - 1));
}

/* Only this process writes the counter; others read it. */
static void add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static void add_time(_Atomic uint32_t *buckets, int64_t nanoseconds)
{
    _Atomic uint32_t *at = buckets + bucket_of(nanoseconds);

    atomic_store_explicit(at, atomic_load_explicit(at, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static void conn_watch(conn_t *c, int how, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = c};

    if (epoll_ctl(epoll_fd, how, c->fd, &e)) {
        die("epoll: %s", strerror(errno));
    }
}

static void conn_close(conn_t *c)
{
    struct linger reset = {1, 0};

    if (c->state == CONN_OPEN) {
        add(&me->closed, 1);
        atomic_fetch_sub(&world->open[c->number % options.tenants], 1);
    }
    else {
        add(&me->failed, 1);
        conn_opening--;
    }
    if (c->ssl) {
        SSL_free(c->ssl);
        c->ssl = NULL;
    }
    /* No TIME_WAIT: the next run needs the ports. */
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(c->fd);
    c->state = CONN_GONE;
}

static void conn_begin(conn_t *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    struct sockaddr_in from = {.sin_family = AF_INET};
    int one = 1;

    c->state = CONN_CONNECTING;
    c->began = now();
    c->next = (uint32_t)(c->number % options.tenants);
    conn_opening++;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        die("socket: %s (ulimit -n, or more --readers)", strerror(errno));
    }
    inet_pton(AF_INET, options.host, &to.sin_addr);
    if ((ntohl(to.sin_addr.s_addr) >> 24) == 127) {
        from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(c->number / PER_ADDRESS));
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
        if (bind(c->fd, (struct sockaddr *)&from, sizeof(from))) {
            die("bind: %s", strerror(errno));
        }
    }
    if (c->stops && options.receive_buffer) {
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &options.receive_buffer, sizeof(int));
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) && errno != EINPROGRESS) {
        conn_close(c);
        return;
    }
    conn_watch(c, EPOLL_CTL_ADD, EPOLLOUT);
}

static ssize_t conn_read(conn_t *c, char *out, size_t size)
{
    if (c->ssl) {
        int n = SSL_read(c->ssl, out, (int)size);

        if (n > 0) {
            return n;
        }
        errno = SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ ? EAGAIN : ECONNRESET;
        return -1;
    }
    return recv(c->fd, out, size, 0);
}

static bool conn_write(conn_t *c, const char *bytes, size_t len)
{
    return c->ssl ? SSL_write(c->ssl, bytes, (int)len) == (int)len
                  : send(c->fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static int request_make(const conn_t *c, char *out, size_t size)
{
    char path[512], authorization[3072] = "";

    expand(path, sizeof(path), options.path, c->number % options.tenants);
    if (c->token) {
        snprintf(authorization, sizeof(authorization), "Authorization: Bearer %s\r\n", c->token);
    }
    if (options.websocket) {
        return ws_request(out, size, path, authorization);
    }
    return snprintf(out, size,
                    "GET %s HTTP/1.1\r\nHost: localhost\r\n"
                    "Accept: text/event-stream\r\n%s\r\n",
                    path, authorization);
}

/* The socket can be written to: the TLS handshake, then the request, which always fits. */
static void conn_ask(conn_t *c)
{
    char request[4096];
    int n;

    if (tls && !c->ssl) {
        c->state = CONN_HANDSHAKE;
        if (!(c->ssl = SSL_new(tls)) || !SSL_set_fd(c->ssl, c->fd)) {
            die("out of memory");
        }
    }
    if (c->ssl && (n = SSL_connect(c->ssl)) != 1) {
        int want = SSL_get_error(c->ssl, n);

        if (want != SSL_ERROR_WANT_READ && want != SSL_ERROR_WANT_WRITE) {
            conn_close(c);
            return;
        }
        conn_watch(c, EPOLL_CTL_MOD, want == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT);
        return;
    }
    if (!conn_write(c, request, (size_t)request_make(c, request, sizeof(request)))) {
        conn_close(c);
        return;
    }
    c->state = CONN_HEAD;
    conn_watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

static void event_note(conn_t *c, uint32_t n, int64_t when)
{
    uint32_t tenants = (uint32_t)options.tenants;
    event_t *event = &world->events[n % EVENTS_MAX];
    uint32_t got;

    if (n >= atomic_load(&world->next) || n % tenants != (uint32_t)c->number % tenants) {
        add(&me->foreign, 1);
        return;
    }
    if (n < c->next) {
        add(&me->repeated, 1);
        return;
    }
    add(&me->missed, (n - c->next) / tenants);
    c->next = n + tenants;
    if (n < atomic_load(&world->step)) {
        add(&me->late, 1);
        return;
    }
    add(&me->delivered, 1);
    if (!c->stops) {
        add_time(me->latency, when - event->due);
    }
    got = atomic_fetch_add(&event->got, 1) + 1;
    if (got == 1) {
        atomic_store(&event->first, when);
    }
    if (got == event->want) {
        atomic_store(&event->last, when);
    }
}

static bool hex_read(const char *at, uint32_t *out)
{
    int i;

    for (*out = 0, i = 0; i < 8; i++) {
        unsigned digit = (unsigned char)at[i];

        digit = digit - '0' < 10 ? digit - '0' : digit - 'a' < 6 ? digit - 'a' + 10 : 16;
        if (digit > 15) {
            return false;
        }
        *out = *out << 4 | digit;
    }
    return true;
}

/* Notes all whole marks; returns where what is not a whole mark begins. */
static char *marks_read(conn_t *c, char *at, char *end)
{
    int64_t when = now();

    while ((at = memchr(at, '@', (size_t)(end - at)))) {
        uint32_t nonce, n;

        if (end - at < MARK_SIZE) {
            return at;
        }
        if (at[9] == '.' && at[MARK_SIZE - 1] == '@' && hex_read(at + 1, &nonce)
            && nonce == world->nonce && hex_read(at + 10, &n)) {
            event_note(c, n, when);
            at += MARK_SIZE;
        }
        else {
            at++;
        }
    }
    return end;
}

/* Past the head of the response; NULL: it is not all there, or it is no stream. */
static char *head_read(conn_t *c, char *at, char *end)
{
    char *body = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
    const char *good = options.websocket ? "HTTP/1.1 101" : "HTTP/1.1 200";

    if (c->tail_len == 0 && (end - at < 12 || memcmp(at, good, 12) != 0)) {
        conn_close(c);
        return NULL;
    }
    if (options.deflate && (!body || !ws_agreed(at, (size_t)(body - at)))) {
        conn_close(c);
        return NULL;
    }
    if (!body) {
        c->tail_len = 3;
        memcpy(c->tail, end - 3, 3);
        return NULL;
    }
    c->state = CONN_OPEN;
    c->tail_len = 0;
    conn_opening--;
    add(&me->opened, 1);
    add_time(me->connect, now() - c->began);
    atomic_fetch_add(&world->open[c->number % options.tenants], 1);
    return body + 4;
}

/* The marks in a message that has just ended. */
static bool message_read(conn_t *c)
{
    size_t len;
    char *text = ws_text(&c->ws, &len);

    if (text) {
        marks_read(c, text, text + len);
    }
    return text != NULL;
}

/* Answers pings; false: it is over. */
static bool frames_walk(conn_t *c, const char *at, const char *end)
{
    char pong[WS_PONG_MAX];
    int opcode;

    while ((opcode = ws_next(&c->ws, &at, end)) != WS_MORE) {
        if (opcode == WS_WRONG || opcode == WS_CLOSE
            || (opcode == WS_PING && !conn_write(c, pong, ws_pong(&c->ws, pong)))
            || (opcode == WS_TEXT && options.deflate && !message_read(c))) {
            conn_close(c);
            return false;
        }
    }
    return true;
}

static void conn_receive(conn_t *c)
{
    static char buffer[TAIL + BUFFER];
    ssize_t n;

    do {
        char *at = buffer + TAIL - c->tail_len, *end;

        memcpy(at, c->tail, c->tail_len);
        n = conn_read(c, buffer + TAIL, BUFFER);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (n <= 0) {
            conn_close(c);
            return;
        }
        end = buffer + TAIL + n;
        add(&me->bytes, (uint64_t)n);
        if (c->state == CONN_HEAD && !(at = head_read(c, at, end))) {
            return;
        }
        /* What is left of before has been walked already. */
        if (options.websocket && !frames_walk(c, at > buffer + TAIL ? at : buffer + TAIL, end)) {
            return;
        }
        /* What is compressed has its marks inside. */
        at = options.deflate ? end : marks_read(c, at, end);
        c->tail_len = (uint8_t)(end - at);
        memcpy(c->tail, at, c->tail_len);
    } while (n == BUFFER || c->ssl);
}

static void conns_make(int from, int to)
{
    int i, every = options.stopped ? options.connections / options.stopped : 0;

    conn_count = to - from;
    if (!(conns = calloc((size_t)conn_count, sizeof(*conns)))) {
        die("out of memory");
    }
    for (i = 0; i < conn_count; i++) {
        conns[i].number = from + i;
        conns[i].stops = every && (from + i) % every == 0 && (from + i) / every < options.stopped;
        if (!options.token_alg) {
            continue;
        }
        if (options.token_each) {
            conns[i].token = token_make((from + i) % options.tenants, from + i);
        }
        else {
            conns[i].token = i < options.tenants ? token_make((from + i) % options.tenants, 0)
                                                 : conns[i - options.tenants].token;
        }
    }
    if (options.tls) {
        if (!(tls = SSL_CTX_new(TLS_client_method()))) {
            die("out of memory");
        }
        SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
    }
}

/* Those that are to stop, stop, or go on. */
static void conns_stop(bool stop)
{
    int i;

    for (i = 0; i < conn_count; i++) {
        if (conns[i].stops && conns[i].state == CONN_OPEN) {
            conn_watch(&conns[i], EPOLL_CTL_MOD, stop ? 0 : EPOLLIN);
        }
    }
}

void reader_run(int index, int from, int to)
{
    struct epoll_event ready[512];
    int begun = 0, i, n, in_flight = 1 + (options.in_flight - 1) / options.readers;
    bool stopped = false;

    me = &world->readers[index];
    if ((epoll_fd = epoll_create1(EPOLL_CLOEXEC)) < 0) {
        die("epoll: %s", strerror(errno));
    }
    conns_make(from, to);
    atomic_fetch_add(&world->ready, 1);
    while (atomic_load(&world->phase) != PHASE_END) {
        int phase = atomic_load(&world->phase);

        while (phase == PHASE_CONNECT && begun < conn_count && conn_opening < in_flight) {
            conn_begin(&conns[begun++]);
        }
        if ((phase == PHASE_STOP) != stopped) {
            stopped = !stopped;
            conns_stop(stopped);
        }
        n = epoll_wait(epoll_fd, ready, 512, 20);
        for (i = 0; i < n; i++) {
            conn_t *c = ready[i].data.ptr;

            if (c->state < CONN_HEAD) {
                conn_ask(c);
            }
            else if (c->state != CONN_GONE && (ready[i].events & ~(uint32_t)EPOLLOUT)) {
                conn_receive(c);
            }
        }
    }
}
