/* SPDX-License-Identifier: Apache-2.0
 *
 * The floor: the least that a server of event streams with one thread can do on a machine. GET of
 * PATH?id=tN subscribes to tenant N (GET /ws as a WebSocket), POST sends its body to all who did:
 * one send() each, from one loop, and that is all. No queue (a full socket loses the event), no
 * history, no identity, no time-outs, nothing checked: for comparison only, on loopback. Linux.
 *
 *     floor PORT
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define FDS_MAX 200000
#define TENANTS_MAX 20000
#define REQUEST_MAX ((size_t)60 * 1024) /* 16 bits hold the length of a frame */

typedef struct {
    int *fd;
    int n, size;
} tenant_t;

typedef struct {
    tenant_t *tenant; /* NULL: a publisher, or nothing yet */
    int place;        /* in it */
    char *request;    /* what is there of one */
    size_t len;
} conn_t;

static tenant_t tenants[TENANTS_MAX];
static conn_t conns[FDS_MAX];
static int poller;
static int websocket; /* how all of them are spoken to */

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void forget(int fd)
{
    conn_t *c = &conns[fd];

    if (c->tenant) {
        int last = c->tenant->fd[--c->tenant->n];

        c->tenant->fd[c->place] = last;
        conns[last].place = c->place;
    }
    free(c->request);
    memset(c, 0, sizeof(*c));
    close(fd);
}

static tenant_t *tenant_of(const char *request)
{
    const char *id = strstr(request, "id=t");
    int n = id ? atoi(id + 4) : -1;

    return n >= 0 && n < TENANTS_MAX ? &tenants[n] : NULL;
}

static void subscribe(int fd, tenant_t *t)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                               "Cache-Control: no-store\r\n\r\n";
    /* The load client's key is always the same. */
    static const char switched[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                   "Connection: Upgrade\r\n"
                                   "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    if (t->n == t->size) {
        t->size = t->size ? 2 * t->size : 16;
        t->fd = realloc(t->fd, (size_t)t->size * sizeof(*t->fd));
        if (!t->fd) {
            die("memory");
        }
    }
    conns[fd].tenant = t;
    conns[fd].place = t->n;
    t->fd[t->n++] = fd;
    (void)send(fd, websocket ? switched : head,
               websocket ? sizeof(switched) - 1 : sizeof(head) - 1, MSG_NOSIGNAL);
}

static void publish(const tenant_t *t, const char *body, size_t len)
{
    static char event[REQUEST_MAX + 16];
    size_t n = 6;
    int i;

    if (websocket) {
        n = len < 126 ? 2 : 4;
        event[0] = (char)0x81;
        event[1] = (char)(len < 126 ? len : 126);
        event[2] = (char)(len >> 8);
        event[3] = (char)len;
        memcpy(event + n, body, len);
        n += len;
    }
    else {
        memcpy(event, "data: ", 6);
        memcpy(event + 6, body, len);
        memcpy(event + 6 + len, "\n\n", 2);
        n += len + 2;
    }
    for (i = 0; i < t->n; i++) {
        (void)send(t->fd[i], event, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

/* The first whole request; returns how long it was, 0: it is not whole. */
static size_t take(int fd, const char *request, size_t len)
{
    static const char done[] = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
    const char *end = strstr(request, "\r\n\r\n"), *length;
    tenant_t *t = tenant_of(request);
    size_t head, body;

    if (!end) {
        return 0;
    }
    head = (size_t)(end + 4 - request);
    if (strncmp(request, "POST", 4) != 0) {
        if (t && !conns[fd].tenant) {
            websocket = strncmp(request, "GET /ws", 7) == 0;
            subscribe(fd, t);
        }
        return head;
    }
    length = strcasestr(request, "content-length:");
    body = length && length < end ? strtoul(length + 15, NULL, 10) : 0;
    if (body > REQUEST_MAX || len < head + body) {
        return 0;
    }
    if (t) {
        publish(t, request + head, body);
    }
    (void)send(fd, done, sizeof(done) - 1, MSG_NOSIGNAL);
    return head + body;
}

static void receive(int fd)
{
    conn_t *c = &conns[fd];
    size_t used;
    ssize_t n;

    if (!c->request && !(c->request = malloc(REQUEST_MAX + 1))) {
        die("memory");
    }
    n = recv(fd, c->request + c->len, REQUEST_MAX - c->len, 0);
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            forget(fd);
        }
        return;
    }
    c->len += (size_t)n;
    c->request[c->len] = '\0';
    while (c->len && (used = take(fd, c->request, c->len))) {
        c->len -= used;
        memmove(c->request, c->request + used, c->len + 1);
    }
    if (!c->len) {
        free(c->request); /* ten thousand subscribers will not say more */
        c->request = NULL;
    }
}

static void add(int fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data = {.fd = fd}};

    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e)) {
        die("epoll_ctl");
    }
}

static void greet(int listener)
{
    int fd, one = 1;

    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= FDS_MAX) {
            close(fd);
            continue;
        }
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        add(fd);
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1, i, n;
    struct epoll_event events[256];

    at.sin_port = htons((unsigned short)(argc > 1 ? atoi(argv[1]) : 0));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    poller = epoll_create1(0);
    if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 4096)
        || poller < 0) {
        die("floor PORT");
    }
    signal(SIGPIPE, SIG_IGN);
    add(listener);
    for (;;) {
        n = epoll_wait(poller, events, 256, -1);
        for (i = 0; i < n; i++) {
            (events[i].data.fd == listener ? greet : receive)(events[i].data.fd);
        }
    }
}
