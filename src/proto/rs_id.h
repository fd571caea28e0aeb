/* SPDX-License-Identifier: Apache-2.0
 *
 * Redis stream ids, "milliseconds-sequence", both unsigned 64 bit. Pure functions.
 */
#ifndef RS_ID_H
#define RS_ID_H

#include "../base/rs_base.h"

typedef struct {
    apr_uint64_t ms;
    apr_uint64_t seq;
} rs_id_t;

#define RS_ID_LEN 42 /* two numbers of 20 digits, the dash, the NUL */

/* Exactly "ms-seq" in n bytes, no sign, no space, no overflow. Returns 0 when it is not. */
int rs_id_parse(rs_id_t *id, const char *s, size_t n);

/* Returns the length written, without the NUL. */
size_t rs_id_format(char buf[RS_ID_LEN], rs_id_t id);

/* The id right before and right after. 0-0 has none before it, the largest none after it: they
 * are returned as they are. */
rs_id_t rs_id_before(rs_id_t id);
rs_id_t rs_id_after(rs_id_t id);

static inline int rs_id_cmp(rs_id_t a, rs_id_t b)
{
    if (a.ms != b.ms) {
        return a.ms < b.ms ? -1 : 1;
    }
    return a.seq < b.seq ? -1 : a.seq > b.seq;
}

static inline rs_id_t rs_id_later(rs_id_t a, rs_id_t b) { return rs_id_cmp(a, b) > 0 ? a : b; }

static inline void rs_id_raise(rs_id_t *id, rs_id_t other)
{
    if (rs_id_cmp(other, *id) > 0) {
        *id = other;
    }
}

static inline void rs_id_lower(rs_id_t *id, rs_id_t other)
{
    if (rs_id_cmp(other, *id) < 0) {
        *id = other;
    }
}

#endif
