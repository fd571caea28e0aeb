/* SPDX-License-Identifier: Apache-2.0
 *
 * Opens event streams or WebSockets, publishes events, and measures what arrives and what it costs
 * the servers: see README.md. This file is the parent: options, phases, the search for the highest
 * rate.
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

static pid_t children[READERS_MAX + 1];
static int child_count;

/* --- options --- */

/* "http://HOST:PORT/path" into its parts; the host is an IPv4 address. */
static const char *url_read(const char *url, const char **host, int *port)
{
    char *copy = strdup(url), *at, *path;

    if (!copy || !(at = strstr(copy, "://")) || !(path = strchr(at + 3, '/'))) {
        die("no URL: %s", url);
    }
    *path = '\0';
    *host = at + 3;
    if (!(at = strchr(at + 3, ':'))) {
        die("no port in %s", url);
    }
    *at = '\0';
    *port = atoi(at + 1);
    return url + (path - copy);
}

static int number_read(const char *text, int least, int most)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (*end || n < least || n > most) {
        die("%s is not a number from %d to %d", text, least, most);
    }
    return (int)n;
}

static void rates_read(char *list)
{
    char *at = strtok(list, ",");

    for (; at && options.rate_count < RATES_MAX; at = strtok(NULL, ",")) {
        options.rates[options.rate_count++] = atof(at);
    }
}

static void server_read(char *text)
{
    char *equals = strchr(text, '=');

    if (!equals || options.server_count == SERVERS_MAX) {
        die("--server NAME=PID, at most %d", SERVERS_MAX);
    }
    *equals = '\0';
    options.servers[options.server_count].name = text;
    options.servers[options.server_count++].pid = number_read(equals + 1, 1, 1 << 30);
}

static void token_read(char *text)
{
    char *colon = strchr(text, ':');

    if (!colon) {
        die("--token ALG:FILE");
    }
    *colon = '\0';
    options.token_alg = text;
    options.token_key = colon + 1;
}

static void url_option(char *url)
{
    options.websocket = strncmp(url, "ws", 2) == 0;
    options.tls = strncmp(url, "wss:", 4) == 0 || strncmp(url, "https:", 6) == 0;
    options.path = url_read(url, &options.host, &options.port);
}

static void post_option(char *url)
{
    options.post = url_read(url, &options.publish_host, &options.publish_port);
}

static void key_option(char *key) { options.key = key; }

/* Each takes a value: a number within limits, a number with a fraction, or text. */
static const struct {
    const char *name;
    int *number;
    int least, most;
    double *real;
    void (*text)(char *);
} settings[] = {
    {"--url", NULL, 0, 0, NULL, url_option},
    {"--connections", &options.connections, 0, 10000000, NULL, NULL},
    {"--tenants", &options.tenants, 1, TENANTS_MAX, NULL, NULL},
    {"--readers", &options.readers, 1, READERS_MAX, NULL, NULL},
    {"--in-flight", &options.in_flight, 1, 100000, NULL, NULL},
    {"--token", NULL, 0, 0, NULL, token_read},
    {"--token-each", &options.token_each, 0, 1, NULL, NULL},
    {"--stop", &options.stopped, 0, 10000000, NULL, NULL},
    {"--receive-buffer", &options.receive_buffer, 1, 1 << 30, NULL, NULL},
    {"--deflate", &options.deflate, 0, 1, NULL, NULL},
    {"--idle", NULL, 0, 0, &options.idle, NULL},
    {"--redis", &options.publish_port, 1, 65535, NULL, NULL},
    {"--key", NULL, 0, 0, NULL, key_option},
    {"--post", NULL, 0, 0, NULL, post_option},
    {"--size", &options.size, 64, 16384, NULL, NULL},
    {"--backlog", &options.backlog, 0, EVENTS_MAX / 2, NULL, NULL},
    {"--seconds", NULL, 0, 0, &options.seconds, NULL},
    {"--rates", NULL, 0, 0, NULL, rates_read},
    {"--search", NULL, 0, 0, &options.search, NULL},
    {"--limit", NULL, 0, 0, &options.limit, NULL},
    {"--noise", NULL, 0, 0, &options.noise, NULL},
    {"--server", NULL, 0, 0, NULL, server_read},
};

