/* SPDX-License-Identifier: Apache-2.0
 *
 * What sentinels and servers may answer, well meant or not, and whose turn it is.
 */
#include <apr_general.h>
#include <apr_strings.h>
#include <hiredis/hiredis.h>

#include "../../src/redis/rs_sentinel.h"
#include "tap.h"

static apr_pool_t *p;
static rs_redis_url_t *url;
static rs_target_t target;

static redisReply *reply_of(const char *text)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;

    redisReaderFeed(reader, text, strlen(text));
    redisReaderGetReply(reader, &reply);
    redisReaderFree(reader);
    return reply;
}

static const char *answer(const char *text)
{
    redisReply *reply = reply_of(text);
    const char *problem = rs_sentinel_target(&target, url, reply);

    freeReplyObject(reply);
    return problem;
}

static void refused(const char *text, const char *want, const char *name)
{
    const char *problem = answer(text);

    ok(problem && strstr(problem, want), "%s: %s", name, problem ? problem : "(taken)");
    ok(!problem || !strstr(problem, "s3cret"), "  and not quoted");
}

static void test_target(void)
{
    const char *bad = "no address";
    char *name = apr_pcalloc(p, 300);

    is_str(answer("*2\r\n$9\r\n127.0.0.1\r\n$4\r\n7000\r\n"), NULL, "an address");
    is_str(target.label, "127.0.0.1:7000", "  for people");
    ok(target.url.host == target.host && target.url.port == 7000 && !target.url.path,
       "  to connect to");
    ok(!target.url.master && !target.url.nsentinels, "  and no sentinel is asked for it");
    is_str(target.url.password, "of-redis", "  with the login of Redis");
    is_int(target.url.db, 3, "  and its database");
    is_str(answer("*2\r\n$3\r\n::1\r\n$1\r\n1\r\n"), NULL, "an address of IPv6");
    is_str(target.label, "[::1]:1", "  for people");
    is_str(answer("*2\r\n$7\r\nredis-1\r\n$5\r\n65535\r\n"), NULL, "a name");
    refused("*-1\r\n", "no master of this name", "nil");
    refused("-NOAUTH s3cret\r\n", "password", "no password");
    refused("-NOPERM s3cret\r\n", "get-master-addr-by-name", "no permission");
    refused("-ERR unknown command `SENTINEL` s3cret\r\n", "is it one?", "no sentinel");
    refused("+OK\r\n", bad, "a word");
    refused(":1\r\n", bad, "a number");
    refused("*0\r\n", bad, "nothing");
    refused("*1\r\n$1\r\na\r\n", bad, "a name alone");
    refused("*3\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\n2\r\n", bad, "three words");
    refused("*2\r\n$1\r\na\r\n:1\r\n", bad, "a port that is a number");
    refused("*2\r\n*0\r\n$1\r\n1\r\n", bad, "a list for a name");
    refused("*2\r\n$-1\r\n$1\r\n1\r\n", bad, "nil for a name");
    refused("*2\r\n$1\r\na\r\n$5\r\n65536\r\n", bad, "a port too large");
    refused("*2\r\n$1\r\na\r\n$2\r\n-1\r\n", bad, "a port below zero");
    refused("*2\r\n$0\r\n\r\n$1\r\n1\r\n", bad, "an empty name");
    refused("*2\r\n$6\r\n/etc/x\r\n$1\r\n1\r\n", bad, "a path");
    refused("*2\r\n$3\r\na\nb\r\n$1\r\n1\r\n", bad, "a line end");
    memset(name, 'a', 254);
    refused(apr_psprintf(p, "*2\r\n$254\r\n%s\r\n$1\r\n1\r\n", name), bad, "a name too long");
    name[253] = '\0';
    is_str(answer(apr_psprintf(p, "*2\r\n$253\r\n%s\r\n$5\r\n65535\r\n", name)), NULL,
           "the longest name");
    is_str(target.label, apr_pstrcat(p, name, ":65535", NULL), "  has room");
}

static void role(const char *text, const char *want, const char *name)
{
    redisReply *reply = reply_of(text);
    const char *problem = rs_sentinel_role(reply);

    ok(want ? problem && strstr(problem, want) : !problem, "%s: %s", name,
       problem ? problem : "the master");
    freeReplyObject(reply);
}

static void test_role(void)
{
    role("*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n", NULL, "a master");
    role("*1\r\n$5\r\nslave\r\n", "not the master", "a replica");
    role("*1\r\n$8\r\nsentinel\r\n", "not the master", "a sentinel");
    role("*1\r\n$7\r\nmasters\r\n", "not the master", "a longer word");
    role("*1\r\n:1\r\n", "does not say", "a number");
    role("*0\r\n", "does not say", "nothing");
    role("+master\r\n", "does not say", "a bare word");
    role("*-1\r\n", "does not say", "nil");
    role("-NOPERM this user has no permissions\r\n", "+role", "no permission");
    role("-LOADING\r\n", "does not say", "another error");
}

static void test_turns(void)
{
    is_int(rs_sentinel_turn(url), 0, "the first one");
    rs_sentinel_failed(url, 0);
    is_int(rs_sentinel_turn(url), 1, "the next one");
    rs_sentinel_failed(url, 0);
    is_int(rs_sentinel_turn(url), 1, "which does not suffer for the first one");
    rs_sentinel_failed(url, 1);
    is_int(rs_sentinel_turn(url), 0, "and around");
}

int main(void)
{
    const char *words[] = {"redis://s1/3", "redis://:s3cret@s2/3", "master=m"};
    const char *problem;

    apr_initialize();
    apr_pool_create(&p, NULL);
    problem = rs_redis_urls_parse(&url, p, 3, words);
    if (ok(!problem, "a URL with sentinels")) {
        url->password = "of-redis";
        test_target();
        test_role();
        test_turns();
    }
    apr_pool_destroy(p);
    apr_terminate();
    return done_testing();
}
