/* SPDX-License-Identifier: Apache-2.0
 *
 * Publish bodies of our own form, and the array that CloudEvents may come in, too. A worker
 * thread; pure functions over the request's pool.
 */
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_name.h"
#include "rs_cloudevent.h"
#include "rs_publish_body.h"

void rs_publish_refuse(rs_publish_item_t *item, const char *code, const char *reason)
{
    if (!item->code) {
        item->code = code;
        item->reason = reason;
    }
}

const char *rs_publish_text(apr_pool_t *p, const json_t *value)
{
    if (json_is_integer(value)) {
        return apr_psprintf(p, "%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(value));
    }
    return json_is_string(value)
               ? apr_pstrmemdup(p, json_string_value(value), json_string_length(value))
               : NULL;
}

static int is_reserved(const char *type)
{
    static const char *const types[] = {"connected", "heartbeat", "error", "reset", "caught_up"};
    size_t i;

    for (i = 0; i < RS_ARRAY_LEN(types); i++) {
        if (!strcmp(types[i], type)) {
            return 1;
        }
    }
    return 0;
}

void rs_publish_event_type(rs_publish_item_t *item, apr_pool_t *p, const char *type,
                           const char *name)
{
    if (!type || !rs_event_type_valid(type, strlen(type))) {
        rs_publish_refuse(item, "invalid_event_type",
                          apr_pstrcat(p, name,
                                      " must be a string of 1 to 128 printable ASCII characters "
                                      "without spaces",
                                      NULL));
    }
    else if (is_reserved(type)) {
        rs_publish_refuse(item, "reserved_type",
                          "connected, heartbeat, error, reset and caught_up are what a stream says "
                          "of itself: choose another type");
    }
    else {
        item->event_type = type;
    }
}

/* The names as they stand in the text, in quotes. Escapes in them are not looked through: a
 * member's name that needs none and has some is not one of ours. */
static int name_is(rs_text_t name, const char *want)
{
    size_t n = (size_t)(name.end - name.s);

    return n == strlen(want) && memcmp(name.s, want, n) == 0;
}

static int known_member(rs_text_t name)
{
    static const char *const names[] = {"\"stream\"",    "\"event_type\"", "\"payload\"",
                                        "\"tenant_id\"", "\"user_id\"",    "\"event_id\""};
    size_t i;

    for (i = 0; i < RS_ARRAY_LEN(names); i++) {
        if (name_is(name, names[i])) {
            return 1;
        }
    }
    return 0;
}

/* Goes through an object's text: finds the payload and strangers. Ends behind the object. */
static void walk_object(rs_publish_item_t *item, apr_pool_t *p, rs_text_t *t)
{
    rs_text_t name, value;

    t->s++;
    while (rs_text_member(t, &name, &value)) {
        if (!known_member(name)) {
            rs_publish_refuse(item, "unknown_member",
                              "an event has the members stream, event_type, payload and, if "
                              "wanted, tenant_id, user_id and event_id; this one has another");
        }
        else if (name_is(name, "\"payload\"")) {
            item->payload = rs_text_compact(&item->payload_len, p, value);
        }
    }
}

static const char *string_member(apr_pool_t *p, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return json_is_string(value) ? rs_publish_text(p, value) : NULL;
}

/* A tenant or a user: a string or an integer. */
static const char *name_member(rs_publish_item_t *item, apr_pool_t *p, const json_t *object,
                               const char *name, const char *code, const char *reason)
{
    const json_t *value = json_object_get(object, name);
    const char *s = rs_publish_text(p, value);

    if (!value || (s && rs_name_valid(s, strlen(s)))) {
        return s;
    }
    rs_publish_refuse(item, code, reason);
    return NULL;
}

static void read_members(rs_publish_item_t *item, apr_pool_t *p, const json_t *object)
{
    item->stream = string_member(p, object, "stream");
    if (!item->stream || !*item->stream) {
        rs_publish_refuse(item, "invalid_stream", "stream must be the name of a stream");
    }
    rs_publish_event_type(item, p, string_member(p, object, "event_type"), "event_type");
    if (!item->payload) {
        rs_publish_refuse(item, "missing_payload", "payload is missing: it may be any JSON value");
    }
    item->tenant = name_member(item, p, object, "tenant_id", "invalid_tenant_id",
                               "tenant_id must be an integer or a string of 1 to 64 of "
                               "A-Z a-z 0-9 . _ @ -");
    item->user = name_member(item, p, object, "user_id", "invalid_user_id",
                             "user_id must be an integer or a string of 1 to 64 of "
                             "A-Z a-z 0-9 . _ @ -");
    if (json_object_get(object, "event_id")) {
        item->event_id = string_member(p, object, "event_id");
        if (!item->event_id || !rs_event_type_valid(item->event_id, strlen(item->event_id))) {
            rs_publish_refuse(item, "invalid_event_id",
                              "event_id must be a string of 1 to 128 printable ASCII characters "
                              "without spaces");
        }
    }
}

static void read_item(rs_publish_item_t *item, apr_pool_t *p, rs_publish_form_t form,
                      const json_t *value, rs_text_t *t)
{
    rs_text_skip_space(t);
    if (!json_is_object(value)) {
        rs_text_skip_value(t);
        rs_publish_refuse(item, "invalid_event", "an event must be a JSON object");
    }
    else if (form == RS_PUBLISH_EVENTS) {
        walk_object(item, p, t);
        read_members(item, p, value);
    }
    else {
        rs_cloudevent_read(item, p, value, t);
    }
}

static const char *read_root(rs_publish_body_t *b, apr_pool_t *p, rs_publish_form_t form,
                             const json_t *root, rs_text_t t)
{
    size_t i, n = json_is_array(root) ? json_array_size(root) : 1;

    b->is_array = json_is_array(root);
    if (form == RS_PUBLISH_CLOUDEVENT && b->is_array) {
        return "an array of CloudEvents has the type application/cloudevents-batch+json";
    }
    if (form == RS_PUBLISH_CLOUDEVENTS && !b->is_array) {
        return "a CloudEvent that is not in an array has the type application/cloudevents+json";
    }
    if (n == 0 || n > RS_PUBLISH_ITEMS_MAX) {
        return "the array must have 1 to 1000 events";
    }
    b->count = (int)n;
    b->items = apr_pcalloc(p, n * sizeof(*b->items));
    rs_text_skip_space(&t);
    t.s += b->is_array;
    for (i = 0; i < n; i++) {
        read_item(&b->items[i], p, form, b->is_array ? json_array_get(root, i) : root, &t);
        b->bad += b->items[i].code != NULL;
        rs_text_skip_space(&t);
        t.s += t.s < t.end; /* the comma, or the end */
    }
    return NULL;
}

const char *rs_publish_body_parse(rs_publish_body_t **body, apr_pool_t *p, rs_publish_form_t form,
                                  const char *data, apr_size_t len)
{
    rs_publish_body_t *b = apr_pcalloc(p, sizeof(*b));
    rs_text_t t = {data, data + len};
    const char *err = NULL;
    json_t *root = rs_json_read(&err, p, "the body", t, 0);

    *body = NULL;
    if (!root) {
        return err;
    }
    err = read_root(b, p, form, root, t);
    json_decref(root);
    if (!err) {
        *body = b;
    }
    return err;
}
