/* SPDX-License-Identifier: Apache-2.0
 *
 * Clocks. Any thread.
 */
#include <stdio.h>
#include <time.h>

#include "rs_clock.h"

apr_time_t rs_clock_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (apr_time_t)t.tv_sec * APR_USEC_PER_SEC + t.tv_nsec / 1000;
}

void rs_clock_iso(char buf[RS_CLOCK_ISO_LEN], apr_time_t wall)
{
    apr_time_exp_t t;

    apr_time_exp_gmt(&t, wall);
    snprintf(buf, RS_CLOCK_ISO_LEN, "%04u-%02u-%02uT%02u:%02u:%02u.%06u+00:00",
             (unsigned)(t.tm_year + 1900) % 10000, (unsigned)(t.tm_mon + 1) % 100,
             (unsigned)t.tm_mday % 100, (unsigned)t.tm_hour % 100, (unsigned)t.tm_min % 100,
             (unsigned)t.tm_sec % 100, (unsigned)t.tm_usec % 1000000);
}

apr_uint32_t rs_jitter(apr_uint64_t *state, apr_uint32_t n)
{
    /* xorshift64*; seeded from the clock and the state's address when it is still zero. */
    apr_uint64_t x = *state;

    if (x == 0) {
        x = (apr_uint64_t)rs_clock_now() ^ ((apr_uint64_t)(apr_uintptr_t)state << 16) ^ 1;
    }
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return n ? (apr_uint32_t)((x * 2685821657736338717ULL) >> 33) % n : 0;
}
