/* SPDX-License-Identifier: Apache-2.0
 *
 * The script. Ids are compared as text, since a Lua number cannot hold 64 bits.
 */
#include <string.h>

#include <apr_strings.h>

#include "../proto/rs_own_keys.h"
#include "rs_group_script.h"

const char rs_group_script[] =
    /* Redis before 7 replicates scripts as such unless told otherwise. */
    "if redis.replicate_commands then redis.replicate_commands() end\n"
    "local function less(a, b)\n"
    "  local am, as = string.match(a, '^(%d+)-(%d+)$')\n"
    "  local bm, bs = string.match(b, '^(%d+)-(%d+)$')\n"
    "  if am ~= bm then\n"
    "    if #am ~= #bm then return #am < #bm end\n"
    "    return am < bm\n"
    "  end\n"
    "  if #as ~= #bs then return #as < #bs end\n"
    "  return as < bs\n"
    "end\n"
    "local top, added, info = '0-0', '0', redis.pcall('XINFO', 'STREAM', KEYS[1])\n"
    "if not info.err then\n"
    "  for i = 1, #info, 2 do\n"
    "    if info[i] == 'last-generated-id' then top = info[i + 1] end\n"
    "    if info[i] == 'entries-added' then added = tostring(info[i + 1]) end\n"
    "  end\n"
    "end\n"
    "local function keep(group, id, entries)\n"
    "  redis.call('HSET', KEYS[2], group, id .. ' ' .. entries)\n"
    "end\n"
    /* ENTRIESREAD is of Redis 7. */
    "local function move(group, id, entries)\n"
    "  local done\n"
    "  if entries ~= '' then\n"
    "    done = redis.pcall('XGROUP', 'SETID', KEYS[1], group, id, 'ENTRIESREAD', entries)\n"
    "  end\n"
    "  if not done or done.err then done = redis.pcall('XGROUP', 'SETID', KEYS[1], group, id) end\n"
    "  if done.err then redis.call('XGROUP', 'CREATE', KEYS[1], group, id, 'MKSTREAM') end\n"
    "  keep(group, id, entries)\n"
    "end\n"
    "local function open(group)\n"
    "  local done = redis.pcall('XGROUP', 'CREATE', KEYS[1], group, '$', 'MKSTREAM')\n"
    "  local at, state, entries = top, 'new', added\n"
    "  if done.err then\n"
    "    for _, g in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do\n"
    "      local f = {}\n"
    "      for i = 1, #g, 2 do f[g[i]] = g[i + 1] end\n"
    "      if f.name == group then at, state, entries = f['last-delivered-id'], '', '' end\n"
    "    end\n"
    "  end\n"
    "  keep(group, at, entries)\n"
    "  return at, state\n"
    "end\n"
    "local out = {}\n"
    "for i = 1, #ARGV, 3 do\n"
    "  local group, id, entries = ARGV[i], ARGV[i + 1], ARGV[i + 2]\n"
    /* What is no id is as good as lost: then the stream's group tells. */
    "  local at = string.match(redis.call('HGET', KEYS[2], group) or '', '^(%d+%-%d+) ')\n"
    "  local state = ''\n"
    "  if not at then at, state = open(group) end\n"
    "  if less(top, at) then state = 'ahead' end\n"
    "  if string.sub(id, 1, 1) == '=' then\n"
    "    if state == 'new' and not less(top, string.sub(id, 2)) then\n"
    "      at = string.sub(id, 2)\n"
    "      move(group, at, entries)\n"
    "    end\n"
    "  elseif id ~= '' then\n"
    "    if less(top, id) then\n"
    "      at, state = id, 'ahead'\n"
    "    elseif state ~= '' or less(at, id) then\n"
    "      move(group, id, entries)\n"
    "      at, state = id, ''\n"
    "    end\n"
    "  end\n"
    "  out[#out + 1] = at\n"
    "  out[#out + 1] = state\n"
    "end\n"
    "return out\n";

const char *rs_group_hash(char out[RS_GROUP_HASH_LEN], const char *key)
{
    apr_snprintf(out, RS_GROUP_HASH_LEN, RS_OWN_GROUPS "{%s}", key);
    return out;
}

int rs_group_parse(const redisReply *reply, int n, rs_id_t *id, rs_group_state_t *state)
{
    const redisReply *at, *how;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2 * (size_t)n + 2) {
        return 0;
    }
    at = reply->element[2 * n];
    how = reply->element[2 * n + 1];
    if (at->type != REDIS_REPLY_STRING || how->type != REDIS_REPLY_STRING) {
        return 0;
    }
    *state = strcmp(how->str, "new") == 0     ? RS_GROUP_NEW
             : strcmp(how->str, "ahead") == 0 ? RS_GROUP_AHEAD
                                              : RS_GROUP_OLD;
    if (!rs_id_parse(id, at->str, (size_t)at->len)) {
        /* Somebody else wrote a number beyond all ids: that is ahead of everything, too. */
        id->ms = id->seq = ~(apr_uint64_t)0;
        *state = RS_GROUP_AHEAD;
    }
    return 1;
}
