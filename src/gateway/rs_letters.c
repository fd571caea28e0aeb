/* SPDX-License-Identifier: Apache-2.0
 *
 * A letter is a line that says what it is called, whether to close, how long name and data are (-1:
 * there is none), and the token; name and data follow. While its sender waits it has a stamp, a key
 * of its own. Who has read it takes the stamp, and only then hands over; who gives up waiting
 * takes it, too. One of the two finds it: so what was given up is never sent, also by a child that
 * did not run in between. If the stamp is gone and there is no answer, nobody can tell.
 *
 * Nodes say that they live by a key that ends by itself. Redis may have lost it a moment ago, so
 * one without it is written to as well, and if that does not answer the key says so for a while.
 */
#include "rs_letters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>
#include <hiredis/hiredis.h>

#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "../proto/rs_own_keys.h"
#include "../redis/rs_redis_eval.h"
#include "rs_relay.h"

#define NODE_KEY RS_OWN_GATEWAY "node:"
#define MAIL_KEY RS_OWN_GATEWAY "mail:"
#define REPLY_KEY RS_OWN_GATEWAY "reply:"
#define STAMP_KEY RS_OWN_GATEWAY "stamp:"
#define NAME_LEN 33 /* of a letter, with the NUL */
#define KEY_LEN 80

#define LIVES "1"
#define SILENT "0"
#define LEASE "10"                          /* seconds, of a node */
#define BLOCK "2"                           /* seconds, for a letter */
#define PATIENCE "1"                        /* seconds, for an answer */
#define LIMIT apr_time_from_sec(4)          /* of any of these */
#define HAND_LIMIT apr_time_from_msec(900)  /* of handing over, which is to be answered in time */
#define AGAIN apr_time_from_sec(1)

struct rs_letters_t {
    rs_common_t *common;
    const rs_redis_url_t *url;
    rs_poll_t *poll;
    apr_thread_t *thread;
    int stopping; /* atomic */

    /* The thread. */
    rs_redis_conn_t *conn; /* NULL: none */
    char mail[KEY_LEN], node[KEY_LEN];
};

/* --- who sends --- */

static const char put_script[] =
    "local is = redis.call('GET', KEYS[1])\n"
    "if is == '" SILENT "' then return 0 end\n"
    "redis.call('RPUSH', KEYS[2], ARGV[1])\n"
    "redis.call('EXPIRE', KEYS[2], " LEASE ")\n"
    "redis.call('SET', KEYS[3], '1', 'EX', " LEASE ")\n"
    "return is and 1 or 2\n";

static int make_name(char name[NAME_LEN])
{
    unsigned char random[16];
    size_t i;

    if (apr_generate_random_bytes(random, sizeof(random)) != APR_SUCCESS) {
        return 0;
    }
    for (i = 0; i < sizeof(random); i++) {
        apr_snprintf(name + 2 * i, 3, "%02x", random[i]);
    }
    return 1;
}

static const char *key_of(char key[KEY_LEN], const char *prefix, const char *name)
{
    apr_snprintf(key, KEY_LEN, "%s%s", prefix, name);
    return key;
}

static void write_letter(rs_buf_t *b, const char *name, const rs_gateway_order_t *order)
{
    rs_buf_printf(b, "%s %d %ld %ld %s\n", name, order->close,
                  order->name ? (long)strlen(order->name) : -1,
                  order->data ? (long)strlen(order->data) : -1, order->token);
    rs_buf_puts(b, order->name ? order->name : "");
    rs_buf_puts(b, order->data ? order->data : "");
}

/* 1, 0; -1: Redis did not do it. */
static int command(rs_redis_conn_t *conn, int argc, const char **argv)
{
    redisReply *reply;
    int n = -1;

    if (rs_redis_conn_command(conn, &reply, argc, argv, NULL) == APR_SUCCESS) {
        n = reply->type == REDIS_REPLY_INTEGER ? (int)reply->integer
            : reply->type == REDIS_REPLY_ERROR ? -1
                                               : 1;
        freeReplyObject(reply);
    }
    return n;
}

/* 1: nobody else has taken it, and nobody will. */
static int take_stamp(rs_redis_conn_t *conn, const char *name)
{
    char key[KEY_LEN];
    const char *argv[] = {"DEL", key_of(key, STAMP_KEY, name)};

    return command(conn, 2, argv);
}

static rs_sent_t read_answer(const redisReply *reply, rs_sent_t none)
{
    const redisReply *text = reply->type == REDIS_REPLY_ARRAY && reply->elements == 2
                                 ? reply->element[1]
                                 : reply;

    return text->type == REDIS_REPLY_STRING ? (rs_sent_t)atoi(text->str) : none;
}

/* RS_SENT_UNKNOWN: none in time. */
static rs_sent_t look_for_answer(rs_redis_conn_t *conn, const char *key)
{
    const char *argv[] = {"BLPOP", key, PATIENCE};
    rs_sent_t sent = RS_SENT_UNKNOWN;
    redisReply *reply;

    if (rs_redis_conn_command(conn, &reply, 3, argv, NULL) == APR_SUCCESS) {
        sent = read_answer(reply, RS_SENT_UNKNOWN);
        freeReplyObject(reply);
    }
    return sent;
}

