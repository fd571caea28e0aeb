/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims by path and as text. Any thread.
 */
#include <string.h>

#include <apr_strings.h>

#include "rs_claims.h"

#define DEPTH_MAX 16

static const rs_json_t none = {NULL, NULL};

static rs_json_t member(rs_json_t object, const char *name, size_t n)
{
    rs_json_t inside = rs_json_inside(object), found, value;

    while (rs_json_member(&inside, &found, &value)) {
        if (rs_json_is(found, name, n)) {
            return value;
        }
    }
    return none;
}

/* The member of `object` whose name is the longest run of `path` up to one of its dots or its end;
 * *used is how much of the path that is. */
static rs_json_t longest_member(rs_json_t object, const char *path, size_t *used)
{
    size_t n = strlen(path);

    if (rs_json_kind(object) != '{') {
        return none;
    }
    for (;;) {
        rs_json_t found = member(object, path, n);

        *used = n;
        if (found.s) {
            return found;
        }
        do {
            if (n == 0) {
                return none;
            }
        } while (path[--n] != '.');
    }
}

rs_json_t rs_claim_find(rs_json_t claims, const char *path)
{
    size_t len = path ? strlen(path) : 0, used;
    int depth;

    if (len == 0 || len > RS_CLAIM_PATH_MAX) {
        return none;
    }
    for (depth = 0; depth < DEPTH_MAX; depth++) {
        claims = longest_member(claims, path, &used);
        if (!claims.s || path[used] == '\0') {
            return claims;
        }
        path += used + 1;
    }
    return none;
}

static int has_control(const char *s)
{
    for (; *s; s++) {
        if ((unsigned char)*s < ' ' || *s == 0x7F) {
            return 1;
        }
    }
    return 0;
}

const char *rs_claim_text(apr_pool_t *p, rs_json_t value)
{
    const char *text;
    apr_int64_t n;

    switch (rs_json_kind(value)) {
    case '"':
        text = rs_json_string(p, value);
        return text && !has_control(text) ? text : NULL;
    case '0':
        return rs_json_integer(&n, value) ? apr_psprintf(p, "%" APR_INT64_T_FMT, n) : NULL;
    case 't':
        return "true";
    case 'f':
        return "false";
    default:
        return NULL;
    }
}

const char *rs_claim_name(apr_pool_t *p, rs_json_t value, const char **json)
{
    const char *text = rs_claim_text(p, value);

    *json = "null";
    switch (rs_json_kind(value)) {
    case '\0':
    case 'n':
        return "";
    case '"':
        *json = apr_pstrmemdup(p, value.s, (apr_size_t)(value.end - value.s));
        return text;
    case '0':
        *json = text;
        return text;
    default:
        return NULL;
    }
}

static int text_is(rs_json_t value, const char *text)
{
    char digits[32];
    apr_int64_t n;

    switch (rs_json_kind(value)) {
    case '"':
        return rs_json_is(value, text, strlen(text));
    case '0':
        if (!rs_json_integer(&n, value)) {
            return 0;
        }
        apr_snprintf(digits, sizeof(digits), "%" APR_INT64_T_FMT, n);
        return strcmp(digits, text) == 0;
    case 't':
        return strcmp(text, "true") == 0;
    case 'f':
        return strcmp(text, "false") == 0;
    default:
        return 0;
    }
}

int rs_claim_is(rs_json_t value, const char *text)
{
    rs_json_t inside, element;

    if (!text) {
        return 0;
    }
    if (rs_json_kind(value) != '[') {
        return text_is(value, text);
    }
    inside = rs_json_inside(value);
    while (rs_json_element(&inside, &element)) {
        if (text_is(element, text)) {
            return 1;
        }
    }
    return 0;
}

int rs_claim_has(apr_pool_t *p, rs_json_t value, const char *text)
{
    const char *at, *end;
    size_t n;

    if (rs_claim_is(value, text)) {
        return 1;
    }
    at = text && *text ? rs_json_string(p, value) : NULL;
    if (!at) {
        return 0;
    }
    n = strlen(text);
    for (; *at; at = *end ? end + 1 : end) {
        end = at + strcspn(at, " ");
        if ((size_t)(end - at) == n && memcmp(at, text, n) == 0) {
            return 1;
        }
    }
    return 0;
}
