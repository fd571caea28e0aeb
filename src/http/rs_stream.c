/* SPDX-License-Identifier: Apache-2.0
 *
 * A request for a stream, up to the moment at which the engine has it. What is wrong with the
 * request gets its honest status; what is wrong with us for now is for rs_refusal.c. The worker.
 */
#include "../conf/rs_httpd.h"

#include <unistd.h>

#include "rs_authn.h"
#include "rs_child.h"
#include "rs_cors.h"
#include "rs_error.h"
#include "rs_fresh_token.h"
#include "rs_handoff.h"
#include "rs_identity.h"
#include "rs_long_poll.h"
#include "rs_pump.h"
#include "rs_pumps.h"
#include "rs_refusal.h"
#include "rs_request.h"
#include "rs_revocation_check.h"
#include "../log/rs_source.h"
#include "../proto/rs_ws.h"
#include "rs_stream.h"
#include "rs_stream_headers.h"
#include "rs_websocket.h"

/* The endpoint's streams for a tenant. A consumer group on a stream of one tenant is that tenant's,
 * whatever its name: others neither join nor move it. Who has nothing here is sent nothing, and
 * needs no group for that. */
static void choose_streams(rs_profile_t *wanted, const rs_dir_conf_t *conf,
                           const rs_server_conf_t *server, const char *tenant)
{
    apr_uint64_t others = 0;
    int i;

    for (i = 0; i < conf->subscribe->nelts; i++) {
        const rs_stream_conf_t *stream =
            rs_conf_stream(server, APR_ARRAY_IDX(conf->subscribe, i, const char *));
        apr_uint64_t bit = stream ? rs_source_stream_bit(server->source, stream->key) : 0;

        if (bit && wanted->group && stream->tenant_literal
            && (!tenant || strcmp(stream->tenant_literal, tenant))) {
            others |= bit;
        }
        else {
            wanted->streams |= bit;
        }
    }
    if (!wanted->streams) {
        wanted->streams = others;
        wanted->group = NULL;
        wanted->shared = wanted->ack = 0;
    }
}

static const rs_profile_t *profile(request_rec *r, rs_server_conf_t *server, const char *tenant)
{
    const rs_dir_conf_t *conf = rs_request_conf(r);
    rs_jwt_policy_t policy;
    rs_profile_t wanted;

    memset(&wanted, 0, sizeof(wanted));
    wanted.name = conf->profile;
    wanted.source = server->source;
    wanted.wire = rs_stream_wire(r);
    wanted.heartbeat = wanted.wire->one_batch ? 0 : conf->heartbeat;
    wanted.heartbeat_style = conf->heartbeat_style;
    wanted.retry = conf->retry;
    wanted.reauthorize = wanted.wire->one_batch ? 0 : conf->reauthorize;
    if (rs_request(r)->jwt && !wanted.wire->one_batch) {
        wanted.challenge = conf->challenge;
        wanted.leeway = conf->jwt_leeway;
    }
    wanted.user_only = conf->user_only;
    wanted.start_last = conf->start_last;
    wanted.start_since = conf->start_since;
    wanted.replay_limit = conf->replay_limit;
    wanted.group = rs_conf_group(r->pool, conf);
    wanted.shared = conf->shared;
    wanted.claim_after = conf->claim_after;
    wanted.max_deliveries = conf->max_deliveries;
    wanted.slow_disconnect = conf->slow_disconnect;
    wanted.stall = conf->stall;
    if (wanted.wire->peer) {
        wanted.wire = rs_websocket_agree(r, wanted.wire);
        wanted.max_heard = (size_t)conf->ws_max_message;
        wanted.ping = conf->ws_ping;
        wanted.ack = conf->shared ? conf->ack : 0;
    }
    if (wanted.wire->peer && rs_request(r)->jwt) {
        policy = rs_authn_policy(r);
        wanted.tokens = &policy;
    }
    choose_streams(&wanted, conf, server, tenant);
    if (conf->events) {
        wanted.npatterns = conf->events->nelts;
        wanted.patterns = (const char *const *)conf->events->elts;
    }
    return wanted.streams ? rs_profile_intern(&rs_child_engine()->profiles, &wanted) : NULL;
}

/* Whether "NAME=..." is one of the names that clients have for it: last_event_id, lastEventId
 * (event-source-polyfill, reconnecting-eventsource), lastEventID, Last-Event-ID. */
static int brings_cursor(const char *arg)
{
    const char *rest = "lasteventid";

    for (; *arg != '='; arg++) {
        if (*arg == '_' || *arg == '-') {
            continue;
        }
        if (!*rest || apr_tolower(*arg) != *rest++) {
            return 0;
        }
    }
    return !*rest;
}

