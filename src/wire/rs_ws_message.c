/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages of clients. The words of errors are those of the service whose clients these are.
 */
#include <string.h>

#include "../base/rs_clock.h"
#include "../base/rs_json.h"
#include "../proto/rs_ws.h"
#include "rs_ws_message.h"

/* How much of an unknown type is repeated. */
#define TYPE_MAX 128

static rs_asks_t pong(rs_buf_t *out)
{
    char iso[RS_CLOCK_ISO_LEN];
    size_t start = rs_ws_open(out);

    rs_clock_iso(iso, apr_time_now());
    rs_buf_printf(out, "{\"type\":\"pong\",\"timestamp\":\"%s\"}", iso);
    rs_ws_finish(out, start, RS_WS_OP_TEXT);
    return RS_ASKS_NOTHING;
}

static rs_asks_t complain(rs_buf_t *out, const char *message, size_t len, const char *error)
{
    size_t start = rs_ws_open(out);

    rs_buf_puts(out, "{\"type\":\"error\",\"message\":");
    rs_buf_json(out, message, len);
    if (error) {
        rs_buf_puts(out, ",\"error\":");
        rs_buf_json(out, error, strlen(error));
    }
    rs_buf_puts(out, "}");
    rs_ws_finish(out, start, RS_WS_OP_TEXT);
    return RS_ASKS_NOTHING;
}

static rs_asks_t failed(rs_buf_t *out, const char *why)
{
    static const char message[] = "Message handling failed";

    return complain(out, message, sizeof(message) - 1, why);
}

static rs_asks_t unknown(rs_buf_t *out, const char *type, size_t len)
{
    static const char words[] = "Unknown message type: ";
    char message[sizeof(words) + TYPE_MAX];

    memcpy(message, words, sizeof(words) - 1);
    memcpy(message + sizeof(words) - 1, type, len);
    return complain(out, message, sizeof(words) - 1 + len, NULL);
}

/* One pattern: a type, or what types begin with and `*`. More of these in one could be made to cost
 * much with each event. -1: it is none. */
static apr_ssize_t pattern(char *out, rs_json_t value)
{
    apr_ssize_t len = rs_json_copy(out, RS_SUBSCRIPTION_LEN, value);
    const char *star;

    if (len < 1 || memchr(out, '\0', (size_t)len)) {
        return -1;
    }
    star = memchr(out, '*', (size_t)len);
    out[len] = '\0';
    return star && star != out + len - 1 ? -1 : len;
}

static rs_asks_t subscribe(rs_buf_t *out, rs_json_t list, rs_asked_t *asked)
{
    char text[RS_SUBSCRIPTION_MAX][RS_SUBSCRIPTION_LEN + 1];
    const char *patterns[RS_SUBSCRIPTION_MAX];
    rs_json_t inside, value;
    int n = 0, all = 0;

    asked->types = NULL;
    if (rs_json_kind(list) != '[') {
        return failed(out, "subscriptions has to be an array of event types");
    }
    inside = rs_json_inside(list);
    for (; rs_json_element(&inside, &value); n++) {
        if (n == RS_SUBSCRIPTION_MAX) {
            return failed(out, "too many subscriptions");
        }
        if (pattern(text[n], value) < 0) {
            return failed(out, "a subscription is an event type of 1 to 128 bytes, or what types "
                               "begin with and *");
        }
        patterns[n] = text[n];
        all |= !strcmp(text[n], "all") || !strcmp(text[n], "*");
    }
    if (n && !all && !(asked->types = rs_subscription_create(patterns, n))) {
        return failed(out, "out of memory");
    }
    return RS_ASKS_SUBSCRIBE;
}

/* An id, as it came in an event. */
static rs_asks_t of_id(rs_asks_t asks, rs_buf_t *out, rs_json_t id, rs_asked_t *asked)
{
    apr_ssize_t len = rs_json_copy(asked->id, sizeof(asked->id) - 1, id);

    if (len < 1 || memchr(asked->id, '\0', (size_t)len)) {
        return failed(out, "id has to be that of an event");
    }
    asked->id[len] = '\0';
    return asks;
}

static rs_asks_t auth(rs_buf_t *out, rs_json_t token, rs_asked_t *asked)
{
    apr_ssize_t len = rs_json_copy(asked->token, sizeof(asked->token), token);

    if (len < 1) {
        return failed(out, "token has to be a token");
    }
    asked->token_len = (size_t)len;
    return RS_ASKS_AUTH;
}

static int is_type(const char *type, apr_ssize_t len, const char *name)
{
    return len == (apr_ssize_t)strlen(name) && !memcmp(type, name, (size_t)len);
}

rs_asks_t rs_ws_message(rs_buf_t *out, const char *text, size_t len, rs_asked_t *asked)
{
    static const char invalid[] = "Invalid JSON message";
    static const char *const names[] = {"type", "subscriptions", "id", "token"};
    rs_json_t message, whole = {text, text + len}, inside, name, value;
    rs_json_t found[RS_ARRAY_LEN(names)] = {{NULL, NULL}};
    char type[TYPE_MAX];
    apr_ssize_t n;
    int which;

    if (!rs_json_is_good(&message, whole, RS_JSON_DEPTH_MAX)) {
        return complain(out, invalid, sizeof(invalid) - 1, NULL);
    }
    if (rs_json_kind(message) != '{') {
        return failed(out, "a message is a JSON object");
    }
    inside = rs_json_inside(message);
    while (rs_json_member(&inside, &name, &value)) {
        which = rs_json_which(name, names, (int)RS_ARRAY_LEN(names));
        if (which >= 0) {
            found[which] = value;
        }
    }
    n = rs_json_copy(type, sizeof(type), found[0]);
    if (is_type(type, n, "ping")) {
        return pong(out);
    }
    if (is_type(type, n, "subscribe")) {
        return subscribe(out, found[1], asked);
    }
    if (is_type(type, n, "ack")) {
        return of_id(RS_ASKS_ACK, out, found[2], asked);
    }
    if (is_type(type, n, "resume")) {
        return of_id(RS_ASKS_RESUME, out, found[2], asked);
    }
    if (is_type(type, n, "auth")) {
        return auth(out, found[3], asked);
    }
    if (is_type(type, n, "get_stats")) {
        return RS_ASKS_STATS;
    }
    return unknown(out, type, n < 0 ? 0 : (size_t)n);
}
