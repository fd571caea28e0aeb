/* SPDX-License-Identifier: Apache-2.0
 *
 * Asks Redis, in one pipeline, where the tenant's groups stand: the hash beside the stream holds
 * the positions of RaglineStart group; of RaglineDelivery shared the group itself is the truth,
 * and its key is the tenant's own, so that there are few of them. The worker.
 */
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>
#include <hiredis/hiredis.h>

#include "../proto/rs_template.h"
#include "../redis/rs_group_script.h"
#include "../redis/rs_history.h"
#include "rs_stats_groups.h"

/* A group on a key. */
typedef struct {
    const rs_grouped_t *of;
    const char *key, *group;
} place_t;

static char *key_of(apr_pool_t *p, const char *name, const char *tenant)
{
    char *out = apr_palloc(p, rs_template_fill(NULL, name, tenant) + 1);

    rs_template_fill(out, name, tenant);
    return out;
}

static char *group_of(apr_pool_t *p, const char *name, const char *tenant)
{
    char *out = apr_palloc(p, rs_template_fill_group(NULL, name, tenant) + 1);

    rs_template_fill_group(out, name, tenant);
    return out;
}

static apr_array_header_t *places(apr_pool_t *p, const apr_array_header_t *grouped,
                                  const char *tenant)
{
    apr_array_header_t *out = apr_array_make(p, 8, sizeof(place_t));
    int i;

    for (i = 0; i < grouped->nelts; i++) {
        const rs_grouped_t *of = &APR_ARRAY_IDX(grouped, i, rs_grouped_t);
        place_t place = {of, key_of(p, of->key, tenant), group_of(p, of->group, tenant)};

        /* Otherwise it is all another tenant's. */
        if (!of->tenant || !strcmp(of->tenant, tenant)) {
            APR_ARRAY_PUSH(out, place_t) = place;
        }
    }
    return out;
}

static apr_status_t ask(rs_redis_conn_t *conn, const place_t *place)
{
    char hash[RS_GROUP_HASH_LEN];
    const char *position[] = {"HGET", rs_group_hash(hash, place->key), place->group};
    const char *stream[] = {"XINFO", "STREAM", place->key};
    const char *groups[] = {"XINFO", "GROUPS", place->key};
    apr_status_t rv;

    if (place->of->shared) {
        return rs_redis_conn_append(conn, RS_ARRAY_LEN(groups), groups, NULL);
    }
    rv = rs_redis_conn_append(conn, RS_ARRAY_LEN(position), position, NULL);
    return rv == APR_SUCCESS ? rs_redis_conn_append(conn, RS_ARRAY_LEN(stream), stream, NULL) : rv;
}

/* --- RaglineStart group --- */

/* "ID ENTRIES", and what there is after that. */
static void add_position(json_t *item, const redisReply *position, const redisReply *stream)
{
    rs_history_t history;
    rs_id_t id;
    const char *space;
    apr_int64_t entries = -1;

    if (position->type != REDIS_REPLY_STRING || !(space = strchr(position->str, ' '))
        || !rs_id_parse(&id, position->str, (apr_size_t)(space - position->str))) {
        return;
    }
    json_object_set_new(item, "position",
                        json_stringn(position->str, (size_t)(space - position->str)));
    if (!rs_history_parse(&history, stream)) {
        return;
    }
    if (apr_isdigit(space[1])) {
        entries = apr_atoi64(space + 1);
    }
    if (rs_id_cmp(id, history.newest) == 0) {
        json_object_set_new(item, "lag", json_integer(0));
    }
    else if (entries >= 0 && history.added >= entries) {
        json_object_set_new(item, "lag", json_integer(history.added - entries));
    }
}

/* --- RaglineDelivery shared --- */

const redisReply *rs_reply_value(const redisReply *list, const char *name, int type)
{
    size_t i;

    for (i = 0; list->type == REDIS_REPLY_ARRAY && i + 1 < list->elements; i += 2) {
        if (list->element[i]->type == REDIS_REPLY_STRING && !strcmp(list->element[i]->str, name)) {
            return list->element[i + 1]->type == type ? list->element[i + 1] : NULL;
        }
    }
    return NULL;
}

static void add_number(json_t *item, const char *key, const redisReply *value)
{
    if (value) {
        json_object_set_new(item, key, json_integer(value->integer));
    }
}

static void add_group(json_t *item, const redisReply *groups, const char *name)
{
    const redisReply *group, *is;
    size_t i;

    json_object_set_new(item, "pending", json_null());
    for (i = 0; groups->type == REDIS_REPLY_ARRAY && i < groups->elements; i++) {
        group = groups->element[i];
        is = rs_reply_value(group, "name", REDIS_REPLY_STRING);
        if (is && !strcmp(is->str, name)) {
            is = rs_reply_value(group, "last-delivered-id", REDIS_REPLY_STRING);
            if (is) {
                json_object_set_new(item, "position", json_stringn(is->str, (size_t)is->len));
            }
            add_number(item, "lag", rs_reply_value(group, "lag", REDIS_REPLY_INTEGER));
            add_number(item, "pending", rs_reply_value(group, "pending", REDIS_REPLY_INTEGER));
        }
    }
}

/* --- all of them --- */

static apr_status_t take(json_t *list, rs_redis_conn_t *conn, const place_t *place)
{
    redisReply *first = NULL, *second = NULL;
    apr_status_t rv = rs_redis_conn_reply(conn, &first);
    json_t *item;

    if (rv == APR_SUCCESS && !place->of->shared) {
        rv = rs_redis_conn_reply(conn, &second);
    }
    if (rv == APR_SUCCESS) {
        item = json_pack("{s:s,s:s,s:s,s:n,s:n}", "endpoint", place->of->endpoint, "stream",
                         place->of->stream, "group", place->group, "position", "lag");
        if (second) {
            add_position(item, first, second);
        }
        else {
            add_group(item, first, place->group);
        }
        json_array_append_new(list, item);
    }
    if (first) {
        freeReplyObject(first);
    }
    if (second) {
        freeReplyObject(second);
    }
    return rv;
}

static apr_status_t ask_all(json_t *list, rs_redis_conn_t *conn, const apr_array_header_t *all)
{
    apr_status_t rv = APR_SUCCESS;
    int i;

    for (i = 0; rv == APR_SUCCESS && i < all->nelts; i++) {
        rv = ask(conn, &APR_ARRAY_IDX(all, i, place_t));
    }
    if (rv == APR_SUCCESS) {
        rv = rs_redis_conn_flush(conn);
    }
    for (i = 0; rv == APR_SUCCESS && i < all->nelts; i++) {
        rv = take(list, conn, &APR_ARRAY_IDX(all, i, place_t));
    }
    return rv;
}

json_t *rs_stats_groups(apr_pool_t *p, const apr_array_header_t *grouped, rs_redis_pool_t *pool,
                        const char *tenant)
{
    apr_array_header_t *all = places(p, grouped, tenant);
    json_t *list = json_array();
    rs_redis_conn_t *conn;
    apr_status_t rv = APR_SUCCESS;

    if (all->nelts) {
        rv = pool ? rs_redis_pool_acquire(&conn, pool) : APR_EGENERAL;
        if (rv == APR_SUCCESS) {
            rv = ask_all(list, conn, all);
            rs_redis_pool_release(pool, conn);
        }
    }
    if (rv != APR_SUCCESS) {
        json_decref(list);
        return json_null();
    }
    return list;
}
