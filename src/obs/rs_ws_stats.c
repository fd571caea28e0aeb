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

typedef struct {
    apr_pool_t *p;
    apr_hash_t *tenants, *users;
    unsigned total;
} counts_t;

static void count(apr_pool_t *p, apr_hash_t *counts, const char *name)
{
    unsigned *n = apr_hash_get(counts, name, APR_HASH_KEY_STRING);

    if (!n) {
        n = apr_pcalloc(p, sizeof(*n));
        apr_hash_set(counts, apr_pstrdup(p, name), APR_HASH_KEY_STRING, n);
    }
    ++*n;
}

static void count_one(void *data, const rs_glance_t *one)
{
    counts_t *c = data;

    if (one->via != RS_VIA_WEBSOCKET) {
        return;
    }
    c->total++;
    count(c->p, c->tenants, one->tenant);
    if (*one->user) {
        count(c->p, c->users, one->user);
    }
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
    counts_t c = {p, apr_hash_make(p), apr_hash_make(p), 0};
    char iso[RS_CLOCK_ISO_LEN];

    rs_registry_each(registry, whom, count_one, &c);
    rs_clock_iso(iso, wall);
    rs_buf_printf(b, "{\"websocket_stats\":{\"total_connections\":%u", c.total);
    put(b, p, "connections_by_tenant", c.tenants);
    put(b, p, "connections_by_user", c.users);
    rs_buf_printf(b,
                  ",\"healthy_connections\":%u,\"stale_connections_cleaned\":%" APR_UINT64_T_FMT
                  "},\"timestamp\":\"%s\"}",
                  c.total, stale(), iso);
}
