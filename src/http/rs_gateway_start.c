/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway before anybody comes: what must be there, what is said, and what the engine is told.
 * Main thread of the parent, or of the child.
 */
#include "../conf/rs_httpd.h"

#include "../gateway/rs_relay.h"
#include "rs_gateway_start.h"

int rs_gateway_secrets_are_there(apr_pool_t *p, server_rec *s)
{
    const apr_array_header_t *all = rs_conf_sections();
    int i;

    for (i = 0; i < all->nelts; i++) {
        const rs_secret_conf_t *secret = APR_ARRAY_IDX(all, i, rs_section_t).conf->gateway_secret;

        if (secret && !secret->value) {
            ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s,
                         "RS0811: RaglineGatewaySecret: %s cannot be read by this user",
                         rs_conf_masked(p, secret->spec));
            return 0;
        }
    }
    return 1;
}

/* A request to send goes to any of them. */
void rs_gateway_warn(server_rec *s)
{
    const rs_server_conf_t *conf = rs_conf_server(s);
    int children = 1;

    if (rs_conf_has_gateway() && conf->gateway_remember && !conf->redis_url) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "RS0816: there is no RaglineRedis in the main server (outside of virtual "
                     "hosts): back ends are told once of the end of a gateway connection, of those "
                     "of a killed child not at all, and other servers cannot send to any. If that "
                     "is as it should be: RaglineGatewayRemember off");
    }
    ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &children);
    if (rs_conf_has_gateway() && children > 1 && !rs_relay_is_there()) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "RS0812: on this system ragline-gateway-send reaches connections of the same "
                     "child only, and there may be %d: set MaxRequestWorkers and ThreadLimit so "
                     "that one child is enough (ServerLimit 1)",
                     children);
    }
}

rs_backend_t *rs_gateway_backend(rs_engine_t *engine, const rs_dir_conf_t *conf)
{
    rs_backend_t wanted = {.url = conf->gateway_callback,
                           .secret = conf->gateway_secret ? conf->gateway_secret->value : NULL,
                           .ca = conf->gateway_ca,
                           .timeout = conf->gateway_timeout};

    return rs_backends_intern(&engine->common.backends, &wanted);
}

/* Of connections of a child that died they may have to be told before there are any here. */
static int know_backends(rs_engine_t *engine, const rs_server_conf_t *conf)
{
    int i, good = 1;

    for (i = 0; i < conf->gateways->nelts; i++) {
        good &= rs_gateway_backend(engine, APR_ARRAY_IDX(conf->gateways, i, const rs_dir_conf_t *))
                != NULL;
    }
    return good;
}

apr_status_t rs_gateway_office(rs_engine_t *engine, apr_pool_t *p, server_rec *main_server)
{
    const rs_server_conf_t *conf = rs_conf_server(main_server);
    rs_office_conf_t office = {NULL, NULL, rs_conf_has_gateway(), conf->gateway_remember};

    if (!office.serves && !conf->gatewayed) {
        return APR_SUCCESS;
    }
    if (!know_backends(engine, conf)) {
        return APR_ENOMEM;
    }
    /* Where nobody has said which Redis there is no other node. */
    if (conf->redis_url) {
        office.url = conf->url;
        office.pool = conf->pool;
    }
    return rs_engine_add_office(engine, p, &office);
}

void rs_gateway_callbacks(rs_callbacks_conf_t *callbacks, const rs_server_conf_t *conf,
                          rs_stats_t *stats)
{
    if (rs_conf_has_gateway() && rs_callbacks_are_there()) {
        callbacks->concurrent = conf->gateway_concurrent;
        callbacks->waiting = conf->gateway_waiting;
        callbacks->stats = stats;
    }
}
