/* SPDX-License-Identifier: Apache-2.0
 *
 * Which way.
 */
#include "rs_office.h"

#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "rs_letters.h"
#include "rs_relay.h"

#define PATIENCE apr_time_from_sec(1)

struct rs_office_t {
    rs_common_t *common;
    rs_office_conf_t conf;
    rs_relay_t *relay;     /* NULL: no other child reaches this one's connections */
    rs_letters_t *letters; /* NULL: no other node does */
};

apr_status_t rs_office_create(rs_office_t **out, apr_pool_t *p, rs_common_t *common,
                              const rs_office_conf_t *conf)
{
    rs_office_t *office = apr_pcalloc(p, sizeof(*office));
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
    return conf->url ? rs_letters_create(&office->letters, p, common, conf->url) : APR_SUCCESS;
}

apr_status_t rs_office_start(rs_office_t *office, apr_pool_t *p)
{
    apr_status_t rv = office->relay ? rs_relay_start(office->relay, p) : APR_SUCCESS;

    return rv == APR_SUCCESS && office->letters ? rs_letters_start(office->letters, p) : rv;
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

rs_sent_t rs_office_send(rs_office_t *office, const rs_gateway_order_t *order)
{
    rs_common_t *common = office->common;
    rs_gate_token_t where;

    switch (rs_gate_token_read(&where, order->token, common->registry)) {
    case RS_TOKEN_HERE:
        return rs_hand_over(common, order, rs_clock_now() + PATIENCE);
    case RS_TOKEN_CHILD:
        return rs_relay_send(common, &where, order, rs_clock_now() + PATIENCE);
    case RS_TOKEN_NODE:
        return office->conf.pool ? rs_letters_send(office->conf.pool, where.node, order)
                                 : RS_SENT_GONE;
    default:
        return RS_SENT_GONE;
    }
}
