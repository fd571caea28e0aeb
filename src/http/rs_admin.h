/* SPDX-License-Identifier: Apache-2.0
 *
 * SetHandler ragline-admin: who is connected. The worker.
 */
#ifndef RS_ADMIN_H
#define RS_ADMIN_H

#include "../conf/rs_httpd.h"

/* What there is below such a location. NULL ends the list. */
extern const char *const rs_admin_names[];

int rs_admin_handler(request_rec *r);

#endif
