/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of Redis's own settings put events at risk, as far as INFO tells: CONFIG is often forbidden
 * or renamed. Pure functions.
 */
#ifndef RS_REDIS_HINTS_H
#define RS_REDIS_HINTS_H

#include "../base/rs_base.h"

#define RS_HINT_EVICTS_IDS 1u     /* notes of event_ids, when memory is short */
#define RS_HINT_EVICTS_STREAMS 2u /* whatever there is */
#define RS_HINT_NO_AOF 4u
#define RS_HINT_NO_MIN_REPLICAS 8u
#define RS_HINTS 4

/* INFO's text. `replicated`: there are sentinels, so there are replicas, or will be. */
unsigned rs_redis_hints_parse(const char *info, size_t len, int replicated);

/* Of the hint 1 << i: the setting of redis.conf, and what follows from it, with what to do. */
const char *rs_redis_hint_setting(int i);
const char *rs_redis_hint_sentence(int i);

#endif
