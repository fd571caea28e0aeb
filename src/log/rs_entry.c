/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding of entries. Nothing an entry holds may do more than be one event of one
 * tenant. The hub's thread.
 */
#include <hiredis/hiredis.h>
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_json.h"
#include "../base/rs_name.h"
#include "rs_entry.h"
#include "rs_tenants.h"

static int named(const redisReply *reply, const char *name)
{
    return strlen(name) == (size_t)reply->len && memcmp(name, reply->str, (size_t)reply->len) == 0;
}

static int take_fields(rs_entry_t *e, const rs_stream_t *stream, const redisReply *fields)
{
    size_t i;

    if (!fields || fields->type != REDIS_REPLY_ARRAY || fields->elements % 2) {
        return 0;
    }
    for (i = 0; i < fields->elements; i += 2) {
        const redisReply *name = fields->element[i], *value = fields->element[i + 1];
        rs_text_t *to = NULL;

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
static void tenant_from_payload(rs_entry_t *e)
{
    rs_json_t payload = {e->data.data, e->data.data + e->data.len}, name, value, tenant;
    apr_ssize_t len = -1;
    apr_int64_t n;
    int found = 0;

    if (!e->data.data || !rs_json_is_good(&payload, payload, RS_JSON_DEPTH_ANY)
        || rs_json_kind(payload) != '{') {
        return;
    }
    payload = rs_json_inside(payload);
    while (rs_json_member(&payload, &name, &value)) {
        if (rs_json_is(name, "tenant_id", 9)) {
            tenant = value;
            found++;
        }
    }
    if (!found) {
        return;
    }
    if (found == 1 && rs_json_integer(&n, tenant)) {
        len = apr_snprintf(e->copy, sizeof(e->copy), "%" APR_INT64_T_FMT, n);
    }
    else if (found == 1) {
        len = rs_json_copy(e->copy, RS_NAME_MAX, tenant);
    }
    e->tenant.data = e->copy;
    e->tenant.len = len < 0 ? 0 : (size_t)len; /* there, and nothing that could be a tenant */
}

/* Whose it is. An own key is its tenant's; there an entry may leave the tenant out, but not name
 * another one. */
static int take_tenant(rs_entry_t *e, const rs_key_t *key, rs_skip_t *reason)
{
    const rs_stream_t *stream = &key->source->streams[key->stream];
    const char *own = key->tenant ? key->tenant->name : stream->tenant_literal;

    if (!e->tenant.data && !stream->tenant_literal && !e->too_big) {
        tenant_from_payload(e);
    }
    if (key->tenant && e->tenant.data
        && (e->tenant.len != strlen(own) || memcmp(e->tenant.data, own, e->tenant.len) != 0)) {
        *reason = RS_SKIP_OTHER_TENANT;
        return 0;
    }
    if (own) {
        e->tenant.data = own;
        e->tenant.len = strlen(own);
    }
    if (!e->tenant.data) {
        *reason = e->too_big ? RS_SKIP_TOO_BIG : RS_SKIP_NO_TENANT;
        return 0;
    }
    if (!rs_name_valid(e->tenant.data, e->tenant.len)) {
        *reason = RS_SKIP_BAD_TENANT;
        return 0;
    }
    return 1;
}

int rs_entry_decode(rs_entry_t *e, const rs_key_t *key, const redisReply *fields, size_t max,
                    rs_skip_t *reason)
{
    const rs_stream_t *stream = &key->source->streams[key->stream];

    memset(e, 0, sizeof(*e));
    if (!take_fields(e, stream, fields)) {
        *reason = RS_SKIP_MALFORMED;
        return 0;
    }
    e->too_big = e->data.len > max;
    if (!take_tenant(e, key, reason)) {
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

const char *rs_entry_tenant(const rs_entry_t *e, char name[RS_NAME_MAX + 1])
{
    memcpy(name, e->tenant.data, e->tenant.len);
    name[e->tenant.len] = '\0';
    return name;
}
