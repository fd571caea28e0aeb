/* SPDX-License-Identifier: Apache-2.0
 *
 * Revocation, without a round trip: the hub has all of it.
 */
#include "../conf/rs_httpd.h"

#include "../auth/rs_claims.h"
#include "../conf/rs_conf.h"
#include "../log/rs_source.h"
#include "rs_error.h"
#include "rs_identity.h"
#include "rs_request.h"
#include "rs_revocation_check.h"

const char *rs_revocation_jti(request_rec *r)
{
    const rs_jwt_t *jwt = rs_request(r)->jwt;

    return jwt ? rs_json_string(r->pool, rs_claim_find(jwt->claims, "jti")) : NULL;
}

int rs_revocation_check(request_rec *r, const char *tenant, const char *user)
{
    rs_source_t *source = rs_conf_server(r->server)->source;

    if (!source || !source->revoked) {
        return OK;
    }
    if (source->control == RS_OBEYS && !rs_revoked_known(source->revoked)) {
        rs_source_wait(source, RS_SOURCE_START);
    }
    if (source->control == RS_OBEYS && !rs_revoked_known(source->revoked)) {
        apr_table_setn(r->err_headers_out, "Retry-After", "1");
        return rs_http_error(r, HTTP_SERVICE_UNAVAILABLE, "redis_unavailable",
                             "it is not known who was revoked");
    }
    if (!rs_revoked_has(source->revoked, tenant, user, rs_revocation_jti(r))) {
        return OK;
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "RS0763: refused: revoked");
    apr_table_setn(r->err_headers_out, "WWW-Authenticate", "Bearer error=\"invalid_token\"");
    return rs_http_error(r, HTTP_UNAUTHORIZED, "revoked",
                         "the token, its user or its tenant was revoked");
}

int rs_revocation_check_caller(request_rec *r)
{
    const char *tenant;

    if (!rs_request(r)->jwt) {
        return OK;
    }
    tenant = rs_identity_tenant(r);
    return rs_revocation_check(r, tenant ? tenant : "", rs_identity_user(r));
}
