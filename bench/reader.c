/* SPDX-License-Identifier: Apache-2.0
 *
 * A process that holds connections: its loop, and what it counts.
 */
#include "conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

reader_t *me;
conn_t *conns;
int conn_opening;
static int epoll_fd, conn_count;

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
void count_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

void count_time(_Atomic uint32_t *buckets, int64_t nanoseconds)
{
    _Atomic uint32_t *at = buckets + bucket_of(nanoseconds);

    atomic_store_explicit(at, atomic_load_explicit(at, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

void conn_watch(conn_t *c, int how, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = c};

    if (epoll_ctl(epoll_fd, how, c->fd, &e)) {
        die("epoll: %s", strerror(errno));
    }
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
        conns[i].next = (uint32_t)((from + i) % options.tenants);
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
        tls_open();
    }
    if (options.again && conn_count) {
        again_open(conns, conn_count);
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
        if (options.again) {
            again_turn();
        }
        n = epoll_wait(epoll_fd, ready, 512, options.again ? 5 : 20);
        for (i = 0; i < n; i++) {
            conn_t *c = ready[i].data.ptr;

            if (c->state < CONN_GOODBYE) {
                conn_ask(c);
            }
            else if (c->state != CONN_GONE && (ready[i].events & ~(uint32_t)EPOLLOUT)) {
                conn_receive(c);
            }
        }
    }
}
