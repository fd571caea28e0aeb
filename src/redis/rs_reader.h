/* SPDX-License-Identifier: Apache-2.0
 *
 * Follows the streams of one Redis URL over one connection (rs_link): learns where each stream
 * stands, then reads with XREAD BLOCK for ever. The hub's thread drives it and gets what it reads
 * by callbacks.
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
    /* Before reading begins, after each reconnect, and now and then: where the stream stands (0-0
     * for a key that is not there). Returns the id to read on from. */
    rs_id_t (*position)(void *baton, int stream, const rs_history_t *history);
    /* One entry; `fields` is the array of names and values, or not even that. */
    void (*entry)(void *baton, int stream, rs_id_t id, const redisReply *fields);
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
