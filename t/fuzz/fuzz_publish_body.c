/* SPDX-License-Identifier: Apache-2.0
 *
 * Hostile publish bodies, in each of the forms a body may have. Besides crashes it looks for a
 * payload that is taken from the text and is not what jansson reads there.
 */
#include <jansson.h>

#include "../../src/base/rs_name.h"
#include "../../src/base/rs_utf8.h"
#include "../../src/proto/rs_cloudevent.h"
#include "../../src/proto/rs_publish_body.h"
#include "fuzz.h"

static apr_pool_t *pool;

void fuzz_setup(apr_pool_t *all) { (void)all; }

static json_t *payload_of(const rs_publish_item_t *item)
{
    json_t *payload;

    require(strlen(item->payload) == item->payload_len);
    require(!strpbrk(item->payload, "\r\n"));
    payload = json_loads(item->payload, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    require(payload != NULL);
    return payload;
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
        require(json_equal(payload, json_object_get(object, "payload")));
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
    check_event_id(item->event_id, json_string_value(json_object_get(object, "source")),
                   json_string_value(json_object_get(object, "id")));
    payload = payload_of(item);
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
        root = json_loadb(data, size, JSON_REJECT_DUPLICATES, NULL);
        require(root && body->count >= 1 && body->count <= RS_PUBLISH_ITEMS_MAX);
        require(body->is_array == json_is_array(root));
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
    try_form(RS_PUBLISH_EVENTS, data, size);
    try_form(RS_PUBLISH_CLOUDEVENT, data, size);
    try_form(RS_PUBLISH_CLOUDEVENTS, data, size);
    try_binary(data, size);
}
