/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of a publish request: one event as a JSON object, or an array of them, of our own form
 * or CloudEvents. Pure functions in a worker thread; what a caller may publish is decided
 * elsewhere.
 */
#ifndef RS_PUBLISH_BODY_H
#define RS_PUBLISH_BODY_H

#include "rs_publish_item.h"

#define RS_PUBLISH_ITEMS_MAX 1000

typedef enum {
    RS_PUBLISH_EVENTS = 0, /* of our own form: one or an array */
    RS_PUBLISH_CLOUDEVENT, /* CloudEvents in JSON: one, */
    RS_PUBLISH_CLOUDEVENTS /* an array */
} rs_publish_form_t;

/* NULL, or a sentence on why the body as a whole cannot be read; it quotes nothing of the body.
 * The result and all its strings are in p. The caller has bounded `len`. */
const char *rs_publish_body_parse(rs_publish_body_t **body, apr_pool_t *p, rs_publish_form_t form,
                                  const char *data, apr_size_t len);

#endif
