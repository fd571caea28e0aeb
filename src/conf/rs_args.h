/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of directives: each parser returns NULL, or what is wrong with the value. Pure functions.
 */
#ifndef RS_ARGS_H
#define RS_ARGS_H

#include <apr_pools.h>
#include <apr_time.h>

/* How long anything may be kept: ten years. */
#define RS_LONGEST apr_time_from_sec((apr_int64_t)3650 * 24 * 3600)

/* "30s", "5min", "250ms", "7d", "2" (seconds). From min to max. */
const char *rs_args_duration(apr_interval_time_t *out, apr_pool_t *p, const char *text,
                             apr_interval_time_t min, apr_interval_time_t max);

/* The same, or "off", which is 0. */
const char *rs_args_duration_or_off(apr_interval_time_t *out, apr_pool_t *p, const char *text,
                                    apr_interval_time_t min, apr_interval_time_t max);

/* "256MB", "64KB", "1G", "1048576" (bytes); units are powers of 1024. From min to max. */
const char *rs_args_size(apr_off_t *out, apr_pool_t *p, const char *text, apr_off_t min,
                         apr_off_t max);
const char *rs_args_number(int *out, apr_pool_t *p, const char *text, int min, int max);

/* "*", or an origin as browsers write it: "https://app.example", "http://localhost:8080". */
const char *rs_args_origin(apr_pool_t *p, const char *text);

/* Splits "name=value": returns the value and sets *name, or NULL when there is no '='. */
const char *rs_args_pair(const char **name, apr_pool_t *p, const char *text);

#endif
