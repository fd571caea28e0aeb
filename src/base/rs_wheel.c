/* SPDX-License-Identifier: Apache-2.0
 *
 * The timer wheel. The streamer's thread.
 */
#include "rs_wheel.h"

void rs_wheel_init(rs_wheel_t *wheel, apr_time_t now)
{
    int i;

    for (i = 0; i < RS_WHEEL_SLOTS; i++) {
        wheel->slots[i].next = wheel->slots[i].prev = &wheel->slots[i];
    }
    wheel->tick = 0;
    wheel->turning = 0;
    wheel->next = now + RS_WHEEL_TICK;
    wheel->armed = 0;
    wheel->sweep = 0;
}

void rs_wheel_unset(rs_wheel_t *wheel, rs_timer_t *timer)
{
    if (timer->next) {
        timer->next->prev = timer->prev;
        timer->prev->next = timer->next;
        timer->next = timer->prev = NULL;
        wheel->armed--;
    }
}

void rs_wheel_set(rs_wheel_t *wheel, rs_timer_t *timer, apr_time_t due)
{
    /* Never the list whose turn it is: a deadline in the past would come up for ever. Else the next
     * one, or a deadline that is set again with each answer of Redis would never come up. */
    apr_int64_t ticks =
        due > wheel->next ? (due - wheel->next) / RS_WHEEL_TICK + 1 : wheel->turning;
    rs_timer_t *slot;

    if (ticks >= RS_WHEEL_SLOTS) {
        ticks = RS_WHEEL_SLOTS - 1;
    }
    rs_wheel_unset(wheel, timer);
    slot = &wheel->slots[(wheel->tick + (apr_uint64_t)ticks) % RS_WHEEL_SLOTS];
    timer->next = slot;
    timer->prev = slot->prev;
    slot->prev->next = timer;
    slot->prev = timer;
    wheel->armed++;
}

rs_timer_t *rs_wheel_due(rs_wheel_t *wheel, apr_time_t now)
{
    while ((wheel->turning = wheel->next <= now)) {
        rs_timer_t *slot = &wheel->slots[wheel->tick % RS_WHEEL_SLOTS];

        if (slot->next != slot) {
            rs_timer_t *timer = slot->next;

            rs_wheel_unset(wheel, timer);
            return timer;
        }
        wheel->tick++;
        wheel->next += RS_WHEEL_TICK;
    }
    return NULL;
}

rs_timer_t *rs_wheel_any(rs_wheel_t *wheel)
{
    int i;

    for (i = 0; wheel->armed && i < RS_WHEEL_SLOTS; i++, wheel->sweep++) {
        rs_timer_t *slot = &wheel->slots[wheel->sweep % RS_WHEEL_SLOTS];

        if (slot->next != slot) {
            rs_timer_t *timer = slot->next;

            rs_wheel_unset(wheel, timer);
            return timer;
        }
    }
    return NULL;
}
