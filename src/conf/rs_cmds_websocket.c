/* SPDX-License-Identifier: Apache-2.0
 *
 * The directives about WebSockets. Main thread while httpd reads its files.
 */
#include "rs_httpd.h"

#include "../proto/rs_deflate.h"
#include "rs_args.h"
#include "rs_cmds.h"
#include "rs_conf.h"

#define KB 1024

const char *rs_cmd_ws_max_message(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);

    return problem ? problem
                   : rs_cmd_problem(cmd, rs_args_size(&conf->ws_max_message, cmd->pool, arg, KB,
                                                      (apr_off_t)16 * KB * KB));
}

const char *rs_cmd_ws_ping(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);

    return problem ? problem
                   : rs_cmd_problem(cmd, rs_args_duration_or_off(&conf->ws_ping, cmd->pool, arg,
                                                                 apr_time_from_sec(1),
                                                                 apr_time_from_sec(3600)));
}

const char *rs_cmd_ws_deflate(cmd_parms *cmd, void *dconf, const char *arg, const char *min)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);

    if (problem) {
        return problem;
    }
    if (!ap_cstr_casecmp(arg, "off") && !min) {
        conf->ws_deflate = 0;
        return NULL;
    }
    if (ap_cstr_casecmp(arg, "on")) {
        return rs_cmd_problem(cmd, "write on, on and a size, or off");
    }
    if (!rs_deflate_is_there()) {
        return rs_cmd_problem(cmd, "this module was built without zlib");
    }
    conf->ws_deflate = RS_DEFLATE_MIN;
    return min ? rs_cmd_problem(
               cmd, rs_args_size(&conf->ws_deflate, cmd->pool, min, 1, (apr_off_t)64 * KB * KB))
               : NULL;
}

const char *rs_cmd_ws_dialect(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);

    if (problem) {
        return problem;
    }
    if (ap_cstr_casecmp(arg, "standard") && ap_cstr_casecmp(arg, "ragline")) {
        return rs_cmd_problem(cmd, "write standard or ragline");
    }
    conf->ws_ragline = !ap_cstr_casecmp(arg, "ragline");
    return NULL;
}
