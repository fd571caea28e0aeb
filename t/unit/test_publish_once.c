/* SPDX-License-Identifier: Apache-2.0
 *
 * Events with an event_key: that a repeat is written once, that what Redis refuses leaves neither
 * an entry nor a note, and that no two events have the same key.
 */
#include "redis_server.h"

#include <apr_general.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include <hiredis/hiredis.h>

#include "../../src/redis/rs_redis_publish.h"
#include "tap.h"

static apr_pool_t *p;
static rs_redis_conn_t *conn;

static rs_redis_conn_t *connect_again(void)
{
    rs_redis_url_t *u = NULL;
    rs_redis_conn_t *c;

    rs_redis_url_parse(&u, p, redis_url);
    c = rs_redis_conn_create(u, apr_time_from_sec(2));
    if (rs_redis_conn_open(c) != APR_SUCCESS) {
        printf("# %s\n", rs_redis_conn_why(c));
    }
    return c;
}

static redisReply *reply_to(const char *command)
{
    char *words = apr_pstrdup(p, command), *last = NULL;
    redisReply *reply = NULL;
    const char *argv[32];
    int n = 0;

    for (words = apr_strtok(words, " ", &last); words; words = apr_strtok(NULL, " ", &last)) {
        argv[n++] = words;
    }
    rs_redis_conn_command(conn, &reply, n, argv, NULL);
    return reply;
}

/* The answer as text, errors included. */
static const char *say(const char *command)
{
    redisReply *reply = reply_to(command);
    const char *out = !reply ? "broken"
                      : reply->type == REDIS_REPLY_INTEGER
                          ? apr_psprintf(p, "%d", (int)reply->integer)
                      : reply->type == REDIS_REPLY_NIL ? "(nil)"
                      : reply->str                     ? apr_pstrmemdup(p, reply->str, reply->len)
                                                       : "";

    if (reply) {
        freeReplyObject(reply);
    }
    return out;
}

static void fill(rs_xadd_t *item, const char *key, const char *tenant, const char *event_id)
{
    memset(item, 0, sizeof(*item));
    item->key = key;
    item->event_key = event_id ? rs_event_key(p, key, tenant, event_id) : NULL;
    item->fields[0].name = "payload";
    item->fields[0].value = "a\0b";
    item->fields[0].len = 3;
    item->nfields = 1;
}

static void test_once(void)
{
    char refused[RS_REDIS_CLASS_LEN], id[RS_ID_LEN];
    rs_xadd_t items[4];
    redisReply *reply;

    fill(&items[0], "s", "acme", "e1");
    is_int(rs_redis_publish(conn, items, 1, refused), RS_PUBLISH_DONE, "one is written");
    ok(items[0].id[0] && !items[0].duplicate, "  as a new one");
    strcpy(id, items[0].id);
    is_int(rs_redis_publish(conn, items, 1, refused), RS_PUBLISH_DONE, "and again");
    is_str(items[0].id, id, "  with the id of before");
    ok(items[0].duplicate, "  as a repeat");
    is_str(say("XLEN s"), "1", "  which is not written");
    is_str(say("GET ragline:event:acme:1:{s}:e1"), id, "  the key is as documented");
    ok(atoi(say("TTL ragline:event:acme:1:{s}:e1")) > 86390, "  for a day");
    reply = reply_to("XRANGE s - +");
    ok(reply && reply->elements == 1 && reply->element[0]->element[1]->element[1]->len == 3
           && !memcmp(reply->element[0]->element[1]->element[1]->str, "a\0b", 3),
       "  its fields are written byte for byte");
    freeReplyObject(reply);

    fill(&items[0], "s", "acme", "e2");
    fill(&items[1], "s", "acme", NULL);
    fill(&items[2], "s", "acme", "e1");
    fill(&items[3], "s", "acme", "e2");
    items[1].maxlen = 100000;
    is_int(rs_redis_publish(conn, items, 4, refused), RS_PUBLISH_DONE, "new and old ones");
    ok(!items[0].duplicate && !items[1].duplicate && items[2].duplicate && items[3].duplicate,
       "  are told apart");
    is_str(items[2].id, id, "  an old one has its id");
    is_str(items[3].id, items[0].id, "  one that comes twice in a request has one");
    is_str(say("XLEN s"), "3", "  and only the new are written");

    is_int(rs_redis_publish(conn, &items[1], 1, refused), RS_PUBLISH_DONE, "one without event_id");
    ok(!items[1].duplicate, "  is written again");
    is_str(say("XLEN s"), "4", "  and again");

    fill(&items[0], "s", "other", "e1");
    fill(&items[1], "s2", "acme", "e1");
    is_int(rs_redis_publish(conn, items, 2, refused), RS_PUBLISH_DONE,
           "another tenant, another stream");
    ok(!items[0].duplicate && !items[1].duplicate, "  are others");
    say("DEL s");
    fill(&items[0], "s", "acme", "e1");
    is_int(rs_redis_publish(conn, items, 1, refused), RS_PUBLISH_DONE, "a repeat of a lost entry");
    is_str(items[0].id, id, "  is one still");
}

