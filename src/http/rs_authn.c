/* SPDX-License-Identifier: Apache-2.0
 *
 * JWT authentication within httpd's. What a token must be is decided in src/auth; here it is
 * found, its refusal is told (RFC 6750), and its claims are made available. The worker.
 */
#include "../conf/rs_httpd.h"
#include <ap_provider.h>
#include <mod_auth.h>

#include "../auth/rs_claims.h"
#include "../proto/rs_ws.h"
#include "rs_authn.h"
#include "rs_child.h"
#include "rs_cors.h"
#include "rs_error.h"
#include "rs_request.h"
#include "rs_token.h"
#include "rs_websocket.h"

static int is_ours(request_rec *r)
{
    const char *type = ap_auth_type(r);

    return type && !ap_cstr_casecmp(type, "RaglineJWT");
}

/* All keys of the location: a RaglineJWTKey may have brought several (a JWK set). */
static apr_array_header_t *all_keys(request_rec *r, const apr_array_header_t *confs)
{
    apr_array_header_t *keys = apr_array_make(r->pool, 4, sizeof(rs_jwt_key_t *));
    int i;

    for (i = 0; confs && i < confs->nelts; i++) {
        const rs_key_conf_t *conf = APR_ARRAY_IDX(confs, i, rs_key_conf_t *);

        if (conf->keys) {
            apr_array_cat(keys, conf->keys);
        }
    }
    return keys;
}

static int refuse(request_rec *r, const char *code, const char *message)
{
    if (rs_websocket_is_asked(r)) {
        return rs_websocket_refuse(r, RS_WS_POLICY,
                                   !strcmp(code, "no_token")        ? "Authentication required"
                                   : !strcmp(code, "invalid_token") ? "Invalid token"
                                                                    : "Authentication failed");
    }
    ap_note_auth_failure(r);
    return rs_http_error(r, HTTP_UNAUTHORIZED, code, message);
}

/* httpd wants a name for the log and for `Require user`. The first of the claims that is there is
 * it, or nobody is: empty, as no user is called. */
static char *user_name(request_rec *r, const rs_jwt_t *jwt)
{
    static const char *const claims[] = {"user_id", "sub", "tenant_id"};
    const char *text = NULL, *json;
    apr_size_t i;

    for (i = 0; i < RS_ARRAY_LEN(claims); i++) {
        rs_json_t value = rs_claim_find(jwt->claims, claims[i]);

        if (value.s) {
            text = rs_claim_name(r->pool, value, &json);
            break;
        }
    }
    return apr_pstrdup(r->pool, text ? text : "");
}

rs_jwt_policy_t rs_authn_policy(request_rec *r)
{
    const rs_dir_conf_t *conf = rs_request_conf(r);
    rs_jwt_policy_t policy = {all_keys(r, conf->jwt_keys), conf->jwt_require, conf->jwt_leeway,
                              rs_child_jwt_cache()};

    return policy;
}

static int check_authn(request_rec *r)
{
    rs_request_t *req = rs_request(r);
    rs_jwt_policy_t policy;
    const char *reason = NULL;

    if (!is_ours(r)) {
        return DECLINED;
    }
    r->ap_auth_type = (char *)"RaglineJWT";
    rs_token_look(r);
    if (!req->token) {
        return refuse(r, "no_token", "this endpoint needs a token");
    }
    if (req->token_from_cookie && !rs_cors_cookie_allowed(r)) {
        rs_cors_note_foreign(r);
        return refuse(
            r, "cookie_origin",
            "a token in a cookie counts only for pages of this host or of RaglineOrigins");
    }
    policy = rs_authn_policy(r);
    if (!policy.keys->nelts) {
        /* configtest sees this, except for an AuthType in .htaccess or behind a condition. */
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "RS0702: AuthType RaglineJWT without a RaglineJWTKey for this URL");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (rs_jwt_verify(&req->jwt, r->pool, &policy, req->token, strlen(req->token), apr_time_now(),
                      &reason)
        != APR_SUCCESS) {
        req->jwt = NULL;
        ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "RS0701: token refused: %s", reason);
        return refuse(r, "invalid_token", reason);
    }
    r->user = user_name(r, req->jwt);
    return OK;
}

/* Also reached when `Require` refuses a token that is good. */
static int note_auth_failure(request_rec *r, const char *auth_type)
{
    rs_request_t *req = rs_request(r);
    const char *realm = ap_auth_name(r);
    const char *error = req->jwt     ? " error=\"insufficient_scope\""
                        : req->token ? " error=\"invalid_token\""
                                     : "";

    if (!is_ours(r)) {
        return DECLINED;
    }
    apr_table_setn(r->err_headers_out,
                   PROXYREQ_PROXY == r->proxyreq ? "Proxy-Authenticate" : "WWW-Authenticate",
                   apr_pstrcat(r->pool, "Bearer", error,
                               realm ? apr_pstrcat(r->pool, *error ? "," : "", " realm=\"",
                                                   ap_escape_quotes(r->pool, realm), "\"", NULL)
                                     : "",
                               NULL));
    return OK;
}

/* Require ragline-claim NAME VALUE…: the claim is, or holds, one of the values. */
static authz_status require_claim(request_rec *r, const char *line, const void *parsed)
{
    rs_request_t *req = rs_request(r);
    const char *name = ap_getword_conf(r->pool, &line), *value;
    rs_json_t claim = {NULL, NULL};

    if (!r->user) {
        return AUTHZ_DENIED_NO_USER;
    }
    if (req->jwt) {
        claim = rs_claim_find(req->jwt->claims, name);
    }
    while (claim.s && (value = ap_getword_conf(r->pool, &line)) && *value) {
        if (rs_claim_has(r->pool, claim, value)) {
            return AUTHZ_GRANTED;
        }
    }
    return AUTHZ_DENIED;
}

static const char *parse_require_claim(cmd_parms *cmd, const char *line, const void **parsed)
{
    const char *name = ap_getword_conf(cmd->temp_pool, &line);
    const char *value = ap_getword_conf(cmd->temp_pool, &line);

    return *name && *value ? NULL
                           : "Require ragline-claim: write a claim and the values it may have";
}

static const authz_provider claim_provider = {require_claim, parse_require_claim};

static const char *claim_function(ap_expr_eval_ctx_t *ctx, const void *data, const char *name)
{
    rs_request_t *req = ctx->r ? rs_request(ctx->r) : NULL;
    const char *text =
        req && req->jwt ? rs_claim_text(ctx->p, rs_claim_find(req->jwt->claims, name)) : NULL;

    return text ? text : "";
}

static int expr_lookup(ap_expr_lookup_parms *parms)
{
    if (parms->type != AP_EXPR_FUNC_STRING || ap_cstr_casecmp(parms->name, "ragline_claim")) {
        return DECLINED;
    }
    *parms->func = claim_function;
    *parms->data = NULL;
    return OK;
}

void rs_authn_hooks(apr_pool_t *p)
{
    ap_hook_check_authn(check_authn, NULL, NULL, APR_HOOK_MIDDLE, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_note_auth_failure(note_auth_failure, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_expr_lookup(expr_lookup, NULL, NULL, APR_HOOK_MIDDLE);
    ap_register_auth_provider(p, AUTHZ_PROVIDER_GROUP, "ragline-claim", AUTHZ_PROVIDER_VERSION,
                              &claim_provider, AP_AUTH_INTERNAL_PER_CONF);
}
