/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of directives: durations, sizes, numbers, origins, NAME=VALUE, names, patterns, key
 * templates, where a secret is. The first byte of an input chooses. What is accepted must be what
 * the simple rules here take it for: nothing overflows, nothing is read as half of what it says.
 */
#include <apr_cstr.h>

#include "../../src/auth/rs_jwt.h"
#include "../../src/base/rs_name.h"
#include "../../src/base/rs_secret.h"
#include "../../src/conf/rs_args.h"
#include "../../src/log/rs_profile.h"
#include "../../src/proto/rs_template.h"
#include "../../src/redis/rs_redis_publish.h"
#include "fuzz.h"

#define DIGITS "0123456789"
#define MOST ((apr_uint64_t)1 << 62)

void fuzz_setup(apr_pool_t *all) { (void)all; }

/* --- numbers with and without units --- */

typedef struct {
    const char *unit;
    apr_uint64_t factor;
} unit_t;

static const unit_t durations[] = {{"", 1000000},
                                   {"s", 1000000},
                                   {"ms", 1000},
                                   {"min", 60000000},
                                   {"mi", 60000000},
                                   {"h", 3600000000},
                                   {"d", (apr_uint64_t)24 * 3600000000},
                                   {NULL, 0}};
static const unit_t sizes[] = {{"", 1},         {"b", 1},        {"k", 1 << 10},
                               {"kb", 1 << 10}, {"m", 1 << 20},  {"mb", 1 << 20},
                               {"g", 1 << 30},  {"gb", 1 << 30}, {NULL, 0}};
static const unit_t plain[] = {{"", 1}, {NULL, 0}};

static apr_uint64_t times(apr_uint64_t a, apr_uint64_t b) { return a > MOST / b ? MOST : a * b; }

/* 0 when it is not a number with one of the units; too large a number is MOST. */
static int slow_value(apr_uint64_t *out, const char *text, const unit_t *units)
{
    size_t n = strspn(text, DIGITS), i;

    *out = 0;
    for (i = 0; i < n; i++) {
        *out = times(*out, 10) + (*out < MOST ? (apr_uint64_t)(text[i] - '0') : 0);
    }
    for (; n && units->unit; units++) {
        if (!apr_cstr_casecmp(text + n, units->unit)) {
            *out = times(*out, units->factor);
            return 1;
        }
    }
    return 0;
}

static int in_range(const char *text, const unit_t *units, apr_uint64_t min, apr_uint64_t max,
                    apr_uint64_t *value)
{
    return slow_value(value, text, units) && *value >= min && *value <= max;
}

static void with_duration(apr_pool_t *p, const char *text)
{
    static const apr_interval_time_t ranges[][2] = {{0, 600000000},
                                                    {1000000, 3600000000},
                                                    {10000, 60000000},
                                                    {1000000, 24 * 3600000000},
                                                    {1000000, RS_LONGEST}};
    size_t i;

    for (i = 0; i < RS_ARRAY_LEN(ranges); i++) {
        apr_uint64_t min = (apr_uint64_t)ranges[i][0], max = (apr_uint64_t)ranges[i][1], value;
        apr_interval_time_t t = -7, again;
        int good = !rs_args_duration(&t, p, text, ranges[i][0], ranges[i][1]);

        require(good == in_range(text, durations, min, max, &value));
        require(good ? (apr_uint64_t)t == value : t == -7);
        if (good) {
            const char *ms = apr_psprintf(p, "%" APR_INT64_T_FMT "ms", (apr_int64_t)(t / 1000));

            require(!rs_args_duration(&again, p, ms, 0, t) && again == t);
        }
    }
}

static void with_size(apr_pool_t *p, const char *text)
{
    static const apr_off_t ranges[][2] = {
        {1 << 20, (apr_off_t)1 << 40}, {4096, 16 << 20}, {0, 0}, {0, (apr_off_t)MOST - 1}};
    size_t i;

    for (i = 0; i < RS_ARRAY_LEN(ranges); i++) {
        apr_uint64_t min = (apr_uint64_t)ranges[i][0], max = (apr_uint64_t)ranges[i][1], value;
        apr_off_t size = -7, again;
        int good = !rs_args_size(&size, p, text, ranges[i][0], ranges[i][1]);

        require(good == in_range(text, sizes, min, max, &value));
        require(good ? (apr_uint64_t)size == value : size == -7);
        if (good) {
            const char *bytes = apr_psprintf(p, "%" APR_OFF_T_FMT, size);

            require(!rs_args_size(&again, p, bytes, 0, size) && again == size);
        }
    }
}

