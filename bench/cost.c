/* SPDX-License-Identifier: Apache-2.0
 *
 * What processes cost, from /proc: CPU time in nanoseconds where the kernel counts it (schedstat),
 * else in clock ticks; memory as proportional set size, so that what children share with their
 * parent counts once.
 */
#include "load.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    int64_t cpu, pss_kib, threads;
} use_t;

/* The number after `key` in a file of lines "key value", 0 if there is none. */
static int64_t field_read(const char *path, const char *key)
{
    char line[256];
    long long value = 0;
    FILE *in = fopen(path, "r");

    while (in && fgets(line, sizeof(line), in)) {
        if (strncmp(line, key, strlen(key)) == 0) {
            value = atoll(line + strlen(key));
            break;
        }
    }
    if (in) {
        fclose(in);
    }
    return value;
}

/* A process's time; *gone: of those that it started, and that have ended. */
static int64_t ticks_read(int pid, int64_t *gone)
{
    char path[64], line[1024] = "", *after;
    long long user = 0, system = 0, gone_user = 0, gone_system = 0;
    FILE *in;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    in = fopen(path, "r");
    if (in && fgets(line, sizeof(line), in) && (after = strrchr(line, ')'))) {
        sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lld %lld %lld %lld", &user,
               &system, &gone_user, &gone_system);
    }
    if (in) {
        fclose(in);
    }
    *gone = (gone_user + gone_system) * (SECOND / sysconf(_SC_CLK_TCK));
    return (user + system) * (SECOND / sysconf(_SC_CLK_TCK));
}

static void use_add(use_t *use, int pid);

static void children_add(use_t *use, int pid, const char *thread)
{
    char path[320];
    int child;
    FILE *in;

    snprintf(path, sizeof(path), "/proc/%d/task/%s/children", pid, thread);
    in = fopen(path, "r");
    while (in && fscanf(in, "%d", &child) == 1) {
        use_add(use, child);
    }
    if (in) {
        fclose(in);
    }
}

/* A process and all that it started. */
static void use_add(use_t *use, int pid)
{
    char path[320];
    int64_t precise = 0, gone, ticks = ticks_read(pid, &gone);
    struct dirent *entry;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
    use->pss_kib += field_read(path, "Pss:");
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    dir = opendir(path);
    while (dir && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        use->threads++;
        snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, entry->d_name);
        precise += field_read(path, "");
        children_add(use, pid, entry->d_name);
    }
    if (dir) {
        closedir(dir);
    }
    /* Threads that have ended are only in the ticks, which lag by up to one of each kind. */
    use->cpu += precise + 2 * (SECOND / sysconf(_SC_CLK_TCK)) >= ticks ? precise : ticks;
    use->cpu += gone;
}

static int64_t machine_read(void)
{
    long long user = 0, nice = 0, system = 0, irq = 0, softirq = 0;
    FILE *in = fopen("/proc/stat", "r");

    if (in) {
        if (fscanf(in, "cpu %lld %lld %lld %*d %*d %lld %lld", &user, &nice, &system, &irq,
                   &softirq)
            != 5) {
            user = 0;
        }
        fclose(in);
    }
    return (user + nice + system + irq + softirq) * (SECOND / sysconf(_SC_CLK_TCK));
}

void cost_read(cost_t *cost)
{
    use_t own = {0, 0, 0};
    int i;

    for (i = 0; i < options.server_count; i++) {
        use_t use = {0, 0, 0};

        use_add(&use, options.servers[i].pid);
        cost->cpu[i] = use.cpu;
        cost->pss_kib[i] = use.pss_kib;
        cost->threads[i] = use.threads;
    }
    use_add(&own, getpid());
    cost->own = own.cpu;
    cost->machine = machine_read();
    cost->when = now();
}
