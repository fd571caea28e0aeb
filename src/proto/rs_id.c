/* SPDX-License-Identifier: Apache-2.0
 *
 * Redis stream ids. Written by hand rather than by printf: one is made for every event.
 */
#include <string.h>

#include "rs_id.h"

static const char *number_parse(apr_uint64_t *out, const char *s, const char *end)
{
    apr_uint64_t value = 0;
    const char *start = s;

    for (; s < end && *s >= '0' && *s <= '9'; s++) {
        apr_uint64_t digit = (apr_uint64_t)(*s - '0');

        if (value > (~(apr_uint64_t)0 - digit) / 10) {
            return NULL;
        }
        value = value * 10 + digit;
    }
    if (s == start) {
        return NULL;
    }
    *out = value;
    return s;
}

int rs_id_parse(rs_id_t *id, const char *s, size_t n)
{
    const char *end = s + n;
    rs_id_t parsed;

    s = number_parse(&parsed.ms, s, end);
    if (!s || s == end || *s != '-') {
        return 0;
    }
    s = number_parse(&parsed.seq, s + 1, end);
    if (s != end) {
        return 0;
    }
    *id = parsed;
    return 1;
}

static char *number_format(char *to, apr_uint64_t value)
{
    char digits[20];
    size_t n = 0;

    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (n) {
        *to++ = digits[--n];
    }
    return to;
}

size_t rs_id_format(char buf[RS_ID_LEN], rs_id_t id)
{
    char *to = number_format(buf, id.ms);

    *to++ = '-';
    to = number_format(to, id.seq);
    *to = '\0';
    return (size_t)(to - buf);
}

rs_id_t rs_id_before(rs_id_t id)
{
    if (id.seq > 0) {
        id.seq--;
    }
    else if (id.ms > 0) {
        id.ms--;
        id.seq = ~(apr_uint64_t)0;
    }
    return id;
}

rs_id_t rs_id_after(rs_id_t id)
{
    if (id.seq < ~(apr_uint64_t)0) {
        id.seq++;
    }
    else if (id.ms < ~(apr_uint64_t)0) {
        id.ms++;
        id.seq = 0;
    }
    return id;
}
