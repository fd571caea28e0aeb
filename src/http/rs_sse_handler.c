/* SPDX-License-Identifier: Apache-2.0
 *
 * A request for a stream, up to the moment at which the engine has it. What is wrong with the
 * request gets its honest status; what is wrong with us for now is for rs_refusal.c. The worker.
 */
#include "../conf/rs_httpd.h"

#include "rs_child.h"
#include "rs_error.h"
#include "rs_handoff.h"
#include "rs_identity.h"
#include "rs_pump.h"
#include "rs_pumps.h"
#include "rs_refusal.h"
#include "rs_request.h"
#include "rs_sse_handler.h"

/* How long a request that comes while the child starts waits for the first words of Redis. */
#define START_LIMIT apr_time_from_sec(2)

void rs_sse_headers(request_rec *r)
{
    /* Nothing may be framed: what follows the headers is the stream itself. */
    r->connection->keepalive = AP_CONN_CLOSE;
    ap_set_content_type(r, "text/event-stream");
    apr_table_setn(r->headers_out, "Cache-Control", "no-cache, no-transform");
    apr_table_setn(r->headers_out, "X-Accel-Buffering", "no");
    apr_table_setn(r->subprocess_env, "no-gzip", "1");
    apr_table_setn(r->subprocess_env, "no-brotli", "1");
}

static const rs_profile_t *profile(request_rec *r, rs_server_conf_t *server)
{
    const rs_dir_conf_t *conf = rs_conf_dir(r);
    rs_profile_t wanted;
    int i;

    memset(&wanted, 0, sizeof(wanted));
    wanted.name = conf->profile;
    wanted.source = server->source;
    wanted.heartbeat = conf->heartbeat;
    wanted.heartbeat_comment = conf->heartbeat_style == RS_HEARTBEAT_COMMENT;
    wanted.retry = conf->retry;
    wanted.user_only = conf->user_only;
    wanted.start_last = conf->start_last;
    wanted.replay_limit = conf->replay_limit;
    wanted.group = rs_conf_group(r->pool, conf);
    wanted.shared = conf->shared;
    wanted.claim_after = conf->claim_after;
    wanted.max_deliveries = conf->max_deliveries;
    wanted.slow_disconnect = conf->slow_disconnect;
    wanted.stall = conf->stall;
    for (i = 0; i < conf->subscribe->nelts; i++) {
        const rs_stream_conf_t *stream =
            rs_conf_stream(server, APR_ARRAY_IDX(conf->subscribe, i, const char *));

        wanted.streams |= stream ? rs_source_stream_bit(server->source, stream->key) : 0;
    }
    if (conf->events) {
        wanted.npatterns = conf->events->nelts;
        wanted.patterns = (const char *const *)conf->events->elts;
    }
    return wanted.streams ? rs_profile_intern(&rs_child_engine()->profiles, &wanted) : NULL;
}

/* Where the client says it is: the header that EventSource sends when it comes back, or a query
 * parameter, which is all that a first connect can have. A longer one than any of ours is as
 * unknown as a malformed one. */
static const char *brought_cursor(request_rec *r)
{
    static const char name[] = "last_event_id=";
    const char *cursor = apr_table_get(r->headers_in, "Last-Event-ID");
    const char *arg = cursor && *cursor ? NULL : r->args;

    while (arg && *arg) {
        const char *end = strchr(arg, '&');
        apr_size_t len = end ? (apr_size_t)(end - arg) : strlen(arg);

        if (len > sizeof(name) - 1 && !strncmp(arg, name, sizeof(name) - 1)) {
            char *value = apr_pstrmemdup(r->pool, arg + sizeof(name) - 1, len - (sizeof(name) - 1));

            cursor = ap_unescape_urlencoded(value) == OK ? value : "?";
            break;
        }
        arg = end ? end + 1 : NULL;
    }
    if (!cursor) {
        return "";
    }
    return strlen(cursor) < RS_CURSOR_LEN ? cursor : "?";
}

/* On request, what became of the stream, as a comment that curl shows and no page sees. */
static void explain(request_rec *r, const char *obstacle)
{
    if (rs_conf_dir(r)->handoff == RS_HANDOFF_EXPLAIN) {
        ap_rputs(obstacle ? apr_pstrcat(r->pool, ": keeps a worker: ", obstacle, "\n", NULL)
                          : ": handed over\n",
                 r);
        ap_rflush(r);
    }
}

/* There is a place in the engine. Which filters stay is seen when the headers have gone through all
 * of them: those that are not for this response have left by then. */
static int open_stream(request_rec *r, rs_client_params_t *params)
{
    const char *obstacle;
    rs_pump_place_t place;
    rs_refusal_t refused;

    rs_sse_headers(r);
    if (ap_rflush(r) < 0 || r->connection->aborted) {
        rs_engine_unreserve(rs_child_engine());
        return OK;
    }
    obstacle = rs_handoff_obstacle(r);
    if (!obstacle) {
        explain(r, NULL);
        return rs_handoff(r, params);
    }
    refused = rs_pumps_enter(&place, r, obstacle);
    if (refused != RS_REFUSED_MAX) {
        rs_engine_unreserve(rs_child_engine());
        return rs_refuse(r, refused);
    }
    explain(r, obstacle);
    rs_pump(r, params, place.fd);
    rs_pumps_leave(&place, r);
    return OK;
}

int rs_sse_handler(request_rec *r)
{
    rs_server_conf_t *server = rs_conf_server(r->server);
    rs_engine_t *engine = rs_child_engine();
    rs_client_params_t params;
    rs_identity_t id;
    int status;

    if (r->method_number != M_GET) {
        return rs_http_method_error(r, "GET");
    }
    if (!rs_conf_dir(r)->subscribe || !rs_conf_dir(r)->profile) {
        return rs_http_error(r, HTTP_SERVICE_UNAVAILABLE, "unavailable",
                             "this endpoint is not configured completely");
    }
    status = rs_identity(r, &id);
    if (status != OK) {
        return status;
    }
    if (r->header_only) {
        rs_sse_headers(r);
        return OK;
    }
    status = ap_discard_request_body(r);
    if (status != OK) {
        return status;
    }
    if (!engine || !server->source) {
        /* Of this child only: the next connection may get another one. */
        return rs_refuse(r, RS_REFUSED_UNAVAILABLE);
    }
    memset(&params, 0, sizeof(params));
    params.profile = profile(r, server);
    if (!params.profile) {
        return rs_http_error(r, HTTP_SERVICE_UNAVAILABLE, "unavailable",
                             "this endpoint has no streams");
    }
    if (!rs_source_wait(server->source, START_LIMIT) && !rs_engine_draining(engine)) {
        return rs_refuse(r, RS_REFUSED_REDIS);
    }
    if (!rs_engine_reserve(engine)) {
        return rs_refuse(r,
                         rs_engine_draining(engine) ? RS_REFUSED_DRAINING : RS_REFUSED_CONNECTIONS);
    }
    params.transport = &rs_transport_socket;
    params.tenant = id.tenant;
    params.user = id.user;
    params.tenant_json = id.tenant_json;
    params.user_json = id.user_json;
    params.expires = id.expires;
    params.cursor = brought_cursor(r);
    return open_stream(r, &params);
}
