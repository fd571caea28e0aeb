/* SPDX-License-Identifier: Apache-2.0
 *
 * A record is six lines: back end, reason, when it ended, identity, secret, request.
 */
#include "rs_store.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <hiredis/hiredis.h>

#include "../base/rs_buf.h"
#include "../proto/rs_own_keys.h"
#include "../redis/rs_redis_eval.h"

#define CHILDREN_KEY RS_OWN_GATEWAY "children"
#define ALIVE_KEY RS_OWN_GATEWAY "alive:"
#define ENDS_KEY RS_OWN_GATEWAY "ends:"
#define TAKEN_KEY RS_OWN_GATEWAY "taken:"
#define KEY_LEN (32 + RS_STORE_NAME_LEN)

/* Longer than it takes a child to find that out, and to write what it has. */
#define LOST_FOR "5"

static const char live_script[] =
    "local memory, new = redis.call('GET', KEYS[5]), 0\n"
    "if not memory or #memory > #ARGV[5] + 64 or string.find(memory, '%z') then\n"
    "  memory = ARGV[5]\n"
    "  redis.call('SET', KEYS[5], memory)\n"
    "end\n"
    "if ARGV[4] ~= '' and ARGV[4] ~= memory then\n"
    "  redis.call('SET', KEYS[6], '1', 'EX', " LOST_FOR ")\n"
    "  new = 1\n"
    "end\n"
    "if ARGV[3] ~= '0' then\n"
    "  new = math.max(new, redis.call('SADD', KEYS[1], ARGV[1]))\n"
    "  redis.call('SET', KEYS[2], '1', 'EX', ARGV[2])\n"
    "  redis.call('PEXPIRE', KEYS[3], ARGV[3])\n"
    "  if redis.call('DEL', KEYS[4]) == 1 then new = -2 end\n"
    "end\n"
    "return {1 + new, memory}\n";

/* Of very many not all at once. A name without anything behind it is dropped: who lives says it
 * again. */
static const char look_script[] =
    "local some, out = redis.call('SRANDMEMBER', KEYS[1], 1000), {}\n"
    "for i = 1, #some do\n"
    "  local lives = redis.call('EXISTS', ARGV[1] .. some[i])\n"
    "  if lives == 1 or redis.call('EXISTS', ARGV[2] .. some[i]) == 1 then\n"
    "    out[#out + 1] = some[i]\n"
    "    out[#out + 1] = lives\n"
    "  else\n"
    "    redis.call('SREM', KEYS[1], some[i])\n"
    "  end\n"
    "end\n"
    "return out\n";

/* Some at a time: there may be very many. */
static const char take_script[] =
    "if ARGV[3] == '0' and redis.call('EXISTS', KEYS[2]) == 1 then return {} end\n"
    "local all = redis.call('HKEYS', KEYS[3])\n"
    "if #all == 0 then redis.call('SREM', KEYS[1], ARGV[1]) return {} end\n"
    "local out = {}\n"
    "for i = 1, #all do\n"
    "  local record = redis.call('HGET', KEYS[3], all[i])\n"
    "  local backend = '\\n' .. string.match(record, '^[^\\n]*') .. '\\n'\n"
    "  if ARGV[3] == '1' or string.find(ARGV[4], backend, 1, true) then\n"
    "    redis.call('HSET', KEYS[5], all[i], record)\n"
    "    redis.call('HDEL', KEYS[3], all[i])\n"
    "    out[#out + 1] = all[i]\n"
    "    out[#out + 1] = record\n"
    "  end\n"
    "  if #out == 200 then break end\n"
    "end\n"
    "if #out == 0 then return {} end\n"
    "redis.call('SET', KEYS[4], '1', 'EX', 86400)\n"
    "redis.call('PEXPIRE', KEYS[5], ARGV[2])\n"
    "return out\n";

/* Until the one who took it says for how long. */
#define TAKEN_FOR "3600000"

static const char *key_of(char key[KEY_LEN], const char *prefix, const char *child)
{
    apr_snprintf(key, KEY_LEN, "%s%s", prefix, child);
    return key;
}

