/* SPDX-License-Identifier: Apache-2.0
 *
 * SetHandler ragline-gateway-send: an application sends to one connection, by its token, or ends
 * it. The answer says what became of that. The worker.
 */
#include "../conf/rs_httpd.h"

#include "../base/rs_clock.h"
#include "../conf/rs_conf.h"
#include "../proto/rs_gateway.h"
#include "../proto/rs_media_type.h"
#include "rs_body.h"
#include "rs_child.h"
#include "rs_error.h"
#include "rs_gateway.h"
#include "rs_request.h"
#include "rs_revocation_check.h"

/* JSON may write a byte with six. */
#define BODY_TIMES 6
#define BODY_MORE 4096

/* What is wrong with the body, in the gateway's own form. */
static int refuse_body(request_rec *r, int status)
{
    if (status == HTTP_REQUEST_ENTITY_TOO_LARGE) {
        return rs_gateway_answer(r, status, "Body too large", "BODY_TOO_LARGE");
    }
    if (status == HTTP_UNSUPPORTED_MEDIA_TYPE) {
        return rs_gateway_answer(r, status, "Invalid request: the body must be application/json",
                                 "UNSUPPORTED_MEDIA_TYPE");
    }
    return rs_gateway_answer(r, HTTP_BAD_REQUEST, "Invalid request: the body did not arrive whole",
                             "INVALID_BODY");
}

/* OK, or its status. */
static int read_body(request_rec *r, rs_buf_t *body)
{
    apr_off_t limit = rs_conf_server(r->server)->max_message * BODY_TIMES + BODY_MORE;

    if (rs_media_type(apr_table_get(r->headers_in, "Content-Type")) != RS_MEDIA_JSON
        || rs_body_is_packed(r)) {
        return HTTP_UNSUPPORTED_MEDIA_TYPE;
    }
    return rs_body_read(r, body, limit);
}

static int unavailable(request_rec *r, const char *message, const char *code)
{
    apr_table_setn(r->err_headers_out, "Retry-After", "1");
    return rs_gateway_answer(r, HTTP_SERVICE_UNAVAILABLE, message, code);
}

static int answer(request_rec *r, rs_sent_t sent, const rs_gateway_order_t *order)
{
    switch (sent) {
    case RS_SENT:
        return rs_http_json(r, HTTP_OK, "{\"status\":\"ok\"}");
    case RS_SENT_BUFFERED:
        return rs_http_json(r, HTTP_OK, "{\"status\":\"buffered\"}");
    case RS_SENT_GONE:
        if (!order->token) {
            return rs_gateway_answer(r, HTTP_NOT_FOUND, "Identity not found", "IDENTITY_NOT_FOUND");
        }
        return rs_gateway_answer(r, HTTP_NOT_FOUND, "Token not found", "TOKEN_NOT_FOUND");
    case RS_SENT_FULL:
        return rs_gateway_answer(r, HTTP_INTERNAL_SERVER_ERROR,
                                 order->token ? "Write failed: the client does not read"
                                              : "Write failed: too much waits for it",
                                 "WRITE_FAILED");
    case RS_SENT_TOO_BIG:
        return rs_gateway_answer(r, HTTP_REQUEST_ENTITY_TOO_LARGE, "Event too large",
                                 "BODY_TOO_LARGE");
    case RS_SENT_AWAY:
        return unavailable(r, "Redis cannot be asked who has it; nothing was sent",
                           "REDIS_UNAVAILABLE");
    case RS_SENT_ELSEWHERE:
        return unavailable(r, "Token not found here, and this server has other processes",
                           "TOKEN_NOT_HERE");
    case RS_SENT_UNKNOWN:
        return unavailable(r, "No answer: it may have been sent, or not", "SEND_UNKNOWN");
    case RS_SENT_LATE:
        return rs_gateway_answer(r, HTTP_INTERNAL_SERVER_ERROR,
                                 "Write failed: this server is too busy", "WRITE_FAILED");
    default:
        return rs_gateway_answer(r, HTTP_INTERNAL_SERVER_ERROR, "Write failed: connection closed",
                                 "WRITE_FAILED");
    }
}

static int send_to(request_rec *r, const rs_gateway_order_t *order)
{
    rs_engine_t *engine = rs_child_engine();
    rs_gateway_stats_t *stats;
    apr_time_t began;
    rs_sent_t sent;

    if (!engine || !engine->office) {
        return answer(r, RS_SENT_ELSEWHERE, order);
    }
    if (order->data
        && (apr_off_t)(strlen(order->data) + (order->name ? strlen(order->name) : 0))
               > rs_conf_server(r->server)->max_message) {
        return answer(r, RS_SENT_TOO_BIG, order);
    }
    stats = &engine->common.stats->gateway;
    began = rs_clock_now();
    sent = rs_office_send(engine->office, order, rs_request_conf(r)->gateway_keep);
    if (sent != RS_SENT_GONE && sent != RS_SENT_AWAY) {
        RS_STAT_ADD(stats->sends, 1);
        RS_STAT_ADD(stats->send_time, (apr_uint64_t)(rs_clock_now() - began));
    }
    return answer(r, sent, order);
}

int rs_gateway_send_handler(request_rec *r)
{
    rs_gateway_order_t order;
    rs_buf_t body = RS_BUF_INIT;
    const char *message = "", *code;
    int status;

    if (r->method_number != M_POST) {
        ap_allow_methods(r, REPLACE_ALLOW, "POST", NULL);
        apr_table_setn(r->headers_out, "Allow", "POST");
        return rs_gateway_answer(r, HTTP_METHOD_NOT_ALLOWED, "The method here is POST",
                                 "METHOD_NOT_ALLOWED");
    }
    if ((status = rs_revocation_check_caller(r)) != OK) {
        return status;
    }
    status = read_body(r, &body);
    if (status != OK) {
        status = refuse_body(r, status);
    }
    else {
        code = rs_gateway_order(&order, &message, r->pool, body.data ? body.data : "", body.len);
        status = code ? rs_gateway_answer(r, HTTP_BAD_REQUEST, message, code)
                      : send_to(r, &order);
    }
    rs_buf_free(&body);
    return status;
}
