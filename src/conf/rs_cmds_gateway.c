/* SPDX-License-Identifier: Apache-2.0
 *
 * The directives about the gateway. Main thread while httpd reads its files.
 */
#include "rs_httpd.h"

#include "../base/rs_secret.h"
#include "../gateway/rs_callbacks.h"
#include "rs_args.h"
#include "rs_cmds.h"
#include "rs_conf.h"

/* What may be shown of it: its query is where secrets stand. */
static const char *masked(apr_pool_t *p, const char *url)
{
    const char *shown = rs_conf_masked_url(p, url), *query = ap_strchr_c(shown, '?');

    return query ? apr_pstrcat(p, apr_pstrmemdup(p, shown, (apr_size_t)(query - shown)), "?****",
                               NULL)
                 : shown;
}

const char *rs_cmd_gateway_callback(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);
    apr_uri_t uri;

    rs_conf_show(cmd, masked(cmd->pool, arg));
    if (problem) {
        return problem;
    }
    if (strpbrk(arg, " \t\"<>") || apr_uri_parse(cmd->pool, arg, &uri) != APR_SUCCESS
        || !uri.scheme || (strcmp(uri.scheme, "http") && strcmp(uri.scheme, "https"))
        || !uri.hostname || !*uri.hostname || uri.fragment
        || (uri.port_str && *uri.port_str && !atoi(uri.port_str)) || !rs_callbacks_take(arg)) {
        return rs_cmd_problem(cmd, "write a URL such as http://127.0.0.1:8000/sse/callback: http "
                                   "or https, a host, a port up to 65535 if one is needed, no "
                                   "spaces, and nothing behind a #");
    }
    conf->gateway_callback = arg;
    return NULL;
}

const char *rs_cmd_gateway_timeout(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);

    return problem ? problem
                   : rs_cmd_problem(cmd, rs_args_duration(&conf->gateway_timeout, cmd->pool, arg,
                                                          apr_time_from_msec(100),
                                                          apr_time_from_sec(60)));
}

const char *rs_cmd_gateway_secret(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);
    rs_secret_conf_t *secret = apr_pcalloc(cmd->pool, sizeof(*secret));

    secret->spec = arg;
    secret->directive = cmd->directive;
    conf->gateway_secret = secret;
    rs_conf_show(cmd, rs_conf_masked(cmd->pool, arg));
    return problem ? problem : rs_cmd_problem(cmd, rs_secret_check(cmd->pool, arg, 0));
}

const char *rs_cmd_gateway_ca(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);
    apr_finfo_t info;

    if (problem) {
        return problem;
    }
    conf->gateway_ca = ap_server_root_relative(cmd->pool, arg);
    if (!conf->gateway_ca
        || apr_stat(&info, conf->gateway_ca, APR_FINFO_TYPE, cmd->pool) != APR_SUCCESS
        || info.filetype != APR_REG) {
        return rs_cmd_problem(cmd, apr_psprintf(cmd->pool, "%s is no file that can be read", arg));
    }
    return NULL;
}

const char *rs_cmd_gateway_forward(cmd_parms *cmd, void *dconf, int on)
{
    rs_dir_conf_t *conf = dconf;

    conf->gateway_forward = on;
    return rs_cmd_enter(cmd, conf);
}

const char *rs_cmd_gateway_dialect(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);

    if (problem) {
        return problem;
    }
    conf->gateway_dialect = !ap_cstr_casecmp(arg, "current") ? RS_DIALECT_CURRENT
                            : !strcmp(arg, "2026-01")        ? RS_DIALECT_2026_01
                            : !strcmp(arg, "2025-11")        ? RS_DIALECT_2025_11
                                                             : RS_UNSET;
    return conf->gateway_dialect == RS_UNSET
               ? rs_cmd_problem(cmd, "write current, 2026-01 or 2025-11")
               : NULL;
}

const char *rs_cmd_gateway_identity(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf), *wrong = NULL;

    if (problem) {
        return problem;
    }
    if (!strpbrk(arg, "%$")) {
        return rs_cmd_problem(cmd, "that is one identity for everybody: write an expression such "
                                   "as %{ragline_query:id}");
    }
    conf->gateway_identity =
        ap_expr_parse_cmd(cmd, arg, AP_EXPR_FLAG_STRING_RESULT, &wrong, NULL);
    return rs_cmd_problem(cmd, wrong);
}

const char *rs_cmd_gateway_duplicate(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);

    if (problem) {
        return problem;
    }
    conf->gateway_duplicate = !ap_cstr_casecmp(arg, "replace")  ? RS_DUPLICATE_REPLACE
                              : !ap_cstr_casecmp(arg, "allow")  ? RS_DUPLICATE_ALLOW
                              : !ap_cstr_casecmp(arg, "reject") ? RS_DUPLICATE_REJECT
                                                                : RS_UNSET;
    return conf->gateway_duplicate == RS_UNSET
               ? rs_cmd_problem(cmd, "write replace, allow or reject")
               : NULL;
}

const char *rs_cmd_gateway_keep(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);

    return problem ? problem
                   : rs_cmd_problem(cmd, rs_args_duration_or_off(
                                             &conf->gateway_keep, cmd->pool, arg,
                                             apr_time_from_sec(1),
                                             apr_time_from_sec(30 * 24 * 3600)));
}

const char *rs_cmd_gateway_remember(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_server_conf_t *conf = rs_conf_server(cmd->server);
    const char *problem = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    return problem ? problem
                   : rs_cmd_problem(cmd, rs_args_duration_or_off(
                                             &conf->gateway_remember, cmd->pool, arg,
                                             apr_time_from_sec(1),
                                             apr_time_from_sec(7 * 24 * 3600)));
}

const char *rs_cmd_gateway_limit(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_server_conf_t *conf = rs_conf_server(cmd->server);
    const char *name, *value = rs_args_pair(&name, cmd->pool, arg);
    const char *problem = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    if (problem) {
        return problem;
    }
    if (value && !strcmp(name, "concurrent")) {
        return rs_cmd_problem(
            cmd, rs_args_number(&conf->gateway_concurrent, cmd->pool, value, 1, 10000));
    }
    if (value && !strcmp(name, "waiting")) {
        return rs_cmd_problem(
            cmd, rs_args_number(&conf->gateway_waiting, cmd->pool, value, 1, 1000000));
    }
    return rs_cmd_problem(
        cmd, apr_psprintf(cmd->pool, "\"%s\" is not known: write concurrent=N or waiting=N", arg));
}
