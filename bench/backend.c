/* SPDX-License-Identifier: Apache-2.0
 *
 * With --callbacks: an application's back end, as a process of the load client. It lets in who a
 * gateway asks about, keeps the tokens for senders.c, and says yes to everything else. One thread,
 * and no more than a look for two strings, so that it is never what is measured.
 */
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

#include "load.h"

#define REQUEST_MAX ((size_t)16384)

typedef struct {
    int fd;
    size_t len;
    char request[REQUEST_MAX + 1];
} caller_t;

static int poller;

static void watch(int fd, void *who)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = who};

    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e)) {
        die("epoll: %s", strerror(errno));
    }
}

int backend_listen(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)options.callbacks),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 4096)) {
        die("cannot listen for callbacks: %s", strerror(errno));
    }
    return fd;
}

/* {"action":"connect","token":"…","request":{"url":"…?t17",…}}: the token is connection 17's. */
static void token_keep(const char *body)
{
    const char *token = strstr(body, "\"token\":\""), *url = strstr(body, "\"url\":\"");
    const char *number = url ? strstr(url, "?t") : NULL;
    int n = number ? atoi(number + 2) : -1;

    if (strncmp(body, "{\"action\":\"connect\"", 19) != 0 || !token || n < 0 || n >= TENANTS_MAX) {
        return;
    }
    snprintf(world->tokens[n], sizeof(world->tokens[n]), "%.*s", TOKEN_LEN, token + 9);
}

/* The first whole request; returns how long it was, 0: it is not whole. */
static size_t callback_take(const caller_t *c)
{
    static const char yes[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                              "Content-Length: 2\r\n\r\n{}";
    const char *end = strstr(c->request, "\r\n\r\n"), *length;
    size_t head, body;

    if (!end) {
        return 0;
    }
    head = (size_t)(end + 4 - c->request);
    length = strcasestr(c->request, "\r\ncontent-length:");
    body = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
    if (c->len < head + body) {
        return 0;
    }
    token_keep(c->request + head);
    (void)send(c->fd, yes, sizeof(yes) - 1, MSG_NOSIGNAL);
    return head + body;
}

static void hear(caller_t *c)
{
    ssize_t n = recv(c->fd, c->request + c->len, REQUEST_MAX - c->len, 0);
    size_t used;

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n <= 0) {
        close(c->fd);
        free(c);
        return;
    }
    c->len += (size_t)n;
    c->request[c->len] = '\0';
    while (c->len && (used = callback_take(c))) {
        c->len -= used;
        memmove(c->request, c->request + used, c->len + 1);
    }
}

static void greet(int listener)
{
    int fd, one = 1;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        caller_t *c = calloc(1, sizeof(*c));

        if (!c) {
            die("out of memory");
        }
        c->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        watch(fd, c);
    }
}

void backend_run(int listener)
{
    struct epoll_event ready[256];
    int i, n;

    if ((poller = epoll_create1(EPOLL_CLOEXEC)) < 0) {
        die("epoll: %s", strerror(errno));
    }
    watch(listener, NULL);
    while (atomic_load(&world->phase) != PHASE_END) {
        n = epoll_wait(poller, ready, 256, 20);
        for (i = 0; i < n; i++) {
            if (ready[i].data.ptr) {
                hear(ready[i].data.ptr);
            }
            else {
                greet(listener);
            }
        }
    }
}
