/* SPDX-License-Identifier: Apache-2.0
 *
 * What is asked of sentinels, and what their answers mean. Any thread.
 */
#include <string.h>

#include <apr_strings.h>
#include <hiredis/hiredis.h>

#include "../base/rs_clock.h"
#include "rs_redis_conn.h"
#include "rs_sentinel.h"

/* Sentinels tell each other within 0.2 s, are asked every 0.25 s, and links look every 0.1 s. */
#define SETTLING apr_time_from_msec(750)

int rs_sentinel_turn(const rs_redis_url_t *url)
{
    return __atomic_load_n(&url->known->turn, __ATOMIC_RELAXED);
}

void rs_sentinel_failed(const rs_redis_url_t *url, int index)
{
    __atomic_compare_exchange_n(&url->known->turn, &index, (index + 1) % url->nsentinels, 0,
                                __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static void question(const char *argv[3], const rs_redis_url_t *url)
{
    argv[0] = "SENTINEL";
    argv[1] = "get-master-addr-by-name";
    argv[2] = url->master;
}

int rs_sentinel_append(redisContext *c, const rs_redis_url_t *url)
{
    const char *argv[3];

    question(argv, url);
    return redisAppendCommandArgv(c, 3, argv, NULL) == REDIS_OK ? 0 : -1;
}

const char *rs_sentinel_target(rs_target_t *target, const rs_redis_url_t *url,
                               const redisReply *reply)
{
    const redisReply *host, *port;
    char class[RS_REDIS_CLASS_LEN];
    int number = 0;

    if (reply->type == REDIS_REPLY_ERROR) {
        rs_redis_error_class(class, reply);
        return !strcmp(class, "NOAUTH") ? "it wants a password: see RaglineRedis"
               : !strcmp(class, "NOPERM")
                   ? "it does not allow its user SENTINEL get-master-addr-by-name"
                   : "it refused to answer: is it one? See RaglineRedis";
    }
    if (reply->type == REDIS_REPLY_NIL) {
        return "it knows no master of this name: see master= in RaglineRedis";
    }
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2) {
        host = reply->element[0];
        port = reply->element[1];
        if (host->type == REDIS_REPLY_STRING && port->type == REDIS_REPLY_STRING) {
            number = rs_redis_address_parse(target->host, host->str, (size_t)host->len, port->str,
                                            (size_t)port->len);
        }
    }
    if (!number) {
        return "it gave an answer that is no address";
    }
    target->url = *url;
    target->url.master = NULL;
    target->url.sentinels = NULL;
    target->url.nsentinels = 0;
    target->url.known = NULL;
    target->url.host = target->host;
    target->url.port = number;
    apr_snprintf(target->label, sizeof(target->label),
                 strchr(target->host, ':') ? "[%s]:%d" : "%s:%d", target->host, number);
    target->url.label = target->label;
    return NULL;
}

const char *rs_sentinel_role(const redisReply *reply)
{
    const redisReply *role;
    char class[RS_REDIS_CLASS_LEN];

    if (reply->type == REDIS_REPLY_ERROR) {
        rs_redis_error_class(class, reply);
        return !strcmp(class, "NOPERM")
                   ? "the user of RaglineRedisAuth may not ask for ROLE, which "
                     "tells a master from a replica: ACL SETUSER it +role"
                   : "it does not say whether it is a master";
    }
    role = reply->type == REDIS_REPLY_ARRAY && reply->elements ? reply->element[0] : NULL;
    if (!role || role->type != REDIS_REPLY_STRING) {
        return "it does not say whether it is a master";
    }
    return role->len == 6 && memcmp(role->str, "master", 6) == 0
               ? NULL
               : "it is not the master, or not any more";
}

void rs_sentinel_heard(const rs_redis_url_t *url, rs_target_t *target)
{
    rs_sentinels_t *known = url->known;

    pthread_mutex_lock(&known->lock);
    if (strcmp(known->master, target->label) != 0) {
        apr_cpystrn(known->master, target->label, sizeof(known->master));
        known->since = known->word ? rs_clock_now() : 0;
        __atomic_store_n(&known->word, known->word + 1, __ATOMIC_RELEASE);
    }
    target->word = known->word;
    pthread_mutex_unlock(&known->lock);
}

apr_interval_time_t rs_sentinel_unsettled(const rs_redis_url_t *url)
{
    rs_sentinels_t *known = url->known;
    apr_interval_time_t left;

    pthread_mutex_lock(&known->lock);
    left = known->since ? known->since + SETTLING - rs_clock_now() : 0;
    pthread_mutex_unlock(&known->lock);
    return left > 0 ? left : 0;
}

int rs_sentinel_is_current(const rs_redis_url_t *url, const rs_target_t *target)
{
    return !url->master || __atomic_load_n(&url->known->word, __ATOMIC_ACQUIRE) == target->word;
}

apr_status_t rs_sentinel_ask_one(rs_target_t *target, const rs_redis_url_t *url,
                                 rs_redis_conn_t *conn, const char *label, char *why,
                                 size_t why_size)
{
    const char *argv[3], *problem = NULL;
    redisReply *reply = NULL;
    apr_status_t rv = rs_redis_conn_usable(conn) ? APR_SUCCESS : rs_redis_conn_open(conn);

    question(argv, url);
    if (rv == APR_SUCCESS
        && (rv = rs_redis_conn_command(conn, &reply, 3, argv, NULL)) == APR_SUCCESS) {
        problem = rs_sentinel_target(target, url, reply);
        rv = problem ? APR_EGENERAL : APR_SUCCESS;
        freeReplyObject(reply);
    }
    if (rv == APR_SUCCESS) {
        rs_sentinel_heard(url, target);
    }
    else {
        apr_snprintf(why, why_size, "the sentinel %s: %s", label,
                     problem ? problem : rs_redis_conn_why(conn));
    }
    return rv;
}

static apr_status_t ask_anew(rs_target_t *target, const rs_redis_url_t *url,
                             const rs_redis_url_t *sentinel, apr_interval_time_t timeout, char *why,
                             size_t why_size)
{
    rs_redis_conn_t *conn = rs_redis_conn_create(sentinel, timeout);
    apr_status_t rv;

    if (!conn) {
        apr_cpystrn(why, "out of memory", why_size);
        return APR_ENOMEM;
    }
    rv = rs_sentinel_ask_one(target, url, conn, sentinel->label, why, why_size);
    rs_redis_conn_free(conn);
    return rv;
}

apr_status_t rs_sentinel_ask(rs_target_t *target, int *index, const rs_redis_url_t *url,
                             apr_interval_time_t timeout, char *why, size_t why_size)
{
    apr_time_t until = rs_clock_now() + timeout, left = timeout;
    /* One that does not answer must leave time for others. */
    const apr_interval_time_t each = url->nsentinels > 1 ? timeout / 2 : timeout;
    apr_status_t rv = APR_TIMEUP;
    int i;

    for (i = 0; i < url->nsentinels && left > 0; i++, left = until - rs_clock_now()) {
        *index = rs_sentinel_turn(url);
        rv = ask_anew(target, url, &url->sentinels[*index], left < each ? left : each, why,
                      why_size);
        if (rv == APR_SUCCESS) {
            return APR_SUCCESS;
        }
        rs_sentinel_failed(url, *index);
    }
    return rv;
}
