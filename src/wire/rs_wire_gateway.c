/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway's events, as SSEGateway's clients know them: no ids, and what has a name stands in an
 * envelope, since EventSource gives named events only to who asked for that name. The worker that
 * sends one, and streamers.
 */
#include "../proto/rs_gateway.h"
#include "rs_wire.h"

static int is(const char *name, size_t len, const char *what)
{
    return len == strlen(what) && memcmp(name, what, len) == 0;
}

/* What is no JSON becomes a string: a page that reads the envelope reads all of them. */
static void envelope(rs_buf_t *b, const char *name, size_t len, const char *data)
{
    rs_buf_t text = RS_BUF_INIT;

    rs_buf_puts(&text, "{\"type\":");
    rs_buf_json(&text, name, len);
    rs_buf_puts(&text, ",\"payload\":");
    rs_wire_json(&text, data, strlen(data));
    rs_buf_puts(&text, "}");
    if (rs_buf_ok(&text)) {
        rs_sse_data(b, text.data, text.len);
    }
    else {
        b->broken = 1;
    }
    rs_buf_free(&text);
}

/* The name of an event ends with its line. */
static void type(rs_buf_t *b, const char *name)
{
    rs_buf_puts(b, "event: ");
    rs_buf_add(b, name, strcspn(name, "\r\n"));
    rs_buf_puts(b, "\n");
}

void rs_wire_gateway_event(rs_buf_t *b, int dialect, const char *name, const char *data)
{
    size_t len = name ? strlen(name) : 0;

    if (!len) {
        rs_sse_data(b, data, strlen(data));
    }
    else if (dialect == RS_DIALECT_CURRENT && is(name, len, "ready")) {
        rs_wire_gateway_ready(b);
        return;
    }
    else if (dialect == RS_DIALECT_CURRENT && !is(name, len, "rejected")) {
        envelope(b, name, len, data);
    }
    else {
        type(b, name);
        rs_sse_data(b, data, strlen(data));
    }
    rs_buf_puts(b, "\n");
}

void rs_wire_gateway_ready(rs_buf_t *b) { rs_buf_puts(b, "event: ready\ndata:\n\n"); }

static void heartbeat(rs_buf_t *b, const rs_who_t *who, const char *id, apr_time_t wall, int style)
{
    (void)who, (void)id, (void)wall, (void)style;
    rs_buf_puts(b, ": heartbeat\n\n");
}

/* Its clients know no events of the module's own: they are told to come back, and when. */
static void error(rs_buf_t *b, const char *profile, const char *code, const char *message,
                  const char *error_text, apr_interval_time_t retry)
{
    (void)profile, (void)code, (void)message, (void)error_text;
    if (retry >= 0) {
        rs_buf_printf(b, "retry: %" APR_INT64_T_FMT "\n\n", (apr_int64_t)apr_time_as_msec(retry));
    }
}

const rs_wire_t rs_wire_gateway = {
    .frames = RS_WIRE_SSE,
    .media_type = "text/event-stream",
    .heartbeat = heartbeat,
    .error = error,
};
