/* SPDX-License-Identifier: Apache-2.0
 *
 * From a stream entry to events in topics: which tenant it is for, whether anybody of that tenant
 * listens, and its frame. Whatever an entry holds, the stream goes on: what cannot be delivered is
 * counted by reason, and the first of each reason is logged with its remedy. The hub's thread.
 */
#include <hiredis/hiredis.h>
#include <jansson.h>
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_buf.h"
#include "../base/rs_log.h"
#include "../base/rs_name.h"
#include "../proto/rs_sse.h"
#include "rs_hub.h"

typedef struct {
    const char *data;
    size_t len;
} text_t;

typedef struct {
    text_t tenant, type, data, user;
    char number[24]; /* a tenant that the payload gives as a number */
    char copy[RS_NAME_MAX + 1];
} entry_t;

static const char *const remedies[RS_SKIP_MAX] = {
    "write its tenant into the entry, or give the stream tenant=literal:NAME",
    "a tenant is 1 to 64 of A-Z a-z 0-9 . _ @ -",
    "an event type is 1 to 128 printable ASCII characters without spaces",
    "raise RaglineMaxMessage or write smaller entries",
    "write it with XADD KEY * FIELD VALUE",
    NULL,
};

static void skip(rs_stream_t *stream, rs_id_t id, rs_skip_t reason)
{
    RS_STAT_ADD(stream->stats->skipped[reason], 1);
    if (remedies[reason] && !(stream->warned & (1u << reason))) {
        char text[RS_ID_LEN];

        stream->warned |= 1u << reason;
        rs_id_format(text, id);
        rs_log(
            RS_LOG_WARNING, 0,
            RSLOGNO(0301) "stream %s, entry %s is skipped (%s): %s; further ones are only counted",
            stream->key, text, rs_skip_names[reason], remedies[reason]);
    }
}

static int named(const redisReply *reply, const char *name)
{
    return strlen(name) == (size_t)reply->len && memcmp(name, reply->str, (size_t)reply->len) == 0;
}

static int take_fields(entry_t *e, const rs_stream_t *stream, const redisReply *fields)
{
    size_t i;

    if (!fields || fields->type != REDIS_REPLY_ARRAY || fields->elements % 2) {
        return 0;
    }
    for (i = 0; i < fields->elements; i += 2) {
        const redisReply *name = fields->element[i], *value = fields->element[i + 1];
        text_t *to = NULL;

        if (name->type != REDIS_REPLY_STRING || value->type != REDIS_REPLY_STRING) {
            return 0;
        }
        if (!stream->tenant_literal && named(name, stream->tenant_field)) {
            to = &e->tenant;
        }
        else if (named(name, stream->type_field)) {
            to = &e->type;
        }
        else if (named(name, stream->data_field)) {
            to = &e->data;
        }
        else if (named(name, stream->user_field)) {
            to = &e->user;
        }
        /* A field that is there twice: the first counts. */
        if (to && !to->data) {
            to->data = value->str;
            to->len = (size_t)value->len;
        }
    }
    return 1;
}

/* The seeds' writers leave the entry's own field out and name the tenant in the payload. */
static void tenant_from_payload(entry_t *e)
{
    json_t *payload, *tenant;

    if (!e->data.data || e->data.len == 0 || e->data.data[0] != '{') {
        return;
    }
    payload = json_loadb(e->data.data, e->data.len, JSON_REJECT_DUPLICATES, NULL);
    tenant = json_object_get(payload, "tenant_id");
    if (json_is_integer(tenant)) {
        e->tenant.len = (size_t)apr_snprintf(e->number, sizeof(e->number), "%" APR_INT64_T_FMT,
                                             (apr_int64_t)json_integer_value(tenant));
        e->tenant.data = e->number;
    }
    else if (json_is_string(tenant) && json_string_length(tenant) <= RS_NAME_MAX) {
        e->tenant.len = json_string_length(tenant);
        memcpy(e->copy, json_string_value(tenant), e->tenant.len);
        e->tenant.data = e->copy;
    }
    else if (tenant) {
        e->tenant.data = ""; /* there, and nothing that could be a tenant */
        e->tenant.len = 0;
    }
    json_decref(payload);
}

