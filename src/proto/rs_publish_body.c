/* SPDX-License-Identifier: Apache-2.0
 *
 * Publish bodies of our own form, and the array that CloudEvents may come in, too. A worker
 * thread; pure functions over the request's pool.
 */
#include <string.h>

#include "../base/rs_name.h"
#include "rs_cloudevent.h"
#include "rs_publish_body.h"

enum { STREAM, EVENT_TYPE, PAYLOAD, TENANT_ID, USER_ID, EVENT_ID, MEMBERS };
static const char *const members[MEMBERS] = {"stream",    "event_type", "payload",
                                             "tenant_id", "user_id",    "event_id"};

/* A tenant or a user: a string or an integer. NULL: there is none, or it was refused. */
static const char *name_member(rs_publish_item_t *item, apr_pool_t *p, rs_json_t value,
                               const char *code, const char *reason)
{
    const char *s = value.s ? rs_publish_name(p, value) : NULL;

    if (!value.s || (s && rs_name_valid(s, strlen(s)))) {
        return s;
    }
    rs_publish_refuse(item, code, reason);
    return NULL;
}

static void read_event(rs_publish_item_t *item, apr_pool_t *p, rs_json_t object)
{
    rs_json_t found[MEMBERS];

    memset(found, 0, sizeof(found));
    if (rs_publish_members(item, object, members, found, MEMBERS, NULL)) {
        rs_publish_refuse(item, "unknown_member",
                          "an event has the members stream, event_type, payload and, if "
                          "wanted, tenant_id, user_id and event_id; this one has another");
    }
    item->stream = rs_json_string(p, found[STREAM]);
    if (!item->stream || !*item->stream) {
        rs_publish_refuse(item, "invalid_stream", "stream must be the name of a stream");
    }
    rs_publish_event_type(item, p, rs_json_string(p, found[EVENT_TYPE]), "event_type");
    if (found[PAYLOAD].s) {
        item->payload = rs_json_compact(&item->payload_len, p, found[PAYLOAD]);
    }
    else {
        rs_publish_refuse(item, "missing_payload", "payload is missing: it may be any JSON value");
    }
    item->tenant = name_member(item, p, found[TENANT_ID], "invalid_tenant_id",
                               "tenant_id must be an integer or a string of 1 to 64 of "
                               "A-Z a-z 0-9 . _ @ -");
    item->user = name_member(item, p, found[USER_ID], "invalid_user_id",
                             "user_id must be an integer or a string of 1 to 64 of "
                             "A-Z a-z 0-9 . _ @ -");
    if (found[EVENT_ID].s) {
        item->event_id = rs_json_string(p, found[EVENT_ID]);
        if (!item->event_id || !rs_event_type_valid(item->event_id, strlen(item->event_id))) {
            rs_publish_refuse(item, "invalid_event_id",
                              "event_id must be a string of 1 to 128 printable ASCII characters "
                              "without spaces");
        }
    }
}

static void read_item(rs_publish_body_t *b, apr_pool_t *p, rs_publish_form_t form, rs_json_t value)
{
    rs_publish_item_t *item = &b->items[b->count++];

    if (rs_json_kind(value) != '{') {
        rs_publish_refuse(item, "invalid_event", "an event must be a JSON object");
    }
    else if (form == RS_PUBLISH_EVENTS) {
        read_event(item, p, value);
    }
    else {
        rs_cloudevent_read(item, p, value);
    }
    b->bad += item->code != NULL;
}

static int count_elements(rs_json_t array)
{
    rs_json_t inside = rs_json_inside(array), value;
    int n = 0;

    while (n <= RS_PUBLISH_ITEMS_MAX && rs_json_element(&inside, &value)) {
        n++;
    }
    return n;
}

static const char *read_root(rs_publish_body_t *b, apr_pool_t *p, rs_publish_form_t form,
                             rs_json_t root)
{
    rs_json_t inside, value;
    int n = 1;

    b->is_array = rs_json_kind(root) == '[';
    if (!b->is_array && rs_json_kind(root) != '{') {
        return "the body must be a JSON object, or an array of them";
    }
    if (form == RS_PUBLISH_CLOUDEVENT && b->is_array) {
        return "an array of CloudEvents has the type application/cloudevents-batch+json";
    }
    if (form == RS_PUBLISH_CLOUDEVENTS && !b->is_array) {
        return "a CloudEvent that is not in an array has the type application/cloudevents+json";
    }
    if (b->is_array) {
        n = count_elements(root);
    }
    if (n == 0 || n > RS_PUBLISH_ITEMS_MAX) {
        return "the array must have 1 to 1000 events";
    }
    b->items = apr_pcalloc(p, (apr_size_t)n * sizeof(*b->items));
    if (!b->is_array) {
        read_item(b, p, form, root);
        return NULL;
    }
    inside = rs_json_inside(root);
    while (rs_json_element(&inside, &value)) {
        read_item(b, p, form, value);
    }
    return NULL;
}

const char *rs_publish_body_parse(rs_publish_body_t **body, apr_pool_t *p, rs_publish_form_t form,
                                  const char *data, apr_size_t len)
{
    rs_publish_body_t *b = apr_pcalloc(p, sizeof(*b));
    rs_json_t text = {data, data + len}, root;
    const char *err = rs_json_check(&root, p, "the body", text, RS_JSON_DEPTH_MAX);

    if (!err) {
        err = read_root(b, p, form, root);
    }
    *body = err ? NULL : b;
    return err;
}
