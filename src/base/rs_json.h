/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON (RFC 8259) as text. Whether it is JSON is decided without building anything of it: what is
 * only carried, a payload or a claim that nobody asks for, may hold numbers that no C type has room
 * for and strings that are no text, and costs no more memory than it is long. What is asked for is
 * found in the text and read there. Pure functions, any thread.
 */
#ifndef RS_JSON_H
#define RS_JSON_H

#include <stddef.h>

#include "rs_base.h"

/* How deep what is published may be, and what any caller may allow. */
#define RS_JSON_DEPTH_MAX 32
#define RS_JSON_DEPTH_ANY 2048

/* A text, or a value within one: from its first character to behind its last. s NULL: none. */
typedef struct {
    const char *s;
    const char *end;
} rs_json_t;

/* NULL: the text, which may be anything, is one value in UTF-8 that nests at most `depth` levels;
 * *value is without the white space around it. Else a sentence that begins with `what` and quotes
 * nothing. The same member twice is for the caller to find, where it matters. */
const char *rs_json_check(rs_json_t *value, apr_pool_t *p, const char *what, rs_json_t text,
                          int depth);

/* The same for who need not say why: whether it is JSON. */
int rs_json_is_good(rs_json_t *value, rs_json_t text, int depth);

/* The rest is for values that one of these has seen. */

/* '{', '[', '"', '0' (a number), 't', 'f', 'n' (null) or '\0' (none). */
char rs_json_kind(rs_json_t value);

/* What is between the brackets of an object or an array, for the next two. */
rs_json_t rs_json_inside(rs_json_t value);

/* Take the next member (the name with its quotes and escapes) or element off. 0: there is none. */
int rs_json_member(rs_json_t *inside, rs_json_t *name, rs_json_t *value);
int rs_json_element(rs_json_t *inside, rs_json_t *value);

/* Which of the names this member has, -1: none. A name that has escapes is none of ours. */
int rs_json_which(rs_json_t name, const char *const *names, int n);

/* A copy without the white space between tokens. */
const char *rs_json_compact(apr_size_t *len, apr_pool_t *p, rs_json_t value);

/* Whether this string (or name) is these n bytes, whatever its escapes. */
int rs_json_is(rs_json_t string, const char *s, size_t n);

/* A string's text. NULL: it is no string, or no text, since it holds U+0000 or half of a surrogate
 * pair. */
const char *rs_json_string(apr_pool_t *p, rs_json_t value);

/* Likewise, with U+FFFD for what is no text: for what is passed on, not compared. */
const char *rs_json_text(apr_pool_t *p, rs_json_t value);

/* Copies it, without a NUL at the end: its length. -1: there is none, or it is longer than max. */
apr_ssize_t rs_json_copy(char *out, size_t max, rs_json_t value);

/* 1 and the integer that a number is, however it is written: 1e+06 is 1000000. 0: it is none, or is
 * larger than what is sure to have come through unchanged: 64 bits, and 53 where a point or an
 * exponent says that it was a double on its way. */
int rs_json_integer(apr_int64_t *n, rs_json_t value);

/* 1 and the number times 10^scale, without what is behind the point; 0: no number of 64 bits. */
int rs_json_scaled(apr_int64_t *n, rs_json_t value, int scale);

#endif
