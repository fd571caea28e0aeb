/* SPDX-License-Identifier: Apache-2.0
 *
 * Walking in JSON text, and what must hold before jansson builds a tree of it. Any thread.
 */
#include <string.h>

#include <apr_strings.h>

#include "rs_json_text.h"

static int is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

void rs_text_skip_space(rs_text_t *t)
{
    while (t->s < t->end && is_space(*t->s)) {
        t->s++;
    }
}

/* From a quote to behind the closing one. */
static void skip_string(rs_text_t *t)
{
    for (t->s++; t->s < t->end && *t->s != '"'; t->s++) {
        if (*t->s == '\\' && t->end - t->s > 1) {
            t->s++;
        }
    }
    t->s = t->s < t->end ? t->s + 1 : t->end;
}

static int is_one_of(char c, const char *set) { return c && strchr(set, c); }

/* A number or a word; inside of brackets also what stands between two values. */
static void skip_scalar(rs_text_t *t, int inside)
{
    while (t->s < t->end && !is_one_of(*t->s, inside ? "\"{}[]" : ",]} \t\r\n")) {
        t->s++;
    }
}

void rs_text_skip_value(rs_text_t *t)
{
    int depth = 0;

    do {
        if (t->s >= t->end) {
            return;
        }
        switch (*t->s) {
        case '"':
            skip_string(t);
            break;
        case '{':
        case '[':
            depth++;
            t->s++;
            break;
        case '}':
        case ']':
            depth--;
            t->s++;
            break;
        default:
            skip_scalar(t, depth);
        }
    } while (depth > 0);
}

/* What must hold before a tree is built. The text may be anything. */
static const char *prescan(rs_text_t t)
{
    int depth = 0, values = 0;

    if (memchr(t.s, '\0', (size_t)(t.end - t.s))) {
        return "holds a NUL byte"; /* jansson overlooks one behind a number */
    }
    while (t.s < t.end) {
        switch (*t.s) {
        case '"':
            skip_string(&t);
            continue;
        case '{':
        case '[':
            values++;
            if (++depth > RS_JSON_DEPTH_MAX) {
                return "is nested deeper than 32 levels";
            }
            break;
        case '}':
        case ']':
            depth--;
            break;
        case ',':
            values++;
            break;
        default:
            break;
        }
        if (values > RS_JSON_VALUES_MAX) {
            return "holds more than 1000000 values";
        }
        t.s++;
    }
    return NULL;
}

static const char *syntax_error(apr_pool_t *p, const char *subject, const json_error_t *error,
                                size_t flags)
{
    const char *what;

    switch (json_error_code(error)) {
    case json_error_invalid_utf8:
        what = "it is not UTF-8";
        break;
    case json_error_premature_end_of_input:
        what = "it ends too early";
        break;
    case json_error_end_of_input_expected:
        what = "something follows its end";
        break;
    case json_error_duplicate_key:
        what = "an object has the same member twice";
        break;
    case json_error_numeric_overflow:
        what = "a number is too large: write it as a string";
        break;
    case json_error_null_character:
    case json_error_null_byte_in_key:
        what = "a string holds a NUL character";
        break;
    case json_error_out_of_memory:
        what = "there is no memory for it";
        break;
    default:
        what = flags & JSON_DECODE_ANY ? "it is not a well-formed value"
                                       : "it is not a well-formed object or array";
    }
    return apr_psprintf(p, "%s cannot be read as JSON, at line %d, column %d: %s", subject,
                        error->line, error->column, what);
}

json_t *rs_json_read(const char **why, apr_pool_t *p, const char *what, rs_text_t text,
                     size_t flags)
{
    const char *problem = prescan(text);
    json_error_t error;
    json_t *root;

    if (problem) {
        *why = apr_pstrcat(p, what, " ", problem, NULL);
        return NULL;
    }
    root = json_loadb(text.s, (size_t)(text.end - text.s), flags | JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        *why = syntax_error(p, what, &error, flags);
    }
    return root;
}

int rs_text_member(rs_text_t *t, rs_text_t *name, rs_text_t *value)
{
    while (t->s < t->end && (is_space(*t->s) || *t->s == ',')) {
        t->s++;
    }
    if (t->s >= t->end || *t->s != '"') {
        t->s = t->s < t->end ? t->s + 1 : t->end;
        return 0;
    }
    name->s = t->s;
    skip_string(t);
    name->end = t->s;
    while (t->s < t->end && (is_space(*t->s) || *t->s == ':')) {
        t->s++;
    }
    value->s = t->s;
    rs_text_skip_value(t);
    value->end = t->s;
    return 1;
}

const char *rs_text_compact(apr_size_t *len, apr_pool_t *p, rs_text_t t)
{
    char *out = apr_palloc(p, (apr_size_t)(t.end - t.s) + 1), *o = out;

    while (t.s < t.end) {
        const char *start = t.s;

        if (*t.s == '"') {
            skip_string(&t);
            memcpy(o, start, (size_t)(t.s - start));
            o += t.s - start;
        }
        else if (is_space(*t.s++)) {
            continue;
        }
        else {
            *o++ = *start;
        }
    }
    *o = '\0';
    *len = (apr_size_t)(o - out);
    return out;
}
