/* SPDX-License-Identifier: Apache-2.0
 *
 * The program's own locks, of which all threads here need none. Where one lets go of its last,
 * another thread of its engine may as well have a turn: as it might anywhere between two of them.
 */
#include <pthread.h>

#include "sim.h"

static int held;

static int may_run(const sim_actor_t *a)
{
    return a->poll && !a->running && !a->over
           && (a->poll->got || a->poll->deadline <= sim_now || sim_poll_ready(a->poll));
}

/* One of them, if the thread that has its turn is of this engine. */
static void let_another_run(sim_engine_t *e)
{
    sim_actor_t *a = &e->hub;
    int i, running = a->running;

    for (i = 0; i < sim_conf.streamers; i++) {
        running |= e->streamers[i].running;
    }
    i = (int)sim_rand(&sim_sched, (uint32_t)sim_conf.streamers + 1);
    a = i ? &e->streamers[i - 1] : a;
    if (running && may_run(a)) {
        sim_world_poke(a->poll);
    }
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    (void)mutex;
    held++;
    return 0;
}

int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    int i;

    (void)mutex;
    held--;
    for (i = 0; sim_conf.unlocks && !held && i < sim_conf.engines; i++) {
        if (sim_engines[i].alive && !sim_engines[i].draining) {
            let_another_run(&sim_engines[i]);
        }
    }
    return 0;
}
