/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of a node's processes speaks for all of them. It is found by a word in memory that all
 * share; who is stopped, dead or of an older generation loses it. One that was stopped may wake and
 * still take itself for it: so each has a term, and whom it speaks to believes the highest. A
 * child's hub.
 */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "../base/rs_clock.h"
#include "rs_registry_int.h"

/* Who has not said anything for so long is stopped, or as good as dead. */
#define SILENT apr_time_from_sec(5)

static pid_t pid_of(apr_uint64_t word) { return (pid_t)(apr_uint32_t)word; }

static int is_vacant(const rs_lead_t *lead, apr_uint64_t word, int generation, apr_time_t now)
{
    pid_t pid = pid_of(word);

    return !pid || __atomic_load_n(&lead->generation, __ATOMIC_ACQUIRE) < generation
           || now >= __atomic_load_n(&lead->seen, __ATOMIC_ACQUIRE) + SILENT
           || (kill(pid, 0) != 0 && errno == ESRCH);
}

int rs_registry_lead(rs_registry_t *registry, int generation, apr_uint32_t *term)
{
    rs_lead_t *lead = registry->lead;
    apr_uint64_t word = __atomic_load_n(&lead->word, __ATOMIC_ACQUIRE), mine;
    apr_time_t now = rs_clock_now();

    if (pid_of(word) != getpid()) {
        if (!is_vacant(lead, word, generation, now)) {
            return 0;
        }
        mine = ((word >> 32) + 1) << 32 | (apr_uint32_t)getpid();
        /* First, so that nobody takes it from us for the silence of the one before. */
        __atomic_store_n(&lead->seen, now, __ATOMIC_RELEASE);
        if (!__atomic_compare_exchange_n(&lead->word, &word, mine, 0, __ATOMIC_ACQ_REL,
                                         __ATOMIC_RELAXED)) {
            return 0;
        }
        __atomic_store_n(&lead->generation, generation, __ATOMIC_RELEASE);
        word = mine;
    }
    __atomic_store_n(&lead->seen, now, __ATOMIC_RELEASE);
    *term = (apr_uint32_t)(word >> 32);
    return 1;
}

void rs_registry_resign(rs_registry_t *registry)
{
    apr_uint64_t word = __atomic_load_n(&registry->lead->word, __ATOMIC_ACQUIRE);

    if (pid_of(word) == getpid()) {
        __atomic_compare_exchange_n(&registry->lead->word, &word, word >> 32 << 32, 0,
                                    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
    }
}
