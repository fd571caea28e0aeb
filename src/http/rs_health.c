/* SPDX-License-Identifier: Apache-2.0
 *
 * Health. Says nothing of hosts, keys or tenants: it may be public. The worker.
 */
#include "../conf/rs_httpd.h"
#include <hiredis/hiredis.h>

#include "../redis/rs_redis_hints.h"
#include "rs_child.h"
#include "rs_error.h"
#include "../log/rs_source.h"
#include "rs_health.h"
#include "rs_request.h"

static int redis_answers(rs_redis_pool_t *pool)
{
    const char *argv[] = {"PING"};
    rs_redis_conn_t *conn;
    redisReply *reply = NULL;
    int good;

    if (!pool || rs_redis_pool_acquire(&conn, pool) != APR_SUCCESS) {
        return 0;
    }
    good = rs_redis_conn_command(conn, &reply, 1, argv, NULL) == APR_SUCCESS && reply
           && reply->type == REDIS_REPLY_STATUS;
    if (good) {
        rs_redis_pool_look(pool, conn);
    }
    if (reply) {
        freeReplyObject(reply);
    }
    rs_redis_pool_release(pool, conn);
    return good;
}

/* Redis's settings that put events at risk, as a list without its brackets. */
static const char *risks(apr_pool_t *p, rs_redis_pool_t *pool)
{
    unsigned hints = pool ? rs_redis_pool_hints(pool) : 0;
    const char *out = "";
    int i;

    for (i = 0; i < RS_HINTS; i++) {
        if (hints >> i & 1) {
            out = apr_psprintf(p, "%s%s\"%s\"", out, *out ? "," : "", rs_redis_hint_setting(i));
        }
    }
    return out;
}

static const char *json_bool(int value) { return value ? "true" : "false"; }

static int ends_with(const char *s, const char *suffix)
{
    apr_size_t n = strlen(s), k = strlen(suffix);

    return n >= k && !strcmp(s + n - k, suffix);
}

int rs_health_handler(request_rec *r)
{
    rs_server_conf_t *server = rs_conf_server(r->server);
    rs_engine_t *engine = rs_child_engine();
    int answers, reading, caught_up, draining, ready;

    if (r->method_number != M_GET) {
        return rs_http_method_error(r, "GET");
    }
    if (ends_with(r->uri, "/live")) {
        return rs_http_json(r, HTTP_OK, "{\"status\":\"alive\",\"alive\":true}\n");
    }
    answers = redis_answers(server->pool);
    /* A host that only publishes reads nothing and is not behind. */
    reading = !server->source || rs_source_is_up(server->source);
    caught_up = !server->source || __atomic_load_n(&server->source->caught_up, __ATOMIC_ACQUIRE);
    draining = engine && rs_engine_draining(engine);
    ready = engine && answers && reading && caught_up && !draining;
    return rs_http_json(
        r, ready ? HTTP_OK : HTTP_SERVICE_UNAVAILABLE,
        apr_psprintf(r->pool,
                     "{\"status\":\"%s\",\"alive\":true,\"ready\":%s,\"redis_answers\":%s,"
                     "\"reading\":%s,\"caught_up\":%s,\"draining\":%s,\"redis_risks\":[%s]}\n",
                     ready ? "ready" : "not_ready", json_bool(ready), json_bool(answers),
                     json_bool(reading), json_bool(caught_up), json_bool(draining),
                     risks(r->pool, server->pool)));
}
