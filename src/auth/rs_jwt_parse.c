/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking a token apart: three segments, base64url, JSON, the header. Any thread. Nothing here has
 * been verified yet, so everything is strict: one token has one spelling, and one meaning. What the
 * claims mean is rs_jwt.c's.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_cstr.h>
#include <apr_strings.h>

#include "rs_jwt_private.h"

static int base64url_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

int rs_base64url_decode(unsigned char *out, apr_size_t *out_len, const char *in, apr_size_t n)
{
    unsigned int bits = 0;
    int held = 0, value;
    apr_size_t i;

    *out_len = 0;
    for (i = 0; i < n; i++) {
        value = base64url_value(in[i]);
        if (value < 0) {
            return 0;
        }
        bits = (bits << 6 | (unsigned int)value) & 0xFFFF;
        held += 6;
        if (held >= 8) {
            held -= 8;
            out[(*out_len)++] = (unsigned char)(bits >> held);
        }
    }
    /* Six left-over bits are half a byte too few; others must be zero, or the same bytes would
     * have several spellings. */
    return n > 1 && held < 6 && (bits & ((1u << held) - 1)) == 0;
}

/* --- JSON --- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *names_check(apr_pool_t *p, rs_json_t value, const char *what);

/* Two parsers that read a name in two ways, or take the one or the other of two, would see two
 * tokens. */
static const char *object_check(apr_pool_t *p, rs_json_t object, const char *what)
{
    apr_array_header_t *names = apr_array_make(p, 16, sizeof(const char *));
    rs_json_t inside = rs_json_inside(object), name, value;
    const char *why = NULL;
    int i;

    while (!why && rs_json_member(&inside, &name, &value)) {
        const char *text = rs_json_string(p, name);

        if (!text) {
            return apr_pstrcat(p, "a name in ", what, " is no text", NULL);
        }
        APR_ARRAY_PUSH(names, const char *) = text;
        why = names_check(p, value, what);
    }
    qsort(names->elts, (size_t)names->nelts, sizeof(const char *), by_text);
    for (i = 1; !why && i < names->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(names, i - 1, const char *),
                    APR_ARRAY_IDX(names, i, const char *))) {
            why = apr_pstrcat(p, "a name comes twice in ", what, NULL);
        }
    }
    return why;
}

static const char *names_check(apr_pool_t *p, rs_json_t value, const char *what)
{
    rs_json_t inside, element;
    const char *why = NULL;

    if (rs_json_kind(value) == '{') {
        return object_check(p, value, what);
    }
    if (rs_json_kind(value) == '[') {
        inside = rs_json_inside(value);
        while (!why && rs_json_element(&inside, &element)) {
            why = names_check(p, element, what);
        }
    }
    return why;
}

const char *rs_jwt_object(rs_json_t *object, apr_pool_t *p, const char *what,
                          const unsigned char *data, apr_size_t len)
{
    const char *s = (const char *)data, *why;
    rs_json_t text = {s, s + len};

    why = rs_json_check(object, p, what, text, RS_JWT_DEPTH_MAX);
    if (!why && rs_json_kind(*object) != '{') {
        why = apr_pstrcat(p, what, " is no JSON object", NULL);
    }
    return why ? why : names_check(p, *object, what);
}

/* --- the three parts --- */

static unsigned char *segment(apr_pool_t *p, const char *from, const char *to, apr_size_t *len)
{
    apr_size_t n = (apr_size_t)(to - from);
    unsigned char *out = apr_palloc(p, n * 3 / 4 + 2);

    if (!rs_base64url_decode(out, len, from, n)) {
        return NULL;
    }
    out[*len] = '\0';
    return out;
}

const char *rs_jwt_split(rs_jwt_parts_t *parts, apr_pool_t *p, const char *token, apr_size_t len)
{
    const char *end, *first, *second;

    memset(parts, 0, sizeof(*parts));
    if (!token || len == 0) {
        return "there is no token";
    }
    if (len > RS_JWT_TOKEN_MAX) {
        return "the token is longer than 8 KiB";
    }
    parts->token = token = apr_pstrmemdup(p, token, len);
    parts->token_len = len;
    end = token + len;
    first = memchr(token, '.', len);
    second = first ? memchr(first + 1, '.', (apr_size_t)(end - first - 1)) : NULL;
    if (!second || memchr(second + 1, '.', (apr_size_t)(end - second - 1))) {
        return "the token does not have three parts";
    }
    parts->signed_len = (apr_size_t)(second - token);
    parts->header = segment(p, token, first, &parts->header_len);
    parts->payload = segment(p, first + 1, second, &parts->payload_len);
    parts->sig = segment(p, second + 1, end, &parts->sig_len);
    if (!parts->header || !parts->payload || !parts->sig) {
        return "a part of the token is not base64url";
    }
    if (parts->header_len > RS_JWT_HEADER_MAX) {
        return "the token's header is too long";
    }
    return NULL;
}

static const rs_json_t none = {NULL, NULL};

/* The members of a header that mean something here. */
enum { ALG, KID, TYP, CRIT, B64, MEMBERS };
static const char *const members[MEMBERS] = {"alg", "kid", "typ", "crit", "b64"};

static const char *type_check(apr_pool_t *p, rs_json_t typ, int *plain)
{
    const char *name = rs_json_string(p, typ);

    *plain = 1;
    if (!typ.s) {
        return NULL;
    }
    if (!name) {
        return "the token's typ is not a string";
    }
    if (apr_cstr_casecmp(name, "JWT") == 0) {
        return NULL;
    }
    *plain = 0;
    if (apr_cstr_casecmpn(name, "application/", 12) == 0) {
        name += 12;
    }
    if (apr_cstr_casecmp(name, "JWT") == 0 || apr_cstr_casecmp(name, "at+jwt") == 0) {
        return NULL;
    }
    return "the token's typ is neither JWT nor at+jwt";
}

static const char *header_check(rs_jwt_header_t *header, apr_pool_t *p, const rs_json_t *found)
{
    header->alg = rs_json_string(p, found[ALG]);
    header->kid = rs_json_string(p, found[KID]);
    if (!header->alg) {
        return "the token names no algorithm";
    }
    if (found[KID].s && !header->kid) {
        return "the token's kid is not a string";
    }
    /* Both change what is signed or what must be understood, and nothing of it is. */
    if (found[CRIT].s || found[B64].s) {
        return "the token uses an extension (crit, b64)";
    }
    return type_check(p, found[TYP], &header->plain_typ);
}

const char *rs_jwt_header_read(rs_jwt_header_t *header, apr_pool_t *p, const rs_jwt_parts_t *parts)
{
    rs_json_t object, name, value, found[MEMBERS] = {none, none, none, none, none};
    const char *why =
        rs_jwt_object(&object, p, "the token's header", parts->header, parts->header_len);
    int i;

    memset(header, 0, sizeof(*header));
    if (why) {
        return why;
    }
    object = rs_json_inside(object);
    while (rs_json_member(&object, &name, &value)) {
        for (i = 0; i < MEMBERS; i++) {
            if (rs_json_is(name, members[i], strlen(members[i]))) {
                found[i] = value;
            }
        }
    }
    return header_check(header, p, found);
}
