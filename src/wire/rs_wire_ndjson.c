/* SPDX-License-Identifier: Apache-2.0
 *
 * Newline-delimited JSON (application/x-ndjson): a message is an object in a line of its own, with
 * what a Server-Sent Event has as fields: id, event, data, and retry in milliseconds. data is the
 * payload's JSON as it was written, or, where the payload is no JSON, a string.
 */
#include <string.h>

#include "rs_wire.h"

static void put_id(rs_buf_t *b, const char *id, size_t len)
{
    rs_buf_add(b, "\"id\":\"", 6);
    rs_buf_add(b, id, len);
    rs_buf_add(b, "\",", 2);
}

static void put_data(rs_buf_t *b, const char *data, size_t len)
{
    rs_buf_add(b, "\"data\":", 7);
    rs_wire_json(b, data, len);
    rs_buf_add(b, "}\n", 2);
}

static void event(rs_buf_t *b, const char *type, size_t type_len, const char *id, size_t id_len,
                  const char *data, size_t data_len, size_t *head, size_t *tail)
{
    size_t start = b->len;

    rs_buf_add(b, "{", 1);
    *head = b->len - start;
    put_id(b, id, id_len);
    *tail = b->len - start;
    rs_buf_add(b, "\"event\":", 8);
    rs_buf_json(b, type, type_len);
    rs_buf_add(b, ",", 1);
    put_data(b, data, data_len);
}

static void message(rs_buf_t *b, const char *type, size_t type_len, const char *data,
                    size_t data_len)
{
    rs_buf_add(b, "{\"event\":", 9);
    rs_buf_json(b, type, type_len);
    rs_buf_add(b, ",", 1);
    put_data(b, data, data_len);
}

/* A message of ours, up to its data. */
static void begin(rs_buf_t *b, const char *type, const char *id, apr_interval_time_t retry)
{
    rs_buf_add(b, "{", 1);
    if (id) {
        put_id(b, id, strlen(id));
    }
    rs_buf_printf(b, "\"event\":\"%s\",", type);
    if (retry >= 0) {
        rs_buf_printf(b, "\"retry\":%" APR_INT64_T_FMT ",", (apr_int64_t)apr_time_as_msec(retry));
    }
    rs_buf_puts(b, "\"data\":");
}

static void finish(rs_buf_t *b) { rs_buf_add(b, "}\n", 2); }

static void connected(rs_buf_t *b, const rs_who_t *who, apr_interval_time_t retry, const char *id,
                      apr_time_t wall, const char *recovery, const char *reason, const char *first)
{
    begin(b, "connected", id, retry);
    rs_said_connected(b, who, wall, recovery, reason, first);
    finish(b);
}

static void caught_up(rs_buf_t *b, const rs_who_t *who, const char *id, apr_uint64_t replayed)
{
    begin(b, "caught_up", id, -1);
    rs_said_caught_up(b, who, replayed);
    finish(b);
}

static void reset(rs_buf_t *b, const rs_who_t *who, const char *id, const char *reason,
                  const char *first)
{
    begin(b, "reset", id, -1);
    rs_said_reset(b, who, reason, first);
    finish(b);
}

/* Without a word of its own, as RaglineHeartbeat may ask: an empty line, which readers of lines
 * skip. */
static void heartbeat(rs_buf_t *b, const rs_who_t *who, const char *id, apr_time_t wall, int style)
{
    if (style == RS_HEARTBEAT_COMMENT) {
        rs_buf_add(b, "\n", 1);
        return;
    }
    begin(b, "heartbeat", id, -1);
    rs_said_heartbeat(b, who, wall);
    finish(b);
}

static void challenge(rs_buf_t *b, const char *connection, int seconds)
{
    begin(b, "challenge", NULL, -1);
    rs_said_challenge(b, connection, seconds);
    finish(b);
}

static void error(rs_buf_t *b, const char *profile, const char *code, const char *message,
                  const char *text, apr_interval_time_t retry)
{
    begin(b, "error", NULL, retry);
    rs_said_error(b, profile, code, message, text);
    finish(b);
}

#define NDJSON                                                                                     \
    .frames = RS_WIRE_NDJSON, .event = event, .id = put_id, .connected = connected,                \
    .caught_up = caught_up, .reset = reset, .heartbeat = heartbeat, .challenge = challenge,        \
    .message = message, .error = error

const rs_wire_t rs_wire_ndjson = {
    NDJSON,
    .name = "ndjson",
    .media_type = "application/x-ndjson",
};

/* The same lines, until the first events came: http makes one JSON array of them. */
const rs_wire_t rs_wire_poll = {
    NDJSON,
    .one_batch = 1,
    .name = "poll",
    .media_type = "application/json",
};
