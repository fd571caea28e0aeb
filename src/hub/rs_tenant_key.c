/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys that are one tenant's own: opened with the tenant's first topic, watched, read whenever
 * Redis says that they were changed, closed with its last topic. Clients wait until it is known
 * where such a key stands. The hub's thread.
 *
 * A change after which nothing can be read is a deletion, or a stream that lost its newest entries:
 * where it stands is asked then, as it is when watching begins anew.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_log.h"
#include "../proto/rs_template.h"
#include "../redis/rs_stream_reply.h"
#include "rs_hub.h"

#define KEY_OF_WATCH(w) ((rs_key_t *)((char *)(w)-offsetof(rs_key_t, watch)))

static void ask(rs_watch_t *watch)
{
    rs_key_t *key = KEY_OF_WATCH(watch);
    rs_source_t *source = key->source;
    char count[24], id[RS_ID_LEN];

    key->asked = key->check || !key->known || key->left_out
                 || (rs_watcher_is_polling(source->watcher) && !key->behind);
    if (key->asked) {
        const char *argv[] = {"XINFO", "STREAM", key->name};

        rs_watcher_ask(source->watcher, RS_ARRAY_LEN(argv), argv);
    }
    else {
        const char *argv[] = {"XREAD", "COUNT", count, "STREAMS", key->name, id};

        apr_snprintf(count, sizeof(count), "%d", source->batch);
        rs_id_format(id, key->at);
        rs_watcher_ask(source->watcher, RS_ARRAY_LEN(argv), argv);
    }
}

static void note_read(rs_key_t *key)
{
    if (!key->is_read) {
        key->is_read = 1;
        key->next_read = key->source->was_read;
        key->source->was_read = key;
    }
}

static void forget_read(rs_key_t *key)
{
    rs_key_t **link = &key->source->was_read;

    if (key->is_read) {
        for (; *link != key; link = &(*link)->next_read) {
        }
        *link = key->next_read;
        key->is_read = 0;
    }
}

/* It is as good as not there until that changes. */
static void leave_out(rs_key_t *key, const redisReply *reply)
{
    rs_stream_t *stream = &key->source->streams[key->stream];
    rs_history_t nothing;

    if (!stream->left_out_told) {
        stream->left_out_told = 1;
        rs_log(RS_LOG_ERR, 0,
               RSLOGNO(0511) "%s: the key %s is not a stream, or may not be read; it is left out "
                             "until that changes, and so are others of this kind",
               key->source->url->label, key->name);
    }
    if (rs_reply_is_error(reply, "NOPERM")) {
        note_read(key); /* Redis does not tell of what it does not let us read */
        key->unseen |= !key->known;
    }
    if (!key->known) {
        memset(&nothing, 0, sizeof(nothing));
        nothing.added = -1;
        rs_key_position(key, &nothing);
    }
    key->left_out = 1;
}

static int on_position(rs_key_t *key, const redisReply *reply)
{
    int was_known = key->known;
    rs_history_t history;

    key->behind = 0;

    if (rs_reply_is_error(reply, "WRONGTYPE") || rs_reply_is_error(reply, "NOPERM")) {
        leave_out(key, reply);
    }
    else if (rs_history_parse(&history, reply)) {
        key->left_out = 0;
        if (key->unseen) {
            key->unseen = key->known = was_known = 0; /* it begins here, not at its oldest entry */
        }
        rs_key_position(key, &history);
        key->behind = rs_id_cmp(history.newest, key->at) > 0;
    }
    else {
        rs_watcher_fail(key->source->watcher, reply->type == REDIS_REPLY_ERROR
                                                  ? reply->str
                                                  : "unexpected answer to XINFO STREAM");
        return 0;
    }
    key->check = 0;
    if (!was_known) {
        rs_key_publish(key->source);
        rs_hub_key_known(key);
    }
    return key->behind;
}

/* How many entries; -1: that is no answer to XREAD. */
static int on_entries(rs_key_t *key, const redisReply *reply)
{
    const redisReply *entries;
    rs_id_t id;
    size_t i;

    if (reply->type == REDIS_REPLY_NIL) {
        return 0;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1
        || reply->element[0]->type != REDIS_REPLY_ARRAY || reply->element[0]->elements != 2
        || reply->element[0]->element[1]->type != REDIS_REPLY_ARRAY) {
        return -1;
    }
    entries = reply->element[0]->element[1];
    for (i = 0; i < entries->elements; i++) {
        if (!rs_stream_entry_id(entries->element[i], &id)) {
            return -1;
        }
        rs_key_entry(key, id, entries->element[i]->element[1]);
    }
    return (int)entries->elements;
}

void rs_tenant_key_sweep(rs_source_t *source)
{
    rs_key_t *key;

    while ((key = source->was_read)) {
        forget_read(key);
        key->check = 1;
        rs_watcher_touch(source->watcher, &key->watch);
    }
}

static int on_reply(rs_watch_t *watch, int n, redisReply **reply, int last)
{
    rs_key_t *key = KEY_OF_WATCH(watch);
    int count;

    (void)n;
    (void)last;
    if (key->asked) {
        return on_position(key, *reply);
    }
    count = on_entries(key, *reply);
    key->behind = count >= key->source->batch;
    if (count > 0) {
        note_read(key);
        return key->behind;
    }
    key->check = 1;
    if (count == 0 || rs_reply_is_error(*reply, "WRONGTYPE")
        || rs_reply_is_error(*reply, "NOPERM")) {
        return 1;
    }
    rs_watcher_fail(key->source->watcher, (*reply)->type == REDIS_REPLY_ERROR
                                              ? (*reply)->str
                                              : "unexpected answer to XREAD");
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
        key->added = -1;
        key->watch.ask = ask;
        key->watch.reply = on_reply;
        key->next = tenant->keys;
        tenant->keys = key;
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
    forget_read(key);
    rs_watcher_remove(key->source->watcher, &key->watch);
    for (link = &key->tenant->keys; *link != key; link = &(*link)->next) {
    }
    *link = key->next;
    free(key);
}

void rs_tenant_key_check_all(rs_tenant_t *tenant)
{
    rs_key_t *key;

    for (key = tenant->keys; key; key = key->next) {
        key->check = 1;
    }
}
