/* SPDX-License-Identifier: Apache-2.0
 *
 * Publish bodies: what an event is, that payloads arrive as they were written, and every refusal.
 */
#include <stdlib.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "../../src/proto/rs_publish_body.h"
#include "tap.h"

static apr_pool_t *p;

/* Parses an exact copy on the heap, so that a sanitizer sees a read behind the end. */
static const char *parse_n(rs_publish_body_t **b, const char *text, size_t n)
{
    char *copy = malloc(n ? n : 1);
    const char *err;

    memcpy(copy, text, n);
    err = rs_publish_body_parse(b, p, RS_PUBLISH_EVENTS, copy, n);
    free(copy);
    return err;
}

static const char *parse(rs_publish_body_t **b, const char *text)
{
    return parse_n(b, text, strlen(text));
}

/* A test's name is one line. */
static const char *name_of(const char *text)
{
    char *s = apr_pstrndup(p, text, 70), *c;

    for (c = s; *c; c++) {
        if (*c < ' ') {
            *c = '?';
        }
    }
    return s;
}

static rs_publish_item_t *one(const char *text)
{
    static rs_publish_item_t none;
    rs_publish_body_t *b = NULL;
    const char *err = parse(&b, text);

    if (!ok(!err && b && b->count == 1 && !b->is_array, "%s", name_of(text))) {
        printf("# %s\n", err ? err : "wrong count");
        memset(&none, 0, sizeof(none));
        none.code = "nothing";
        return &none;
    }
    is_int(b->bad, b->items[0].code != NULL, "  counted");
    return &b->items[0];
}

#define HEAD "{\"stream\":\"orders\",\"event_type\":\"order_created\","

static void payload(const char *json, const char *want)
{
    rs_publish_item_t *i = one(apr_pstrcat(p, HEAD "\"payload\":", json, "}", NULL));

    is_str(i->code, NULL, "  good");
    is_str(i->payload, want, "  payload");
    is_int((long long)i->payload_len, (long long)strlen(want), "  payload_len");
}

static void test_item(void)
{
    rs_publish_item_t *i = one(HEAD "\"payload\":{\"a\":1},\"tenant_id\":\"acme\",\"user_id\":7,"
                                    "\"event_id\":\"e-1\"}");

    is_str(i->code, NULL, "  good");
    is_str(i->stream, "orders", "  stream");
    is_str(i->event_type, "order_created", "  event_type");
    is_str(i->payload, "{\"a\":1}", "  payload");
    is_str(i->tenant, "acme", "  tenant");
    is_str(i->user, "7", "  user");
    is_str(i->event_id, "e-1", "  event_id");

    i = one(" \t\r\n" HEAD "\"payload\":0}\n");
    is_str(i->code, NULL, "  good with whitespace around it");
    ok(!i->tenant && !i->user && !i->event_id, "  what is not named is NULL");
    i = one("{\"payload\":\"x\" , \"event_type\" : \"t\",\n\"stream\":\"s\"}");
    is_str(i->code, NULL, "  good in any order");
    is_str(i->payload, "\"x\"", "  payload");
    i = one(HEAD "\"payload\":1,\"tenant_id\":-9223372036854775808}");
    is_str(i->tenant, "-9223372036854775808", "  the smallest tenant");
    i = one(HEAD "\"payload\":1,\"tenant_id\":1e+06,\"user_id\":7.0}");
    is_str(i->tenant, "1000000", "  a tenant as some languages write it");
    is_str(i->user, "7", "  a user as some do");
}

