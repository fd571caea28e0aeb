/* SPDX-License-Identifier: Apache-2.0
 *
 * What INFO says of settings. Pure functions.
 */
#include <string.h>

#include "rs_redis_hints.h"

static const struct {
    const char *setting, *sentence;
} hints[RS_HINTS] = {
    {"maxmemory-policy",
     "when memory is short it forgets event_ids, which have a lifetime, and an event that is "
     "published again is written again: set maxmemory-policy noeviction"},
    {"maxmemory-policy",
     "when memory is short it deletes whole streams: set maxmemory-policy noeviction"},
    {"appendonly",
     "when it dies, what was written since its last snapshot is lost: set appendonly yes"},
    {"min-replicas-to-write",
     "what is written to a master that its replicas have lost sight of is lost in a failover: set "
     "min-replicas-to-write 1"},
};

const char *rs_redis_hint_setting(int i) { return hints[i].setting; }
const char *rs_redis_hint_sentence(int i) { return hints[i].sentence; }

/* The rest of the first line that begins so, or NULL. */
static const char *value_of(const char *info, size_t len, const char *name)
{
    const char *line = info, *end = info + len;
    size_t n = strlen(name);

    while (line && (size_t)(end - line) >= n) {
        if (memcmp(line, name, n) == 0) {
            return line + n;
        }
        line = memchr(line, '\n', (size_t)(end - line));
        line += line != NULL;
    }
    return NULL;
}

static int begins(const char *value, const char *end, const char *with)
{
    size_t n = strlen(with);

    return value && (size_t)(end - value) >= n && memcmp(value, with, n) == 0;
}

unsigned rs_redis_hints_parse(const char *info, size_t len, int replicated)
{
    const char *end = info + len, *policy = value_of(info, len, "maxmemory_policy:");
    const char *limit = value_of(info, len, "maxmemory:");
    const char *replicas = value_of(info, len, "connected_slaves:");
    unsigned found = 0;

    if (limit && !begins(limit, end, "0\r") && begins(policy, end, "volatile-")) {
        found |= RS_HINT_EVICTS_IDS;
    }
    if (limit && !begins(limit, end, "0\r") && begins(policy, end, "allkeys-")) {
        found |= RS_HINT_EVICTS_STREAMS;
    }
    if (begins(value_of(info, len, "aof_enabled:"), end, "0")) {
        found |= RS_HINT_NO_AOF;
    }
    /* Redis says how many of them are good only where it was told how many it wants. */
    if (replicas && (replicated || !begins(replicas, end, "0\r"))
        && !value_of(info, len, "min_slaves_good_slaves:")) {
        found |= RS_HINT_NO_MIN_REPLICAS;
    }
    return found;
}
