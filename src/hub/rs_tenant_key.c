/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys that are one tenant's own: opened with the tenant's first topic, watched, read whenever
 * Redis says that they were changed, closed with its last topic. Clients wait until it is known
 * where such a key stands. The hub's thread.
 *
 * A turn reads the key and then asks where it stands, so that what was removed before it was read
 * is known before anything is given out. What a turn could not read is read, or known to be gone,
 * in the next one: there are two turns after the last change, not more.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_log.h"
#include "../proto/rs_template.h"
#include "../redis/rs_stream_reply.h"
#include "../log/rs_source.h"
#include "../log/rs_tenants.h"
#include "rs_admit.h"
#include "rs_keys.h"
#include "../log/rs_scars.h"

#define KEY_OF_WATCH(w) ((rs_key_t *)((char *)(w)-offsetof(rs_key_t, watch)))

static void drop_held(rs_key_t *key)
{
    if (key->held) {
        freeReplyObject(key->held);
        key->held = NULL;
    }
}

static void ask(rs_watch_t *watch)
{
    rs_key_t *key = KEY_OF_WATCH(watch);
    rs_source_t *source = key->source;
    const char *info[] = {"XINFO", "STREAM", key->name};
    char count[24], id[RS_ID_LEN];
    const char *read[] = {"XREAD", "COUNT", count, "STREAMS", key->name, id};

    drop_held(key); /* of a turn that was cut off */
    key->only_look =
        !key->now.sure || key->left_out || (rs_watcher_is_polling(source->watcher) && !key->behind);
    if (!key->only_look) {
        rs_known_ask(&key->now);
        key->count = rs_batch_ask(&key->size, source->batch, 1);
        apr_snprintf(count, sizeof(count), "%d", key->count);
        rs_id_format(id, key->now.at);
        rs_watcher_ask(source->watcher, RS_ARRAY_LEN(read), read);
    }
    rs_watcher_ask(source->watcher, RS_ARRAY_LEN(info), info);
}

/* It is as good as not there until that changes: something else is no stream; what may not be read
 * may hold anything, and begins when it may be. */
static int leave_out(rs_key_t *key, const redisReply *reply, rs_history_t *history)
{
    rs_stream_t *stream = &key->source->streams[key->stream];

    if (!stream->left_out_told) {
        stream->left_out_told = 1;
        rs_log(RS_LOG_ERR, 0,
               RSLOGNO(0511) "%s: the key %s is not a stream, or may not be read; it is left out "
                             "until that changes, and so are others of this kind",
               key->source->url->label, key->name);
    }
    key->left_out = 1;
    rs_history_none(history);
    return rs_reply_is_error(reply, "WRONGTYPE");
}

/* What may not be read seems to hold nothing, and that says nothing of what was known of it: it is
 * put away until Redis says what the key is. */
static void put_away(rs_key_t *key)
{
    unsigned losses = key->now.losses;

    rs_scars_keep(key->source, key->name, &key->now);
    memset(&key->now, 0, sizeof(key->now));
    key->now.losses = losses; /* readers compare it */
}

/* It begins here, not at its oldest entry. */
static void begin_again(rs_key_t *key)
{
    rs_scars_apply(key->source, key->name, &key->now);
    key->now.sure = 0;
}

/* The entries of [[name, [entry…]]]; NULL: there are none. 0: that is no answer to XREAD. */
static int read_of(const redisReply *reply, const redisReply **entries)
{
    *entries = NULL;
    if (!reply || reply->type == REDIS_REPLY_NIL || reply->type == REDIS_REPLY_ERROR) {
        return 1;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1
        || reply->element[0]->type != REDIS_REPLY_ARRAY || reply->element[0]->elements != 2
        || reply->element[0]->element[1]->type != REDIS_REPLY_ARRAY) {
        return 0;
    }
    *entries = reply->element[0]->element[1];
    return 1;
}

/* 1: it holds more. */
static int take(rs_key_t *key, const rs_history_t *history)
{
    const redisReply *entries;
    int was_sure = key->now.sure, n;

    if (key->held && key->held->type == REDIS_REPLY_NIL) {
        rs_key_answered(key);
    }
    if (!read_of(key->held, &entries)
        || !rs_key_take(key, history, entries, entries && (int)entries->elements >= key->count,
                        !key->unwatched)) {
        rs_watcher_fail(key->source->watcher, "unexpected answer to XREAD");
        return 0;
    }
    n = entries ? (int)entries->elements : 0;
    if (n) {
        rs_batch_learn(&key->size, entries, key->count);
    }
    key->unwatched = 0;
    key->behind = rs_id_cmp(key->now.newest, key->now.at) > 0;
    if (!was_sure) {
        rs_key_publish(key->source);
        rs_admit_key_known(key);
    }
    return key->behind;
}

