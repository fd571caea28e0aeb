/* SPDX-License-Identifier: Apache-2.0
 *
 * SetHandler ragline-gateway: a request for a stream of which the application's back end decides.
 * The request itself is handed over, and the engine asks, and answers it: no worker waits. Where it
 * cannot be handed over, the worker waits as a pump does. The worker.
 */
#include "../conf/rs_httpd.h"

#include <unistd.h>

#include "../proto/rs_gateway.h"
#include "rs_child.h"
#include "rs_error.h"
#include "rs_gateway.h"
#include "rs_gateway_ask.h"
#include "rs_gateway_head.h"
#include "rs_gateway_start.h"
#include "rs_handoff.h"
#include "rs_identity.h"
#include "rs_pump.h"
#include "rs_pumps.h"
#include "rs_refusal.h"
#include "rs_request.h"
#include "rs_revocation_check.h"
#include "rs_stream.h"
#include "rs_stream_headers.h"

int rs_gateway_answer(request_rec *r, int status, const char *message, const char *code)
{
    rs_buf_t b = RS_BUF_INIT;
    const char *body = "{}";

    rs_gateway_error(&b, message, code);
    if (rs_buf_ok(&b)) {
        body = apr_pstrmemdup(r->pool, b.data, b.len);
    }
    rs_buf_free(&b);
    return rs_http_json(r, status, body);
}

/* What the seed's own probes read; the first word of the path says which it is. */
int rs_gateway_health_handler(request_rec *r)
{
    static const char not_ready[] = "{\"status\":\"not_ready\",\"configured\":%s,"
                                    "\"rabbitmq\":\"disabled\",\"reasons\":[\"%s\"]}";
    rs_engine_t *engine = rs_child_engine();
    const char *last = strrchr(r->uri, '/');
    int configured = rs_request_conf(r)->gateway_callback && engine && engine->callbacks;

    if (r->method_number != M_GET) {
        return rs_http_method_error(r, "GET");
    }
    if (!last || strcmp(last, "/readyz")) {
        return rs_http_json(r, HTTP_OK, "{\"status\":\"ok\"}");
    }
    if (!configured || rs_engine_draining(engine)) {
        return rs_http_json(r, HTTP_SERVICE_UNAVAILABLE,
                            apr_psprintf(r->pool, not_ready, configured ? "true" : "false",
                                         configured ? "Restarting"
                                                    : "CALLBACK_URL not configured"));
    }
    return rs_http_json(r, HTTP_OK,
                        "{\"status\":\"ready\",\"configured\":true,\"rabbitmq\":\"disabled\"}");
}

static const rs_profile_t *profile(request_rec *r)
{
    const rs_dir_conf_t *conf = rs_request_conf(r);
    rs_profile_t wanted;

    memset(&wanted, 0, sizeof(wanted));
    wanted.name = conf->profile;
    wanted.source = &rs_child_engine()->nowhere;
    wanted.wire = rs_stream_wire(r);
    wanted.heartbeat = conf->heartbeat;
    wanted.retry = conf->retry;
    wanted.stall = conf->stall;
    wanted.reauthorize = conf->reauthorize;
    return rs_profile_intern(&rs_child_engine()->profiles, &wanted);
}

static rs_gate_t *make_gate(request_rec *r, const char *lines, const char *identity)
{
    const rs_dir_conf_t *conf = rs_request_conf(r);
    rs_common_t *common = &rs_child_engine()->common;
    rs_backend_t *backend = rs_gateway_backend(rs_child_engine(), conf);
    rs_buf_t ask = RS_BUF_INIT;
    rs_gate_t *gate = NULL;

    rs_gateway_ask(&ask, r);
    if (backend && rs_buf_ok(&ask)) {
        gate = rs_gate_create(common, backend, lines, ask.data, ask.len);
    }
    if (gate && identity
        && !rs_gate_identify(gate, identity, (rs_duplicate_t)conf->gateway_duplicate)) {
        rs_gate_drop(gate);
        gate = NULL;
    }
    if (gate) {
        gate->dialect = conf->gateway_dialect;
    }
    rs_buf_free(&ask);
    return gate;
}

