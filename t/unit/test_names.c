/* SPDX-License-Identifier: Apache-2.0
 *
 * Tenants, event types, patterns, UTF-8, JSON strings.
 */
#include "base/rs_buf.h"
#include "base/rs_name.h"
#include "base/rs_utf8.h"
#include "proto/rs_own_keys.h"
#include "tap.h"

static void names(void)
{
    static const char *const good[] = {"a", "42", "acme", "A.b_c@d-e", "user@example.org"};
    static const char *const bad[] = {"",         "a b",   "a:b", "a*",  "a\nb", "a/b", "{a}",
                                      "\xC3\xA4", "a\x7F", "a,b", "a;b", "$",    "%41", "a\tb"};
    char name[66];
    size_t i;

    for (i = 0; i < RS_ARRAY_LEN(good); i++) {
        ok(rs_name_valid(good[i], strlen(good[i])), "a tenant: %s", good[i]);
    }
    for (i = 0; i < RS_ARRAY_LEN(bad); i++) {
        ok(!rs_name_valid(bad[i], strlen(bad[i])), "not a tenant (%d)", (int)i);
    }
    memset(name, 'x', sizeof(name));
    ok(rs_name_valid(name, 64) && !rs_name_valid(name, 65), "64 characters are the most");
    ok(!rs_name_valid("a\0b", 3), "no NUL");
    ok(rs_event_type_valid("order_created", 13) && !rs_event_type_valid("a b", 3)
           && !rs_event_type_valid("a\nid: 1", 7) && !rs_event_type_valid("", 0),
       "an event type is one word");
}

static void own_keys(void)
{
    static const char *const met[][2] = {
        {"ragline:dlq:orders", "ragline:dlq:"},
        {"ragline:dlq:", "ragline:dlq:"},
        {"ragline:{tenant}:orders", "ragline:event:"},
        {"ragline:{tenant}", "ragline:control"},
        {"ragline:d{tenant}q:x", "ragline:dlq:"},
        {"ragline:gro{tenant}:x", "ragline:groups:"},
        {"ragline:groups:{x}", "ragline:groups:"},
        {"ragline:event:{tenant}", "ragline:event:"},
        {"{tenant}:dlq:x", "ragline:dlq:"},
        {"{tenant}:control", "ragline:control"},
        {"r{tenant}e:{tenant}:x", "ragline:event:"},
        {"ragline:control", "ragline:control"},
        {"ragline:control:2", "ragline:control:"},
        {"ragline:dead:a:b", "ragline:dead:"},
        {"ragline:presence:a", "ragline:presence:"},
        {"ragline:revoked:a", "ragline:revoked:"},
        {"ragline:resume:a", "ragline:resume:"},
    };
    static const char *const free_keys[] = {
        "orders",
        "ragline:stream:orders",
        "ragline:stream:{tenant}:orders",
        "{tenant}",
        "ragline:controls",
        "ragline:dlq",
        "ragline-{tenant}:x",
        "{tenant}:orders",
        "ragline:x{tenant}:y",
        "site:events",
        "ragline:{tenant}x",
        "ragline:stream:{tenant}",
        "ragline:streams-{tenant}:dlq:",
        "ragline:dlqx:a",
        "",
        "a{tenant}:dlq:x",
    };
    size_t i;

    for (i = 0; i < RS_ARRAY_LEN(met); i++) {
        const char *own = rs_own_key_met(met[i][0]);

        ok(own && !strcmp(own, met[i][1]), "%s is some %s", met[i][0], met[i][1]);
    }
    for (i = 0; i < RS_ARRAY_LEN(free_keys); i++) {
        ok(!rs_own_key_met(free_keys[i]), "%s is free", free_keys[i]);
    }
}

static int match(const char *pattern, const char *text)
{
    return rs_pattern_match(pattern, text, strlen(text));
}

static void patterns(void)
{
    ok(match("order*", "order_created") && match("order*", "order") && !match("order*", "reorder"),
       "order*");
    ok(match("*", "") && match("*", "x") && match("a*b*c", "a-b-b-c") && !match("a*b*c", "a-b-b"),
       "stars");
    ok(match("x", "x") && !match("x", "xx") && !match("", "x") && match("", ""), "no star");
    ok(match("*_done", "x_done_done") && !match("*_done", "x_done_don"), "a star goes back");
}

static void utf8(void)
{
    static const struct {
        const char *text;
        int valid;
    } cases[] = {
        {"plain", 1},
        {"\xC3\xA4", 1},
        {"\xE2\x82\xAC", 1},
        {"\xF0\x9F\x98\x80", 1},
        {"\xF4\x8F\xBF\xBF", 1},
        {"\xC0\xAF", 0},
        {"\xC1\xBF", 0},
        {"\xE0\x80\xAF", 0},
        {"\xED\xA0\x80", 0},
        {"\xF0\x80\x80\xAF", 0},
        {"\xF4\x90\x80\x80", 0},
        {"\xF5\x80\x80\x80", 0},
        {"\x80", 0},
        {"\xFF", 0},
        {"a\xE2\x82", 0},
    };
    size_t i;

    for (i = 0; i < RS_ARRAY_LEN(cases); i++) {
        is_int(rs_utf8_valid(cases[i].text, strlen(cases[i].text)), cases[i].valid, "UTF-8");
    }
}

static void json(void)
{
    rs_buf_t b = RS_BUF_INIT;

    rs_buf_json(&b, "a\"b\\c\nd\x01\xC3\xA4\xFF", 11);
    rs_buf_add(&b, "", 1);
    is_str(b.data, "\"a\\\"b\\\\c\\u000ad\\u0001\xC3\xA4\xEF\xBF\xBD\"", "a JSON string");
    rs_buf_free(&b);
}

int main(void)
{
    names();
    own_keys();
    patterns();
    utf8();
    json();
    return done_testing();
}
