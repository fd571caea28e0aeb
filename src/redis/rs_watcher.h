/* SPDX-License-Identifier: Apache-2.0
 *
 * Watches any number of keys over one connection, without polling and without a blocking command
 * for each: Redis tells which keys were changed (CLIENT TRACKING, Redis 6 and later), and whoever
 * watches such a key has its turn to send commands. After a reconnect everybody has a turn, so
 * nothing is missed for good. Where Redis does not offer or allow tracking, everybody has a turn
 * once a second. The hub's thread.
 */
#ifndef RS_WATCHER_H
#define RS_WATCHER_H

#include "rs_link.h"

typedef struct rs_watcher_t rs_watcher_t;
typedef struct rs_watch_t rs_watch_t;

/* A member of what watches a key. */
struct rs_watch_t {
    const char *key; /* constant while it is watched */
    /* Its turn: rs_watcher_ask() for each command. The first must be a read of the key, since that
     * is what makes Redis tell of the next change; none: it wants nothing. */
    void (*ask)(rs_watch_t *watch);
    /* The n-th reply of this turn. 1 with the last: another turn is wanted at once. May remove the
     * watch. The reply may be taken, leaving NULL. */
    int (*reply)(rs_watch_t *watch, int n, redisReply **reply, int last);

    /* The watcher's. */
    rs_watch_t *same; /* the next one of this key */
    rs_watch_t *next; /* in the queue for a turn */
    int queued;
    int place; /* in the round that is under way, + 1; 0: not in it */
    int again; /* changed since its commands were sent */
};

typedef struct {
    /* 1: keys are watched from now on, and everybody is about to have a turn. 0: they are not. */
    void (*up)(void *baton, int up);
    void *baton;
} rs_watcher_calls_t;

/* Closed when p is cleaned up; connects at its first turn. p grows with the number of keys watched
 * at once, in the hub's thread. */
apr_status_t rs_watcher_create(rs_watcher_t **watcher, apr_pool_t *p, rs_poll_t *poll,
                               rs_resolver_t *resolver, const rs_redis_url_t *url,
                               const rs_watcher_calls_t *calls);

void rs_watcher_add(rs_watcher_t *watcher, rs_watch_t *watch);
void rs_watcher_remove(rs_watcher_t *watcher, rs_watch_t *watch);

/* It has something to send, whether or not the key changed. */
void rs_watcher_touch(rs_watcher_t *watcher, rs_watch_t *watch);

/* From ask(): one more command. */
void rs_watcher_ask(rs_watcher_t *watcher, int argc, const char **argv);

/* With sentinels, while it is connected: HOST:PORT of the master. Otherwise NULL. */
const char *rs_watcher_master(const rs_watcher_t *watcher);

int rs_watcher_is_up(const rs_watcher_t *watcher);

/* Redis does not tell of changes: a turn does not mean that there is one. */
int rs_watcher_is_polling(const rs_watcher_t *watcher);

/* Gives the connections up and starts again later. */
void rs_watcher_fail(rs_watcher_t *watcher, const char *why);

apr_time_t rs_watcher_turn(rs_watcher_t *watcher, apr_time_t now);

#endif
