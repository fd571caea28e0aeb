/* SPDX-License-Identifier: Apache-2.0
 *
 * Hostile publish bodies, in each of the forms a body may have. Besides crashes it looks for a
 * payload that is taken from the text and is not what jansson reads there, and for texts of which
 * we say that they are JSON, or are not, and jansson does not.
 */
#include <jansson.h>

#include "../../src/base/rs_name.h"
#include "../../src/base/rs_utf8.h"
#include "../../src/proto/rs_cloudevent.h"
#include "../../src/proto/rs_publish_body.h"
#include "fuzz.h"

static apr_pool_t *pool;

void fuzz_setup(apr_pool_t *all) { (void)all; }

#define JANSSON (JSON_DECODE_ANY | JSON_ALLOW_NUL)

static int is_json(const char *data, size_t size)
{
    rs_json_t text = {data, data + size}, value;

    return !rs_json_check(&value, pool, "it", text, RS_JSON_DEPTH_MAX);
}

/* What jansson has no room for, among what is JSON. */
static int beyond_jansson(const char *data, size_t size, const json_error_t *error)
{
    return json_error_code(error) == json_error_numeric_overflow
           || json_error_code(error) == json_error_null_byte_in_key
           || (json_error_code(error) == json_error_invalid_syntax
               && memmem(data, size, "\\u", 2)); /* half of a surrogate pair */
}

static void check_grammar(const char *data, size_t size)
{
    json_error_t error;
    json_t *json = json_loadb(data, size, JANSSON, &error);

    /* It overlooks a NUL behind a number, and counts no levels. */
    if (json && !memchr(data, '\0', size) && !is_json(data, size)) {
        rs_json_t text = {data, data + size}, value;

        require(strstr(rs_json_check(&value, pool, "it", text, RS_JSON_DEPTH_MAX), "deeper"));
    }
    require(json || !is_json(data, size) || beyond_jansson(data, size, &error));
    json_decref(json);
}

/* NULL: jansson cannot read it. */
static json_t *payload_of(const rs_publish_item_t *item)
{
    require(strlen(item->payload) == item->payload_len);
    require(!strpbrk(item->payload, "\r\n"));
    require(is_json(item->payload, item->payload_len));
    return json_loads(item->payload, JANSSON, NULL);
}

/* What holds for all forms. */
static void check_item(const rs_publish_item_t *item)
{
    require(!item->code == !item->reason);
    require(!item->tenant || rs_name_valid(item->tenant, strlen(item->tenant)));
    require(!item->user || rs_name_valid(item->user, strlen(item->user)));
    require(!item->event_type || rs_event_type_valid(item->event_type, strlen(item->event_type)));
    require(item->code || (item->event_type && item->payload));
}

static void check_event(const rs_publish_item_t *item, const json_t *object)
{
    json_t *payload;

    check_item(item);
    if (!item->code) {
        require(item->stream != NULL);
        payload = payload_of(item);
        require(!object || json_equal(payload, json_object_get(object, "payload")));
        json_decref(payload);
    }
}

/* The two parts of an event_id can be told apart, and lose nothing. */
static void check_event_id(const char *event_id, const char *source, const char *id)
{
    size_t n = strcspn(event_id, "|"), i;

    require(n == strlen(source) && !memcmp(event_id, source, n) && event_id[n] == '|');
    for (i = 0; event_id[i]; i++) {
        require(event_id[i] > ' ' && event_id[i] <= '~');
    }
    for (event_id += n + 1; *id; id++, event_id++) {
        unsigned int c = (unsigned char)*event_id;

        if (c == '%') {
            char hex[3] = {event_id[1], event_id[2], '\0'};

            c = (unsigned int)strtoul(hex, NULL, 16);
            event_id += 2;
        }
        require(c == (unsigned char)*id);
    }
    require(!*event_id);
}

static void check_cloudevent(const rs_publish_item_t *item, const json_t *object)
{
    json_t *data = json_object_get(object, "data"), *payload;

    check_item(item);
    if (item->code) {
        return;
    }
    payload = payload_of(item);
    if (object) {
        check_event_id(item->event_id, json_string_value(json_object_get(object, "source")),
                       json_string_value(json_object_get(object, "id")));
    }
    require(!data || json_is_null(data) || json_equal(payload, data));
    json_decref(payload);
}

static void try_form(rs_publish_form_t form, const char *data, size_t size)
{
    rs_publish_body_t *body;
    const char *problem = rs_publish_body_parse(&body, pool, form, data, size);
    json_t *root, *object;
    int i;

    require(!problem == (body != NULL));
    if (body) {
        root = json_loadb(data, size, JANSSON, NULL);
        require(body->count >= 1 && body->count <= RS_PUBLISH_ITEMS_MAX);
        require(!root || body->is_array == json_is_array(root));
        require(!root || !body->is_array || json_array_size(root) == (size_t)body->count);
        for (i = 0; i < body->count; i++) {
            object = body->is_array ? json_array_get(root, (size_t)i) : root;
            if (form == RS_PUBLISH_EVENTS) {
                check_event(&body->items[i], object);
            }
            else {
                check_cloudevent(&body->items[i], object);
            }
        }
        json_decref(root);
    }
}

/* As data of a CloudEvent whose attributes are headers: text, JSON; and as a header itself. */
static void try_binary(const char *data, size_t size)
{
    static const rs_media_t types[] = {RS_MEDIA_NONE, RS_MEDIA_TEXT, RS_MEDIA_OTHER};
    const char *header = rs_cloudevent_header(pool, apr_pstrmemdup(pool, data, size));
    rs_cloudevent_t event = {"1.0", header, "/s", header, header, header, header};
    rs_publish_item_t *item;
    json_t *payload;
    size_t i;

    require(rs_utf8_valid(header, strlen(header)));
    rs_media_type(header);
    item = rs_cloudevent_binary(pool, &event, 0, RS_MEDIA_NONE, "", 0)->items;
    check_item(item);
    for (i = 0; i < RS_ARRAY_LEN(types); i++) {
        rs_cloudevent_t good = {"1.0", "1", "/s", "t", NULL, NULL, NULL};

        item = rs_cloudevent_binary(pool, &good, 0, types[i], data, size)->items;
        check_item(item);
        if (!item->code) {
            payload = payload_of(item);
            require(types[i] != RS_MEDIA_TEXT || payload);
            require(types[i] != RS_MEDIA_TEXT
                    || (json_string_length(payload) == size
                        && !memcmp(json_string_value(payload), data, size)));
            json_decref(payload);
        }
    }
}

void fuzz_one(apr_pool_t *p, const char *data, size_t size)
{
    pool = p;
    check_grammar(data, size);
    try_form(RS_PUBLISH_EVENTS, data, size);
    try_form(RS_PUBLISH_CLOUDEVENT, data, size);
    try_form(RS_PUBLISH_CLOUDEVENTS, data, size);
    try_binary(data, size);
}
