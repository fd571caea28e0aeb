/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection for each thing to be sent. The answer is two bytes: that it was taken, after which
 * it may have been sent whatever happens, and what became of it. Who gives up waiting shuts its end
 * first: then the byte that says "taken" has either come or cannot be written any more, and in that
 * case nothing is sent. No clocks are compared.
 *
 * Sockets in Linux's abstract namespace are in no folder, need no rights and leave nothing behind.
 * Anybody may connect to one, so each side looks who the other one is. Anybody may also have one by
 * such a name: so nobody else can tell it before it is there, and a child has several, of which it
 * takes the first that is free, for what a dead one was called has been seen.
 */
#include "rs_relay.h"

#ifdef __linux__

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_thread_proc.h>

#include "../base/rs_clock.h"
#include "../base/rs_log.h"

#define SPOKEN 1
#define TAKEN 'T'
#define SENT 'a' /* and rs_sent_t */

/* How long who asks may take to say what. */
#define ASK_LIMIT apr_time_from_sec(1)

/* For the answer to come. */
#define GRACE apr_time_from_msec(200)

/* Children of one version of this file speak to each other; during a restart there may be two. */
typedef struct {
    apr_uint32_t version, close;
    apr_uint32_t patience; /* milliseconds */
    apr_uint32_t has_name, name_len, has_data, data_len;
    char token[RS_GATE_TOKEN_LEN];
} ask_t;

struct rs_relay_t {
    rs_common_t *common;
    rs_poll_t *poll;
    apr_thread_t *thread;
    int fd;
    int stopping; /* atomic */
};

int rs_relay_is_there(void) { return 1; }

/* So many names of a place. */
#define DOORS 16

static socklen_t address_of(struct sockaddr_un *address, const rs_registry_t *registry,
                            unsigned place, unsigned door)
{
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    apr_snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1,
                 "ragline-gateway-%016" APR_UINT64_T_HEX_FMT,
                 rs_gate_token_door(registry, place, door));
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address->sun_path + 1));
}

static int is_ours(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == geteuid();
}

/* 0: not until then. */
static int wait_for(int fd, short events, apr_time_t until)
{
    struct pollfd pfd = {.fd = fd, .events = events};
    apr_time_t left = until - rs_clock_now();
    int n;

    do {
        n = left > 0 ? poll(&pfd, 1, (int)apr_time_as_msec(left) + 1) : 0;
        left = until - rs_clock_now();
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

static int write_all(int fd, const void *data, size_t len, apr_time_t until)
{
    const char *at = data;

    while (len) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
        else if (n < 0 && errno != EAGAIN && errno != EINTR) {
            return 0;
        }
        else if (!wait_for(fd, POLLOUT, until)) {
            return 0;
        }
    }
    return 1;
}

static int read_all(int fd, void *data, size_t len, apr_time_t until)
{
    char *at = data;

    while (len) {
        ssize_t n = recv(fd, at, len, MSG_DONTWAIT);

        if (n > 0) {
            at += n;
            len -= (size_t)n;
        }
        else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            return 0;
        }
        else if (!wait_for(fd, POLLIN, until)) {
            return 0;
        }
    }
    return 1;
}

/* --- who asks --- */

static int ask(int fd, const rs_gateway_order_t *order, apr_time_t until)
{
    ask_t a = {.version = SPOKEN, .close = (apr_uint32_t)order->close};

    a.patience = (apr_uint32_t)apr_time_as_msec(until - rs_clock_now());
    a.has_name = order->name != NULL;
    a.has_data = order->data != NULL;
    a.name_len = order->name ? (apr_uint32_t)strlen(order->name) : 0;
    a.data_len = order->data ? (apr_uint32_t)strlen(order->data) : 0;
    apr_cpystrn(a.token, order->token, sizeof(a.token));
    return write_all(fd, &a, sizeof(a), until) && write_all(fd, order->name, a.name_len, until)
           && write_all(fd, order->data, a.data_len, until);
}

