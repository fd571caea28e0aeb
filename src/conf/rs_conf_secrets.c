/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets within the configuration: reading them while httpd is still root, in check_config, so
 * that a restart with a wrong one is refused by `httpd -k graceful` before the running server hears
 * of it; and hiding them from who may see the configuration but not them (mod_info, -D
 * DUMP_CONFIG). Main thread.
 */
#include "rs_httpd.h"
#include <unistd.h>

#include "../base/rs_secret.h"
#include "rs_cmds.h"
#include "rs_conf_check.h"

const char *rs_conf_masked(apr_pool_t *p, const char *spec)
{
    const char *rest;
    apr_size_t len;

    if (!strncmp(spec, "file:", 5) || !strncmp(spec, "env:", 4)) {
        return spec;
    }
    if (!strncmp(spec, "secret:", 7)) {
        return "secret:****";
    }
    if (strncmp(spec, "exec:", 5)) {
        return "****"; /* the prefix may have been forgotten, or written wrong */
    }
    rest = spec + 5 + strspn(spec + 5, " \t");
    len = strcspn(rest, " \t");
    return rest[len + strspn(rest + len, " \t")]
               ? apr_pstrcat(p, "\"exec:", apr_pstrmemdup(p, rest, len), " ****\"", NULL)
               : spec;
}

const char *rs_conf_masked_url(apr_pool_t *p, const char *url)
{
    const char *login = strstr(url, "://"), *at = strrchr(url, '@');
    const char *colon;

    if (!at) {
        return url;
    }
    colon = login ? strchr(login + 3, ':') : NULL;
    return colon && colon < at ? apr_pstrcat(p, apr_pstrmemdup(p, url, (apr_size_t)(colon - url)),
                                             ":****", at, NULL)
                               : "****";
}

void rs_conf_show(cmd_parms *cmd, const char *args)
{
    /* The tree is httpd's, and const for its callers; but what it prints of it is our secret. */
    ap_directive_t *directive = (ap_directive_t *)cmd->directive;

    directive->args = args;
}

/* A configtest by somebody who may not read a secret must not fail for that, nor run a command that
 * only root should. */
static int unreadable_here(const char *spec)
{
    if (geteuid() == 0) {
        return 0;
    }
    if (!strncmp(spec, "file:", 5)) {
        return access(spec + 5, F_OK) == 0 && access(spec + 5, R_OK) != 0;
    }
    return !strncmp(spec, "exec:", 5) && ap_state_query(AP_SQ_RUN_MODE) != AP_SQ_RM_NORMAL;
}

static void warn_unread(apr_pool_t *p, server_rec *s, const ap_directive_t *at,
                        const char *directive, const char *spec)
{
    rs_check_warn(s, at,
                  apr_psprintf(p, "%s: %s cannot be read by this user; its content is not checked",
                               directive, rs_conf_masked(p, spec)));
}

static void load_key(apr_pool_t *p, const rs_section_t *section, rs_key_conf_t *key,
                     const char *default_alg)
{
    apr_array_header_t *keys = apr_array_make(p, 1, sizeof(rs_jwt_key_t *));
    const char *material, *problem;
    apr_size_t len;

    if (unreadable_here(key->spec)) {
        warn_unread(p, section->server, key->directive, "RaglineJWTKey", key->spec);
        return;
    }
    problem = rs_secret_read(&material, &len, p, key->spec, 1);
    if (!problem) {
        problem = rs_jwt_keys_add(keys, p, key->alg, default_alg, key->kid, material, len);
    }
    if (problem) {
        rs_check_complain(section->server, key->directive,
                          apr_pstrcat(p, "RaglineJWTKey: ", problem, NULL));
        return;
    }
    if (!rs_jwt_is_public(material, len)) {
        rs_secret_warn(key->spec);
    }
    key->keys = keys;
}

static void load_keys(apr_pool_t *p, const rs_section_t *section)
{
    const rs_dir_conf_t *host =
        ap_get_module_config(section->server->lookup_defaults, &ragline_stream_module);
    const char *alg = section->conf->jwt_alg  ? section->conf->jwt_alg
                      : host && host->jwt_alg ? host->jwt_alg
                                              : "HS256";
    int i;

    for (i = 0; section->conf->jwt_keys && i < section->conf->jwt_keys->nelts; i++) {
        load_key(p, section, APR_ARRAY_IDX(section->conf->jwt_keys, i, rs_key_conf_t *), alg);
    }
}

/* It goes into a header. */
static int is_header_text(const char *text)
{
    for (; *text >= ' ' && *text < 127; text++) {
    }
    return !*text;
}

static void load_gateway_secret(apr_pool_t *p, const rs_section_t *section)
{
    rs_secret_conf_t *secret = section->conf->gateway_secret;
    const char *value, *problem;
    apr_size_t len;

    if (!secret) {
        return;
    }
    if (unreadable_here(secret->spec)) {
        warn_unread(p, section->server, secret->directive, "RaglineGatewaySecret", secret->spec);
        return;
    }
    problem = rs_secret_read(&value, &len, p, secret->spec, 0);
    if (!problem && (strlen(value) != len || !is_header_text(value))) {
        problem = "the secret has to be printable ASCII: it stands in a header";
    }
    if (problem) {
        rs_check_complain(section->server, secret->directive,
                          apr_pstrcat(p, "RaglineGatewaySecret: ", problem, NULL));
        return;
    }
    rs_secret_warn(secret->spec);
    secret->value = value;
}

/* An earlier host that inherited the same RaglineRedisAuth, or gave it. */
static const rs_server_conf_t *same_secret(server_rec *first, const rs_server_conf_t *conf)
{
    server_rec *s;

    for (s = first; s && rs_conf_server(s) != conf; s = s->next) {
        const rs_server_conf_t *other = rs_conf_server(s);

        if (other->redis_secret == conf->redis_secret && other->url && other->url->password) {
            return other;
        }
    }
    return NULL;
}

static void load_password(apr_pool_t *p, server_rec *first, server_rec *s)
{
    rs_server_conf_t *conf = rs_conf_server(s);
    const rs_server_conf_t *other;
    const char *password, *problem;
    apr_size_t len;

    if (!conf->redis_secret || !conf->url) {
        return;
    }
    if (conf->url->password) {
        rs_check_complain(s, NULL,
                          "RaglineRedisAuth: the URL of RaglineRedis has a password, too: leave "
                          "it out there");
        return;
    }
    conf->url->user = conf->redis_user;
    other = same_secret(first, conf);
    if (other) {
        conf->url->password = other->url->password;
        return;
    }
    if (unreadable_here(conf->redis_secret)) {
        warn_unread(p, s, NULL, "RaglineRedisAuth", conf->redis_secret);
        return;
    }
    problem = rs_secret_read(&password, &len, p, conf->redis_secret, 0);
    if (problem) {
        rs_check_complain(s, NULL, apr_pstrcat(p, "RaglineRedisAuth: ", problem, NULL));
        return;
    }
    rs_secret_warn(conf->redis_secret);
    conf->url->password = password;
}

void rs_check_secrets(apr_pool_t *pconf, server_rec *main_server)
{
    const apr_array_header_t *all = rs_conf_sections();
    server_rec *s;
    int i;

    for (i = 0; i < all->nelts; i++) {
        load_keys(pconf, &APR_ARRAY_IDX(all, i, rs_section_t));
        load_gateway_secret(pconf, &APR_ARRAY_IDX(all, i, rs_section_t));
    }
    for (s = main_server; s; s = s->next) {
        load_password(pconf, main_server, s);
    }
}
