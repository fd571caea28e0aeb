/* SPDX-License-Identifier: Apache-2.0
 *
 * What the engine asks of the system, as the simulation has it: time, chance, waiting, memory. The
 * definitions of rs_clock.h and rs_poll.h stand here, so that the library's are not linked, and
 * those of some functions of libapr and libc, which the program's own come before.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>

#include <apr_hash.h>

#include "base/rs_clock.h"
#include "base/rs_poll.h"
#include "sim.h"

/* --- time and chance --- */

apr_time_t sim_now;
sim_rng_t sim_sched;
static uint64_t jitter_seed;

apr_time_t rs_clock_now(void) { return sim_now; }

apr_time_t apr_time_now(void);
apr_time_t apr_time_now(void) { return SIM_WALL + sim_now; }

void rs_clock_iso(char buf[RS_CLOCK_ISO_LEN], apr_time_t wall)
{
    (void)wall; /* it is looked at by nobody, and takes long */
    strcpy(buf, "2026-11-20T12:13:20.000000+00:00");
}

apr_uint32_t rs_jitter(apr_uint64_t *state, apr_uint32_t n)
{
    sim_rng_t r = {*state ? *state : sim_mix(jitter_seed++)};
    apr_uint32_t v = sim_rand(&r, n);

    *state = r.x;
    return v;
}

/* Hashes are seeded by addresses and time: not here. */
static unsigned int plain_hash(const char *key, apr_ssize_t *len)
{
    return apr_hashfunc_default(key, len);
}

apr_hash_t *apr_hash_make(apr_pool_t *pool)
{
    static apr_hash_t *(*real)(apr_pool_t *);
    static int inside;
    apr_hash_t *hash;

    if (!real) {
        real = (apr_hash_t * (*)(apr_pool_t *)) dlsym(RTLD_NEXT, "apr_hash_make");
    }
    if (inside) {
        return real(pool);
    }
    inside = 1;
    hash = apr_hash_make_custom(pool, plain_hash);
    inside = 0;
    return hash;
}

/* --- memory: the engine's is counted, ours is not --- */

long sim_live_allocs, sim_live_bytes;

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif

#ifdef SANITIZED

void *sim_malloc(size_t n) { return malloc(n); }
void *sim_realloc(void *p, size_t n) { return realloc(p, n); }
void sim_free(void *p) { free(p); }

#else

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void __libc_free(void *);

void *sim_malloc(size_t n) { return __libc_malloc(n); }
void *sim_realloc(void *p, size_t n) { return __libc_realloc(p, n); }
void sim_free(void *p) { __libc_free(p); }

static void *counted(void *p)
{
    if (p) {
        sim_live_allocs++;
        sim_live_bytes += (long)malloc_usable_size(p);
    }
    return p;
}

static void uncount(void *p)
{
    if (p) {
        sim_live_allocs--;
        sim_live_bytes -= (long)malloc_usable_size(p);
    }
}

void *malloc(size_t n) { return counted(__libc_malloc(n)); }
void *calloc(size_t n, size_t size) { return counted(__libc_calloc(n, size)); }

void *realloc(void *p, size_t n)
{
    uncount(p);
    return counted(__libc_realloc(p, n));
}

void free(void *p)
{
    uncount(p);
    __libc_free(p);
}

#endif

/* --- waiting --- */

rs_poll_t *sim_new_polls[8];
int sim_nnew_polls;

apr_status_t rs_poll_create(rs_poll_t **poll, apr_pool_t *p)
{
    *poll = apr_pcalloc(p, sizeof(**poll));
    sim_new_polls[sim_nnew_polls++ % 8] = *poll;
    return APR_SUCCESS;
}

apr_status_t rs_poll_add(rs_poll_t *poll, int fd, int events, void *data)
{
    sim_conn_t *c = &sim_conns[fd];

    c->poll = poll;
    c->data = data;
    c->want_out = (events & RS_POLL_OUT) != 0;
    c->registered = 1;
    poll->conns[poll->nconns++] = fd;
    return APR_SUCCESS;
}

apr_status_t rs_poll_mod(rs_poll_t *poll, int fd, int events, void *data)
{
    (void)poll;
    (void)data;
    sim_conns[fd].want_out = (events & RS_POLL_OUT) != 0;
    return APR_SUCCESS;
}

void rs_poll_del(rs_poll_t *poll, int fd)
{
    int i;

    for (i = 0; i < poll->nconns && poll->conns[i] != fd; i++) {
    }
    if (i < poll->nconns) {
        poll->conns[i] = poll->conns[--poll->nconns];
    }
    sim_conns[fd].registered = 0;
}

int sim_poll_ready(const rs_poll_t *poll)
{
    const rs_link_t *l;
    int i;

    if (poll->woken) {
        return 1;
    }
    for (i = 0; i < poll->nconns; i++) {
        if (sim_conn_ready(&sim_conns[poll->conns[i]])) {
            return 1;
        }
    }
    for (l = poll->links; l; l = sim_link_list((rs_link_t *)l)) {
        if (sim_link_ready(l)) {
            return 1;
        }
    }
    return 0;
}

int rs_poll_wait(rs_poll_t *poll, rs_poll_event_t *events, int max, apr_interval_time_t timeout)
{
    rs_link_t *l;
    int i, n = 0, at = poll->nconns ? (int)sim_rand(&sim_sched, (uint32_t)poll->nconns) : 0;

    for (i = 0; i < poll->nconns && n < max; i++) {
        sim_conn_t *c = &sim_conns[poll->conns[(at + i) % poll->nconns]];
        int ready = sim_conn_ready(c);

        if (ready) {
            events[n].data = c->data;
            events[n++].events = ready;
        }
    }
    for (l = poll->links; l && n < max; l = sim_link_list(l)) {
        if (sim_link_ready(l)) {
            events[n].data = l;
            events[n++].events = RS_POLL_IN | RS_POLL_OUT;
        }
    }
    poll->got = n || poll->woken;
    poll->woken = 0;
    poll->deadline = timeout < 0              ? SIM_NEVER
                     : timeout > SEC(1000000) ? SIM_NEVER
                                              : sim_now + timeout;
    return n;
}

void rs_poll_wake(rs_poll_t *poll)
{
    poll->woken = 1;
    sim_world_poke(poll);
}

void sim_seam_reset(uint64_t seed)
{
    jitter_seed = sim_mix(seed);
    sim_nnew_polls = 0;
    sim_now = SEC(1000);
}
