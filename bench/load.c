/* SPDX-License-Identifier: Apache-2.0
 *
 * Opens event streams or WebSockets, publishes events, and measures what arrives and what it costs
 * the servers: see README.md. This file is the parent: phases, the search for the highest rate.
 */
#include "load.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t children[READERS_MAX + 2];
static int child_count;
/* Of the back end. */
static int listener;

/* --- processes --- */

/* Readers are 0, 1, and so on. */
#define NOISE (-1)
#define BACKEND (-2)

static void child_start(int index)
{
    pid_t parent = getpid(), child = fork();
    int64_t n = options.connections;

    if (child < 0) {
        die("fork: %s", strerror(errno));
    }
    if (child > 0) {
        children[child_count++] = child;
        return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(2);
    }
    if (index == NOISE) {
        noise_run();
    }
    else if (index == BACKEND) {
        backend_run(listener);
    }
    else {
        reader_run(index, (int)(n * index / options.readers),
                   (int)(n * (index + 1) / options.readers));
    }
    _exit(0);
}

/* Sleeps a little; ends all if a child has died. */
static void nap(void)
{
    int status;

    if (waitpid(-1, &status, WNOHANG) > 0) {
        die("a process of the load client ended early");
    }
    usleep(2000);
}

static void nap_for(double seconds)
{
    int64_t end = now() + (int64_t)(seconds * (double)SECOND);

    while (now() < end) {
        nap();
    }
}

static uint64_t delivered(void) { return total_of(offsetof(reader_t, delivered)); }

/* As fast as they are taken; returns how many deliveries that makes. */
static uint64_t backlog_publish(publisher_t *p)
{
    uint64_t expected = 0;
    int i;

    if (publisher_run(p, 1e9, (double)options.backlog / 1e9) < (uint64_t)options.backlog) {
        die("the backlog was not published");
    }
    for (i = 0; i < options.backlog; i++) {
        world->events[i].want = share_of(i % options.tenants);
        expected += world->events[i].want;
    }
    return expected;
}

/* Until all have what they missed, or nothing comes any more. */
static void backlog_wait(uint64_t expected, int64_t began)
{
    uint64_t last = delivered();
    int64_t progress = now();

    while (last < expected && now() < progress + 10 * SECOND) {
        uint64_t n;

        nap();
        n = delivered();
        progress = n > last ? now() : progress;
        last = n;
    }
    report_backlog(expected, last, began);
}

static void connect_all(publisher_t *p)
{
    cost_t before, after, idle_from, idle_to;
    uint64_t done, backlog = 0;
    int64_t progress;

    while (atomic_load(&world->ready) < options.readers) {
        nap();
    }
    if (options.backlog) {
        backlog = backlog_publish(p);
    }
    cost_read(&before);
    atomic_store(&world->phase, PHASE_CONNECT);
    for (done = 0, progress = now(); done < (uint64_t)options.connections;) {
        uint64_t last = done;

        nap();
        done = total_of(offsetof(reader_t, opened));
        /* Who is refused comes again, if it may. */
        done += options.again ? 0 : total_of(offsetof(reader_t, failed));
        done -= options.again ? total_of(offsetof(reader_t, closed)) : 0;
        progress = done > last ? now() : progress;
        if (now() > progress + 10 * SECOND) {
            break;
        }
    }
    cost_read(&after);
    /* What follows the headers has arrived. */
    nap_for(1);
    cost_read(&idle_from);
    nap_for(options.idle);
    cost_read(&idle_to);
    report_connect(&before, &after, &idle_from, &idle_to);
    if (options.backlog) {
        backlog_wait(backlog, before.when);
    }
    printf("\"steps\":[");
}

/* Handshakes for some seconds, when all have begun with it. */
static void handshakes_run(void)
{
    cost_t before, after;
    uint64_t done, resumed;

    while (atomic_load(&world->ready) < options.readers) {
        nap();
    }
    atomic_store(&world->phase, PHASE_CONNECT);
    nap_for(1);
    cost_read(&before);
    done = total_of(offsetof(reader_t, opened));
    resumed = total_of(offsetof(reader_t, resumed));
    nap_for(options.seconds);
    cost_read(&after);
    report_handshakes(&before, &after, total_of(offsetof(reader_t, opened)) - done,
                      total_of(offsetof(reader_t, resumed)) - resumed);
}

/* --- steps --- */

static void buckets_clear(void)
{
    int i;

    for (i = 0; i < options.readers; i++) {
        memset((void *)world->readers[i].latency, 0, sizeof(world->readers[i].latency));
    }
}

