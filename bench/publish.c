/* SPDX-License-Identifier: Apache-2.0
 *
 * Publishes at a given rate, pipelined on one connection: XADD to Redis, or POST over HTTP. When
 * the server is slow to acknowledge, a bounded number is on its way and the rest is late; how late
 * is part of each latency, since these run from when an event was due.
 */
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define OUT_SIZE (256 * 1024)
#define REQUEST_MAX 32768
#define WINDOW_REDIS 4000
#define WINDOW_HTTP 32
/* Events that come faster than this are sent in batches. */
#define TICK (SECOND / 2000)

struct publisher_t {
    int fd;
    char *out;
    size_t out_head, out_len;
    uint32_t pending, window;
    uint64_t acknowledged;
    int64_t lag;
    /* Of an answer: the current line, how many bytes and lines of its body are to be skipped. */
    char line[256];
    size_t line_len, skip;
    bool skip_line, in_head, good, refused;
    size_t body;
};

static char *fill;

/* Words and numbers, which compress as such things do: to less than half. */
const char *fill_text(void)
{
    static const char *const words[] = {
        "order",   "customer", "created", "delivered", "quantity",  "price",  "EUR",    "item",
        "address", "invoice",  "paid",    "open",      "warehouse", "parcel", "return", "note"};
    uint32_t random = 1;
    size_t at = 0;

    if (fill) {
        return fill;
    }
    if (!(fill = malloc((size_t)options.size + 1))) {
        die("out of memory");
    }
    while (at < (size_t)options.size) {
        char word[32];
        size_t n;

        random = random * 1664525 + 1013904223;
        n = (size_t)snprintf(word, sizeof(word), "%s %u ", words[random >> 28],
                             (random >> 8) % 100000);
        n = n < (size_t)options.size - at ? n : (size_t)options.size - at;
        memcpy(fill + at, word, n);
        at += n;
    }
    return fill;
}

publisher_t *publisher_open(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)options.publish_port)};
    publisher_t *p = calloc(1, sizeof(*p));
    int one = 1;

    if (!p || !(p->out = malloc(OUT_SIZE))) {
        die("out of memory");
    }
    fill_text();
    p->window = options.post ? WINDOW_HTTP : WINDOW_REDIS;
    inet_pton(AF_INET, options.publish_host, &to.sin_addr);
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (p->fd < 0 || connect(p->fd, (struct sockaddr *)&to, sizeof(to))) {
        die("cannot connect to publish: %s", strerror(errno));
    }
    setsockopt(p->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return p;
}

void publisher_close(publisher_t *p)
{
    close(p->fd);
    free(p->out);
    free(p);
}

int64_t publisher_lag(publisher_t *p)
{
    int64_t lag = p->lag;

    p->lag = 0;
    return lag;
}

/* One event: JSON of options.size bytes with its mark. */
static void publisher_put(publisher_t *p, const char *tenant, uint32_t n)
{
    char *at = p->out + p->out_len, body[64];
    int head =
        snprintf(body, sizeof(body), "{\"mark\":\"@%08x.%08x@\",\"fill\":\"", world->nonce, n);
    int pad = options.size - head - 2;

    if (pad < 0) {
        pad = 0;
    }
    if (options.post) {
        char path[512];

        expand(path, sizeof(path), options.post, atoi(tenant + 1));
        at += sprintf(at,
                      "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                      "Content-Length: %d\r\n\r\n",
                      path, head + pad + 2);
    }
    else {
        char key[256];

        expand(key, sizeof(key), options.key, atoi(tenant + 1));
        /* Trimmed only so late that a busy server does not miss entries of the last seconds. */
        at += sprintf(
            at,
            "*12\r\n$4\r\nXADD\r\n$%zu\r\n%s\r\n$6\r\nMAXLEN\r\n$1\r\n~\r\n$7\r\n1000000\r\n"
            "$1\r\n*\r\n$9\r\ntenant_id\r\n$%zu\r\n%s\r\n$10\r\nevent_type\r\n$5\r\nbench\r\n"
            "$7\r\npayload\r\n$%d\r\n",
            strlen(key), key, strlen(tenant), tenant, head + pad + 2);
    }
    memcpy(at, body, (size_t)head);
    memcpy(at + head, fill, (size_t)pad);
    memcpy(at + head + pad, "\"}", 2);
    at += head + pad + 2;
    if (!options.post) {
        memcpy(at, "\r\n", 2);
        at += 2;
    }
    p->out_len = (size_t)(at - p->out);
    p->pending++;
}

static void answer_end(publisher_t *p, bool good)
{
    if (p->pending == 0) {
        die("more answers than were asked for");
    }
    p->pending--;
    p->acknowledged += good;
    if (!good && !p->refused) {
        p->refused = true;
        fprintf(stderr, "load: an event was refused %s\n", p->line);
    }
}

static void line_redis(publisher_t *p)
{
    if (p->skip_line) {
        p->skip_line = false;
        answer_end(p, true);
    }
    else if (p->line[0] == '$') {
        p->skip_line = true;
    }
    else {
        answer_end(p, false);
    }
}

