/* SPDX-License-Identifier: Apache-2.0
 *
 *     t/sim/sim [--seed N] [--runs N] [--seconds S] [--steps N] [--jobs N] [--only CLASS]
 *               [--no-shrink] [--verbose] [--fault N] [--replay FILE]
 *
 * Runs one world after the other, each from a seed of its own, in processes that may die of what
 * they find. The first failure of each kind is shortened to the fewest steps that still fail in
 * the same way, and printed as a history that --replay takes.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <apr_general.h>

#include "base/rs_log.h"
#include "runs.h"

#define JOBS_MAX 16
#define CLASSES_MAX 64
#define RUN_LIMIT 60 /* seconds */
#define TOLD_MAX  10 /* failures of a kind that are told at once */

const char *const sim_stat_names[SIM_S_MAX] = {
    "runs",        "actions",     "turns",   "commands",      "entries",
    "connects",    "refused",     "new",     "resumed",       "trimmed",
    "limit",       "redis_reset", "unknown", "later_trimmed", "later_redis_reset",
    "later_limit", "too_big",     "events",  "caught_up",     "heartbeats",
    "draining",    "unavailable", "slow",    "cuts",          "failovers",
    "kills",       "drains",      "settles", "group_starts",  "partial_writes",
};

static struct {
    uint64_t seed;
    long runs, steps;
    double seconds;
    int jobs, shrink, verbose;
    const char *only, *replay;
} options = {1, 0, 300, 0, 1, 1, 0, NULL, NULL};

static sim_run_t *shared; /* one for each job, and one for what is shortened */

double sim_wall(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void log_line(const char *file, int line, int level, apr_status_t rv, const char *message)
{
    (void)file;
    (void)line;
    (void)level;
    (void)rv;
    sim_trace("log: %s", message);
}

/* --- one run --- */

static void note_failure(sim_run_t *s)
{
    if (sim_failed) {
        strcpy(s->class, sim_fail_class);
        strcpy(s->text, sim_fail_text);
        s->failed = 1;
    }
}

/* Allocations of the engine that are left when all engines have ended. */
static void check_leak(long allocs)
{
    if (!sim_failed && !sim_verbose && sim_live_allocs != allocs) {
        sim_fail("leak", "%ld allocations are left at the end", sim_live_allocs - allocs);
    }
}

void sim_run_seed(uint64_t seed, sim_run_t *s)
{
    sim_rng_t r = {sim_mix(seed) | 1};
    long step, allocs = sim_live_allocs;

    alarm(RUN_LIMIT);
    s->seed = seed;
    s->nactions = 0;
    sim_generate_conf(&r, &s->conf);
    sim_conf = s->conf;
    sim_generate_reset(&r);
    sim_world_begin(seed);
    for (step = 0; step < options.steps && step < SIM_STEPS_MAX && !sim_failed; step++) {
        sim_generate(&r, &s->actions[step]);
        s->nactions = (int)step + 1;
        sim_action_do(&s->actions[step]);
    }
    sim_world_end();
    sim_stats[SIM_S_RUNS]++;
    check_leak(allocs);
    note_failure(s);
}

static void run_history(sim_run_t *s)
{
    long allocs = sim_live_allocs;
    int i;

    alarm(RUN_LIMIT);
    sim_conf = s->conf;
    sim_world_begin(s->seed);
    for (i = 0; i < s->nactions && !sim_failed; i++) {
        sim_action_do(&s->actions[i]);
    }
    sim_world_end();
    check_leak(allocs);
    note_failure(s);
}

/* --- in processes of their own --- */

static void add_stats(sim_run_t *s)
{
    int i;

    for (i = 0; i < SIM_S_MAX; i++) {
        s->stats[i] += sim_stats[i];
        sim_stats[i] = 0;
    }
}

static void worker(sim_run_t *s, uint64_t seed, uint64_t end, double until)
{
    for (; seed < end && (!options.seconds || sim_wall() < until); seed += (uint64_t)options.jobs) {
        sim_run_seed(seed, s);
        add_stats(s);
        if (s->failed) {
            _exit(1);
        }
    }
    s->done = 1;
    _exit(0);
}

static void died(sim_run_t *s, int status)
{
    int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;

    s->failed = 1;
    strcpy(s->class, sig == SIGALRM ? "hang" : "crash");
    snprintf(s->text, sizeof(s->text), sig ? "signal %d" : "exit status %d",
             sig ? sig : WEXITSTATUS(status));
}

int sim_trial(sim_run_t *s)
{
    int status;
    pid_t pid;

    s->failed = 0;
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        if (!options.verbose) {
            fclose(stderr);
        }
        run_history(s);
        fflush(stdout);
        _exit(s->failed ? 1 : 0);
    }
    waitpid(pid, &status, 0);
    if (!s->failed && status) {
        died(s, status);
    }
    return s->failed;
}

/* --- all of it --- */

static struct {
    char class[32], text[1024];
    uint64_t seed;
    long count;
} classes[CLASSES_MAX];
static int nclasses;

static void count_failure(const sim_run_t *s)
{
    int i;

    for (i = 0; i < nclasses && strcmp(classes[i].class, s->class) != 0; i++) {
    }
    if (i == CLASSES_MAX) {
        return;
    }
    if (i == nclasses) {
        strcpy(classes[i].class, s->class);
        strcpy(classes[i].text, s->text);
        classes[i].seed = s->seed;
        nclasses++;
    }
    if (++classes[i].count <= TOLD_MAX) {
        printf("# %11s seed %llu: %s\n", s->class, (unsigned long long)s->seed, s->text);
    }
}

