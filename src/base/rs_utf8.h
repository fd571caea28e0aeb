/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8 by RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. Pure functions.
 */
#ifndef RS_UTF8_H
#define RS_UTF8_H

#include "rs_base.h"

/* The length (1 to 4) of the well-formed character at s, or 0 if there is none within n bytes. */
size_t rs_utf8_char(const char *s, size_t n);

/* Whether all n bytes are well-formed. */
int rs_utf8_valid(const char *s, size_t n);

/* Where in a character a text is that comes in pieces. All zero: between two. */
typedef struct {
    unsigned char need;   /* bytes that the character still has */
    unsigned char lo, hi; /* what the next of them may be */
} rs_utf8_t;

/* 0: these bytes, after those before, are not the beginning of any text. */
int rs_utf8_feed(rs_utf8_t *u, const char *s, size_t n);

/* Whether the text may end here. */
static inline int rs_utf8_complete(const rs_utf8_t *u) { return !u->need; }

#endif
