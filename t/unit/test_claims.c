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

static json_t *claims_of(const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);

    if (!json) {
        ok(0, "JSON of the test: %s", text);
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
        json_t *claims = claims_of(table[i].claims);

        is_str(rs_claim_text(pool, rs_claim_find(claims, table[i].path)), table[i].text,
               apr_psprintf(pool, "'%s' of %s", table[i].path, table[i].claims));
        json_decref(claims);
    }
    ok(!rs_claim_find(NULL, "a"), "no claims");
}

static void test_find_bounds(void)
{
    char path[600] = "a", *name = apr_pcalloc(pool, 400);
    json_t *deep = json_integer(5), *wrap, *wide = json_object();
    int i;

    for (i = 1; i <= 17; i++) {
        wrap = json_object();
        json_object_set_new(wrap, "a", deep);
        deep = wrap;
        if (i > 1) {
            strcat(path, ".a");
        }
        if (i >= 16) {
            ok((rs_claim_find(deep, path) != NULL) == (i == 16), "%d objects deep", i);
        }
    }
    json_decref(deep);
    memset(name, 'n', 255);
    json_object_set_new(wide, name, json_true());
    ok(rs_claim_find(wide, name) != NULL, "a name of 255 characters");
    name[255] = 'n';
    json_object_set_new(wide, name, json_true());
    ok(rs_claim_find(wide, name) == NULL, "a name of 256 characters");
    ok(!rs_claim_find(wide, NULL), "no path");
    json_decref(wide);
}

static void test_text(void)
{
    static const struct {
        const char *json, *text;
    } table[] = {
        {"\"acme\"", "acme"}, {"\"\"", ""}, {"42", "42"}, {"-1", "-1"}, {"0", "0"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"}, {"true", "true"}, {"false", "false"},
        {"1.0", NULL}, {"42.5", NULL}, {"null", NULL}, {"[\"a\"]", NULL}, {"{\"a\":1}", NULL},
    };
    json_t *value;
    apr_size_t i;

    for (i = 0; i < RS_ARRAY_LEN(table); i++) {
        value = claims_of(table[i].json);
        is_str(rs_claim_text(pool, value), table[i].text, table[i].json);
        json_decref(value);
    }
    is_str(rs_claim_text(pool, NULL), NULL, "nothing");
    value = json_stringn("42\0x", 4);
    is_str(rs_claim_text(pool, value), NULL, "a NUL within");
    ok(!rs_claim_is(value, "42") && !rs_claim_has(value, "42"), "it equals nothing either");
    json_decref(value);
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
        {"7.0", "7", 0, 0},
        {"true", "true", 1, 1},
        {"false", "true", 0, 0},
        {"null", "null", 0, 0},
        {"null", "", 0, 0},
    };
    apr_size_t i;

    for (i = 0; i < RS_ARRAY_LEN(table); i++) {
        json_t *value = claims_of(table[i].json);

        ok(rs_claim_is(value, table[i].text) == table[i].is
               && rs_claim_has(value, table[i].text) == table[i].has,
           "%s and '%s': is %d, has %d", table[i].json, table[i].text, table[i].is, table[i].has);
        json_decref(value);
    }
    ok(!rs_claim_has(NULL, "a") && !rs_claim_is(NULL, "a"), "no claim has nothing");
    ok(!rs_claim_has(json_true(), NULL) && !rs_claim_is(json_true(), NULL), "nothing is no claim");
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    test_find();
    test_find_bounds();
    test_text();
    test_has();
    apr_pool_destroy(pool);
    return done_testing();
}
