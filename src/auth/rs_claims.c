/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims by path and as text. Any thread; the JSON is its caller's.
 */
#include <string.h>

#include <apr_strings.h>

#include "rs_claims.h"

#define DEPTH_MAX 16

/* The member of `object` whose name is the longest run of `path` up to one of its dots or its end;
 * *used is how much of the path that is. `path` is cut for the look-ups and put together again. */
static json_t *longest_member(json_t *object, char *path, size_t *used)
{
    size_t n = strlen(path);
    json_t *found;

    for (;;) {
        char cut = path[n];

        path[n] = '\0';
        found = json_object_get(object, path);
        path[n] = cut;
        *used = n;
        if (found) {
            return found;
        }
        do {
            if (n == 0) {
                return NULL;
            }
        } while (path[--n] != '.');
    }
}

json_t *rs_claim_find(json_t *claims, const char *path)
{
    char copy[RS_CLAIM_PATH_MAX + 1], *rest = copy;
    size_t len = path ? strlen(path) : 0, used;
    json_t *value = claims;
    int depth;

    if (len == 0 || len > RS_CLAIM_PATH_MAX) {
        return NULL;
    }
    memcpy(copy, path, len + 1);
    for (depth = 0; depth < DEPTH_MAX; depth++) {
        value = longest_member(value, rest, &used);
        if (!value || rest[used] == '\0') {
            return value;
        }
        rest += used + 1;
    }
    return NULL;
}

const char *rs_claim_text(apr_pool_t *p, const json_t *value)
{
    const char *text;

    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_STRING:
        text = json_string_value(value);
        return strlen(text) == json_string_length(value) ? apr_pstrdup(p, text) : NULL;
    case JSON_INTEGER:
        return apr_psprintf(p, "%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(value));
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    default:
        return NULL;
    }
}

static int text_is(const json_t *value, const char *text)
{
    char digits[32];

    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_STRING:
        return json_string_length(value) == strlen(text)
               && memcmp(json_string_value(value), text, json_string_length(value)) == 0;
    case JSON_INTEGER:
        apr_snprintf(digits, sizeof(digits), "%" APR_INT64_T_FMT,
                     (apr_int64_t)json_integer_value(value));
        return strcmp(digits, text) == 0;
    case JSON_TRUE:
        return strcmp(text, "true") == 0;
    case JSON_FALSE:
        return strcmp(text, "false") == 0;
    default:
        return 0;
    }
}

int rs_claim_is(const json_t *value, const char *text)
{
    const json_t *element;
    size_t i;

    if (!text) {
        return 0;
    }
    if (!json_is_array(value)) {
        return text_is(value, text);
    }
    json_array_foreach(value, i, element) {
        if (text_is(element, text)) {
            return 1;
        }
    }
    return 0;
}

int rs_claim_has(const json_t *value, const char *text)
{
    const char *at, *end;
    size_t n;

    if (rs_claim_is(value, text)) {
        return 1;
    }
    if (!text || !*text || !json_is_string(value)) {
        return 0;
    }
    n = strlen(text);
    at = json_string_value(value);
    if (strlen(at) != json_string_length(value)) {
        return 0;
    }
    for (; *at; at = *end ? end + 1 : end) {
        end = at + strcspn(at, " ");
        if ((size_t)(end - at) == n && memcmp(at, text, n) == 0) {
            return 1;
        }
    }
    return 0;
}
