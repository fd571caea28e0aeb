/* SPDX-License-Identifier: Apache-2.0
 *
 * Looks through the groups of the streams that endpoints with groups read. A keeper thread.
 *
 * A group counts as left behind if no endpoint uses it, entries wait in it, nobody has asked it for
 * any lately, and it is one of ours: it has the default name, or consumers with our names.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <apr_lib.h>
#include <apr_strings.h>
#include <hiredis/hiredis.h>

#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "../base/rs_name.h"
#include "../proto/rs_template.h"
#include "rs_grouped.h"
#include "rs_left_groups.h"
#include "rs_stats_groups.h"

#define LIMIT apr_time_from_sec(1)
/* A consumer of ours is heard of more often than that. */
#define IN_USE_MSEC (apr_int64_t)(60 * 1000)
#define DEFAULT_NAME "ragline-"
#define TENANT "{tenant}"

typedef struct {
    const rs_left_groups_t *in;
    rs_redis_conn_t *conn;
    apr_pool_t *p;
    apr_time_t until;
    int undecided; /* some group may still be used by who is not us */
    int found;
    const char *key, *group; /* the first one */
    apr_int64_t waiting;     /* in it */
} search_t;

static redisReply *ask(search_t *search, int argc, const char **argv)
{
    redisReply *reply = NULL;

    if (rs_clock_now() < search->until) {
        (void)rs_redis_conn_command(search->conn, &reply, argc, argv, NULL);
    }
    return reply;
}

static const char *fill(apr_pool_t *p, size_t (*how)(char *, const char *, const char *),
                        const char *name, const char *tenant)
{
    char *out = apr_palloc(p, how(NULL, name, tenant) + 1);

    how(out, name, tenant);
    return out;
}

static int is_used(const search_t *search, const char *key, const char *tenant, const char *group)
{
    const apr_array_header_t *all = search->in->grouped;
    int i;

    for (i = 0; i < all->nelts; i++) {
        const rs_grouped_t *of = &APR_ARRAY_IDX(all, i, rs_grouped_t);

        if (!strcmp(of->key, key)
            && !strcmp(fill(search->p, rs_template_fill_group, of->group, tenant), group)) {
            return 1;
        }
    }
    return 0;
}

/* --- one group --- */

/* HOST-PID-TIME-NUMBER of rs_share.c: the process, or 0 if it is not such a name. */
static pid_t process_of(const char *name, apr_size_t *host_len)
{
    const char *at = name + strlen(name);
    int dashes = 0;

    while (at > name && dashes < 3 && (apr_isxdigit(at[-1]) || at[-1] == '-')) {
        dashes += *--at == '-';
    }
    *host_len = (apr_size_t)(at - name);
    return dashes == 3 && at > name ? (pid_t)apr_atoi64(at + 1) : 0;
}

static int is_our_host(const char *name, apr_size_t len)
{
    char host[65] = "";
    apr_size_t i;

    (void)gethostname(host, sizeof(host) - 1);
    for (i = 0; i < len && host[i] && (host[i] == name[i] || name[i] == '_'); i++) {
    }
    return i == len && !host[i];
}

/* Children of an earlier configuration may be about to end; of another machine's not even that is
 * known. */
static int lives(const redisReply *name, const redisReply *idle)
{
    apr_size_t host_len;
    pid_t pid = process_of(name->str, &host_len);

    if (pid > 0 && is_our_host(name->str, host_len)) {
        return kill(pid, 0) == 0 || errno == EPERM;
    }
    return idle->integer < IN_USE_MSEC;
}

/* Whether it is one of ours, as far as its consumers tell, and none of them lives. */
static int is_abandoned(search_t *search, const char *key, const char *group)
{
    const char *argv[] = {"XINFO", "CONSUMERS", key, group};
    redisReply *reply = ask(search, RS_ARRAY_LEN(argv), argv);
    int ours = !strncmp(group, DEFAULT_NAME, sizeof(DEFAULT_NAME) - 1), live = 0;
    apr_size_t ignored, i;

    if (!reply) {
        return 0;
    }
    for (i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        const redisReply *name = rs_reply_value(reply->element[i], "name", REDIS_REPLY_STRING);
        const redisReply *idle = rs_reply_value(reply->element[i], "idle", REDIS_REPLY_INTEGER);

        if (name && idle) {
            ours |= process_of(name->str, &ignored) > 0;
            live |= lives(name, idle);
        }
    }
    if (reply->type != REDIS_REPLY_ARRAY) {
        ours = 0;
    }
    freeReplyObject(reply);
    search->undecided |= ours && live;
    return ours && !live;
}

static apr_int64_t number_of(const redisReply *group, const char *name)
{
    const redisReply *value = rs_reply_value(group, name, REDIS_REPLY_INTEGER);

    return value ? value->integer : 0;
}

