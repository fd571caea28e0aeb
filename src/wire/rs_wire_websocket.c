/* SPDX-License-Identifier: Apache-2.0
 *
 * WebSocket: each message is a JSON object in a text frame. There are three dialects of it: ours,
 * and those that clients of the service Ragline know from its endpoints /ws (`plain`) and
 * /ws/orders (`orders`), whose members they have, in that order; what is ours alone comes behind.
 */
#include <string.h>

#include "../base/rs_clock.h"
#include "../proto/rs_ws.h"
#include "rs_wire.h"
#include "rs_ws_message.h"

/* What an end is called, and as what it closes. */
static const struct {
    const char *code;
    unsigned status;
} ends[] = {
    {"draining", RS_WS_GOING_AWAY},   {"token_expired", RS_WS_POLICY},
    {"internal", RS_WS_INTERNAL},     {"slow_consumer", RS_WS_TRY_LATER},
    {"over_limit", RS_WS_TRY_LATER},  {"redis_unavailable", RS_WS_TRY_LATER},
    {"unavailable", RS_WS_TRY_LATER}, {"unfinished", RS_WS_POLICY},
    {"closed", RS_WS_CLOSED},         {"revoked", RS_WS_POLICY},
    {"reauthorize", RS_WS_COME_BACK},
};

static unsigned status_of(const char *code)
{
    size_t i;

    for (i = 0; i < RS_ARRAY_LEN(ends); i++) {
        if (!strcmp(ends[i].code, code)) {
            return ends[i].status;
        }
    }
    return RS_WS_INTERNAL;
}

/* --- events --- */

static void put_id(rs_buf_t *b, const char *id, size_t len)
{
    rs_buf_add(b, ",\"id\":\"", 7);
    rs_buf_add(b, id, len);
    rs_buf_add(b, "\"", 1);
}

static void put_time(rs_buf_t *b, apr_time_t wall)
{
    char iso[RS_CLOCK_ISO_LEN];

    rs_clock_iso(iso, wall);
    rs_buf_printf(b, "\"timestamp\":\"%s\"", iso);
}

/* The message ends with its id. */
static void finish(rs_buf_t *b, size_t start, const char *id, size_t id_len, size_t *head,
                   size_t *tail)
{
    size_t shift;

    *head = b->len - start;
    put_id(b, id, id_len);
    *tail = b->len - start;
    rs_buf_puts(b, "}");
    shift = rs_ws_finish(b, start, RS_WS_OP_TEXT);
    *head -= shift;
    *tail -= shift;
}

/* Up to its id. Returns where it starts. */
static size_t begin_event(rs_buf_t *b, const char *kind, rs_text_t type, rs_text_t data)
{
    size_t start = rs_ws_open(b);

    rs_buf_printf(b, "{\"type\":\"%s\",\"event_type\":", kind);
    rs_buf_json(b, type.data, type.len);
    rs_buf_puts(b, ",\"data\":");
    rs_wire_json(b, data.data, data.len);
    rs_buf_puts(b, ",");
    put_time(b, apr_time_now());
    return start;
}

static void put_event(rs_buf_t *b, const char *kind, rs_text_t type, rs_text_t id, rs_text_t data,
                      size_t *head, size_t *tail)
{
    size_t start = begin_event(b, kind, type, data);

    finish(b, start, id.data, id.len, head, tail);
}

static void event(rs_buf_t *b, const char *type, size_t type_len, const char *id, size_t id_len,
                  const char *data, size_t data_len, size_t *head, size_t *tail)
{
    put_event(b, "event", (rs_text_t){type, type_len}, (rs_text_t){id, id_len},
              (rs_text_t){data, data_len}, head, tail);
}

static void order_event(rs_buf_t *b, const char *type, size_t type_len, const char *id,
                        size_t id_len, const char *data, size_t data_len, size_t *head,
                        size_t *tail)
{
    put_event(b, "order_event", (rs_text_t){type, type_len}, (rs_text_t){id, id_len},
              (rs_text_t){data, data_len}, head, tail);
}