/* --- where the worker stays --- */

/* What the engine says comes with a head of its own, which becomes httpd's. */
typedef struct {
    rs_buf_t head;
    int headed;
} answer_t;

static int pass_on(request_rec *r, void *baton, const char *data, apr_size_t len)
{
    answer_t *a = baton;
    apr_size_t n;

    if (a->headed) {
        return rs_pump_to_client(r, NULL, data, len);
    }
    rs_buf_add(&a->head, data, len);
    if (!rs_buf_ok(&a->head)) {
        return 0;
    }
    n = rs_gateway_head_take(r, a->head.data, a->head.len);
    if (!n) {
        return 1;
    }
    a->headed = 1;
    return n < a->head.len ? rs_pump_to_client(r, NULL, a->head.data + n, a->head.len - n)
                           : ap_rflush(r) >= 0;
}

static int pump(request_rec *r, rs_client_params_t *params, const char *identity,
                const char *obstacle)
{
    answer_t answer = {RS_BUF_INIT, 0};
    rs_pump_place_t place;
    rs_refusal_t refused = rs_pumps_enter(&place, r, obstacle);
    int fd, headed;

    params->gate = refused == RS_REFUSED_MAX ? make_gate(r, "", identity) : NULL;
    if (!params->gate) {
        rs_engine_unreserve(rs_child_engine(), params->seat);
        if (refused == RS_REFUSED_MAX) {
            rs_pumps_leave(&place, r);
        }
        return rs_refuse(r, refused == RS_REFUSED_MAX ? RS_REFUSED_UNAVAILABLE : refused);
    }
    r->connection->keepalive = AP_CONN_CLOSE;
    apr_table_setn(r->subprocess_env, "no-gzip", "1");
    apr_table_setn(r->subprocess_env, "no-brotli", "1");
    fd = rs_pump(r, params, place.fd, pass_on, &answer);
    if (fd >= 0) {
        close(fd);
    }
    else {
        rs_gate_drop(params->gate);
    }
    rs_pumps_leave(&place, r);
    headed = answer.headed;
    rs_buf_free(&answer.head);
    return headed || r->connection->aborted ? OK : rs_refuse(r, RS_REFUSED_UNAVAILABLE);
}

/* --- */

/* There is a place in the engine. */
static int ask(request_rec *r, rs_client_params_t *params, const char *identity)
{
    const char *obstacle = rs_handoff_never(r), *lines = NULL;

    if (!obstacle) {
        lines = rs_gateway_head_lines(r);
        if (r->connection->aborted) {
            rs_engine_unreserve(rs_child_engine(), params->seat);
            return OK;
        }
        obstacle = lines ? rs_handoff_obstacle(r) : "no head";
        if (r->connection->aborted) {
            rs_engine_unreserve(rs_child_engine(), params->seat);
            return OK;
        }
        if (obstacle) {
            rs_gateway_head_again(r);
        }
    }
    if (obstacle) {
        return pump(r, params, identity, obstacle);
    }
    params->gate = make_gate(r, lines, identity);
    if (!params->gate) {
        rs_engine_unreserve(rs_child_engine(), params->seat);
        rs_gateway_head_again(r);
        return rs_refuse(r, RS_REFUSED_UNAVAILABLE);
    }
    rs_handoff(r, params);
    if (!rs_request(r)->handed_over) {
        rs_gate_drop(params->gate);
    }
    return OK;
}

/* A place for it, in the list of connections, too. A tenant and a user it has where the location
 * says whose requests are; the back end needs neither. */
