/* SPDX-License-Identifier: Apache-2.0
 *
 * The scripts. All times are of the clock of Redis. An event is written first, and nothing is
 * changed if it cannot be: it is said again then, so an event is neither lost nor there twice.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "rs_presence_script.h"
#include "rs_stream_keep.h"

/* How long users of a room that this node does not know are left to nodes which do. */
#define PATIENCE "60000"

#define BEGIN                                                                                      \
    /* Redis before 7 replicates scripts as such unless told otherwise. */                         \
    "if redis.replicate_commands then redis.replicate_commands() end\n"                            \
    "local clock = redis.call('TIME')\n"                                                           \
    "local now = clock[1] * 1000 + math.floor(clock[2] / 1000)\n"                                  \
    "local function text(n) return string.format('%.0f', n) end\n"                                 \
    "local at = 1\n"                                                                               \
    "local function take() at = at + 1 return ARGV[at - 1] end\n"

#define SET                                                                                        \
    "local failed, rooms, patient = '', {}, false\n" RS_STREAM_KEEP                                \
    "local function take_rooms()\n"                                                                \
    "  for i = 1, tonumber(take()) do\n"                                                           \
    "    local r, name = {}, take()\n"                                                             \
    "    for what in string.gmatch('key field literal type data maxlen maxage idle', '%a+') do\n"  \
    "      r[what] = take()\n"                                                                     \
    "    end\n"                                                                                    \
    "    rooms[name] = r\n"                                                                        \
    "  end\n"                                                                                      \
    "end\n"                                                                                        \
    "local function say(room, tenant, user, what)\n"                                               \
    "  local r = rooms[room]\n"                                                                    \
    "  if not r then return room == '-' or not patient end\n"                                      \
    "  if r.literal ~= '' and r.literal ~= tenant then return true end\n"                          \
    "  local key = string.gsub(r.key, '{tenant}', tenant)\n"                                       \
    "  local args = {'XADD', key}\n"                                                               \
    "  local function add(...) for _, a in ipairs({...}) do args[#args + 1] = a end end\n"         \
    "  local minid = r.maxage ~= '' and text(now - r.maxage) or ''\n"                              \
    "  if r.maxlen ~= '' then\n"                                                                   \
    "    add('MAXLEN', '~', r.maxlen)\n"                                                           \
    "  elseif minid ~= '' then\n"                                                                  \
    "    add('MINID', '~', minid)\n"                                                               \
    "    minid = ''\n"                                                                             \
    "  end\n"                                                                                      \
    "  add('*')\n"                                                                                 \
    "  if r.literal == '' then add(r.field, tenant) end\n"                                         \
    "  add(r.type, what, r.data,\n"                                                                \
    "    '{\"user_id\":\"' .. user .. '\",\"tenant_id\":\"' .. tenant .. '\"}')\n"                 \
    "  if not attempt(redis.pcall(unpack(args))) then return false end\n"                          \
    "  keep(key, minid, r.idle)\n"                                                                 \
    "  return true\n"                                                                              \
    "end\n"                                                                                        \
    "local function alone(users, user, room, node)\n"                                              \
    "  local from, to = '[' .. user .. ' ', '(' .. user .. '!'\n"                                  \
    "  for _, m in ipairs(redis.call('ZRANGEBYLEX', users, from, to)) do\n"                        \
    "    local n, r = string.match(m, '^%S+ (%S+) (%S+)')\n"                                       \
    "    if r == room and n ~= node then return false end\n"                                       \
    "  end\n"                                                                                      \
    "  return true\n"                                                                              \
    "end\n"                                                                                        \
    "local function set(node, prefix, tenant, user, room, new)\n"                                  \
    "  local field, users = tenant .. ' ' .. user .. ' ' .. room, prefix .. tenant\n"              \
    "  local old = redis.call('HGET', KEYS[2], field) or ''\n"                                     \
    "  local one = user .. ' ' .. node .. ' ' .. room .. ' '\n"                                    \
    "  if old == new then return true end\n"                                                       \
    /* Of another type: then it is this tenant alone that is not told of. */                       \
    "  if not attempt(redis.pcall('ZSCORE', users, '')) then return false end\n"                   \
    "  if (old == '' or new == '') and alone(users, user, room, node) then\n"                      \
    "    local what = new == '' and 'presence_leave' or 'presence_join'\n"                         \
    "    if not say(room, tenant, user, what) then return false end\n"                             \
    "  end\n"                                                                                      \
    "  if old ~= '' then redis.call('ZREM', users, one .. old) end\n"                              \
    "  if new == '' then\n"                                                                        \
    "    redis.call('HDEL', KEYS[2], field)\n"                                                     \
    "  else\n"                                                                                     \
    "    redis.call('ZADD', users, 0, one .. new)\n"                                               \
    "    redis.call('HSET', KEYS[2], field, new)\n"                                                \
    "  end\n"                                                                                      \
    "  return true\n"                                                                              \
    "end\n"                                                                                        \
    "local function problem() return failed ~= '' and failed.err or '' end\n"

const char rs_presence_renew[] =
    BEGIN "local node, term, lease = take(), take(), take()\n"
          "local known = redis.call('HGET', KEYS[2], 'term')\n"
          "if known and tonumber(known) > tonumber(term) then return {'deposed'} end\n"
          "local left = tonumber(redis.call('ZSCORE', KEYS[1], node) or '0') - now\n"
          "local out = {left >= 0 and 'ok' or 'gone', text(left)}\n"
          "redis.call('ZADD', KEYS[1], text(now + lease), node)\n"
          "if known ~= term then redis.call('HSET', KEYS[2], 'term', term) end\n"
          "for _, dead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. text(now),\n"
          "    'LIMIT', 0, 8)) do\n"
          "  out[#out + 1] = dead\n"
          "end\n"
          "return out\n";