static void options_read(int argc, char **argv)
{
    int i;

    for (i = 1; i + 1 < argc; i += 2) {
        size_t k = 0, count = sizeof(settings) / sizeof(settings[0]);

        while (k < count && strcmp(argv[i], settings[k].name) != 0) {
            k++;
        }
        if (k == count) {
            die("no option: %s", argv[i]);
        }
        if (settings[k].number) {
            *settings[k].number = number_read(argv[i + 1], settings[k].least, settings[k].most);
        }
        else if (settings[k].real) {
            *settings[k].real = atof(argv[i + 1]);
        }
        else {
            settings[k].text(argv[i + 1]);
        }
    }
    if (options.deflate && !options.websocket) {
        die("--deflate is for WebSockets");
    }
    if (!options.port || i < argc) {
        die("--url is missing, or an option has no value: see README.md");
    }
}

/* --- processes --- */

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
    if (index == options.readers) {
        noise_run();
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

static uint64_t delivered(void)
{
    uint64_t sum = 0;
    int i;

    for (i = 0; i < options.readers; i++) {
        sum += atomic_load(&world->readers[i].delivered);
    }
    return sum;
}

/* As fast as they are taken; returns how many deliveries that makes. */
static uint64_t backlog_publish(publisher_t *p)
{
    uint64_t expected = 0;
    int i;

    if (publisher_run(p, 1e9, (double)options.backlog / 1e9) < (uint64_t)options.backlog) {
        die("the backlog was not published");
    }
    for (i = 0; i < options.backlog; i++) {
        int tenant = i % options.tenants;
        int all = options.connections / options.tenants;

        world->events[i].want = (uint32_t)(all + (tenant < options.connections % options.tenants));
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
        int i;

        nap();
        for (done = 0, i = 0; i < options.readers; i++) {
            done += atomic_load(&world->readers[i].opened);
            done += atomic_load(&world->readers[i].failed);
        }
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

/* --- steps --- */

/* Of what the servers have sent, in their frames. */
static uint64_t bytes_read(void)
{
    uint64_t all = 0;
    int i;

    for (i = 0; i < options.readers; i++) {
        all += atomic_load(&world->readers[i].bytes);
    }
    return all;
}

static void buckets_clear(void)
{
    int i;

    for (i = 0; i < options.readers; i++) {
        memset((void *)world->readers[i].latency, 0, sizeof(world->readers[i].latency));
    }
}

/* Until all has arrived, or nothing has for a while. */
static void step_wait(step_t *step, uint64_t before)
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
    uint64_t before = delivered(), bytes = bytes_read(), noise = atomic_load(&world->noise_sent);
    uint32_t i;

    buckets_clear();
    atomic_store(&world->step, step.first);
    if (options.stopped) {
        atomic_store(&world->phase, PHASE_STOP);
        nap_for(0.1);
    }
    cost_read(&step.before);
    atomic_store(&world->noise_on, options.noise > 0);
    step.acknowledged = publisher_run(p, rate, options.seconds);
    atomic_store(&world->noise_on, 0);
    step.lag = publisher_lag(p);
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
    step.bytes = bytes_read() - bytes;
    step.noise = atomic_load(&world->noise_sent) - noise;
    report_step(&step, !any);
    any = true;
    fprintf(stderr, "load: %g events/s: %llu of %llu delivered%s\n", rate,
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
        child_start(options.readers);
    }
    if (options.rate_count || options.search > 0 || options.backlog) {
        p = publisher_open();
    }
    connect_all(p);
    if (p) {
        for (i = 0; i < options.rate_count; i++) {
            step_run(p, options.rates[i]);
        }
        if (options.search > 0) {
            cut = !search(p);
        }
        publisher_close(p);
    }
    atomic_store(&world->phase, PHASE_END);
    for (i = 0; i < child_count; i++) {
        waitpid(children[i], NULL, 0);
    }
    report_end(cut);
    return 0;
}
