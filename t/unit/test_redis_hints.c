/* SPDX-License-Identifier: Apache-2.0
 *
 * What is seen in INFO, whole, cut short, or something else.
 */
#include <string.h>

#include "../../src/redis/rs_redis_hints.h"
#include "tap.h"

#define HEAD "# Memory\r\nused_memory:1\r\nmaxmemory_human:1M\r\n"
#define SAFE "maxmemory:0\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\nconnected_slaves:0\r\n"

static void hints(const char *info, int replicated, unsigned want, const char *name)
{
    is_int((int)rs_redis_hints_parse(info, strlen(info), replicated), (int)want, name);
}

int main(void)
{
    static const char safe[] = HEAD SAFE;
    size_t n;
    int i, sound = 1;

    hints(safe, 0, 0, "nothing is wrong");
    hints("maxmemory:1048576\r\nmaxmemory_policy:volatile-lru\r\n", 0, RS_HINT_EVICTS_IDS,
          "keys with a lifetime may go");
    hints("maxmemory:1\r\nmaxmemory_policy:allkeys-random\r\n", 0, RS_HINT_EVICTS_STREAMS,
          "all keys may go");
    hints("maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n", 0, 0, "there is no limit");
    hints("maxmemory:9\r\nmaxmemory_policy:noeviction\r\n", 0, 0, "writes are refused instead");
    hints("maxmemory_policy:allkeys-lru\r\n", 0, 0, "a limit is not known");
    hints("aof_enabled:0\r\n", 0, RS_HINT_NO_AOF, "no append-only file");
    hints("aof_enabled:1\r\n", 0, 0, "an append-only file");
    hints("connected_slaves:1\r\n", 0, RS_HINT_NO_MIN_REPLICAS,
          "a replica, and nothing waits for it");
    hints("connected_slaves:12\r\nmin_slaves_good_slaves:0\r\n", 0, 0, "they are waited for");
    hints("connected_slaves:0\r\n", 0, 0, "no replica");
    hints("connected_slaves:0\r\n", 1, RS_HINT_NO_MIN_REPLICAS, "no replica now, but sentinels");
    hints("xaof_enabled:0\r\n aof_enabled:0\r\n", 0, 0, "names count at the start of a line");
    hints("", 1, 0, "nothing at all");
    for (n = 0; n <= strlen(safe); n++) {
        sound &= (rs_redis_hints_parse(safe, n, 0) & ~RS_HINT_NO_MIN_REPLICAS) == 0;
    }
    ok(sound, "cut anywhere");
    for (i = 0; i < RS_HINTS; i++) {
        ok(rs_redis_hint_setting(i) && rs_redis_hint_sentence(i), "%s: %s",
           rs_redis_hint_setting(i), rs_redis_hint_sentence(i));
    }
    return done_testing();
}
