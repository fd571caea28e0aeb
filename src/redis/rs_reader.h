/* SPDX-License-Identifier: Apache-2.0
 *
 * Follows the streams of one Redis URL over one connection (rs_link): learns where each stream
 * stands, then reads with XREAD BLOCK for ever, and learns where they stand again. The hub's thread
 * drives it and gets what it reads by callbacks.
 */
#ifndef RS_READER_H
#define RS_READER_H

#include <hiredis/hiredis.h>

#include "../base/rs_poll.h"
#include "../proto/rs_id.h"
#include "rs_history.h"
#include "rs_redis_url.h"
#include "rs_resolve.h"

typedef struct rs_reader_t rs_reader_t;

typedef struct {
    /* The stream is about to be read: from which id on? */
    rs_id_t (*ask)(void *baton, int stream);
    /* Where the stream stands (0-0 for a key that is not there), and the entries behind that id
     * which were read just before Redis said so (NULL: none; `full`: there may be more). watched:
     * it was being read ever since it was asked last. 0: those are no entries. */
    int (*take)(void *baton, int stream, const rs_history_t *history, const redisReply *entries,
                int full, int watched);
    /* There were none when it was read. */
    void (*answered)(void *baton, int stream);
    /* A reply was worked off. caught_up: it did not hold as many entries as were asked for. */
    void (*batch_end)(void *baton, int caught_up);
    /* 1: reading begins. 0: it cannot, now (said at each failure). */
    void (*up)(void *baton, int up);
    void *baton;
} rs_reader_calls_t;

/* Closed when p is cleaned up; connects at the first rs_reader_turn(). keys: n of them. The poller
 * reports its connection with an rs_link_t as data. */
apr_status_t rs_reader_create(rs_reader_t **reader, apr_pool_t *p, rs_poll_t *poll,
                              rs_resolver_t *resolver, const rs_redis_url_t *url,
                              const char *const *keys, int n, int batch, apr_interval_time_t block,
                              const rs_reader_calls_t *calls);

/* With sentinels, while it is connected: HOST:PORT of the master. Otherwise NULL. */
const char *rs_reader_master(const rs_reader_t *reader);

/* Does what is due and returns when to be called again. */
apr_time_t rs_reader_turn(rs_reader_t *reader, apr_time_t now);

#endif
