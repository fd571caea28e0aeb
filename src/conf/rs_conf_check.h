/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the check_config hook share. Main thread.
 */
#ifndef RS_CONF_CHECK_H
#define RS_CONF_CHECK_H

#include "rs_conf.h"

/* Counts a problem, and says it: httpd does not start. `at` may be NULL. */
void rs_check_complain(server_rec *s, const ap_directive_t *at, const char *sentence);

/* Says it, once for each start, and in configtest. */
void rs_check_warn(server_rec *s, const ap_directive_t *at, const char *sentence);

/* Reads all secrets: the keys of every RaglineJWTKey, and Redis's passwords into the URLs
 * (rs_conf_secrets.c). */
void rs_check_secrets(apr_pool_t *pconf, server_rec *main_server);

/* Whether two hosts read one Redis; the URLs have been parsed. */
int rs_check_same_redis(const rs_server_conf_t *a, const rs_server_conf_t *b);

/* Keys with {tenant} in them (rs_conf_keys.c). */
void rs_check_keys(apr_pool_t *p, server_rec *main_server);

/* The consumer groups of an endpoint: what is wrong is said; they are noted in the host. And of two
 * endpoints that read one key: what is wrong with those, or NULL. */
void rs_check_group(apr_pool_t *p, server_rec *s, const char *where, const rs_dir_conf_t *conf);
void rs_check_keep_group(server_rec *s, const rs_dir_conf_t *conf);
const char *rs_check_group_pair(apr_pool_t *p, const rs_dir_conf_t *a, const rs_dir_conf_t *b);

/* Every location that is an endpoint, or that has AuthType RaglineJWT (rs_conf_endpoints.c). */
void rs_check_endpoints(apr_pool_t *p, server_rec *main_server);

/* RaglineMaxPumps (rs_conf_pumps.c). */
void rs_check_pumps(apr_pool_t *p, server_rec *main_server);

#endif