int rs_store_name(char name[RS_STORE_NAME_LEN], const char *node)
{
    apr_uint32_t random;

    if (apr_generate_random_bytes((unsigned char *)&random, sizeof(random)) != APR_SUCCESS) {
        return 0;
    }
    apr_snprintf(name, RS_STORE_NAME_LEN, "%s-%ld-%08x", node, (long)getpid(), random);
    return 1;
}

static int done(rs_redis_conn_t *conn, int argc, const char **argv, const apr_size_t *lens)
{
    redisReply *reply;
    int good = 0;

    if (rs_redis_conn_command(conn, &reply, argc, argv, lens) == APR_SUCCESS) {
        good = reply->type != REDIS_REPLY_ERROR;
        freeReplyObject(reply);
    }
    return good;
}

int rs_store_put(rs_redis_conn_t *conn, const char *child, const char *token,
                 const rs_record_of_gate_t *record)
{
    char key[KEY_LEN];
    const char *argv[] = {"HSET", key_of(key, ENDS_KEY, child), token, NULL};
    apr_size_t lens[] = {4, strlen(key), strlen(token), 0};
    rs_buf_t b = RS_BUF_INIT;
    int good;

    rs_buf_printf(&b, "%s\n%s\n%" APR_INT64_T_FMT "\n%s\n%s\n", record->backend,
                  record->reason, record->ended, record->identity, record->secret);
    rs_buf_puts(&b, record->request);
    argv[3] = b.data;
    lens[3] = b.len;
    good = rs_buf_ok(&b) && done(conn, 4, argv, lens);
    rs_buf_free(&b);
    return good;
}

int rs_store_drop(rs_redis_conn_t *conn, const char *child, const char *token)
{
    char key[KEY_LEN];
    const char *argv[] = {"HDEL", key_of(key, ENDS_KEY, child), token};

    return done(conn, 3, argv, NULL);
}

static int read_lives(const redisReply *reply, char memory[RS_STORE_MEMORY_LEN])
{
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2
        || reply->element[0]->type != REDIS_REPLY_INTEGER
        || reply->element[1]->type != REDIS_REPLY_STRING) {
        return 0;
    }
    apr_cpystrn(memory, reply->element[1]->str, RS_STORE_MEMORY_LEN);
    return (int)reply->element[0]->integer;
}

int rs_store_live(rs_redis_conn_t *conn, const char *child, apr_interval_time_t keep,
                  char memory[RS_STORE_MEMORY_LEN])
{
    char keys[3][KEY_LEN], lease[12], time[24] = "0", new_memory[RS_STORE_MEMORY_LEN];
    rs_eval_t eval = {.n = 0};
    redisReply *reply;
    int lives = 0;

    apr_snprintf(lease, sizeof(lease), "%d", RS_STORE_LEASE);
    if (keep) {
        apr_snprintf(time, sizeof(time), "%" APR_INT64_T_FMT,
                     (apr_int64_t)apr_time_as_msec(keep) + 1000 * RS_STORE_LEASE);
    }
    apr_snprintf(new_memory, sizeof(new_memory), "%s-%" APR_TIME_T_FMT, child, apr_time_now());
    rs_eval_key(&eval, CHILDREN_KEY);
    rs_eval_key(&eval, key_of(keys[0], ALIVE_KEY, child));
    rs_eval_key(&eval, key_of(keys[1], ENDS_KEY, child));
    rs_eval_key(&eval, key_of(keys[2], TAKEN_KEY, child));
    rs_eval_key(&eval, RS_STORE_MEMORY_KEY);
    rs_eval_key(&eval, RS_STORE_LOST_KEY);
    rs_eval_arg(&eval, child, strlen(child));
    rs_eval_arg(&eval, lease, strlen(lease));
    rs_eval_arg(&eval, time, strlen(time));
    rs_eval_arg(&eval, memory, strlen(memory));
    rs_eval_arg(&eval, new_memory, strlen(new_memory));
    if (rs_eval(conn, &reply, live_script, &eval) == APR_SUCCESS) {
        lives = read_lives(reply, memory);
        freeReplyObject(reply);
    }
    return lives;
}

