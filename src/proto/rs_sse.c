/* SPDX-License-Identifier: Apache-2.0
 *
 * The SSE encoder. The hub calls rs_sse_event() once per event and log, streamers the others.
 */
#include <apr_strings.h>

#include "../base/rs_clock.h"
#include "../base/rs_utf8.h"
#include "rs_sse.h"

/* The run of bytes that can be copied as they are. */
static size_t plain_run(const char *s, const char *end)
{
    const char *start = s;

    while (s < end) {
        unsigned char c = (unsigned char)*s;

        if (c == '\n' || c == '\r' || c == '\0') {
            break;
        }
        if (c < 0x80) {
            s++;
        }
        else {
            size_t len = rs_utf8_char(s, (size_t)(end - s));

            if (!len) {
                break;
            }
            s += len;
        }
    }
    return (size_t)(s - start);
}

static void data_lines(rs_buf_t *b, const char *s, size_t n)
{
    const char *end = s + n;

    rs_buf_add(b, "data: ", 6);
    while (s < end) {
        size_t run = plain_run(s, end);

        rs_buf_add(b, s, run);
        s += run;
        if (s == end) {
            break;
        }
        if (*s == '\n' || *s == '\r') {
            s += *s == '\r' && s + 1 < end && s[1] == '\n' ? 2 : 1;
            rs_buf_add(b, "\ndata: ", 7);
        }
        else {
            rs_buf_add(b, "\xEF\xBF\xBD", 3);
            s++;
        }
    }
    rs_buf_add(b, "\n", 1);
}

/* The id is the last line: several clients take it for theirs as soon as they have read it, and
 * would not ask again for an event that was cut off after it. */
static void end_with_id(rs_buf_t *b, const char *id)
{
    if (id) {
        rs_buf_printf(b, "id: %s\n", id);
    }
    rs_buf_add(b, "\n", 1);
}

void rs_sse_event(rs_buf_t *b, const char *type, size_t type_len, const char *id, size_t id_len,
                  const char *data, size_t data_len, size_t *head, size_t *tail)
{
    size_t start = b->len;

    rs_buf_add(b, "event: ", 7);
    rs_buf_add(b, type, type_len);
    rs_buf_add(b, "\n", 1);
    data_lines(b, data, data_len);
    *head = b->len - start;
    rs_buf_add(b, "id: ", 4);
    rs_buf_add(b, id, id_len);
    rs_buf_add(b, "\n", 1);
    *tail = b->len - start;
    rs_buf_add(b, "\n", 1);
}

static void milliseconds(rs_buf_t *b, apr_interval_time_t t)
{
    rs_buf_printf(b, "retry: %" APR_INT64_T_FMT "\n", (apr_int64_t)apr_time_as_msec(t));
}

static void json_text(rs_buf_t *b, const char *name, const char *text)
{
    rs_buf_printf(b, "\"%s\":", name);
    rs_buf_json(b, text, strlen(text));
}

void rs_sse_connected(rs_buf_t *b, const rs_sse_who_t *who, apr_interval_time_t retry,
                      const char *id, apr_time_t wall, const char *recovery, const char *reason,
                      const char *first)
{
    char iso[RS_CLOCK_ISO_LEN];

    milliseconds(b, retry);
    rs_buf_puts(b, "event: connected\ndata: {");
    json_text(b, "stream", who->profile);
    rs_buf_puts(b, ",\"tenant_id\":");
    rs_buf_puts(b, who->tenant_json);
    rs_buf_puts(b, ",\"user_id\":");
    rs_buf_puts(b, who->user_json);
    rs_clock_iso(iso, wall);
    rs_buf_printf(b, ",\"timestamp\":\"%s\",\"recovery\":\"%s\"", iso, recovery);
    if (reason) {
        rs_buf_printf(b, ",\"reason\":\"%s\"", reason);
    }
    if (first) {
        rs_buf_printf(b, ",\"first_id\":\"%s\"", first);
    }
    rs_buf_puts(b, "}\n");
    end_with_id(b, id);
}

/* An event of ours about the stream, up to what is particular to it. */
static void about(rs_buf_t *b, const char *type, const rs_sse_who_t *who)
{
    rs_buf_printf(b, "event: %s\ndata: {", type);
    json_text(b, "stream", who->profile);
}

void rs_sse_caught_up(rs_buf_t *b, const rs_sse_who_t *who, const char *id, apr_uint64_t replayed)
{
    about(b, "caught_up", who);
    rs_buf_printf(b, ",\"replayed\":%" APR_UINT64_T_FMT "}\n", replayed);
    end_with_id(b, id);
}

void rs_sse_reset(rs_buf_t *b, const rs_sse_who_t *who, const char *id, const char *reason,
                  const char *first)
{
    about(b, "reset", who);
    rs_buf_printf(b, ",\"reason\":\"%s\"", reason);
    if (first) {
        rs_buf_printf(b, ",\"first_id\":\"%s\"", first);
    }
    rs_buf_puts(b, "}\n");
    end_with_id(b, id);
}

void rs_sse_reset_shared(rs_buf_t *b, const char *id, size_t id_len, const char *reason,
                         size_t *head, size_t *tail)
{
    char data[64];
    int n = apr_snprintf(data, sizeof(data), "{\"reason\":\"%s\"}", reason);

    rs_sse_event(b, "reset", 5, id, id_len, data, (size_t)n, head, tail);
}

void rs_sse_heartbeat(rs_buf_t *b, const rs_sse_who_t *who, const char *id, apr_time_t wall,
                      int style)
{
    if (style != RS_HEARTBEAT_EVENT) {
        rs_buf_puts(b, ": heartbeat\n");
        if (id && style == RS_HEARTBEAT_ID) {
            rs_buf_printf(b, "id: %s\n\n", id);
        }
        return;
    }
    about(b, "heartbeat", who);
    rs_buf_printf(b, ",\"timestamp\":%" APR_INT64_T_FMT ".%03d", (apr_int64_t)apr_time_sec(wall),
                  (int)apr_time_msec(wall));
    if (strcmp(who->profile, "stream") == 0) {
        rs_buf_puts(b, ",\"message\":\"Connection alive\"");
    }
    rs_buf_puts(b, ",\"tenant_id\":");
    rs_buf_puts(b, who->tenant_json);
    rs_buf_puts(b, "}\n");
    end_with_id(b, id);
}

void rs_sse_error(rs_buf_t *b, const char *profile, const char *code, const char *message,
                  const char *error, apr_interval_time_t retry)
{
    if (retry >= 0) {
        milliseconds(b, retry);
    }
    rs_buf_puts(b, "event: error\ndata: {");
    json_text(b, "stream", profile);
    rs_buf_puts(b, ",");
    json_text(b, "message", message);
    rs_buf_puts(b, ",");
    json_text(b, "error", error);
    rs_buf_puts(b, ",");
    json_text(b, "code", code);
    rs_buf_puts(b, "}\n\n");
}
