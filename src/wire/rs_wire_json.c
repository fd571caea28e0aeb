/* SPDX-License-Identifier: Apache-2.0
 *
 * An entry's data within JSON. Any thread.
 */
#include "../base/rs_json.h"
#include "rs_wire.h"

/* Within JSON an end of line is only white space between tokens. */
static void put_json(rs_buf_t *b, rs_json_t value)
{
    const char *at = value.s;

    while (at < value.end) {
        size_t n = 0;

        while (at + n < value.end && at[n] != '\n' && at[n] != '\r') {
            n++;
        }
        rs_buf_add(b, at, n);
        at += n;
        if (at < value.end) {
            rs_buf_add(b, " ", 1);
            at++;
        }
    }
}

void rs_wire_json(rs_buf_t *b, const char *data, size_t len)
{
    rs_json_t text = {data, data + len}, value;

    if (rs_json_is_good(&value, text, RS_JSON_DEPTH_ANY)) {
        put_json(b, value);
    }
    else {
        rs_buf_json(b, data, len);
    }
}
