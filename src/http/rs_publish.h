/* SPDX-License-Identifier: Apache-2.0
 *
 * The handler `ragline-publish`: POST of one event or an array of them. The worker.
 */
#ifndef RS_PUBLISH_H
#define RS_PUBLISH_H

#include <httpd.h>

int rs_publish_handler(request_rec *r);

#endif
