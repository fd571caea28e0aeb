/* SPDX-License-Identifier: Apache-2.0
 *
 * Logging for code that must not know httpd. The module installs a sink that ends in
 * ap_log_error; unit tests and fuzzers leave it unset and hear nothing. Any thread.
 */
#ifndef RS_LOG_H
#define RS_LOG_H

#include "rs_base.h"

/* The numbers of httpd's levels, so that the sink passes them through. */
#define RS_LOG_EMERG 0
#define RS_LOG_ERR 3
#define RS_LOG_WARNING 4
#define RS_LOG_NOTICE 5
#define RS_LOG_INFO 6
#define RS_LOG_DEBUG 7
#define RS_LOG_TRACE 9

/* Every message from debug up has a number of its own, so that it can be found and asked about. */
#define RSLOGNO(n) "RS" #n ": "

typedef void rs_log_fn(const char *file, int line, int level, apr_status_t rv, const char *message);

/* Before any thread is started. `level` is the most verbose level that is written. */
void rs_log_sink(rs_log_fn *fn, int level);

extern int rs_log_level_max;

#define rs_log(level, rv, ...)                                                                     \
    do {                                                                                           \
        if ((level) <= rs_log_level_max) {                                                         \
            rs_log_write(__FILE__, __LINE__, (level), (rv), __VA_ARGS__);                          \
        }                                                                                          \
    } while (0)

void rs_log_write(const char *file, int line, int level, apr_status_t rv, const char *fmt, ...)
    RS_PRINTF(5, 6);

#endif