/* Redis does not tell of changes of what it does not let us read: it is asked again each second. */
static int on_left_out(rs_key_t *key, const redisReply *reply)
{
    rs_history_t history;
    int more;

    key->forbidden = !leave_out(key, reply, &history);
    key->unwatched |= key->forbidden;
    drop_held(key);
    if (key->forbidden && key->now.sure) {
        return 0;
    }
    if (key->forbidden) {
        put_away(key);
    }
    else if (key->unseen) {
        begin_again(key);
    }
    more = take(key, &history);
    key->unseen = key->forbidden;
    return more;
}

static int on_look(rs_key_t *key, const redisReply *reply)
{
    rs_history_t history;
    int more;

    if (rs_reply_is_error(reply, "WRONGTYPE") || rs_reply_is_error(reply, "NOPERM")) {
        return on_left_out(key, reply);
    }
    if (key->held && key->held->type == REDIS_REPLY_ERROR) {
        return on_left_out(key, key->held);
    }
    if (!rs_history_parse(&history, reply)) {
        rs_watcher_fail(key->source->watcher, reply->type == REDIS_REPLY_ERROR
                                                  ? reply->str
                                                  : "unexpected answer to XINFO STREAM");
        return 0;
    }
    if (key->unseen) {
        begin_again(key);
    }
    key->left_out = key->forbidden = 0;
    more = take(key, &history);
    key->unseen = 0;
    return more;
}

static int on_reply(rs_watch_t *watch, int n, redisReply **reply, int last)
{
    rs_key_t *key = KEY_OF_WATCH(watch);

    (void)n;
    if (last) {
        int more = on_look(key, *reply);

        drop_held(key);
        return more;
    }
    if (rs_reply_is_error(*reply, "WRONGTYPE") || rs_reply_is_error(*reply, "NOPERM")
        || (*reply)->type != REDIS_REPLY_ERROR) {
        key->held = *reply;
        *reply = NULL;
        return 0;
    }
    rs_watcher_fail(key->source->watcher, (*reply)->str);
    return 0;
}

rs_key_t *rs_tenant_key_open(rs_tenant_t *tenant, int stream)
{
    rs_source_t *source = tenant->source;
    const char *name = source->streams[stream].key;
    rs_key_t *key;

    for (key = tenant->keys; key && key->stream != stream; key = key->next) {
    }
    if (!key) {
        size_t len = rs_template_fill(NULL, name, tenant->name);

        key = calloc(1, sizeof(*key) + len + 1);
        if (!key) {
            return NULL;
        }
        rs_template_fill((char *)(key + 1), name, tenant->name);
        key->name = key->watch.key = (char *)(key + 1);
        key->source = source;
        key->stream = stream;
        key->tenant = tenant;
        key->watch.ask = ask;
        key->watch.reply = on_reply;
        key->next = tenant->keys;
        tenant->keys = key;
        rs_scars_apply(source, key->name, &key->now);
        rs_watcher_add(source->watcher, &key->watch);
    }
    key->topics++;
    return key;
}

void rs_tenant_key_close(rs_key_t *key)
{
    rs_key_t **link;

    if (--key->topics > 0) {
        return;
    }
    rs_key_publish(key->source); /* it is in no list any more */
    rs_scars_keep(key->source, key->name, &key->now);
    drop_held(key);
    rs_watcher_remove(key->source->watcher, &key->watch);
    for (link = &key->tenant->keys; *link != key; link = &(*link)->next) {
    }
    *link = key->next;
    free(key);
}

void rs_tenant_key_sweep(rs_tenant_t *tenant)
{
    rs_key_t *key;

    for (key = tenant->keys; key; key = key->next) {
        if (key->forbidden) {
            rs_watcher_touch(key->source->watcher, &key->watch);
        }
    }
}

void rs_tenant_key_unwatched(rs_tenant_t *tenant)
{
    rs_key_t *key;

    for (key = tenant->keys; key; key = key->next) {
        key->unwatched = 1;
    }
}
