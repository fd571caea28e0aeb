/* SPDX-License-Identifier: Apache-2.0
 *
 * mod_ragline_stream: real-time events from Redis Streams to browsers, by Apache httpd.
 *
 * This file is the module record; each part registers its own hooks. The way of an event is
 * Redis → src/redis (reader) → src/hub (hub, topic, streamer) → socket; the way of a request is
 * src/http, up to the hand-off to the hub. docs/ARCHITECTURE.md tells the whole.
 */
#define RS_DECLARES_MODULE
#include "src/conf/rs_httpd.h"

#include "src/conf/rs_conf.h"
#include "src/http/rs_authn.h"
#include "src/http/rs_child.h"
#include "src/http/rs_cors.h"
#include "src/http/rs_endpoint.h"
#include "src/http/rs_error.h"
#include "src/http/rs_gateway_head.h"
#include "src/http/rs_handoff.h"
#include "src/http/rs_pumps.h"
#include "src/http/rs_query.h"
#include "src/http/rs_token_hide.h"
#include "src/http/rs_websocket.h"

static void register_hooks(apr_pool_t *p)
{
    ap_hook_pre_config(rs_conf_begin, NULL, NULL, APR_HOOK_MIDDLE);
    /* After the MPM has made up its mind. */
    ap_hook_check_config(rs_conf_check, NULL, NULL, APR_HOOK_LAST);
    rs_child_hooks(p);
    rs_endpoint_hooks(p);
    rs_authn_hooks(p);
    rs_query_hooks(p);
    rs_token_hide_hooks(p);
    rs_error_hooks(p);
    rs_cors_hooks(p);
    rs_handoff_hooks(p);
    rs_gateway_head_hooks(p);
    rs_pumps_hooks(p);
    rs_websocket_hooks(p);
}

AP_DECLARE_MODULE(ragline_stream) = {
    STANDARD20_MODULE_STUFF, rs_conf_dir_create,   rs_conf_dir_merge,
    rs_conf_server_create,   rs_conf_server_merge, rs_cmds,
    register_hooks,          AP_MODULE_FLAG_NONE,
};
