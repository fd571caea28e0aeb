/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of directives. Main thread while httpd reads its files.
 */
#include "rs_httpd.h"

#include "rs_args.h"

static const char *duration_text(apr_pool_t *p, apr_interval_time_t t)
{
    if (t % APR_USEC_PER_SEC == 0) {
        return apr_psprintf(p, "%" APR_INT64_T_FMT "s", (apr_int64_t)(t / APR_USEC_PER_SEC));
    }
    return apr_psprintf(p, "%" APR_INT64_T_FMT "ms", (apr_int64_t)(t / 1000));
}

const char *rs_args_duration(apr_interval_time_t *out, apr_pool_t *p, const char *text,
                             apr_interval_time_t min, apr_interval_time_t max)
{
    apr_interval_time_t t;

    /* ap_timeout_parameter_parse() takes "-5s" and overflows silently: digits first. */
    if (!apr_isdigit(*text) || strlen(text) > 12
        || ap_timeout_parameter_parse(text, &t, "s") != APR_SUCCESS) {
        return apr_psprintf(
            p, "\"%s\" is not a duration: write a number with ms, s, min or h, as in 30s", text);
    }
    if (t < min || t > max) {
        return apr_psprintf(p, "%s is out of range: write a duration from %s to %s", text,
                            duration_text(p, min), duration_text(p, max));
    }
    *out = t;
    return NULL;
}

const char *rs_args_size(apr_off_t *out, apr_pool_t *p, const char *text, apr_off_t min,
                         apr_off_t max)
{
    static const struct {
        const char *unit;
        int shift;
    } units[] = {{"", 0},   {"B", 0},   {"K", 10}, {"KB", 10},
                 {"M", 20}, {"MB", 20}, {"G", 30}, {"GB", 30}};
    apr_off_t value;
    char *end;
    apr_size_t i;

    if (!apr_isdigit(*text) || apr_strtoff(&value, text, &end, 10) != APR_SUCCESS) {
        return apr_psprintf(p, "\"%s\" is not a size: write a number with KB, MB or GB, as in 64MB",
                            text);
    }
    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (!ap_cstr_casecmp(end, units[i].unit)) {
            break;
        }
    }
    if (i == sizeof(units) / sizeof(units[0])) {
        return apr_psprintf(p, "\"%s\" is not a size: write a number with KB, MB or GB, as in 64MB",
                            text);
    }
    if (value > max >> units[i].shift || (value <<= units[i].shift) < min) {
        return apr_psprintf(p,
                            "%s is out of range: write a size from %" APR_OFF_T_FMT
                            " to %" APR_OFF_T_FMT " bytes",
                            text, min, max);
    }
    *out = value;
    return NULL;
}

const char *rs_args_number(int *out, apr_pool_t *p, const char *text, int min, int max)
{
    char *end;
    apr_int64_t value = apr_strtoi64(text, &end, 10);

    if (!apr_isdigit(*text) || *end || value < min || value > max) {
        return apr_psprintf(p, "\"%s\" is not a number from %d to %d", text, min, max);
    }
    *out = (int)value;
    return NULL;
}

/* What would never be equal to a browser's Origin is an error, not a rule that nobody meets. */
const char *rs_args_origin(apr_pool_t *p, const char *text)
{
    int tls = !ap_cstr_casecmpn(text, "https://", 8);
    const char *host = tls ? text + 8 : !ap_cstr_casecmpn(text, "http://", 7) ? text + 7 : NULL;
    const char *port = host ? strrchr(host, ':') : NULL;

    if (!strcmp(text, "*")) {
        return NULL;
    }
    if (!host || !*host || *host == ':' || strpbrk(host, "@ \"\\")) {
        return apr_psprintf(p, "\"%s\" is not an origin: write https://HOST or https://HOST:PORT",
                            text);
    }
    if (strpbrk(host, "/?#")) {
        return apr_psprintf(
            p, "\"%s\" is not an origin: leave out the path and the slash at the end", text);
    }
    if (strchr(host, '*')) {
        return apr_psprintf(p, "\"%s\": a part of an origin cannot be *: write each origin", text);
    }
    if (port && !strchr(port, ']') && !strcmp(port, tls ? ":443" : ":80")) {
        return apr_psprintf(p,
                            "\"%s\": browsers leave out the port that is the usual one: leave "
                            "out %s",
                            text, port);
    }
    if (port && !strchr(port, ']') && (!port[1] || port[1 + strspn(port + 1, "0123456789")])) {
        return apr_psprintf(p, "\"%s\" is not an origin: the port is not a number", text);
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
