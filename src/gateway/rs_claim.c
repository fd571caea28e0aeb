/* SPDX-License-Identifier: Apache-2.0
 *
 * Identities of this child's connections. The ledger's thread.
 */
#include <string.h>

#include <hiredis/hiredis.h>

#include "../base/rs_clock.h"
#include "rs_ledger_int.h"
#include "rs_names.h"
#include "rs_route.h"

/* Others that are not there any more are found out, and then it is tried again. */
#define ROUNDS 3

/* A process that has not answered is not waited for again so soon: others wait behind each that
 * asks for a connection of its. */
#define LATE_FOR apr_time_from_sec(2)

static rs_late_t *late_of(rs_ledger_t *l, const rs_gate_token_t *where)
{
    int i;

    for (i = 0; i < RS_LATE_MAX; i++) {
        if (l->late[i].until && !strcmp(l->late[i].where.node, where->node)
            && l->late[i].where.place == where->place) {
            return &l->late[i];
        }
    }
    return NULL;
}

static void note_late(rs_ledger_t *l, const rs_gate_token_t *where)
{
    rs_late_t *late = late_of(l, where);

    if (!late) {
        late = &l->late[l->next_late++ % RS_LATE_MAX];
        late->where = *where;
    }
    late->until = rs_clock_now() + LATE_FOR;
}

/* Ends one that has the identity, or only looks whether it is there. A page has to know that it was
 * replaced, or two of them would take turns for ever. */
static rs_sent_t reach(rs_ledger_t *l, const char *token, int close)
{
    rs_gateway_order_t order = {.token = token, .close = close};
    rs_gate_token_t where;
    const rs_late_t *late;
    rs_sent_t sent;

    memset(&where, 0, sizeof(where));
    rs_gate_token_read(&where, token, l->common->registry);
    late = late_of(l, &where);
    if (late && rs_clock_now() < late->until) {
        return RS_SENT_LATE;
    }
    if (close) {
        order.name = "rejected";
        order.data = "{\"status\":409,\"message\":\"Replaced\"}";
    }
    sent = rs_route_send(l->common, l->conf.pool, &order);
    if (close && sent == RS_SENT_FULL) {
        order.name = order.data = NULL; /* an end alone has room always */
        sent = rs_route_send(l->common, l->conf.pool, &order);
    }
    if (sent == RS_SENT_LATE || sent == RS_SENT_UNKNOWN) {
        note_late(l, &where);
    }
    return sent;
}

/* Whether any of those is there. */
static int any_there(rs_ledger_t *l, const rs_gate_t *gate, const redisReply *others)
{
    size_t i;

    for (i = 0; i < others->elements; i++) {
        const char *token = others->element[i]->str;

        if (token && reach(l, token, 0) != RS_SENT_GONE) {
            return 1;
        }
        if (token) {
            rs_names_leave(l->conn, gate->identity, token);
        }
    }
    return 0;
}

/* Its node stands still, say, and may go on. Where no other process can be reached there is nothing
 * to wait for. */
static int may_be_open(rs_sent_t sent)
{
    return sent == RS_SENT_LATE || sent == RS_SENT_UNKNOWN || sent == RS_SENT_AWAY
           || sent == RS_SENT_FULL;
}

/* 0: some may be open still. These have it again, so that whoever comes next ends them. */
static int end_all(rs_ledger_t *l, const rs_gate_t *gate, const redisReply *others)
{
    size_t i, left = 0;

    for (i = 0; i < others->elements; i++) {
        const char *token = others->element[i]->str;

        if (token && may_be_open(reach(l, token, 1))) {
            rs_names_enter(l->conn, gate->identity, token);
            left++;
        }
    }
    if (left) {
        rs_names_leave(l->conn, gate->identity, gate->token);
    }
    return !left;
}

static rs_claimed_t take_kept(rs_gate_t *gate, const rs_names_claim_t *names)
{
    unsigned n = rs_names_frames(&gate->kept_frames, names, gate->dialect, gate->kept_to);

    if (!rs_buf_ok(&gate->kept_frames)) {
        return RS_CLAIM_AWAY;
    }
    gate->nkept = n;
    return RS_CLAIM_GOOD;
}

static rs_claimed_t claim(rs_ledger_t *l, rs_gate_t *gate)
{
    rs_claimed_t claimed = RS_CLAIM_AWAY;
    rs_names_claim_t names;
    int round, entered = 0, there = 0;

    for (round = 0; !entered && !there && round < ROUNDS; round++) {
        if (!rs_ledger_is_up(l)
            || !rs_names_claim(&names, l->conn, gate->identity, gate->token, gate->duplicate)) {
            return RS_CLAIM_AWAY;
        }
        entered = names.entered;
        if (entered) {
            claimed = end_all(l, gate, names.others) ? take_kept(gate, &names) : RS_CLAIM_AWAY;
        }
        else {
            there = any_there(l, gate, names.others);
            claimed = RS_CLAIM_TAKEN;
        }
        rs_names_claim_free(&names);
    }
    return claimed;
}

void rs_claim(rs_ledger_t *l, rs_gate_t *gate)
{
    gate->claimed = claim(l, gate);
    if (gate->owed) {
        gate->owed->named = gate->claimed == RS_CLAIM_GOOD;
    }
    if (!rs_inbox_post(gate->streamer, &gate->claim, RS_MSG_CLAIMED)) {
        rs_gate_drop(gate);
    }
}

void rs_claim_arrived(rs_ledger_t *l, const rs_gate_t *gate)
{
    if (rs_ledger_is_up(l)) {
        rs_names_arrived(l->conn, gate->identity, gate->kept_to);
    }
}

/* If that is lost, whoever sends to it finds that it is gone. */
void rs_claim_ended(rs_ledger_t *l, const rs_gate_t *gate)
{
    if (gate->claims && rs_ledger_is_up(l)) {
        rs_names_leave(l->conn, gate->identity, gate->token);
    }
}
