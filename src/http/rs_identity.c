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

/* Names here: "" where there is none, NULL for what cannot be one. */

/* 0: there is no such claim. Else it is the name, whatever it holds: no other takes its place. */
static int claim(request_rec *r, const char *claim_name, const char **name, const char **json)
{
    rs_request_t *req = rs_request(r);
    rs_json_t value = {NULL, NULL};

    if (req->jwt) {
        value = rs_claim_find(req->jwt->claims, claim_name);
    }
    *name = rs_claim_name(r->pool, value, json);
    return value.s != NULL;
}

static const char *quoted(request_rec *r, const char *name)
{
    return apr_pstrcat(r->pool, "\"", name, "\"", NULL);
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
    *json = quoted(r, text);
    return text;
}

static int refuse(request_rec *r, const char *code, const char *message)
{
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "RS0712: refused: %s", message);
    return rs_http_error(r, HTTP_FORBIDDEN, code, message);
}

/* Without RaglineUser: the token's user_id, else its sub; without a token, httpd's user. */
static const char *user_of(request_rec *r, const char **json)
{
    const rs_dir_conf_t *conf = rs_request_conf(r);
    const char *user;

    if (conf->user) {
        return evaluate(r, conf->user, json);
    }
    if (!claim(r, "user_id", &user, json) && !claim(r, "sub", &user, json) && !rs_request(r)->jwt
        && r->user) {
        user = r->user;
        *json = quoted(r, user);
    }
    return user;
}

static const char *tenant_of(request_rec *r, const char **json)
{
    const rs_dir_conf_t *conf = rs_request_conf(r);
    const char *tenant;

    if (conf->tenant) {
        return evaluate(r, conf->tenant, json);
    }
    claim(r, "tenant_id", &tenant, json);
    return tenant;
}

static int valid(const char *name) { return name && rs_name_valid(name, strlen(name)); }

const char *rs_identity_tenant(request_rec *r)
{
    const char *json, *tenant = tenant_of(r, &json);

    return valid(tenant) ? tenant : NULL;
}

const char *rs_identity_user(request_rec *r)
{
    const char *json, *user = user_of(r, &json);

    return valid(user) ? user : "";
}

int rs_identity_publisher(request_rec *r, rs_identity_t *id)
{
    memset(id, 0, sizeof(*id));
    id->user = "";
    id->user_json = "null";
    id->tenant = tenant_of(r, &id->tenant_json);
    if (id->tenant && !*id->tenant) {
        return refuse(r, "no_tenant", "this request names no tenant");
    }
    if (!valid(id->tenant)) {
        return refuse(r, "bad_tenant",
                      "the tenant must be an integer, or 1 to 64 of A-Z a-z 0-9 . _ @ -");
    }
    id->expires = rs_request(r)->jwt ? rs_request(r)->jwt->expires : 0;
    return OK;
}

int rs_identity(request_rec *r, rs_identity_t *id)
{
    const char *user, *json;
    int status = rs_identity_publisher(r, id);

    if (status != OK) {
        return status;
    }
    user = user_of(r, &json);
    if (valid(user)) {
        id->user = user;
        id->user_json = json;
    }
    else if ((!user || *user) && rs_request_conf(r)->user_only) {
        /* Where no user is asked for, one that cannot be is none. */
        return refuse(r, "bad_user",
                      "the user must be an integer, or 1 to 64 of A-Z a-z 0-9 . _ @ -");
    }
    return OK;
}
