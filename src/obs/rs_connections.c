/* SPDX-License-Identifier: Apache-2.0
 *
 * The list as JSON.
 */
#include <string.h>

#include "../base/rs_clock.h"
#include "rs_connections.h"

static void member(rs_buf_t *b, const char *name, const char *text)
{
    rs_buf_printf(b, ",\"%s\":", name);
    if (*text) {
        rs_buf_json(b, text, strlen(text));
    }
    else {
        rs_buf_puts(b, "null");
    }
}

static void put(rs_buf_t *b, const rs_record_t *r)
{
    char since[RS_CLOCK_ISO_LEN];

    rs_clock_iso(since, r->since);
    rs_buf_printf(b, "{\"id\":\"%s\"", r->id);
    member(b, "tenant_id", r->tenant);
    member(b, "user_id", r->user);
    member(b, "profile", r->profile);
    member(b, "wire", r->via);
    member(b, "since", since);
    rs_buf_printf(b, ",\"events\":%" APR_UINT64_T_FMT, r->events);
    member(b, "position", r->position);
    member(b, "remote", r->remote);
    rs_buf_printf(b, ",\"pid\":%d}", (int)r->pid);
}

void rs_connections_json(rs_buf_t *b, rs_registry_t *registry, const rs_whom_t *whom,
                         apr_uint64_t at, int limit)
{
    char last[RS_CONNECTION_ID_LEN] = "";
    rs_record_t record;
    int n = 0, more;

    rs_buf_printf(b, "{\"node\":\"%s\",\"connections\":[", rs_registry_node(registry));
    while ((more = rs_registry_next(registry, &at, whom, &record)) && n < limit) {
        rs_buf_puts(b, n++ ? ",\n" : "\n");
        put(b, &record);
        memcpy(last, record.id, sizeof(last));
    }
    rs_buf_printf(b, more ? "],\"next\":\"%s\"}\n" : "],\"next\":null}\n", last);
}
