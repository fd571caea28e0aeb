/* SPDX-License-Identifier: Apache-2.0
 *
 * A CloudEvent's data as a payload, which is JSON always: data that is JSON stays as it was
 * written, text becomes a JSON string, and anything else has no place in a stream of text. A
 * worker thread; used by rs_cloudevent.c only.
 */
#ifndef RS_CLOUDEVENT_DATA_H
#define RS_CLOUDEVENT_DATA_H

#include "rs_media_type.h"
#include "rs_publish_item.h"

/* Of a CloudEvent in JSON, its members data and data_base64. */
void rs_cloudevent_data(rs_publish_item_t *item, apr_pool_t *p, rs_media_t media, rs_json_t data,
                        rs_json_t base64);

/* Data as it is, whatever it was wrapped in. */
void rs_cloudevent_bytes(rs_publish_item_t *item, apr_pool_t *p, rs_media_t media, rs_json_t data);

#endif
