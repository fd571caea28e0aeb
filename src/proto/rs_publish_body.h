/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of a publish request: one event as a JSON object, or an array of them. Pure functions
 * in a worker thread; what a caller may publish is decided elsewhere.
 */
#ifndef RS_PUBLISH_BODY_H
#define RS_PUBLISH_BODY_H

#include "../base/rs_base.h"

#define RS_PUBLISH_ITEMS_MAX 1000
#define RS_PUBLISH_DEPTH_MAX 32
/* JSON values in one body: a tree takes some 40 bytes for each. */
#define RS_PUBLISH_VALUES_MAX 1000000

typedef struct {
    const char *stream;
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

/* NULL, or a sentence on why the body as a whole cannot be read; it quotes nothing of the body.
 * The result and all its strings are in p. The caller has bounded `len`. */
const char *rs_publish_body_parse(rs_publish_body_t **body, apr_pool_t *p, const char *data,
                                  apr_size_t len);

#endif
