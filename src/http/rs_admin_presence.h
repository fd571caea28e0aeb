/* SPDX-License-Identifier: Apache-2.0
 *
 * GET of …/presence: which users a tenant has, on all nodes. The worker.
 */
#ifndef RS_ADMIN_PRESENCE_H
#define RS_ADMIN_PRESENCE_H

#include "../conf/rs_httpd.h"

int rs_admin_presence(request_rec *r);

#endif
