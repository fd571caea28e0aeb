/* SPDX-License-Identifier: Apache-2.0
 *
 * What a Content-Type, or a CloudEvent's datacontenttype, says. Pure function, any thread.
 */
#ifndef RS_MEDIA_TYPE_H
#define RS_MEDIA_TYPE_H

#include "../base/rs_base.h"

typedef enum {
    RS_MEDIA_NONE = 0,    /* not said */
    RS_MEDIA_JSON,        /* application/json */
    RS_MEDIA_JSON_OTHER,  /* text/json, anything that ends with +json */
    RS_MEDIA_TEXT,        /* text in UTF-8 */
    RS_MEDIA_CLOUDEVENT,  /* application/cloudevents+json */
    RS_MEDIA_CLOUDEVENTS, /* application/cloudevents-batch+json */
    RS_MEDIA_OTHER
} rs_media_t;

/* `type` may be NULL. */
rs_media_t rs_media_type(const char *type);

#endif
