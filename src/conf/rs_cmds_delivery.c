/* SPDX-License-Identifier: Apache-2.0
 *
 * The directives about where a client starts, who gets an event, and who is too slow for them. Main
 * thread while httpd reads its files.
 */
#include "rs_httpd.h"

#include "../base/rs_name.h"
#include "rs_args.h"
#include "rs_cmds.h"
#include "rs_conf.h"

#define GROUP_MAX 160
#define WINDOW 16
#define WINDOW_MAX 1024

const char *rs_cmd_start(cmd_parms *cmd, void *dconf, const char *arg, const char *more)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);

    if (problem) {
        return problem;
    }
    if (more) {
        return rs_cmd_problem(
            cmd,
            apr_psprintf(cmd->pool, "%s and %s are two places to begin at: write one", arg, more));
    }
    conf->start_group = !ap_cstr_casecmp(arg, "group");
    conf->start_last = 0;
    conf->start_since = 0;
    if (conf->start_group || !ap_cstr_casecmp(arg, "new")) {
        return NULL;
    }
    if (!ap_cstr_casecmp(arg, "all")) {
        conf->start_last = RS_START_ALL;
        return NULL;
    }
    if (!ap_cstr_casecmpn(arg, "since=", 6)) {
        return rs_cmd_problem(cmd, rs_args_duration(&conf->start_since, cmd->pool, arg + 6,
                                                    apr_time_from_sec(1), RS_LONGEST));
    }
    if (ap_cstr_casecmpn(arg, "last=", 5)) {
        return rs_cmd_problem(cmd, "write new, group, all, last=N or since=T");
    }
    return rs_cmd_problem(cmd, rs_args_number(&conf->start_last, cmd->pool, arg + 5, 1, 1000000));
}

const char *rs_cmd_wires(cmd_parms *cmd, void *dconf, int argc, char *const argv[])
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);
    int i, wire;

    if (problem) {
        return problem;
    }
    conf->wires = 0;
    for (i = 0; i < argc; i++) {
        wire = rs_wires_find(argv[i]);
        if (wire < 0) {
            return rs_cmd_problem(cmd, apr_psprintf(cmd->pool, "\"%s\" is no wire: write %s",
                                                    argv[i], rs_wires_names(cmd->pool)));
        }
        conf->wires |= 1 << wire;
    }
    return conf->wires ? NULL
                       : rs_cmd_problem(cmd, apr_pstrcat(cmd->pool, "write one or more of ",
                                                         rs_wires_names(cmd->pool), NULL));
}

const char *rs_cmd_replay_limit(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);

    return problem ? problem
                   : rs_cmd_problem(
                       cmd, rs_args_number(&conf->replay_limit, cmd->pool, arg, 1, 10000000));
}

const char *rs_cmd_slow_consumer(cmd_parms *cmd, void *dconf, const char *what, const char *option)
{
    rs_dir_conf_t *conf = dconf;
    const char *name, *value, *problem = rs_cmd_enter(cmd, conf);

    if (problem) {
        return problem;
    }
    if (ap_cstr_casecmp(what, "resume") && ap_cstr_casecmp(what, "disconnect")) {
        return rs_cmd_problem(cmd, "write resume or disconnect, and stall=T if you like");
    }
    conf->slow_disconnect = !ap_cstr_casecmp(what, "disconnect");
    if (!option) {
        return NULL;
    }
    value = rs_args_pair(&name, cmd->pool, option);
    if (!value || strcmp(name, "stall")) {
        return rs_cmd_problem(cmd, "the second argument is stall=T");
    }
    return rs_cmd_problem(cmd, rs_args_duration(&conf->stall, cmd->pool, value,
                                                apr_time_from_sec(1), apr_time_from_sec(3600)));
}

const char *rs_cmd_delivery(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);

    if (problem) {
        return problem;
    }
    conf->shared = !ap_cstr_casecmp(arg, "shared");
    return conf->shared || !ap_cstr_casecmp(arg, "broadcast")
               ? NULL
               : rs_cmd_problem(cmd, "write broadcast or shared");
}

const char *rs_cmd_ack(cmd_parms *cmd, void *dconf, const char *what, const char *option)
{
    rs_dir_conf_t *conf = dconf;
    const char *name, *value, *problem = rs_cmd_enter(cmd, conf);
    int client = !ap_cstr_casecmp(what, "client");

    if (problem) {
        return problem;
    }
    if (!client && ap_cstr_casecmp(what, "socket")) {
        return rs_cmd_problem(cmd, "write socket, or client and window=N if you like");
    }
    conf->ack = client ? WINDOW : 0;
    if (!option) {
        return NULL;
    }
    value = rs_args_pair(&name, cmd->pool, option);
    if (!client || !value || strcmp(name, "window")) {
        return rs_cmd_problem(cmd, "the second argument is window=N, behind client");
    }
    return rs_cmd_problem(cmd, rs_args_number(&conf->ack, cmd->pool, value, 1, WINDOW_MAX));
}

/* Characters of names, colons and the two marks; nothing that needs quoting anywhere. */
static int good_group(const char *group)
{
    for (; *group; group++) {
        char c = *group == ':' || *group == '{' || *group == '}' ? 'x' : *group;

        if (!rs_name_valid(&c, 1)) {
            return 0;
        }
    }
    return 1;
}

const char *rs_cmd_group(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);

    conf->group = arg;
    return problem ? problem
           : *arg && strlen(arg) < GROUP_MAX && good_group(arg)
               ? NULL
               : rs_cmd_problem(cmd, "a group has 1 to 159 of A-Z a-z 0-9 . _ @ - : and {profile}, "
                                     "{tenant}");
}

const char *rs_cmd_claim_after(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);

    return problem ? problem
                   : rs_cmd_problem(cmd, rs_args_duration(&conf->claim_after, cmd->pool, arg,
                                                          apr_time_from_sec(1),
                                                          apr_time_from_sec(24 * 3600)));
}

const char *rs_cmd_max_deliveries(cmd_parms *cmd, void *dconf, const char *arg)
{
    rs_dir_conf_t *conf = dconf;
    const char *problem = rs_cmd_enter(cmd, conf);

    return problem ? problem
                   : rs_cmd_problem(cmd,
                                    rs_args_number(&conf->max_deliveries, cmd->pool, arg, 1, 1000));
}
