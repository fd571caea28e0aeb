/* SPDX-License-Identifier: Apache-2.0
 *
 * The ledger's loop. What is told to it while Redis is away is in memory, and all of it is written
 * anew when Redis is back.
 */
#include <stddef.h>

#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "rs_ledger_int.h"

#define LIMIT apr_time_from_sec(2) /* of a command */
#define AGAIN apr_time_from_sec(1)
#define LOOK_EVERY apr_time_from_sec(1)

/* What Redis forgets after a day (rs_names.c) it is told again. */
#define WRITE_EVERY apr_time_from_sec(8 * 3600)

#define GATE_OF(m, member) ((rs_gate_t *)((char *)(m)-offsetof(rs_gate_t, member)))

static int open_conn(rs_ledger_t *l)
{
    rs_redis_conn_free(l->conn);
    l->conn = rs_redis_conn_create(l->conf.url, LIMIT);
    if (l->conn) {
        rs_redis_conn_call(l->conn, "ragline-ledger");
    }
    l->stale = 1;
    l->up_since = rs_clock_now();
    return l->conn && rs_redis_conn_open(l->conn) == APR_SUCCESS && rs_lease_renew(l)
           && rs_owed_write_all(l);
}

static int connected(rs_ledger_t *l)
{
    if (l->conn && !rs_redis_conn_current(l->conn)) {
        rs_redis_conn_spoil(l->conn, "it is a replica now");
    }
    if (rs_ledger_is_up(l)) {
        return 1;
    }
    if (rs_clock_now() < l->again_at) {
        return 0;
    }
    if (open_conn(l)) {
        l->stale = l->anew = 0;
        if (l->told_down) {
            l->told_down = 0;
            rs_log(RS_LOG_NOTICE, 0, RSLOGNO(1134) "%s: the gateway's records are kept again",
                   l->conf.url->label);
        }
        return 1;
    }
    if (!l->told_down) {
        l->told_down = 1;
        rs_log(RS_LOG_WARNING, 0,
               RSLOGNO(1133) "%s: the gateway's records cannot be kept: identities are refused, "
                             "and what back ends are told of ends would not survive this process",
               l->conf.url->label);
    }
    rs_redis_conn_free(l->conn);
    l->conn = NULL;
    l->again_at = rs_clock_now() + AGAIN;
    return 0;
}

static void on_message(rs_ledger_t *l, rs_msg_t *msg)
{
    rs_gate_t *gate;

    switch (msg->kind) {
    case RS_MSG_CLAIM:
        rs_claim(l, GATE_OF(msg, claim));
        break;
    case RS_MSG_ASKED:
        gate = GATE_OF(msg, asked);
        rs_owed_asked(l, gate);
        rs_gate_drop(gate);
        break;
    case RS_MSG_ARRIVED:
        gate = GATE_OF(msg, claim);
        rs_claim_arrived(l, gate);
        rs_gate_drop(gate);
        break;
    case RS_MSG_ENDED:
        gate = GATE_OF(msg, ended);
        rs_owed_end(l, gate);
        rs_claim_ended(l, gate);
        rs_gate_drop(gate);
        break;
    case RS_MSG_TOLD:
        rs_owed_told(l, (rs_callback_t *)msg);
        break;
    case RS_MSG_TOLD_AGAIN:
        rs_owed_told_again(l, (rs_callback_t *)msg);
        break;
    default:
        l->over = 1;
        break;
    }
}

/* Also between messages, of which some wait for other nodes. */
static int keep_up(rs_ledger_t *l)
{
    int up = connected(l);

    if (up) {
        rs_lease_keep(l);
    }
    if (l->taken) {
        l->taken = 0;
        rs_owed_end_open(l);
    }
    if (rs_clock_now() >= l->up_since + WRITE_EVERY) {
        l->stale = 1;
    }
    return rs_ledger_is_up(l);
}

static void take_messages(rs_ledger_t *l, rs_msg_t *msg)
{
    rs_msg_t *next;

    for (; msg; msg = next) {
        next = msg->next;
        keep_up(l);
        on_message(l, msg);
    }
}

/* When the next turn is. */
static apr_time_t turn(rs_ledger_t *l)
{
    apr_time_t now = rs_clock_now(), next, at;

    if (keep_up(l) && l->conf.keep && now >= l->look_at) {
        rs_take_over(l);
        l->look_at = rs_clock_now() + LOOK_EVERY;
    }
    next = rs_owed_turn(l, now);
    at = l->conf.keep ? l->look_at : l->live_at;
    next = at < next ? at : next;
    return next < now + AGAIN && l->again_at > now ? now + AGAIN : next;
}

static void *APR_THREAD_FUNC run(apr_thread_t *thread, void *data)
{
    rs_ledger_t *l = data;
    rs_poll_event_t none;
    apr_time_t next, now;

    (void)thread;
    while (!l->over) {
        next = turn(l);
        now = rs_clock_now();
        rs_poll_wait(l->poll, &none, 1,
                     next > now ? (next - now < apr_time_from_sec(60) ? next - now
                                                                      : apr_time_from_sec(60))
                                : 0);
        take_messages(l, rs_inbox_drain(&l->inbox));
    }
    take_messages(l, rs_inbox_close(&l->inbox));
    if (l->conf.keep && l->conn && rs_redis_conn_usable(l->conn)) {
        rs_store_end(l->conn, l->child);
    }
    rs_owed_free_all(l);
    rs_redis_conn_free(l->conn);
    return NULL;
}

apr_status_t rs_ledger_create(rs_ledger_t **out, apr_pool_t *p, rs_common_t *common,
                              const rs_ledger_conf_t *conf, rs_inbox_t **inbox)
{
    rs_ledger_t *l = apr_pcalloc(p, sizeof(*l));
    apr_status_t rv;

    l->common = common;
    l->conf = *conf;
    *out = l;
    if (!rs_store_name(l->child, rs_registry_node(common->registry))) {
        return APR_EGENERAL;
    }
    rv = rs_poll_create(&l->poll, p);
    if (rv == APR_SUCCESS) {
        rs_inbox_open(&l->inbox, l->poll);
        *inbox = &l->inbox;
    }
    return rv;
}

apr_status_t rs_ledger_start(rs_ledger_t *l, apr_pool_t *p)
{
    return apr_thread_create(&l->thread, NULL, run, l, p);
}

void rs_ledger_stop(rs_ledger_t *l)
{
    apr_status_t ignored;

    if (l->thread) {
        rs_inbox_post(&l->inbox, &l->stop_msg, RS_MSG_STOP);
        apr_thread_join(&ignored, l->thread);
    }
}
