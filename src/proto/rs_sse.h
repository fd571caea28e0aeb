/* SPDX-License-Identifier: Apache-2.0
 *
 * Server-Sent Events as bytes (WHATWG HTML, 9.2). Everything is appended to the caller's buffer;
 * nothing here knows sockets or threads. Whatever the payload holds, what is written is one event:
 * CR, LF and CRLF each start a new `data:` line, NUL and bytes that are not UTF-8 become U+FFFD.
 */
#ifndef RS_SSE_H
#define RS_SSE_H

#include "rs_said.h"

/* One event. `type` must be rs_event_type_valid(). *head and *tail are the offsets, in what was
 * appended, of the start and the end of the `id:` line: a reader with a cursor of its own sends
 * other bytes between them. */
void rs_sse_event(rs_buf_t *b, const char *type, size_t type_len, const char *id, size_t id_len,
                  const char *data, size_t data_len, size_t *head, size_t *tail);

/* That line. */
void rs_sse_id(rs_buf_t *b, const char *id, size_t len);

/* Only its data, in as many lines as it has. */
void rs_sse_data(rs_buf_t *b, const char *data, size_t len);
/* An event without an id. */
void rs_sse_message(rs_buf_t *b, const char *type, size_t type_len, const char *data,
                    size_t data_len);

/* What the module itself tells: the words are rs_said's. id NULL: the reader has no position. */

/* `retry:` and the `connected` event. */
void rs_sse_connected(rs_buf_t *b, const rs_who_t *who, apr_interval_time_t retry, const char *id,
                      apr_time_t wall, const char *recovery, const char *reason, const char *first);

void rs_sse_caught_up(rs_buf_t *b, const rs_who_t *who, const char *id, apr_uint64_t replayed);

void rs_sse_reset(rs_buf_t *b, const rs_who_t *who, const char *id, const char *reason,
                  const char *first);

/* An event; a comment line alone, without the empty line, which several clients take for the end of
 * an event whatever came before; or that line and the position. */
enum { RS_HEARTBEAT_EVENT = 0, RS_HEARTBEAT_COMMENT, RS_HEARTBEAT_ID };

void rs_sse_heartbeat(rs_buf_t *b, const rs_who_t *who, const char *id, apr_time_t wall, int style);

void rs_sse_challenge(rs_buf_t *b, const char *connection, int seconds);

/* The `error` event, preceded by `retry:` when retry is not negative. */
void rs_sse_error(rs_buf_t *b, const char *profile, const char *code, const char *message,
                  const char *error, apr_interval_time_t retry);

#endif
