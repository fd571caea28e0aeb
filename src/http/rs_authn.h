/* SPDX-License-Identifier: Apache-2.0
 *
 * `AuthType RaglineJWT`, `Require ragline-claim` and `%{ragline_claim:NAME}`: the module as one of
 * httpd's authentication modules. It also works for locations that are no endpoints. The worker.
 */
#ifndef RS_AUTHN_H
#define RS_AUTHN_H

#include "../conf/rs_httpd.h"

void rs_authn_hooks(apr_pool_t *p);

#endif
