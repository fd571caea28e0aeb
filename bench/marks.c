/* SPDX-License-Identifier: Apache-2.0
 *
 * Events as they arrive: marks, @NONCE...@, anywhere in what was read, so that it may be of any
 * server. What is checked: each connection gets the events of its own tenant only, each once, in
 * order, without a gap.
 */
#include <string.h>

#include "conn.h"

static void event_note(conn_t *c, uint32_t n, int64_t when)
{
    uint32_t tenants = (uint32_t)options.tenants;
    event_t *event = &world->events[n % EVENTS_MAX];
    uint32_t got;

    if (n >= atomic_load(&world->next) || n % tenants != (uint32_t)c->number % tenants) {
        count_add(&me->foreign, 1);
        return;
    }
    if (n < c->next) {
        count_add(&me->repeated, 1);
        return;
    }
    count_add(&me->missed, (n - c->next) / tenants);
    c->next = n + tenants;
    if (n < atomic_load(&world->step)) {
        count_add(&me->late, 1);
        return;
    }
    count_add(&me->delivered, 1);
    if (!c->stops) {
        count_time(me->latency, when - event->due);
    }
    got = atomic_fetch_add(&event->got, 1) + 1;
    if (got == 1) {
        atomic_store(&event->first, when);
    }
    if (got == event->want) {
        atomic_store(&event->last, when);
    }
}

static bool hex_read(const char *at, uint32_t *out)
{
    int i;

    for (*out = 0, i = 0; i < 8; i++) {
        unsigned digit = (unsigned char)at[i];

        digit = digit - '0' < 10 ? digit - '0' : digit - 'a' < 6 ? digit - 'a' + 10 : 16;
        if (digit > 15) {
            return false;
        }
        *out = *out << 4 | digit;
    }
    return true;
}

/* Notes all whole marks; returns where what is not a whole mark begins. */
char *marks_read(conn_t *c, char *at, char *end)
{
    int64_t when = now();

    while ((at = memchr(at, '@', (size_t)(end - at)))) {
        uint32_t nonce, n;

        if (end - at < MARK_SIZE) {
            return at;
        }
        if (at[9] == '.' && at[MARK_SIZE - 1] == '@' && hex_read(at + 1, &nonce)
            && nonce == world->nonce && hex_read(at + 10, &n)) {
            event_note(c, n, when);
            at += MARK_SIZE;
        }
        else {
            at++;
        }
    }
    return end;
}
