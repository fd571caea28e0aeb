/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8 by the table of RFC 3629, section 4.
 */
#include "rs_utf8.h"

static int tail(unsigned char c) { return (c & 0xC0) == 0x80; }

size_t rs_utf8_char(const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;

    if (n == 0) {
        return 0;
    }
    if (u[0] < 0x80) {
        return 1;
    }
    if (u[0] >= 0xC2 && u[0] <= 0xDF) {
        return n >= 2 && tail(u[1]) ? 2 : 0;
    }
    if ((u[0] & 0xF0) == 0xE0) {
        if (n < 3 || !tail(u[1]) || !tail(u[2])) {
            return 0;
        }
        /* E0 would be overlong below A0; ED is a surrogate from A0. */
        if ((u[0] == 0xE0 && u[1] < 0xA0) || (u[0] == 0xED && u[1] > 0x9F)) {
            return 0;
        }
        return 3;
    }
    if (u[0] >= 0xF0 && u[0] <= 0xF4) {
        if (n < 4 || !tail(u[1]) || !tail(u[2]) || !tail(u[3])) {
            return 0;
        }
        if ((u[0] == 0xF0 && u[1] < 0x90) || (u[0] == 0xF4 && u[1] > 0x8F)) {
            return 0;
        }
        return 4;
    }
    return 0;
}

int rs_utf8_valid(const char *s, size_t n)
{
    while (n) {
        size_t len = rs_utf8_char(s, n);

        if (!len) {
            return 0;
        }
        s += len;
        n -= len;
    }
    return 1;
}

/* The first byte of a character. 0: it is none. */
static int first_byte(rs_utf8_t *u, unsigned char c)
{
    u->lo = 0x80;
    u->hi = 0xBF;
    if (c < 0x80) {
        return 1;
    }
    if (c < 0xC2 || c > 0xF4) {
        return 0;
    }
    u->need = c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
    u->lo = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    u->hi = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    return 1;
}

int rs_utf8_feed(rs_utf8_t *u, const char *s, size_t n)
{
    const char *end = s + n;

    for (; s < end; s++) {
        unsigned char c = (unsigned char)*s;

        if (!u->need) {
            if (!first_byte(u, c)) {
                return 0;
            }
            continue;
        }
        if (c < u->lo || c > u->hi) {
            return 0;
        }
        u->need--;
        u->lo = 0x80;
        u->hi = 0xBF;
    }
    return 1;
}
