/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the check_config hook share. Main thread.
 */
#ifndef RS_CONF_CHECK_H
#define RS_CONF_CHECK_H

#include "rs_conf.h"
#include "rs_conf_tree.h"

/* A section that is an endpoint, in one host. */
typedef struct {
    server_rec *server;
    const char *where;              /* for messages */
    const char *url;                /* NULL: a pattern, or an <If> of the host */
    const rs_dir_conf_t *conf;      /* what is certain of each of its URLs */
    const rs_dir_conf_t *maybe;     /* with what some of them may have; of one URL the same */
    const apr_array_header_t *keys; /* const char *: in Redis */
    rs_kind_t kind;
    rs_place_t place;
} rs_endpoint_t;

/* Counts a problem, and says it: httpd does not start. `at` may be NULL. */
void rs_check_complain(server_rec *s, const ap_directive_t *at, const char *sentence);

/* Says it, once for each start, and in configtest. */
void rs_check_warn(server_rec *s, const ap_directive_t *at, const char *sentence);

/* How many were counted since the last rs_check_begin(). */
void rs_check_begin(void);
int rs_check_problems(void);

/* A start reads the configuration twice, and only the second time warns. */
int rs_check_quiet(void);

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

/* Collects the names that tokens have in queries, and warns of what would log them
 * (rs_conf_logs.c). */
void rs_check_logs(apr_pool_t *pconf, server_rec *main_server);

/* Whether an endpoint with one tenant has streams of others only. */
void rs_check_tenant(apr_pool_t *p, server_rec *s, const char *where, const rs_dir_conf_t *conf);

/* Every location that is an endpoint, or that has AuthType RaglineJWT (rs_conf_endpoints.c). */
void rs_check_endpoints(apr_pool_t *p, server_rec *main_server);

/* Endpoints with a URL (rs_endpoint_t) against each other (rs_conf_pairs.c). */
void rs_check_pairs(apr_pool_t *p, const apr_array_header_t *endpoints);

/* Who may come to an endpoint, and as whom (rs_conf_access.c). */
void rs_check_access(apr_pool_t *p, server_rec *main_server, const rs_endpoint_t *e, int inherited);

/* The tenant, if it is the same for every request, or NULL. */
const char *rs_check_fixed_tenant(apr_pool_t *p, const rs_dir_conf_t *conf);

/* Handlers that are misspelt, or stand where no URL can be an endpoint (rs_conf_places.c). And by
 * which URL an endpoint is reached, and by which not. */
void rs_check_handlers(apr_pool_t *p, server_rec *main_server);
void rs_check_place(apr_pool_t *p, const rs_endpoint_t *e);

/* Sections that have streams, and belong to none of all endpoints (rs_endpoint_t). */
void rs_check_unused(apr_pool_t *p, server_rec *main_server, const apr_array_header_t *endpoints);

/* Endpoints (rs_endpoint_t) of a host that the same host over TLS does not have. */
void rs_check_tls_hosts(apr_pool_t *p, server_rec *main_server,
                        const apr_array_header_t *endpoints);

/* RaglinePresence of a section (rs_conf_presence.c). */
void rs_check_presence(apr_pool_t *p, const rs_section_t *section);

/* RaglineMaxPumps (rs_conf_pumps.c). */
void rs_check_pumps(apr_pool_t *p, server_rec *main_server);

#endif
