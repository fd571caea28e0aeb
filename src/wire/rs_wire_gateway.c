/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway's events, as SSEGateway's clients know them: no ids, and what has a name stands in an
 * envelope, since EventSource gives named events only to who asked for that name. The worker that
 * sends one, and streamers.
 */
#include "rs_wire.h"

static int is(const char *name, size_t len, const char *what)
{
    return len == strlen(what) && memcmp(name, what, len) == 0;
}

void rs_wire_gateway_event(rs_buf_t *b, const char *name, const char *data)
{
    size_t len = name ? strlen(name) : 0;
    rs_buf_t envelope = RS_BUF_INIT;

    if (!len) {
        rs_sse_data(b, data, strlen(data));
    }
    else if (is(name, len, "ready")) {
        rs_wire_gateway_ready(b);
        return;
    }
    else if (is(name, len, "rejected")) {
        rs_buf_puts(b, "event: rejected\n");
        rs_sse_data(b, data, strlen(data));
    }
    else {
        /* What is no JSON becomes a string: a page that reads the envelope reads all of them. */
        rs_buf_puts(&envelope, "{\"type\":");
        rs_buf_json(&envelope, name, len);
        rs_buf_puts(&envelope, ",\"payload\":");
        rs_wire_json(&envelope, data, strlen(data));
        rs_buf_puts(&envelope, "}");
        if (rs_buf_ok(&envelope)) {
            rs_sse_data(b, envelope.data, envelope.len);
        }
        else {
            b->broken = 1;
        }
        rs_buf_free(&envelope);
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
