/* SPDX-License-Identifier: Apache-2.0
 *
 * What XINFO STREAM says of a stream's history. Pure functions on replies.
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
    rs_id_t deleted; /* the highest that was removed by XDEL; trimming does not count (Redis 7) */
} rs_history_t;

/* As of a key that is not there. */
void rs_history_none(rs_history_t *history);

/* 0 when the reply is neither that nor "no such key". */
int rs_history_parse(rs_history_t *history, const redisReply *reply);

/* Everything after this is there, but for entries that were removed one by one (XDEL). */
rs_id_t rs_history_floor(const rs_history_t *history);

#endif