static void look_at_key(search_t *search, const char *template, const char *key, const char *tenant)
{
    const char *argv[] = {"XINFO", "GROUPS", key};
    redisReply *reply = ask(search, RS_ARRAY_LEN(argv), argv);
    size_t i;

    for (i = 0; reply && reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
        const redisReply *group = reply->element[i];
        const redisReply *name = rs_reply_value(group, "name", REDIS_REPLY_STRING);
        apr_int64_t waiting = number_of(group, "pending") + number_of(group, "lag");

        if (!name || !waiting || is_used(search, template, tenant, name->str)
            || !is_abandoned(search, key, name->str)) {
            continue;
        }
        if (!search->found++) {
            search->key = apr_pstrdup(search->p, key);
            search->group = apr_pstrdup(search->p, name->str);
            search->waiting = waiting;
        }
    }
    if (reply) {
        freeReplyObject(reply);
    }
}

/* --- all keys --- */

/* The tenant whose key this is, or NULL. */
static const char *tenant_of(apr_pool_t *p, const char *template, const char *key)
{
    apr_size_t before = (apr_size_t)(strstr(template, TENANT) - template), n = 0;
    const char *tenant;

    if (strncmp(key, template, before)) {
        return NULL;
    }
    while (key[before + n] && rs_name_valid(key + before + n, 1)) {
        n++;
    }
    /* What follows in the template may begin with a character that a tenant may have. */
    for (; n; n--) {
        tenant = apr_pstrmemdup(p, key + before, n);
        if (rs_name_valid(tenant, n) && !strcmp(fill(p, rs_template_fill, template, tenant), key)) {
            return tenant;
        }
    }
    return NULL;
}

/* For SCAN: any tenant, and nothing else that has a meaning there. */
static const char *pattern_of(apr_pool_t *p, const char *template)
{
    char *out = apr_palloc(p, 2 * strlen(template) + 1), *to = out;

    while (*template) {
        if (!strncmp(template, TENANT, sizeof(TENANT) - 1)) {
            *to++ = '*';
            template += sizeof(TENANT) - 1;
            continue;
        }
        if (strchr("*?[]\\^-", *template)) {
            *to++ = '\\';
        }
        *to++ = *template ++;
    }
    *to = '\0';
    return out;
}

static void look_at_tenants(search_t *search, const char *template)
{
    const char *cursor = "0", *tenant;
    const char *pattern = pattern_of(search->p, template);
    redisReply *reply;
    size_t i;

    do {
        const char *argv[] = {"SCAN", cursor, "MATCH", pattern, "COUNT", "1000"};

        reply = ask(search, RS_ARRAY_LEN(argv), argv);
        cursor = "0";
        if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2
            && reply->element[0]->type == REDIS_REPLY_STRING) {
            const redisReply *keys = reply->element[1];

            cursor = apr_pstrdup(search->p, reply->element[0]->str);
            for (i = 0; keys->type == REDIS_REPLY_ARRAY && i < keys->elements; i++) {
                tenant = tenant_of(search->p, template, keys->element[i]->str);
                if (tenant) {
                    look_at_key(search, template, keys->element[i]->str, tenant);
                }
            }
        }
        if (reply) {
            freeReplyObject(reply);
        }
    } while (strcmp(cursor, "0") != 0);
}

/* Each key once, though several endpoints may read it. */
static int comes_first(const apr_array_header_t *all, int nth)
{
    const char *key = APR_ARRAY_IDX(all, nth, rs_grouped_t).key;
    int i;

    for (i = 0; strcmp(APR_ARRAY_IDX(all, i, rs_grouped_t).key, key) != 0; i++) {
    }
    return i == nth;
}

static void tell(const search_t *search)
{
    rs_log(RS_LOG_WARNING, 0,
           RSLOGNO(0458) "Redis at %s: consumer groups in which entries wait, and which no endpoint"
                         " uses: %d, such as %s of the key %s, with %" APR_INT64_T_FMT
                         " entries. RaglineGroup or a <Location> was renamed?"
                         " docs/TROUBLESHOOTING.md, A group with another name, says how to move"
                         " them; XGROUP DESTROY removes one that nobody needs",
           search->in->redis, search->found, search->group, search->key, search->waiting);
}

int rs_left_groups_look(const void *in, rs_redis_conn_t *conn)
{
    search_t search = {in, conn, NULL, rs_clock_now() + LIMIT, 0, 0, NULL, NULL, 0};
    const apr_array_header_t *all = search.in->grouped;
    int i;

    if (apr_pool_create(&search.p, NULL) != APR_SUCCESS) {
        return 1;
    }
    for (i = 0; i < all->nelts; i++) {
        const rs_grouped_t *of = &APR_ARRAY_IDX(all, i, rs_grouped_t);

        if (!comes_first(all, i)) {
            continue;
        }
        if (rs_template_per_tenant(of->key)) {
            look_at_tenants(&search, of->key);
        }
        else if (of->tenant) {
            look_at_key(&search, of->key, of->key, of->tenant);
        }
    }
    if (search.found) {
        tell(&search);
    }
    apr_pool_destroy(search.p);
    return search.found || !search.undecided;
}
