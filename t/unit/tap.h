/* SPDX-License-Identifier: Apache-2.0
 *
 * Just enough TAP for the unit tests: each program prints its lines and ends in done_testing().
 */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int tap_count, tap_failed;

__attribute__((format(printf, 2, 3))) static inline int ok(int good, const char *fmt, ...)
{
    va_list ap;

    printf("%sok %d - ", good ? "" : "not ", ++tap_count);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    tap_failed += !good;
    return good;
}

static inline int is_str(const char *got, const char *want, const char *name)
{
    int good = got && want ? strcmp(got, want) == 0 : got == want;

    ok(good, "%s", name);
    if (!good) {
        printf("#      got: %s\n# expected: %s\n", got ? got : "(null)", want ? want : "(null)");
    }
    return good;
}

static inline int is_int(long long got, long long want, const char *name)
{
    ok(got == want, "%s", name);
    if (got != want) {
        printf("#      got: %lld\n# expected: %lld\n", got, want);
    }
    return got == want;
}

static inline int done_testing(void)
{
    printf("1..%d\n", tap_count);
    return tap_failed ? 1 : 0;
}

#endif