static void test_many(void)
{
    static rs_xadd_t items[1000];
    char refused[RS_REDIS_CLASS_LEN];
    int i, good = 1;

    say("SCRIPT FLUSH");
    for (i = 0; i < 1000; i++) {
        fill(&items[i], i % 2 ? "many1" : "many0", "acme", apr_psprintf(p, "m%d", i));
        items[i].maxlen = i % 2 ? 0 : 100;
    }
    is_int(rs_redis_publish(conn, items, 1000, refused), RS_PUBLISH_DONE, "1000 are written");
    is_str(say("XLEN many1"), "500", "  all of them");
    i = atoi(say("XLEN many0"));
    ok(i >= 100 && i < 300, "  about maxlen of the other: %d", i);
    is_int(rs_redis_publish(conn, items, 1000, refused), RS_PUBLISH_DONE, "and again");
    for (i = 0; i < 1000; i++) {
        good &= items[i].duplicate;
    }
    ok(good, "  all are repeats");
    is_str(say("XLEN many1"), "500", "  and none is written");
}

/* What one XADD cannot do is done by the script, with or without an event_key. */
static void test_keep(void)
{
    char refused[RS_REDIS_CLASS_LEN];
    rs_xadd_t items[2];
    int i, left;

    say("DEL s s2");
    for (i = 0; i < 300; i++) {
        say(apr_psprintf(p, "XADD s %d-1 a b", 1000 + i));
    }
    fill(&items[0], "s", "acme", NULL);
    items[0].maxlen = 100000;
    items[0].minid = 1250;
    is_int(rs_redis_publish(conn, items, 1, refused), RS_PUBLISH_DONE, "maxlen and minid");
    is_str(say("XLEN s"), "101", "  minid counts");
    items[0].maxlen = 1;
    items[0].minid = 1;
    is_int(rs_redis_publish(conn, items, 1, refused), RS_PUBLISH_DONE, "and the other way round");
    is_str(say("XLEN s"), "2", "  maxlen counts");

    fill(&items[0], "s", "acme", "keep-1");
    fill(&items[1], "s2", "acme", NULL);
    items[0].idle = 100000;
    is_int(rs_redis_publish(conn, items, 2, refused), RS_PUBLISH_DONE, "with an end");
    left = atoi(say("PTTL s"));
    ok(left > 0 && left <= 100000, "  it is set: %d", left);
    is_str(say("PTTL s2"), "-1", "  of that key only");
    items[0].idle = 900000;
    is_int(rs_redis_publish(conn, items, 1, refused), RS_PUBLISH_DONE, "a repeat");
    ok(items[0].duplicate && atoi(say("PTTL s")) <= 100000, "  moves nothing");
    items[0].event_key = NULL;
    is_int(rs_redis_publish(conn, items, 1, refused), RS_PUBLISH_DONE, "the next one");
    ok(atoi(say("PTTL s")) > 100000, "  moves it");
    say("XGROUP CREATE s g $");
    is_int(rs_redis_publish(conn, items, 1, refused), RS_PUBLISH_DONE, "with a group");
    is_str(say("PTTL s"), "-1", "  there is none");
    is_str(refused, "", "  and nothing was refused");
}