/* A child that ends in between takes its connections with it. */
static rs_sent_t hear(int fd, apr_time_t until)
{
    char said[2];
    int taken = 0;
    ssize_t n;

    for (;;) {
        int last = !wait_for(fd, POLLIN, until);

        if (last) {
            shutdown(fd, SHUT_RDWR);
        }
        n = recv(fd, said, 1, MSG_DONTWAIT);
        if (n == 1 && said[0] != TAKEN) {
            return (rs_sent_t)(said[0] - SENT);
        }
        if (n == 1) {
            taken = 1;
            until += GRACE; /* it gives up when we do, and says so */
        }
        else if (last) {
            return taken ? RS_SENT_UNKNOWN : RS_SENT_LATE;
        }
        else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
            return taken ? RS_SENT_FAILED : RS_SENT_GONE;
        }
    }
}

/* *fd: connected to this child. RS_SENT: it is; LATE: the queue there is full; else why not. */
static rs_sent_t go_to(int *fd, const rs_registry_t *registry, unsigned place, unsigned door)
{
    struct sockaddr_un address;
    socklen_t len = address_of(&address, registry, place, door);
    rs_sent_t sent = RS_SENT;

    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0) {
        return RS_SENT_ELSEWHERE;
    }
    if (connect(*fd, (struct sockaddr *)(void *)&address, len) != 0) {
        sent = errno == ECONNREFUSED               ? RS_SENT_GONE
               : errno == EAGAIN || errno == EINTR ? RS_SENT_LATE
                                                   : RS_SENT_ELSEWHERE;
    }
    else if (!is_ours(*fd)) {
        sent = RS_SENT_GONE;
    }
    if (sent != RS_SENT) {
        close(*fd);
    }
    return sent;
}

/* A queue may be full for a moment, which nothing says the end of; somebody else's for good. */
static rs_sent_t find_child(int *fd, const rs_registry_t *registry, unsigned place,
                            apr_time_t until)
{
    for (;;) {
        rs_sent_t sent = RS_SENT_GONE, none = RS_SENT_GONE;
        unsigned door;

        for (door = 0; door < DOORS && (sent == RS_SENT_GONE || sent == RS_SENT_LATE); door++) {
            sent = go_to(fd, registry, place, door);
            none = sent == RS_SENT_LATE ? sent : none;
        }
        if (sent == RS_SENT || sent == RS_SENT_ELSEWHERE) {
            return sent;
        }
        if (none == RS_SENT_GONE || rs_clock_now() >= until) {
            return none;
        }
        apr_sleep(apr_time_from_msec(2));
    }
}

static rs_sent_t send_to_child(rs_common_t *common, unsigned place,
                               const rs_gateway_order_t *order, apr_time_t until)
{
    int fd = -1;
    rs_sent_t sent = find_child(&fd, common->registry, place, until);

    if (sent != RS_SENT) {
        return sent;
    }
    if (ask(fd, order, until)) {
        sent = hear(fd, until);
    }
    else {
        /* Else it has gone while it was told. */
        sent = rs_clock_now() < until ? RS_SENT_GONE : RS_SENT_LATE;
    }
    close(fd);
    return sent;
}

rs_sent_t rs_relay_send(rs_common_t *common, const rs_gate_token_t *where,
                        const rs_gateway_order_t *order, apr_time_t until)
{
    return !common->registry || where->place == rs_gate_token_place(common->registry)
               ? rs_hand_over(common, order, until)
               : send_to_child(common, where->place, order, until);
}

/* --- who answers --- */

static void say(int fd, char what) { (void)!send(fd, &what, 1, MSG_NOSIGNAL | MSG_DONTWAIT); }

