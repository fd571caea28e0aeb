/* SPDX-License-Identifier: Apache-2.0
 *
 * A growing byte buffer on the heap: frames and JSON are built in one. One owner, no locks.
 * After a failed allocation the buffer is `broken`, appends do nothing, and rs_buf_ok() says so:
 * a builder checks once, at its end.
 */
#ifndef RS_BUF_H
#define RS_BUF_H

#include <stddef.h>
#include <string.h>

#include "rs_base.h"

struct rs_buf_t {
    char *data;
    size_t len;
    size_t size;
    int broken;
};

#define RS_BUF_INIT                                                                                \
    {                                                                                              \
        NULL, 0, 0, 0                                                                              \
    }

void rs_buf_free(rs_buf_t *b);
static inline int rs_buf_ok(const rs_buf_t *b) { return !b->broken; }

/* Keeps the memory for the next use. */
static inline void rs_buf_clear(rs_buf_t *b)
{
    b->len = 0;
    b->broken = 0;
}

/* Room for n more bytes, or NULL. The caller writes there and adds to b->len. */
char *rs_buf_room(rs_buf_t *b, size_t n);
void rs_buf_add(rs_buf_t *b, const char *data, size_t n);
static inline void rs_buf_puts(rs_buf_t *b, const char *s) { rs_buf_add(b, s, strlen(s)); }
void rs_buf_printf(rs_buf_t *b, const char *fmt, ...) RS_PRINTF(2, 3);

/* Appends s as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD. */
void rs_buf_json(rs_buf_t *b, const char *s, size_t n);

#endif
