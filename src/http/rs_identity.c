/* SPDX-License-Identifier: Apache-2.0
 *
 * Tenant and user. No tenant, no stream. The worker.
 */
#include "../conf/rs_httpd.h"

#include "../auth/rs_claims.h"
#include "../base/rs_name.h"
#include "rs_error.h"
#include "rs_identity.h"
#include "rs_request.h"

/* The claim as text; *json as it stands in the token. NULL: it is missing or no name at all. */
static const char *claim(request_rec *r, const char *name, const char **json)
{
    rs_request_t *req = rs_request(r);
    json_t *value = req->jwt ? rs_claim_find(req->jwt->claims, name) : NULL;

    if (json_is_integer(value)) {
        *json = rs_claim_text(r->pool, value);
        return *json;
    }
    if (json_is_string(value)) {
        const char *text = rs_claim_text(r->pool, value);

        *json = apr_pstrcat(r->pool, "\"", text ? text : "", "\"", NULL);
        return text;
    }
    return NULL;
}

static const char *evaluate(request_rec *r, ap_expr_info_t *expr, const char **json)
{
    const char *problem = NULL;
    const char *text = ap_expr_str_exec(r, expr, &problem);

    if (problem) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "RS0711: RaglineTenant or RaglineUser: %s",
                      problem);
        return NULL;
    }
    *json = apr_pstrcat(r->pool, "\"", text, "\"", NULL);
    return text;
}

static int refuse(request_rec *r, const char *code, const char *message)
{
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "RS0712: refused: %s", message);
    return rs_http_error(r, HTTP_FORBIDDEN, code, message);
}

/* Without RaglineUser: the token's user_id, else its sub; without a token, httpd's user. */
static const char *default_user(request_rec *r, const char **json)
{
    const char *user = claim(r, "user_id", json);

    if (!user) {
        user = claim(r, "sub", json);
    }
    if (!user && !rs_request(r)->jwt && r->user) {
        user = r->user;
        *json = apr_pstrcat(r->pool, "\"", user, "\"", NULL);
    }
    return user;
}

static const char *tenant_of(request_rec *r, const char **json)
{
    const rs_dir_conf_t *conf = rs_conf_dir(r);

    return conf->tenant ? evaluate(r, conf->tenant, json) : claim(r, "tenant_id", json);
}

const char *rs_identity_tenant(request_rec *r)
{
    const char *json, *tenant = tenant_of(r, &json);

    return tenant && rs_name_valid(tenant, strlen(tenant)) ? tenant : NULL;
}

int rs_identity(request_rec *r, rs_identity_t *id)
{
    const rs_dir_conf_t *conf = rs_conf_dir(r);
    const char *user;

    memset(id, 0, sizeof(*id));
    id->user_json = "null";
    id->tenant = tenant_of(r, &id->tenant_json);
    if (!id->tenant || !*id->tenant) {
        return refuse(r, "no_tenant", "this request names no tenant");
    }
    if (!rs_name_valid(id->tenant, strlen(id->tenant))) {
        return refuse(r, "bad_tenant", "the tenant must be 1 to 64 of A-Z a-z 0-9 . _ @ -");
    }
    user = conf->user ? evaluate(r, conf->user, &id->user_json) : default_user(r, &id->user_json);
    if (user && *user && !rs_name_valid(user, strlen(user))) {
        return refuse(r, "bad_user", "the user must be 1 to 64 of A-Z a-z 0-9 . _ @ -");
    }
    id->user = user ? user : "";
    if (!*id->user) {
        id->user_json = "null";
    }
    id->expires = rs_request(r)->jwt ? rs_request(r)->jwt->expires : 0;
    return OK;
}
