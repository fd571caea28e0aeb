/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing events: against a real redis-server what is written, and against a scripted one what is
 * said about the outcome when the connection breaks at each point.
 */
#include "redis_server.h"

#include <pthread.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <hiredis/hiredis.h>

#include "../../src/proto/rs_template.h"
#include "../../src/redis/rs_redis_publish.h"
#include "tap.h"

static apr_pool_t *p;

static rs_redis_conn_t *connect_to(const char *path)
{
    rs_redis_url_t *u = NULL;
    rs_redis_conn_t *conn;

    rs_redis_url_parse(&u, p, apr_pstrcat(p, "unix://", path, NULL));
    conn = rs_redis_conn_create(u, apr_time_from_sec(2));
    if (rs_redis_conn_open(conn) != APR_SUCCESS) {
        printf("# %s\n", rs_redis_conn_why(conn));
    }
    return conn;
}

/* A command of words; the answer as text, errors included. */
static const char *say(rs_redis_conn_t *conn, const char *command)
{
    char *words = apr_pstrdup(p, command), *last = NULL;
    const char *argv[32], *out = "";
    redisReply *reply;
    int n = 0;

    for (words = apr_strtok(words, " ", &last); words; words = apr_strtok(NULL, " ", &last)) {
        argv[n++] = words;
    }
    if (rs_redis_conn_command(conn, &reply, n, argv, NULL) != APR_SUCCESS) {
        return "broken";
    }
    if (reply->type == REDIS_REPLY_INTEGER) {
        out = apr_psprintf(p, "%d", (int)reply->integer);
    }
    else if (reply->str) {
        out = apr_pstrmemdup(p, reply->str, reply->len);
    }
    freeReplyObject(reply);
    return out;
}

static void fill(rs_xadd_t *item, const char *key, const char *payload)
{
    memset(item, 0, sizeof(*item));
    item->key = key;
    item->fields[0].name = "event_type";
    item->fields[0].value = "t";
    item->fields[0].len = 1;
    item->fields[1].name = "payload";
    item->fields[1].value = payload;
    item->fields[1].len = strlen(payload);
    item->nfields = 2;
}

static void test_done(rs_redis_conn_t *conn)
{
    char refused[RS_REDIS_CLASS_LEN];
    rs_xadd_t items[1000];
    redisReply *reply = NULL;
    const char *range[] = {"XRANGE", "one", "-", "+"};
    int i, k, good = 1;

    fill(&items[0], "one", "{\"a\":\"x\r\ny\"}");
    items[0].fields[1].value = "a\0b";
    items[0].fields[1].len = 3;
    is_int(rs_redis_publish(conn, items, 1, refused), RS_PUBLISH_DONE, "one is written");
    rs_redis_conn_command(conn, &reply, 4, range, NULL);
    if (ok(reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 1, "  once")) {
        redisReply *fields = reply->element[0]->element[1];

        is_str(reply->element[0]->element[0]->str, items[0].id, "  under its id");
        ok(fields->elements == 4 && strcmp(fields->element[2]->str, "payload") == 0
               && fields->element[3]->len == 3 && memcmp(fields->element[3]->str, "a\0b", 3) == 0,
           "  with its fields, byte for byte");
    }
    freeReplyObject(reply);
    for (i = 0; i < 1000; i++) {
        fill(&items[i], i % 2 ? "many1" : "many0", "{}");
        items[i].maxlen = i % 2 ? 0 : 100;
    }
    is_int(rs_redis_publish(conn, items, 1000, refused), RS_PUBLISH_DONE, "1000 are written");
    is_str(say(conn, "XLEN many1"), "500", "  all of the stream without a limit");
    i = atoi(say(conn, "XLEN many0"));
    ok(i >= 100 && i < 300, "  about maxlen of the other: %d", i);
    for (i = 0; i < 1000; i++) {
        rs_id_t id;

        good &= rs_id_parse(&id, items[i].id, strlen(items[i].id)) && !items[i].refused[0];
    }
    ok(good, "  each has its id");
    is_str(refused, "", "  none is refused");
    for (i = 0; i < 2; i++) {
        for (k = 0; k < 300; k++) {
            say(conn, apr_psprintf(p, "XADD aged%d %d-1 a b", i, 1000 + k));
        }
        fill(&items[0], i ? "aged1" : "aged0", "{}");
        items[0].minid = i ? 1250 : 0;
        is_int(rs_redis_publish(conn, items, 1, refused), RS_PUBLISH_DONE, "after old ones");
    }
    is_str(say(conn, "XLEN aged0"), "301", "  all stay");
    is_str(say(conn, "XLEN aged1"), "101", "  or those of minid, and what they share a node with");
}