static void put_message(rs_buf_t *b, const char *kind, rs_text_t type, rs_text_t data)
{
    size_t start = begin_event(b, kind, type, data);

    rs_buf_puts(b, "}");
    rs_ws_finish(b, start, RS_WS_OP_TEXT);
}

static void message(rs_buf_t *b, const char *type, size_t type_len, const char *data,
                    size_t data_len)
{
    put_message(b, "event", (rs_text_t){type, type_len}, (rs_text_t){data, data_len});
}

static void order_message(rs_buf_t *b, const char *type, size_t type_len, const char *data,
                          size_t data_len)
{
    put_message(b, "order_event", (rs_text_t){type, type_len}, (rs_text_t){data, data_len});
}

static void notice(rs_buf_t *b, const char *reason, const char *id, size_t id_len, size_t *head,
                   size_t *tail)
{
    size_t start = rs_ws_open(b);

    rs_buf_puts(b, "{\"type\":\"reset\",\"data\":");
    rs_said_reset(b, NULL, reason, NULL);
    finish(b, start, id, id_len, head, tail);
}

/* --- what the module itself says --- */

static size_t begin(rs_buf_t *b, const char *type)
{
    size_t start = rs_ws_open(b);

    rs_buf_printf(b, "{\"type\":\"%s\",", type);
    return start;
}

static void end(rs_buf_t *b, size_t start, const char *id)
{
    if (id) {
        put_id(b, id, strlen(id));
    }
    rs_buf_puts(b, "}");
    rs_ws_finish(b, start, RS_WS_OP_TEXT);
}

static void put_stream(rs_buf_t *b, const char *profile)
{
    rs_buf_puts(b, "\"stream\":");
    rs_buf_json(b, profile, strlen(profile));
    rs_buf_puts(b, ",");
}

static void put_who(rs_buf_t *b, const rs_who_t *who)
{
    rs_buf_puts(b, "\"data\":{");
    if (who->connection) {
        rs_buf_printf(b, "\"client_id\":\"%s\",", who->connection);
    }
    rs_buf_puts(b, "\"tenant_id\":");
    rs_buf_puts(b, who->tenant_json);
    rs_buf_puts(b, ",\"user_id\":");
    rs_buf_puts(b, who->user_json);
    rs_buf_puts(b, ",");
}

/* From the verdict on. */
static void end_connected(rs_buf_t *b, size_t start, const rs_who_t *who, apr_interval_time_t retry,
                          const char *id, const char *recovery, const char *reason,
                          const char *first)
{
    rs_buf_printf(b, ",\"recovery\":\"%s\"", recovery);
    if (reason) {
        rs_buf_printf(b, ",\"reason\":\"%s\"", reason);
        if (first) {
            rs_buf_printf(b, ",\"first_id\":\"%s\"", first);
        }
    }
    if (who->connection) {
        rs_buf_printf(b, ",\"connection\":\"%s\"", who->connection);
    }
    rs_buf_printf(b, "},\"retry\":%" APR_INT64_T_FMT, (apr_int64_t)apr_time_as_msec(retry));
    end(b, start, id);
}

static void connected(rs_buf_t *b, const rs_who_t *who, apr_interval_time_t retry, const char *id,
                      apr_time_t wall, const char *recovery, const char *reason, const char *first)
{
    size_t start = begin(b, "connected");

    put_stream(b, who->profile);
    put_who(b, who);
    put_time(b, wall);
    rs_buf_puts(b, ",\"subscriptions\":[]");
    end_connected(b, start, who, retry, id, recovery, reason, first);
}

static void connected_plain(rs_buf_t *b, const rs_who_t *who, apr_interval_time_t retry,
                            const char *id, apr_time_t wall, const char *recovery,
                            const char *reason, const char *first)
{
    size_t start = begin(b, "connected");

    put_who(b, who);
    put_time(b, wall);
    rs_buf_puts(b, ",\"subscriptions\":[]");
    end_connected(b, start, who, retry, id, recovery, reason, first);
}

