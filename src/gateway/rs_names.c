/* SPDX-License-Identifier: Apache-2.0
 *
 * A hash of tokens for each identity, and a list of what is kept. Scripts, so that what is sent
 * while somebody comes is either kept before that one reads what is kept, or goes to it. They do
 * nothing while Redis does not know who is there: that nobody is would be untrue.
 */
#include "rs_names.h"

#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <hiredis/hiredis.h>

#include "../proto/rs_own_keys.h"
#include "../redis/rs_redis_eval.h"
#include "../wire/rs_wire.h"
#include "rs_route.h"
#include "rs_store.h"

#define IDENTITY_KEY RS_OWN_GATEWAY "identity:"
#define KEPT_KEY RS_OWN_GATEWAY "kept:"
#define KEY_LEN (64 + RS_GATEWAY_IDENTITY_MAX)

/* Of a process that was killed while nobody else of its kind was there, names are left: so long,
 * in ms. The ledger says anew what is there, more often than that. */
#define LIVES_FOR "86400000"

/* Who was asked may have gone meanwhile. */
#define ROUNDS 3

#define UNLESS_LOST                                                                               \
    "if redis.call('EXISTS', KEYS[3]) == 0 or redis.call('EXISTS', KEYS[4]) == 1 then "            \
    "return 'lost' end\n"

static const char claim_script[] =
    UNLESS_LOST
    "local all = redis.call('HKEYS', KEYS[1])\n"
    "if ARGV[2] == 'reject' and #all > 0 then return {all} end\n"
    "local kept = redis.pcall('LRANGE', KEYS[2], 0, -1)\n"
    "if kept.err then kept = {} redis.call('DEL', KEYS[2]) end\n"
    "if ARGV[2] == 'replace' then redis.call('DEL', KEYS[1]) else all = {} end\n"
    "redis.call('HSET', KEYS[1], ARGV[1], '1')\n"
    "redis.call('PEXPIRE', KEYS[1], " LIVES_FOR ")\n"
    "return {all, kept}\n";

static const char send_script[] =
    UNLESS_LOST
    "local all = redis.call('HKEYS', KEYS[1])\n"
    "if #all > 0 or ARGV[2] == '0' then return all end\n"
    "local bytes = #ARGV[1]\n"
    "local kept = redis.call('LRANGE', KEYS[2], 0, -1)\n"
    "for i = 1, #kept do bytes = bytes + #kept[i] end\n"
    "if #kept >= " RS_NAMES_KEPT " or bytes > tonumber(ARGV[3]) then return 'full' end\n"
    "redis.call('RPUSH', KEYS[2], ARGV[1])\n"
    "redis.call('PEXPIRE', KEYS[2], ARGV[2])\n"
    "return 'kept'\n";

/* By the stamp: others that have the identity may have had the same, and more may be kept since. */
static const char arrived_script[] =
    "local kept = redis.call('LRANGE', KEYS[1], 0, -1)\n"
    "for i = 1, #kept do\n"
    "  if string.sub(kept[i], 1, #ARGV[1]) == ARGV[1] then\n"
    "    redis.call('LTRIM', KEYS[1], i, -1)\n"
    "    return i\n"
    "  end\n"
    "end\n"
    "return 0\n";

static const char *key_of(char key[KEY_LEN], const char *prefix, const char *identity)
{
    apr_snprintf(key, KEY_LEN, "%s%s", prefix, identity);
    return key;
}

static void add_keys(rs_eval_t *eval, char keys[2][KEY_LEN], const char *identity)
{
    rs_eval_key(eval, key_of(keys[0], IDENTITY_KEY, identity));
    rs_eval_key(eval, key_of(keys[1], KEPT_KEY, identity));
    rs_eval_key(eval, RS_STORE_MEMORY_KEY);
    rs_eval_key(eval, RS_STORE_LOST_KEY);
}

static void do_it(rs_redis_conn_t *conn, int argc, const char **argv)
{
    redisReply *reply;

    if (rs_redis_conn_command(conn, &reply, argc, argv, NULL) == APR_SUCCESS) {
        freeReplyObject(reply);
    }
}