void rs_store_end(rs_redis_conn_t *conn, const char *child)
{
    char key[KEY_LEN];
    const char *argv[] = {"DEL", key_of(key, ALIVE_KEY, child)};

    done(conn, 2, argv, NULL);
}

void rs_store_lost(rs_redis_conn_t *conn)
{
    const char *argv[] = {"SET", RS_STORE_LOST_KEY, "1", "EX", LOST_FOR};

    done(conn, 5, argv, NULL);
}

/* --- what others had --- */

int rs_store_look(rs_redis_conn_t *conn, void (*call)(void *baton, const char *child, int lives),
                  void *baton)
{
    rs_eval_t eval = {.n = 0};
    redisReply *reply;
    size_t i;

    rs_eval_key(&eval, CHILDREN_KEY);
    rs_eval_arg(&eval, ALIVE_KEY, strlen(ALIVE_KEY));
    rs_eval_arg(&eval, ENDS_KEY, strlen(ENDS_KEY));
    if (rs_eval(conn, &reply, look_script, &eval) != APR_SUCCESS) {
        return 0;
    }
    for (i = 0; reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements; i += 2) {
        const redisReply *child = reply->element[i];

        if (child->type == REDIS_REPLY_STRING && child->len < RS_STORE_NAME_LEN
            && child->len == strlen(child->str)) {
            call(baton, child->str, reply->element[i + 1]->integer == 1);
        }
    }
    i = reply->type == REDIS_REPLY_ARRAY;
    freeReplyObject(reply);
    return (int)i;
}

/* The next line of it, ended; NULL: there is none. */
static char *line(char **at)
{
    char *start = *at, *end = strchr(start, '\n');

    if (!end) {
        return NULL;
    }
    *end = '\0';
    *at = end + 1;
    return start;
}

static int read_record(rs_record_of_gate_t *record, char *text)
{
    char *ended;

    record->backend = line(&text);
    record->reason = record->backend ? line(&text) : NULL;
    ended = record->reason ? line(&text) : NULL;
    record->identity = ended ? line(&text) : NULL;
    record->secret = record->identity ? line(&text) : NULL;
    record->ended = ended ? apr_atoi64(ended) : 0;
    record->request = text;
    return record->secret != NULL;
}

int rs_store_take(rs_redis_conn_t *conn, const char *me, const char *child, int dead,
                  const char *known,
                  void (*call)(void *baton, const char *token, const rs_record_of_gate_t *record),
                  void *baton)
{
    char keys[4][KEY_LEN];
    rs_record_of_gate_t record;
    rs_eval_t eval = {.n = 0};
    redisReply *reply;
    int n = 0;
    size_t i;

    rs_eval_key(&eval, CHILDREN_KEY);
    rs_eval_key(&eval, key_of(keys[0], ALIVE_KEY, child));
    rs_eval_key(&eval, key_of(keys[1], ENDS_KEY, child));
    rs_eval_key(&eval, key_of(keys[2], TAKEN_KEY, child));
    rs_eval_key(&eval, key_of(keys[3], ENDS_KEY, me));
    rs_eval_arg(&eval, child, strlen(child));
    rs_eval_arg(&eval, TAKEN_FOR, strlen(TAKEN_FOR));
    rs_eval_arg(&eval, dead ? "1" : "0", 1);
    rs_eval_arg(&eval, known, strlen(known));
    if (rs_eval(conn, &reply, take_script, &eval) != APR_SUCCESS) {
        return -1;
    }
    if (reply->type == REDIS_REPLY_ARRAY) {
        n = (int)reply->elements / 2;
        for (i = 0; i + 1 < reply->elements; i += 2) {
            if (reply->element[i + 1]->type == REDIS_REPLY_STRING
                && read_record(&record, reply->element[i + 1]->str)) {
                call(baton, reply->element[i]->str, &record);
            }
        }
    }
    freeReplyObject(reply);
    return n;
}
