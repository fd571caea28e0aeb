/* SPDX-License-Identifier: Apache-2.0
 *
 * Names that are resolved off the hub's thread: the resolver by itself, and a connection that waits
 * for it. getaddrinfo() is ours here: no name server, but one that hangs for as long as we want.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <apr_general.h>

#include "../../src/base/rs_clock.h"
#include "../../src/base/rs_log.h"
#include "../../src/redis/rs_link.h"
#include "tap.h"

#define ANSWER 7

static apr_pool_t *p;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int hanging;           /* lock: so many callers wait */
static int released;          /* lock */
static pthread_t called_from; /* lock */

static struct addrinfo *address(int family, const char *text)
{
    struct {
        struct addrinfo info;
        struct sockaddr_storage addr;
    } *a = calloc(1, sizeof(*a));
    struct sockaddr_in *v4 = (struct sockaddr_in *)&a->addr;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a->addr;

    a->addr.ss_family = (sa_family_t)family;
    inet_pton(family, text, family == AF_INET ? (void *)&v4->sin_addr : (void *)&v6->sin6_addr);
    a->info.ai_family = family;
    a->info.ai_socktype = SOCK_STREAM;
    a->info.ai_addr = (struct sockaddr *)&a->addr;
    a->info.ai_addrlen = family == AF_INET ? sizeof(*v4) : sizeof(*v6);
    return &a->info;
}

static void hang(void)
{
    pthread_mutex_lock(&lock);
    hanging++;
    pthread_cond_broadcast(&changed);
    while (!released) {
        pthread_cond_wait(&changed, &lock);
    }
    hanging--;
    pthread_mutex_unlock(&lock);
}

int getaddrinfo(const char *name, const char *port, const struct addrinfo *hints,
                struct addrinfo **list)
{
    int n = port ? atoi(port) : 0;

    (void)hints;
    pthread_mutex_lock(&lock);
    called_from = pthread_self();
    pthread_mutex_unlock(&lock);
    if (strcmp(name, "unknown") == 0) {
        return EAI_NONAME;
    }
    if (strcmp(name, "hangs") == 0) {
        hang();
    }
    if (strcmp(name, "two") == 0 || strcmp(name, "hangs") == 0) {
        *list = address(AF_INET6, "::1");
        (*list)->ai_next = address(AF_INET, "127.0.0.2");
        (*list)->ai_next->ai_next = address(AF_INET, "127.0.0.1");
        return 0;
    }
    /* hiredis, with an address. */
    *list = address(strchr(name, ':') ? AF_INET6 : AF_INET, name);
    ((struct sockaddr_in *)(*list)->ai_addr)->sin_port = htons((unsigned short)n);
    return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
    while (list) {
        struct addrinfo *next = list->ai_next;

        free(list);
        list = next;
    }
}

static void release(int value)
{
    pthread_mutex_lock(&lock);
    released = value;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void wait_until_it_hangs(void)
{
    pthread_mutex_lock(&lock);
    while (!hanging) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
}

/* --- what a hub is to both --- */

static rs_poll_t *hub;
static rs_inbox_t inbox;
static rs_resolver_t *resolver;

/* One turn; returns how many answers came. */
static int turn(apr_interval_time_t limit)
{
    rs_poll_event_t events[8];
    int i, n = rs_poll_wait(hub, events, 8, limit), answers = 0;
    rs_msg_t *msg, *next;

    for (i = 0; i < n; i++) {
        rs_link_io(events[i].data, events[i].events);
    }
    for (msg = rs_inbox_drain(&inbox); msg; msg = next) {
        next = msg->next;
        answers += msg->kind == ANSWER;
        ((rs_lookup_t *)msg)->done((rs_lookup_t *)msg);
    }
    return answers;
}

static void nothing(rs_lookup_t *lookup) { (void)lookup; }

static rs_lookup_t *ask(const char *host)
{
    rs_lookup_t *lookup = apr_pcalloc(p, sizeof(*lookup));

    snprintf(lookup->host, sizeof(lookup->host), "%s", host);
    lookup->done = nothing;
    ok(rs_resolver_ask(resolver, lookup), "%s is asked for", host);
    return lookup;
}

static void open_hub(void)
{
    rs_poll_create(&hub, p);
    rs_inbox_open(&inbox, hub);
    is_int(rs_resolver_create(&resolver, p, &inbox, ANSWER), APR_SUCCESS, "a resolver");
}

static void test_resolver(void)
{
    rs_lookup_t *two, *unknown, *hangs;
    int answers = 0;

    open_hub();
    ok(rs_resolve_is_address(NULL) && rs_resolve_is_address("10.0.0.1")
           && rs_resolve_is_address("::1"),
       "addresses need no resolver");
    ok(!rs_resolve_is_address("localhost") && !rs_resolve_is_address("10.0.0.1.example"),
       "names do");
    is_int(rs_resolver_stop(resolver, 0), APR_SUCCESS, "without a name there is no thread");
    two = ask("two");
    unknown = ask("unknown");
    while (answers < 2) {
        answers += turn(apr_time_from_sec(1));
    }
    is_int(two->n, 3, "all addresses of a name");
    is_str(two->address[0], "127.0.0.2", "IPv4 first");
    is_str(two->address[2], "::1", "IPv6 last");
    is_int(unknown->n, 0, "none of one that is unknown");
    ok(!pthread_equal(called_from, pthread_self()), "another thread has asked");
    hangs = ask("hangs");
    wait_until_it_hangs();
    is_int(turn(0), 0, "a name server that hangs: nobody waits for it");
    is_int(rs_resolver_stop(resolver, 1000), APR_TIMEUP, "but its thread does not end");
    release(1);
    is_int(rs_resolver_stop(resolver, apr_time_from_sec(60)), APR_SUCCESS, "until it answers");
    is_int(hangs->n + turn(0), 4, "which is still told");
    release(0);
}

/* --- a connection --- */

static int downs, readies;
static char last_why[256];

static void on_ready(void *baton)
{
    (void)baton;
    readies++;
}

static void on_reply(void *baton, redisReply **reply)
{
    (void)baton;
    (void)reply;
}

static void on_down(void *baton, const char *why)
{
    (void)baton;
    downs++;
    snprintf(last_why, sizeof(last_why), "%s", why);
}

/* On 127.0.0.1 alone; answers each login, which is one command, with OK. */
static void *serve(void *data)
{
    int listener = *(int *)data, fd;
    char buf[512];

    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        if (read(fd, buf, sizeof(buf)) > 0 && write(fd, "+OK\r\n", 5) == 5) {
            continue; /* it stays open */
        }
        close(fd);
    }
    return NULL;
}

