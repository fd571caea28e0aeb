/* SPDX-License-Identifier: Apache-2.0
 *
 * Setters that stand in another file than the table (rs_cmds.c).
 */
#ifndef RS_CMDS_H
#define RS_CMDS_H

#include "rs_httpd.h"

#include "rs_conf.h"

/* First in every directive of a section: notes the section, and refuses what is misplaced. */
const char *rs_cmd_enter(cmd_parms *cmd, rs_dir_conf_t *conf);

/* "RaglineX: problem", or NULL when there is none. */
const char *rs_cmd_problem(cmd_parms *cmd, const char *problem);

/* What mod_info and -D DUMP_CONFIG show as the directive's arguments from now on. */
void rs_conf_show(cmd_parms *cmd, const char *args);

/* The URL without its password. */
const char *rs_conf_masked_url(apr_pool_t *p, const char *url);

const char *rs_cmd_redis(cmd_parms *cmd, void *dconf, int argc, char *const argv[]);
const char *rs_cmd_redis_auth(cmd_parms *cmd, void *dconf, const char *one, const char *two);
const char *rs_cmd_redis_pool(cmd_parms *cmd, void *dconf, const char *arg);
const char *rs_cmd_read(cmd_parms *cmd, void *dconf, const char *arg);
const char *rs_cmd_stream(cmd_parms *cmd, void *dconf, int argc, char *const argv[]);

const char *rs_cmd_start(cmd_parms *cmd, void *dconf, const char *arg, const char *more);
const char *rs_cmd_wires(cmd_parms *cmd, void *dconf, int argc, char *const argv[]);
const char *rs_cmd_replay_limit(cmd_parms *cmd, void *dconf, const char *arg);
const char *rs_cmd_slow_consumer(cmd_parms *cmd, void *dconf, const char *what, const char *option);
const char *rs_cmd_delivery(cmd_parms *cmd, void *dconf, const char *arg);
const char *rs_cmd_ack(cmd_parms *cmd, void *dconf, const char *what, const char *option);
const char *rs_cmd_group(cmd_parms *cmd, void *dconf, const char *arg);
const char *rs_cmd_claim_after(cmd_parms *cmd, void *dconf, const char *arg);
const char *rs_cmd_max_deliveries(cmd_parms *cmd, void *dconf, const char *arg);

const char *rs_cmd_challenge(cmd_parms *cmd, void *dconf, const char *arg);
const char *rs_cmd_reauthorize(cmd_parms *cmd, void *dconf, const char *arg);

const char *rs_cmd_admin(cmd_parms *cmd, void *dconf, const char *arg);
const char *rs_cmd_control(cmd_parms *cmd, void *dconf, const char *arg);
const char *rs_cmd_revocation(cmd_parms *cmd, void *dconf, const char *arg);
const char *rs_cmd_presence(cmd_parms *cmd, void *dconf, const char *arg);
const char *rs_cmd_limit(cmd_parms *cmd, void *dconf, const char *one, const char *two);

const char *rs_cmd_ws_max_message(cmd_parms *cmd, void *dconf, const char *arg);
const char *rs_cmd_ws_ping(cmd_parms *cmd, void *dconf, const char *arg);
const char *rs_cmd_ws_deflate(cmd_parms *cmd, void *dconf, const char *arg, const char *min);
const char *rs_cmd_ws_dialect(cmd_parms *cmd, void *dconf, const char *arg);

const char *rs_cmd_gateway_callback(cmd_parms *cmd, void *dconf, const char *arg);
const char *rs_cmd_gateway_timeout(cmd_parms *cmd, void *dconf, const char *arg);
const char *rs_cmd_gateway_secret(cmd_parms *cmd, void *dconf, const char *arg);
const char *rs_cmd_gateway_ca(cmd_parms *cmd, void *dconf, const char *arg);
const char *rs_cmd_gateway_forward(cmd_parms *cmd, void *dconf, int on);
const char *rs_cmd_gateway_dialect(cmd_parms *cmd, void *dconf, const char *arg);
const char *rs_cmd_gateway_identity(cmd_parms *cmd, void *dconf, const char *arg);
const char *rs_cmd_gateway_duplicate(cmd_parms *cmd, void *dconf, const char *arg);
const char *rs_cmd_gateway_keep(cmd_parms *cmd, void *dconf, const char *arg);
const char *rs_cmd_gateway_remember(cmd_parms *cmd, void *dconf, const char *arg);
const char *rs_cmd_gateway_limit(cmd_parms *cmd, void *dconf, const char *arg);

#endif
