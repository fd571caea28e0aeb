/* SPDX-License-Identifier: Apache-2.0
 *
 * Ends that back ends are to be told of. The ledger's thread, but for what a callback is given back
 * to.
 */
#include <stdlib.h>
#include <string.h>

#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "rs_ledger_int.h"
#include "rs_names.h"

#define FIRST_AGAIN apr_time_from_sec(1)
#define LAST_AGAIN apr_time_from_sec(60)
/* So many are repeated at once to each: a back end that comes back has others to answer. */
#define AT_ONCE 20
/* So many of a child, whatever is open. */
#define UNTOLD_MAX 10000
#define NEVER ((apr_time_t)0x7fffffffffffffffLL)

static void add(rs_ledger_t *l, rs_owed_t *owed)
{
    owed->next = l->owed;
    owed->link = &l->owed;
    if (owed->next) {
        owed->next->link = &owed->next;
    }
    l->owed = owed;
}

static void release(rs_owed_t *owed)
{
    if (owed->gate) {
        owed->gate->owed = NULL;
        rs_gate_drop(owed->gate);
    }
    free(owed);
}

static void take_out(rs_owed_t *owed)
{
    *owed->link = owed->next;
    if (owed->next) {
        owed->next->link = owed->link;
    }
    release(owed);
}

/* It is done with. While Redis cannot hear of that it is remembered, if Redis knows of it. */
static void settle(rs_ledger_t *l, rs_owed_t *owed)
{
    l->untold -= owed->tries > 0;
    owed->tries = 0;
    if (!owed->written
        || (rs_ledger_is_up(l) && rs_store_drop(l->conn, l->child, owed->token))) {
        take_out(owed);
        return;
    }
    l->stale = 1;
    owed->settled = 1;
    owed->due = 0;
}

static int put_record(rs_ledger_t *l, rs_owed_t *owed)
{
    rs_record_of_gate_t record = {owed->record, owed->reason,  owed->identity,
                                  owed->secret, owed->request, apr_time_sec(owed->ended)};
    int good = rs_store_put(l->conn, l->child, owed->token, &record);

    /* What was not answered may have been done. */
    owed->written |= good || !rs_redis_conn_usable(l->conn);
    return good;
}

static void write_or_later(rs_ledger_t *l, rs_owed_t *owed)
{
    if (l->conf.keep && !l->stale && !(rs_ledger_is_up(l) && put_record(l, owed))) {
        l->stale = 1;
    }
}

int rs_owed_write_all(rs_ledger_t *l)
{
    rs_owed_t *owed, *next;

    for (owed = l->owed; owed; owed = next) {
        next = owed->next;
        if (rs_clock_now() >= l->live_at && l->anew) {
            rs_store_lost(l->conn);
        }
        if (!rs_lease_keep(l)) {
            return 0;
        }
        if (owed->settled) {
            if (!rs_store_drop(l->conn, l->child, owed->token)) {
                return 0;
            }
            take_out(owed);
            continue;
        }
        if (l->conf.keep && !put_record(l, owed)) {
            return 0;
        }
        if (!owed->ended && owed->named) {
            rs_names_enter(l->conn, owed->identity, owed->token);
        }
    }
    return rs_redis_conn_usable(l->conn);
}

/* --- this child's own --- */

void rs_owed_asked(rs_ledger_t *l, rs_gate_t *gate)
{
    rs_owed_t *owed = l->conf.keep || gate->identity ? calloc(1, sizeof(*owed)) : NULL;

    if (!owed) {
        return;
    }
    memcpy(owed->token, gate->token, sizeof(owed->token));
    owed->gate = rs_gate_take(gate);
    owed->backend = gate->backend;
    owed->record = gate->backend->record;
    owed->secret = gate->backend->secret_record;
    owed->label = gate->backend->label;
    owed->reason = "";
    owed->identity = gate->identity ? gate->identity : "";
    owed->request = gate->request;
    gate->owed = owed;
    add(l, owed);
    write_or_later(l, owed);
}

void rs_owed_end(rs_ledger_t *l, rs_gate_t *gate)
{
    if (gate->owed && (!gate->was_open || !l->conf.keep)) {
        settle(l, gate->owed);
    }
    else if (gate->owed) {
        gate->owed->reason = gate->reason ? gate->reason : "client_closed";
        gate->owed->ended = apr_time_now();
        write_or_later(l, gate->owed);
    }
}

/* --- telling --- */

/* The callbacks' thread. */
static void on_told_again(rs_callback_t *callback)
{
    if (!rs_inbox_post(callback->to, &callback->msg, RS_MSG_TOLD_AGAIN)) {
        rs_callback_free(callback);
    }
}

static void set_due(rs_ledger_t *l, rs_owed_t *owed, apr_time_t due)
{
    owed->due = due;
    l->owed_due = due < l->owed_due ? due : l->owed_due;
}

/* It was not told. Of a back end that is away for long not everything can be kept. */
static void put_off(rs_ledger_t *l, rs_owed_t *owed)
{
    apr_interval_time_t wait = FIRST_AGAIN << (owed->tries < 6 ? owed->tries : 6);

    if (!owed->tries && l->untold >= UNTOLD_MAX) {
        if (!l->told_full) {
            rs_log(RS_LOG_WARNING, 0,
                   RSLOGNO(1135) "%s was not told of %d ends: further ones are told once",
                   owed->label, UNTOLD_MAX);
        }
        l->told_full = 1;
        settle(l, owed);
        return;
    }
    l->told_full &= l->untold > UNTOLD_MAX / 2;
    l->untold += !owed->tries;
    owed->tries++;
    set_due(l, owed, rs_clock_now() + (wait < LAST_AGAIN ? wait : LAST_AGAIN));
}

