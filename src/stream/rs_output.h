/* SPDX-License-Identifier: Apache-2.0
 *
 * What one client gets by itself: frames of its own, what it has missed, what is left of a frame
 * that its socket did not take whole. The streamer's thread.
 */
#ifndef RS_OUTPUT_H
#define RS_OUTPUT_H

#include "../base/rs_buf.h"
#include "../log/rs_client.h"
#include "../proto/rs_said.h"

/* Writes a frame of its own (not from the topic), which the buffer holds. 0: the peer is gone, or
 * memory was short for that. */
int rs_output_buf(rs_client_t *client, const rs_buf_t *buf);

/* What frames of the module's own say of the client. */
rs_who_t rs_output_who(const rs_client_t *client);

/* The id of such a frame at this position; returns buf, or NULL: it has none. */
const char *rs_output_id(const rs_client_t *client, const rs_cursor_t *at, char buf[RS_CURSOR_LEN]);

/* Writes what is pinned. 1: nothing is pinned any more, 0: no room, -1: the peer is gone. */
int rs_output_flush(rs_client_t *client);

/* Sends from the topic until the number `upto`, the socket is full, or a fair share is done.
 * 1: arrived or paused, 0: no room, -1: the peer is gone, -2: the topic no longer has `seq`. */
int rs_output_catch_up(rs_client_t *client, apr_uint64_t upto);

/* Sends these events to a client with a position of its own, as far as there is room; those it has
 * are left out. Returns how many are done with (the last of them may be pinned); -1: the peer is
 * gone. */
int rs_output_send(rs_client_t *client, rs_event_t *const *events, int n);

/* Lets go of what is pinned. */
void rs_output_unpin(rs_client_t *client);

/* Of a wire with one batch: there is as much in it as its receiver is to keep. What was not sent is
 * for the next request. */
int rs_output_has_enough(const rs_client_t *client);

/* Whether clients that are in the middle of events hold more than RaglineCache that way, and this
 * one holds one that no other does. */
int rs_output_pins_too_much(const rs_client_t *client);

/* Counts an event as delivered to, or held back from, so many clients of the topic. */
void rs_output_count(const rs_topic_t *topic, const rs_event_t *event, apr_uint64_t delivered,
                     apr_uint64_t filtered);

/* Has the registry say how much it has had, and where it is. */
void rs_output_note(const rs_client_t *client);

/* Notes that only `written` bytes of these n frames were taken. */
void rs_output_pin(rs_client_t *client, rs_event_t *const *events, const struct iovec *iov, int n,
                   size_t written, int *complete);

#endif
