/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON as text: what is JSON and what is not, finding one's way, strings, and numbers.
 */
#include <stdlib.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "../../src/base/rs_json.h"
#include "tap.h"

static apr_pool_t *p;
static const rs_json_t none = {NULL, NULL};

/* An exact copy on the heap, so that a sanitizer sees a read behind the end. */
static const char *check_n(const char *text, size_t n, int depth)
{
    char *copy = malloc(n ? n : 1);
    rs_json_t t = {copy, copy + n}, value;
    const char *why;

    memcpy(copy, text, n);
    why = rs_json_check(&value, p, "it", t, depth);
    if (rs_json_is_good(&value, t, depth) != !why) {
        ok(0, "one says that \"%.*s\" is JSON, and one that it is not", (int)n, text);
    }
    free(copy);
    return why;
}

static rs_json_t value_of(const char *text)
{
    rs_json_t value = {text, text + strlen(text)};
    const char *why = rs_json_check(&value, p, "it", value, RS_JSON_DEPTH_MAX);

    if (why) {
        ok(0, "JSON of the test: %s", why);
        exit(1);
    }
    return value;
}

/* clang-format off */
static const char *const good[] = {
    "0", "-0", "1", "-10", "0.5", "1e5", "1E-5", "-1.25e+10", "1e400", "1e-400",
    "12345678901234567890123", "true", "false", "null", "\"\"", "\"\\u0000\"", "\"\\ud800\"",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00fC\"", "\"\x7f\xc3\xbc\xf0\x9f\x98\x80\"", "[]", "{}",
    " [ ] ", "\t{\r\n}\n", "[1,2]", "[[],{},[{}]]", "{\"a\":1}", "{\"\":{\"\":[]}}",
    "{ \"a\" : [ 1 , null ] , \"b\" : \"]\" }", "{\"a\":1,\"a\":2}", "[\"[\",\"\\\"{\"]",
};
static const char *const bad[] = {
    "", " ", "nul", "nulll", "True", "+1", "-", "01", "-01", "1.", ".5", "1.e1", "1e", "1e+",
    "0x1", "NaN", "Infinity", "1 2", "\"", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"",
    "\"\\u", "\"\n\"", "\"\t\"", "'a'", "[", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "]", "[}", "{",
    "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{\"a\" 1}", "{1:2}", "{a:1}",
    "{\"a\":}", "{]", "{\"a\":1]", "[1}", "//", "[1]//", "/**/1", "\xff", "\"\xff\"",
    "\"\xed\xa0\x80\"", "\"\xc0\x80\"", "[1]x", "1}", "\"a\"\"b\"", "[]]",
};
/* clang-format on */

static void test_good(void)
{
    apr_size_t i;

    for (i = 0; i < RS_ARRAY_LEN(good); i++) {
        is_str(check_n(good[i], strlen(good[i]), 8), NULL, "good");
    }
    for (i = 0; i < RS_ARRAY_LEN(bad); i++) {
        ok(check_n(bad[i], strlen(bad[i]), 8) != NULL, "bad %d", (int)i);
    }
    ok(check_n("1\0", 2, 8) && check_n("[1\0]", 4, 8) && check_n("\"\0\"", 3, 8), "a NUL is bad");
}

static void test_sentences(void)
{
    char *deep = malloc(4000000);

    is_str(check_n("{\n \"\xc3\xbc\": x}", 12, 8),
           "it cannot be read as JSON, at line 2, column 7: "
           "it is not well-formed",
           "where it is");
    is_str(check_n("[1", 2, 8), "it cannot be read as JSON, at line 1, column 3: it ends too early",
           "cut");
    is_str(check_n("1 2", 3, 8),
           "it cannot be read as JSON, at line 1, column 3: something follows "
           "its end",
           "two");
    is_str(check_n("\"\xff\"", 3, 8), "it is not UTF-8", "not UTF-8");
    is_str(check_n("\xEF\xBB\xBF{}", 5, 8),
           "it begins with a byte order mark (BOM): write UTF-8 without it", "a BOM");
    is_str(check_n("\xFF\xFE{\0}\0", 6, 8),
           "it is UTF-16, by its byte order mark (BOM): write UTF-8 without one", "UTF-16");
    is_str(check_n("[[]]", 4, 2), NULL, "two levels");
    is_str(check_n("[[{}]]", 6, 2), "it is nested deeper than 2 levels", "three");
    memset(deep, '[', 4000000);
    is_str(check_n(deep, 4000000, 1000), "it is nested deeper than 1000 levels",
           "never more than it has room for");
    free(deep);
}

static void test_walk(void)
{
    rs_json_t object = value_of(" { \"a\" : [ 1 , \"]\\\"\" , { } ] , \"b\":-1.5e3,\"\":null} ");
    rs_json_t inside = rs_json_inside(object), name, value, element;
    static const char *const names[] = {"b", "a"};
    apr_size_t len;

    ok(rs_json_member(&inside, &name, &value) && rs_json_which(name, names, 2) == 1, "a member");
    is_str(rs_json_compact(&len, p, value), "[1,\"]\\\"\",{}]", "its value");
    is_int((long long)len, 12, "its length");
    value = rs_json_inside(value);
    ok(rs_json_element(&value, &element) && rs_json_kind(element) == '0', "a number in it");
    ok(rs_json_element(&value, &element) && rs_json_kind(element) == '"', "a string in it");
    ok(rs_json_element(&value, &element) && rs_json_kind(element) == '{', "an object in it");
    ok(!rs_json_element(&value, &element), "no more");
    ok(rs_json_member(&inside, &name, &value) && rs_json_which(name, names, 2) == 0, "another");
    is_str(rs_json_compact(&len, p, value), "-1.5e3", "its value");
    ok(rs_json_member(&inside, &name, &value) && rs_json_which(name, names, 2) == -1, "a third");
    ok(rs_json_kind(value) == 'n', "null");
    ok(!rs_json_member(&inside, &name, &value), "and no more");
    inside = rs_json_inside(value_of("{ }"));
    ok(!rs_json_member(&inside, &name, &value), "none in an empty object");
    inside = rs_json_inside(value_of("{\"\\u0062\":1}"));
    ok(rs_json_member(&inside, &name, &value) && rs_json_which(name, names, 2) == -1
           && rs_json_is(name, "b", 1),
       "a name with an escape");
}