static void connected_orders(rs_buf_t *b, const rs_who_t *who, apr_interval_time_t retry,
                             const char *id, apr_time_t wall, const char *recovery,
                             const char *reason, const char *first)
{
    size_t start = begin(b, "connected");

    put_stream(b, who->profile);
    put_who(b, who);
    rs_buf_puts(b, "\"subscriptions\":[\"order_created\",\"order_updated\",\"order_completed\","
                   "\"order_failed\"],");
    put_time(b, wall);
    end_connected(b, start, who, retry, id, recovery, reason, first);
}

static void caught_up(rs_buf_t *b, const rs_who_t *who, const char *id, apr_uint64_t replayed)
{
    size_t start = begin(b, "caught_up");

    rs_buf_puts(b, "\"data\":");
    rs_said_caught_up(b, who, replayed);
    end(b, start, id);
}

static void reset(rs_buf_t *b, const rs_who_t *who, const char *id, const char *reason,
                  const char *first)
{
    size_t start = begin(b, "reset");

    rs_buf_puts(b, "\"data\":");
    rs_said_reset(b, who, reason, first);
    end(b, start, id);
}

static void ping(rs_buf_t *b) { rs_ws_frame(b, RS_WS_OP_PING, "", 0); }

/* Without a word of its own, as RaglineHeartbeat may ask: a frame that pages do not see. */
static void heartbeat(rs_buf_t *b, const rs_who_t *who, const char *id, apr_time_t wall, int style)
{
    size_t start;

    if (style == RS_HEARTBEAT_COMMENT) {
        ping(b);
        return;
    }
    start = begin(b, "heartbeat");
    put_stream(b, who->profile);
    put_time(b, wall);
    end(b, start, id);
}

static void heartbeat_plain(rs_buf_t *b, const rs_who_t *who, const char *id, apr_time_t wall,
                            int style)
{
    size_t start;

    (void)who;
    if (style == RS_HEARTBEAT_COMMENT) {
        ping(b);
        return;
    }
    start = begin(b, "ping");
    put_time(b, wall);
    end(b, start, id);
}

static void challenge(rs_buf_t *b, const char *connection, int seconds)
{
    size_t start = begin(b, "challenge");

    rs_buf_puts(b, "\"data\":");
    rs_said_challenge(b, connection, seconds);
    end(b, start, NULL);
}

static void error(rs_buf_t *b, const char *profile, const char *code, const char *message,
                  const char *text, apr_interval_time_t retry)
{
    size_t start = begin(b, "error");

    rs_buf_puts(b, "\"message\":");
    rs_buf_json(b, message, strlen(message));
    rs_buf_puts(b, ",\"error\":");
    rs_buf_json(b, text, strlen(text));
    rs_buf_puts(b, ",");
    put_stream(b, profile);
    rs_buf_printf(b, "\"code\":\"%s\"", code);
    if (retry >= 0) {
        rs_buf_printf(b, ",\"retry\":%" APR_INT64_T_FMT, (apr_int64_t)apr_time_as_msec(retry));
    }
    end(b, start, NULL);
    rs_ws_close(b, status_of(code), code);
}

/* --- what the peer says --- */

static void peer_begin(void *state, size_t max) { rs_ws_begin(state, max); }

static void peer_end(void *state) { rs_ws_end(state); }

static const char *reason_of(unsigned code)
{
    return code == RS_WS_TOO_BIG       ? "too_big"
           : code == RS_WS_INTERNAL    ? "internal"
           : code == RS_WS_UNSUPPORTED ? "only text messages"
                                       : "protocol";
}

