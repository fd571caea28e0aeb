/* SPDX-License-Identifier: Apache-2.0
 *
 * What has to be decided and done at once, within Redis: scripts of rs_lane.c.
 */
#ifndef RS_LANE_SCRIPT_H
#define RS_LANE_SCRIPT_H

/* KEYS: the stream, the dead-letter stream. ARGV: group, entry, how long (ms) nobody must have
 * touched it, tenant, time. Moves the entry: 1; 0: it is not pending any more, or was deleted, or
 * somebody works on it. Its fields that are called as ours are left out, so that nobody reads
 * another tenant, or another reason, than the true one. */
static const char rs_lane_bury[] =
    "local p = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1)[1]\n"
    "if not p or p[3] < tonumber(ARGV[3]) then return 0 end\n"
    "local e = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])[1]\n"
    "if e then\n"
    "  local own = {tenant_id = ARGV[4], reason = 'max_deliveries', deliveries = p[4],\n"
    "    entry_id = ARGV[2], group = ARGV[1], key = KEYS[1], consumer = p[2],\n"
    "    failed_at = ARGV[5]}\n"
    "  local f = {}\n"
    "  for i = 1, math.min(#e[2], 2000), 2 do\n"
    "    if not own[e[2][i]] then\n"
    "      f[#f + 1] = e[2][i]\n"
    "      f[#f + 1] = e[2][i + 1]\n"
    "    end\n"
    "  end\n"
    "  for k, v in pairs(own) do\n"
    "    f[#f + 1] = k\n"
    "    f[#f + 1] = v\n"
    "  end\n"
    "  redis.call('XADD', KEYS[2], 'MAXLEN', '~', 10000, '*', unpack(f))\n"
    "end\n"
    "redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])\n"
    "return e and 1 or 0\n";

/* KEYS: the stream. ARGV: group, idle (ms), two consumers. Deletes consumers that have nothing
 * pending: those two, and any that were idle for longer. One that has something must stay: what it
 * has would go with it. */
static const char rs_lane_sweep[] =
    "local n = 0\n"
    "for _, c in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do\n"
    "  local m = {}\n"
    "  for i = 1, #c, 2 do m[c[i]] = c[i + 1] end\n"
    "  if m.pending == 0 and (m.name == ARGV[3] or m.name == ARGV[4] or m.idle > "
    "tonumber(ARGV[2])) then\n"
    "    n = n + 1\n"
    "    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], m.name)\n"
    "  end\n"
    "end\n"
    "return n\n";

#endif
