/* SPDX-License-Identifier: Apache-2.0
 *
 * What is asked of sentinels, what their answers mean, and what they said last. Any thread.
 */
#include <string.h>

#include <apr_strings.h>
#include <hiredis/hiredis.h>

#include "../base/rs_clock.h"
#include "rs_redis_login.h"
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

void rs_sentinel_question(const char *argv[3], const rs_redis_url_t *url)
{
    argv[0] = "SENTINEL";
    argv[1] = "get-master-addr-by-name";
    argv[2] = url->master;
}

int rs_sentinel_append(redisContext *c, const rs_redis_url_t *url)
{
    const char *argv[3];

    rs_sentinel_question(argv, url);
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
