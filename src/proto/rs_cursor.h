/* SPDX-License-Identifier: Apache-2.0
 *
 * The SSE id: where a reader stands in each stream of its endpoint. With one stream it is the
 * Redis id itself ("1732100000000-0"); with several it is "HHHHHHHH.ID.ID…", the positions in the
 * order of the keys and a fingerprint of those keys, so that a cursor of another endpoint, or of
 * this one before its streams were changed, is recognised and not misread. Pure functions.
 */
#ifndef RS_CURSOR_H
#define RS_CURSOR_H

#include "rs_id.h"

struct rs_cursor_t {
    int n;
    apr_uint32_t keys; /* the fingerprint */
    rs_id_t pos[RS_STREAMS_MAX];
};

#define RS_CURSOR_LEN (9 + RS_STREAMS_MAX * RS_ID_LEN)

/* FNV-1a over one key; start with RS_CURSOR_KEYS_INIT and chain. */
#define RS_CURSOR_KEYS_INIT 2166136261u
apr_uint32_t rs_cursor_keys_add(apr_uint32_t fingerprint, const char *key);

/* Takes the higher of the two in each stream. */
void rs_cursor_raise(rs_cursor_t *cursor, const rs_cursor_t *other);

/* Returns the length written, without the NUL. */
size_t rs_cursor_format(char buf[RS_CURSOR_LEN], const rs_cursor_t *cursor);

/* The same with a NUL at its end; returns buf. */
const char *rs_cursor_text(const rs_cursor_t *cursor, char buf[RS_CURSOR_LEN]);

/* n and keys of `cursor` say what is expected; pos is filled in. Returns 0 when text is not that.
 */
int rs_cursor_parse(rs_cursor_t *cursor, const char *text, size_t len);

#endif