/* Until all has arrived, or nothing has for a while. */
void step_wait(step_t *step, uint64_t before)
{
    int64_t progress = now();
    uint64_t last = delivered();

    while (step->delivered = last - before, step->delivered < step->expected) {
        uint64_t n;

        nap();
        n = delivered();
        if (n != last) {
            last = n;
            progress = now();
        }
        else if (now() > progress + 3 * SECOND) {
            break;
        }
    }
    step->done = progress;
}

typedef enum { PASSED, FAILED, HOPELESS } outcome_t;

static outcome_t step_run(publisher_t *p, double rate)
{
    static bool any;
    step_t step = {.rate = rate, .first = atomic_load(&world->next)};
    uint64_t before = delivered(), bytes = total_of(offsetof(reader_t, bytes)),
             noise = atomic_load(&world->noise_sent);
    uint32_t i;

    buckets_clear();
    atomic_store(&world->step, step.first);
    if (options.stopped) {
        atomic_store(&world->phase, PHASE_STOP);
        nap_for(0.1);
    }
    cost_read(&step.before);
    atomic_store(&world->noise_on, options.noise > 0);
    step.acknowledged =
        p ? publisher_run(p, rate, options.seconds) : senders_run((int)rate, options.seconds);
    atomic_store(&world->noise_on, 0);
    step.lag = p ? publisher_lag(p) : 0;
    step.count = atomic_load(&world->next) - step.first;
    for (i = step.first; i < step.first + step.count; i++) {
        step.expected += world->events[i].want;
    }
    if (options.stopped) {
        nap_for(1);
    }
    cost_read(&step.published);
    if (options.stopped) {
        atomic_store(&world->phase, PHASE_READ);
    }
    step_wait(&step, before);
    cost_read(&step.after);
    step.bytes = total_of(offsetof(reader_t, bytes)) - bytes;
    step.noise = atomic_load(&world->noise_sent) - noise;
    report_step(&step, !any);
    any = true;
    fprintf(stderr, "load: %g %s: %llu of %llu delivered%s\n", rate, p ? "events/s" : "publishers",
            (unsigned long long)step.delivered, (unsigned long long)step.expected,
            step.passed ? "" : ", too slow");
    nap_for(0.5);
    return step.passed ? PASSED : step.hopeless ? HOPELESS : FAILED;
}

/* Doubles the rate until a step fails (by little: twice, once may be bad luck), then halves the
 * distance. False: there was no time for all of it. */
static bool search(publisher_t *p)
{
    double good = 0, bad = 0, rate = options.search;
    int64_t end = now() + (int64_t)(options.limit * (double)SECOND);
    int halved = 0;

    while (halved < 3 && rate * options.seconds < EVENTS_MAX / 4) {
        outcome_t outcome;

        if (now() >= end) {
            return false;
        }
        outcome = step_run(p, rate);
        if (outcome == FAILED) {
            outcome = step_run(p, rate);
        }
        if (outcome == PASSED) {
            good = rate;
        }
        else {
            bad = rate;
        }
        halved += bad > 0;
        rate = bad > 0 ? (good + bad) / 2 : rate * 2;
    }
    return true;
}

static void steps_run(publisher_t *p, bool *cut)
{
    int i;

    if (options.reload) {
        reload_run(p);
        return;
    }
    for (i = 0; i < options.rate_count; i++) {
        step_run(p, options.rates[i]);
    }
    if (options.search > 0) {
        *cut = !search(p);
    }
}

int main(int argc, char **argv)
{
    publisher_t *p = NULL;
    bool cut = false;
    int i;

    options_read(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (world == MAP_FAILED) {
        die("out of memory");
    }
    world->nonce = (uint32_t)now() ^ (uint32_t)getpid() << 16;
    for (i = 0; i < options.readers; i++) {
        child_start(i);
    }
    if (options.noise > 0) {
        child_start(NOISE);
    }
    if (options.callbacks) {
        listener = backend_listen();
        child_start(BACKEND);
    }
    if (!options.send && (options.rate_count || options.search > 0 || options.backlog)) {
        p = publisher_open();
    }
    options.handshakes ? handshakes_run() : connect_all(p);
    if ((p || options.send) && !options.handshakes) {
        steps_run(p, &cut);
    }
    if (p) {
        publisher_close(p);
    }
    atomic_store(&world->phase, PHASE_END);
    for (i = 0; i < child_count; i++) {
        waitpid(children[i], NULL, 0);
    }
    report_end(cut);
    return 0;
}
