/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether whoever sends a request was told not to come any more. The worker.
 */
#ifndef RS_REVOCATION_CHECK_H
#define RS_REVOCATION_CHECK_H

#include "../conf/rs_httpd.h"

/* OK; or a status to return, its error noted: 401, or 503 while that is not known. */
int rs_revocation_check(request_rec *r, const char *tenant, const char *user);

/* The same of whoever brought a token, where it is not asked whose events they are. */
int rs_revocation_check_caller(request_rec *r);

/* The id of the request's token, or NULL. */
const char *rs_revocation_jti(request_rec *r);

#endif
