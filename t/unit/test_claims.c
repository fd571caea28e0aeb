/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims by path, as text, and as lists.
 */
#include <stdlib.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "../../src/auth/rs_claims.h"
#include "tap.h"

static apr_pool_t *pool;
static const rs_json_t nothing = {NULL, NULL};

static rs_json_t claims_of(const char *text)
{
    rs_json_t json = {text, text + strlen(text)};
    const char *why = rs_json_check(&json, pool, "the test", json, RS_JSON_DEPTH_MAX);

    if (why) {
        ok(0, "JSON of the test: %s: %s", text, why);
        exit(1);
    }
    return json;
}

static void test_find(void)
{
    static const struct {
        const char *claims, *path, *text;
    } table[] = {
        {"{\"a\":1}", "a", "1"},
        {"{\"a\":1}", "b", NULL},
        {"{\"a\":1}", "", NULL},
        {"{\"\":1}", "", NULL},
        {"{\"org\":{\"id\":7}}", "org.id", "7"},
        {"{\"org\":{\"id\":7},\"org.id\":8}", "org.id", "8"},
        {"{\"org\":{\"id\":{\"n\":9}}}", "org.id.n", "9"},
        {"{\"org\":{\"id.n\":9}}", "org.id.n", "9"},
        {"{\"org.id\":{\"n\":9}}", "org.id.n", "9"},
        {"{\"org.id\":{\"n\":1},\"org\":{\"id\":{\"n\":2}}}", "org.id.n", "1"},
        {"{\"org.id\":{\"m\":1},\"org\":{\"id\":{\"n\":2}}}", "org.id.n", NULL},
        {"{\"https://example.org/tenant\":\"x\"}", "https://example.org/tenant", "x"},
        {"{\"https://example.org/app\":{\"tenant\":\"x\"}}", "https://example.org/app.tenant", "x"},
        {"{\"org\":\"id\"}", "org.id", NULL},
        {"{\"org\":[{\"id\":1}]}", "org.id", NULL},
        {"{\"org\":[{\"id\":1}]}", "org.0.id", NULL},
        {"{\"org\":null}", "org.id", NULL},
        {"{\"a\":{\"\":{\"b\":3}}}", "a..b", "3"},
        {"{\"a\":{\"b\":3}}", "a.", NULL},
        {"{\"a\":{\"b\":3}}", ".a.b", NULL},
        {"{\"a\":{\"b\":3}}", ".", NULL},
        {"{\"a\":{\"b\":3}}", "...........", NULL},
        {"[1]", "0", NULL},
        {"\"a\"", "a", NULL},
    };
    apr_size_t i;

    for (i = 0; i < RS_ARRAY_LEN(table); i++) {
        rs_json_t claims = claims_of(table[i].claims);

        is_str(rs_claim_text(pool, rs_claim_find(claims, table[i].path)), table[i].text,
               apr_psprintf(pool, "'%s' of %s", table[i].path, table[i].claims));
    }
    ok(!rs_claim_find(nothing, "a").s, "no claims");
}

static void test_find_bounds(void)
{
    char path[600] = "a", name[257];
    const char *deep = "5";
    int i;

    for (i = 1; i <= 17; i++) {
        deep = apr_pstrcat(pool, "{\"a\":", deep, "}", NULL);
        if (i > 1) {
            strcat(path, ".a");
        }
        if (i >= 16) {
            ok((rs_claim_find(claims_of(deep), path).s != NULL) == (i == 16), "%d objects deep", i);
        }
    }
    for (i = 255; i <= 256; i++) {
        memset(name, 'n', sizeof(name));
        name[i] = '\0';
        ok((rs_claim_find(claims_of(apr_psprintf(pool, "{\"%s\":true}", name)), name).s != NULL)
               == (i == 255),
           "a name of %d characters", i);
    }
    ok(!rs_claim_find(claims_of("{}"), NULL).s, "no path");
}

static void test_text(void)
{
    static const struct {
        const char *json, *text;
    } table[] = {
        {"\"acme\"", "acme"},
        {"\"\"", ""},
        {"42", "42"},
        {"-1", "-1"},
        {"0", "0"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"true", "true"},
        {"false", "false"},
        {"1.0", "1"},
        {"42.5", NULL},
        {"null", NULL},
        {"\"a\\u0000b\"", NULL},
        {"\"a\\nb\"", NULL},
        {"\"a\\u007fb\"", NULL},
        {"\"\\u001b\"", NULL},
        {"\"\\udc00\"", NULL},
        {"\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80"},
        {"1e+06", "1000000"},
        {"1e400", NULL},
        {"99999999999999999999", NULL},
        {"[\"a\"]", NULL},
        {"{\"a\":1}", NULL},
    };
    apr_size_t i;

    for (i = 0; i < RS_ARRAY_LEN(table); i++) {
        is_str(rs_claim_text(pool, claims_of(table[i].json)), table[i].text, table[i].json);
    }
    is_str(rs_claim_text(pool, nothing), NULL, "nothing");
    ok(!rs_claim_is(claims_of("\"42\\u0000x\""), "42")
           && !rs_claim_has(pool, claims_of("\"42\\u0000x\""), "42"),
       "what has a NUL within equals nothing");
}

