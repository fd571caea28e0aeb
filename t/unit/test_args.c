/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of directives: what is accepted, and as what.
 */
#include <apr_general.h>

#include "base/rs_base.h"
#include "conf/rs_args.h"
#include "tap.h"

static apr_pool_t *pool;

static void duration(const char *text, apr_interval_time_t want)
{
    apr_interval_time_t t = -1;
    const char *problem = rs_args_duration(&t, pool, text, 0, apr_time_from_sec(24 * 3600));

    ok(t == want && !problem == (want >= 0), "duration \"%s\": %s", text,
       problem ? problem : "accepted");
}

static void durations(void)
{
    static const char *const bad[] = {"",
                                      "s",
                                      "-5s",
                                      "+5s",
                                      "5x",
                                      "5m",
                                      "5mis",
                                      "5mss",
                                      "5 s",
                                      " 5s",
                                      "30something",
                                      "1h30min",
                                      "1.5s",
                                      "0x5s",
                                      "5s ",
                                      "24h1",
                                      "25h",
                                      "2d",
                                      "1day",
                                      "9223372036854775807d",
                                      "9999999999h",
                                      "9223372036854775807",
                                      "18446744073709551616ms"};
    size_t i;

    duration("0", 0);
    duration("2", apr_time_from_sec(2));
    duration("30s", apr_time_from_sec(30));
    duration("30S", apr_time_from_sec(30));
    duration("250ms", apr_time_from_msec(250));
    duration("5mi", apr_time_from_sec(300));
    duration("5min", apr_time_from_sec(300));
    duration("24H", apr_time_from_sec(24 * 3600));
    duration("1d", apr_time_from_sec(24 * 3600));
    duration("1D", apr_time_from_sec(24 * 3600));
    duration("0000000000000000030s", apr_time_from_sec(30));
    for (i = 0; i < RS_ARRAY_LEN(bad); i++) {
        duration(bad[i], -1);
    }
}

static void size(const char *text, apr_off_t want)
{
    apr_off_t got = -1;
    const char *problem = rs_args_size(&got, pool, text, 1, (apr_off_t)1 << 40);

    ok(got == want && !problem == (want >= 0), "size \"%s\": %s", text,
       problem ? problem : "accepted");
}

static void sizes_and_numbers(void)
{
    static const char *const bad[] = {"",
                                      "KB",
                                      "0",
                                      "-1",
                                      "1T",
                                      "1KBs",
                                      "1 KB",
                                      "1.5MB",
                                      "1025GB",
                                      "9999999999999999GB",
                                      "99999999999999999999999"};
    int n = -1;
    size_t i;

    size("1", 1);
    size("64kb", 65536);
    size("2M", 2 << 20);
    size("1024GB", (apr_off_t)1 << 40);
    for (i = 0; i < RS_ARRAY_LEN(bad); i++) {
        size(bad[i], -1);
    }
    ok(!rs_args_number(&n, pool, "4", 1, 4) && n == 4, "a number");
    n = -1;
    ok(rs_args_number(&n, pool, "5", 1, 4) && rs_args_number(&n, pool, "4x", 1, 4)
           && rs_args_number(&n, pool, "", 0, 4) && rs_args_number(&n, pool, "-0", 0, 4)
           && rs_args_number(&n, pool, "4294967297", 1, 4) && n == -1,
       "not one");
}

static void origins(void)
{
    static const char *const good[] = {"*",
                                       "https://app.example",
                                       "HTTPS://App.Example:8443",
                                       "http://localhost:65535",
                                       "http://[::1]",
                                       "https://[2001:db8::1]:80",
                                       "http://a_b-c.example:443"};
    /* What no browser ever sends. */
    static const char *const bad[] = {"",
                                      "null",
                                      "https://",
                                      "ftp://a",
                                      "https://a/",
                                      "https://a?",
                                      "https://u@a",
                                      "https://*.a",
                                      "https://a:443",
                                      "http://a:80",
                                      "http://a:",
                                      "http://a:0",
                                      "http://a:080",
                                      "http://a:65536",
                                      "http://a:1:2",
                                      "http://[",
                                      "http://[]",
                                      "http://[::1",
                                      "http://[::1]x",
                                      "http://[::1]:80",
                                      "http://a b",
                                      "http://a\tb",
                                      "http://a\x7F",
                                      "http://b\xC3\xBC",
                                      "http://a%41",
                                      "http://[z]",
                                      "https://::1",
                                      "http://a|b",
                                      "http://a:99999999999999999999"};
    size_t i;

    for (i = 0; i < RS_ARRAY_LEN(good); i++) {
        ok(!rs_args_origin(pool, good[i]), "an origin: %s", good[i]);
    }
    for (i = 0; i < RS_ARRAY_LEN(bad); i++) {
        ok(rs_args_origin(pool, bad[i]) != NULL, "not an origin (%d)", (int)i);
    }
}

static void pairs(void)
{
    const char *name = NULL;

    is_str(rs_args_pair(&name, pool, "max=5"), "5", "NAME=VALUE: the value");
    is_str(name, "max", "the name");
    is_str(rs_args_pair(&name, pool, "a=b=c"), "b=c", "the first = counts");
    is_str(rs_args_pair(&name, pool, "a="), "", "nothing behind it");
    ok(!rs_args_pair(&name, pool, "=5") && !rs_args_pair(&name, pool, "max"), "no pair");
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    durations();
    sizes_and_numbers();
    origins();
    pairs();
    apr_pool_destroy(pool);
    apr_terminate();
    return done_testing();
}
