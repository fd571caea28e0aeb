/* SPDX-License-Identifier: Apache-2.0
 *
 * The SSE encoder. The hub calls rs_sse_event() once per event and log, streamers the others.
 */
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

void rs_sse_data(rs_buf_t *b, const char *s, size_t n)
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

void rs_sse_id(rs_buf_t *b, const char *id, size_t len)
{
    rs_buf_add(b, "id: ", 4);
    rs_buf_add(b, id, len);
    rs_buf_add(b, "\n", 1);
}

void rs_sse_event(rs_buf_t *b, const char *type, size_t type_len, const char *id, size_t id_len,
                  const char *data, size_t data_len, size_t *head, size_t *tail)
{
    size_t start = b->len;

    rs_buf_add(b, "event: ", 7);
    rs_buf_add(b, type, type_len);
    rs_buf_add(b, "\n", 1);
    rs_sse_data(b, data, data_len);
    *head = b->len - start;
    rs_sse_id(b, id, id_len);
    *tail = b->len - start;
    rs_buf_add(b, "\n", 1);
}

void rs_sse_message(rs_buf_t *b, const char *type, size_t type_len, const char *data,
                    size_t data_len)
{
    rs_buf_add(b, "event: ", 7);
    rs_buf_add(b, type, type_len);
    rs_buf_add(b, "\n", 1);
    rs_sse_data(b, data, data_len);
    rs_buf_add(b, "\n", 1);
}

static void milliseconds(rs_buf_t *b, apr_interval_time_t t)
{
    rs_buf_printf(b, "retry: %" APR_INT64_T_FMT "\n", (apr_int64_t)apr_time_as_msec(t));
}

/* An event of ours, up to its data. */
static void begin(rs_buf_t *b, const char *type)
{
    rs_buf_printf(b, "event: %s\ndata: ", type);
}

/* From its data on. The id is the last line: several clients take it for theirs as soon as they
 * have read it, and would not ask again for an event that was cut off after it. */
static void end(rs_buf_t *b, const char *id)
{
    rs_buf_add(b, "\n", 1);
    if (id) {
        rs_sse_id(b, id, strlen(id));
    }
    rs_buf_add(b, "\n", 1);
}

void rs_sse_connected(rs_buf_t *b, const rs_who_t *who, apr_interval_time_t retry, const char *id,
                      apr_time_t wall, const char *recovery, const char *reason, const char *first)
{
    milliseconds(b, retry);
    begin(b, "connected");
    rs_said_connected(b, who, wall, recovery, reason, first);
    end(b, id);
}

void rs_sse_caught_up(rs_buf_t *b, const rs_who_t *who, const char *id, apr_uint64_t replayed)
{
    begin(b, "caught_up");
    rs_said_caught_up(b, who, replayed);
    end(b, id);
}

void rs_sse_reset(rs_buf_t *b, const rs_who_t *who, const char *id, const char *reason,
                  const char *first)
{
    begin(b, "reset");
    rs_said_reset(b, who, reason, first);
    end(b, id);
}

void rs_sse_heartbeat(rs_buf_t *b, const rs_who_t *who, const char *id, apr_time_t wall, int style)
{
    if (style != RS_HEARTBEAT_EVENT) {
        rs_buf_puts(b, ": heartbeat\n");
        if (id && style == RS_HEARTBEAT_ID) {
            rs_buf_printf(b, "id: %s\n\n", id);
        }
        return;
    }
    begin(b, "heartbeat");
    rs_said_heartbeat(b, who, wall);
    end(b, id);
}

void rs_sse_challenge(rs_buf_t *b, const char *connection, int seconds)
{
    begin(b, "challenge");
    rs_said_challenge(b, connection, seconds);
    end(b, NULL);
}

void rs_sse_error(rs_buf_t *b, const char *profile, const char *code, const char *message,
                  const char *error, apr_interval_time_t retry)
{
    if (retry >= 0) {
        milliseconds(b, retry);
    }
    begin(b, "error");
    rs_said_error(b, profile, code, message, error);
    end(b, NULL);
}
