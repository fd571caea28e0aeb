/* SPDX-License-Identifier: Apache-2.0
 *
 * Whose request this is: tenant and user, by RaglineTenant and RaglineUser or from the token. The
 * worker, after httpd's authentication.
 */
#ifndef RS_IDENTITY_H
#define RS_IDENTITY_H

#include "../conf/rs_httpd.h"

typedef struct {
    const char *tenant;
    const char *user;        /* "" when there is none */
    const char *tenant_json; /* as the token has it: 42 or "42" */
    const char *user_json;   /* likewise, or null */
    apr_time_t expires;      /* of the token; 0: never */
} rs_identity_t;

/* The tenant; NULL: the request names none, or not a valid one. */
const char *rs_identity_tenant(request_rec *r);

/* The user; "": the request names none, or not a valid one. */
const char *rs_identity_user(request_rec *r);

/* OK; or a status to return, its error noted: there is no tenant, or a name cannot be one. */
int rs_identity(request_rec *r, rs_identity_t *id);

/* The same of who is nobody but the tenant's: no user is asked for. */
int rs_identity_publisher(request_rec *r, rs_identity_t *id);

#endif
