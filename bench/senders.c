/* SPDX-License-Identifier: Apache-2.0
 *
 * With --send: so many publishers send through a gateway, each by a connection of its own, the next
 * event when the last one is answered. Those who get them take turns; their tokens were told to
 * backend.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

#define SENDERS_MAX 1000
#define ANSWER_MAX 4096

typedef struct {
    int tenant; /* -1: nothing is on its way */
    size_t len;
    char answer[ANSWER_MAX + 1];
} sender_t;

static sender_t senders[SENDERS_MAX];
static struct pollfd polled[SENDERS_MAX];
/* One event for each at a time: what two send at once has no order. */
static bool busy[TENANTS_MAX];
static uint64_t acknowledged;
static bool refused;

static int sender_connect(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)options.publish_port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    inet_pton(AF_INET, options.publish_host, &to.sin_addr);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to))) {
        die("cannot connect to send: %s", strerror(errno));
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

/* The next event, to whose turn it is; false: that one has not all of it yet. */
static bool sender_begin(int i)
{
    char request[20480], body[17408], mark[64];
    uint32_t n = atomic_load(&world->next);
    int t = (int)(n % (uint32_t)options.tenants), len, pad;
    event_t *event = &world->events[n];

    if (n + 1 >= EVENTS_MAX) {
        die("too many events for one run");
    }
    if (busy[t]) {
        return false;
    }
    busy[t] = true;
    senders[i].tenant = t;
    senders[i].len = 0;
    event->want = atomic_load(&world->open[t]);
    atomic_store(&world->next, n + 1);
    len = snprintf(mark, sizeof(mark), "@%08x.%08x@", world->nonce, n);
    pad = options.size > len + 30 ? options.size - len - 30 : 0;
    len = snprintf(body, sizeof(body),
                   "{\"token\":\"%s\",\"event\":{\"name\":\"bench\",\"data\":"
                   "\"{\\\"mark\\\":\\\"%s\\\",\\\"fill\\\":\\\"%.*s\\\"}\"}}",
                   world->tokens[t], mark, pad, fill_text());
    len = snprintf(request, sizeof(request),
                   "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   "Content-Length: %d\r\n\r\n%s",
                   options.send, len, body);
    event->due = now();
    if (send(polled[i].fd, request, (size_t)len, MSG_NOSIGNAL) != len) {
        die("sending: %s", strerror(errno));
    }
    return true;
}

/* Whether its event has been answered. */
static bool sender_answered(int i)
{
    sender_t *s = &senders[i];
    ssize_t n = recv(polled[i].fd, s->answer + s->len, ANSWER_MAX - s->len, 0);
    const char *end, *length;

    if (n <= 0) {
        die("a connection to send was closed");
    }
    s->len += (size_t)n;
    s->answer[s->len] = '\0';
    end = strstr(s->answer, "\r\n\r\n");
    length = strcasestr(s->answer, "\r\ncontent-length:");
    if (!end || !length || length > end
        || s->len < (size_t)(end + 4 - s->answer) + strtoul(length + 17, NULL, 10)) {
        return false;
    }
    busy[s->tenant] = false;
    s->tenant = -1;
    if (memcmp(s->answer, "HTTP/1.1 200", 12) == 0) {
        acknowledged++;
    }
    else if (!refused) {
        refused = true;
        fprintf(stderr, "load: an event was refused: %s\n", s->answer);
    }
    return true;
}

uint64_t senders_run(int count, double seconds)
{
    int64_t end = now() + (int64_t)(seconds * (double)SECOND), give_up = end + 10 * SECOND;
    uint64_t before = acknowledged;
    int i, sent = 0;

    if (count < 1 || count > SENDERS_MAX) {
        die("%d publishers", count);
    }
    for (i = 0; i < count; i++) {
        polled[i] = (struct pollfd){.fd = sender_connect(), .events = POLLIN};
        senders[i].tenant = -1;
    }
    while (now() < end || (sent && now() < give_up)) {
        for (i = 0; i < count && now() < end; i++) {
            sent += senders[i].tenant < 0 && sender_begin(i);
        }
        if (poll(polled, (nfds_t)count, 50) <= 0) {
            continue;
        }
        for (i = 0; i < count; i++) {
            if (polled[i].revents && senders[i].tenant >= 0) {
                sent -= sender_answered(i);
            }
        }
    }
    for (i = 0; i < count; i++) {
        close(polled[i].fd);
    }
    return acknowledged - before;
}
