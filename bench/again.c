/* SPDX-License-Identifier: Apache-2.0
 *
 * Clients that come again, as EventSource does: with the id of the last complete event, after the
 * `retry:` they were told. Those that wait are in a wheel of 10 ms a slot.
 */
#include <stdlib.h>
#include <string.h>

#include "conn.h"

#define SLOTS 1024
#define SLOT (SECOND / 100)
/* What browsers do who were told nothing. */
#define RETRY 3000

static int wheel[SLOTS];
static int64_t turned;

void again_open(conn_t *c, int slots)
{
    int i;

    if (!turned) {
        for (i = 0; i < SLOTS; i++) {
            wheel[i] = -1;
        }
        turned = now() / SLOT;
    }
    if (!(c->again = calloc((size_t)slots, sizeof(*c->again)))) {
        die("out of memory");
    }
    for (i = 0; i < slots; i++) {
        c[i].again = &c->again[i];
        c[i].again->retry = RETRY;
    }
}

static void line_end(conn_t *c)
{
    again_t *a = c->again;

    a->line[a->len] = '\0';
    if (a->len == 0) {
        memcpy(a->id, a->pending, sizeof(a->id));
    }
    else if (strncmp(a->line, "id: ", 4) == 0) {
        memcpy(a->pending, a->line + 4, (size_t)a->len - 3);
    }
    else if (strncmp(a->line, "retry: ", 7) == 0) {
        a->retry = atoi(a->line + 7);
    }
    else if (strcmp(a->line, "event: error") == 0) {
        a->told = true;
    }
    else if (strcmp(a->line, "event: connected") == 0) {
        a->met = true;
        if (a->away) {
            a->away = false;
            count_add(&me->returned, 1);
            count_add(&me->resumed, c->ssl && SSL_session_reused(c->ssl));
            atomic_store(&me->last_back, now());
        }
    }
    a->len = 0;
}

void again_read(conn_t *c, const char *at, const char *end)
{
    again_t *a = c->again;

    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t n = (size_t)((stop ? stop : end) - at), room = sizeof(a->line) - 1 - a->len;

        /* What is longer than any line that matters is cut. */
        n = n < room ? n : room;
        memcpy(a->line + a->len, at, n);
        a->len = (uint8_t)(a->len + n);
        if (!stop) {
            return;
        }
        line_end(c);
        at = stop + 1;
    }
}

static void wait_for(int i)
{
    int slot = (int)(conns[i].again->due / SLOT % SLOTS);

    conns[i].again->next = wheel[slot];
    wheel[slot] = i;
}

void again_end(conn_t *c)
{
    again_t *a = c->again;

    if (a->met) {
        a->away = true;
        count_add(&me->left, 1);
    }
    else if (a->told) {
        count_add(&me->refused, 1);
    }
    a->met = a->told = false;
    a->len = 0;
    memcpy(a->pending, a->id, sizeof(a->id));
    a->due = now() + (int64_t)a->retry * (SECOND / 1000);
    /* In the slot that is emptied now nobody would look again for a whole turn. */
    if (a->due / SLOT <= turned) {
        a->due = (turned + 1) * SLOT;
    }
    wait_for((int)(c - conns));
}

void again_turn(void)
{
    int64_t to = now() / SLOT;

    while (turned < to) {
        int slot = (int)(++turned % SLOTS), i = wheel[slot];

        wheel[slot] = -1;
        while (i >= 0) {
            int next = conns[i].again->next;

            if (conns[i].again->due / SLOT > turned) {
                wait_for(i);
            }
            else {
                conn_begin(&conns[i]);
            }
            i = next;
        }
    }
}
