/* SPDX-License-Identifier: Apache-2.0
 *
 * Redis URLs: what is taken, and that a refusal says what to write and quotes nothing.
 */
#include "rs_config.h"

#include <apr_general.h>

#include "../../src/redis/rs_redis_url.h"
#include "tap.h"

static apr_pool_t *p;

static void good(const char *text, const char *label, const char *host, int port, const char *path,
                 int db, const char *user, const char *password)
{
    rs_redis_url_t *u = NULL;
    const char *err = rs_redis_url_parse(&u, p, text);

    is_str(err, NULL, text);
    if (!u) {
        ok(0, "no result");
        return;
    }
    is_str(u->label, label, "  label");
    is_str(u->host, host, "  host");
    is_int(u->port, port, "  port");
    is_str(u->path, path, "  path");
    is_int(u->db, db, "  database");
    is_str(u->user, user, "  user");
    is_str(u->password, password, "  password");
    is_int(u->tls, 0, "  no TLS");
}

/* `want` is what the sentence must tell the reader to write. */
static void bad(const char *text, const char *want)
{
    rs_redis_url_t *u = (rs_redis_url_t *)1;
    const char *err = rs_redis_url_parse(&u, p, text);

    ok(err && !u && strstr(err, want), "refused: %.60s", text);
    if (err && !strstr(err, want)) {
        printf("# %s\n", err);
    }
    ok(err && !strstr(err, "s3cret") && !strstr(err, "S3CRET"), "  and not quoted");
}

static void test_tcp(void)
{
    good("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0", "127.0.0.1", 6379, NULL, 0, NULL,
         NULL);
    good("redis://redis", "redis://redis:6379/0", "redis", 6379, NULL, 0, NULL, NULL);
    good("redis://redis/", "redis://redis:6379/0", "redis", 6379, NULL, 0, NULL, NULL);
    good("redis://redis/15", "redis://redis:6379/15", "redis", 6379, NULL, 15, NULL, NULL);
    good("REDIS://Cache-1.Example.COM:1/9999", "redis://cache-1.example.com:1/9999",
         "cache-1.example.com", 1, NULL, 9999, NULL, NULL);
    good("redis://my_redis:65535", "redis://my_redis:65535/0", "my_redis", 65535, NULL, 0, NULL,
         NULL);
    good("redis://[::1]", "redis://[::1]:6379/0", "::1", 6379, NULL, 0, NULL, NULL);
    good("redis://[0:0:0:0:0:0:0:1]:7000/2", "redis://[::1]:7000/2", "::1", 7000, NULL, 2, NULL,
         NULL);
    good("redis://:s3cret@h", "redis://h:6379/0", "h", 6379, NULL, 0, NULL, "s3cret");
    good("redis://app:s3%40%2f%3A%25@h:1/3", "redis://h:1/3", "h", 1, NULL, 3, "app", "s3@/:%");
    good("redis://a%20b:s@h", "redis://h:6379/0", "h", 6379, NULL, 0, "a b", "s");
}

static void test_unix(void)
{
    good("unix:///run/redis.sock", "unix:///run/redis.sock?db=0", NULL, 0, "/run/redis.sock", 0,
         NULL, NULL);
    good("unix:///run/redis.sock?db=7", "unix:///run/redis.sock?db=7", NULL, 0, "/run/redis.sock",
         7, NULL, NULL);
    good("unix://:s3cret@/r.s?db=1", "unix:///r.s?db=1", NULL, 0, "/r.s", 1, NULL, "s3cret");
    good("unix://app:s3cret@/r.s", "unix:///r.s?db=0", NULL, 0, "/r.s", 0, "app", "s3cret");
    good("unix:///a%20b%3f", "unix:///a b??db=0", NULL, 0, "/a b?", 0, NULL, NULL);
    bad("unix://", "unix:///run");
    bad("unix:///", "unix:///run");
    bad("unix://run/redis.sock", "unix:///run");
    bad("unix://s3cret@/run/redis.sock", "USER:PASSWORD");
    bad("unix://a:s3/cret@/run/redis.sock", "%2F");
    bad("unix:///r.s?db=", "0 to 9999");
    bad("unix:///r.s?db=1&x=2", "0 to 9999");
    bad("unix:///r.s?x=1", "0 to 9999");
    bad("unix:///r.s#1", "0 to 9999");
    bad("unix:///%00", "%25");
    bad("unix:///a%0ab", "%25");
    bad("unix:///0123456789012345678901234567890123456789012345678901234567890123456789012345678901"
        "2345678901234567890123456789",
        "shorter");
}

static void test_refused(void)
{
    bad("", "redis://127.0.0.1:6379/0");
    bad("s3cret", "redis://127.0.0.1:6379/0");
    bad("http://s3cret", "redis://127.0.0.1:6379/0");
    bad("redis:/h", "redis://127.0.0.1:6379/0");
    bad("redis://", "name a host");
    bad("redis:///1", "name a host");
    bad("redis://-h", "name a host");
    bad("redis://h!", "name a host");
    bad("redis://[::1", "brackets");
    bad("redis://[::g]", "brackets");
    bad("redis://[127.0.0.1]", "brackets");
    bad("redis://::1", "brackets");
    bad("redis://[::1]x", "1 to 65535");
    bad("redis://h:", "1 to 65535");
    bad("redis://h:0", "1 to 65535");
    bad("redis://h:65536", "1 to 65535");
    bad("redis://h:6379000000000000", "1 to 65535");
    bad("redis://h:+1", "1 to 65535");
    bad("redis://h/10000", "0 to 9999");
    bad("redis://h/-1", "0 to 9999");
    bad("redis://h/1/2", "0 to 9999");
    bad("redis://h/x", "0 to 9999");
    bad("redis://h?db=1", "0 to 9999");
    bad("redis://h#1", "0 to 9999");
    bad("redis://s3cret@h", "USER:PASSWORD");
    bad("redis://app:@h", "USER:PASSWORD");
    bad("redis://app:s3@cret@h", "%40");
    bad("redis://app:s3:cret@h", "%3A");
    bad("redis://app:s3/cret@h", "%2F");
    bad("redis://app:s3?cret@h", "%3F");
    bad("redis://app:s3cret%@h", "%25");
    bad("redis://app:s3cret%4@h", "%25");
    bad("redis://app:s3cret%zz@h", "%25");
    bad("redis://app:s3cret%00@h", "%25");
    bad("redis://app:s3 cret@h", "%XX");
    bad("redis://app:s3cret\t@h", "%XX");
    bad("redis://\xc3\xa9", "%XX");
}

int main(void)
{
    char text[2100] = "redis://";
    rs_redis_url_t *u = NULL;
    const char *err;

    apr_initialize();
    apr_pool_create(&p, NULL);
    test_tcp();
    test_unix();
    test_refused();
    memset(text + 8, 'h', sizeof(text) - 9);
    bad(text, "2048");
    text[8 + 254] = '\0';
    bad(text, "name a host");
    err = rs_redis_url_parse(&u, p, "rediss://h");
#ifdef RS_HAVE_HIREDIS_SSL
    ok(!err && u && u->tls, "rediss:// is taken by a build with TLS");
    is_str(u ? u->label : NULL, "rediss://h:6379/0", "  label");
#else
    ok(err && !u && strstr(err, "hiredis_ssl"), "rediss:// is refused by a build without TLS");
#endif
    apr_pool_destroy(p);
    apr_terminate();
    return done_testing();
}
