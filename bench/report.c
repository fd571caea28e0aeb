/* SPDX-License-Identifier: Apache-2.0
 *
 * What was measured, as one JSON object on standard output; and whether a step passed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "load.h"

/* The last subscriber of 99 % of the events must have them by then. */
#define LATE_MS 1000.0

#define TOTAL(member) total_of(offsetof(reader_t, member))

/* p50, p99 and the most of all readers' buckets (of member `latency` or `connect`), in ms. */
static void print_buckets(const char *name, size_t member)
{
    static const double parts[] = {0.5, 0.99, 1};
    double values[3] = {0, 0, 0};
    uint64_t all = 0, seen = 0;
    unsigned b;
    int i, k = 0;

    for (i = 0; i < options.readers; i++) {
        _Atomic uint32_t *buckets = (void *)((char *)&world->readers[i] + member);

        for (b = 0; b < BUCKETS; b++) {
            all += atomic_load(&buckets[b]);
        }
    }
    for (b = 0; b < BUCKETS && all; b++) {
        for (i = 0; i < options.readers; i++) {
            _Atomic uint32_t *buckets = (void *)((char *)&world->readers[i] + member);

            seen += atomic_load(&buckets[b]);
        }
        while (k < 3 && (double)seen >= parts[k] * (double)all) {
            values[k++] = bucket_start(b) / 1000;
        }
    }
    printf("\"%s\":{\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}", name, values[0], values[1],
           values[2]);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The same of one value for each event; returns p99. */
static double print_values(const char *name, double *ms, uint32_t count)
{
    double p99;

    qsort(ms, count, sizeof(*ms), compare);
    p99 = count ? ms[(count - 1) * 99ull / 100] : 0;
    printf(",\"%s\":{\"p50\":%.3f,\"p99\":%.3f,\"max\":%.3f}", name, count ? ms[count / 2] : 0, p99,
           count ? ms[count - 1] : 0);
    return p99;
}

/* A value of each server. */
static void print_servers(const char *name, const int64_t *before, const int64_t *after, double by)
{
    int i;

    printf(",\"%s\":{", name);
    for (i = 0; i < options.server_count; i++) {
        printf("%s\"%s\":%.4f", i ? "," : "", options.servers[i].name,
               by > 0 ? (double)(after[i] - before[i]) / by : 0);
    }
    printf("}");
}

/* Cores that neither this program nor the servers used. */
static double others(const cost_t *before, const cost_t *after)
{
    int64_t cpu = after->machine - before->machine - (after->own - before->own);
    int i;

    for (i = 0; i < options.server_count; i++) {
        cpu -= after->cpu[i] - before->cpu[i];
    }
    return (double)cpu / (double)(after->when - before->when);
}

void report_connect(const cost_t *before, const cost_t *after, const cost_t *idle_from,
                    const cost_t *idle_to)
{
    double seconds = (double)(after->when - before->when) / (double)SECOND;
    double opened = (double)TOTAL(opened), held = opened - (double)TOTAL(closed);
    double idle = (double)(idle_to->when - idle_from->when) / (double)SECOND;

    printf("{\"connections\":%d,\"tenants\":%d,\"size\":%d,\"held\":%.0f,", options.connections,
           options.tenants, options.size, held);
    printf("\"connect_seconds\":%.3f,\"connect_rate\":%.1f,", seconds, opened / seconds);
    print_buckets("connect_ms", offsetof(reader_t, connect));
    /* With what followed the headers. */
    print_servers("connect_cpu_us", before->cpu, idle_from->cpu, 1000 * opened);
    printf(",\"connect_other_cores\":%.3f", others(before, after));
    print_servers("kib_per_connection", before->pss_kib, idle_to->pss_kib, held);
    print_servers("threads_more", before->threads, idle_to->threads, 1);
    print_servers("idle_cores", idle_from->cpu, idle_to->cpu, idle * (double)SECOND);
    printf(",\"idle_seconds\":%.3f,\"idle_other_cores\":%.3f,\n", idle,
           idle > 0.1 ? others(idle_from, idle_to) : 0);
}

void report_backlog(uint64_t expected, uint64_t delivered, int64_t began)
{
    int64_t last = began;
    int i;

    for (i = 0; i < options.backlog; i++) {
        int64_t at = atomic_load(&world->events[i].last);

        last = at > last ? at : last;
    }
    printf("\"backlog\":{\"expected\":%llu,\"delivered\":%llu,\"seconds\":%.3f},\n",
           (unsigned long long)expected, (unsigned long long)delivered,
           (double)(last - began) / (double)SECOND);
}

void report_step(step_t *step, bool first)
{
    double *to_first = calloc(step->count + 1, sizeof(double)), p99;
    double *to_last = calloc(step->count + 1, sizeof(double));
    double seconds = (double)(step->published.when - step->before.when) / (double)SECOND;
    double lasted = (double)(step->done - step->before.when) / (double)SECOND;
    uint32_t i, some = 0, whole = 0;

    if (!to_first || !to_last) {
        die("out of memory");
    }
    for (i = step->first; i < step->first + step->count; i++) {
        event_t *event = &world->events[i];
        uint32_t got = atomic_load(&event->got);

        if (got) {
            to_first[some++] = (double)(atomic_load(&event->first) - event->due) / 1e6;
        }
        if (got && got == event->want) {
            to_last[whole++] = (double)(atomic_load(&event->last) - event->due) / 1e6;
        }
    }
    printf("%s{\"rate\":%g,\"seconds\":%.3f,\"lasted\":%.3f,\"events\":%u,\"acknowledged\":%llu,",
           first ? "\n" : ",\n", step->rate, seconds, lasted, step->count,
           (unsigned long long)step->acknowledged);
    printf("\"expected\":%llu,\"delivered\":%llu,\"deliveries_per_second\":%.1f,\"lag_ms\":%.3f,",
           (unsigned long long)step->expected, (unsigned long long)step->delivered,
           (double)step->delivered / lasted, (double)step->lag / 1e6);
    printf("\"bytes_per_delivery\":%.1f,",
           step->delivered ? (double)step->bytes / (double)step->delivered : 0);
    print_buckets("latency_ms", offsetof(reader_t, latency));
    print_values("first_ms", to_first, some);
    p99 = print_values("last_ms", to_last, whole);
    print_servers("cpu_us_per_delivery", step->before.cpu, step->after.cpu,
                  1000 * (double)step->delivered);
    print_servers("cpu_ms", step->before.cpu, step->after.cpu, 1e6);
    print_servers("kib_more", step->before.pss_kib, step->published.pss_kib, 1);
    step->hopeless = step->delivered < step->expected || p99 > 3 * LATE_MS;
    step->passed = !step->hopeless && step->acknowledged == step->count && p99 <= LATE_MS;
    printf(",\"noise\":%llu,\"client_cores\":%.3f,\"other_cores\":%.3f,\"passed\":%s}",
           (unsigned long long)step->noise,
           (double)(step->after.own - step->before.own) / (lasted * (double)SECOND),
           others(&step->before, &step->after), step->passed ? "true" : "false");
    fflush(stdout);
    free(to_first);
    free(to_last);
}

/* Each second's cores of each server. */
static void print_seconds(const char *name, int n, double (*cores)[SERVERS_MAX])
{
    int server, i;

    printf(",\n\"%s\":{", name);
    for (server = 0; server < options.server_count; server++) {
        printf("%s\"%s\":[", server ? "," : "", options.servers[server].name);
        for (i = 0; i < n; i++) {
            printf("%s%.3f", i ? "," : "", cores[i][server]);
        }
        printf("]");
    }
    printf("}");
}

void report_reload(const step_t *step, int64_t asked, int calm, double (*before)[SERVERS_MAX],
                   int n, double (*cores)[SERVERS_MAX])
{
    int64_t last = asked;
    int i;

    for (i = 0; i < options.readers; i++) {
        int64_t at = atomic_load(&world->readers[i].last_back);

        last = at > last ? at : last;
    }
    printf(
        "],\n\"reload\":{\"events\":%u,\"acknowledged\":%llu,\"expected\":%llu,\"delivered\":%llu,",
        step->count, (unsigned long long)step->acknowledged, (unsigned long long)step->expected,
        (unsigned long long)step->delivered);
    printf("\"left\":%llu,\"returned\":%llu,\"resumed\":%llu,\"refused\":%llu,\"failed\":%llu,"
           "\"seconds\":%.3f,\"other_cores\":%.3f",
           (unsigned long long)TOTAL(left), (unsigned long long)TOTAL(returned),
           (unsigned long long)TOTAL(resumed), (unsigned long long)TOTAL(refused),
           (unsigned long long)TOTAL(failed), (double)(last - asked) / (double)SECOND,
           others(&step->before, &step->after));
    print_seconds("cores_before", calm, before);
    print_seconds("cores", n, cores);
    printf("},\n\"rest\":[");
}

void report_handshakes(const cost_t *before, const cost_t *after, uint64_t done, uint64_t resumed)
{
    double seconds = (double)(after->when - before->when) / (double)SECOND;

    printf("{\"handshakes\":{\"done\":%llu,\"resumed\":%llu,\"failed\":%llu,\"per_second\":%.1f",
           (unsigned long long)done, (unsigned long long)resumed, (unsigned long long)TOTAL(failed),
           (double)done / seconds);
    print_servers("cpu_us", before->cpu, after->cpu, 1000 * (double)done);
    printf(",\"client_cores\":%.3f,\"other_cores\":%.3f},\n\"steps\":[",
           (double)(after->own - before->own) / (seconds * (double)SECOND), others(before, after));
}

void report_end(bool cut)
{
    printf("],\n\"refused\":%llu,\"closed\":%llu,\"repeated\":%llu,\"missed\":%llu,\"foreign\":%"
           "llu,\"late\":%llu,"
           "\"cut\":%s}\n",
           (unsigned long long)TOTAL(refused), (unsigned long long)TOTAL(closed),
           (unsigned long long)TOTAL(repeated), (unsigned long long)TOTAL(missed),
           (unsigned long long)TOTAL(foreign), (unsigned long long)TOTAL(late),
           cut ? "true" : "false");
}