static int listen_somewhere(int *listener)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof(addr);

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(*listener, (struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(*listener, 16) != 0
        || getsockname(*listener, (struct sockaddr *)&addr, &len) != 0) {
        return 0;
    }
    return ntohs(addr.sin_port);
}

static rs_link_t *link_to(const char *host, int port)
{
    rs_link_calls_t calls = {on_ready, on_reply, on_down, NULL};
    rs_redis_url_t *url = apr_pcalloc(p, sizeof(*url));
    rs_link_t *l = NULL;

    downs = readies = 0;
    url->host = host;
    url->port = port;
    url->label = host;
    rs_link_create(&l, p, hub, resolver, url, "test", &calls);
    return l;
}

static void run_until(rs_link_t *l, const int *what, int value)
{
    apr_time_t until = rs_clock_now() + apr_time_from_sec(60);

    while (*what < value && rs_clock_now() < until) {
        rs_link_turn(l, rs_clock_now());
        turn(apr_time_from_msec(20));
    }
}

static void test_link(void)
{
    int listener, port = listen_somewhere(&listener);
    pthread_t server;
    rs_link_t *l;

    open_hub();
    ok(port && pthread_create(&server, NULL, serve, &listener) == 0, "a server");
    l = link_to("127.0.0.1", port);
    run_until(l, &readies, 1);
    ok(rs_link_is_ready(l) && !downs, "an address is connected to");
    ok(rs_resolver_stop(resolver, 0) == APR_SUCCESS, "without a thread");

    l = link_to("two", port);
    run_until(l, &readies, 1);
    ok(rs_link_is_ready(l), "a name is, too");
    ok(downs == 1 && strcmp(last_why, strerror(ECONNREFUSED)) == 0,
       "when its first address refuses, the second one is tried: %s", last_why);

    l = link_to("unknown", port);
    run_until(l, &downs, 1);
    is_str(last_why, gai_strerror(EAI_NONAME), "an unknown name is told");

    l = link_to("hangs", port);
    rs_link_turn(l, rs_clock_now());
    wait_until_it_hangs();
    turn(0);
    is_int(downs, 0, "a name server that hangs: it waits");
    rs_link_turn(l, rs_clock_now() + apr_time_from_sec(6));
    is_str(last_why, "no name server answers", "but not for ever");
    rs_link_turn(l, rs_clock_now() + apr_time_from_sec(2));
    rs_link_turn(l, rs_clock_now() + apr_time_from_sec(9));
    is_int(downs, 2, "nor the next time");
    release(1);
    while (turn(apr_time_from_sec(1)) == 0) {
    }
    ok(!rs_link_is_ready(l), "an answer that comes too late");
    /* Of its addresses, after two failures, the third: ::1. And then from the first one on. */
    run_until(l, &readies, 1);
    ok(rs_link_is_ready(l), "is good enough for the next attempt");
    is_int(rs_resolver_stop(resolver, apr_time_from_sec(60)), APR_SUCCESS, "the thread ends");
}

static void sink(const char *file, int line, int level, apr_status_t rv, const char *message)
{
    (void)rv;
    printf("# %s:%d %d %s\n", file, line, level, message);
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&p, NULL);
    rs_log_sink(sink, RS_LOG_DEBUG);
    test_resolver();
    test_link();
    apr_pool_destroy(p);
    return done_testing();
}
