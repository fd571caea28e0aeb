/* SPDX-License-Identifier: Apache-2.0
 *
 * A publish request as HTTP brings it: which of the forms it has, and its body. The worker.
 */
#ifndef RS_PUBLISH_READ_H
#define RS_PUBLISH_READ_H

#include <httpd.h>

#include "../conf/rs_conf.h"
#include "../proto/rs_cloudevent.h"
#include "../proto/rs_publish_body.h"

typedef struct {
    apr_off_t limit;        /* of the body, in bytes */
    rs_publish_form_t form; /* unless it is */
    int binary;             /* a CloudEvent whose attributes are headers */
    rs_media_t media;       /* of the body */
} rs_publish_head_t;

/* Both return OK, or what the handler is to return. */

/* What can be refused before a byte of the body is read (and asked for, with Expect). */
int rs_publish_check_head(rs_publish_head_t *head, request_rec *r, const rs_server_conf_t *server);

int rs_publish_read(rs_publish_body_t **body, request_rec *r, const rs_publish_head_t *head);

#endif
