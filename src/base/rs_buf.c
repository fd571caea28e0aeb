/* SPDX-License-Identifier: Apache-2.0
 *
 * The growing buffer. Any thread, one owner a buffer.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "rs_buf.h"
#include "rs_utf8.h"

void rs_buf_free(rs_buf_t *b)
{
    free(b->data);
    memset(b, 0, sizeof(*b));
}

char *rs_buf_room(rs_buf_t *b, size_t n)
{
    size_t size = b->size ? b->size : 256;
    char *data;

    if (b->broken) {
        return NULL;
    }
    if (n <= b->size - b->len) {
        return b->data + b->len;
    }
    while (size - b->len < n) {
        if (size > ((size_t)-1) / 2) {
            b->broken = 1;
            return NULL;
        }
        size *= 2;
    }
    data = realloc(b->data, size);
    if (!data) {
        b->broken = 1;
        return NULL;
    }
    b->data = data;
    b->size = size;
    return data + b->len;
}

void rs_buf_add(rs_buf_t *b, const char *data, size_t n)
{
    char *to = rs_buf_room(b, n);

    if (to && n) {
        memcpy(to, data, n);
        b->len += n;
    }
}

void rs_buf_printf(rs_buf_t *b, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !rs_buf_room(b, (size_t)n + 1)) {
        b->broken = 1;
        return;
    }
    va_start(ap, fmt);
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
}

void rs_buf_json(rs_buf_t *b, const char *s, size_t n)
{
    static const char hex[] = "0123456789abcdef";
    const char *end = s + n;

    rs_buf_add(b, "\"", 1);
    while (s < end) {
        size_t len = rs_utf8_char(s, (size_t)(end - s));

        if (len == 0) {
            rs_buf_add(b, "\xEF\xBF\xBD", 3);
            s++;
            continue;
        }
        if (len == 1 && ((unsigned char)*s < 0x20 || *s == '"' || *s == '\\' || *s == 0x7F)) {
            if (*s == '"' || *s == '\\') {
                rs_buf_add(b, "\\", 1);
                rs_buf_add(b, s, 1);
            }
            else {
                rs_buf_add(b, "\\u00", 4);
                rs_buf_add(b, &hex[(unsigned char)*s >> 4], 1);
                rs_buf_add(b, &hex[*s & 0x0F], 1);
            }
        }
        else {
            rs_buf_add(b, s, len);
        }
        s += len;
    }
    rs_buf_add(b, "\"", 1);
}
