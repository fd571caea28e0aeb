/* SPDX-License-Identifier: Apache-2.0
 *
 * `AuthType RaglineJWT`, `Require ragline-claim` and `%{ragline_claim:NAME}`: the module as one of
 * httpd's authentication modules. It also works for locations that are no endpoints. The worker.
 */
#ifndef RS_AUTHN_H
#define RS_AUTHN_H

#include "../conf/rs_httpd.h"

#include "../auth/rs_jwt.h"

/* What a token must be for this request's location. */
rs_jwt_policy_t rs_authn_policy(request_rec *r);

void rs_authn_hooks(apr_pool_t *p);

#endif
