/* SPDX-License-Identifier: Apache-2.0
 *
 * The first parameter of the name counts. What cannot be decoded is nothing.
 */
#include "rs_query.h"

static const char *query_function(ap_expr_eval_ctx_t *ctx, const void *data, const char *name)
{
    char *args = ctx->r && ctx->r->args ? apr_pstrdup(ctx->p, ctx->r->args) : NULL, *arg, *rest;
    apr_size_t len = strlen(name);

    for (arg = args ? apr_strtok(args, "&", &rest) : NULL; arg;
         arg = apr_strtok(NULL, "&", &rest)) {
        if (!strncmp(arg, name, len) && arg[len] == '=') {
            return ap_unescape_urlencoded(arg + len + 1) == OK ? arg + len + 1 : "";
        }
    }
    return "";
}

static int expr_lookup(ap_expr_lookup_parms *parms)
{
    if (parms->type != AP_EXPR_FUNC_STRING || ap_cstr_casecmp(parms->name, "ragline_query")) {
        return DECLINED;
    }
    *parms->func = query_function;
    *parms->data = NULL;
    return OK;
}

void rs_query_hooks(apr_pool_t *p)
{
    ap_hook_expr_lookup(expr_lookup, NULL, NULL, APR_HOOK_MIDDLE);
}
