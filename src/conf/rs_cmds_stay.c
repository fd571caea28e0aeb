/* SPDX-License-Identifier: Apache-2.0
 *
 * The directives about how long a client may stay without being asked again who it is. Main thread
 * while httpd reads its files.
 */
#include "rs_httpd.h"

#include "rs_args.h"
#include "rs_cmds.h"
#include "rs_conf.h"

#define DAY apr_time_from_sec(24 * 3600)

static const char *set(cmd_parms *cmd, rs_dir_conf_t *conf, apr_interval_time_t *to,
                       const char *arg, apr_interval_time_t max)
{
    const char *problem = rs_cmd_enter(cmd, conf);

    return problem ? problem
                   : rs_cmd_problem(cmd, rs_args_duration_or_off(to, cmd->pool, arg,
                                                                 apr_time_from_sec(1), max));
}

const char *rs_cmd_challenge(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;

    return set(cmd, conf, &conf->challenge, arg, apr_time_from_sec(3600));
}

const char *rs_cmd_reauthorize(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;

    return set(cmd, conf, &conf->reauthorize, arg, 30 * DAY);
}