/* What can name somebody, and how JSON has it. */
static void test_name(void)
{
    static const struct {
        const char *json, *name, *as;
    } table[] = {
        {"\"acme\"", "acme", "\"acme\""},
        {"\"\\u0061cme\"", "acme", "\"\\u0061cme\""},
        {"\"auth0|5f7c\"", "auth0|5f7c", "\"auth0|5f7c\""},
        {"\"\"", "", "\"\""},
        {"null", "", "null"},
        {"42", "42", "42"},
        {"1e+06", "1000000", "1000000"},
        {"1.0", "1", "1"},
        {"4.2", NULL, NULL},
        {"9.007199254740993e15", NULL, NULL},
        {"1e400", NULL, NULL},
        {"99999999999999999999", NULL, NULL},
        {"true", NULL, NULL},
        {"[\"acme\"]", NULL, NULL},
        {"{}", NULL, NULL},
        {"\"a\\u0000b\"", NULL, NULL},
        {"\"\\ud800\"", NULL, NULL},
        {"\"a\\r\\nb\"", NULL, NULL},
    };
    const char *json, *name;
    apr_size_t i;

    for (i = 0; i < RS_ARRAY_LEN(table); i++) {
        name = rs_claim_name(pool, claims_of(table[i].json), &json);
        is_str(name, table[i].name, table[i].json);
        if (table[i].as) {
            is_str(json, table[i].as, "  as JSON has it");
        }
    }
    is_str(rs_claim_name(pool, nothing, &json), "", "no claim");
    is_str(json, "null", "  as JSON has it");
}

static void test_has(void)
{
    static const struct {
        const char *json, *text;
        int is, has;
    } table[] = {
        {"\"admin\"", "admin", 1, 1},
        {"\"admin\"", "adm", 0, 0},
        {"\"adm\"", "admin", 0, 0},
        {"\"admin\"", "", 0, 0},
        {"\"\"", "", 1, 1},
        {"[\"user\",\"admin\"]", "admin", 1, 1},
        {"[\"user\",[\"admin\"]]", "admin", 0, 0},
        {"[]", "admin", 0, 0},
        {"[1,2]", "2", 1, 1},
        {"{\"admin\":true}", "admin", 0, 0},
        {"\"read publish\"", "publish", 0, 1},
        {"\"read publish\"", "read", 0, 1},
        {"\"read publish\"", "read publish", 1, 1},
        {"\"read  publish \"", "publish", 0, 1},
        {"\"read publisher\"", "publish", 0, 0},
        {"\"unpublish read\"", "publish", 0, 0},
        {"\"read,publish\"", "publish", 0, 0},
        {"\"read\\tpublish\"", "publish", 0, 0},
        {"\"a b c\"", "b c", 0, 0},
        {"\" \"", "", 0, 0},
        {"[\"read publish\"]", "publish", 0, 0},
        {"7", "7", 1, 1},
        {"7.0", "7", 1, 1},
        {"[1e400,7e0]", "7", 1, 1},
        {"1e400", "1", 0, 0},
        {"true", "true", 1, 1},
        {"false", "true", 0, 0},
        {"null", "null", 0, 0},
        {"null", "", 0, 0},
    };
    apr_size_t i;

    for (i = 0; i < RS_ARRAY_LEN(table); i++) {
        rs_json_t value = claims_of(table[i].json);

        ok(rs_claim_is(value, table[i].text) == table[i].is
               && rs_claim_has(pool, value, table[i].text) == table[i].has,
           "%s and '%s': is %d, has %d", table[i].json, table[i].text, table[i].is, table[i].has);
    }
    ok(!rs_claim_has(pool, nothing, "a") && !rs_claim_is(nothing, "a"), "no claim has nothing");
    ok(!rs_claim_has(pool, claims_of("true"), NULL) && !rs_claim_is(claims_of("true"), NULL),
       "nothing is no claim");
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_find();
    test_find_bounds();
    test_text();
    test_name();
    test_has();
    apr_pool_destroy(pool);
    return done_testing();
}
