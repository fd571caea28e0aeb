/* SPDX-License-Identifier: Apache-2.0
 *
 * The fewest steps of a run that still fail in the same way.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "runs.h"

static int still_fails(sim_run_t *s, const sim_action_t *actions, int n, const char *class)
{
    memcpy(s->actions, actions, (size_t)n * sizeof(*actions));
    s->nactions = n;
    return sim_trial(s) && strcmp(s->class, class) == 0;
}

static int without(sim_action_t *to, const sim_action_t *from, int n, int at, int len)
{
    memcpy(to, from, (size_t)at * sizeof(*to));
    memcpy(to + at, from + at + len, (size_t)(n - at - len) * sizeof(*to));
    return n - len;
}

/* Fewer of something within a step. */
static int simplify(sim_run_t *s, sim_action_t *best, int n, const char *class, double until)
{
    static sim_action_t tried[SIM_STEPS_MAX];
    int i, changed = 0;

    for (i = 0; i < n && sim_wall() < until; i++) {
        sim_action_t *a = &best[i];
        int *value = a->op == SIM_ADD ? &a->d : a->op == SIM_MULTI ? &a->c : NULL;
        int lower = a->op == SIM_WAIT ? a->a / 2 : value ? *value / 2 : 0;

        if (lower < 1) {
            continue;
        }
        memcpy(tried, best, (size_t)n * sizeof(*tried));
        *(a->op == SIM_WAIT ? &tried[i].a : a->op == SIM_ADD ? &tried[i].d : &tried[i].c) = lower;
        if (still_fails(s, tried, n, class)) {
            memcpy(best, tried, (size_t)n * sizeof(*tried));
            changed = 1;
            i--;
        }
    }
    return changed;
}

static int shorten(sim_run_t *s, sim_action_t *best, int n, const char *class, double until)
{
    static sim_action_t tried[SIM_STEPS_MAX];
    int len, at;

    for (len = n / 2 ? n / 2 : 1; len && sim_wall() < until; len /= 2) {
        for (at = 0; at + len <= n && sim_wall() < until;) {
            int m = without(tried, best, n, at, len);

            if (still_fails(s, tried, m, class)) {
                memcpy(best, tried, (size_t)m * sizeof(*best));
                n = m;
            }
            else {
                at += len;
            }
        }
    }
    return n;
}

static void print_history(const sim_run_t *s, const sim_action_t *actions, int n)
{
    int i;

    printf("# %s: %s\nseed %llu\n", s->class, s->text, (unsigned long long)s->seed);
    sim_conf_print(stdout, &s->conf);
    for (i = 0; i < n; i++) {
        sim_action_print(stdout, &actions[i]);
    }
    printf("# end of history\n");
}

void sim_shrink(sim_run_t *s, uint64_t seed, const char *class)
{
    static sim_action_t best[SIM_STEPS_MAX];
    double until = sim_wall() + 60;
    int n, status, before;
    pid_t pid;

    /* Once more, for its steps. */
    s->failed = 0;
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        sim_run_seed(seed, s);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    n = s->nactions;
    memcpy(best, s->actions, (size_t)n * sizeof(*best));
    if (!still_fails(s, best, n, class)) {
        printf("# seed %llu: does not fail again when its steps are replayed (%s)\n",
               (unsigned long long)seed, s->failed ? s->class : "passes");
        return;
    }
    do {
        before = n;
        n = shorten(s, best, n, class, until);
    } while (n < before && sim_wall() < until);
    simplify(s, best, n, class, until);
    n = shorten(s, best, n, class, until);
    still_fails(s, best, n, class);
    print_history(s, best, n);
}