static void with_number(apr_pool_t *p, const char *text)
{
    static const int ranges[][2] = {{1, 4}, {1, 10000000}, {0, 0x7fffffff}};
    size_t i;

    for (i = 0; i < RS_ARRAY_LEN(ranges); i++) {
        apr_uint64_t value;
        int number = -7, good = !rs_args_number(&number, p, text, ranges[i][0], ranges[i][1]);

        require(good
                == in_range(text, plain, (apr_uint64_t)ranges[i][0], (apr_uint64_t)ranges[i][1],
                            &value));
        require(good ? (apr_uint64_t)number == value : number == -7);
    }
}

/* --- words --- */

/* Browsers write no other: what could never be equal to an Origin must be refused. */
static void with_origin(apr_pool_t *p, const char *text)
{
    const char *host, *end, *c;
    int port;

    if (rs_args_origin(p, text) || !strcmp(text, "*")) {
        return;
    }
    require((host = strstr(text, "://")) != NULL);
    require(!apr_cstr_casecmpn(text, "http", 4));
    port = host == text + 5 ? 443 : 80;
    require(port == 443 ? (text[4] | 32) == 's' : host == text + 4);
    host += 3;
    if (*host == '[') {
        end = host + 1 + strspn(host + 1, DIGITS "abcdefABCDEF:.");
        require(*end++ == ']' && end > host + 2);
    }
    else {
        end = host + strcspn(host, ":");
        require(end > host);
        for (c = host; c < end; c++) {
            require(*c > ' ' && *c < 0x7f && !strchr("#%/<>?@[\\]^|*", *c));
        }
    }
    if (*end) {
        require(*end++ == ':' && strlen(end) <= 5 && end[strspn(end, DIGITS)] == '\0');
        require(atoi(end) >= 1 && atoi(end) <= 65535 && atoi(end) != port && *end != '0');
    }
}

static void with_pair(apr_pool_t *p, const char *text)
{
    const char *name = NULL, *value = rs_args_pair(&name, p, text);

    require(!value == (strchr(text, '=') == NULL || *text == '='));
    if (value) {
        require(*name && !strchr(name, '='));
        require(!strcmp(apr_pstrcat(p, name, "=", value, NULL), text));
    }
}

static void with_secret(apr_pool_t *p, const char *text)
{
    const char *strict = rs_secret_check(p, text, 0), *problem = rs_secret_check(p, text, 1);

    require(strict || !problem);
    require(problem || !strncmp(text, "secret:", 7) || !strncmp(text, "env:", 4)
            || !strncmp(text, "file:/", 6) || !strncmp(text, "exec:", 5));
    /* The very same sentences again: constants, which quote nothing. */
    require(strict == rs_secret_check(p, text, 0) && problem == rs_secret_check(p, text, 1));
    require(!rs_jwt_alg_known(text) || strlen(text) == 5);
}

/* --- names and patterns --- */

static int slow_match(const char *pattern, const char *s, size_t n)
{
    unsigned char now[130] = {1}, next[130];
    size_t i;

    for (; *pattern; pattern++) {
        memset(next, 0, sizeof(next));
        for (i = 0; i <= n; i++) {
            next[i] = *pattern == '*' ? now[i] || (i && next[i - 1])
                                      : i && now[i - 1] && s[i - 1] == *pattern;
        }
        memcpy(now, next, sizeof(now));
    }
    return now[n];
}

static void with_name(const char *s, size_t n)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" DIGITS;
    int name = n >= 1 && n <= RS_NAME_MAX, type = n >= 1 && n <= 128;
    size_t i;

    for (i = 0; i < n; i++) {
        name = name && s[i] && (strchr(letters, s[i]) || strchr("._@-", s[i]));
        type = type && s[i] >= '!' && s[i] <= '~';
    }
    require(rs_name_valid(s, n) == name);
    require(rs_event_type_valid(s, n) == type);
}

