/* SPDX-License-Identifier: Apache-2.0
 *
 * The counters of all children in shared memory: each child writes only its own place, any child
 * reads all. The memory hangs on the process, so that children of an older configuration that
 * still drain are counted too.
 */
#ifndef RS_BOARD_H
#define RS_BOARD_H

#include <sys/types.h>

#include "../log/rs_stats.h"

extern const char *const rs_refusal_names[RS_REFUSED_MAX];
extern const char *const rs_called_names[RS_CALLED_MAX];

/* Once the configuration is read; for so many children. Made once in `p`, which is the process's,
 * and kept over restarts. */
apr_status_t rs_board_open(apr_pool_t *p, int children);

/* This child's place, zeroed. If there is none left, memory that nobody else sees. */
rs_stats_t *rs_board_claim(void);

/* Bits of what was logged since the start of the nth Redis, by any child. NULL: for so many there
 * is no room. */
apr_uint32_t *rs_board_told(int nth);

/* Parent: a child that is gone gives its place back. */
void rs_board_gone(pid_t pid);

/* The n-th place that is in use, or NULL after the last. Any thread. */
const rs_stats_t *rs_board_next(int *place, pid_t *pid);

#endif
