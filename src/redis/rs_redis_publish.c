/* SPDX-License-Identifier: Apache-2.0
 *
 * XADD, alone or several in one transaction. A worker thread, over a connection it has acquired.
 * Events that need more than XADD go another way (rs_redis_publish_once.c).
 *
 * A transaction is sent in three parts: MULTI, the commands, EXEC, and each waits for the answers
 * to the one before. Sent at once, a MULTI that Redis refuses (an ACL without it) would leave
 * commands that write one by one. The round trips buy a clear answer: whatever fails before EXEC
 * has left this machine has written nothing.
 */
#include <string.h>

#include <apr_strings.h>
#include <hiredis/hiredis.h>

#include "../base/rs_name.h"
#include "../proto/rs_template.h"
#include "rs_redis_publish_private.h"

static apr_status_t append_word(rs_redis_conn_t *conn, const char *word)
{
    return rs_redis_conn_append(conn, 1, &word, NULL);
}

static apr_status_t append_xadd(rs_redis_conn_t *conn, const rs_xadd_t *item)
{
    const char *argv[2 + RS_XADD_ARGS_MAX] = {"XADD", item->key};
    apr_size_t lens[2 + RS_XADD_ARGS_MAX] = {4, strlen(item->key)};
    char trim[RS_XADD_TRIM_LEN];

    return rs_redis_conn_append(conn, 2 + rs_xadd_args(item, trim, argv + 2, lens + 2), argv, lens);
}

static rs_publish_outcome_t publish_one(rs_redis_conn_t *conn, rs_xadd_t *item)
{
    rs_publish_outcome_t outcome;
    redisReply *reply;

    if (append_xadd(conn, item) != APR_SUCCESS || rs_redis_conn_flush(conn) != APR_SUCCESS) {
        return RS_PUBLISH_NOTHING;
    }
    if (rs_redis_conn_reply(conn, &reply) != APR_SUCCESS) {
        return RS_PUBLISH_UNKNOWN;
    }
    if (!rs_xadd_take_id(item, reply)) {
        outcome = rs_xadd_confused(conn);
    }
    else {
        outcome = item->id[0] ? RS_PUBLISH_DONE : RS_PUBLISH_REFUSED;
    }
    freeReplyObject(reply);
    return outcome;
}

/* Takes one +OK or +QUEUED off; an error's class goes to `refused` unless one is there already. */
static apr_status_t expect_status(rs_redis_conn_t *conn, char *refused)
{
    redisReply *reply;
    apr_status_t rv = rs_redis_conn_reply(conn, &reply);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        if (!*refused) {
            rs_redis_error_class(refused, reply);
        }
    }
    else if (reply->type != REDIS_REPLY_STATUS) {
        rs_redis_conn_spoil(conn, "an answer that Redis does not give");
        rv = APR_EGENERAL;
    }
    freeReplyObject(reply);
    return rv;
}

/* Leaves the transaction. If that fails the connection is closed, which leaves it as well. */
static void discard(rs_redis_conn_t *conn)
{
    char refused[RS_REDIS_CLASS_LEN] = "";

    if (append_word(conn, "DISCARD") != APR_SUCCESS || rs_redis_conn_flush(conn) != APR_SUCCESS
        || expect_status(conn, refused) != APR_SUCCESS || *refused) {
        rs_redis_conn_spoil(conn, "DISCARD failed");
    }
}

static rs_publish_outcome_t begin(rs_redis_conn_t *conn, rs_xadd_t *first)
{
    if (append_word(conn, "MULTI") != APR_SUCCESS || rs_redis_conn_flush(conn) != APR_SUCCESS
        || expect_status(conn, first->refused) != APR_SUCCESS) {
        return RS_PUBLISH_NOTHING;
    }
    return first->refused[0] ? RS_PUBLISH_REFUSED : RS_PUBLISH_DONE;
}

