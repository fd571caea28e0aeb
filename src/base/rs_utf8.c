/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8 by the table of RFC 3629, section 4.
 */
#include "rs_utf8.h"

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

size_t rs_utf8_char(const char *s, size_t n)
{
    rs_utf8_t u = {0};
    size_t i;

    for (i = 0; i < n && rs_utf8_feed(&u, s + i, 1); i++) {
        if (rs_utf8_complete(&u)) {
            return i + 1;
        }
    }
    return 0;
}

int rs_utf8_valid(const char *s, size_t n)
{
    rs_utf8_t u = {0};

    return rs_utf8_feed(&u, s, n) && rs_utf8_complete(&u);
}