static rs_sent_t wait_for_answer(rs_redis_conn_t *conn, const char *name)
{
    char key[KEY_LEN];
    rs_sent_t sent = look_for_answer(conn, key_of(key, REPLY_KEY, name));

    if (sent == RS_SENT_UNKNOWN) {
        switch (take_stamp(conn, name)) {
        case 1:
            return RS_SENT_LATE;
        case 0:
            return look_for_answer(conn, key);
        default:
            break;
        }
    }
    return sent;
}

/* Nobody has said that the node lives, and it did not take a letter. */
static rs_sent_t it_is_gone(rs_redis_conn_t *conn, const char *node_key)
{
    const char *argv[] = {"SET", node_key, SILENT, "EX", LEASE, "NX"};

    command(conn, 6, argv);
    return RS_SENT_GONE;
}

static rs_sent_t send_letter(rs_redis_pool_t *pool, rs_redis_conn_t *conn, const char *node,
                             const char *name, const rs_buf_t *letter)
{
    char keys[3][KEY_LEN], class[RS_REDIS_CLASS_LEN];
    rs_sent_t sent = RS_SENT_AWAY;
    rs_eval_t eval = {.n = 0};
    redisReply *reply;

    rs_eval_key(&eval, key_of(keys[0], NODE_KEY, node));
    rs_eval_key(&eval, key_of(keys[1], MAIL_KEY, node));
    rs_eval_key(&eval, key_of(keys[2], STAMP_KEY, name));
    rs_eval_arg(&eval, letter->data, letter->len);
    if (rs_eval(conn, &reply, put_script, &eval) != APR_SUCCESS) {
        return RS_SENT_UNKNOWN;
    }
    if (reply->type == REDIS_REPLY_INTEGER) {
        sent = reply->integer ? wait_for_answer(conn, name) : RS_SENT_GONE;
        if (reply->integer == 2 && sent == RS_SENT_LATE) {
            sent = it_is_gone(conn, keys[0]);
        }
    }
    else if (reply->type == REDIS_REPLY_ERROR) {
        rs_redis_error_class(class, reply);
        if (!strcmp(class, "READONLY")) {
            rs_redis_pool_demoted(pool, conn);
        }
        rs_log(RS_LOG_WARNING, 0, RSLOGNO(1121) "%s: a letter to another node is refused: %s",
               rs_redis_pool_label(pool), class);
    }
    freeReplyObject(reply);
    return sent;
}

rs_sent_t rs_letters_send(rs_redis_pool_t *pool, const char *node,
                          const rs_gateway_order_t *order)
{
    rs_buf_t letter = RS_BUF_INIT;
    apr_interval_time_t before;
    char name[NAME_LEN];
    rs_redis_conn_t *conn;
    rs_sent_t sent;

    if (!make_name(name) || rs_redis_pool_acquire(&conn, pool) != APR_SUCCESS) {
        return RS_SENT_AWAY;
    }
    write_letter(&letter, name, order);
    before = rs_redis_conn_patience(conn, LIMIT);
    sent = rs_buf_ok(&letter) ? send_letter(pool, conn, node, name, &letter) : RS_SENT_FULL;
    rs_redis_conn_patience(conn, before);
    rs_redis_pool_release(pool, conn);
    rs_buf_free(&letter);
    return sent;
}

/* --- who takes out --- */

static int open_conn(rs_letters_t *l)
{
    if (l->conn && !rs_redis_conn_current(l->conn)) {
        rs_redis_conn_spoil(l->conn, "it is a replica now");
    }
    if (l->conn && rs_redis_conn_usable(l->conn)) {
        return 1;
    }
    rs_redis_conn_free(l->conn);
    l->conn = rs_redis_conn_create(l->url, LIMIT);
    if (l->conn) {
        rs_redis_conn_call(l->conn, "ragline-gateway");
    }
    return l->conn && rs_redis_conn_open(l->conn) == APR_SUCCESS;
}

static int say_alive(rs_letters_t *l)
{
    const char *argv[] = {"SET", l->node, LIVES, "EX", LEASE};

    return command(l->conn, 5, argv) == 1;
}

static void answer(rs_letters_t *l, const char *name, rs_sent_t sent)
{
    const char *script = "redis.call('RPUSH', KEYS[1], ARGV[1]) "
                         "return redis.call('EXPIRE', KEYS[1], " LEASE ")";
    rs_eval_t eval = {.n = 0};
    redisReply *reply;
    char text[12], key[KEY_LEN];

    apr_snprintf(text, sizeof(text), "%d", sent);
    rs_eval_key(&eval, key_of(key, REPLY_KEY, name));
    rs_eval_arg(&eval, text, strlen(text));
    if (rs_eval(l->conn, &reply, script, &eval) == APR_SUCCESS) {
        freeReplyObject(reply);
    }
}

