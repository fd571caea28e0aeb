/* SPDX-License-Identifier: Apache-2.0
 *
 * Events and their frames: what a wire makes of an entry.
 */
#ifndef RS_FRAMES_H
#define RS_FRAMES_H

#include "rs_wire.h"

/* The hub: the event as the topic's readers get it, whose position is then `cursor`. Of an entry
 * that is too big, a notice with its type, user and id. NULL when memory is short. */
rs_event_t *rs_frames_event(rs_buf_t *scratch, const rs_entry_t *entry, int stream, rs_id_t id,
                            const rs_cursor_t *cursor);

/* The hub: a notice that up to this id entries are missing. */
rs_event_t *rs_frames_gap(rs_buf_t *scratch, int stream, rs_id_t id, const rs_cursor_t *cursor);

/* Any thread: the event's frame for this wire, made if it is the first to need it. tags: of the
 * topic. data NULL when memory is short. */
rs_text_t rs_frames_get(const rs_wire_t *wire, rs_event_t *event, const rs_cursor_tags_t *tags);

/* Any thread: an event of its own for one reader, with the same frame but for the position; NULL
 * when memory is short. It is not compressed, which would be for one reader only. */
rs_event_t *rs_frames_with_id(const rs_wire_t *wire, rs_event_t *event, const rs_cursor_t *own);

/* Any thread: bytes that are nothing but a frame. */
rs_event_t *rs_frames_raw(const rs_wire_t *wire, const char *bytes, size_t len);

#endif
