/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON as text. jansson decides whether it is JSON and decodes what is short; a value that must
 * stay what it is, is copied from the text, without the whitespace between its tokens: jansson
 * prints 19.99 as 19.989999999999998. Finding a value in text that is known to be good JSON takes
 * no more than skipping strings and counting brackets. Pure functions, any thread.
 */
#ifndef RS_JSON_TEXT_H
#define RS_JSON_TEXT_H

#include <jansson.h>

#include "../base/rs_base.h"

#define RS_JSON_DEPTH_MAX 32
/* In one text: a tree takes some 40 bytes for each. */
#define RS_JSON_VALUES_MAX 1000000

typedef struct {
    const char *s;
    const char *end;
} rs_text_t;

/* The tree of a text that may be anything, for json_decref(). NULL: *why is a sentence that begins
 * with `what` and quotes nothing. An object with the same member twice is refused. `flags` are
 * jansson's. */
json_t *rs_json_read(const char **why, apr_pool_t *p, const char *what, rs_text_t text,
                     size_t flags);

/* The rest is for text that rs_json_read() took; on other text they do not read behind its end. */
void rs_text_skip_space(rs_text_t *t);

/* From the first character of a value to behind its last. */
void rs_text_skip_value(rs_text_t *t);

/* The next member of an object, the name with its quotes and escapes. Before the first call t
 * stands behind the object's brace. 0: there is none, t is behind the object. */
int rs_text_member(rs_text_t *t, rs_text_t *name, rs_text_t *value);

/* A copy without the whitespace between tokens. */
const char *rs_text_compact(apr_size_t *len, apr_pool_t *p, rs_text_t t);

#endif
