/* SPDX-License-Identifier: Apache-2.0
 *
 * The options and the world of the load client, and what each of its parts uses.
 */
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

options_t options = {
    .host = "127.0.0.1",
    .path = "/",
    .tenants = 1,
    .readers = 1,
    .in_flight = 64,
    .seconds = 5,
    .limit = 3600,
    .idle = 1,
    .size = 300,
    .publish_host = "127.0.0.1",
    .key = "bench",
};
world_t *world;

int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

void die(const char *format, ...)
{
    va_list ap;

    fputs("load: ", stderr);
    va_start(ap, format);
    vfprintf(stderr, format, ap);
    va_end(ap);
    fputc('\n', stderr);
    if (world) {
        atomic_store(&world->phase, PHASE_END);
    }
    _exit(2);
}

uint32_t share_of(int tenant)
{
    int more = options.connections % options.tenants;

    return (uint32_t)(options.connections / options.tenants + (tenant < more));
}

uint64_t total_of(size_t member)
{
    uint64_t sum = 0;
    int i;

    for (i = 0; i < options.readers; i++) {
        sum += atomic_load((_Atomic uint64_t *)(void *)((char *)&world->readers[i] + member));
    }
    return sum;
}

void expand(char *out, size_t size, const char *template, int number)
{
    size_t n = 0;

    while (*template && n + 16 < size) {
        if (template[0] == '%' && template[1] == 't') {
            n += (size_t)snprintf(out + n, size - n, "t%d", number);
            template += 2;
        }
        else {
            out[n++] = *template ++;
        }
    }
    out[n] = '\0';
}
