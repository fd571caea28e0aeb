/* SPDX-License-Identifier: Apache-2.0
 *
 * An event to be published, as it was read from a body, and what reading one takes, whatever its
 * form. Pure functions in a worker thread.
 */
#ifndef RS_PUBLISH_ITEM_H
#define RS_PUBLISH_ITEM_H

#include "../base/rs_json.h"

typedef struct {
    const char *stream; /* NULL in a CloudEvent that names none */
    const char *event_type;
    const char *payload; /* JSON text without insignificant whitespace, else as it was written */
    apr_size_t payload_len;
    const char *tenant;   /* NULL: not named */
    const char *user;     /* NULL: not named */
    const char *event_id; /* NULL: not named */
    const char *code;     /* NULL: the item is good */
    const char *reason;   /* a sentence for `code` */
} rs_publish_item_t;

typedef struct {
    rs_publish_item_t *items;
    int count;
    int is_array;
    int bad; /* how many items have a code */
} rs_publish_body_t;

/* An item keeps the first reason it is refused for. */
void rs_publish_refuse(rs_publish_item_t *item, const char *code, const char *reason);

/* Whether that can be the type of somebody's event: none of a stream's own. */
int rs_publish_type_good(const char *type, size_t n);

/* Takes over a type, or refuses it: `name` is what the publisher calls it. The names of the events
 * that a stream tells of itself are not for publishers. */
void rs_publish_event_type(rs_publish_item_t *item, apr_pool_t *p, const char *type,
                           const char *name);

/* A string, or an integer as text; NULL: neither. */
const char *rs_publish_name(apr_pool_t *p, rs_json_t value);

/* Finds the n members of these names in an object, and refuses one that is there twice. Returns how
 * many others there are of which `stranger` (NULL: always) says that they should not be. */
int rs_publish_members(rs_publish_item_t *item, rs_json_t object, const char *const *names,
                       rs_json_t *values, int n, int (*stranger)(rs_json_t name));

#endif
