/* SPDX-License-Identifier: Apache-2.0
 *
 * A configured location wins. Under `ProxyPass /` or a front controller a plain SetHandler would
 * never be reached, so the URL is claimed from the merged per-directory configuration before
 * anybody else translates it, is mapped to no file, and its handler runs first. The worker.
 */
#include "../conf/rs_httpd.h"

#include "rs_admin.h"
#include "rs_cors.h"
#include "rs_endpoint.h"
#include "rs_error.h"
#include "rs_gateway.h"
#include "rs_health.h"
#include "rs_publish.h"
#include "rs_request.h"
#include "rs_stream.h"
#include "rs_stats_handler.h"
#include "rs_token.h"
#include "rs_ws_stats_handler.h"

/* The URL is ours: nobody else (mod_proxy, mod_rewrite, mod_alias) translates it. */
static int pre_translate(request_rec *r)
{
    if (rs_request_is(r) == RS_KIND_NONE) {
        return DECLINED;
    }
    /* Early: what other modules log of the request must not hold the token any more. */
    rs_token_look(r);
    return OK;
}

static int translate(request_rec *r)
{
    if (rs_request_is(r) == RS_KIND_NONE) {
        return DECLINED;
    }
    rs_request(r)->claimed = 1;
    /* No file, but some modules expect a name. */
    r->filename = apr_pstrdup(r->pool, r->uri);
    return OK;
}

/* The per-directory configuration is the host's at this moment, so translate() has noted it. */
static int map_to_storage(request_rec *r) { return rs_request(r)->claimed ? OK : DECLINED; }

/* Once the configuration is final, and before authentication. */
static int header_parser(request_rec *r)
{
    return rs_request_kind(r) == RS_KIND_NONE ? DECLINED : rs_cors(r);
}

static int is_one_of(const char *name, const char *const *names)
{
    while (*names && strcmp(name, *names)) {
        names++;
    }
    return *names != NULL;
}

/* A URL below an endpoint that is no location itself is not there, but for what some have there. */
static int is_endpoint(request_rec *r, rs_kind_t kind)
{
    static const char *const health[] = {"live", "ready", NULL};
    const char *last = strrchr(r->uri, '/');
    const char *const *below = kind == RS_KIND_HEALTH  ? health
                               : kind == RS_KIND_ADMIN ? rs_admin_names
                                                       : NULL;

    if (rs_conf_location(r->server, r->uri) || rs_conf_matches_itself(r)) {
        return 1;
    }
    return below && last && is_one_of(last + 1, below)
           && rs_conf_location(r->server, apr_pstrmemdup(r->pool, r->uri, last + 1 - r->uri));
}

static int handler(request_rec *r)
{
    rs_kind_t kind = rs_request_kind(r);

    if (kind != RS_KIND_NONE && !is_endpoint(r, kind)) {
        return rs_http_error(r, HTTP_NOT_FOUND, "not_found", "there is no endpoint with this path");
    }
    switch (kind) {
    case RS_KIND_SSE:
    case RS_KIND_WEBSOCKET:
        return rs_stream_handler(r);
    case RS_KIND_PUBLISH:
        return rs_publish_handler(r);
    case RS_KIND_STATS:
        return rs_stats_handler(r);
    case RS_KIND_HEALTH:
        return rs_health_handler(r);
    case RS_KIND_GATEWAY:
        return rs_gateway_handler(r);
    case RS_KIND_GATEWAY_SEND:
        return rs_gateway_send_handler(r);
    case RS_KIND_GATEWAY_HEALTH:
        return rs_gateway_health_handler(r);
    case RS_KIND_ADMIN:
        return rs_admin_handler(r);
    case RS_KIND_WS_STATS:
        return rs_ws_stats_handler(r);
    default:
        return DECLINED;
    }
}

void rs_endpoint_hooks(apr_pool_t *p)
{
    ap_hook_pre_translate_name(pre_translate, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_translate_name(translate, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_map_to_storage(map_to_storage, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_header_parser(header_parser, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_REALLY_FIRST);
}
