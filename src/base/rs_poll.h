/* SPDX-License-Identifier: Apache-2.0
 *
 * A level-triggered event loop over descriptors (epoll, or kqueue where there is none), and a way
 * to wake it. One thread owns a loop and calls everything but rs_poll_wake(), which any thread
 * may. APR's pollset would do, but wants an apr_socket_t from a pool for each descriptor: more
 * memory than a whole idle stream is allowed.
 */
#ifndef RS_POLL_H
#define RS_POLL_H

#include "rs_base.h"

typedef struct rs_poll_t rs_poll_t;

#define RS_POLL_IN 1
#define RS_POLL_OUT 2
#define RS_POLL_HUP 4 /* reported, never asked for: the peer is gone */

typedef struct {
    void *data;
    int events;
} rs_poll_event_t;

/* Closed when p is cleaned up. */
apr_status_t rs_poll_create(rs_poll_t **poll, apr_pool_t *p);
apr_status_t rs_poll_add(rs_poll_t *poll, int fd, int events, void *data);
apr_status_t rs_poll_mod(rs_poll_t *poll, int fd, int events, void *data);
void rs_poll_del(rs_poll_t *poll, int fd);

/* Waits up to `timeout` (negative: for ever) and returns how many events it stored, at most max.
 * A wake-up ends the wait and is not an event. */
int rs_poll_wait(rs_poll_t *poll, rs_poll_event_t *events, int max, apr_interval_time_t timeout);
void rs_poll_wake(rs_poll_t *poll);

#endif
