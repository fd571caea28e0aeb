/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys that end when nobody has written to them for a while (RaglineStream idle=), and begin anew.
 * Of who comes with the id of an entry the verdict can tell; but who was there when there was
 * nothing has 0-0, and that is in front of whatever there is now, too. So its id says when that
 * was: 0-T, in milliseconds. Functions on cursors; any thread.
 */
#ifndef RS_ENDED_H
#define RS_ENDED_H

#include "rs_topic.h"

/* The cursor as a client gets it; returns buf. */
const char *rs_ended_text(const rs_topic_t *topic, const rs_cursor_t *cursor,
                          char buf[RS_CURSOR_LEN], apr_time_t now);

/* A cursor that came from a client gets its 0-0 back. Whether entries may have come and gone with
 * their key since: not within the time after which that ends. */
int rs_ended_since(const rs_topic_t *topic, rs_cursor_t *cursor, apr_time_t now);

#endif