void rs_names_enter(rs_redis_conn_t *conn, const char *identity, const char *token)
{
    char key[KEY_LEN];
    const char *enter[] = {"HSET", key_of(key, IDENTITY_KEY, identity), token, "1"};
    const char *live[] = {"PEXPIRE", key, LIVES_FOR};

    do_it(conn, 4, enter);
    do_it(conn, 3, live);
}

void rs_names_leave(rs_redis_conn_t *conn, const char *identity, const char *token)
{
    char key[KEY_LEN];
    const char *argv[] = {"HDEL", key_of(key, IDENTITY_KEY, identity), token};

    do_it(conn, 3, argv);
}

void rs_names_arrived(rs_redis_conn_t *conn, const char *identity, const char *last)
{
    char key[KEY_LEN];
    rs_eval_t eval = {.n = 0};
    redisReply *reply;

    rs_eval_key(&eval, key_of(key, KEPT_KEY, identity));
    rs_eval_arg(&eval, last, strlen(last));
    if (*last && rs_eval(conn, &reply, arrived_script, &eval) == APR_SUCCESS) {
        freeReplyObject(reply);
    }
}

/* --- coming --- */

int rs_names_claim(rs_names_claim_t *claim, rs_redis_conn_t *conn, const char *identity,
                   const char *token, rs_duplicate_t duplicate)
{
    static const char *const modes[] = {"replace", "allow", "reject"};
    char keys[2][KEY_LEN];
    rs_eval_t eval = {.n = 0};

    memset(claim, 0, sizeof(*claim));
    add_keys(&eval, keys, identity);
    rs_eval_arg(&eval, token, strlen(token));
    rs_eval_arg(&eval, modes[duplicate], strlen(modes[duplicate]));
    if (rs_eval(conn, &claim->reply, claim_script, &eval) != APR_SUCCESS) {
        return 0;
    }
    if (claim->reply->type != REDIS_REPLY_ARRAY || claim->reply->elements < 1
        || claim->reply->element[0]->type != REDIS_REPLY_ARRAY) {
        rs_names_claim_free(claim);
        return 0;
    }
    claim->others = claim->reply->element[0];
    claim->entered = claim->reply->elements == 2;
    claim->kept = claim->entered ? claim->reply->element[1] : NULL;
    return 1;
}

void rs_names_claim_free(rs_names_claim_t *claim)
{
    if (claim->reply) {
        freeReplyObject(claim->reply);
    }
    claim->reply = NULL;
}

/* Kept events are a line with a stamp and the length of the name (-1: none), the name, and the
 * data. */
static int write_kept(rs_buf_t *b, const rs_gateway_order_t *order)
{
    apr_uint64_t stamp;

    if (apr_generate_random_bytes((unsigned char *)&stamp, sizeof(stamp)) != APR_SUCCESS) {
        return 0;
    }
    rs_buf_printf(b, "%016" APR_UINT64_T_HEX_FMT " %ld\n", stamp,
                  order->name ? (long)strlen(order->name) : -1);
    rs_buf_puts(b, order->name ? order->name : "");
    rs_buf_puts(b, order->data);
    return rs_buf_ok(b);
}

static int is_kept(const redisReply *kept)
{
    return kept->type == REDIS_REPLY_STRING && kept->len > RS_GATE_STAMP_LEN;
}

static int add_frame(rs_buf_t *b, const redisReply *kept, int dialect)
{
    char *name = is_kept(kept) ? strchr(kept->str, '\n') : NULL;
    long len = name ? atol(kept->str + RS_GATE_STAMP_LEN) : 0;
    char *copy;

    if (!name || len < -1 || len > (long)kept->len - (long)(name + 1 - kept->str)) {
        return 0;
    }
    name++;
    copy = len > 0 ? strndup(name, (size_t)len) : NULL;
    rs_wire_gateway_event(b, dialect, copy, name + (len > 0 ? len : 0));
    free(copy);
    return 1;
}

unsigned rs_names_frames(rs_buf_t *b, const rs_names_claim_t *claim, int dialect,
                         char last[RS_GATE_STAMP_LEN])
{
    size_t i, n = claim->kept && claim->kept->type == REDIS_REPLY_ARRAY ? claim->kept->elements : 0;

    for (i = 0; i < n; i++) {
        add_frame(b, claim->kept->element[i], dialect);
    }
    if (n && is_kept(claim->kept->element[n - 1])) {
        apr_cpystrn(last, claim->kept->element[n - 1]->str, RS_GATE_STAMP_LEN);
    }
    return (unsigned)n;
}