static rs_asks_t hear(void *state, const char **at, const char *stop, rs_buf_t *out,
                      rs_asked_t *asked)
{
    rs_asks_t asks = RS_ASKS_NOTHING;
    rs_ws_t *ws = state;
    const char *payload;
    int heard = 0;
    size_t len;

    while (asks == RS_ASKS_NOTHING && !heard && *at < stop) {
        switch (rs_ws_next(ws, at, stop, &payload, &len)) {
        case RS_WS_TEXT:
            asks = rs_ws_message(out, payload, len, asked);
            heard = 1;
            break;
        case RS_WS_PING:
            rs_ws_frame(out, RS_WS_OP_PONG, payload, len);
            break;
        case RS_WS_CLOSE:
            rs_ws_close(out, ws->code, "");
            asks = RS_ASKS_END;
            break;
        case RS_WS_BROKEN:
            rs_ws_close(out, ws->code, reason_of(ws->code));
            asks = RS_ASKS_END;
            break;
        case RS_WS_MORE:
        case RS_WS_PONG:
            break;
        }
    }
    rs_ws_done(ws);
    return asks;
}

static unsigned unfinished(const void *state, size_t *kept)
{
    return rs_ws_unfinished(state, kept);
}

static int part(void *state, const char *bytes, size_t len)
{
    return rs_ws_drop(state, bytes, len);
}

static void subscribed(rs_buf_t *out, const rs_subscription_t *wanted)
{
    size_t start = begin(out, "subscription_updated");

    rs_buf_puts(out, "\"subscriptions\":");
    rs_subscription_json(out, wanted);
    rs_buf_puts(out, ",");
    put_time(out, apr_time_now());
    end(out, start, NULL);
}

/* All are healthy: those that take nothing are ended. */
static void stats(rs_buf_t *out, const char *tenant, unsigned connections, const rs_buf_t *users)
{
    size_t start = begin(out, "stats");

    rs_buf_printf(out, "\"data\":{\"total_connections\":%u,\"connections_by_tenant\":{",
                  connections);
    rs_buf_json(out, tenant, strlen(tenant));
    rs_buf_printf(out, ":%u},\"connections_by_user\":", connections);
    rs_buf_add(out, users->data, users->len);
    rs_buf_printf(out, ",\"healthy_connections\":%u},", connections);
    put_time(out, apr_time_now());
    end(out, start, NULL);
}

static void renewed(rs_buf_t *out, apr_interval_time_t left)
{
    size_t start = begin(out, "auth_updated");

    rs_buf_puts(out, "\"expires_in\":");
    if (left < 0) {
        rs_buf_puts(out, "null,");
    }
    else {
        rs_buf_printf(out, "%" APR_INT64_T_FMT ",", (apr_int64_t)apr_time_sec(left));
    }
    put_time(out, apr_time_now());
    end(out, start, NULL);
}

static void refused(rs_buf_t *out, const char *what, const char *why)
{
    size_t start = begin(out, "error");

    rs_buf_printf(out, "\"message\":\"%s\",\"error\":", what ? what : "Message handling failed");
    rs_buf_json(out, why, strlen(why));
    end(out, start, NULL);
}

static const rs_wire_peer_t peer = {
    .size = sizeof(rs_ws_t),
    .begin = peer_begin,
    .end = peer_end,
    .hear = hear,
    .unfinished = unfinished,
    .part = part,
    .subscribed = subscribed,
    .renewed = renewed,
    .refused = refused,
    .stats = stats,
    .ping = ping,
};

#define WEBSOCKET                                                                                  \
    .peer = &peer, .id = put_id, .reframe = rs_ws_reframe, .notice = notice,                       \
    .caught_up = caught_up, .reset = reset, .error = error

const rs_wire_t rs_wire_websocket = {
    WEBSOCKET,
    .frames = RS_WIRE_WEBSOCKET,
    .event = event,
    .message = message,
    .connected = connected,
    .heartbeat = heartbeat,
    .challenge = challenge,
};

const rs_wire_t rs_wire_websocket_plain = {
    WEBSOCKET,          .frames = RS_WIRE_WEBSOCKET,  .event = event,
    .message = message, .connected = connected_plain, .heartbeat = heartbeat_plain,
};

const rs_wire_t rs_wire_websocket_orders = {
    WEBSOCKET,
    .frames = RS_WIRE_WEBSOCKET_ORDERS,
    .event = order_event,
    .message = order_message,
    .connected = connected_orders,
    .heartbeat = heartbeat,
};
