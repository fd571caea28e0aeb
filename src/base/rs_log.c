/* SPDX-License-Identifier: Apache-2.0
 *
 * The log shim. Any thread; formats on the caller's stack, allocates nothing.
 */
#include <stdarg.h>
#include <stdio.h>

#include "rs_log.h"

static rs_log_fn *sink;
int rs_log_level_max = -1;

void rs_log_sink(rs_log_fn *fn, int level)
{
    sink = fn;
    rs_log_level_max = fn ? level : -1;
}

void rs_log_write(const char *file, int line, int level, apr_status_t rv, const char *fmt, ...)
{
    char message[1024];
    va_list ap;

    if (!sink) {
        return;
    }
    va_start(ap, fmt);
    vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    sink(file, line, level, rv, message);
}
