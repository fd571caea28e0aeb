/* SPDX-License-Identifier: Apache-2.0
 *
 * What all children of this server count, as JSON. A stream that is silent shows why: nothing read,
 * or read and skipped (with the reason), or nobody there. The worker.
 */
#ifndef RS_STATS_PAGE_H
#define RS_STATS_PAGE_H

#include <jansson.h>

/* max_pumps: so many streams may keep a worker, in all children. */
json_t *rs_stats_page(int max_pumps);

/* Adds the settings of a Redis that put events at risk (bits of rs_redis_hints.h); the first who
 * says something of one counts. */
void rs_stats_page_risks(json_t *page, const char *redis, unsigned hints);

#endif
