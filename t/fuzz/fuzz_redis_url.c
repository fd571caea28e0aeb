/* SPDX-License-Identifier: Apache-2.0
 *
 * Any text as a Redis URL. Besides crashes it looks for a URL whose label, which stands in logs, is
 * another server than the URL itself, and for a sentence that quotes what it refuses.
 */
#include "../../src/redis/rs_redis_url.h"
#include "fuzz.h"

void fuzz_setup(apr_pool_t *all) { (void)all; }

static void check(apr_pool_t *pool, const rs_redis_url_t *u)
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

void fuzz_one(apr_pool_t *p, const char *data, size_t size)
{
    rs_redis_url_t *u;
    const char *problem = rs_redis_url_parse(&u, p, fuzz_text(p, data, size));

    require(!problem == (u != NULL));
    if (u) {
        check(p, u);
    }
}