static void test_payload(void)
{
    payload("{}", "{}");
    payload("[]", "[]");
    payload("null", "null");
    payload("true", "true");
    payload("-0", "-0");
    payload("19.99", "19.99");
    payload("1.10", "1.10");
    payload("1E2", "1E2");
    payload("12345678901234567", "12345678901234567");
    payload("12345678901234567890123", "12345678901234567890123");
    payload("-1e400", "-1e400");
    payload("\"\\u0000\"", "\"\\u0000\"");
    payload("[\"\\ud800\",\"\\udc00\\ud800\"]", "[\"\\ud800\",\"\\udc00\\ud800\"]");
    payload("{\"a\":1,\"\\u0061\":2,\"\\u0000\":3}", "{\"a\":1,\"\\u0061\":2,\"\\u0000\":3}");
    payload("\"a string stays one\"", "\"a string stays one\"");
    payload(" { \"b\" : [ 1 , 2.50 , { \"x\" : \" y \" } ] ,\r\n\t\"a\" : null } ",
            "{\"b\":[1,2.50,{\"x\":\" y \"}],\"a\":null}");
    payload("\"\\\"\\\\\\/\\b\\n\\u00e9\"", "\"\\\"\\\\\\/\\b\\n\\u00e9\"");
    payload("\"\\\\\"", "\"\\\\\"");
    payload("\"} , ] \\\" { [\"", "\"} , ] \\\" { [\"");
    payload("{\"payload\":{\"payload\":\"}\"},\"stream\":[[]]}",
            "{\"payload\":{\"payload\":\"}\"},\"stream\":[[]]}");
    payload("\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
}

static void code(const char *text, const char *want)
{
    rs_publish_item_t *i = one(text);

    is_str(i->code, want, "  code");
    ok(i->reason && strlen(i->reason) > 20, "  and a reason");
    ok(i->reason && !strstr(i->reason, "s3cret"), "  that quotes nothing");
}

static void test_refused_item(void)
{
    char text[400];
    int n;

    code("{}", "invalid_stream");
    code("{\"stream\":\"\",\"event_type\":\"t\",\"payload\":1}", "invalid_stream");
    code("{\"stream\":7,\"event_type\":\"t\",\"payload\":1}", "invalid_stream");
    code("{\"stream\":\"s\",\"payload\":1}", "invalid_event_type");
    code("{\"stream\":\"s\",\"event_type\":\"\",\"payload\":1}", "invalid_event_type");
    code("{\"stream\":\"s\",\"event_type\":\"a b\",\"payload\":1}", "invalid_event_type");
    code("{\"stream\":\"s\",\"event_type\":\"a\\nb\",\"payload\":1}", "invalid_event_type");
    code("{\"stream\":\"s\",\"event_type\":\"\xc3\xa9\",\"payload\":1}", "invalid_event_type");
    code("{\"stream\":\"s\",\"event_type\":\"t\"}", "missing_payload");
    code("{\"stream\":\"s\",\"event_type\":7,\"payload\":1}", "invalid_event_type");
    code("{\"stream\":\"s\",\"event_type\":\"connected\",\"payload\":1}", "reserved_type");
    code("{\"stream\":\"s\",\"event_type\":\"heartbeat\",\"payload\":1}", "reserved_type");
    code("{\"stream\":\"s\",\"event_type\":\"error\",\"payload\":1}", "reserved_type");
    code("{\"stream\":\"s\",\"event_type\":\"reset\",\"payload\":1}", "reserved_type");
    code("{\"stream\":\"s\",\"event_type\":\"caught_\\u0075p\",\"payload\":1}", "reserved_type");
    is_str(one("{\"stream\":\"s\",\"event_type\":\"Error\",\"payload\":1}")->code, NULL,
           "  names that only look like it are good");
    code(HEAD "\"payload\":1,\"s3cret\":2}", "unknown_member");
    code(HEAD "\"payload\":1,\"Payload\":2}", "unknown_member");
    code(HEAD "\"pay\\u006coad\":1}", "unknown_member");
    code(HEAD "\"payload\":1,\"tenant_id\":\"\"}", "invalid_tenant_id");
    code(HEAD "\"payload\":1,\"tenant_id\":null}", "invalid_tenant_id");
    code(HEAD "\"payload\":1,\"tenant_id\":1.5}", "invalid_tenant_id");
    code(HEAD "\"payload\":1,\"tenant_id\":1e400}", "invalid_tenant_id");
    code(HEAD "\"payload\":1,\"tenant_id\":99999999999999999999}", "invalid_tenant_id");
    code(HEAD "\"payload\":1,\"tenant_id\":\"a\\u0000b\"}", "invalid_tenant_id");
    code(HEAD "\"payload\":1,\"user_id\":\"\\ud800\"}", "invalid_user_id");
    code(HEAD "\"payload\":1,\"event_id\":\"e\\u0000\"}", "invalid_event_id");
    code("{\"stream\":\"s\\u0000\",\"event_type\":\"t\",\"payload\":1}", "invalid_stream");
    code("{\"stream\":\"s\",\"event_type\":\"t\\u0000\",\"payload\":1}", "invalid_event_type");
    code(HEAD "\"payload\":1,\"payload\":2}", "invalid_event");
    code(HEAD "\"payload\":1,\"tenant_id\":1,\"tenant_id\":2}", "invalid_event");
    code(HEAD "\"payload\":1,\"tenant_id\":true}", "invalid_tenant_id");
    code(HEAD "\"payload\":1,\"tenant_id\":[\"s3cret\"]}", "invalid_tenant_id");
    code(HEAD "\"payload\":1,\"tenant_id\":\"s3cret:x\"}", "invalid_tenant_id");
    code(HEAD "\"payload\":1,\"tenant_id\":\"*\"}", "invalid_tenant_id");
    code(HEAD "\"payload\":1,\"tenant_id\":\"{x}\"}", "invalid_tenant_id");
    code(HEAD "\"payload\":1,\"user_id\":{}}", "invalid_user_id");
    code(HEAD "\"payload\":1,\"user_id\":\"s3cret x\"}", "invalid_user_id");
    code(HEAD "\"payload\":1,\"event_id\":7}", "invalid_event_id");
    code(HEAD "\"payload\":1,\"event_id\":\"s3cret x\"}", "invalid_event_id");
    for (n = 64; n <= 65; n++) {
        snprintf(text, sizeof(text), HEAD "\"payload\":1,\"tenant_id\":\"%0*d\"}", n, 1);
        is_str(one(text)->code, n == 64 ? NULL : "invalid_tenant_id", "  tenant's length");
    }
    for (n = 128; n <= 129; n++) {
        snprintf(text, sizeof(text), HEAD "\"payload\":1,\"event_id\":\"%0*d\"}", n, 1);
        is_str(one(text)->code, n == 128 ? NULL : "invalid_event_id", "  event_id's length");
    }
    for (n = 128; n <= 129; n++) {
        snprintf(text, sizeof(text), "{\"stream\":\"s\",\"payload\":1,\"event_type\":\"%0*d\"}", n,
                 1);
        is_str(one(text)->code, n == 128 ? NULL : "invalid_event_type", "  event_type's length");
    }
}

static void whole_n(const char *text, size_t n, const char *want, const char *name)
{
    rs_publish_body_t *b = (rs_publish_body_t *)1;
    const char *err = parse_n(&b, text, n);

    ok(err && !b && strstr(err, want), "refused whole: %s", name_of(name));
    if (err && !strstr(err, want)) {
        printf("# %s\n", err);
    }
    ok(err && !strstr(err, "s3cret"), "  and not quoted");
}

static void whole(const char *text, const char *want) { whole_n(text, strlen(text), want, text); }

static char *nested(int depth)
{
    char *s = apr_palloc(p, (apr_size_t)depth * 2 + 80);

    strcpy(s, HEAD "\"payload\":");
    for (; depth > 1; depth--) {
        strcat(s, "[");
    }
    return s;
}

static void test_whole(void)
{
    char *big = malloc(1000000), *s;
    int i;

    whole("", "ends too early");
    whole("s3cret", "not well-formed");
    whole("\"s3cret\"", "must be a JSON object, or an array");
    whole("42", "must be a JSON object, or an array");
    whole("{\"s3cret\"}", "not well-formed");
    whole("{\"a\":s3cret}", "line 1, column");
    whole("{\n\n  \"a\": s3cret}", "line 3, column");
    whole("{\"a\":1", "ends too early");
    whole("{\"a\":\"s3cret", "ends too early");
    whole("{\"a\":1}x", "something follows");
    whole("{\"a\":1}{\"b\":2}", "something follows");
    whole("{\"a\":\"\xff\"}", "not UTF-8");
    whole("{\"a\":\"\xed\xa0\x80\"}", "not UTF-8");
    whole_n("{\"a\":1}\0", 8, "something follows", "a NUL behind the end");
    whole_n("{\"a\":[1\0]}", 10, "not well-formed", "a NUL behind a number");
    whole("{\"a\":\"x\ny\"}", "not well-formed");
    whole("\xEF\xBB\xBF{}", "byte order mark");
    whole("{\"a\":NaN}", "not well-formed");
    whole("{'a':1}", "not well-formed");
    whole("{\"a\":1,}", "not well-formed");
    whole("[]", "1 to 1000");
    whole(nested(33), "32 levels");
    s = nested(32);
    for (i = 0; i < 31; i++) {
        strcat(s, "]");
    }
    is_str(one(strcat(s, "}"))->code, NULL, "  32 levels are good");
    memset(big, '[', 1000000);
    whole_n(big, 1000000, "32 levels", "a million brackets");
    free(big);
}

static void test_array(void)
{
    static const char item[] = HEAD "\"payload\":[1 , 2]}";
    rs_publish_body_t *b = NULL;
    char *big = malloc(sizeof(item) * 1001 + 10);
    int i, n;

    is_str(parse(&b, "[ " HEAD "\"payload\":{\"a\":[1,{}]}} ,7, null,\n{}," HEAD
                     "\"payload\":\"]\"},[{\"payload\":1}]]"),
           NULL, "an array of good and bad");
    ok(b && b->is_array && b->count == 6 && b->bad == 4, "  is counted");
    if (b && b->count == 6) {
        is_str(b->items[0].payload, "{\"a\":[1,{}]}", "  0 is good");
        is_str(b->items[1].code, "invalid_event", "  1 is not an object");
        is_str(b->items[2].code, "invalid_event", "  2 is not an object");
        is_str(b->items[3].code, "invalid_stream", "  3 is empty");
        is_str(b->items[4].payload, "\"]\"", "  4 is good");
        is_str(b->items[5].code, "invalid_event", "  5 is not an object");
    }
    for (n = 1000; n <= 1001; n++) {
        strcpy(big, "[");
        for (i = 0; i < n; i++) {
            char *end = big + 1 + (size_t)i * sizeof(item);

            memcpy(end, item, sizeof(item) - 1);
            end[sizeof(item) - 1] = i < n - 1 ? ',' : ']';
            end[sizeof(item)] = '\0';
        }
        if (n == 1000) {
            is_str(parse(&b, big), NULL, "1000 events");
            ok(b && b->count == 1000 && b->bad == 0, "  all good");
            is_str(b ? b->items[999].payload : NULL, "[1,2]", "  to the last");
        }
        else {
            whole_n(big, strlen(big), "1 to 1000", "1001 events");
        }
    }
    free(big);
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&p, NULL);
    test_item();
    test_payload();
    test_refused_item();
    test_whole();
    test_array();
    apr_pool_destroy(p);
    apr_terminate();
    return done_testing();
}