static void test_refused(rs_redis_conn_t *conn)
{
    char refused[RS_REDIS_CLASS_LEN];
    rs_xadd_t items[3];
    int i;

    say(conn, "FLUSHALL");
    say(conn, "SET wrong x");
    fill(&items[0], "wrong", "{}");
    is_int(rs_redis_publish(conn, items, 1, refused), RS_PUBLISH_REFUSED, "a wrong type, alone");
    is_str(refused, "WRONGTYPE", "  is named");
    ok(rs_redis_conn_usable(conn), "  and the connection is good");
    fill(&items[0], "s", "{}");
    fill(&items[1], "wrong", "{}");
    fill(&items[2], "s", "{}");
    is_int(rs_redis_publish(conn, items, 3, refused), RS_PUBLISH_PARTIAL,
           "a wrong type among good ones");
    is_str(refused, "WRONGTYPE", "  is named");
    ok(items[0].id[0] && !items[1].id[0] && items[2].id[0] && !items[0].refused[0]
           && strcmp(items[1].refused, "WRONGTYPE") == 0 && !items[2].refused[0],
       "  exactly");
    is_str(say(conn, "XLEN s"), "2", "  and the others are written");

    say(conn, "CONFIG SET maxmemory 1");
    for (i = 1; i <= 3; i += 2) {
        fill(&items[1], "s", "{}");
        is_int(rs_redis_publish(conn, items, i, refused), RS_PUBLISH_REFUSED, "no memory");
        is_str(refused, "OOM", "  is named");
        ok(rs_redis_conn_usable(conn), "  and the connection is good");
        is_str(say(conn, "XLEN s"), "2", "  and nothing is written");
    }
    say(conn, "CONFIG SET maxmemory 0");

    say(conn, "ACL SETUSER default +@all -multi");
    is_int(rs_redis_publish(conn, items, 3, refused), RS_PUBLISH_REFUSED, "MULTI forbidden");
    is_str(refused, "NOPERM", "  is named");
    is_str(say(conn, "XLEN s"), "2", "  and nothing is written");
    say(conn, "ACL SETUSER default +@all -xadd");
    is_int(rs_redis_publish(conn, items, 1, refused), RS_PUBLISH_REFUSED, "XADD forbidden, alone");
    is_str(refused, "NOPERM", "  is named");
    is_int(rs_redis_publish(conn, items, 3, refused), RS_PUBLISH_REFUSED, "XADD forbidden");
    is_str(refused, "NOPERM", "  is named");
    say(conn, "ACL SETUSER default +@all -exec");
    is_int(rs_redis_publish(conn, items, 3, refused), RS_PUBLISH_REFUSED, "EXEC forbidden");
    is_str(refused, "NOPERM", "  is named");
    ok(!rs_redis_conn_usable(conn), "  and the connection is given up");
    rs_redis_conn_open(conn);
    say(conn, "ACL SETUSER default +@all");
    is_str(say(conn, "XLEN s"), "2", "  and nothing is written");
}

/* A server that waits until it was sent `wait`, then sends `answer`; hangs up at the end. */
typedef struct {
    const char *wait;
    const char *answer;
} step_t;

