/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking a token apart: three segments, base64url, JSON, the header. Any thread. Nothing here has
 * been verified yet, so everything is strict: one token has one spelling, and no recursion starts
 * before the nesting has been counted. What the claims mean is rs_jwt.c's.
 */
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

static int nesting_within(const char *data, apr_size_t len, int limit)
{
    int depth = 0, quoted = 0;
    apr_size_t i;

    for (i = 0; i < len; i++) {
        if (quoted) {
            if (data[i] == '\\') {
                i++;
            }
            else if (data[i] == '"') {
                quoted = 0;
            }
        }
        else if (data[i] == '"') {
            quoted = 1;
        }
        else if (data[i] == '{' || data[i] == '[') {
            if (++depth > limit) {
                return 0;
            }
        }
        else if (data[i] == '}' || data[i] == ']') {
            depth--;
        }
    }
    return 1;
}

json_t *rs_json_object_load(const char *data, apr_size_t len, int depth)
{
    json_error_t error;
    json_t *json;

    if (!nesting_within(data, len, depth)) {
        return NULL;
    }
    json = json_loadb(data, len, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(json)) {
        json_decref(json);
        json = NULL;
    }
    return json;
}

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
    /* A reason of its own; the parsers, ours and libjwt's, would only say no. */
    if (!nesting_within((const char *)parts->payload, parts->payload_len, RS_JWT_DEPTH_MAX)) {
        return "the token's claims are nested too deep";
    }
    return NULL;
}

static const char *type_check(const json_t *typ, int *plain)
{
    const char *name = json_string_value(typ);

    *plain = 1;
    if (!typ) {
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

static const char *header_check(rs_jwt_header_t *header, apr_pool_t *p, const json_t *json)
{
    const json_t *alg = json_object_get(json, "alg"), *kid = json_object_get(json, "kid");

    if (!json_is_string(alg)) {
        return "the token names no algorithm";
    }
    if (kid && !json_is_string(kid)) {
        return "the token's kid is not a string";
    }
    /* Both change what is signed or what must be understood, and nothing of it is. */
    if (json_object_get(json, "crit") || json_object_get(json, "b64")) {
        return "the token uses an extension (crit, b64)";
    }
    header->alg = apr_pstrdup(p, json_string_value(alg));
    header->kid = kid ? apr_pstrdup(p, json_string_value(kid)) : NULL;
    return type_check(json_object_get(json, "typ"), &header->plain_typ);
}

const char *rs_jwt_header_read(rs_jwt_header_t *header, apr_pool_t *p, const rs_jwt_parts_t *parts)
{
    json_t *json = rs_json_object_load((const char *)parts->header, parts->header_len,
                                       RS_JWT_DEPTH_MAX);
    const char *why;

    memset(header, 0, sizeof(*header));
    if (!json) {
        return "the token's header is not a sound JSON object";
    }
    why = header_check(header, p, json);
    json_decref(json);
    return why;
}