static const char *copy(char **at, const char *from, long len)
{
    char *start = *at;

    if (len < 0) {
        return NULL;
    }
    memcpy(start, from, (size_t)len);
    start[len] = '\0';
    *at = start + len + 1;
    return start;
}

/* What is no letter is nothing to us. */
static void read_letter(rs_letters_t *l, const char *letter, size_t len)
{
    const char *line_end = memchr(letter, '\n', len), *rest = line_end ? line_end + 1 : NULL;
    char called[NAME_LEN], token[RS_GATE_TOKEN_LEN], line[2 * KEY_LEN], *text, *at;
    rs_gateway_order_t order;
    rs_gate_token_is_t is;
    rs_gate_token_t where;
    long name, data;

    if (!rest || line_end - letter >= (ptrdiff_t)sizeof(line)) {
        return;
    }
    memset(&order, 0, sizeof(order));
    apr_cpystrn(line, letter, (size_t)(line_end - letter) + 1);
    if (sscanf(line, "%32s %d %ld %ld %36s", called, &order.close, &name, &data, token) != 5
        || name < -1 || data < -1
        || (size_t)((name > 0 ? name : 0) + (data > 0 ? data : 0))
               != len - (size_t)(rest - letter)
        || !(text = malloc(len + 2))) {
        return;
    }
    at = text;
    order.token = token;
    order.name = copy(&at, rest, name);
    order.data = copy(&at, rest + (name > 0 ? name : 0), data);
    if (take_stamp(l->conn, called) != 1) {
        free(text);
        return;
    }
    is = rs_gate_token_read(&where, token, l->common->registry);
    answer(l, called,
           is == RS_TOKEN_HERE || is == RS_TOKEN_CHILD
               ? rs_relay_send(l->common, &where, &order, rs_clock_now() + HAND_LIMIT)
               : RS_SENT_GONE);
    free(text);
}

/* 0: the connection is of no use any more. */
static int take_one(rs_letters_t *l)
{
    const char *argv[] = {"BLPOP", l->mail, BLOCK};
    rs_poll_event_t event;
    redisReply *reply;
    int fd = rs_redis_conn_fd(l->conn), good = 0;

    if (rs_redis_conn_append(l->conn, 3, argv, NULL) != APR_SUCCESS
        || rs_redis_conn_flush(l->conn) != APR_SUCCESS
        || rs_poll_add(l->poll, fd, RS_POLL_IN, l) != APR_SUCCESS) {
        return 0;
    }
    rs_poll_wait(l->poll, &event, 1, LIMIT);
    rs_poll_del(l->poll, fd);
    /* Told to stop, it leaves the question open, and with it the connection. */
    if (!__atomic_load_n(&l->stopping, __ATOMIC_ACQUIRE)
        && rs_redis_conn_reply(l->conn, &reply) == APR_SUCCESS) {
        if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2
            && reply->element[1]->type == REDIS_REPLY_STRING) {
            read_letter(l, reply->element[1]->str, (size_t)reply->element[1]->len);
        }
        good = reply->type != REDIS_REPLY_ERROR;
        freeReplyObject(reply);
    }
    return good;
}

static void *APR_THREAD_FUNC run(apr_thread_t *thread, void *data)
{
    rs_letters_t *l = data;
    rs_poll_event_t none;

    (void)thread;
    while (!__atomic_load_n(&l->stopping, __ATOMIC_ACQUIRE)) {
        if (!open_conn(l) || !say_alive(l) || !take_one(l)) {
            rs_redis_conn_free(l->conn);
            l->conn = NULL;
            if (!__atomic_load_n(&l->stopping, __ATOMIC_ACQUIRE)) {
                rs_poll_wait(l->poll, &none, 1, AGAIN);
            }
        }
    }
    rs_redis_conn_free(l->conn);
    return NULL;
}

apr_status_t rs_letters_create(rs_letters_t **out, apr_pool_t *p, rs_common_t *common,
                               const rs_redis_url_t *url)
{
    rs_letters_t *l = apr_pcalloc(p, sizeof(*l));

    l->common = common;
    l->url = url;
    apr_snprintf(l->mail, sizeof(l->mail), MAIL_KEY "%s", rs_registry_node(common->registry));
    apr_snprintf(l->node, sizeof(l->node), NODE_KEY "%s", rs_registry_node(common->registry));
    *out = l;
    return rs_poll_create(&l->poll, p);
}

apr_status_t rs_letters_start(rs_letters_t *l, apr_pool_t *p)
{
    return apr_thread_create(&l->thread, NULL, run, l, p);
}

void rs_letters_stop(rs_letters_t *l)
{
    apr_status_t ignored;

    if (l->thread) {
        __atomic_store_n(&l->stopping, 1, __ATOMIC_RELEASE);
        rs_poll_wake(l->poll);
        apr_thread_join(&ignored, l->thread);
    }
}
