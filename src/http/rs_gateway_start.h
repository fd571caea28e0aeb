/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway when httpd and its children start.
 */
#ifndef RS_GATEWAY_START_H
#define RS_GATEWAY_START_H

#include "../conf/rs_httpd.h"

#include "../conf/rs_conf.h"
#include "../engine/rs_engine.h"

/* post_config. 0: one could not be read, which has been said. */
int rs_gateway_secrets_are_there(apr_pool_t *p, server_rec *s);

/* post_config: where sends will not reach all connections. */
void rs_gateway_warn(server_rec *s);

/* The location's back end, which has a RaglineGatewayCallback; NULL when memory is short. Any
 * thread. */
rs_backend_t *rs_gateway_backend(rs_engine_t *engine, const rs_dir_conf_t *conf);

/* child_init, once the engine and the connections to Redis are made: sending. */
apr_status_t rs_gateway_office(rs_engine_t *engine, apr_pool_t *p, server_rec *main_server);

/* child_init: how callbacks are made; nothing is set where there is no gateway. */
void rs_gateway_callbacks(rs_callbacks_conf_t *callbacks, const rs_server_conf_t *conf,
                          rs_stats_t *stats);

#endif
