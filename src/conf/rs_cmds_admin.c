/* SPDX-License-Identifier: Apache-2.0
 *
 * The directives about who is connected: how many there may be, and who may see them. Main thread
 * while httpd reads its files.
 */
#include "rs_httpd.h"

#include "../base/rs_name.h"
#include "rs_args.h"
#include "rs_cmds.h"
#include "rs_conf.h"

#define LIMIT_MAX 10000000

/* "tenant=N" or "user=N"; none for N: no limit. */
static const char *set_limit(cmd_parms *cmd, rs_dir_conf_t *conf, const char *arg)
{
    const char *name, *value = rs_args_pair(&name, cmd->pool, arg);
    int *limit = !value                    ? NULL
                 : !strcmp(name, "tenant") ? &conf->limit_tenant
                 : !strcmp(name, "user")   ? &conf->limit_user
                                           : NULL;

    if (!limit) {
        return "write tenant=N, user=N, or both";
    }
    if (*limit != RS_UNSET) {
        return apr_psprintf(cmd->pool, "%s= is there twice in this section", name);
    }
    if (!strcmp(value, "none")) {
        *limit = 0;
        return NULL;
    }
    return rs_args_number(limit, cmd->pool, value, 1, LIMIT_MAX);
}

const char *rs_cmd_limit(cmd_parms *cmd, void *dconf, const char *one, const char *two)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);

    if (problem) {
        return problem;
    }
    problem = set_limit(cmd, conf, one);
    return rs_cmd_problem(cmd, problem || !two ? problem : set_limit(cmd, conf, two));
}

const char *rs_cmd_admin(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);

    if (problem) {
        return problem;
    }
    if (ap_cstr_casecmp(arg, "own") && ap_cstr_casecmp(arg, "all")) {
        return rs_cmd_problem(cmd, "write own or all");
    }
    conf->admin_all = !ap_cstr_casecmp(arg, "all");
    return NULL;
}

/* Whether there is such a stream is known later. */
const char *rs_cmd_presence(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);

    if (problem) {
        return problem;
    }
    conf->presence = !ap_cstr_casecmp(arg, RS_PRESENCE_OFF)  ? RS_PRESENCE_OFF
                     : !ap_cstr_casecmp(arg, RS_PRESENCE_ON) ? RS_PRESENCE_ON
                                                             : arg;
    return rs_name_valid(arg, strlen(arg))
               ? NULL
               : rs_cmd_problem(cmd, "write off, on, or the name of a stream");
}

const char *rs_cmd_control(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_server_conf_t *conf = rs_conf_server(cmd->server);
    const char *problem = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    if (problem) {
        return problem;
    }
    conf->control = !ap_cstr_casecmp(arg, "auto")  ? RS_CONTROL_AUTO
                    : !ap_cstr_casecmp(arg, "on")  ? RS_CONTROL_ON
                    : !ap_cstr_casecmp(arg, "off") ? RS_CONTROL_OFF
                                                   : RS_UNSET;
    return conf->control == RS_UNSET ? rs_cmd_problem(cmd, "write auto, on or off") : NULL;
}

const char *rs_cmd_revocation(cmd_parms *cmd, void *dconf, const char *arg)
{
    const char *problem = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    if (problem) {
        return problem;
    }
    if (ap_cstr_casecmp(arg, "closed") && ap_cstr_casecmp(arg, "open")) {
        return rs_cmd_problem(cmd, "write closed or open");
    }
    rs_conf_server(cmd->server)->revocation_open = !ap_cstr_casecmp(arg, "open");
    return NULL;
}
