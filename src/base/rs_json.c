/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a text is JSON, and finding one's way in it. Values are read in rs_json_value.c.
 */
#include <string.h>

#include <apr_strings.h>

#include "rs_json.h"
#include "rs_utf8.h"

static int is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static void skip_space(rs_json_t *t)
{
    while (t->s < t->end && is_space(*t->s)) {
        t->s++;
    }
}

/* --- whether it is JSON --- */

static int is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* Behind a backslash. */
static int escape_good(rs_json_t *t)
{
    int i;

    if (t->s >= t->end || !*t->s || !strchr("\"\\/bfnrtu", *t->s)) {
        return 0;
    }
    if (*t->s++ != 'u') {
        return 1;
    }
    for (i = 0; i < 4; i++, t->s++) {
        if (t->s >= t->end || !is_hex(*t->s)) {
            return 0;
        }
    }
    return 1;
}

static int string_good(rs_json_t *t)
{
    if (t->s >= t->end || *t->s != '"') {
        return 0;
    }
    t->s++;
    while (t->s < t->end && (unsigned char)*t->s >= 0x20) {
        char c = *t->s++;

        if (c == '"') {
            return 1;
        }
        if (c == '\\' && !escape_good(t)) {
            return 0;
        }
    }
    return 0;
}

static int digits_good(rs_json_t *t)
{
    const char *start = t->s;

    while (t->s < t->end && *t->s >= '0' && *t->s <= '9') {
        t->s++;
    }
    return t->s > start;
}

static int number_good(rs_json_t *t)
{
    t->s += *t->s == '-';
    if (t->s < t->end && *t->s == '0') {
        t->s++;
    }
    else if (!digits_good(t)) {
        return 0;
    }
    if (t->s < t->end && *t->s == '.') {
        t->s++;
        if (!digits_good(t)) {
            return 0;
        }
    }
    if (t->s < t->end && (*t->s == 'e' || *t->s == 'E')) {
        t->s++;
        t->s += t->s < t->end && (*t->s == '+' || *t->s == '-');
        return digits_good(t);
    }
    return 1;
}

static int word_good(rs_json_t *t, const char *word)
{
    for (; *word; word++, t->s++) {
        if (t->s >= t->end || *t->s != *word) {
            return 0;
        }
    }
    return 1;
}

static int scalar_good(rs_json_t *t)
{
    switch (t->s < t->end ? *t->s : '\0') {
    case '"':
        return string_good(t);
    case 't':
        return word_good(t, "true");
    case 'f':
        return word_good(t, "false");
    case 'n':
        return word_good(t, "null");
    default:
        return t->s < t->end && number_good(t);
    }
}

/* To where a value must begin, behind a bracket or a comma. */
static int place_good(rs_json_t *t, char open)
{
    skip_space(t);
    if (open == '[') {
        return 1;
    }
    if (!string_good(t)) {
        return 0;
    }
    skip_space(t);
    if (t->s >= t->end || *t->s != ':') {
        return 0;
    }
    t->s++;
    skip_space(t);
    return 1;
}

typedef enum { GOOD, ENDED, MALFORMED, TOO_DEEP, FOLLOWED } verdict_t;

static int closes(const rs_json_t *t, char open)
{
    return t->s < t->end && *t->s == (open == '{' ? '}' : ']');
}

/* Behind a value: closes what ends there. GOOD: another value follows. */
static verdict_t next_value(rs_json_t *t, const char *open, int *depth)
{
    while (*depth > 0) {
        skip_space(t);
        if (closes(t, open[*depth - 1])) {
            t->s++;
            --*depth;
            continue;
        }
        if (t->s >= t->end || *t->s != ',') {
            return MALFORMED;
        }
        t->s++;
        return place_good(t, open[*depth - 1]) ? GOOD : MALFORMED;
    }
    return ENDED;
}

/* No recursion: the brackets that are open are all there is to remember. */
static verdict_t value_check(rs_json_t *t, int limit)
{
    char open[RS_JSON_DEPTH_ANY];
    int depth = 0;
    verdict_t verdict = GOOD;

    while (verdict == GOOD) {
        if (t->s >= t->end || (*t->s != '{' && *t->s != '[')) {
            verdict = scalar_good(t) ? next_value(t, open, &depth) : MALFORMED;
            continue;
        }
        if (depth == limit) {
            return TOO_DEEP;
        }
        open[depth++] = *t->s++;
        skip_space(t);
        if (closes(t, open[depth - 1])) {
            verdict = next_value(t, open, &depth);
        }
        else if (!place_good(t, open[depth - 1])) {
            verdict = MALFORMED;
        }
    }
    return verdict == ENDED ? GOOD : verdict;
}

/* t is left where it is no longer good. */
static verdict_t text_check(rs_json_t *value, rs_json_t *t, int limit)
{
    verdict_t verdict;

    skip_space(t);
    value->s = t->s;
    verdict = value_check(t, limit < RS_JSON_DEPTH_ANY ? limit : RS_JSON_DEPTH_ANY);
    value->end = t->s;
    if (verdict == GOOD) {
        skip_space(t);
        verdict = t->s < t->end ? FOLLOWED : GOOD;
    }
    return verdict;
}