/* The event is written, and the publisher told so; what else was asked for is said to us. */
static void test_keep_forbidden(void)
{
    static const char *const words[] = {"xtrim", "pexpire", "xinfo|groups", "persist"};
    char refused[RS_REDIS_CLASS_LEN];
    rs_xadd_t item;
    int i;

    for (i = 0; i < 4; i++) {
        say("DEL s");
        say(i == 3 ? "XGROUP CREATE s g $ MKSTREAM" : "XADD s 1-1 a b");
        say(apr_psprintf(p, "ACL SETUSER default +@all -%s", words[i]));
        fill(&item, "s", "acme", NULL);
        item.maxlen = 1000;
        item.minid = 1;
        item.idle = 100000;
        is_int(rs_redis_publish(conn, &item, 1, refused), RS_PUBLISH_DONE, "it is written");
        ok(item.id[0] != '\0', "  it has its id");
        is_str(refused, "NOPERM", words[i]);
        ok(i == 0 || !strcmp(say("PTTL s"), "-1"), "  and no end that is not known to be one");
        say("ACL SETUSER default +@all");
    }
    say("DEL s");
}

/* The script's SHA1 in the source is that of its text: EVALSHA finds it after one EVAL. */
static void test_script(void)
{
    char refused[RS_REDIS_CLASS_LEN];
    rs_xadd_t item;

    say("SCRIPT FLUSH");
    say("CONFIG RESETSTAT");
    fill(&item, "s", "acme", "script-1");
    rs_redis_publish(conn, &item, 1, refused);
    fill(&item, "s", "acme", "script-2");
    rs_redis_publish(conn, &item, 1, refused);
    fill(&item, "s", "acme", "script-3");
    is_int(rs_redis_publish(conn, &item, 1, refused), RS_PUBLISH_DONE, "by EVALSHA");
    ok(strstr(say("INFO commandstats"), "cmdstat_eval:calls=1,") != NULL, "  after one EVAL");
}

static void refuses(const char *name, const char *want, const rs_xadd_t *like, int n)
{
    char refused[RS_REDIS_CLASS_LEN];
    rs_xadd_t items[3];
    int i;

    for (i = 0; i < n; i++) {
        items[i] = like[i];
    }
    is_int(rs_redis_publish(conn, items, n, refused), RS_PUBLISH_REFUSED, name);
    is_str(refused, want, "  is named");
    ok(rs_redis_conn_usable(conn), "  the connection is good");
}