typedef struct {
    int listener;
    const step_t *steps;
} script_t;

static void *scripted(void *data)
{
    const script_t *script = data;
    const step_t *step;
    char buf[8192] = "";
    size_t len = 0;
    int fd = accept(script->listener, NULL, NULL);

    for (step = script->steps; step->wait; step++) {
        char *found;

        while (!(found = strstr(buf, step->wait))) {
            ssize_t n = read(fd, buf + len, sizeof(buf) - 1 - len);

            if (n <= 0) {
                close(fd);
                return NULL;
            }
            buf[len += (size_t)n] = '\0';
        }
        *found = '#';
        if (write(fd, step->answer, strlen(step->answer)) < 0) {
            break;
        }
    }
    close(fd);
    return NULL;
}

/* Added to the number of events: the first has an event_key. */
#define ONCE 16

static rs_publish_outcome_t against(const step_t *steps, int n, char *refused, char *why)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    rs_publish_outcome_t outcome;
    rs_redis_conn_t *conn;
    rs_xadd_t items[2];
    pthread_t thread;
    script_t script = {socket(AF_UNIX, SOCK_STREAM, 0), steps};

    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/fake", redis_dir);
    unlink(addr.sun_path);
    if (bind(script.listener, (struct sockaddr *)&addr, sizeof(addr)) != 0
        || listen(script.listener, 1) != 0
        || pthread_create(&thread, NULL, scripted, &script) != 0) {
        printf("Bail out! no scripted server\n");
        exit(1);
    }
    conn = connect_to(addr.sun_path);
    fill(&items[0], "s", "{}");
    fill(&items[1], "s", "{}");
    items[0].event_key = n & ONCE ? "e" : NULL;
    outcome = rs_redis_publish(conn, items, n & ~ONCE, refused);
    apr_cpystrn(why, rs_redis_conn_usable(conn) ? "" : rs_redis_conn_why(conn), 128);
    rs_redis_conn_free(conn);
    pthread_join(thread, NULL);
    close(script.listener);
    return outcome;
}

#define LOGIN {"SETNAME", "+OK\r\n"}
#define NOSCRIPT "-NOSCRIPT s3cret\r\n"
#define ID "$3\r\n1-1\r\n"
#define NONE "$0\r\n\r\n" /* nothing that could not be done besides */

