/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading forwards what one reader misses (rs_fetch). The hub's thread.
 */
#ifndef RS_FETCH_RUN_H
#define RS_FETCH_RUN_H

#include "../log/rs_fetch.h"

/* Puts it into the loader's queue; filled, or failed, it goes back to its streamer. */
void rs_fetch_run(rs_fetch_t *fetch);

#endif
