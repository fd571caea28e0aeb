/* SPDX-License-Identifier: Apache-2.0
 *
 * Clients of the gateway.
 */
#include <stdlib.h>

#include <apr_strings.h>

#include "../log/rs_profile.h"
#include "../proto/rs_gateway.h"
#include "../wire/rs_wire.h"
#include "rs_gated.h"
#include "rs_output.h"

int rs_gated_waits(const rs_client_t *client)
{
    return client->gate && client->gate->state == RS_GATE_WAITS;
}

void rs_gated_reason(const rs_client_t *client, const char *reason)
{
    if (client->gate && !client->gate->reason) {
        client->gate->reason = reason;
    }
}

static rs_next_t failed(const rs_client_t *client)
{
    rs_gated_reason(client, "error");
    return RS_NEXT_GONE;
}

/* Posts what is to be right in Redis, with a reference. */
static int tell_ledger(rs_gate_t *gate, rs_msg_t *msg, int kind)
{
    rs_inbox_t *ledger = gate->common->ledger;

    rs_gate_take(gate);
    if (ledger && rs_inbox_post(ledger, msg, kind)) {
        return 1;
    }
    rs_gate_drop(gate);
    return 0;
}

/* --- its beginning --- */

/* The callbacks' thread. */
static void on_answer(rs_callback_t *callback)
{
    rs_gate_t *gate = callback->baton;

    gate->answer = callback;
    if (!rs_inbox_post(gate->streamer, &gate->called, RS_MSG_CALLED)) {
        rs_gate_drop(gate);
    }
}

/* What is in s->buf is all that it gets: it never was open. */
static rs_next_t end_unopened(rs_client_t *client)
{
    client->gate->state = RS_GATE_ENDED;
    return RS_NEXT_LAST;
}

static rs_next_t refuse(rs_streamer_t *s, rs_client_t *client, int status, const char *message,
                        const char *code)
{
    rs_buf_clear(&s->buf);
    rs_gateway_refusal(&s->buf, status, client->gate->lines, message, code);
    return end_unopened(client);
}

/* EventSource never comes back after any other status than 200. */
static rs_next_t send_away(rs_streamer_t *s, rs_client_t *client)
{
    rs_buf_clear(&s->buf);
    rs_gateway_head(&s->buf, 200, client->gate->lines, -1);
    client->profile->wire->error(&s->buf, "", "", "", "", client->profile->retry);
    return end_unopened(client);
}

rs_next_t rs_gated_begin(rs_streamer_t *s, rs_client_t *client)
{
    rs_gate_t *gate = client->gate;
    rs_callback_t *callback;

    gate->client = client;
    gate->streamer = client->streamer;
    rs_registry_serve(s->common->registry, client->seat, client, s->index);
    if (s->drain_until) {
        return send_away(s, client);
    }
    callback = s->common->callbacks ? rs_gate_callback(gate, on_answer) : NULL;
    if (!callback) {
        return refuse(s, client, 503, "Backend unavailable", "BACKEND_UNAVAILABLE");
    }
    rs_gates_add(&s->common->gates, gate);
    callback->baton = rs_gate_take(gate);
    callback->keeps = gate->dialect == RS_DIALECT_2025_11;
    callback->unwanted = &gate->left;
    gate->known = tell_ledger(gate, &gate->asked, RS_MSG_ASKED);
    if (!rs_inbox_post(s->common->callbacks, &callback->msg, RS_MSG_CALL)) {
        rs_gate_drop(gate);
        rs_callback_free(callback);
        return send_away(s, client);
    }
    return RS_NEXT_WAIT;
}

/* --- the answer --- */

static void reject(rs_streamer_t *s, const rs_client_t *client, int status, const char *phrase)
{
    rs_buf_clear(&s->buf);
    rs_gateway_head(&s->buf, 200, client->gate->lines, -1);
    rs_gateway_rejected(&s->buf, status, phrase);
}

static rs_next_t refuse_as_answered(rs_streamer_t *s, rs_client_t *client,
                                    const rs_callback_t *answer)
{
    int status = answer->status;
    char message[64];

    if (client->gate->dialect == RS_DIALECT_CURRENT
        && (status == 400 || status == 401 || status == 403)) {
        reject(s, client, status, answer->phrase);
        return end_unopened(client);
    }
    apr_snprintf(message, sizeof(message), "Backend returned %d", status);
    return refuse(s, client, status >= 300 && status <= 599 ? status : 502, message,
                  "BACKEND_ERROR");
}

