/* SPDX-License-Identifier: Apache-2.0
 *
 * Hostile publish bodies. Besides crashes it looks for a payload that is taken from the text and
 * is not the payload that jansson reads there.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <jansson.h>

#include "../../src/base/rs_name.h"
#include "../../src/proto/rs_publish_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static apr_pool_t *pool;

static void teardown(void)
{
    apr_pool_destroy(pool);
    apr_terminate();
}

static void setup(void)
{
    apr_initialize();
    atexit(teardown); /* a leak checker does not look into APR's pools */
    apr_pool_create(&pool, NULL);
}

static void require(int good)
{
    if (!good) {
        abort();
    }
}

static void check_item(const rs_publish_item_t *item, const json_t *object)
{
    json_t *payload;

    require(!item->code == !item->reason);
    require(!item->tenant || rs_name_valid(item->tenant, strlen(item->tenant)));
    require(!item->user || rs_name_valid(item->user, strlen(item->user)));
    if (item->code) {
        return;
    }
    require(item->stream && item->event_type && item->payload);
    require(rs_event_type_valid(item->event_type, strlen(item->event_type)));
    require(strlen(item->payload) == item->payload_len);
    require(!strpbrk(item->payload, "\r\n"));
    payload = json_loads(item->payload, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    require(payload && json_equal(payload, json_object_get(object, "payload")));
    json_decref(payload);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rs_publish_body_t *body;
    const char *problem;
    json_t *root;
    int i;

    if (!pool) {
        setup();
    }
    problem = rs_publish_body_parse(&body, pool, (const char *)data, size);
    require(!problem == (body != NULL));
    if (body) {
        root = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
        require(root && body->count >= 1 && body->count <= RS_PUBLISH_ITEMS_MAX);
        require(body->is_array == json_is_array(root));
        for (i = 0; i < body->count; i++) {
            check_item(&body->items[i],
                       body->is_array ? json_array_get(root, (size_t)i) : root);
        }
        json_decref(root);
    }
    apr_pool_clear(pool);
    return 0;
}