const char rs_presence_change[] =
    BEGIN SET "local node, term, prefix = take(), take(), take()\n"
              "if tonumber(redis.call('ZSCORE', KEYS[1], node) or '0') < now then\n"
              "  return {'gone'}\n"
              "end\n"
              "if tonumber(redis.call('HGET', KEYS[2], 'term') or '0') > tonumber(term) then\n"
              "  return {'deposed'}\n"
              "end\n"
              "take_rooms()\n"
              "local out, nth = {'ok', ''}, 0\n"
              "while at <= #ARGV do\n"
              "  local tenant, user, room, new = take(), take(), take(), take()\n"
              "  nth = nth + 1\n"
              "  if not set(node, prefix, tenant, user, room, new) then out[#out + 1] = nth end\n"
              "end\n"
              "out[2] = problem()\n"
              "return out\n";

const char rs_presence_reap[] =
    BEGIN SET "local dead, prefix, cursor = take(), take(), take()\n"
              "local lease = tonumber(redis.call('ZSCORE', KEYS[1], dead) or '0')\n"
              "if lease >= now then return {'ok', '0', ''} end\n"
              "patient = now - lease < " PATIENCE "\n"
              "take_rooms()\n"
              "local found = redis.call('HSCAN', KEYS[2], cursor, 'COUNT', 200)\n"
              "for i = 1, #found[2], 2 do\n"
              "  local tenant, user, room = string.match(found[2][i], '^(%S+) (%S+) (%S+)$')\n"
              "  if tenant then set(dead, prefix, tenant, user, room, '') end\n"
              "end\n"
              "if found[1] == '0' and redis.call('HLEN', KEYS[2]) <= 1 then\n"
              "  redis.call('DEL', KEYS[2])\n"
              "  redis.call('ZREM', KEYS[1], dead)\n"
              "end\n"
              "return {'ok', found[1], problem()}\n";

const char rs_presence_list[] =
    BEGIN "local after, limit = take(), tonumber(take())\n"
          "local live, out, n = {}, {''}, 0\n"
          "for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], text(now), '+inf')) do\n"
          "  live[node] = true\n"
          "end\n"
          "local from = after == '' and '-' or '(' .. after .. '!'\n"
          "local name, before, sum, some = '', after, 0\n"
          "local function full()\n"
          "  if sum > 0 and n == limit then return true end\n"
          "  if sum > 0 then\n"
          "    n = n + 1\n"
          "    out[#out + 1] = name\n"
          "    out[#out + 1] = text(sum)\n"
          "  end\n"
          "  before = name\n"
          "  return false\n"
          "end\n"
          /* Bounded, also where there are very many whose nodes are dead. */
          "for round = 1, 200 do\n"
          "  some = redis.call('ZRANGEBYLEX', KEYS[2], from, '+', 'LIMIT', 0, 500)\n"
          "  for _, m in ipairs(some) do\n"
          "    local user, node, count = string.match(m, '^(%S+) (%S+) %S+ (%d+)$')\n"
          "    if user ~= name then\n"
          "      if full() then\n"
          "        out[1] = before\n"
          "        return out\n"
          "      end\n"
          "      name, sum = user, 0\n"
          "    end\n"
          "    if live[node] then sum = sum + count end\n"
          "  end\n"
          "  if #some < 500 then\n"
          "    if full() then out[1] = before end\n"
          "    return out\n"
          "  end\n"
          "  from = '(' .. some[#some]\n"
          "end\n"
          "out[1] = before\n"
          "return out\n";

/* --- rooms --- */

/* Nodes of other versions have to come to the same. */
apr_uint64_t rs_presence_room(const char *key)
{
    apr_uint64_t hash = 14695981039346656037ULL;

    for (; *key; key++) {
        hash = (hash ^ (unsigned char)*key) * 1099511628211ULL;
    }
    return hash > RS_ROOM_NO_STREAM ? hash : hash + 2;
}

const char *rs_presence_room_name(char out[RS_ROOM_LEN], apr_uint64_t room)
{
    if (room == RS_ROOM_NO_STREAM) {
        return strcpy(out, "-");
    }
    apr_snprintf(out, RS_ROOM_LEN, "%016" APR_UINT64_T_HEX_FMT, room);
    return out;
}

apr_uint64_t rs_presence_room_named(const char *name)
{
    return strcmp(name, "-") ? strtoull(name, NULL, 16) : RS_ROOM_NO_STREAM;
}

static const char *number(apr_pool_t *p, apr_int64_t n)
{
    return n > 0 ? apr_psprintf(p, "%" APR_INT64_T_FMT, n) : "";
}

int rs_presence_args(const char ***args, apr_pool_t *p, const rs_presence_conf_t *conf)
{
    const char **argv = apr_palloc(p, (1 + 9 * (apr_size_t)conf->nstreams) * sizeof(*argv));
    int i, n = 0;

    *args = argv;
    argv[n++] = apr_psprintf(p, "%d", conf->nstreams);
    for (i = 0; i < conf->nstreams; i++) {
        const rs_presence_stream_t *stream = &conf->streams[i];
        char *name = apr_palloc(p, RS_ROOM_LEN);

        argv[n++] = rs_presence_room_name(name, rs_presence_room(stream->key));
        argv[n++] = stream->key;
        argv[n++] = stream->tenant_field;
        argv[n++] = stream->tenant_literal ? stream->tenant_literal : "";
        argv[n++] = stream->type_field;
        argv[n++] = stream->data_field;
        argv[n++] = number(p, stream->maxlen);
        argv[n++] = number(p, stream->maxage);
        argv[n++] = number(p, stream->idle);
    }
    return n;
}