static void answer(rs_relay_t *relay, int fd, const rs_gateway_order_t *order, apr_time_t until)
{
    char taken = TAKEN;

    if (!rs_hand_has(relay->common, order->token)) {
        say(fd, (char)(SENT + RS_SENT_GONE));
    }
    else if (send(fd, &taken, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1) {
        say(fd, (char)(SENT + rs_hand_over(relay->common, order, until)));
    }
}

static void serve(rs_relay_t *relay, int fd)
{
    apr_time_t until = rs_clock_now() + ASK_LIMIT;
    size_t max = relay->common->max_message;
    rs_gateway_order_t order;
    char *text;
    ask_t a;

    if (!is_ours(fd) || !read_all(fd, &a, sizeof(a), until) || a.version != SPOKEN
        || a.name_len > max || a.data_len > max) {
        return;
    }
    text = malloc((size_t)a.name_len + a.data_len + 2);
    if (text && read_all(fd, text, a.name_len, until)
        && read_all(fd, text + a.name_len + 1, a.data_len, until)) {
        text[a.name_len] = text[a.name_len + 1 + a.data_len] = '\0';
        a.token[sizeof(a.token) - 1] = '\0';
        memset(&order, 0, sizeof(order));
        order.token = a.token;
        order.name = a.has_name ? text : NULL;
        order.data = a.has_data ? text + a.name_len + 1 : NULL;
        order.close = a.close != 0;
        until = rs_clock_now() + apr_time_from_msec(a.patience < 2000 ? a.patience : 2000);
        answer(relay, fd, &order, until);
    }
    free(text);
}

static void *APR_THREAD_FUNC run(apr_thread_t *thread, void *data)
{
    rs_relay_t *relay = data;
    rs_poll_event_t event;
    int fd;

    (void)thread;
    while (!__atomic_load_n(&relay->stopping, __ATOMIC_ACQUIRE)) {
        rs_poll_wait(relay->poll, &event, 1, -1);
        while ((fd = accept4(relay->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
            serve(relay, fd);
            close(fd);
        }
    }
    return NULL;
}

static apr_status_t listen_here(rs_relay_t *relay)
{
    const rs_registry_t *registry = relay->common->registry;
    struct sockaddr_un address;
    unsigned door = 0;
    socklen_t len;
    int rv;

    relay->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (relay->fd < 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    do {
        len = address_of(&address, registry, rs_gate_token_place(registry), door);
        rv = bind(relay->fd, (struct sockaddr *)(void *)&address, len);
    } while (rv != 0 && errno == EADDRINUSE && ++door < DOORS);
    if (rv != 0 || listen(relay->fd, SOMAXCONN) != 0) {
        return APR_FROM_OS_ERROR(errno);
    }
    return rs_poll_add(relay->poll, relay->fd, RS_POLL_IN, relay);
}

apr_status_t rs_relay_create(rs_relay_t **out, apr_pool_t *p, rs_common_t *common)
{
    rs_relay_t *relay = apr_pcalloc(p, sizeof(*relay));
    apr_status_t rv;

    relay->common = common;
    relay->fd = -1;
    *out = relay;
    if (!common->registry) {
        return APR_ENOTIMPL;
    }
    rv = rs_poll_create(&relay->poll, p);
    if (rv == APR_SUCCESS) {
        rv = listen_here(relay);
    }
    if (rv != APR_SUCCESS && relay->fd >= 0) {
        close(relay->fd);
        relay->fd = -1;
    }
    return rv;
}

apr_status_t rs_relay_start(rs_relay_t *relay, apr_pool_t *p)
{
    return apr_thread_create(&relay->thread, NULL, run, relay, p);
}

void rs_relay_stop(rs_relay_t *relay)
{
    apr_status_t ignored;

    if (relay->thread) {
        __atomic_store_n(&relay->stopping, 1, __ATOMIC_RELEASE);
        rs_poll_wake(relay->poll);
        apr_thread_join(&ignored, relay->thread);
    }
    if (relay->fd >= 0) {
        close(relay->fd);
    }
}

#else

int rs_relay_is_there(void) { return 0; }

apr_status_t rs_relay_create(rs_relay_t **relay, apr_pool_t *p, rs_common_t *common)
{
    (void)relay, (void)p, (void)common;
    return APR_ENOTIMPL;
}

apr_status_t rs_relay_start(rs_relay_t *relay, apr_pool_t *p)
{
    (void)relay, (void)p;
    return APR_ENOTIMPL;
}

void rs_relay_stop(rs_relay_t *relay) { (void)relay; }

rs_sent_t rs_relay_send(rs_common_t *common, const rs_gate_token_t *where,
                        const rs_gateway_order_t *order, apr_time_t until)
{
    return !common->registry || where->place == rs_gate_token_place(common->registry)
               ? rs_hand_over(common, order, until)
               : RS_SENT_ELSEWHERE;
}

#endif
