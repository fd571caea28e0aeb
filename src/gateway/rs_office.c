/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway's threads of a child, but for callbacks.
 */
#include "rs_office.h"

#include "../base/rs_log.h"
#include "rs_ledger.h"
#include "rs_letters.h"
#include "rs_names.h"
#include "rs_relay.h"
#include "rs_route.h"

struct rs_office_t {
    rs_common_t *common;
    rs_office_conf_t conf;
    rs_relay_t *relay;     /* NULL: no other child reaches this one's connections */
    rs_letters_t *letters; /* NULL: no other node does */
    rs_ledger_t *ledger;   /* NULL: nothing of this stands in Redis */
};

apr_status_t rs_office_create(rs_office_t **out, apr_pool_t *p, rs_common_t *common,
                              const rs_office_conf_t *conf)
{
    rs_office_t *office = apr_pcalloc(p, sizeof(*office));
    rs_ledger_conf_t ledger = {conf->url, conf->pool, conf->remember};
    apr_status_t rv;

    office->common = common;
    office->conf = *conf;
    *out = office;
    if (!conf->serves || !common->registry) {
        return APR_SUCCESS;
    }
    rv = rs_relay_create(&office->relay, p, common);
    if (rv != APR_SUCCESS) {
        if (!APR_STATUS_IS_ENOTIMPL(rv)) {
            rs_log(RS_LOG_ERR, rv,
                   RSLOGNO(1111) "other processes of this server cannot send to this one's "
                                 "gateway connections");
        }
        office->relay = NULL;
    }
    if (!conf->url) {
        return APR_SUCCESS;
    }
    rv = rs_letters_create(&office->letters, p, common, conf->url);
    return rv == APR_SUCCESS
               ? rs_ledger_create(&office->ledger, p, common, &ledger, &common->ledger)
               : rv;
}

apr_status_t rs_office_start(rs_office_t *office, apr_pool_t *p)
{
    apr_status_t rv = office->relay ? rs_relay_start(office->relay, p) : APR_SUCCESS;

    if (rv == APR_SUCCESS && office->letters) {
        rv = rs_letters_start(office->letters, p);
    }
    return rv == APR_SUCCESS && office->ledger ? rs_ledger_start(office->ledger, p) : rv;
}

void rs_office_stop(rs_office_t *office)
{
    if (office->letters) {
        rs_letters_stop(office->letters);
    }
    if (office->relay) {
        rs_relay_stop(office->relay);
    }
}

void rs_office_close_ledger(rs_office_t *office)
{
    if (office->ledger) {
        rs_ledger_stop(office->ledger);
    }
}

rs_sent_t rs_office_send(rs_office_t *office, const rs_gateway_order_t *order,
                         apr_interval_time_t keep)
{
    rs_redis_pool_t *pool = office->conf.pool;

    if (order->token) {
        return rs_route_send(office->common, pool, order);
    }
    return pool ? rs_names_send(office->common, pool, order, keep) : RS_SENT_GONE;
}
