/* SPDX-License-Identifier: Apache-2.0
 *
 * GET of …/presence: which users a tenant has, on all nodes, as Redis has it. The worker.
 */
#include "../conf/rs_httpd.h"

#include <hiredis/hiredis.h>

#include "../base/rs_buf.h"
#include "../base/rs_name.h"
#include "../conf/rs_conf.h"
#include "rs_admin_presence.h"
#include "rs_admin_query.h"
#include "rs_control_write.h"
#include "rs_error.h"

static int is_text(const redisReply *reply) { return reply->type == REDIS_REPLY_STRING; }

/* 0: Redis gives no such answer. */
static int compose(rs_buf_t *b, const char *tenant, const redisReply *reply)
{
    const char *separator = "";
    size_t i;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements % 2 == 0
        || !is_text(reply->element[0])) {
        return 0;
    }
    rs_buf_printf(b, "{\"tenant_id\":\"%s\",\"users\":[", tenant);
    for (i = 1; i + 1 < reply->elements; i += 2) {
        const redisReply *user = reply->element[i], *count = reply->element[i + 1];

        if (!is_text(user) || !is_text(count)) {
            return 0;
        }
        rs_buf_printf(b, "%s\n{\"user_id\":", separator);
        rs_buf_json(b, user->str, (size_t)user->len);
        rs_buf_printf(b, ",\"connections\":%" APR_INT64_T_FMT "}", apr_atoi64(count->str));
        separator = ",";
    }
    rs_buf_puts(b, "],\"next\":");
    if (*reply->element[0]->str) {
        rs_buf_json(b, reply->element[0]->str, (size_t)reply->element[0]->len);
    }
    else {
        rs_buf_puts(b, "null");
    }
    rs_buf_puts(b, "}\n");
    return 1;
}

static int answer(request_rec *r, const char *tenant, const redisReply *reply)
{
    rs_buf_t b = RS_BUF_INIT;
    int status, good;

    if (reply->type == REDIS_REPLY_ERROR) {
        char class[RS_REDIS_CLASS_LEN];

        rs_redis_error_class(class, reply);
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                      "RS0765: %s: who is there cannot be read: %s",
                      rs_redis_pool_label(rs_conf_server(r->server)->pool), class);
        return rs_control_unavailable(r, "Redis did not say who is there");
    }
    good = compose(&b, tenant, reply);
    rs_buf_add(&b, "", 1);
    status = !good ? rs_control_unavailable(r, "Redis did not say who is there")
             : rs_buf_ok(&b)
                 ? rs_http_json(r, HTTP_OK, b.data)
                 : rs_http_error(r, HTTP_INTERNAL_SERVER_ERROR, "memory", "out of memory");
    rs_buf_free(&b);
    return status;
}

static int ask(request_rec *r, const rs_admin_query_t *query)
{
    const char *argv[] = {"EVAL",
                          rs_presence_list,
                          "2",
                          RS_OWN_PRESENCE_NODES,
                          apr_pstrcat(r->pool, RS_OWN_PRESENCE_USERS, query->tenant, NULL),
                          query->after ? query->after : "",
                          apr_itoa(r->pool, query->limit)};
    rs_redis_pool_t *pool = rs_conf_server(r->server)->pool;
    redisReply *reply = NULL;
    rs_redis_conn_t *conn;
    apr_status_t rv;
    int status;

    if (!pool || rs_redis_pool_acquire(&conn, pool) != APR_SUCCESS) {
        return rs_control_unavailable(r, "Redis cannot be reached");
    }
    rv = rs_redis_conn_command(conn, &reply, RS_ARRAY_LEN(argv), argv, NULL);
    rs_redis_pool_release(pool, conn);
    if (rv != APR_SUCCESS || !reply) {
        return rs_control_unavailable(r, "Redis does not answer");
    }
    status = answer(r, query->tenant, reply);
    freeReplyObject(reply);
    return status;
}

int rs_admin_presence(request_rec *r)
{
    rs_admin_query_t query;
    int status = rs_admin_query(r, &query, 1);

    if (status != OK) {
        return status;
    }
    if (!query.tenant) {
        return rs_http_error(r, HTTP_BAD_REQUEST, "bad_target", "say of which tenant: tenant=");
    }
    if (query.after && !rs_name_valid(query.after, strlen(query.after))) {
        return rs_http_error(r, HTTP_BAD_REQUEST, "bad_after",
                             "after is the `next` of an answer: begin again without it");
    }
    return ask(r, &query);
}
