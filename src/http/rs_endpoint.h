/* SPDX-License-Identifier: Apache-2.0
 *
 * The hooks that make a configured location an endpoint, and give each to its handler. The worker.
 */
#ifndef RS_ENDPOINT_H
#define RS_ENDPOINT_H

#include "../conf/rs_httpd.h"

void rs_endpoint_hooks(apr_pool_t *p);

#endif
