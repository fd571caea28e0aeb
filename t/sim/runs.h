/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs in processes of their own (main.c), and what shortens those that failed (shrink.c).
 */
#ifndef SIM_RUNS_H
#define SIM_RUNS_H

#include "sim.h"

#define SIM_STEPS_MAX 4096

/* In memory that the process of the run shares with who started it. */
typedef struct {
    volatile uint64_t seed; /* that is being run */
    volatile int failed, done;
    char class[32], text[1024];
    long stats[SIM_S_MAX];
    volatile int nactions; /* as recorded */
    sim_conf_t conf;
    sim_action_t actions[SIM_STEPS_MAX];
} sim_run_t;

/* Seconds of the real clock. */
double sim_wall(void);

/* One world from its seed: its steps are in `s` afterwards, and its failure. */
void sim_run_seed(uint64_t seed, sim_run_t *s);

/* Runs the history in `s` in a process of its own; its failure is there afterwards. */
int sim_trial(sim_run_t *s);

/* Makes a history of what the seed did, as short as it gets in a minute, and prints it. */
void sim_shrink(sim_run_t *s, uint64_t seed, const char *class);

#endif
