/* SPDX-License-Identifier: Apache-2.0
 *
 * What events of all forms have in common when they are read. A worker thread; pure functions.
 */
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_name.h"
#include "rs_publish_item.h"

void rs_publish_refuse(rs_publish_item_t *item, const char *code, const char *reason)
{
    if (!item->code) {
        item->code = code;
        item->reason = reason;
    }
}

const char *rs_publish_name(apr_pool_t *p, rs_json_t value)
{
    apr_int64_t n;

    return rs_json_integer(&n, value) ? apr_psprintf(p, "%" APR_INT64_T_FMT, n)
                                      : rs_json_string(p, value);
}

int rs_publish_members(rs_publish_item_t *item, rs_json_t object, const char *const *names,
                       rs_json_t *values, int n, int (*stranger)(rs_json_t name))
{
    rs_json_t inside = rs_json_inside(object), name, value;
    int which, strangers = 0;

    while (rs_json_member(&inside, &name, &value)) {
        which = rs_json_which(name, names, n);
        if (which < 0) {
            strangers += !stranger || stranger(name);
        }
        else if (values[which].s) {
            rs_publish_refuse(item, "invalid_event", "an event has the same member twice");
        }
        else {
            values[which] = value;
        }
    }
    return strangers;
}

static int is_reserved(const char *type, size_t n)
{
    static const char *const types[] = {"connected", "heartbeat", "error",
                                        "reset",     "caught_up", "challenge"};
    size_t i;

    for (i = 0; i < RS_ARRAY_LEN(types); i++) {
        if (strlen(types[i]) == n && !memcmp(types[i], type, n)) {
            return 1;
        }
    }
    return 0;
}

int rs_publish_type_good(const char *type, size_t n)
{
    return rs_event_type_valid(type, n) && !is_reserved(type, n);
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
    else if (is_reserved(type, strlen(type))) {
        rs_publish_refuse(item, "reserved_type",
                          "connected, heartbeat, error, reset, caught_up and challenge are what a "
                          "stream says of itself: choose another type");
    }
    else {
        item->event_type = type;
    }
}