/* Of a dialect whose back ends answer with the first event. */
static void take_answer(rs_buf_t *b, rs_gate_t *gate)
{
    const rs_buf_t *answer = &gate->answer->answer;
    rs_gateway_order_t order;
    apr_pool_t *p;

    if (!answer->len || !rs_buf_ok(answer) || apr_pool_create(&p, NULL) != APR_SUCCESS) {
        return;
    }
    rs_gateway_answered(&order, p, answer->data, answer->len);
    if (order.data) {
        rs_wire_gateway_event(b, gate->dialect, order.name, order.data);
    }
    if (order.close) {
        gate->closing = 1;
        rs_buf_free(&gate->waiting); /* that comes after the end */
    }
    apr_pool_destroy(p);
}

/* Its back end has let it in, and will be told of its end, whatever it gets. */
static void set_open(rs_streamer_t *s, rs_gate_t *gate)
{
    gate->state = RS_GATE_OPEN;
    RS_STAT_ADD(s->common->stats->gateway.opened, 1);
    if (gate->nkept) {
        tell_ledger(gate, &gate->claim, RS_MSG_ARRIVED);
    }
}

static rs_next_t turn_away(rs_streamer_t *s, rs_client_t *client)
{
    set_open(s, client->gate);
    rs_buf_clear(&s->buf);
    rs_gateway_head(&s->buf, 200, client->gate->lines, -1);
    client->profile->wire->error(&s->buf, "", "", "", "", client->profile->retry);
    return RS_NEXT_LAST;
}

static rs_next_t open_it(rs_streamer_t *s, rs_client_t *client)
{
    rs_gate_t *gate = client->gate;
    rs_next_t next;

    if (rs_registry_serve(s->common->registry, client->seat, client, s->index)) {
        gate->nkept = 0;
        return turn_away(s, client); /* an administrator has ended it meanwhile */
    }
    rs_buf_clear(&s->buf);
    rs_gateway_head(&s->buf, 200, gate->lines, -1);
    take_answer(&s->buf, gate);
    if (gate->kept_frames.len && !gate->closing) {
        rs_buf_add(&s->buf, gate->kept_frames.data, gate->kept_frames.len);
    }
    else {
        gate->nkept = 0;
    }
    rs_buf_free(&gate->kept_frames);
    RS_STAT_ADD(s->common->stats->gateway.events, gate->kept + gate->nkept);
    client->events += gate->kept + gate->nkept;
    if (gate->waiting.len) {
        rs_buf_add(&s->buf, gate->waiting.data, gate->waiting.len);
        rs_buf_free(&gate->waiting);
    }
    if (!gate->closing && gate->dialect == RS_DIALECT_CURRENT) {
        rs_wire_gateway_ready(&s->buf);
    }
    next = rs_output_buf(client, &s->buf) ? rs_gated_go_on(client) : failed(client);
    if (next == RS_NEXT_GONE) {
        gate->nkept = 0; /* another one gets it */
    }
    set_open(s, gate);
    if (next != RS_NEXT_GONE) {
        rs_registry_let_in(s->common->registry, client->seat);
    }
    return next == RS_NEXT_GO ? RS_NEXT_WAIT : next; /* for its first heartbeat */
}

/* It was let in. One with an identity first gets that, and what was kept for it. */
static rs_next_t let_in(rs_streamer_t *s, rs_client_t *client)
{
    rs_gate_t *gate = client->gate;

    if (!gate->identity) {
        return open_it(s, client);
    }
    gate->claims = 1;
    return tell_ledger(gate, &gate->claim, RS_MSG_CLAIM) ? RS_NEXT_GO : turn_away(s, client);
}

rs_next_t rs_gated_claimed(rs_streamer_t *s, rs_client_t *client)
{
    rs_gate_t *gate = client->gate;

    if (gate->claimed == RS_CLAIM_GOOD) {
        return open_it(s, client);
    }
    if (gate->claimed != RS_CLAIM_TAKEN) {
        return turn_away(s, client);
    }
    set_open(s, gate);
    if (gate->dialect == RS_DIALECT_CURRENT) {
        reject(s, client, 409, "");
    }
    else {
        rs_buf_clear(&s->buf);
        rs_gateway_refusal(&s->buf, 409, gate->lines, "Identity is connected already",
                           "IDENTITY_CONNECTED");
    }
    return RS_NEXT_LAST;
}