static rs_publish_outcome_t queue_all(rs_redis_conn_t *conn, rs_xadd_t *items, int n)
{
    int i, refused = 0;

    for (i = 0; i < n; i++) {
        if (append_xadd(conn, &items[i]) != APR_SUCCESS) {
            return RS_PUBLISH_NOTHING;
        }
    }
    if (rs_redis_conn_flush(conn) != APR_SUCCESS) {
        return RS_PUBLISH_NOTHING;
    }
    for (i = 0; i < n; i++) {
        if (expect_status(conn, items[i].refused) != APR_SUCCESS) {
            return RS_PUBLISH_NOTHING;
        }
        refused |= items[i].refused[0] != '\0';
    }
    if (refused) {
        discard(conn);
        return RS_PUBLISH_REFUSED;
    }
    return RS_PUBLISH_DONE;
}

/* The reason for EXECABORT, where Redis tells it, says more than the word itself. */
static void exec_error_class(char out[RS_REDIS_CLASS_LEN], const redisReply *reply)
{
    static const char because[] = "EXECABORT Transaction discarded because of: ";
    redisReply reason = *reply;

    if (reply->len > sizeof(because) - 1
        && strncmp(reply->str, because, sizeof(because) - 1) == 0) {
        reason.str += sizeof(because) - 1;
        reason.len -= sizeof(because) - 1;
    }
    rs_redis_error_class(out, &reason);
}

/* What EXEC answered. */
static rs_publish_outcome_t take_all(rs_redis_conn_t *conn, rs_xadd_t *items, int n,
                                     const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_ERROR) {
        exec_error_class(items[0].refused, reply);
        rs_redis_conn_spoil(conn, "EXEC was refused"); /* it may still be in the transaction */
        return RS_PUBLISH_REFUSED;
    }
    return rs_xadd_take_ids(conn, items, n, reply);
}

static rs_publish_outcome_t publish_many(rs_redis_conn_t *conn, rs_xadd_t *items, int n)
{
    rs_publish_outcome_t outcome = begin(conn, &items[0]);
    redisReply *reply;

    if (outcome == RS_PUBLISH_DONE) {
        outcome = queue_all(conn, items, n);
    }
    if (outcome != RS_PUBLISH_DONE) {
        return outcome;
    }
    if (append_word(conn, "EXEC") != APR_SUCCESS || rs_redis_conn_flush(conn) != APR_SUCCESS) {
        return RS_PUBLISH_NOTHING;
    }
    if (rs_redis_conn_reply(conn, &reply) != APR_SUCCESS) {
        return RS_PUBLISH_UNKNOWN;
    }
    outcome = take_all(conn, items, n, reply);
    freeReplyObject(reply);
    return outcome;
}

/* What one XADD cannot do is the script's, and so in one piece with it. */
static int needs_script(const rs_xadd_t *item)
{
    return item->event_key || item->idle > 0 || (item->maxlen > 0 && item->minid > 0);
}

rs_publish_outcome_t rs_redis_publish(rs_redis_conn_t *conn, rs_xadd_t *items, int n,
                                      char refused[RS_REDIS_CLASS_LEN])
{
    rs_publish_outcome_t outcome;
    int i, script = 0;

    refused[0] = '\0';
    for (i = 0; i < n; i++) {
        items[i].id[0] = '\0';
        items[i].refused[0] = '\0';
        items[i].duplicate = 0;
        script |= needs_script(&items[i]);
    }
    outcome = script   ? rs_redis_publish_once(conn, items, n, refused)
              : n == 1 ? publish_one(conn, items)
                       : publish_many(conn, items, n);
    for (i = 0; i < n; i++) {
        if (outcome == RS_PUBLISH_UNKNOWN) {
            items[i].id[0] = '\0';
            items[i].duplicate = 0;
        }
        if (!refused[0]) {
            memcpy(refused, items[i].refused, RS_REDIS_CLASS_LEN);
        }
    }
    return outcome;
}

const char *rs_stream_key(apr_pool_t *p, const char *key, const char *tenant)
{
    char *out;

    if (!rs_template_per_tenant(key)) {
        return key;
    }
    if (!tenant || !rs_name_valid(tenant, strlen(tenant))) {
        return NULL;
    }
    out = apr_palloc(p, rs_template_fill(NULL, key, tenant) + 1);
    rs_template_fill(out, key, tenant);
    return out;
}
