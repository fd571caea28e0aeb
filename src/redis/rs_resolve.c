/* SPDX-License-Identifier: Apache-2.0
 *
 * The helper thread that waits for name servers. It has its own inbox of questions, answers them
 * one after the other, and posts each back to who asked. It holds no lock while it waits.
 */
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>

#include <apr_allocator.h>
#include <apr_thread_proc.h>

#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "rs_resolve.h"

struct rs_resolver_t {
    apr_pool_t *p;
    rs_inbox_t *answers;
    int kind;
    /* Of who asks: */
    apr_thread_t *thread;
    int broken; /* there is no thread, and there will be none */
    /* The thread's. */
    rs_poll_t *poll;
    rs_inbox_t questions;
    int stopping; /* atomic: what is left is not answered any more */
    int ended;    /* atomic */
};

apr_status_t rs_resolver_create(rs_resolver_t **out, apr_pool_t *p, rs_inbox_t *inbox, int kind)
{
    apr_allocator_t *allocator;
    rs_resolver_t *r;
    apr_pool_t *own;
    apr_status_t rv = apr_allocator_create(&allocator);

    /* The thread is made at run time, in the hub's thread: a pool of its own. */
    if (rv == APR_SUCCESS) {
        rv = apr_pool_create_ex(&own, p, NULL, allocator);
    }
    if (rv != APR_SUCCESS) {
        return rv;
    }
    apr_allocator_owner_set(allocator, own);
    apr_pool_tag(own, "ragline_resolver");
    r = apr_pcalloc(own, sizeof(*r));
    r->p = own;
    r->answers = inbox;
    r->kind = kind;
    *out = r;
    return APR_SUCCESS;
}

int rs_resolve_is_address(const char *host)
{
    unsigned char addr[sizeof(struct in6_addr)];

    return !host || inet_pton(AF_INET, host, addr) == 1 || inet_pton(AF_INET6, host, addr) == 1;
}

static void take(rs_lookup_t *lookup, const struct addrinfo *list, int family)
{
    const struct addrinfo *a;

    for (a = list; a && lookup->n < RS_LOOKUP_ADDRESSES; a = a->ai_next) {
        if (a->ai_family == family
            && getnameinfo(a->ai_addr, a->ai_addrlen, lookup->address[lookup->n],
                           sizeof(lookup->address[0]), NULL, 0, NI_NUMERICHOST)
                   == 0) {
            lookup->n++;
        }
    }
}

static void resolve(rs_lookup_t *lookup)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
    int error = getaddrinfo(lookup->host, NULL, &hints, &list);

    if (error) {
        lookup->problem = gai_strerror(error);
        return;
    }
    take(lookup, list, AF_INET);
    take(lookup, list, AF_INET6);
    freeaddrinfo(list);
    if (!lookup->n) {
        lookup->problem = "the name has no address";
    }
}

static void *APR_THREAD_FUNC run(apr_thread_t *thread, void *data)
{
    rs_resolver_t *r = data;
    rs_poll_event_t none;
    rs_msg_t *msg, *next;

    (void)thread;
    while (!__atomic_load_n(&r->stopping, __ATOMIC_ACQUIRE)) {
        rs_poll_wait(r->poll, &none, 1, -1);
        for (msg = rs_inbox_drain(&r->questions); msg; msg = next) {
            next = msg->next;
            if (!__atomic_load_n(&r->stopping, __ATOMIC_ACQUIRE)) {
                resolve((rs_lookup_t *)msg);
                rs_inbox_post(r->answers, msg, r->kind);
            }
        }
    }
    __atomic_store_n(&r->ended, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void start(rs_resolver_t *r)
{
    apr_status_t rv = rs_poll_create(&r->poll, r->p);

    if (rv == APR_SUCCESS) {
        rs_inbox_open(&r->questions, r->poll);
        rv = apr_thread_create(&r->thread, NULL, run, r, r->p);
    }
    if (rv != APR_SUCCESS) {
        r->thread = NULL;
        r->broken = 1;
        rs_log(RS_LOG_ERR, rv,
               RSLOGNO(1941) "no thread to resolve names with: streams are read only from Redis"
                             " servers that are given as addresses");
    }
}

int rs_resolver_ask(rs_resolver_t *r, rs_lookup_t *lookup)
{
    lookup->n = 0;
    lookup->problem = NULL;
    if (!r->thread && !r->broken) {
        start(r);
    }
    return r->thread && rs_inbox_post(&r->questions, &lookup->msg, r->kind);
}

apr_status_t rs_resolver_stop(rs_resolver_t *r, apr_interval_time_t limit)
{
    apr_time_t until = rs_clock_now() + limit;
    apr_status_t ignored;

    if (!r->thread) {
        return APR_SUCCESS;
    }
    __atomic_store_n(&r->stopping, 1, __ATOMIC_RELEASE);
    rs_poll_wake(r->poll);
    while (!__atomic_load_n(&r->ended, __ATOMIC_ACQUIRE)) {
        if (rs_clock_now() >= until) {
            rs_log(RS_LOG_WARNING, APR_TIMEUP,
                   RSLOGNO(1942) "a name is still being resolved, the child exits anyway");
            return APR_TIMEUP;
        }
        apr_sleep(apr_time_from_msec(5));
    }
    apr_thread_join(&ignored, r->thread);
    r->thread = NULL;
    return APR_SUCCESS;
}