/* fetch() makes one header of two that differ in case, the page's own and a client library's newer
 * one behind it; httpd does the same. No id of ours has a comma: one that ends with it is none. */
static const char *last_of_headers(const char *value)
{
    const char *comma = value ? strrchr(value, ',') : NULL, *last = comma;

    if (comma) {
        last = comma + 1 + strspn(comma + 1, " \t");
    }
    return last && *last ? last : value;
}

/* Where the client says it is: the header that EventSource sends when it comes back, or a query
 * parameter, which is all that a first connect can have, and all that some clients ever have. These
 * append it to the URL they were given, so the last one counts. A longer one than any of ours is as
 * unknown as a malformed one. */
static const char *brought_cursor(request_rec *r)
{
    const char *cursor = last_of_headers(apr_table_get(r->headers_in, "Last-Event-ID"));
    char *arg, *last;

    if ((!cursor || !*cursor) && rs_stream_wire(r)->one_batch) {
        cursor = rs_long_poll_cursor(r);
    }
    if ((!cursor || !*cursor) && r->args) {
        for (arg = apr_strtok(apr_pstrdup(r->pool, r->args), "&", &last); arg;
             arg = apr_strtok(NULL, "&", &last)) {
            char *value = strchr(arg, '=');

            if (value && value[1] && brings_cursor(arg)) {
                cursor = ap_unescape_urlencoded(value + 1) == OK ? value + 1 : "?";
            }
        }
    }
    if (!cursor) {
        return "";
    }
    return strlen(cursor) < RS_CURSOR_LEN ? cursor : "?";
}

