/* SPDX-License-Identifier: Apache-2.0
 *
 * Any text as a Redis URL. Besides crashes it looks for a URL whose label, which stands in logs, is
 * another server than the URL itself, and for a sentence that quotes what it refuses.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "../../src/redis/rs_redis_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static apr_pool_t *pool;

static void teardown(void)
{
    apr_pool_destroy(pool);
    apr_terminate();
}

static void setup(void)
{
    apr_initialize();
    atexit(teardown); /* a leak checker does not look into APR's pools */
    apr_pool_create(&pool, NULL);
}

static void require(int good)
{
    if (!good) {
        abort();
    }
}

static void check(const rs_redis_url_t *u)
{
    rs_redis_url_t *again = NULL;

    require(!u->host == (u->path != NULL));
    require(u->path ? u->path[0] == '/' && u->port == 0 : u->port >= 1 && u->port <= 65535);
    require(u->db >= 0 && u->db <= RS_REDIS_DB_MAX);
    require(!u->user || u->password);
    require(!u->password || *u->password);
    if (u->path && strpbrk(u->path, " %?#")) {
        return; /* the label is for people, not escaped */
    }
    if (u->path) {
        const char *c;

        for (c = u->path; *c; c++) {
            if (*c <= ' ' || *c > '~') {
                return;
            }
        }
    }
    require(!rs_redis_url_parse(&again, pool, u->label));
    require(again && !strcmp(again->label, u->label) && again->tls == u->tls
            && again->port == u->port && again->db == u->db && !again->user && !again->password);
    require(u->host ? !strcmp(again->host, u->host) : !strcmp(again->path, u->path));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rs_redis_url_t *u;
    const char *problem;

    if (!pool) {
        setup();
    }
    problem = rs_redis_url_parse(&u, pool, apr_pstrmemdup(pool, (const char *)data, size));
    require(!problem == (u != NULL));
    if (u) {
        check(u);
    }
    apr_pool_clear(pool);
    return 0;
}
