/* SPDX-License-Identifier: Apache-2.0
 *
 * Cursors. Clients send them back, so parsing trusts nothing.
 */
#include <stdio.h>
#include <string.h>

#include "rs_cursor.h"

#define HEX "0123456789abcdef"

apr_uint32_t rs_cursor_keys_add(apr_uint32_t fingerprint, const char *key)
{
    /* The NUL is hashed too: ("ab","c") and ("a","bc") differ. */
    do {
        fingerprint = (fingerprint ^ (unsigned char)*key) * 16777619u;
    } while (*key++);
    return fingerprint;
}

void rs_cursor_raise(rs_cursor_t *cursor, const rs_cursor_t *other)
{
    int k;

    for (k = 0; k < cursor->n; k++) {
        if (rs_id_cmp(other->pos[k], cursor->pos[k]) > 0) {
            cursor->pos[k] = other->pos[k];
        }
    }
}

static char *fingerprint_format(char *to, apr_uint32_t keys)
{
    int shift;

    for (shift = 28; shift >= 0; shift -= 4) {
        *to++ = HEX[(keys >> shift) & 15];
    }
    return to;
}

size_t rs_cursor_format(char buf[RS_CURSOR_LEN], const rs_cursor_t *cursor)
{
    char *to;
    int i;

    if (cursor->n == 1) {
        return rs_id_format(buf, cursor->pos[0]);
    }
    to = fingerprint_format(buf, cursor->keys);
    for (i = 0; i < cursor->n; i++) {
        *to++ = '.';
        to += rs_id_format(to, cursor->pos[i]);
    }
    return (size_t)(to - buf);
}

const char *rs_cursor_text(const rs_cursor_t *cursor, char buf[RS_CURSOR_LEN])
{
    buf[rs_cursor_format(buf, cursor)] = '\0';
    return buf;
}

int rs_cursor_parse(rs_cursor_t *cursor, const char *text, size_t len)
{
    const char *end = text + len;
    char keys[8];
    int i;

    if (cursor->n == 1) {
        return rs_id_parse(&cursor->pos[0], text, len);
    }
    if (len < 8 || len >= RS_CURSOR_LEN) {
        return 0;
    }
    fingerprint_format(keys, cursor->keys);
    if (memcmp(text, keys, 8) != 0) {
        return 0;
    }
    text += 8;
    for (i = 0; i < cursor->n; i++) {
        const char *dot;

        if (text == end || *text != '.') {
            return 0;
        }
        text++;
        dot = memchr(text, '.', (size_t)(end - text));
        if (!dot) {
            dot = end;
        }
        if (!rs_id_parse(&cursor->pos[i], text, (size_t)(dot - text))) {
            return 0;
        }
        text = dot;
    }
    return text == end;
}