static const struct {
    const char *name;
    int n;
    rs_publish_outcome_t want;
    int usable;
    const char *refused;
    step_t steps[6];
} cases[] = {
    {"one, answered", 1, RS_PUBLISH_DONE, 1, "", {LOGIN, {"XADD", ID}, {"bye", ""}}},
    {"one, hung up before it", 1, RS_PUBLISH_UNKNOWN, 0, "", {LOGIN, {"XADD", ""}}},
    {"one, half an answer", 1, RS_PUBLISH_UNKNOWN, 0, "", {LOGIN, {"XADD", "$3\r\n1-"}}},
    {"one, no id", 1, RS_PUBLISH_UNKNOWN, 0, "", {LOGIN, {"XADD", "$3\r\nabc\r\n"}}},
    {"one, a status", 1, RS_PUBLISH_UNKNOWN, 0, "", {LOGIN, {"XADD", "+OK\r\n"}}},
    {"one, RESP3", 1, RS_PUBLISH_UNKNOWN, 0, "", {LOGIN, {"XADD", "%1\r\n"}}},
    {"one, read only", 1, RS_PUBLISH_REFUSED, 1, "READONLY",
     {LOGIN, {"XADD", "-READONLY You can't write s3cret\r\n"}, {"bye", ""}}},
    {"one, loading", 1, RS_PUBLISH_REFUSED, 1, "LOADING",
     {LOGIN, {"XADD", "-LOADING Redis is loading\r\n"}, {"bye", ""}}},
    {"one, an error without a class", 1, RS_PUBLISH_REFUSED, 1, "ERR",
     {LOGIN, {"XADD", "-s3cret key\r\n"}, {"bye", ""}}},
    {"two, hung up at MULTI", 2, RS_PUBLISH_NOTHING, 0, "", {LOGIN, {"MULTI", ""}}},
    {"two, hung up at XADD", 2, RS_PUBLISH_NOTHING, 0, "",
     {LOGIN, {"MULTI", "+OK\r\n"}, {"XADD", "+QUEUED\r\n"}}},
    {"two, not queued but written", 2, RS_PUBLISH_NOTHING, 0, "",
     {LOGIN, {"MULTI", "+OK\r\n"}, {"XADD", ":1\r\n"}, {"bye", ""}}},
    {"two, hung up at EXEC", 2, RS_PUBLISH_UNKNOWN, 0, "",
     {LOGIN, {"MULTI", "+OK\r\n"}, {"XADD", "+QUEUED\r\n+QUEUED\r\n"}, {"EXEC", "*2\r\n" ID}}},
    {"two, too few", 2, RS_PUBLISH_UNKNOWN, 0, "",
     {LOGIN, {"MULTI", "+OK\r\n"}, {"XADD", "+QUEUED\r\n+QUEUED\r\n"}, {"EXEC", "*1\r\n" ID}}},
    {"two, nothing", 2, RS_PUBLISH_UNKNOWN, 0, "",
     {LOGIN, {"MULTI", "+OK\r\n"}, {"XADD", "+QUEUED\r\n+QUEUED\r\n"}, {"EXEC", "*-1\r\n"}}},
    {"two, aborted", 2, RS_PUBLISH_REFUSED, 0, "OOM",
     {LOGIN, {"MULTI", "+OK\r\n"}, {"XADD", "+QUEUED\r\n+QUEUED\r\n"},
      {"EXEC", "-EXECABORT Transaction discarded because of: OOM s3cret\r\n"}}},
    {"two, one not queued", 2, RS_PUBLISH_REFUSED, 1, "MISCONF",
     {LOGIN, {"MULTI", "+OK\r\n"}, {"XADD", "-MISCONF s3cret\r\n+QUEUED\r\n"},
      {"DISCARD", "+OK\r\n"}, {"bye", ""}}},
    {"two, written", 2, RS_PUBLISH_DONE, 1, "",
     {LOGIN, {"MULTI", "+OK\r\n"}, {"XADD", "+QUEUED\r\n+QUEUED\r\n"},
      {"EXEC", "*2\r\n" ID ID}, {"bye", ""}}},
    {"once, hung up", 1 | ONCE, RS_PUBLISH_UNKNOWN, 0, "", {LOGIN, {"EVALSHA", ""}}},
    {"once, half an answer", 2 | ONCE, RS_PUBLISH_UNKNOWN, 0, "",
     {LOGIN, {"EVALSHA", "*3\r\n" ID}}},
    {"once, written", 2 | ONCE, RS_PUBLISH_DONE, 1, "",
     {LOGIN, {"EVALSHA", "*3\r\n$4\r\n=1-1\r\n" ID NONE}, {"bye", ""}}},
    {"once, another script", 1 | ONCE, RS_PUBLISH_DONE, 1, "",
     {LOGIN, {"EVALSHA", NOSCRIPT}, {"EVAL\r\n", "*2\r\n" ID NONE}, {"bye", ""}}},
    {"once, written, not trimmed", 1 | ONCE, RS_PUBLISH_DONE, 1, "NOPERM",
     {LOGIN, {"EVALSHA", "*2\r\n" ID "-NOPERM s3cret\r\n"}, {"bye", ""}}},
    {"once, hung up at the script", 1 | ONCE, RS_PUBLISH_UNKNOWN, 0, "",
     {LOGIN, {"EVALSHA", NOSCRIPT}, {"EVAL\r\n", ""}}},
    {"once, no script ever", 1 | ONCE, RS_PUBLISH_REFUSED, 1, "NOSCRIPT",
     {LOGIN, {"EVALSHA", NOSCRIPT}, {"EVAL\r\n", NOSCRIPT}, {"bye", ""}}},
    {"once, busy", 1 | ONCE, RS_PUBLISH_REFUSED, 1, "BUSY",
     {LOGIN, {"EVALSHA", "-BUSY s3cret\r\n"}, {"bye", ""}}},
    {"once, a note that is no id", 1 | ONCE, RS_PUBLISH_UNKNOWN, 0, "",
     {LOGIN, {"EVALSHA", "*2\r\n$7\r\n=s3cret\r\n" NONE}}},
    {"once, too few", 2 | ONCE, RS_PUBLISH_UNKNOWN, 0, "",
     {LOGIN, {"EVALSHA", "*2\r\n" ID NONE}}},
    {"once, a number", 1 | ONCE, RS_PUBLISH_UNKNOWN, 0, "",
     {LOGIN, {"EVALSHA", "*2\r\n:7\r\n" NONE}}},
    {"once, one of two", 2 | ONCE, RS_PUBLISH_PARTIAL, 1, "WRONGTYPE",
     {LOGIN, {"EVALSHA", "*3\r\n" ID "-WRONGTYPE s3cret\r\n" NONE}, {"bye", ""}}},
    {"once, not allowed", 1 | ONCE, RS_PUBLISH_REFUSED, 1, "NOPERM",
     {LOGIN, {"EVALSHA", "*2\r\n-ERR The user executing the script can't s3cret\r\n" NONE},
      {"bye", ""}}},
};

