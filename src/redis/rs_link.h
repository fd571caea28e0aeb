/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection to Redis that never blocks: connects, logs in, sends what is appended, gives back
 * replies in their order, and comes back by itself when it breaks (50 ms, doubling to 1 s, with
 * jitter). With sentinels it asks them each time where the master is, passes on replies of a master
 * only, and leaves one whose successor somebody in this process has heard of (rs_sentinel.h). One
 * thread drives it from its poller; callbacks come from rs_link_io() and
 * rs_link_turn(). RESP2 only: hiredis 0.14 ends a connection at the first RESP3 byte.
 */
#ifndef RS_LINK_H
#define RS_LINK_H

#include <hiredis/hiredis.h>

#include "../base/rs_poll.h"
#include "rs_redis_url.h"
#include "rs_resolve.h"

typedef struct rs_link_t rs_link_t;

typedef struct {
    /* Logged in: commands may be appended. */
    void (*ready)(void *baton);
    /* One reply. It is freed afterwards, unless the callback takes it and leaves NULL. May call
     * rs_link_fail(). */
    void (*reply)(void *baton, redisReply **reply);
    /* The connection, or an attempt, has failed; what was under way is lost. */
    void (*down)(void *baton, const char *why);
    void *baton;
} rs_link_calls_t;

/* Closed when p is cleaned up; connects at the first rs_link_turn(). The poller must report the
 * connection with the link as its data. A lookup may be the resolver's when p goes: that must be
 * stopped before. `name` is for CLIENT LIST. */
apr_status_t rs_link_create(rs_link_t **link, apr_pool_t *p, rs_poll_t *poll,
                            rs_resolver_t *resolver, const rs_redis_url_t *url, const char *name,
                            const rs_link_calls_t *calls);

int rs_link_is_ready(const rs_link_t *link);

/* With sentinels, while it is ready: HOST:PORT of the server. Otherwise NULL. */
const char *rs_link_master(const rs_link_t *link);

/* With sentinels: asks the server whether it still is the master; if not, the link fails. Only
 * while no reply is expected. Does nothing without sentinels. */
void rs_link_check(rs_link_t *link);

/* Never ask this link's server for its role: one that has subscribed does not answer. */
void rs_link_take_any_role(rs_link_t *link);

/* Appends a command; sent by rs_link_send(). 0 when memory is short (the link has failed then). */
int rs_link_append(rs_link_t *link, int argc, const char **argv);

/* Sends what was appended; the next reply must come within `limit`. */
void rs_link_send(rs_link_t *link, apr_interval_time_t limit);

/* The next reply has this much time from now; 0: none is expected. */
void rs_link_limit(rs_link_t *link, apr_interval_time_t limit);

/* The owner got what it wanted: the next failure is a new one, and its first try comes soon.
 * Without that the tries get rarer although each logs in: Redis may refuse everything else. */
void rs_link_works(rs_link_t *link);

/* Gives the connection up and starts again later. */
void rs_link_fail(rs_link_t *link, const char *why);

void rs_link_io(rs_link_t *link, int events);

/* Does what is due and returns when to be called again. */
apr_time_t rs_link_turn(rs_link_t *link, apr_time_t now);

#endif
