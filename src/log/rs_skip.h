/* SPDX-License-Identifier: Apache-2.0
 *
 * Entries that nobody gets. The hub's thread.
 */
#ifndef RS_SKIP_H
#define RS_SKIP_H

#include "rs_key.h"
#include "rs_stats.h"

/* Counts it; logs the first of its stream and reason, with the remedy. */
void rs_skip(const rs_key_t *key, rs_id_t id, rs_skip_t reason);

#endif
