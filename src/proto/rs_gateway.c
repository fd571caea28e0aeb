/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway's protocol: SSEGateway's, word for word where applications look at it.
 */
#include <apr_strings.h>

#include "rs_gateway.h"

const char *rs_gateway_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } known[] = {
        {200, "OK"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {413, "Payload Too Large"},
        {415, "Unsupported Media Type"},
        {422, "Unprocessable Entity"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    apr_size_t i;

    for (i = 0; i < RS_ARRAY_LEN(known) && known[i].status != status; i++) {
    }
    return i < RS_ARRAY_LEN(known) ? known[i].phrase : "Unknown";
}

void rs_gateway_head(rs_buf_t *b, int status, const char *lines, apr_ssize_t length)
{
    rs_buf_printf(b, "HTTP/1.1 %d %s\r\n", status, rs_gateway_phrase(status));
    rs_buf_puts(b, lines);
    if (length < 0) {
        rs_buf_puts(b, "Cache-Control: no-cache, no-transform\r\nX-Accel-Buffering: no\r\n"
                       "Incremental: ?1\r\nConnection: close\r\n"
                       "Content-Type: text/event-stream\r\n\r\n");
    }
    else {
        rs_buf_printf(b,
                      "Cache-Control: no-store\r\nConnection: close\r\n"
                      "Content-Length: %" APR_SSIZE_T_FMT "\r\n"
                      "Content-Type: application/json\r\n\r\n",
                      length);
    }
}

void rs_gateway_error(rs_buf_t *b, const char *message, const char *code)
{
    rs_buf_puts(b, "{\"error\":{\"message\":");
    rs_buf_json(b, message, strlen(message));
    rs_buf_printf(b, ",\"code\":\"%s\"}}", code);
}

void rs_gateway_refusal(rs_buf_t *b, int status, const char *lines, const char *message,
                        const char *code)
{
    rs_buf_t body = RS_BUF_INIT;

    rs_gateway_error(&body, message, code);
    rs_gateway_head(b, status, lines, rs_buf_ok(&body) ? (apr_ssize_t)body.len : 0);
    /* These have none, whatever is behind their head. */
    if (rs_buf_ok(&body) && status != 204 && status != 304) {
        rs_buf_add(b, body.data, body.len);
    }
    rs_buf_free(&body);
}

void rs_gateway_rejected(rs_buf_t *b, int status, const char *phrase)
{
    const char *words = *phrase ? phrase : rs_gateway_phrase(status);

    rs_buf_printf(b, "event: rejected\ndata: {\"status\":%d,\"message\":", status);
    rs_buf_json(b, words, strlen(words));
    rs_buf_puts(b, "}\n\n");
}

/* --- what an application asks for --- */

enum { TOKEN, IDENTITY, EVENT, CLOSE, ORDER_MEMBERS };
static const char *const order_members[] = {"token", "identity", "event", "close"};
enum { NAME, DATA, EVENT_MEMBERS };
static const char *const event_members[] = {"name", "data"};

/* The last one of a name counts, as JSON's own readers do. What is not an object has none. */
static void find(rs_json_t *found, rs_json_t object, const char *const *names, int n)
{
    rs_json_t inside, name, value;
    int i;

    for (i = 0; i < n; i++) {
        found[i] = (rs_json_t){NULL, NULL};
    }
    if (rs_json_kind(object) != '{') {
        return;
    }
    inside = rs_json_inside(object);
    while (rs_json_member(&inside, &name, &value)) {
        for (i = 0; i < n; i++) {
            if (rs_json_is(name, names[i], strlen(names[i]))) {
                found[i] = value;
            }
        }
    }
}

static const char *wrong(const char **message, const char *what, const char *code)
{
    *message = what;
    return code;
}

static const char *read_event(rs_gateway_order_t *order, const char **message, apr_pool_t *p,
                              rs_json_t event)
{
    rs_json_t of[EVENT_MEMBERS];

    if (rs_json_kind(event) != '{' && rs_json_kind(event) != '[') {
        return wrong(message, "Invalid request: event must be an object", "INVALID_EVENT_TYPE");
    }
    find(of, event, event_members, EVENT_MEMBERS);
    order->data = of[DATA].s ? rs_json_text(p, of[DATA]) : NULL;
    if (!order->data) {
        return wrong(message, "Invalid request: event.data is required and must be a string",
                     "INVALID_EVENT_DATA_MISSING");
    }
    order->name = of[NAME].s ? rs_json_text(p, of[NAME]) : NULL;
    if (of[NAME].s && !order->name) {
        return wrong(message, "Invalid request: event.name must be a string",
                     "INVALID_EVENT_NAME_TYPE");
    }
    return NULL;
}

int rs_gateway_identity_good(const char *identity)
{
    const char *c;

    for (c = identity; *c; c++) {
        if ((unsigned char)*c <= ' ' || *c == ':' || *c == 0x7f) {
            return 0;
        }
    }
    return c > identity && c - identity <= RS_GATEWAY_IDENTITY_MAX;
}

/* To whom: a token, or, without one, an identity. */
static const char *read_whom(rs_gateway_order_t *order, const char **message, apr_pool_t *p,
                             const rs_json_t *of)
{
    order->token = of[TOKEN].s ? rs_json_string(p, of[TOKEN]) : NULL;
    order->identity = !of[TOKEN].s && of[IDENTITY].s ? rs_json_string(p, of[IDENTITY]) : NULL;
    if (order->identity && !rs_gateway_identity_good(order->identity)) {
        return wrong(message,
                     "Invalid request: identity is 1 to 128 bytes without spaces and colons",
                     "INVALID_IDENTITY");
    }
    return order->identity || (order->token && *order->token)
               ? NULL
               : wrong(message, "Invalid request: token is required and must be a string",
                       "INVALID_TOKEN_MISSING");
}

const char *rs_gateway_order(rs_gateway_order_t *order, const char **message, apr_pool_t *p,
                             const char *body, size_t len)
{
    rs_json_t text = {body, body + len}, value, of[ORDER_MEMBERS];
    const char *code;

    memset(order, 0, sizeof(*order));
    if (!rs_json_is_good(&value, text, RS_JSON_DEPTH_ANY)) {
        return wrong(message, "Invalid request: the body is not JSON", "INVALID_JSON");
    }
    find(of, value, order_members, ORDER_MEMBERS);
    code = read_whom(order, message, p, of);
    if (!code && of[EVENT].s) {
        code = read_event(order, message, p, of[EVENT]);
    }
    if (!code && of[CLOSE].s) {
        order->close = rs_json_kind(of[CLOSE]) == 't';
        if (!order->close && rs_json_kind(of[CLOSE]) != 'f') {
            code = wrong(message, "Invalid request: close must be a boolean", "INVALID_CLOSE_TYPE");
        }
    }
    return code;
}

void rs_gateway_answered(rs_gateway_order_t *order, apr_pool_t *p, const char *body, size_t len)
{
    rs_json_t text = {body, body + len}, value, of[ORDER_MEMBERS];
    const char *ignored;

    memset(order, 0, sizeof(*order));
    if (!rs_json_is_good(&value, text, RS_JSON_DEPTH_ANY)) {
        return;
    }
    find(of, value, order_members, ORDER_MEMBERS);
    if (of[EVENT].s && read_event(order, &ignored, p, of[EVENT])) {
        order->data = NULL;
    }
    order->close = of[CLOSE].s && rs_json_kind(of[CLOSE]) == 't';
}