static void line_http(publisher_t *p)
{
    if (!p->in_head) {
        p->in_head = true;
        p->body = 0;
        p->good = strncmp(p->line, "HTTP/1.1 2", 10) == 0;
    }
    else if (strncasecmp(p->line, "Content-Length:", 15) == 0) {
        p->body = strtoul(p->line + 15, NULL, 10);
    }
    else if (p->line_len == 0) {
        p->in_head = false;
        p->skip = p->body;
        answer_end(p, p->good);
    }
}

static void answers_read(publisher_t *p, const char *at, const char *end)
{
    while (at < end) {
        if (p->skip > 0) {
            size_t n = p->skip < (size_t)(end - at) ? p->skip : (size_t)(end - at);

            p->skip -= n;
            at += n;
        }
        else if (*at == '\n') {
            at++;
            p->line_len -= p->line_len > 0 && p->line[p->line_len - 1] == '\r';
            p->line[p->line_len] = '\0';
            (options.post ? line_http : line_redis)(p);
            p->line_len = 0;
        }
        else {
            p->line[p->line_len] = *at++;
            p->line_len += p->line_len < sizeof(p->line) - 1;
        }
    }
}

/* Writes what it can, reads what there is, waits for it until `until`. */
static void publisher_move(publisher_t *p, int64_t until)
{
    static char in[65536];
    struct pollfd pfd = {.fd = p->fd, .events = POLLIN};
    int64_t left = until - now();
    struct timespec wait;
    ssize_t n;

    if (p->out_len > p->out_head) {
        n = send(p->fd, p->out + p->out_head, p->out_len - p->out_head,
                 MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
            die("publishing: %s", strerror(errno));
        }
        p->out_head += n > 0 ? (size_t)n : 0;
        if (p->out_head == p->out_len) {
            p->out_head = p->out_len = 0;
        }
        else {
            pfd.events |= POLLOUT;
        }
    }
    left = left > 0 ? left : 0;
    wait.tv_sec = left / SECOND;
    wait.tv_nsec = left % SECOND;
    if (ppoll(&pfd, 1, &wait, NULL) <= 0 || !(pfd.revents & ~POLLOUT)) {
        return;
    }
    n = recv(p->fd, in, sizeof(in), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        die("the connection to publish was closed");
    }
    if (n > 0) {
        answers_read(p, in, in + n);
    }
}

static bool has_room(const publisher_t *p)
{
    return p->pending < p->window && p->out_len + (size_t)options.size + 1024 < OUT_SIZE;
}

/* The end of what was published: no answer for so long is an answer, too. */
static void publisher_drain(publisher_t *p)
{
    int64_t end = now() + 10 * SECOND;

    while (p->pending > 0 && now() < end) {
        publisher_move(p, now() + SECOND / 20);
    }
}

uint64_t publisher_run(publisher_t *p, double rate, double seconds)
{
    uint32_t count = (uint32_t)(rate * seconds + 0.5), i = 0;
    uint32_t n = atomic_load(&world->next);
    uint64_t before = p->acknowledged;
    int64_t start = now(), give_up = start + (int64_t)((seconds + 30) * (double)SECOND);

    if (n + count >= EVENTS_MAX) {
        die("too many events for one run");
    }
    while (i < count && now() < give_up) {
        int64_t at = now(), due = start + (int64_t)((double)i / rate * (double)SECOND);

        while (i < count && due <= at && has_room(p)) {
            event_t *event = &world->events[n];
            char tenant[16];
            int t = (int)(n % (uint32_t)options.tenants);

            event->due = due;
            /* Who is away for a moment is to have it, too. */
            event->want = options.reload ? share_of(t) : atomic_load(&world->open[t]);
            atomic_store(&world->next, ++n);
            snprintf(tenant, sizeof(tenant), "t%d", t);
            publisher_put(p, tenant, n - 1);
            p->lag = at - due > p->lag ? at - due : p->lag;
            i++;
            due = start + (int64_t)((double)i / rate * (double)SECOND);
        }
        publisher_move(p, due < at + TICK ? at + TICK : due);
    }
    /* The last event's share of the time. */
    while (now() < start + (int64_t)(seconds * (double)SECOND)) {
        publisher_move(p, start + (int64_t)(seconds * (double)SECOND));
    }
    publisher_drain(p);
    return p->acknowledged - before;
}

void noise_run(void)
{
    publisher_t *p = publisher_open();
    int64_t start = 0;
    uint64_t sent = 0;
    unsigned nobody = 0;

    while (atomic_load(&world->phase) != PHASE_END) {
        int64_t at = now();

        if (!atomic_load(&world->noise_on)) {
            publisher_drain(p);
            start = 0;
            usleep(20000);
            continue;
        }
        if (!start) {
            start = at;
            sent = 0;
        }
        while ((double)sent < (double)(at - start) * options.noise / (double)SECOND
               && has_room(p)) {
            char tenant[32];

            snprintf(tenant, sizeof(tenant), "nobody-%u", nobody++ % 10000);
            publisher_put(p, tenant, 0);
            sent++;
        }
        publisher_move(p, at + TICK);
        atomic_store(&world->noise_sent, p->acknowledged);
    }
    publisher_close(p);
}
