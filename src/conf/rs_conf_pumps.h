/* SPDX-License-Identifier: Apache-2.0
 *
 * How many streams may keep a worker, so that everything else always finds one. Main thread.
 */
#ifndef RS_CONF_PUMPS_H
#define RS_CONF_PUMPS_H

#include "rs_conf.h"

typedef struct {
    int all;     /* in all children together */
    int child;   /* in one child, */
    int http2;   /* and of these over HTTP/2, whose workers are a pool of its own */
    int threads; /* of a child */
    int children;
} rs_pump_limits_t;

/* From check_config on. */
rs_pump_limits_t rs_conf_pumps(apr_pool_t *p, const rs_server_conf_t *conf);

/* With how many MinSpareThreads httpd starts another child while streams fill those that it has. */
int rs_conf_pumps_spare(const rs_pump_limits_t *limits);

/* Connections that a child of the event MPM has for each of its threads. */
int rs_conf_connections(apr_pool_t *p);

/* Children that the event and worker MPMs start with. */
int rs_conf_start_servers(apr_pool_t *p);

#endif