/* The event as the topic's readers get it: its id is a cursor over all streams of the topic. */
static rs_event_t *frame(rs_hub_t *hub, const rs_topic_t *topic, int stream, rs_id_t id,
                         const entry_t *e)
{
    rs_buf_t *b = rs_hub_scratch(hub);
    char text[RS_CURSOR_LEN];
    size_t len, head, tail;
    rs_cursor_t cursor;
    rs_event_t *event;
    int i;

    cursor.n = topic->nstreams;
    cursor.keys = topic->fingerprint;
    for (i = 0; i < topic->nstreams; i++) {
        cursor.pos[i] = topic->stream[i] == stream ? id : topic->source->at[topic->stream[i]];
    }
    len = rs_cursor_format(text, &cursor);
    rs_buf_clear(b);
    rs_sse_event(b, e->type.data, e->type.len, text, len, e->data.data, e->data.len, &head, &tail);
    if (!rs_buf_ok(b)) {
        return NULL;
    }
    event = rs_event_create((apr_uint16_t)stream, id, b->data, b->len, e->user.data, e->user.len);
    if (event) {
        event->head = (apr_uint32_t)head;
        event->tail = (apr_uint32_t)tail;
        event->type_len = (apr_uint16_t)e->type.len;
    }
    return event;
}

static int check(entry_t *e, const rs_stream_t *stream, const redisReply *fields, size_t max,
                 rs_skip_t *reason)
{
    if (!take_fields(e, stream, fields)) {
        *reason = RS_SKIP_MALFORMED;
        return 0;
    }
    if (e->data.len > max) {
        *reason = RS_SKIP_TOO_BIG;
        return 0;
    }
    if (stream->tenant_literal) {
        e->tenant.data = stream->tenant_literal;
        e->tenant.len = strlen(stream->tenant_literal);
    }
    else if (!e->tenant.data) {
        tenant_from_payload(e);
    }
    if (!e->tenant.data) {
        *reason = RS_SKIP_NO_TENANT;
        return 0;
    }
    if (!rs_name_valid(e->tenant.data, e->tenant.len)) {
        *reason = RS_SKIP_BAD_TENANT;
        return 0;
    }
    /* Defaults as the seeds have them. */
    if (!e->type.data) {
        e->type.data = "unknown";
        e->type.len = 7;
    }
    if (!rs_event_type_valid(e->type.data, e->type.len)) {
        *reason = RS_SKIP_BAD_TYPE;
        return 0;
    }
    if (!e->data.data) {
        e->data.data = "{}";
        e->data.len = 2;
    }
    if (!e->user.data || !rs_name_valid(e->user.data, e->user.len)) {
        /* Informational unless RaglineUserOnly; a user that nobody can be is nobody's. */
        e->user.len = e->user.len ? 1 : 0;
        e->user.data = e->user.len ? "*" : "";
    }
    return 1;
}

void rs_assign_entry(rs_hub_t *hub, rs_source_t *source, int index, rs_id_t id,
                     const redisReply *fields)
{
    rs_stream_t *stream = &source->streams[index];
    rs_skip_t reason;
    rs_tenant_t *tenant;
    rs_topic_t *topic;
    int taken = 0;
    entry_t e;

    memset(&e, 0, sizeof(e));
    RS_STAT_ADD(stream->stats->read, 1);
    source->at[index] = id;
    if (!check(&e, stream, fields, rs_hub_max_message(hub), &reason)) {
        skip(stream, id, reason);
        return;
    }
    tenant = rs_tenants_find(source, e.tenant.data, e.tenant.len);
    for (topic = tenant ? tenant->topics : NULL; topic; topic = topic->next) {
        if (topic->streams & ((apr_uint64_t)1 << index)) {
            rs_event_t *event = frame(hub, topic, index, id, &e);

            if (event) {
                rs_hub_append(hub, topic, event);
            }
            else {
                rs_log(RS_LOG_ERR, APR_ENOMEM, RSLOGNO(0302) "stream %s: an event is lost",
                       stream->key);
            }
            taken = 1;
        }
    }
    if (!taken) {
        skip(stream, id, RS_SKIP_NO_SUBSCRIBER);
    }
}
