/* SPDX-License-Identifier: Apache-2.0
 *
 * What a string or a number of JSON is, where somebody asks for it.
 */
#include <string.h>

#include "rs_json.h"

/* --- strings --- */

static unsigned int hex4(const char *s)
{
    unsigned int n = 0;
    int i;

    for (i = 0; i < 4; i++) {
        n = n << 4 | (unsigned int)(s[i] <= '9' ? s[i] - '0' : (s[i] | 0x20) - 'a' + 10);
    }
    return n;
}

static size_t utf8_put(char out[4], unsigned int c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* Behind \u. 0: no character, or U+0000. */
static unsigned int unicode(rs_json_t *t)
{
    unsigned int c = hex4(t->s), low;

    t->s += 4;
    if (c < 0xD800 || c > 0xDFFF) {
        return c;
    }
    if (c > 0xDBFF || t->end - t->s < 6 || t->s[0] != '\\' || t->s[1] != 'u') {
        return 0;
    }
    low = hex4(t->s + 2);
    if (low < 0xDC00 || low > 0xDFFF) {
        return 0;
    }
    t->s += 6;
    return 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
}

/* The next byte, or what an escape stands for: how many bytes that is. 0: it is no text. */
static size_t next_char(rs_json_t *t, char out[4])
{
    static const char escapes[] = "bfnrt", bytes[] = "\b\f\n\r\t";
    const char *which;
    unsigned int c;

    out[0] = *t->s++;
    if (out[0] != '\\') {
        return 1;
    }
    if (*t->s == 'u') {
        t->s++;
        c = unicode(t);
        return c ? utf8_put(out, c) : 0;
    }
    which = strchr(escapes, *t->s);
    out[0] = which ? bytes[which - escapes] : *t->s;
    t->s++;
    return 1;
}

int rs_json_is(rs_json_t string, const char *s, size_t n)
{
    rs_json_t t = rs_json_inside(string);
    char c[4];

    if (rs_json_kind(string) != '"') {
        return 0;
    }
    while (t.s < t.end) {
        size_t len = next_char(&t, c);

        if (len == 0 || len > n || memcmp(c, s, len) != 0) {
            return 0;
        }
        s += len;
        n -= len;
    }
    return n == 0;
}

/* any: U+FFFD is for what is no text. */
static apr_ssize_t copy(char *out, size_t max, rs_json_t value, int any)
{
    rs_json_t t = rs_json_inside(value);
    size_t n = 0;
    char c[4];

    if (rs_json_kind(value) != '"') {
        return -1;
    }
    while (t.s < t.end) {
        size_t len = next_char(&t, c);

        if (len == 0 && any) {
            len = utf8_put(c, 0xFFFD);
        }
        if (len == 0 || len > max - n) {
            return -1;
        }
        memcpy(out + n, c, len);
        n += len;
    }
    return (apr_ssize_t)n;
}

apr_ssize_t rs_json_copy(char *out, size_t max, rs_json_t value)
{
    return copy(out, max, value, 0);
}

static const char *string(apr_pool_t *p, rs_json_t value, int any)
{
    size_t max = (size_t)(value.end - value.s); /* no escape is shorter than what it stands for */
    apr_ssize_t n;
    char *out;

    if (rs_json_kind(value) != '"') {
        return NULL;
    }
    out = apr_palloc(p, max);
    n = copy(out, max - 1, value, any);
    if (n < 0) {
        return NULL;
    }
    out[n] = '\0';
    return out;
}

const char *rs_json_string(apr_pool_t *p, rs_json_t value) { return string(p, value, 0); }

const char *rs_json_text(apr_pool_t *p, rs_json_t value) { return string(p, value, 1); }

/* --- numbers --- */

#define EXPONENT_MAX 1000000000L
#define DOUBLE_MAX 9007199254740991LL /* 2^53 - 1: above, a double may stand for several integers */

static int digit_add(apr_uint64_t *n, int digit, apr_uint64_t max)
{
    if (*n > (max - (apr_uint64_t)digit) / 10) {
        return 0;
    }
    *n = *n * 10 + (apr_uint64_t)digit;
    return 1;
}

static long exponent(rs_json_t t)
{
    int negative = 0;
    long n = 0;

    if (t.s < t.end) {
        t.s++; /* the e */
        negative = *t.s == '-';
        t.s += *t.s == '-' || *t.s == '+';
    }
    for (; t.s < t.end && n < EXPONENT_MAX; t.s++) {
        n = n * 10 + (*t.s - '0');
    }
    return negative ? -n : n;
}

/* *exact: nothing was behind the point. */
static int scaled(apr_int64_t *out, int *exact, rs_json_t value, int scale)
{
    int negative = rs_json_kind(value) == '0' && *value.s == '-';
    apr_uint64_t n = 0, max = (apr_uint64_t)APR_INT64_MAX + (apr_uint64_t)negative;
    rs_json_t digits = value, rest;
    const char *point;
    long before;

    if (rs_json_kind(value) != '0') {
        return 0;
    }
    digits.s += negative;
    for (rest = digits; rest.s < rest.end && *rest.s != 'e' && *rest.s != 'E'; rest.s++) {
    }
    digits.end = rest.s;
    point = memchr(digits.s, '.', (size_t)(digits.end - digits.s));
    before = (long)((point ? point : digits.end) - digits.s) + exponent(rest) + scale;
    *exact = 1;
    for (; digits.s < digits.end; digits.s++) {
        int digit = *digits.s - '0';

        if (digits.s == point) {
            continue;
        }
        if (before-- <= 0) {
            *exact &= digit == 0;
        }
        else if (!digit_add(&n, digit, max)) {
            return 0;
        }
    }
    for (; n && before > 0; before--) {
        if (!digit_add(&n, 0, max)) {
            return 0;
        }
    }
    *out = negative ? (apr_int64_t)(0 - n) : (apr_int64_t)n;
    return 1;
}

int rs_json_scaled(apr_int64_t *n, rs_json_t value, int scale)
{
    int exact;

    return scaled(n, &exact, value, scale);
}

int rs_json_integer(apr_int64_t *n, rs_json_t value)
{
    int exact;

    if (!scaled(n, &exact, value, 0) || !exact) {
        return 0;
    }
    for (; value.s < value.end; value.s++) {
        if (*value.s == '.' || *value.s == 'e' || *value.s == 'E') {
            return *n >= -DOUBLE_MAX && *n <= DOUBLE_MAX;
        }
    }
    return 1;
}