static void take_outcome(rs_ledger_t *l, rs_owed_t *owed, rs_callback_t *callback)
{
    if (owed && rs_callback_is_done(callback)) {
        settle(l, owed);
    }
    else if (owed) {
        put_off(l, owed);
    }
    rs_callback_free(callback);
}

void rs_owed_told(rs_ledger_t *l, rs_callback_t *callback)
{
    rs_gate_t *gate = callback->baton;

    take_outcome(l, gate->owed, callback);
    rs_gate_drop(gate);
}

void rs_owed_told_again(rs_ledger_t *l, rs_callback_t *callback)
{
    callback->backend->telling--;
    if (l->more_due && callback->backend->telling <= AT_ONCE / 2) {
        l->owed_due = 0;
    }
    take_outcome(l, callback->baton, callback);
}

static void tell(rs_ledger_t *l, rs_owed_t *owed)
{
    rs_callback_t *callback = rs_gate_told(owed->backend, owed->token, owed->reason,
                                           owed->request, on_told_again);

    owed->due = 0;
    if (!callback) {
        put_off(l, owed);
        return;
    }
    callback->baton = owed;
    callback->to = &l->inbox;
    if (!rs_inbox_post(l->common->callbacks, &callback->msg, RS_MSG_CALL)) {
        rs_callback_free(callback); /* they have ended, and so will this child */
        return;
    }
    owed->backend->telling++;
}

static int is_old(const rs_ledger_t *l, const rs_owed_t *owed)
{
    return owed->ended + l->conf.keep < apr_time_now();
}

/* What is left then waits for those under way. */
static void tell_due(rs_ledger_t *l, rs_owed_t *owed)
{
    if (is_old(l, owed)) {
        rs_log(RS_LOG_WARNING, 0,
               RSLOGNO(1131) "%s was not told of the end of %.8s in time, and will not be",
               owed->label, owed->token);
        settle(l, owed);
    }
    else if (!owed->backend) {
        put_off(l, owed); /* a later configuration may know it */
    }
    else if (owed->backend->telling < AT_ONCE) {
        tell(l, owed);
    }
    else {
        l->more_due = 1;
    }
}

/* There are as many as connections: they are looked through only when one may be due. */
apr_time_t rs_owed_turn(rs_ledger_t *l, apr_time_t now)
{
    rs_owed_t *owed, *next;

    if (now < l->owed_due) {
        return l->owed_due;
    }
    l->owed_due = NEVER;
    l->more_due = 0;
    for (owed = l->owed; owed; owed = next) {
        next = owed->next;
        if (owed->due && owed->due <= now) {
            tell_due(l, owed);
        }
        else if (owed->due) {
            set_due(l, owed, owed->due);
        }
    }
    return l->owed_due;
}

/* --- what others had --- */

static const char *copy(char **at, const char *text)
{
    char *start = *at;
    size_t len = strlen(text) + 1;

    memcpy(start, text, len);
    *at = start + len;
    return start;
}

/* Without the digest. */
static const char *copy_label(char **at, const char *record)
{
    char *start = *at;
    size_t len = strcspn(record, " ");

    memcpy(start, record, len);
    start[len] = '\0';
    *at = start + len + 1;
    return start;
}

void rs_owed_take(void *ledger, const char *token, const rs_record_of_gate_t *record)
{
    rs_ledger_t *l = ledger;
    rs_owed_t *owed = calloc(1, sizeof(*owed) + 2 * strlen(record->backend) + strlen(record->reason)
                                    + strlen(record->identity) + strlen(record->request)
                                    + strlen(record->secret) + 6 + sizeof("error"));
    char *at = owed ? owed->text : NULL;

    rs_lease_keep(l);
    if (*record->identity) {
        rs_names_leave(l->conn, record->identity, token);
    }
    if (!owed || strlen(token) >= sizeof(owed->token)) {
        free(owed);
        return;
    }
    memcpy(owed->token, token, strlen(token) + 1);
    owed->record = copy(&at, record->backend);
    owed->secret = copy(&at, record->secret);
    owed->label = copy_label(&at, record->backend);
    owed->reason = copy(&at, *record->reason ? record->reason : "error");
    owed->identity = copy(&at, "");
    owed->request = copy(&at, record->request);
    owed->backend = rs_backends_of_record(&l->common->backends, owed->record, owed->secret);
    owed->ended = record->ended ? apr_time_from_sec(record->ended) : apr_time_now();
    owed->written = 1;
    set_due(l, owed, rs_clock_now());
    add(l, owed);
}

void rs_owed_end_open(rs_ledger_t *l)
{
    rs_owed_t *owed, *next;

    for (owed = l->owed; owed; owed = next) {
        next = owed->next;
        if (owed->gate && !owed->ended) {
            rs_gate_send(owed->gate, NULL, 0, 1, apr_time_from_sec(1));
        }
    }
}

void rs_owed_free_all(rs_ledger_t *l)
{
    rs_owed_t *owed;

    while ((owed = l->owed)) {
        l->owed = owed->next;
        release(owed);
    }
}