static void test_refused(void)
{
    char refused[RS_REDIS_CLASS_LEN];
    rs_xadd_t items[3];

    say("FLUSHALL");
    say("SET wrong x");
    fill(&items[0], "wrong", "acme", "e1");
    refuses("a key of another type", "WRONGTYPE", items, 1);
    fill(&items[0], "s", "acme", "e1");
    fill(&items[1], "wrong", "acme", "e2");
    fill(&items[2], "s", "acme", "e3");
    is_int(rs_redis_publish(conn, items, 3, refused), RS_PUBLISH_PARTIAL, "among good ones");
    is_str(refused, "WRONGTYPE", "  is named");
    ok(items[0].id[0] && !items[1].id[0] && items[2].id[0], "  the others are written");
    say("DEL wrong");
    is_int(rs_redis_publish(conn, items, 3, refused), RS_PUBLISH_DONE, "once it is repaired");
    ok(items[0].duplicate && !items[1].duplicate && items[2].duplicate,
       "  the retry writes the one that was missing");
    is_str(say("XLEN s"), "2", "  and no other");

    say("FLUSHALL");
    fill(&items[0], "s", "acme", "e1");
    fill(&items[1], "s", "acme", NULL);
    say("CONFIG SET maxmemory 1");
    refuses("no memory", "OOM", items, 2);
    say("CONFIG SET maxmemory 0");
    say("ACL SETUSER default +@all -xadd");
    refuses("XADD forbidden", "NOPERM", items, 1);
    say("ACL SETUSER default +@all -set");
    refuses("SET forbidden", "NOPERM", items, 1);
    say("ACL SETUSER default +@all -get");
    refuses("GET forbidden", "NOPERM", items, 1);
    say("ACL SETUSER default +@all -evalsha");
    refuses("EVALSHA forbidden", "NOPERM", items, 1);
    say("SCRIPT FLUSH");
    say("ACL SETUSER default +@all -eval");
    refuses("EVAL forbidden", "NOPERM", items, 1);
    say("ACL SETUSER default +@all resetkeys ~s");
    refuses("the event's key forbidden", "NOPERM", items, 1);
    say("ACL SETUSER default +@all resetkeys ~ragline:event:*");
    refuses("the stream forbidden", "NOPERM", items, 1);
    say("ACL SETUSER default +@all ~*");
    is_str(say("EXISTS s"), "0", "nothing was written");
    usleep(1100000);
    is_str(say("DBSIZE"), "0", "and no note is left");

    say("ACL SETUSER least on >x ~s ~ragline:event:* +ping +client|setname +xadd +multi +exec "
        "+discard +evalsha +eval +get +set");
    is_str(say("AUTH least x"), "OK", "a user with the permissions that are documented");
    is_int(rs_redis_publish(conn, items, 2, refused), RS_PUBLISH_DONE, "  may publish once");
    fill(&items[0], "s", "acme", NULL);
    is_int(rs_redis_publish(conn, items, 2, refused), RS_PUBLISH_DONE, "  or several");
    is_int(rs_redis_publish(conn, items, 1, refused), RS_PUBLISH_DONE, "  or one");
}

static void different(const char *key1, const char *tenant1, const char *id1, const char *key2,
                      const char *tenant2, const char *id2)
{
    const char *a = rs_event_key(p, key1, tenant1, id1), *b = rs_event_key(p, key2, tenant2, id2);

    ok(strcmp(a, b) != 0, "%s is not %s", a, b);
}

/* The key of an event_id holds what nobody of us has written there. */
static void test_bad_note(void)
{
    static const char *const things[][2] = {{"SET", "garbage"},
                                            {"SET", "=1-1"},
                                            {"SET", "1-1x"},
                                            {"LPUSH", "1-1"},
                                            {"XADD", "1-1 a b"}};
    char refused[RS_REDIS_CLASS_LEN];
    rs_xadd_t items[3];
    size_t i;

    for (i = 0; i < sizeof(things) / sizeof(things[0]); i++) {
        say("FLUSHALL");
        fill(&items[0], "s", "acme", NULL);
        fill(&items[1], "s", "acme", "e1");
        fill(&items[2], "s", "acme", "e2");
        say(apr_pstrcat(p, things[i][0], " ", items[1].event_key, " ", things[i][1], NULL));
        is_int(rs_redis_publish(conn, items, 3, refused), RS_PUBLISH_REFUSED, things[i][1]);
        is_str(refused, "BADNOTE", "  is named");
        ok(!items[0].refused[0] && items[1].refused[0] && !items[2].refused[0],
           "  at the event whose key it is");
        is_str(say("EXISTS s"), "0", "  and the others are not written");
        ok(rs_redis_conn_usable(conn), "  the connection is good");
    }
    say(apr_psprintf(p, "DEL %s", items[1].event_key));
    is_int(rs_redis_publish(conn, items, 3, refused), RS_PUBLISH_DONE,
           "without it all are written");
}

