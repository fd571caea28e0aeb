/* SPDX-License-Identifier: Apache-2.0
 *
 * CloudEvents 1.0 as publish items: `type` is the event's type, `data` its payload, `source` and
 * `id` are what makes a retry a repeat. Their JSON format, and what the HTTP binding calls the
 * binary mode. A worker thread; pure functions over the request's pool.
 */
#ifndef RS_CLOUDEVENT_H
#define RS_CLOUDEVENT_H

#include "rs_media_type.h"
#include "rs_publish_item.h"

/* Decoded; NULL: not there. An attribute that is there and is no text is "", which none may be. */
typedef struct {
    const char *specversion;
    const char *id;
    const char *source;
    const char *type;
    const char *stream; /* raglinestream */
    const char *tenant; /* tenantid */
    const char *user;   /* userid */
} rs_cloudevent_t;

/* Where the attribute of this name (n bytes) stands in `event`, or NULL: it is not one of these. */
const char **rs_cloudevent_attribute(rs_cloudevent_t *event, const char *name, apr_size_t n);

/* Whether an attribute may be called so: lower-case letters and digits only. */
int rs_cloudevent_name_valid(const char *name, apr_size_t n);

/* Reads one. */
void rs_cloudevent_read(rs_publish_item_t *item, apr_pool_t *p, rs_json_t object);

/* Binary mode: the value of a header, perhaps quoted and percent-encoded. "": it is no text. */
const char *rs_cloudevent_header(apr_pool_t *p, const char *value);

/* Binary mode: `stranger`: there is a header that cannot be an attribute's. `media` is one that
 * rs_cloudevent_takes(). The result is in p. */
rs_publish_body_t *rs_cloudevent_binary(apr_pool_t *p, const rs_cloudevent_t *event, int stranger,
                                        rs_media_t media, const char *data, apr_size_t len);

/* Whether data of this type can be a payload: JSON, or text in UTF-8. */
int rs_cloudevent_takes(rs_media_t media);

#endif
