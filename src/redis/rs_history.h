/* SPDX-License-Identifier: Apache-2.0
 *
 * What XINFO STREAM says of a stream's history, and whether a reader that stands at some id has a
 * gap before it. Pure functions on replies.
 */
#ifndef RS_HISTORY_H
#define RS_HISTORY_H

#include <hiredis/hiredis.h>

#include "../proto/rs_id.h"

typedef struct {
    rs_id_t newest;  /* last-generated-id; 0-0: there is no such key */
    rs_id_t first;   /* the oldest entry that is there; 0-0: none */
    int empty;       /* no entry is there */
    int whole;       /* nothing was ever removed (Redis 7 and later can tell) */
    long long added; /* how many entries there ever were; -1: not known */
    long long gone;  /* how many of them are not there any more; -1: not known */
} rs_history_t;

/* 0 when the reply is neither that nor "no such key". */
int rs_history_parse(rs_history_t *history, const redisReply *reply);

typedef enum { RS_GAP_NONE, RS_GAP_TRIMMED, RS_GAP_REDIS_RESET } rs_gap_t;

/* For a reader that has everything up to `id`. Removing single entries (XDEL) is no gap. */
rs_gap_t rs_history_gap(const rs_history_t *history, rs_id_t id);

#endif