static void test_string(void)
{
    static const struct {
        const char *json, *text;
    } table[] = {
        {"\"\"", ""},
        {"\"a\\\"\\\\\\/\\b\\f\\n\\r\\tb\"", "a\"\\/\b\f\n\r\tb"},
        {"\"\\u0041\\u00fc\\u20AC\\ud83d\\uDE00\"", "A\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\"\xe2\x82\xac\"", "\xe2\x82\xac"},
        {"\"\\uffff\"", "\xef\xbf\xbf"},
        {"\"a\\u0000\"", NULL},
        {"\"\\ud800\"", NULL},
        {"\"\\ud800x\"", NULL},
        {"\"\\ud800\\n\"", NULL},
        {"\"\\ud800\\u0041\"", NULL},
        {"\"\\ud800\\ud800\"", NULL},
        {"\"\\udc00\\ud800\"", NULL},
        {"\"\\\\ud800\"", "\\ud800"},
        {"1", NULL},
        {"[\"a\"]", NULL},
    };
    char copy[8];
    apr_size_t i;

    for (i = 0; i < RS_ARRAY_LEN(table); i++) {
        rs_json_t value = value_of(table[i].json);

        is_str(rs_json_string(p, value), table[i].text, "a string");
        if (table[i].text) {
            ok(rs_json_is(value, table[i].text, strlen(table[i].text)), "  is itself");
            ok(!rs_json_is(value, "a", 1) && !rs_json_is(value, "A\xc3\xbc", 3), "  no other");
        }
    }
    memset(copy, 'x', sizeof(copy));
    ok(rs_json_copy(copy, 3, value_of("\"a\\u00fc\"")) == 3 && !memcmp(copy, "a\xc3\xbcx", 4),
       "a string is copied");
    ok(rs_json_copy(copy, 2, value_of("\"a\\u00fc\"")) == -1 && copy[2] == '\xbc',
       "and not behind the end");
    ok(rs_json_copy(copy, 0, value_of("\"\"")) == 0, "one without characters needs no room");
    ok(!rs_json_string(p, none) && !rs_json_is(none, "", 0), "no value is no text");
    ok(!rs_json_is(value_of("\"ab\\u0000\""), "ab", 2), "what is no text is nothing else either");
    ok(!rs_json_is(value_of("\"ab\""), "abc", 3) && !rs_json_is(value_of("\"abc\""), "ab", 2),
       "nor is what only begins so");
}

static void test_number(void)
{
    static const struct {
        const char *json;
        int good;
        apr_int64_t n;
    } table[] = {
        {"0", 1, 0},
        {"-0", 1, 0},
        {"-0.0e5", 1, 0},
        {"42", 1, 42},
        {"1e+06", 1, 1000000},
        {"1E6", 1, 1000000},
        {"1.0", 1, 1},
        {"1.50e1", 1, 15},
        {"-12.5e2", 1, -1250},
        {"1000e-3", 1, 1},
        {"0.000001e6", 1, 1},
        {"0e999999999999999999", 1, 0},
        {"9223372036854775807", 1, APR_INT64_MAX},
        {"-9223372036854775808", 1, APR_INT64_MIN},
        {"9007199254740993", 1, APR_INT64_C(9007199254740993)},
        {"9.007199254740991e15", 1, APR_INT64_C(9007199254740991)},
        {"-9007199254740991.0", 1, APR_INT64_C(-9007199254740991)},
        {"9223372036854775808", 0, 0},
        {"-9223372036854775809", 0, 0},
        {"9.007199254740992e15", 0, 0},
        {"9007199254740992.0", 0, 0},
        {"1e18", 0, 0},
        {"1e400", 0, 0},
        {"1e-400", 0, 0},
        {"1e99999999999999999999999", 0, 0},
        {"1e-99999999999999999999999", 0, 0},
        {"4.2", 0, 0},
        {"1e-1", 0, 0},
        {"\"1\"", 0, 0},
        {"true", 0, 0},
    };
    apr_size_t i;
    apr_int64_t n;

    for (i = 0; i < RS_ARRAY_LEN(table); i++) {
        n = 0;
        is_int(rs_json_integer(&n, value_of(table[i].json)), table[i].good, table[i].json);
        is_int(n * table[i].good, table[i].n, "  which integer");
    }
    ok(rs_json_scaled(&n, value_of("1700000000.1234567"), 6) && n == APR_INT64_C(1700000000123456),
       "a fraction, in millionths");
    ok(rs_json_scaled(&n, value_of("1.7e9"), 6) && n == APR_INT64_C(1700000000000000),
       "an exponent, in millionths");
    ok(rs_json_scaled(&n, value_of("-0.0000015"), 6) && n == -1, "a negative one");
    ok(!rs_json_scaled(&n, value_of("1e13"), 6), "one that is too large");
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&p, NULL);
    test_good();
    test_sentences();
    test_walk();
    test_string();
    test_number();
    apr_pool_destroy(p);
    apr_terminate();
    return done_testing();
}