int rs_json_is_good(rs_json_t *value, rs_json_t text, int depth)
{
    return rs_utf8_valid(text.s, (size_t)(text.end - text.s))
           && text_check(value, &text, depth) == GOOD;
}

/* What stands before the JSON, or in the place of UTF-8, when a file was saved with a signature. */
static const char *bom(rs_json_t t)
{
    size_t n = (size_t)(t.end - t.s);

    if (n >= 3 && !memcmp(t.s, "\xEF\xBB\xBF", 3)) {
        return "begins with a byte order mark (BOM): write UTF-8 without it";
    }
    if (n >= 2 && (!memcmp(t.s, "\xFF\xFE", 2) || !memcmp(t.s, "\xFE\xFF", 2))) {
        return "is UTF-16, by its byte order mark (BOM): write UTF-8 without one";
    }
    return NULL;
}

static const char *sentence(apr_pool_t *p, const char *what, rs_json_t text, const char *at,
                            const char *why)
{
    int line = 1, column = 1;

    for (; text.s < at; text.s++) {
        if (*text.s == '\n') {
            line++;
            column = 1;
        }
        else if ((*text.s & 0xC0) != 0x80) {
            column++;
        }
    }
    return apr_psprintf(p, "%s cannot be read as JSON, at line %d, column %d: %s", what, line,
                        column, why);
}

const char *rs_json_check(rs_json_t *value, apr_pool_t *p, const char *what, rs_json_t text,
                          int depth)
{
    const char *problem = bom(text);
    rs_json_t t = text;

    if (problem) {
        return apr_pstrcat(p, what, " ", problem, NULL);
    }
    if (!rs_utf8_valid(text.s, (size_t)(text.end - text.s))) {
        return apr_pstrcat(p, what, " is not UTF-8", NULL);
    }
    switch (text_check(value, &t, depth)) {
    case TOO_DEEP:
        return apr_psprintf(p, "%s is nested deeper than %d levels", what, depth);
    case MALFORMED:
        return sentence(p, what, text, t.s,
                        t.s < t.end ? "it is not well-formed" : "it ends too early");
    case FOLLOWED:
        return sentence(p, what, text, t.s, "something follows its end");
    default:
        return NULL;
    }
}

/* --- finding one's way --- */

/* From a quote to behind the closing one. */
static void skip_string(rs_json_t *t)
{
    for (t->s++; t->s < t->end && *t->s != '"'; t->s++) {
        if (*t->s == '\\' && t->end - t->s > 1) {
            t->s++;
        }
    }
    t->s = t->s < t->end ? t->s + 1 : t->end;
}

/* From the first character of a value to behind its last. */
static void skip_value(rs_json_t *t)
{
    int depth = 0;

    while (t->s < t->end) {
        char c = *t->s;

        if (c == '"') {
            skip_string(t);
        }
        else if (depth == 0 && (c == ',' || c == ']' || c == '}' || is_space(c))) {
            return; /* behind a number or a word */
        }
        else {
            depth += (c == '{' || c == '[') - (c == '}' || c == ']');
            t->s++;
        }
        if (depth == 0 && (c == '"' || c == '}' || c == ']')) {
            return;
        }
    }
}

char rs_json_kind(rs_json_t value)
{
    char c = value.s && value.s < value.end ? *value.s : '\0';

    return c == '-' || (c >= '0' && c <= '9') ? '0' : c;
}

rs_json_t rs_json_inside(rs_json_t value)
{
    if (value.s) {
        value.s++;
        value.end--;
    }
    return value;
}

int rs_json_element(rs_json_t *inside, rs_json_t *value)
{
    while (inside->s < inside->end && (is_space(*inside->s) || *inside->s == ',')) {
        inside->s++;
    }
    if (inside->s >= inside->end) {
        return 0;
    }
    value->s = inside->s;
    skip_value(inside);
    value->end = inside->s;
    return 1;
}

int rs_json_member(rs_json_t *inside, rs_json_t *name, rs_json_t *value)
{
    if (!rs_json_element(inside, name)) {
        return 0;
    }
    while (inside->s < inside->end && (is_space(*inside->s) || *inside->s == ':')) {
        inside->s++;
    }
    value->s = inside->s;
    skip_value(inside);
    value->end = inside->s;
    return 1;
}

int rs_json_which(rs_json_t name, const char *const *names, int n)
{
    size_t len = (size_t)(name.end - name.s) - 2;
    int i;

    for (i = 0; i < n; i++) {
        if (strlen(names[i]) == len && memcmp(name.s + 1, names[i], len) == 0) {
            return i;
        }
    }
    return -1;
}

const char *rs_json_compact(apr_size_t *len, apr_pool_t *p, rs_json_t value)
{
    char *out = apr_palloc(p, (apr_size_t)(value.end - value.s) + 1), *o = out;

    while (value.s < value.end) {
        const char *start = value.s;

        if (*value.s == '"') {
            skip_string(&value);
            memcpy(o, start, (size_t)(value.s - start));
            o += value.s - start;
        }
        else if (!is_space(*value.s++)) {
            *o++ = *start;
        }
    }
    *o = '\0';
    *len = (apr_size_t)(o - out);
    return out;
}
