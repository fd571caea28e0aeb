/* SPDX-License-Identifier: Apache-2.0
 *
 * The timer wheel: every timer comes up, none before its time, and one that is due comes up once.
 */
#include <stdlib.h>

#include "base/rs_wheel.h"
#include "tap.h"

#define N 10000

static rs_timer_t timers[N];
static apr_time_t due[N], came[N];

int main(void)
{
    rs_wheel_t *wheel = malloc(sizeof(*wheel));
    apr_time_t now = apr_time_from_sec(1000);
    int i, early = 0, late = 0, count = 0, left;
    rs_timer_t *timer;

    rs_wheel_init(wheel, now);
    srand(1);
    for (i = 0; i < N; i++) {
        due[i] = now + (apr_time_t)(rand() % 40000) * 1000;
        rs_wheel_set(wheel, &timers[i], due[i]);
    }
    for (; now < apr_time_from_sec(1045); now += 37000) {
        while ((timer = rs_wheel_due(wheel, now))) {
            i = (int)(timer - timers);
            came[i] = now;
            count++;
            early += now < due[i];
            late += now > due[i] + 3 * RS_WHEEL_TICK;
        }
    }
    is_int(count, N, "all come up");
    is_int(early, 0, "none early");
    is_int(late, 0, "none late");
    is_int(wheel->armed, 0, "none is left");

    rs_wheel_set(wheel, &timers[0], now + apr_time_from_sec(3600));
    for (left = 0; left < 600 && !(timer = rs_wheel_due(wheel, now)); left++) {
        now += RS_WHEEL_TICK;
    }
    ok(timer == &timers[0] && left < 600,
       "one beyond the wheel's reach comes up early, to be set again");
    rs_wheel_set(wheel, &timers[0], now - apr_time_from_sec(5));
    ok(!rs_wheel_due(wheel, now), "one in the past does not come up in the same turn");
    ok(rs_wheel_due(wheel, now + 3 * RS_WHEEL_TICK) == &timers[0], "but soon after");
    while (rs_wheel_due(wheel, now)) {
    }
    for (left = 0; left < 600; left++) {
        rs_wheel_set(wheel, &timers[0], now - apr_time_from_sec(5));
        now += RS_WHEEL_TICK / 4;
        if (rs_wheel_due(wheel, now)) {
            break;
        }
    }
    ok(left < 600, "also one that is set again more often than the wheel turns");
    for (i = 0; i < 100; i++) {
        rs_wheel_set(wheel, &timers[i], now + i * 1000000);
        rs_wheel_set(wheel, &timers[i], now + i * 500000);
    }
    rs_wheel_unset(wheel, &timers[7]);
    rs_wheel_unset(wheel, &timers[7]);
    for (count = 0; rs_wheel_any(wheel); count++) {
    }
    is_int(count, 99, "any: each once, without those unset");
    free(wheel);
    return done_testing();
}
