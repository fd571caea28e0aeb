/* SPDX-License-Identifier: Apache-2.0
 *
 * What applications send through the gateway. Whatever it is, jansson reads the same token and data
 * there, and what is written is one event: nothing in a name or in data ends it or begins another.
 */
#include <jansson.h>

#include "../../src/proto/rs_gateway.h"
#include "../../src/wire/rs_wire.h"
#include "fuzz.h"

void fuzz_setup(apr_pool_t *all) { (void)all; }

/* Lines that a parser knows, then an empty one, and that is all. */
static void check_event(const char *bytes, size_t len)
{
    const char *end = bytes + len, *line = bytes, *next;
    int n = 0;

    require(len >= 2 && end[-1] == '\n' && end[-2] == '\n');
    require(!memchr(bytes, '\r', len) && !memchr(bytes, '\0', len));
    for (; line < end - 1; line = next + 1, n++) {
        next = memchr(line, '\n', (size_t)(end - line));
        require(next > line);
        require((n == 0 && !strncmp(line, "event: ", 7)) || !strncmp(line, "data: ", 6)
                || !strncmp(line, "data:\n", 6));
    }
}

static void check_frames(const rs_gateway_order_t *order)
{
    rs_buf_t b = RS_BUF_INIT;
    int dialect;

    for (dialect = RS_DIALECT_CURRENT; dialect <= RS_DIALECT_2025_11; dialect++) {
        rs_buf_clear(&b);
        rs_wire_gateway_event(&b, dialect, order->name, order->data);
        require(rs_buf_ok(&b));
        check_event(b.data, b.len);
    }
    rs_buf_free(&b);
}

static void check_same(const rs_gateway_order_t *order, const char *text, size_t size)
{
    json_t *json = json_loadb(text, size, 0, NULL), *event = json_object_get(json, "event");

    if (json) {
        require(!strcmp(json_string_value(json_object_get(json, "token")), order->token));
        require(!order->data
                || !strcmp(json_string_value(json_object_get(event, "data")), order->data));
        require(order->close == json_is_true(json_object_get(json, "close")));
    }
    json_decref(json);
}

void fuzz_one(apr_pool_t *p, const char *data, size_t size)
{
    char *text = fuzz_text(p, data, size);
    rs_gateway_order_t order;
    const char *message = NULL, *code = rs_gateway_order(&order, &message, p, text, size);

    if (code) {
        require(message && *code);
    }
    else {
        require(order.token && *order.token);
        check_same(&order, text, size);
    }
    if (!code && order.data) {
        check_frames(&order);
    }
    rs_gateway_answered(&order, p, text, size);
    if (order.data) {
        check_frames(&order);
    }
}