/* A type, then patterns, each in a line. */
static void with_patterns(apr_pool_t *p, const char *data, size_t size)
{
    const char *patterns[8], *end = size ? memchr(data, '\n', size) : NULL;
    size_t n = end ? (size_t)(end - data) : size;
    char *type = fuzz_text(p, data, n);
    const rs_profile_t *profile;
    rs_profile_t wanted;
    rs_profiles_t table;
    int wants = 0;

    with_name(type, n);
    if (n > 128) {
        return;
    }
    data += n + (end != NULL);
    size -= n + (end != NULL);
    memset(&wanted, 0, sizeof(wanted));
    wanted.name = "fuzz";
    wanted.patterns = patterns;
    while (size && wanted.npatterns < (int)RS_ARRAY_LEN(patterns)) {
        const char *pattern = fuzz_line(p, &data, &size);

        require(rs_pattern_match(pattern, type, n) == slow_match(pattern, type, n));
        wants |= slow_match(pattern, type, n);
        patterns[wanted.npatterns++] = pattern;
    }
    rs_profiles_open(&table);
    profile = rs_profile_intern(&table, &wanted);
    require(profile && profile == rs_profile_intern(&table, &wanted));
    require(rs_profile_wants(profile, type, n) == (wants || !wanted.npatterns));
    wanted.npatterns = 0;
    require((profile == rs_profile_intern(&table, &wanted)) == (profile->npatterns == 0));
    rs_profiles_close(&table);
}

/* --- keys: template, tenant, event id, each in a line --- */

static void with_key(apr_pool_t *p, const char *data, size_t size)
{
    const char *key = fuzz_line(p, &data, &size), *tenant = fuzz_line(p, &data, &size);
    const char *id = fuzz_line(p, &data, &size), *out = rs_stream_key(p, key, tenant), *s;
    int valid = rs_name_valid(tenant, strlen(tenant)), marks = 0;

    for (s = strstr(key, "{tenant}"); s; s = strstr(s + 8, "{tenant}")) {
        marks++;
    }
    require(rs_template_per_tenant(key) == (marks > 0));
    require(!out == (marks && !valid));
    if (out && marks) {
        char *exact = malloc(strlen(out) + 1);

        require(rs_template_fill(NULL, key, tenant) == strlen(out));
        require(rs_template_fill(exact, key, tenant) == strlen(out) && !strcmp(exact, out));
        free(exact);
        require(strlen(out) == strlen(key) + (size_t)marks * strlen(tenant) - (size_t)marks * 8);
        require(strcmp(out, rs_stream_key(p, key, strcmp(tenant, "a") ? "a" : "b")));
    }
    require(!out || marks || out == key);
    if (out && valid) {
        char *note = fuzz_text(p, rs_event_key(p, out, tenant, id),
                               strlen(rs_event_key(p, out, tenant, id)));

        /* It can be taken apart again: tenant, length of the key, key, id. */
        s = note + strlen("ragline:event:");
        require(!strncmp(s, tenant, strlen(tenant)) && s[strlen(tenant)] == ':');
        s += strlen(tenant) + 1;
        require((size_t)strtoul(s, (char **)&s, 10) == strlen(out) && *s == ':');
        require(s[1] == '{' || s[1] == ':');
        require(!strncmp(s + 2, out, strlen(out)));
        s += (s[1] == '{') + 2 + strlen(out);
        require(*s == ':' && !strcmp(s + 1, id));
    }
}

void fuzz_one(apr_pool_t *p, const char *data, size_t size)
{
    const char *text;

    if (size == 0 || size > 5000) {
        return;
    }
    text = fuzz_text(p, data + 1, size - 1);
    switch (data[0]) {
    case 'd':
        with_duration(p, text);
        break;
    case 's':
        with_size(p, text);
        break;
    case 'n':
        with_number(p, text);
        break;
    case 'o':
        with_origin(p, text);
        break;
    case '=':
        with_pair(p, text);
        break;
    case 'c':
        with_secret(p, text);
        break;
    case 'p':
        with_patterns(p, data + 1, size - 1);
        break;
    case 'k':
        with_key(p, data + 1, size - 1);
        break;
    default:
        break;
    }
}
