/* SPDX-License-Identifier: Apache-2.0
 *
 * Resuming readers whose position is older than what topics hold. For each set of streams that is
 * subscribed to, missing history is read from Redis once, backwards, and put in front of the topics
 * of *all* tenants: ten thousand clients of ten thousand tenants that come back together cost one
 * pass over what they missed, not one each. For a while after that topics are also made for
 * tenants nobody of whom is connected yet, so that those who come later find theirs complete. The
 * hub's thread.
 */
#ifndef RS_BACKFILL_H
#define RS_BACKFILL_H

#include "../log/rs_client.h"
#include "../log/rs_entry.h"

typedef struct rs_backfill_t rs_backfill_t;

/* Gives the client its first number and its verdict. 0: it has to wait, and the hub's call attach()
 * is called when it has them. Its topic is set and counts it. */
int rs_backfill_place(rs_client_t *client);

/* Whether the id that the client brought is one of its endpoint. */
int rs_backfill_reads(rs_client_t *client);

/* An entry is about to be assigned: makes topics for its tenant where history is being kept. */
void rs_backfill_record(rs_source_t *source, const rs_entry_t *entry, int stream);

/* A topic was made: where history is being kept it is complete for longer than just now. */
void rs_backfill_made(rs_topic_t *topic);

/* A topic is forgotten: what was said of tenants without one holds only from now on. */
void rs_backfill_forgot(rs_topic_t *topic);

/* The key can be read, which it could not so far: likewise. */
void rs_backfill_begins(const rs_key_t *key);

/* The key is not what it was: what was said of it holds only from now on. */
void rs_backfill_broken(const rs_key_t *key);

/* Of the key something was removed before it was read: likewise from there on. */
void rs_backfill_gap(const rs_key_t *key);

/* Once a second: begins the pass that readers of this topic wait for, when they may have one. */
void rs_backfill_sweep(rs_topic_t *topic);

void rs_backfill_close(rs_source_t *source);

#endif
