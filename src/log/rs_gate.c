/* SPDX-License-Identifier: Apache-2.0
 *
 * Gates: made and dropped by any thread, and the table by which they are found.
 */
#include <apr_hash.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "rs_common.h"
#include "rs_gate.h"

rs_gate_t *rs_gate_create(rs_common_t *common, rs_backend_t *backend, const char *lines,
                          const char *request, size_t request_len)
{
    size_t lines_len = strlen(lines);
    rs_gate_t *gate = calloc(1, sizeof(*gate) + lines_len + request_len + 2);

    if (!gate) {
        return NULL;
    }
    if (!rs_gate_token_make(gate->token, &gate->turn, common->registry)) {
        free(gate);
        return NULL;
    }
    gate->refs = 1;
    gate->common = common;
    gate->backend = backend;
    gate->lines = memcpy(gate->text, lines, lines_len + 1);
    gate->request = memcpy(gate->text + lines_len + 1, request, request_len);
    return gate;
}

rs_gate_t *rs_gate_take(rs_gate_t *gate)
{
    __atomic_fetch_add(&gate->refs, 1, __ATOMIC_RELAXED);
    return gate;
}

void rs_gate_drop(rs_gate_t *gate)
{
    if (gate && __atomic_fetch_sub(&gate->refs, 1, __ATOMIC_ACQ_REL) == 1) {
        rs_buf_free(&gate->waiting);
        rs_buf_free(&gate->kept_frames);
        free(gate->identity);
        rs_callback_free(gate->answer);
        free(gate);
    }
}

int rs_gate_identify(rs_gate_t *gate, const char *identity, rs_duplicate_t duplicate)
{
    gate->identity = strdup(identity);
    gate->duplicate = duplicate;
    return gate->identity != NULL;
}

/* reason NULL: it is a question. */
static rs_callback_t *make_callback(rs_backend_t *backend, const char *token, const char *reason,
                                    const char *request, void (*done)(rs_callback_t *))
{
    rs_callback_t *callback = NULL;
    rs_buf_t b = RS_BUF_INIT;

    rs_buf_puts(&b, reason ? "{\"action\":\"disconnect\",\"reason\":\"" : "{\"action\":\"connect");
    rs_buf_puts(&b, reason ? reason : "");
    rs_buf_printf(&b, "\",\"token\":\"%s\",\"request\":", token);
    rs_buf_puts(&b, request);
    rs_buf_puts(&b, "}");
    if (rs_buf_ok(&b)) {
        callback = rs_callback_create(backend, b.data, b.len, done);
    }
    rs_buf_free(&b);
    return callback;
}

rs_callback_t *rs_gate_callback(const rs_gate_t *gate, void (*done)(rs_callback_t *))
{
    return make_callback(gate->backend, gate->token, NULL, gate->request, done);
}

rs_callback_t *rs_gate_told(rs_backend_t *backend, const char *token, const char *reason,
                            const char *request, void (*done)(rs_callback_t *))
{
    rs_callback_t *callback = make_callback(backend, token, reason, request, done);

    if (callback) {
        apr_snprintf(callback->id, sizeof(callback->id), "%s-disconnect", token);
    }
    return callback;
}

/* --- the table --- */

static rs_gate_t **slot_of(rs_gates_t *table, const char *token)
{
    apr_ssize_t len = APR_HASH_KEY_STRING;

    return &table->slots[apr_hashfunc_default(token, &len) % RS_GATE_SLOTS];
}

void rs_gates_open(rs_gates_t *table)
{
    memset(table->slots, 0, sizeof(table->slots));
    pthread_mutex_init(&table->lock, NULL);
}

void rs_gates_close(rs_gates_t *table) { pthread_mutex_destroy(&table->lock); }

void rs_gates_add(rs_gates_t *table, rs_gate_t *gate)
{
    rs_gate_t **slot = slot_of(table, gate->token);

    pthread_mutex_lock(&table->lock);
    gate->next = *slot;
    *slot = rs_gate_take(gate);
    pthread_mutex_unlock(&table->lock);
}

void rs_gates_remove(rs_gates_t *table, rs_gate_t *gate)
{
    rs_gate_t **at = slot_of(table, gate->token);
    int found;

    pthread_mutex_lock(&table->lock);
    while (*at && *at != gate) {
        at = &(*at)->next;
    }
    found = *at != NULL;
    if (found) {
        *at = gate->next;
    }
    pthread_mutex_unlock(&table->lock);
    if (found) {
        rs_gate_drop(gate);
    }
}

rs_gate_t *rs_gates_find(rs_gates_t *table, const char *token)
{
    rs_gate_t *gate;

    pthread_mutex_lock(&table->lock);
    for (gate = *slot_of(table, token); gate && strcmp(gate->token, token) != 0;
         gate = gate->next) {
    }
    if (gate) {
        rs_gate_take(gate);
    }
    pthread_mutex_unlock(&table->lock);
    return gate;
}
