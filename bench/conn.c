/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection of a reader: TCP, TLS, the request, and what is read of the answer.
 */
#include "conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif
/* Of one source address: the kernel takes every second of 28,232 ports first, then searches. */
#define PER_ADDRESS 10000
#define BUFFER 65536

static void conn_reset(conn_t *c)
{
    struct linger reset = {1, 0};

    tls_free(c);
    /* No TIME_WAIT: the next run needs the ports. */
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(c->fd);
    c->state = CONN_GONE;
    c->tail_len = 0;
}

static void conn_close(conn_t *c)
{
    if (c->state == CONN_OPEN) {
        count_add(&me->closed, 1);
        atomic_fetch_sub(&world->open[c->number % options.tenants], 1);
    }
    else {
        count_add(&me->failed, 1);
        conn_opening--;
    }
    conn_reset(c);
    if (c->again) {
        again_end(c);
    }
}

void conn_begin(conn_t *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    struct sockaddr_in from = {.sin_family = AF_INET};
    int one = 1;

    c->state = CONN_CONNECTING;
    c->began = now();
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
    char path[512], authorization[3072] = "", last[96] = "";

    expand(path, sizeof(path), options.path, c->number % options.tenants);
    if (c->token) {
        snprintf(authorization, sizeof(authorization), "Authorization: Bearer %s\r\n", c->token);
    }
    if (options.websocket) {
        return ws_request(out, size, path, authorization);
    }
    if (c->again && c->again->id[0]) {
        snprintf(last, sizeof(last), "Last-Event-ID: %s\r\n", c->again->id);
    }
    return snprintf(out, size,
                    "GET %s HTTP/1.1\r\nHost: localhost\r\n"
                    "Accept: text/event-stream\r\n%s%s\r\n",
                    path, last, authorization);
}

/* With --handshakes: the server has closed after our goodbye, so it saw the end of the handshake,
 * and the next one begins. */
static void conn_shaken(conn_t *c)
{
    char byte;

    if (conn_read(c, &byte, 1) < 0 && errno == EAGAIN) {
        return;
    }
    if (!tls_is_over(c)) {
        conn_close(c);
        return;
    }
    count_add(&me->opened, 1);
    count_add(&me->resumed, (uint64_t)SSL_session_reused(c->ssl));
    conn_reset(c);
    conn_opening--;
    conn_begin(c);
}

/* The socket can be written to: the TLS handshake, then the request, which always fits. */
void conn_ask(conn_t *c)
{
    char request[4096];
    int n;

    if (options.tls && !c->ssl) {
        c->state = CONN_HANDSHAKE;
        c->ssl = tls_new(c);
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
    if (options.handshakes) {
        c->state = CONN_GOODBYE;
        SSL_shutdown(c->ssl);
        conn_watch(c, EPOLL_CTL_MOD, EPOLLIN);
        return;
    }
    if (!conn_write(c, request, (size_t)request_make(c, request, sizeof(request)))) {
        conn_close(c);
        return;
    }
    c->state = CONN_HEAD;
    conn_watch(c, EPOLL_CTL_MOD, EPOLLIN);
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
    count_add(&me->opened, 1);
    count_time(me->connect, now() - c->began);
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

void conn_receive(conn_t *c)
{
    static char buffer[TAIL + BUFFER];
    ssize_t n;

    if (c->state == CONN_GOODBYE) {
        conn_shaken(c);
        return;
    }
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
        count_add(&me->bytes, (uint64_t)n);
        if (c->state == CONN_HEAD && !(at = head_read(c, at, end))) {
            return;
        }
        /* What is left of before has been walked already. */
        if (options.websocket && !frames_walk(c, at > buffer + TAIL ? at : buffer + TAIL, end)) {
            return;
        }
        if (c->again) {
            again_read(c, at > buffer + TAIL ? at : buffer + TAIL, end);
        }
        /* What is compressed has its marks inside. */
        at = options.deflate ? end : marks_read(c, at, end);
        c->tail_len = (uint8_t)(end - at);
        memcpy(c->tail, at, c->tail_len);
    } while (n == BUFFER || c->ssl);
}
