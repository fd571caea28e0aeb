/* SPDX-License-Identifier: Apache-2.0
 *
 * Logging in to Redis: passwords, users, databases, and what is logged when Redis refuses.
 */
#include "redis_pool.h"

/* One attempt with a pool of its own; the warning is left in log_last. */
static int can_log_in(const char *userinfo, const char *tail)
{
    rs_redis_pool_t *pool;
    apr_pool_t *sub;
    int good;

    apr_pool_create(&sub, p);
    log_last[0] = '\0';
    pool =
        create(sub, url_of(apr_pstrcat(p, "unix://", userinfo, redis_socket, tail, NULL)), 1, 1000);
    good = works(pool);
    apr_pool_destroy(sub);
    return good;
}

static void test_login(void)
{
    apr_pool_t *sub;
    rs_redis_pool_t *pool;
    rs_redis_conn_t *conn = NULL;
    const char *acl[] = {"ACL", "SETUSER", "app", "on", ">s3cret:2", "~*", "+@all", "-client"};
    const char *set[] = {"CONFIG", "SET", "requirepass", "s3cret"};
    redisReply *reply = NULL;

    apr_pool_create(&sub, p);
    pool = create(sub, url_of(apr_pstrcat(p, redis_url, "?db=3", NULL)), 1, 1000);
    rs_redis_pool_acquire(&conn, pool);
    ok(clients(conn, " db=3 ") >= 1, "the database is selected");
    ok(!can_log_in("", "?db=9999") && strstr(log_last, "refused the database (ERR)"),
       "a database that is not there: %s", log_last);
    rs_redis_conn_command(conn, &reply, 8, acl, NULL);
    freeReplyObject(reply);
    ok(can_log_in("app:s3cret%3A2@", ""), "a user logs in, who may not set a name");
    rs_redis_conn_command(conn, &reply, 4, set, NULL);
    freeReplyObject(reply);
    ok(!can_log_in("", "") && strstr(log_last, "NOAUTH"), "no password: %s", log_last);
    ok(!can_log_in(":s3cre@", "") && strstr(log_last, "WRONGPASS") && !strstr(log_last, "s3cre"),
       "a wrong password: %s", log_last);
    ok(can_log_in(":s3cret@", ""), "the right password");
    ok(can_log_in(":s3cret@", "?db=2"), "the right password and a database");
    set[2] = "maxclients";
    set[3] = "1";
    rs_redis_conn_command(conn, &reply, 4, set, NULL);
    freeReplyObject(reply);
    ok(!can_log_in("", "") && strstr(log_last, "maxclients"), "a full Redis: %s", log_last);
    rs_redis_pool_release(pool, conn);
    apr_pool_destroy(sub);
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&p, NULL);
    rs_log_sink(sink, RS_LOG_DEBUG);
    if (ok(redis_prepare() && redis_start(), "redis-server starts")) {
        test_login();
    }
    apr_pool_destroy(p);
    apr_terminate();
    return done_testing();
}
