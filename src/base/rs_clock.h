/* SPDX-License-Identifier: Apache-2.0
 *
 * Time: a clock that never jumps, for deadlines, and timestamps for people. Pure functions.
 */
#ifndef RS_CLOCK_H
#define RS_CLOCK_H

#include "rs_base.h"

/* Microseconds of a monotonic clock. Not to be mixed with apr_time_now(). */
apr_time_t rs_clock_now(void);

#define RS_CLOCK_ISO_LEN 40

/* "2026-11-20T11:26:28.170322+00:00" into buf. */
void rs_clock_iso(char buf[RS_CLOCK_ISO_LEN], apr_time_t wall);

/* A number in [0, n), for jitter; not for secrets. `state` is the caller's own. */
apr_uint32_t rs_jitter(apr_uint64_t *state, apr_uint32_t n);

#endif
