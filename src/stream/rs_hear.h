/* SPDX-License-Identifier: Apache-2.0
 *
 * Clients of a wire that understands them: what they say, and whether they are there at all. All
 * answers to what was read at once are written at once, so nobody is answered in pieces; from one
 * whose socket is full nothing is read. The streamer's thread.
 */
#ifndef RS_HEAR_H
#define RS_HEAR_H

#include "rs_streamer_int.h"

/* Begins to listen, if the client's wire does. 0 when memory is short. */
int rs_hear_begin(rs_streamer_t *s, rs_client_t *client);
void rs_hear_end(rs_client_t *client);

/* It was told goodbye, and what it says means nothing any more, but for that it goes, too. Not
 * before the goodbye is on its way. */
void rs_hear_part(rs_client_t *client);

/* Whether it was told goodbye, and has not said so. */
int rs_hear_awaits(const rs_client_t *client);

/* Reads what is there of such a client. RS_NEXT_GO, RS_NEXT_GONE, or RS_NEXT_LINGER: it has. */
rs_next_t rs_hear_goodbye(rs_client_t *client);

/* Whether what it says is to be read now. */
int rs_hear_listens(const rs_client_t *client);

/* Whether it said more than could be answered at once. Until the rest is heard nothing is read. */
int rs_hear_has_rest(const rs_client_t *client);

/* Reads what is there (first, what came before the stream began), does what it asks for and
 * answers; nothing while it has no room for that. It may be BEHIND then, and have a rest.
 * RS_NEXT_GO, RS_NEXT_GONE, RS_NEXT_FULL: too much is kept of what clients have not finished, or
 * RS_NEXT_LAST: the answer is in s->buf. */
rs_next_t rs_hear(rs_streamer_t *s, rs_client_t *client);

/* When the client is to be asked for a sign of life, or given up; 0: never. */
apr_time_t rs_hear_due(const rs_client_t *client);

/* When it should have finished what it has begun to say; 0: it has. And whether it has begun it in
 * this turn. */
apr_time_t rs_hear_finish_due(const rs_client_t *client);
int rs_hear_has_begun(const rs_streamer_t *s, const rs_client_t *client);

/* Nobody listened to it: that was no time to finish anything. */
void rs_hear_begin_anew(const rs_streamer_t *s, rs_client_t *client);

/* It is to be asked. RS_NEXT_GONE: it was, and has not answered. */
rs_next_t rs_hear_ask(rs_streamer_t *s, rs_client_t *client);

#endif