static pid_t start_worker(int job, uint64_t seed, uint64_t end, double until)
{
    pid_t pid;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        worker(&shared[job], seed, end, until);
    }
    return pid;
}

static void run_all(double until)
{
    uint64_t end = options.runs ? options.seed + (uint64_t)options.runs : ~(uint64_t)0;
    pid_t pids[JOBS_MAX];
    int job, left = options.jobs;

    for (job = 0; job < options.jobs; job++) {
        pids[job] = start_worker(job, options.seed + (uint64_t)job, end, until);
    }
    while (left) {
        int status;
        pid_t pid = wait(&status);
        sim_run_t *s;

        for (job = 0; job < options.jobs && pids[job] != pid; job++) {
        }
        s = &shared[job];
        if (!s->failed && !s->done) {
            died(s, status);
        }
        if (s->failed) {
            count_failure(s);
            s->failed = 0;
            pids[job] = start_worker(job, s->seed + (uint64_t)options.jobs, end, until);
        }
        else {
            left--;
        }
    }
}

static int report(double seconds)
{
    long total[SIM_S_MAX] = {0}, failures = 0;
    int i, k;

    for (i = 0; i < nclasses; i++) {
        printf("# %5ld %-11s first seed %llu: %s\n", classes[i].count, classes[i].class,
               (unsigned long long)classes[i].seed, classes[i].text);
        failures += classes[i].count;
    }
    for (i = 0; i < options.jobs; i++) {
        for (k = 0; k < SIM_S_MAX; k++) {
            total[k] += shared[i].stats[k];
        }
    }
    printf("# ");
    for (k = 0; k < SIM_S_MAX; k++) {
        printf("%s %ld%s", sim_stat_names[k], total[k], k + 1 < SIM_S_MAX ? ", " : "\n");
    }
    printf("# %ld steps (turns, commands, actions) in %.1f s: %.0f a second; %ld failures of %d "
           "kinds\n",
           total[SIM_S_TURNS] + total[SIM_S_COMMANDS] + total[SIM_S_ACTIONS], seconds,
           (double)(total[SIM_S_TURNS] + total[SIM_S_COMMANDS] + total[SIM_S_ACTIONS]) / seconds,
           failures, nclasses);
    for (k = 0; k < SIM_S_MAX && total[SIM_S_RUNS] > 2000; k++) {
        if (!total[k]) {
            printf("# nothing was tested of: %s\n", sim_stat_names[k]);
            failures++;
        }
    }
    return failures != 0;
}

static int replay(const char *name)
{
    sim_run_t *s = &shared[options.jobs];
    FILE *f = fopen(name, "r");
    unsigned long long seed;
    char line[512];

    if (!f) {
        perror(name);
        return 2;
    }
    sim_conf_default(&s->conf);
    s->seed = 1;
    while (fgets(line, sizeof(line), f)) {
        if (line[0] == '#' || line[0] == '\n') {
            continue;
        }
        if (sscanf(line, "seed %llu", &seed) == 1) {
            s->seed = seed;
        }
        else if (!sim_conf_parse(line, &s->conf)
                 && (s->nactions == SIM_STEPS_MAX
                     || !sim_action_parse(line, &s->actions[s->nactions++]))) {
            printf("# %s: not understood: %s", name, line);
            return 2;
        }
    }
    fclose(f);
    sim_trial(s);
    printf("%s %s%s%s\n", s->failed ? "# fails:" : "# passes", s->failed ? s->class : "",
           s->failed ? ": " : "", s->failed ? s->text : "");
    return s->failed;
}

static void parse_options(int argc, char **argv)
{
    int i;

    for (i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        int takes = 1;

        if (strcmp(name, "--seed") == 0) {
            options.seed = strtoull(value, NULL, 10);
        }
        else if (strcmp(name, "--runs") == 0) {
            options.runs = atol(value);
        }
        else if (strcmp(name, "--steps") == 0) {
            options.steps = atol(value);
        }
        else if (strcmp(name, "--seconds") == 0) {
            options.seconds = atof(value);
        }
        else if (strcmp(name, "--jobs") == 0) {
            options.jobs = atoi(value);
        }
        else if (strcmp(name, "--only") == 0) {
            options.only = value;
        }
        else if (strcmp(name, "--fault") == 0) {
            sim_fault = atoi(value);
        }
        else if (strcmp(name, "--replay") == 0) {
            options.replay = value;
        }
        else if (takes = 0, strcmp(name, "--no-shrink") == 0) {
            options.shrink = 0;
        }
        else if (strcmp(name, "--verbose") == 0) {
            options.verbose = sim_verbose = 1;
        }
        else {
            printf("unknown option %s: see t/sim/main.c\n", name);
            exit(2);
        }
        i += takes;
    }
    if (options.jobs < 1 || options.jobs > JOBS_MAX) {
        options.jobs = 1;
    }
    if (!options.runs && !options.seconds) {
        options.runs = 1000;
    }
}

int main(int argc, char **argv)
{
    double begun = sim_wall();
    int i, failed;

    setvbuf(stdout, NULL, _IOLBF, 0);
    parse_options(argc, argv);
    apr_initialize();
    shared = mmap(NULL, (size_t)(options.jobs + 1) * sizeof(*shared), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (options.verbose) {
        rs_log_sink(log_line, RS_LOG_INFO);
    }
    if (options.replay) {
        return replay(options.replay);
    }
    run_all(begun + options.seconds);
    failed = report(sim_wall() - begun);
    for (i = 0; options.shrink && i < nclasses; i++) {
        if (!options.only || strcmp(options.only, classes[i].class) == 0) {
            sim_shrink(&shared[options.jobs], classes[i].seed, classes[i].class);
        }
    }
    return failed;
}
