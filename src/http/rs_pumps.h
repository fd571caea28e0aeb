/* SPDX-License-Identifier: Apache-2.0
 *
 * Which streams keep a worker: how many may, why they do, and their end when the child's time is
 * over. Workers; rs_pumps_cut() is the hub's thread.
 */
#ifndef RS_PUMPS_H
#define RS_PUMPS_H

#include "../conf/rs_httpd.h"

#include "../base/rs_ring.h"
#include "../conf/rs_conf_pumps.h"
#include "../log/rs_stats.h"

/* A stream that keeps its worker; lives on that worker's stack. */
typedef struct {
    rs_ring_t all; /* first */
    int fd;        /* the connection's, a duplicate: httpd may close its own at any time */
    rs_pump_stats_t *stats;
    const conn_rec **stream; /* HTTP/2: the connection's place for a stream */
} rs_pump_place_t;

/* child_init. */
void rs_pumps_open(const rs_pump_limits_t *limits, rs_stats_t *stats);

const rs_pump_limits_t *rs_pumps_limits(void);

/* Takes a place, or says why there is none; RS_REFUSED_MAX: it has one. `cause` is what keeps the
 * stream here. */
rs_refusal_t rs_pumps_enter(rs_pump_place_t *place, request_rec *r, const char *cause);
void rs_pumps_leave(rs_pump_place_t *place, request_rec *r);

/* Ends the connections of all that are still there: a worker that writes to a client that does not
 * read would wait for httpd's Timeout. */
void rs_pumps_cut(void);

/* What keeps streams here, "tls 12, filter SUBSTITUTE 3", and the limit for all. */
const char *rs_pumps_text(apr_pool_t *p);

void rs_pumps_hooks(apr_pool_t *p);

#endif
