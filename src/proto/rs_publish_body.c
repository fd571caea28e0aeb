/* SPDX-License-Identifier: Apache-2.0
 *
 * Publish bodies. A worker thread; pure functions over the request's pool.
 *
 * jansson decides whether the body is JSON and decodes the short members. A payload is not printed
 * from jansson's tree but copied from the text, without the whitespace between its tokens: jansson
 * prints 19.99 as 19.989999999999998, and what a publisher wrote is what subscribers must get.
 * Finding a value in text that is known to be good JSON takes no more than skipping strings and
 * counting brackets.
 */
#include <string.h>

#include <apr_strings.h>
#include <jansson.h>

#include "../base/rs_name.h"
#include "rs_publish_body.h"

typedef struct {
    const char *s;
    const char *end;
} text_t;

static int is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(text_t *t)
{
    while (t->s < t->end && is_space(*t->s)) {
        t->s++;
    }
}

/* From a quote to behind the closing one. */
static void skip_string(text_t *t)
{
    for (t->s++; t->s < t->end && *t->s != '"'; t->s++) {
        if (*t->s == '\\' && t->end - t->s > 1) {
            t->s++;
        }
    }
    t->s = t->s < t->end ? t->s + 1 : t->end;
}

static int is_one_of(char c, const char *set)
{
    return c && strchr(set, c);
}

/* A number or a word; inside of brackets also what stands between two values. */
static void skip_scalar(text_t *t, int inside)
{
    while (t->s < t->end && !is_one_of(*t->s, inside ? "\"{}[]" : ",]} \t\r\n")) {
        t->s++;
    }
}

/* From the first character of a value to behind its last. */
static void skip_value(text_t *t)
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
static const char *prescan(const char *data, apr_size_t len)
{
    text_t t = {data, data + len};
    int depth = 0, values = 0;

    if (memchr(data, '\0', len)) {
        return "the body holds a NUL byte"; /* jansson overlooks one behind a number */
    }
    while (t.s < t.end) {
        switch (*t.s) {
        case '"':
            skip_string(&t);
            continue;
        case '{':
        case '[':
            values++;
            if (++depth > RS_PUBLISH_DEPTH_MAX) {
                return "the body is nested deeper than 32 levels";
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
        if (values > RS_PUBLISH_VALUES_MAX) {
            return "the body holds more than 1000000 values";
        }
        t.s++;
    }
    return NULL;
}

static const char *syntax_error(apr_pool_t *p, const json_error_t *error)
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
        what = "it is not a well-formed object or array";
    }
    return apr_psprintf(p, "the body cannot be read as JSON, at line %d, column %d: %s",
                        error->line, error->column, what);
}

static void refuse(rs_publish_item_t *item, const char *code, const char *reason)
{
    if (!item->code) {
        item->code = code;
        item->reason = reason;
    }
}

static void copy_payload(rs_publish_item_t *item, apr_pool_t *p, text_t t)
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
    item->payload = out;
    item->payload_len = (apr_size_t)(o - out);
}

/* The names as they stand in the text, in quotes. Escapes in them are not looked through: a
 * member's name that needs none and has some is not one of ours. */
static int name_is(text_t name, const char *want)
{
    size_t n = (size_t)(name.end - name.s);

    return n == strlen(want) && memcmp(name.s, want, n) == 0;
}

static int known_member(text_t name)
{
    static const char *const names[] = {"\"stream\"",    "\"event_type\"", "\"payload\"",
                                        "\"tenant_id\"", "\"user_id\"",    "\"event_id\""};
    size_t i;

    for (i = 0; i < RS_ARRAY_LEN(names); i++) {
        if (name_is(name, names[i])) {
            return 1;
        }
    }
    return 0;
}

/* Goes through an object's text: finds the payload and strangers. Ends behind the object. */
static void walk_object(rs_publish_item_t *item, apr_pool_t *p, text_t *t)
{
    t->s++;
    for (;;) {
        text_t name, value;

        while (t->s < t->end && (is_space(*t->s) || *t->s == ',')) {
            t->s++;
        }
        if (t->s >= t->end || *t->s != '"') {
            t->s = t->s < t->end ? t->s + 1 : t->end;
            return;
        }
        name.s = t->s;
        skip_string(t);
        name.end = t->s;
        while (t->s < t->end && (is_space(*t->s) || *t->s == ':')) {
            t->s++;
        }
        value.s = t->s;
        skip_value(t);
        value.end = t->s;
        if (!known_member(name)) {
            refuse(item, "unknown_member",
                   "an event has the members stream, event_type, payload and, if wanted, "
                   "tenant_id, user_id and event_id; this one has another");
        }
        else if (name_is(name, "\"payload\"")) {
            copy_payload(item, p, value);
        }
    }
}

