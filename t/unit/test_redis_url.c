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

static rs_redis_url_t *words(const char **err, const char *a, const char *b, const char *c)
{
    const char *list[] = {a, b, c};
    rs_redis_url_t *u = NULL;

    *err = rs_redis_urls_parse(&u, p, c ? 3 : b ? 2 : a ? 1 : 0, list);
    ok(!*err == (u != NULL), "a URL or a sentence");
    return u;
}

static void bad_words(const char *a, const char *b, const char *c, const char *want)
{
    const char *err;

    words(&err, a, b, c);
    ok(err && strstr(err, want), "refused: %s %s %s", a ? a : "", b ? b : "", c ? c : "");
    if (err && !strstr(err, want)) {
        printf("# %s\n", err);
    }
    ok(err && !strstr(err, "s3cret"), "  and not quoted");
}

static void test_sentinels(void)
{
    const char *err;
    rs_redis_url_t *u = words(&err, "redis://[::1]:5/3", NULL, NULL), *v;

    ok(u && !u->master && u->port == 5, "one URL is that of Redis");
    u = words(&err, "redis://:s3cret@S2/3", "redis://[0::1]:1/3", "master=my-master.1");
    is_str(err, NULL, "two sentinels");
    if (!u) {
        return;
    }
    is_str(u->label, "redis://my-master.1/3@[::1]:1,s2:26379", "  label: sorted, no password");
    is_str(u->master, "my-master.1", "  master");
    ok(!u->host && !u->path && !u->password && u->db == 3, "  and nothing of the sentinels' own");
    is_int(u->nsentinels, 2, "  number");
    is_str(u->sentinels[0].label, "redis://[::1]:1/0", "  a sentinel has no databases");
    is_str(u->sentinels[1].password, "s3cret", "  but a password of its own");
    is_int(u->sentinels[1].port, 26379, "  and a port of its own where none is said");
    v = words(&err, "redis://[::1]:1/3", "redis://:s3cret@s2/3", "master=my-master.1");
    ok(v && rs_redis_url_same(u, v), "another order is the same server");
    v = words(&err, "redis://[::1]:1/3", "redis://:other@s2/3", "master=my-master.1");
    ok(v && !rs_redis_url_same(u, v), "another password is another login");
    u = words(&err, "redis://s1", "master=m", NULL);
    is_str(u ? u->label : err, "redis://m/0@s1:26379", "one sentinel will do");
    bad_words(NULL, NULL, NULL, "a URL is missing");
    bad_words("master=m", NULL, NULL, "a URL is missing");
    bad_words("redis://:s3cret@s1", "redis://s2", NULL, "master=NAME");
    bad_words("redis://s1", "master=", NULL, "master= must be");
    bad_words("redis://s1", "master=a b", NULL, "master= must be");
    bad_words("redis://s1", "master=a", "master=b", "master= must be the last");
    bad_words("redis://s1", "master=a", "redis://:s3cret@s2", "master= must be the last");
    bad_words("unix:///s", "master=a", NULL, "asked over TCP");
    bad_words("redis://s1/1", "redis://:s3cret@s2", "master=a", "differ in the database");
    bad_words("redis://s1", "redis://S1:26379", "master=a", "stands there twice");
    bad_words("redis://s1", "s3cret", "master=a", "must begin with");
#ifdef RS_HAVE_HIREDIS_SSL
    bad_words("redis://s1", "rediss://s2", "master=a", "differ in redis://");
#endif
}

static int address(char *host, const char *name, const char *port)
{
    memset(host, 'x', RS_REDIS_HOST_MAX + 1);
    return rs_redis_address_parse(host, name, strlen(name), port, strlen(port));
}

static void test_addresses(void)
{
    char host[RS_REDIS_HOST_MAX + 1], name[RS_REDIS_HOST_MAX + 2];

    is_int(address(host, "10.1.2.3", "7000"), 7000, "an address");
    is_str(host, "10.1.2.3", "  is taken");
    is_int(address(host, "FE80::1", "1"), 1, "one of IPv6");
    is_str(host, "fe80::1", "  is taken");
    is_int(address(host, "Redis-1.example", "65535"), 65535, "a name");
    is_str(host, "redis-1.example", "  is taken");
    is_int(address(host, "", "1"), 0, "no name");
    is_int(address(host, "a b", "1"), 0, "no name at all");
    is_int(address(host, "a", "0"), 0, "no port");
    is_int(address(host, "a", "65536"), 0, "a port that is too large");
    is_int(address(host, "a", "-1"), 0, "a port that is no number");
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    is_int(address(host, name, "1"), 0, "a name that is too long");
    is_int(address(host, name + 1, "1"), 1, "the longest name");
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
    test_sentinels();
    test_addresses();
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
