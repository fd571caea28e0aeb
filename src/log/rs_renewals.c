/* SPDX-License-Identifier: Apache-2.0
 *
 * Renewals on their way from one child to another. Workers post and wait, hubs take.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <apr_strings.h>

#include "../base/rs_clock.h"
#include "rs_renewals.h"

/* They outlive a restart, and with it the module's file may have changed: another layout is another
 * memory. */
#define LAYOUT 1

#define PLACES 128

/* Whose worker died gives its place back after so long. */
#define ABANDONED apr_time_from_sec(60)

/* How often a hub looks, and until how long after the last one. */
#define LOOK apr_time_from_msec(20)
#define LATELY apr_time_from_sec(300)

/* A worker, while it waits. */
#define NAP_MIN apr_time_from_msec(1)
#define NAP_MAX apr_time_from_msec(20)

enum { FREE, FILLING, POSTED, TAKEN, DONE /* and the answer */ };

/* A word: a number that never comes back, the place, and the state. */
#define STATE(word) ((unsigned)(word)&0xff)
#define WITH(word, state) (((word) & ~(apr_uint64_t)0xff) | (state))
#define PLACE(word) ((unsigned)((word) >> 8) & 0xff)
#define NEXT(word, place) ((((word) >> 16) + 1) << 16 | (apr_uint64_t)(place) << 8)

typedef struct {
    apr_uint64_t word; /* atomic */
    apr_time_t since;  /* atomic: of the worker that has the place */
    pid_t pid;         /* atomic: for whom */
    rs_renewal_t renewal;
} place_t;

struct rs_renewals_t {
    apr_uint32_t posted; /* atomic: so many */
    apr_time_t last;     /* atomic: when; 0: never */
    place_t places[PLACES];
};

rs_renewals_t *rs_renewals_open(apr_pool_t *p)
{
    const char *key =
        apr_psprintf(p, "ragline_renewals/%d/%" APR_SIZE_T_FMT, LAYOUT, sizeof(rs_renewals_t));
    void *memory = NULL;

    apr_pool_userdata_get(&memory, key, p);
    if (memory) {
        return memory;
    }
    memory = mmap(NULL, sizeof(rs_renewals_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                  -1, 0);
    if (memory == MAP_FAILED) {
        return NULL;
    }
    return apr_pool_userdata_set(memory, key, apr_pool_cleanup_null, p) == APR_SUCCESS ? memory
                                                                                       : NULL;
}

static int change(place_t *place, apr_uint64_t from, apr_uint64_t to)
{
    return __atomic_compare_exchange_n(&place->word, &from, to, 0, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

/* --- a worker --- */

/* The word of a place that is this worker's now; 0: there is none. */
static apr_uint64_t take_place(rs_renewals_t *renewals, apr_time_t now)
{
    unsigned i;

    for (i = 0; i < PLACES; i++) {
        place_t *place = &renewals->places[i];
        apr_uint64_t word = __atomic_load_n(&place->word, __ATOMIC_ACQUIRE);
        apr_time_t since = __atomic_load_n(&place->since, __ATOMIC_ACQUIRE);
        apr_uint64_t mine = NEXT(word, i) | FILLING;

        if (STATE(word) != FREE && now < since + ABANDONED) {
            continue;
        }
        /* First: nobody is to take it for abandoned. */
        __atomic_store_n(&place->since, now, __ATOMIC_RELEASE);
        if (change(place, word, mine)) {
            return mine;
        }
    }
    return 0;
}

apr_uint64_t rs_renewals_post(rs_renewals_t *renewals, pid_t pid, const rs_renewal_t *renewal)
{
    apr_time_t now = rs_clock_now();
    apr_uint64_t word = take_place(renewals, now);
    place_t *place = &renewals->places[PLACE(word)];

    if (!word) {
        return 0;
    }
    place->renewal = *renewal;
    __atomic_store_n(&place->pid, pid, __ATOMIC_RELEASE);
    if (!change(place, word, WITH(word, POSTED))) {
        return 0; /* it took a minute to come here, and somebody else has it */
    }
    __atomic_store_n(&renewals->last, now, __ATOMIC_RELEASE);
    __atomic_add_fetch(&renewals->posted, 1, __ATOMIC_ACQ_REL);
    return WITH(word, 0);
}

rs_renewed_t rs_renewals_wait(rs_renewals_t *renewals, apr_uint64_t ticket,
                              apr_interval_time_t limit)
{
    place_t *place = &renewals->places[PLACE(ticket)];
    apr_time_t until = rs_clock_now() + limit;
    apr_interval_time_t nap = NAP_MIN;
    apr_uint64_t word;

    while ((word = __atomic_load_n(&place->word, __ATOMIC_ACQUIRE)),
           WITH(word, 0) == ticket && STATE(word) != FREE) {
        if (STATE(word) >= DONE) {
            change(place, word, WITH(word, FREE));
            return (rs_renewed_t)(STATE(word) - DONE);
        }
        if (rs_clock_now() < until) {
            apr_sleep(nap);
            nap = nap * 2 < NAP_MAX ? nap * 2 : NAP_MAX;
        }
        else if (change(place, word, WITH(word, FREE))) {
            break;
        }
    }
    return RS_RENEW_LATE;
}

/* --- the child that has the connection --- */

int rs_renewals_take(rs_renewals_t *renewals, apr_uint32_t *seen, rs_renewal_t *renewal,
                     apr_uint64_t *ticket)
{
    apr_uint32_t posted = __atomic_load_n(&renewals->posted, __ATOMIC_ACQUIRE);
    pid_t self = getpid();
    int i;

    for (i = 0; *seen != posted && i < PLACES; i++) {
        place_t *place = &renewals->places[i];
        apr_uint64_t word = __atomic_load_n(&place->word, __ATOMIC_ACQUIRE);

        if (STATE(word) != POSTED || __atomic_load_n(&place->pid, __ATOMIC_ACQUIRE) != self
            || !change(place, word, WITH(word, TAKEN))) {
            continue;
        }
        *renewal = place->renewal;
        /* Its worker may have given up meanwhile, and another one may write there. */
        if (__atomic_load_n(&place->word, __ATOMIC_ACQUIRE) == WITH(word, TAKEN)) {
            *ticket = WITH(word, 0);
            return 1;
        }
    }
    *seen = posted;
    return 0;
}

apr_time_t rs_renewals_due(rs_renewals_t *renewals, apr_time_t now)
{
    apr_time_t last = __atomic_load_n(&renewals->last, __ATOMIC_ACQUIRE);

    return now + (last && now < last + LATELY ? LOOK : apr_time_from_sec(1));
}

void rs_renewals_answer(rs_renewals_t *renewals, apr_uint64_t ticket, rs_renewed_t answer)
{
    change(&renewals->places[PLACE(ticket)], WITH(ticket, TAKEN),
           WITH(ticket, (unsigned)(DONE + answer)));
}