/* --- sending --- */

/* Whom to send it to, or what became of it. NULL: Redis did not say. */
static redisReply *ask(rs_redis_conn_t *conn, const rs_gateway_order_t *order,
                       apr_interval_time_t keep, size_t max)
{
    char keys[2][KEY_LEN], time[24], bytes[24];
    rs_buf_t kept = RS_BUF_INIT;
    rs_eval_t eval = {.n = 0};
    redisReply *reply = NULL;

    if (order->data && !write_kept(&kept, order)) {
        rs_buf_free(&kept);
        return NULL;
    }
    apr_snprintf(time, sizeof(time), "%" APR_INT64_T_FMT,
                 order->data ? (apr_int64_t)apr_time_as_msec(keep) : 0);
    apr_snprintf(bytes, sizeof(bytes), "%" APR_SIZE_T_FMT, max);
    add_keys(&eval, keys, order->identity);
    rs_eval_arg(&eval, kept.data ? kept.data : "", kept.len);
    rs_eval_arg(&eval, time, strlen(time));
    rs_eval_arg(&eval, bytes, strlen(bytes));
    if (rs_eval(conn, &reply, send_script, &eval) != APR_SUCCESS) {
        reply = NULL;
    }
    rs_buf_free(&kept);
    return reply;
}

static void forget(rs_redis_pool_t *pool, const char *identity, const char *token)
{
    rs_redis_conn_t *conn;

    if (rs_redis_pool_acquire(&conn, pool) == APR_SUCCESS) {
        rs_names_leave(conn, identity, token);
        rs_redis_pool_release(pool, conn);
    }
}

/* The best of what is true of any of them. */
static rs_sent_t better(rs_sent_t a, rs_sent_t b)
{
    return a == RS_SENT_GONE || b == RS_SENT ? b : a == RS_SENT ? a : b == RS_SENT_BUFFERED ? b : a;
}

static rs_sent_t send_to_all(rs_common_t *common, rs_redis_pool_t *pool,
                             const rs_gateway_order_t *order, const redisReply *all)
{
    rs_sent_t sent = RS_SENT_GONE;
    size_t i;

    for (i = 0; i < all->elements; i++) {
        rs_gateway_order_t one = *order;
        rs_sent_t this_one;

        one.token = all->element[i]->type == REDIS_REPLY_STRING ? all->element[i]->str : "";
        this_one = rs_route_send(common, pool, &one);
        if (this_one == RS_SENT_GONE) {
            forget(pool, order->identity, one.token);
        }
        else {
            sent = better(sent, this_one);
        }
    }
    return sent;
}

rs_sent_t rs_names_send(rs_common_t *common, rs_redis_pool_t *pool,
                        const rs_gateway_order_t *order, apr_interval_time_t keep)
{
    rs_sent_t sent = RS_SENT_GONE;
    rs_redis_conn_t *conn;
    redisReply *reply;
    int round, more = 1;

    for (round = 0; more && round < ROUNDS; round++) {
        if (rs_redis_pool_acquire(&conn, pool) != APR_SUCCESS) {
            return RS_SENT_AWAY;
        }
        reply = ask(conn, order, keep, common->max_message);
        rs_redis_pool_release(pool, conn);
        if (!reply) {
            return RS_SENT_UNKNOWN;
        }
        more = reply->type == REDIS_REPLY_ARRAY && reply->elements > 0;
        if (more) {
            sent = send_to_all(common, pool, order, reply);
            more = sent == RS_SENT_GONE;
        }
        else if (reply->type == REDIS_REPLY_STRING) {
            sent = !strcmp(reply->str, "kept")   ? RS_SENT_BUFFERED
                   : !strcmp(reply->str, "full") ? RS_SENT_FULL
                                                 : RS_SENT_AWAY;
        }
        else {
            sent = reply->type == REDIS_REPLY_ERROR ? RS_SENT_AWAY : RS_SENT_GONE;
        }
        freeReplyObject(reply);
    }
    return sent;
}