static rs_refusal_t reserve(request_rec *r, rs_client_params_t *params)
{
    const rs_dir_conf_t *conf = rs_request_conf(r);
    rs_arrival_t who = {
        .realm = rs_conf_server(r->server)->url->label,
        .tenant = rs_identity_tenant(r),
        .user = rs_identity_user(r),
        .profile = conf->profile,
        .jti = rs_revocation_jti(r),
        .room = rs_conf_room(rs_conf_server(r->server), conf),
        .waits = 1,
        .via = RS_VIA_GATEWAY,
        .address = (const struct sockaddr *)(const void *)&r->useragent_addr->sa,
        .tenant_max = (unsigned)conf->limit_tenant,
        .user_max = (unsigned)conf->limit_user,
    };

    if (!who.tenant) {
        /* Strangers are not one tenant. */
        who.tenant = "";
        who.tenant_max = 0;
    }
    params->tenant = who.tenant;
    params->user = who.user;
    return rs_engine_reserve(rs_child_engine(), &who, &params->seat);
}

/* What it is known by; NULL: nothing is asked for. What cannot be one is refused as the seed's back
 * ends refuse it: 0. */
static int take_identity(request_rec *r, const char **identity)
{
    ap_expr_info_t *expr = rs_request_conf(r)->gateway_identity;
    const char *problem = NULL;

    *identity = expr ? ap_expr_str_exec(r, expr, &problem) : NULL;
    if (problem) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "RS0815: RaglineIdentity: %s", problem);
        return 0;
    }
    return !expr || rs_gateway_identity_good(*identity);
}

static int reject(request_rec *r)
{
    rs_buf_t b = RS_BUF_INIT;

    if (rs_request_conf(r)->gateway_dialect != RS_DIALECT_CURRENT) {
        return rs_gateway_answer(r, HTTP_BAD_REQUEST, "Bad Request", "IDENTITY_REFUSED");
    }
    rs_stream_headers(r);
    rs_gateway_rejected(&b, HTTP_BAD_REQUEST, "");
    if (rs_buf_ok(&b)) {
        ap_rwrite(b.data, (int)b.len, r);
    }
    rs_buf_free(&b);
    return OK;
}

int rs_gateway_handler(request_rec *r)
{
    rs_engine_t *engine = rs_child_engine();
    const char *identity;
    rs_client_params_t params;
    rs_refusal_t refused;
    int status;

    if (r->method_number != M_GET) {
        return rs_http_method_error(r, "GET");
    }
    if (!rs_stream_at_home(r)) {
        return rs_http_error(r, HTTP_MISDIRECTED_REQUEST, "misdirected",
                             "streams of this host are not for HTTP/2: use another connection");
    }
    if (!rs_request_conf(r)->gateway_callback || (engine && !engine->callbacks)) {
        return rs_gateway_answer(r, HTTP_SERVICE_UNAVAILABLE, "Service not configured",
                                 "SERVICE_NOT_CONFIGURED");
    }
    if (r->header_only) {
        rs_stream_headers(r);
        return OK;
    }
    if ((status = ap_discard_request_body(r)) != OK) {
        return status;
    }
    if (rs_gateway_asks_too_much(r)) {
        return rs_gateway_answer(r, HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE,
                                 "Request headers are too large", "HEADERS_TOO_LARGE");
    }
    if (!take_identity(r, &identity)) {
        return reject(r);
    }
    if (!engine) {
        return rs_refuse(r, RS_REFUSED_UNAVAILABLE);
    }
    memset(&params, 0, sizeof(params));
    params.profile = profile(r);
    if (!params.profile) {
        return rs_refuse(r, RS_REFUSED_UNAVAILABLE);
    }
    refused = reserve(r, &params);
    if (refused != RS_REFUSED_MAX) {
        return rs_refuse(r, refused == RS_REFUSED_CONNECTIONS ? rs_refusal_of_full_child()
                                                              : refused);
    }
    if (*params.tenant || *params.user || rs_revocation_jti(r)) {
        status = rs_revocation_check(r, params.tenant, params.user);
    }
    if (status != OK) {
        rs_engine_unreserve(engine, params.seat);
        return status;
    }
    params.expires = rs_request(r)->jwt ? rs_request(r)->jwt->expires : 0;
    params.conn.transport = &rs_transport_socket;
    params.cursor = "";
    params.tenant_json = params.user_json = "null";
    return ask(r, &params, identity);
}