/* A string without NUL, which jansson has seen to, or NULL. */
static const char *string_member(apr_pool_t *p, const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return json_is_string(value)
               ? apr_pstrmemdup(p, json_string_value(value), json_string_length(value))
               : NULL;
}

/* A tenant or a user: a string or an integer. */
static const char *name_member(rs_publish_item_t *item, apr_pool_t *p, const json_t *object,
                               const char *name, const char *code, const char *reason)
{
    const json_t *value = json_object_get(object, name);
    const char *s = NULL;

    if (!value) {
        return NULL;
    }
    if (json_is_integer(value)) {
        s = apr_psprintf(p, "%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(value));
    }
    else if (json_is_string(value)) {
        s = string_member(p, object, name);
    }
    if (s && rs_name_valid(s, strlen(s))) {
        return s;
    }
    refuse(item, code, reason);
    return NULL;
}

static void read_members(rs_publish_item_t *item, apr_pool_t *p, const json_t *object)
{
    item->stream = string_member(p, object, "stream");
    if (!item->stream || !*item->stream) {
        refuse(item, "invalid_stream", "stream must be the name of a stream");
    }
    item->event_type = string_member(p, object, "event_type");
    if (!item->event_type || !rs_event_type_valid(item->event_type, strlen(item->event_type))) {
        refuse(item, "invalid_event_type",
               "event_type must be a string of 1 to 128 printable ASCII characters without spaces");
    }
    if (!item->payload) {
        refuse(item, "missing_payload", "payload is missing: it may be any JSON value");
    }
    item->tenant = name_member(item, p, object, "tenant_id", "invalid_tenant_id",
                               "tenant_id must be an integer or a string of 1 to 64 of "
                               "A-Z a-z 0-9 . _ @ -");
    item->user = name_member(item, p, object, "user_id", "invalid_user_id",
                             "user_id must be an integer or a string of 1 to 64 of "
                             "A-Z a-z 0-9 . _ @ -");
    if (json_object_get(object, "event_id")) {
        item->event_id = string_member(p, object, "event_id");
        if (!item->event_id || !rs_event_type_valid(item->event_id, strlen(item->event_id))) {
            refuse(item, "invalid_event_id",
                   "event_id must be a string of 1 to 128 printable ASCII characters "
                   "without spaces");
        }
    }
}

static void read_item(rs_publish_item_t *item, apr_pool_t *p, const json_t *value, text_t *t)
{
    skip_space(t);
    if (json_is_object(value)) {
        walk_object(item, p, t);
        read_members(item, p, value);
    }
    else {
        skip_value(t);
        refuse(item, "invalid_event", "an event must be a JSON object");
    }
}

static const char *read_root(rs_publish_body_t *b, apr_pool_t *p, const json_t *root, text_t t)
{
    size_t i, n = json_is_array(root) ? json_array_size(root) : 1;

    if (n == 0 || n > RS_PUBLISH_ITEMS_MAX) {
        return "the array must have 1 to 1000 events";
    }
    b->is_array = json_is_array(root);
    b->count = (int)n;
    b->items = apr_pcalloc(p, n * sizeof(*b->items));
    skip_space(&t);
    t.s += b->is_array;
    for (i = 0; i < n; i++) {
        read_item(&b->items[i], p, b->is_array ? json_array_get(root, i) : root, &t);
        b->bad += b->items[i].code != NULL;
        skip_space(&t);
        t.s += t.s < t.end; /* the comma, or the end */
    }
    return NULL;
}

const char *rs_publish_body_parse(rs_publish_body_t **body, apr_pool_t *p, const char *data,
                                  apr_size_t len)
{
    rs_publish_body_t *b = apr_pcalloc(p, sizeof(*b));
    text_t t = {data, data + len};
    json_error_t error;
    const char *err;
    json_t *root;

    *body = NULL;
    if ((err = prescan(data, len))) {
        return err;
    }
    root = json_loadb(data, len, JSON_REJECT_DUPLICATES, &error);
    if (!root) {
        return syntax_error(p, &error);
    }
    err = read_root(b, p, root, t);
    json_decref(root);
    if (!err) {
        *body = b;
    }
    return err;
}