/* Whether the event is known or new, only a master says so. */
static void test_replica(void)
{
    char refused[RS_REDIS_CLASS_LEN];
    rs_xadd_t items[2];

    say("FLUSHALL");
    fill(&items[0], "s", "acme", "e1");
    fill(&items[1], "s", "acme", "e2");
    rs_redis_publish(conn, items, 1, refused);
    say("REPLICAOF 127.0.0.1 1");
    refuses("a known event at a replica", "READONLY", items, 1);
    refuses("a known and a new one", "READONLY", items, 2);
    say("REPLICAOF NO ONE");
    is_int(rs_redis_publish(conn, items, 2, refused), RS_PUBLISH_DONE, "at a master");
    ok(items[0].duplicate && !items[1].duplicate, "  they are told apart");
}

/* All streams and ids that can be made of these characters, against each other. */
static void test_injective(void)
{
    static const char *const parts[] = {"a", ":", "{", "}", "1", ":1:", "{a}", "}:", ":{", ""};
    static const char *keys[10 * 10 * 10], *names[10 * 10 * 10 * 20];
    int i, j, k, nkeys = 0, n = 0, same = 0;
    apr_hash_t *seen = apr_hash_make(p);

    for (i = 0; i < 10; i++) {
        for (j = 0; j < 10; j++) {
            for (k = 0; k < 10; k++) {
                const char *key = apr_pstrcat(p, parts[i], parts[j], parts[k], NULL);

                if (*key && !apr_hash_get(seen, key, APR_HASH_KEY_STRING)) {
                    apr_hash_set(seen, key, APR_HASH_KEY_STRING, key);
                    keys[nkeys++] = key;
                }
            }
        }
    }
    apr_hash_clear(seen);
    for (i = 0; i < nkeys; i++) {
        for (j = 0; j < 9; j++) {
            for (k = 0; k < 2; k++) {
                const char *name = rs_event_key(p, keys[i], k ? "a" : "1", parts[j]);

                same += apr_hash_get(seen, name, APR_HASH_KEY_STRING) != NULL;
                apr_hash_set(seen, name, APR_HASH_KEY_STRING, name);
                names[n++] = name;
            }
        }
    }
    is_int(same, 0, "no two events have the same key");
    ok(n > 5000 && names[0], "  of %d", n);
}

static void test_key(void)
{
    is_str(rs_event_key(p, "ragline:stream:orders", "acme", "e:1"),
           "ragline:event:acme:21:{ragline:stream:orders}:e:1", "in the stream's slot");
    is_str(rs_event_key(p, "s:{acme}:x", "acme", "e{1}"), "ragline:event:acme:10::s:{acme}:x:e{1}",
           "which the stream's key may name");
    is_str(rs_event_key(p, "s{}", "acme", "1"), "ragline:event:acme:3:{s{}}:1", "or not");
    different("s", "a", "b:c", "s", "a.b", "c");
    different("s", "a", "b", "s", "b", "a");
    different("a", "b", "c:d", "a:b", "c", "d");
    different("s:1", "a", "x", "s", "a", "1:x");
    different("{a}", "t", "}:x", "a}:", "t", "x");
    different("{a}", "t", "x", "a", "t", "x");
    different("1", "t", "1:{1}:1", "1}:1:{1", "t", "1");
    test_injective();
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&p, NULL);
    test_key();
    if (ok(redis_prepare() && redis_start(), "redis-server starts")) {
        conn = connect_again();
        test_once();
        test_many();
        test_script();
        test_keep();
        test_keep_forbidden();
        test_bad_note();
        test_replica();
        test_refused();
        rs_redis_conn_free(conn);
    }
    apr_pool_destroy(p);
    apr_terminate();
    return done_testing();
}