rs_next_t rs_gated_answered(rs_streamer_t *s, rs_client_t *client)
{
    const rs_callback_t *answer = client->gate->answer;

    if (!rs_gated_waits(client) || client->gate->claims) {
        return RS_NEXT_GO;
    }
    switch (answer->outcome) {
    case RS_CALLED_ANSWERED:
        return answer->status / 100 == 2 ? let_in(s, client)
                                         : refuse_as_answered(s, client, answer);
    case RS_CALLED_LATE:
        return refuse(s, client, 504, "Gateway timeout", "GATEWAY_TIMEOUT");
    case RS_CALLED_STOPPED:
        return send_away(s, client);
    default:
        return refuse(s, client, 503, "Backend unavailable", "BACKEND_UNAVAILABLE");
    }
}

/* --- what it is sent --- */

rs_next_t rs_gated_go_on(rs_client_t *client)
{
    rs_gate_t *gate = client->gate;

    if (gate->waiting.len && !client->pinned) {
        int good = rs_output_buf(client, &gate->waiting);

        rs_buf_free(&gate->waiting);
        if (!good) {
            return failed(client);
        }
    }
    if (client->pinned) {
        return RS_NEXT_ROOM;
    }
    if (gate->closing) {
        return RS_NEXT_DONE;
    }
    return client->wants_out || !client->timer.next ? RS_NEXT_WAIT : RS_NEXT_GO;
}

rs_next_t rs_gated_send(rs_client_t *client, const rs_send_t *send, rs_sent_t *sent)
{
    rs_gate_t *gate = client->gate;
    rs_next_t next;

    if (gate->state == RS_GATE_ENDED || gate->closing) {
        *sent = RS_SENT_GONE;
        return RS_NEXT_GO;
    }
    *sent = RS_SENT_FULL;
    /* An end alone takes no room. */
    if (gate->waiting.len && send->len
        && gate->waiting.len + send->len > gate->common->max_message) {
        return RS_NEXT_GO;
    }
    rs_buf_add(&gate->waiting, send->frames, send->len);
    if (!rs_buf_ok(&gate->waiting)) {
        gate->waiting.broken = 0; /* what was there is */
        return RS_NEXT_GO;
    }
    gate->closing = send->close;
    if (gate->closing) {
        rs_gates_remove(&gate->common->gates, gate);
    }
    *sent = RS_SENT_BUFFERED;
    if (gate->state == RS_GATE_WAITS) {
        gate->kept += send->len > 0;
        return RS_NEXT_GO;
    }
    next = rs_gated_go_on(client);
    *sent = next == RS_NEXT_GONE ? RS_SENT_FAILED : RS_SENT;
    if (*sent == RS_SENT && send->len) {
        RS_STAT_ADD(gate->common->stats->gateway.events, 1);
        client->events++;
    }
    return next;
}

/* --- its end --- */

/* The callbacks' thread. */
static void on_told(rs_callback_t *callback)
{
    rs_gate_t *gate = callback->baton;

    if (!callback->to || !rs_inbox_post(callback->to, &callback->msg, RS_MSG_TOLD)) {
        rs_callback_free(callback);
        rs_gate_drop(gate);
    }
}

static void tell_backend(rs_gate_t *gate)
{
    rs_callback_t *callback =
        rs_gate_told(gate->backend, gate->token, gate->reason ? gate->reason : "client_closed",
                     gate->request, on_told);

    if (!callback) {
        return;
    }
    callback->baton = rs_gate_take(gate);
    callback->to = gate->common->ledger;
    if (!rs_inbox_post(gate->common->callbacks, &callback->msg, RS_MSG_CALL)) {
        rs_callback_free(callback);
        rs_gate_drop(gate);
    }
}

void rs_gated_forget(rs_client_t *client)
{
    rs_gate_t *gate = client->gate;

    if (!gate->client) {
        return;
    }
    gate->client = NULL;
    /* Who claims has been let in. */
    gate->was_open = gate->state == RS_GATE_OPEN || gate->claims;
    __atomic_store_n(&gate->left, 1, __ATOMIC_RELEASE);
    gate->state = RS_GATE_ENDED;
    rs_gates_remove(&gate->common->gates, gate);
    rs_buf_free(&gate->waiting);
    if (gate->known) {
        tell_ledger(gate, &gate->ended, RS_MSG_ENDED);
    }
    if (gate->was_open) {
        tell_backend(gate);
    }
}
