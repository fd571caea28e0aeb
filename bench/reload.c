/* SPDX-License-Identifier: Apache-2.0
 *
 * A graceful restart of the first server while events are published slowly: when everybody is back,
 * and what it costs the server second by second. The clients come back by themselves (again.c).
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "load.h"

#define SECONDS_MAX 600
/* Seconds without anybody coming back, after which it is over. */
#define PATIENCE 60

static uint64_t expected_of(const step_t *step)
{
    uint64_t expected = 0;
    uint32_t i;

    for (i = step->first; i < step->first + step->count; i++) {
        expected += world->events[i].want;
    }
    return expected;
}

/* One second of events; what it cost all servers. */
static void second(publisher_t *p, step_t *step, double *cores)
{
    cost_t before = step->after;
    int i;

    step->acknowledged += publisher_run(p, step->rate, 1);
    step->count = atomic_load(&world->next) - step->first;
    cost_read(&step->after);
    for (i = 0; i < options.server_count; i++) {
        cores[i] =
            (double)(step->after.cpu[i] - before.cpu[i]) / (double)(step->after.when - before.when);
    }
}

/* Until all who left are back, and for two seconds more; returns how many seconds that were. */
static int seconds_run(publisher_t *p, step_t *step, double (*cores)[SERVERS_MAX])
{
    uint64_t back = 0;
    int n = 0, quiet = 0, after = 0;

    while (n < SECONDS_MAX && quiet < PATIENCE && after < 2) {
        uint64_t last = back;

        second(p, step, cores[n++]);
        back = total_of(offsetof(reader_t, returned));
        quiet = back > last ? 0 : quiet + 1;
        after +=
            back >= (uint64_t)options.connections && back == total_of(offsetof(reader_t, left));
    }
    return n;
}

void reload_run(publisher_t *p)
{
    static double before[SECONDS_MAX][SERVERS_MAX], cores[SECONDS_MAX][SERVERS_MAX];
    step_t step = {.rate = options.rate_count ? options.rates[0] : 1,
                   .first = atomic_load(&world->next)};
    int64_t asked;
    int i, n, calm = (int)options.seconds;

    atomic_store(&world->step, step.first);
    cost_read(&step.before);
    step.after = step.before;
    for (i = 0; i < calm && i < SECONDS_MAX; i++) {
        second(p, &step, before[i]);
    }
    asked = now();
    if (kill(options.servers[0].pid, SIGUSR1)) {
        die("the first --server cannot be told to restart");
    }
    n = seconds_run(p, &step, cores);
    step.expected = expected_of(&step);
    step_wait(&step, 0);
    report_reload(&step, asked, calm, before, n, cores);
}
