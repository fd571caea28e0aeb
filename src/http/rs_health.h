/* SPDX-License-Identifier: Apache-2.0
 *
 * Handler ragline-health. LOCATION/live is 200 as long as httpd answers; LOCATION and
 * LOCATION/ready are 200 when this child can serve: Redis answers a command and the streams are
 * being read and caught up; else 503. The worker.
 */
#ifndef RS_HEALTH_H
#define RS_HEALTH_H

#include "../conf/rs_httpd.h"

int rs_health_handler(request_rec *r);

#endif
