/* SPDX-License-Identifier: Apache-2.0
 *
 * The SSE id: where a reader stands in each stream of its endpoint. With one stream it is the Redis
 * id itself ("1732100000000-0"). With several it is how many they are and for each of them, in the
 * order of the keys, a tag of its key (four characters) and the position in base 36: eight streams
 * take less than the 128 bytes up to which a cross-origin request needs no preflight. By the tags a
 * cursor of another endpoint is recognised and not misread, and one of this endpoint from before a
 * stream was added or taken away is still good for those that stayed. Pure functions.
 */
#ifndef RS_CURSOR_H
#define RS_CURSOR_H

#include "rs_id.h"

/* Which streams: constant, made once for each set of them. */
typedef struct {
    apr_uint32_t tag[RS_STREAMS_MAX];
    apr_uint32_t keys; /* a fingerprint of all: ids as they were before had that instead of tags */
} rs_cursor_tags_t;

struct rs_cursor_t {
    int n;
    const rs_cursor_tags_t *tags;
    rs_id_t pos[RS_STREAMS_MAX];
};

#define RS_CURSOR_LEN (2 + RS_STREAMS_MAX * (4 + 13 + 1 + 13 + 1))

/* Adds the k-th key, in order. */
void rs_cursor_tags_add(rs_cursor_tags_t *tags, int k, const char *key);

/* Takes the higher of the two in each stream. Whether that is another one. */
int rs_cursor_raise(rs_cursor_t *cursor, const rs_cursor_t *other);

/* Whether it is beyond the other one in no stream of its own. */
int rs_cursor_within(const rs_cursor_t *cursor, const rs_cursor_t *other);

/* Returns the length written, without the NUL. */
size_t rs_cursor_format(char buf[RS_CURSOR_LEN], const rs_cursor_t *cursor);

/* The same with a NUL at its end; returns buf. */
const char *rs_cursor_text(const rs_cursor_t *cursor, char buf[RS_CURSOR_LEN]);

/* n and tags of `cursor` say which streams; pos of those that text knows is filled in. Returns of
 * how many; 0 when text is not a cursor, or of none of them. */
int rs_cursor_parse(rs_cursor_t *cursor, const char *text, size_t len);

#endif
