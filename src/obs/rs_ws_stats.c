/* SPDX-License-Identifier: Apache-2.0
 *
 * Counting WebSockets by tenant and by user. Those that are not healthy have been ended.
 */
#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>

#include "../base/rs_clock.h"
#include "../log/rs_stats.h"
#include "rs_board.h"
#include "rs_ws_stats.h"

static void count(apr_pool_t *p, apr_hash_t *counts, const char *name)
{
    unsigned *n = apr_hash_get(counts, name, APR_HASH_KEY_STRING);

    if (!n) {
        n = apr_pcalloc(p, sizeof(*n));
        apr_hash_set(counts, apr_pstrdup(p, name), APR_HASH_KEY_STRING, n);
    }
    ++*n;
}

/* "NAME":{"KEY":N,...} */
static void put(rs_buf_t *b, apr_pool_t *p, const char *name, apr_hash_t *counts)
{
    const char *separator = "";
    apr_hash_index_t *i;

    rs_buf_printf(b, ",\"%s\":{", name);
    for (i = apr_hash_first(p, counts); i; i = apr_hash_next(i)) {
        const void *key;
        void *n;

        apr_hash_this(i, &key, NULL, &n);
        rs_buf_puts(b, separator);
        rs_buf_json(b, key, strlen(key));
        rs_buf_printf(b, ":%u", *(unsigned *)n);
        separator = ",";
    }
    rs_buf_puts(b, "}");
}

static apr_uint64_t stale(void)
{
    const rs_stats_t *stats;
    apr_uint64_t sum = 0;
    int place = 0;
    pid_t pid;

    while ((stats = rs_board_next(&place, &pid))) {
        sum += RS_STAT_GET(stats->stale);
    }
    return sum;
}

void rs_ws_stats(rs_buf_t *b, apr_pool_t *p, rs_registry_t *registry, const rs_whom_t *whom,
                 apr_time_t wall)
{
    apr_hash_t *tenants = apr_hash_make(p), *users = apr_hash_make(p);
    char iso[RS_CLOCK_ISO_LEN];
    apr_uint64_t at = 0;
    rs_record_t record;
    unsigned total = 0;

    while (rs_registry_next(registry, &at, whom, &record)) {
        if (record.via == rs_via_names[RS_VIA_WEBSOCKET]) {
            total++;
            count(p, tenants, record.tenant);
            if (*record.user) {
                count(p, users, record.user);
            }
        }
    }
    rs_clock_iso(iso, wall);
    rs_buf_printf(b, "{\"websocket_stats\":{\"total_connections\":%u", total);
    put(b, p, "connections_by_tenant", tenants);
    put(b, p, "connections_by_user", users);
    rs_buf_printf(b,
                  ",\"healthy_connections\":%u,\"stale_connections_cleaned\":%" APR_UINT64_T_FMT
                  "},\"timestamp\":\"%s\"}",
                  total, stale(), iso);
}
