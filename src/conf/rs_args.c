/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of directives. Main thread while httpd reads its files; APR only, so that what an
 * administrator may write is fuzzed like what a client may send.
 */
#include <string.h>

#include <apr_cstr.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "../base/rs_base.h"
#include "rs_args.h"

typedef struct {
    const char *unit;
    apr_int64_t factor;
} unit_t;

/* A number and one of the units, in any case, and nothing behind it. 0 when it is not that. Too
 * large a number is the largest there is. */
static int number_with_unit(apr_int64_t *out, const char *text, const unit_t *units, size_t n)
{
    const apr_int64_t most = APR_INT64_MAX;
    apr_int64_t value;
    char *end;
    size_t i;

    if (!apr_isdigit(*text)) {
        return 0;
    }
    value = apr_strtoi64(text, &end, 10);
    for (i = 0; i < n; i++) {
        if (!apr_cstr_casecmp(end, units[i].unit)) {
            *out = value > most / units[i].factor ? most : value * units[i].factor;
            return 1;
        }
    }
    return 0;
}

#define DAY (24 * 3600 * (apr_int64_t)APR_USEC_PER_SEC)

static const char *duration_text(apr_pool_t *p, apr_interval_time_t t)
{
    if (t && t % DAY == 0) {
        return apr_psprintf(p, "%" APR_INT64_T_FMT "d", (apr_int64_t)(t / DAY));
    }
    if (t % APR_USEC_PER_SEC == 0) {
        return apr_psprintf(p, "%" APR_INT64_T_FMT "s", (apr_int64_t)(t / APR_USEC_PER_SEC));
    }
    return apr_psprintf(p, "%" APR_INT64_T_FMT "ms", (apr_int64_t)(t / 1000));
}

/* Not ap_timeout_parameter_parse(): to it "30something" is 30s and "-5s" a time. */
const char *rs_args_duration(apr_interval_time_t *out, apr_pool_t *p, const char *text,
                             apr_interval_time_t min, apr_interval_time_t max)
{
    static const unit_t units[] = {{"", APR_USEC_PER_SEC},
                                   {"ms", 1000},
                                   {"s", APR_USEC_PER_SEC},
                                   {"mi", 60 * APR_USEC_PER_SEC},
                                   {"min", 60 * APR_USEC_PER_SEC},
                                   {"h", 3600 * APR_USEC_PER_SEC},
                                   {"d", DAY}};
    apr_int64_t t;

    if (!number_with_unit(&t, text, units, RS_ARRAY_LEN(units))) {
        return apr_psprintf(
            p, "\"%s\" is not a duration: write a number with ms, s, min, h or d, as in 30s", text);
    }
    if (t < min || t > max) {
        return apr_psprintf(p, "%s is out of range: write a duration from %s to %s", text,
                            duration_text(p, min), duration_text(p, max));
    }
    *out = t;
    return NULL;
}

const char *rs_args_duration_or_off(apr_interval_time_t *out, apr_pool_t *p, const char *text,
                                    apr_interval_time_t min, apr_interval_time_t max)
{
    if (!apr_cstr_casecmp(text, "off")) {
        *out = 0;
        return NULL;
    }
    return rs_args_duration(out, p, text, min, max);
}

const char *rs_args_size(apr_off_t *out, apr_pool_t *p, const char *text, apr_off_t min,
                         apr_off_t max)
{
    static const unit_t units[] = {{"", 1},         {"B", 1},       {"K", 1 << 10},
                                   {"KB", 1 << 10}, {"M", 1 << 20}, {"MB", 1 << 20},
                                   {"G", 1 << 30},  {"GB", 1 << 30}};
    apr_int64_t value;

    if (!number_with_unit(&value, text, units, RS_ARRAY_LEN(units))) {
        return apr_psprintf(p, "\"%s\" is not a size: write a number with KB, MB or GB, as in 64MB",
                            text);
    }
    if (value < min || value > max) {
        return apr_psprintf(p,
                            "%s is out of range: write a size from %" APR_OFF_T_FMT
                            " to %" APR_OFF_T_FMT " bytes",
                            text, min, max);
    }
    *out = (apr_off_t)value;
    return NULL;
}

const char *rs_args_number(int *out, apr_pool_t *p, const char *text, int min, int max)
{
    static const unit_t none[] = {{"", 1}};
    apr_int64_t value;

    if (!number_with_unit(&value, text, none, 1) || value < min || value > max) {
        return apr_psprintf(p, "\"%s\" is not a number from %d to %d", text, min, max);
    }
    *out = (int)value;
    return NULL;
}

/* What stands between scheme and port: returns its end, or NULL. Browsers write it as a URL's host
 * in its final form: no escapes, and xn-- for what is not ASCII. */
static const char *host_end(const char *host)
{
    const char *end = host;

    if (*host == '[') {
        end += 1 + strspn(host + 1, "0123456789abcdefABCDEF:.");
        return *end == ']' && end > host + 1 ? end + 1 : NULL;
    }
    while (*end > ' ' && *end < 0x7f && !strchr("\"#%/:<>?@[\\]^|", *end)) {
        end++;
    }
    return end > host ? end : NULL;
}

/* What would never be equal to a browser's Origin is an error, not a rule that nobody meets. */
const char *rs_args_origin(apr_pool_t *p, const char *text)
{
    const char *host = NULL, *end;
    int tls, number;

    if (!strcmp(text, "*")) {
        return NULL;
    }
    tls = !apr_cstr_casecmpn(text, "https://", 8);
    if (tls || !apr_cstr_casecmpn(text, "http://", 7)) {
        host = text + (tls ? 8 : 7);
    }
    end = host ? host_end(host) : NULL;
    if (end && (*end == '/' || *end == '?' || *end == '#')) {
        return apr_psprintf(
            p, "\"%s\" is not an origin: leave out the path and the slash at the end", text);
    }
    if (!end || (*end && *end != ':')) {
        return apr_psprintf(p, "\"%s\" is not an origin: write https://HOST or https://HOST:PORT",
                            text);
    }
    if (memchr(host, '*', (apr_size_t)(end - host))) {
        return apr_psprintf(p, "\"%s\": a part of an origin cannot be *: write each origin", text);
    }
    if (!strcmp(end, tls ? ":443" : ":80")) {
        return apr_psprintf(p,
                            "\"%s\": browsers leave out the port that is the usual one: leave "
                            "out %s",
                            text, end);
    }
    if (*end && (end[1] == '0' || rs_args_number(&number, p, end + 1, 1, 65535))) {
        return apr_psprintf(p, "\"%s\" is not an origin: the port is not a number from 1 to 65535",
                            text);
    }
    return NULL;
}

const char *rs_args_pair(const char **name, apr_pool_t *p, const char *text)
{
    const char *equals = strchr(text, '=');

    if (!equals || equals == text) {
        return NULL;
    }
    *name = apr_pstrmemdup(p, text, (apr_size_t)(equals - text));
    return equals + 1;
}
