/* SPDX-License-Identifier: Apache-2.0
 *
 * The module's own words.
 */
#include <string.h>

#include "../base/rs_clock.h"
#include "rs_said.h"

static void json_text(rs_buf_t *b, const char *name, const char *text)
{
    rs_buf_printf(b, "\"%s\":", name);
    rs_buf_json(b, text, strlen(text));
}

static void begin(rs_buf_t *b, const char *profile)
{
    rs_buf_puts(b, "{");
    json_text(b, "stream", profile);
}

static void reset_reason(rs_buf_t *b, const char *reason, const char *first)
{
    rs_buf_printf(b, "\"reason\":\"%s\"", reason);
    if (first) {
        rs_buf_printf(b, ",\"first_id\":\"%s\"", first);
    }
}

void rs_said_connected(rs_buf_t *b, const rs_who_t *who, apr_time_t wall, const char *recovery,
                       const char *reason, const char *first)
{
    char iso[RS_CLOCK_ISO_LEN];

    begin(b, who->profile);
    rs_buf_puts(b, ",\"tenant_id\":");
    rs_buf_puts(b, who->tenant_json);
    rs_buf_puts(b, ",\"user_id\":");
    rs_buf_puts(b, who->user_json);
    rs_clock_iso(iso, wall);
    rs_buf_printf(b, ",\"timestamp\":\"%s\",\"recovery\":\"%s\"", iso, recovery);
    if (reason) {
        rs_buf_puts(b, ",");
        reset_reason(b, reason, first);
    }
    if (who->connection) {
        rs_buf_printf(b, ",\"connection\":\"%s\"", who->connection);
    }
    rs_buf_puts(b, "}");
}

void rs_said_caught_up(rs_buf_t *b, const rs_who_t *who, apr_uint64_t replayed)
{
    begin(b, who->profile);
    rs_buf_printf(b, ",\"replayed\":%" APR_UINT64_T_FMT "}", replayed);
}

void rs_said_reset(rs_buf_t *b, const rs_who_t *who, const char *reason, const char *first)
{
    if (who) {
        begin(b, who->profile);
        rs_buf_puts(b, ",");
    }
    else {
        rs_buf_puts(b, "{");
    }
    reset_reason(b, reason, first);
    rs_buf_puts(b, "}");
}

void rs_said_challenge(rs_buf_t *b, const char *connection, int seconds)
{
    rs_buf_puts(b, "{");
    if (connection) {
        rs_buf_printf(b, "\"connection\":\"%s\",", connection);
    }
    rs_buf_printf(b, "\"expires_in\":%d}", seconds);
}

void rs_said_heartbeat(rs_buf_t *b, const rs_who_t *who, apr_time_t wall)
{
    begin(b, who->profile);
    rs_buf_printf(b, ",\"timestamp\":%" APR_INT64_T_FMT ".%03d", (apr_int64_t)apr_time_sec(wall),
                  (int)apr_time_msec(wall));
    if (strcmp(who->profile, "stream") == 0) {
        rs_buf_puts(b, ",\"message\":\"Connection alive\"");
    }
    rs_buf_puts(b, ",\"tenant_id\":");
    rs_buf_puts(b, who->tenant_json);
    rs_buf_puts(b, "}");
}

void rs_said_error(rs_buf_t *b, const char *profile, const char *code, const char *message,
                   const char *error)
{
    begin(b, profile);
    rs_buf_puts(b, ",");
    json_text(b, "message", message);
    rs_buf_puts(b, ",");
    json_text(b, "error", error);
    rs_buf_puts(b, ",");
    json_text(b, "code", code);
    rs_buf_puts(b, "}");
}