/* On request, what became of the stream, as a comment that curl shows and no page sees. */
static void explain(request_rec *r, const char *obstacle)
{
    if (rs_request_conf(r)->handoff == RS_HANDOFF_EXPLAIN && rs_stream_wire(r) == &rs_wire_sse) {
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
    int fd;

    rs_stream_headers(r);
    if (ap_rflush(r) < 0 || r->connection->aborted) {
        rs_engine_unreserve(rs_child_engine(), params->seat);
        return OK;
    }
    obstacle = rs_handoff_obstacle(r);
    if (r->connection->aborted) {
        rs_engine_unreserve(rs_child_engine(), params->seat);
        return OK;
    }
    if (!obstacle) {
        explain(r, NULL);
        return rs_handoff(r, params);
    }
    if (rs_request(r)->early_len) {
        /* Only where there was no end of it. */
        rs_engine_unreserve(rs_child_engine(), params->seat);
        return rs_websocket_refuse(r, RS_WS_TOO_BIG, "too_big");
    }
    refused = rs_pumps_enter(&place, r, obstacle);
    if (refused != RS_REFUSED_MAX) {
        rs_engine_unreserve(rs_child_engine(), params->seat);
        return rs_refuse(r, refused);
    }
    explain(r, obstacle);
    fd = rs_pump(r, params, place.fd, rs_pump_to_client, NULL);
    if (fd >= 0) {
        close(fd); /* tells the engine, if it does not know */
    }
    rs_pumps_leave(&place, r);
    return OK;
}

/* A browser sends a request over the HTTP/2 connection of another host if its certificate covers
 * both, and httpd takes it, whatever Protocols of this host says. After a 421 (RFC 9110, 15.5.20)
 * the browser opens a connection of this host's own. */
int rs_stream_at_home(request_rec *r)
{
    return !r->connection->master /* a WebSocket's request says HTTP/1.1, whatever carries it */
           || ap_is_allowed_protocol(r->connection, r, r->server, "h2")
           || ap_is_allowed_protocol(r->connection, r, r->server, "h2c");
}

/* OK, or why the request is refused for good. */
static int check_request(request_rec *r, rs_identity_t *id)
{
    const rs_dir_conf_t *conf = rs_request_conf(r);
    int status;

    if (r->method_number != M_GET) {
        return rs_http_method_error(r, "GET");
    }
    if (!rs_stream_at_home(r)) {
        return rs_http_error(r, HTTP_MISDIRECTED_REQUEST, "misdirected",
                             "streams of this host are not for HTTP/2: use another connection");
    }
    if (!conf->subscribe || !conf->profile || !rs_stream_wire(r)) {
        return rs_http_error(r, HTTP_SERVICE_UNAVAILABLE, "unavailable",
                             "this endpoint is not configured completely");
    }
    if (rs_stream_wire(r)->peer && (status = rs_websocket_check(r)) != OK) {
        return status;
    }
    status = rs_identity(r, id);
    if (status != OK) {
        return rs_stream_wire(r)->peer ? rs_websocket_refuse(r, RS_WS_POLICY, "Invalid token")
                                       : status;
    }
    if (rs_stream_wire(r)->peer && !rs_cors_page_allowed(r)) {
        return rs_cors_refuse(r);
    }
    /* To read these streams is to take from them. */
    if ((conf->shared || conf->start_group) && rs_cors_is_foreign(r)) {
        rs_cors_note_foreign(r);
        return rs_http_error(r, HTTP_FORBIDDEN, "origin",
                             "pages of other hosts may not use this endpoint, and a browser has to "
                             "say where it comes from (RaglineOrigins)");
    }
    return OK;
}

/* A place for it, among all and among those of its tenant and its user. */
static rs_refusal_t reserve(request_rec *r, const rs_server_conf_t *server, const rs_identity_t *id,
                            int *seat)
{
    const rs_dir_conf_t *conf = rs_request_conf(r);
    const rs_wire_t *wire = rs_stream_wire(r);
    rs_arrival_t who = {
        .realm = server->url->label,
        .tenant = id->tenant,
        .user = id->user,
        .profile = conf->profile,
        .jti = rs_revocation_jti(r),
        .room = rs_conf_room(server, conf),
        .via = wire->peer                ? RS_VIA_WEBSOCKET
               : wire->one_batch         ? RS_VIA_POLL
               : wire == &rs_wire_ndjson ? RS_VIA_NDJSON
                                         : RS_VIA_SSE,
        .address = (const struct sockaddr *)(const void *)&r->useragent_addr->sa,
        .tenant_max = (unsigned)conf->limit_tenant,
        .user_max = (unsigned)conf->limit_user,
    };

    rs_refusal_t refused = rs_engine_reserve(rs_child_engine(), &who, seat);

    return refused == RS_REFUSED_CONNECTIONS ? rs_refusal_of_full_child() : refused;
}

/* says: room for what the token says. */
static void fill(request_rec *r, rs_client_params_t *params, const rs_identity_t *id,
                 unsigned char says[RS_JWT_SAYS_LEN])
{
    params->conn.transport = &rs_transport_socket;
    params->tenant = id->tenant;
    params->user = id->user;
    params->tenant_json = id->tenant_json;
    params->user_json = id->user_json;
    params->expires = id->expires;
    params->lives = rs_request(r)->jwt ? rs_request(r)->jwt->lives : 0;
    params->place = rs_fresh_token_place(r);
    if (params->profile->tokens && rs_jwt_says(says, r->pool, rs_request(r)->jwt)) {
        params->says = says;
    }
    params->cursor = brought_cursor(r);
}

int rs_stream_handler(request_rec *r)
{
    rs_server_conf_t *server = rs_conf_server(r->server);
    rs_engine_t *engine = rs_child_engine();
    rs_client_params_t params;
    apr_interval_time_t wait = 0;
    rs_identity_t id = {0};
    unsigned char says[RS_JWT_SAYS_LEN];
    rs_refusal_t refused;
    int status;

    if (rs_fresh_token_is_brought(r)) {
        return rs_fresh_token(r);
    }
    if ((status = check_request(r, &id)) != OK) {
        return status;
    }
    if (r->header_only) {
        rs_stream_headers(r);
        return OK;
    }
    status = ap_discard_request_body(r);
    if (status != OK) {
        return status;
    }
    if (rs_stream_wire(r)->one_batch && !rs_long_poll_wait(r, &wait)) {
        return rs_http_error(r, HTTP_BAD_REQUEST, "bad_wait", "wait is a time from 0 to 60s");
    }
    if (!engine || !server->source) {
        /* Of this child only: the next connection may get another one. */
        return rs_refuse(r, RS_REFUSED_UNAVAILABLE);
    }
    memset(&params, 0, sizeof(params));
    params.profile = profile(r, server, id.tenant);
    if (!params.profile) {
        return rs_http_error(r, HTTP_SERVICE_UNAVAILABLE, "unavailable",
                             "this endpoint has no streams");
    }
    if (!rs_source_wait(server->source, RS_SOURCE_START) && !rs_engine_draining(engine)) {
        return rs_refuse(r, RS_REFUSED_REDIS);
    }
    refused = reserve(r, server, &id, &params.seat);
    if (refused != RS_REFUSED_MAX) {
        return rs_refuse(r, refused);
    }
    /* With its place: who is revoked from here on is found there. */
    status = rs_revocation_check(r, id.tenant, id.user);
    if (status != OK) {
        rs_engine_unreserve(engine, params.seat);
        return rs_stream_wire(r)->peer ? rs_websocket_refuse(r, RS_WS_POLICY, "revoked") : status;
    }
    fill(r, &params, &id, says);
    if (!params.profile->wire->one_batch) {
        return open_stream(r, &params);
    }
    params.wait = wait;
    return rs_long_poll(r, &params);
}
