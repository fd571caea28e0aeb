/* SPDX-License-Identifier: Apache-2.0
 *
 * Revoking: what is to be remembered, and until when. The worker.
 */
#include "../conf/rs_httpd.h"

#include <hiredis/hiredis.h>

#include "../log/rs_revoked.h"
#include "../proto/rs_own_keys.h"
#include "rs_admin_revoke.h"
#include "rs_control_write.h"

/* Ten years: no token lives as long. */
#define LONGEST ((apr_int64_t)3650 * 24 * 3600)

/* What has ended is left there for so long: other nodes may have another time. */
#define LEFT ((apr_int64_t)24 * 3600)

static int two(const char *s) { return (s[0] - '0') * 10 + s[1] - '0'; }

/* Of a month from 0 on. apr_time_exp_get() takes the 31st of February for a day of March. */
static int days_of(int month, int year)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month] + (month == 1 && leap);
}

/* "2026-11-20T12:13:20Z", with a fraction, with "+01:00": RFC 3339. */
static int read_date(apr_int64_t *seconds, const char *s)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd";
    apr_time_exp_t t = {0};
    apr_time_t time;
    int i, offset = 0;

    for (i = 0; form[i]; i++) {
        if (form[i] == 'd' ? !apr_isdigit(s[i]) : apr_toupper(s[i]) != form[i]) {
            return 0;
        }
    }
    t.tm_year = two(s) * 100 + two(s + 2) - 1900;
    t.tm_mon = two(s + 5) - 1;
    t.tm_mday = two(s + 8);
    t.tm_hour = two(s + 11);
    t.tm_min = two(s + 14);
    t.tm_sec = two(s + 17);
    s += i;
    if (*s == '.') {
        s += 1 + strspn(s + 1, "0123456789");
    }
    if ((*s == '+' || *s == '-') && apr_isdigit(s[1]) && apr_isdigit(s[2]) && s[3] == ':'
        && apr_isdigit(s[4]) && apr_isdigit(s[5]) && !s[6]) {
        offset = (two(s + 1) * 60 + two(s + 4)) * 60 * (*s == '+' ? 1 : -1);
    }
    else if (apr_toupper(*s) != 'Z' || s[1]) {
        return 0;
    }
    if (t.tm_mon < 0 || t.tm_mon > 11 || t.tm_mday < 1
        || t.tm_mday > days_of(t.tm_mon, t.tm_year + 1900) || t.tm_hour > 23
        || t.tm_min > 59 || t.tm_sec > 60 || apr_time_exp_get(&time, &t) != APR_SUCCESS) {
        return 0;
    }
    *seconds = apr_time_sec(time) - offset;
    return 1;
}

int rs_admin_until(apr_int64_t *until, apr_pool_t *p, rs_json_t value)
{
    const char *text = rs_json_string(p, value);

    if (text ? !read_date(until, text) : !rs_json_integer(until, value)) {
        return 0;
    }
    return *until >= 0 && *until <= apr_time_sec(apr_time_now()) + LONGEST;
}

/* 0: not done. *class: why; "": there is no answer. */
static int run(char class[RS_REDIS_CLASS_LEN], rs_redis_conn_t *conn, int argc, const char **argv)
{
    redisReply *reply = NULL;
    int good = rs_redis_conn_command(conn, &reply, argc, argv, NULL) == APR_SUCCESS && reply
               && reply->type != REDIS_REPLY_ERROR;

    *class = '\0';
    if (reply && reply->type == REDIS_REPLY_ERROR) {
        rs_redis_error_class(class, reply);
    }
    if (reply) {
        freeReplyObject(reply);
    }
    return good;
}

int rs_admin_remember(request_rec *r, rs_redis_pool_t *pool, rs_redis_conn_t *conn,
                      const char *name, apr_int64_t until)
{
    apr_int64_t now = apr_time_sec(apr_time_now());
    const char *ended[] = {"ZREMRANGEBYSCORE", RS_OWN_REVOKED, "-inf",
                           apr_psprintf(r->pool, "%" APR_INT64_T_FMT, now - LEFT)};
    const char *add[] = {"ZADD", RS_OWN_REVOKED, apr_psprintf(r->pool, "%" APR_INT64_T_FMT, until),
                         name};
    const char *take[] = {"ZREM", RS_OWN_REVOKED, name};
    const char *keep[] = {"EXPIRE", RS_OWN_REVOKED,
                          apr_psprintf(r->pool, "%" APR_INT64_T_FMT, LONGEST)};
    char class[RS_REDIS_CLASS_LEN];
    int status;

    if (run(class, conn, 4, ended)
        && (until > now ? run(class, conn, 4, add) && run(class, conn, 3, keep)
                        : run(class, conn, 3, take))) {
        return OK;
    }
    status = *class ? rs_control_refused(r, pool, RS_OWN_REVOKED, class,
                                         "Redis did not take it; nothing was done")
                    : rs_control_unavailable(r, "the connection to Redis broke: it may be "
                                                "remembered, or not; nobody was told: try again");
    if (!strcmp(class, "READONLY")) {
        rs_redis_pool_demoted(pool, conn);
    }
    rs_redis_pool_release(pool, conn);
    return status;
}