static void test_broken(void)
{
    char refused[RS_REDIS_CLASS_LEN], why[128];
    size_t i;

    for (i = 0; i < RS_ARRAY_LEN(cases); i++) {
        is_int(against(cases[i].steps, cases[i].n, refused, why), cases[i].want, cases[i].name);
        is_str(refused, cases[i].refused, "  its class");
        ok((why[0] == '\0') == cases[i].usable, "  the connection is %s",
           why[0] ? why : "good");
        ok(!strstr(why, "s3cret"), "  and Redis is not quoted");
    }
}

static void test_key(void)
{
    is_str(rs_stream_key(p, "a:b", NULL), "a:b", "a plain key needs no tenant");
    is_str(rs_stream_key(p, "a:{tenant}:b", "acme"), "a:acme:b", "a tenant in a key");
    is_str(rs_stream_key(p, "{tenant}", "42"), "42", "a key that is the tenant");
    is_str(rs_stream_key(p, "{tenant}:{tenant}x", "42"), "42:42x", "a tenant twice");
    is_str(rs_stream_key(p, "{tenants}", "42"), "{tenants}", "another brace");
    is_str(rs_stream_key(p, "a:{tenant}", NULL), NULL, "no tenant, no key");
    is_str(rs_stream_key(p, "a:{tenant}", ""), NULL, "an empty tenant has no key");
    is_str(rs_stream_key(p, "a:{tenant}", "stream:orders"), NULL, "nor has one with a colon");
    is_str(rs_stream_key(p, "a:{tenant}", "{tenant}"), NULL, "nor one with a brace");
    ok(rs_template_per_tenant("a:{tenant}") && !rs_template_per_tenant("a:tenant"),
       "which keys are per tenant");
}

int main(void)
{
    rs_redis_conn_t *conn;

    apr_initialize();
    apr_pool_create(&p, NULL);
    test_key();
    if (ok(redis_prepare() && redis_start(), "redis-server starts")) {
        conn = connect_to(redis_socket);
        test_done(conn);
        test_refused(conn);
        rs_redis_conn_free(conn);
        test_broken();
    }
    apr_pool_destroy(p);
    apr_terminate();
    return done_testing();
}
