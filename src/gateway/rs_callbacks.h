/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread that makes callbacks: POSTs to the back ends of applications, by libcurl. To each back
 * end so many go at a time; the others wait in order, each no longer than its time. A back end that
 * is slow, silent or not there keeps nobody waiting but its own callbacks.
 */
#ifndef RS_CALLBACKS_H
#define RS_CALLBACKS_H

#include "../log/rs_callback.h"

typedef struct rs_callbacks_t rs_callbacks_t;

typedef struct {
    int concurrent; /* to one back end */
    int waiting;    /* for one back end */
    rs_stats_t *stats; /* NULL: nobody counts */
} rs_callbacks_conf_t;

/* Whether this was built with libcurl. */
int rs_callbacks_are_there(void);

/* 0: libcurl would refuse each callback to this URL. */
int rs_callbacks_take(const char *url);

/* While no thread runs. *inbox: where callbacks are posted, as `kind`. */
apr_status_t rs_callbacks_create(rs_callbacks_t **callbacks, apr_pool_t *p, int kind,
                                 const rs_callbacks_conf_t *conf, rs_inbox_t **inbox);
apr_status_t rs_callbacks_start(rs_callbacks_t *callbacks, apr_pool_t *p);

/* When nobody posts any more: what was posted is done within `limit`, or given back as it is. The
 * thread is joined; it waits for nothing that could be longer. */
void rs_callbacks_stop(rs_callbacks_t *callbacks, apr_interval_time_t limit);

#endif
