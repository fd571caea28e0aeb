/* SPDX-License-Identifier: Apache-2.0
 *
 * What one reader misses that its topic no longer holds: read from Redis forwards, a few events at
 * a time, as fast as the reader takes them. So a slow reader loses nothing and costs next to
 * nothing. Made by its streamer, filled by the hub, used up by the streamer.
 */
#ifndef RS_FETCH_H
#define RS_FETCH_H

#include "../redis/rs_loader.h"
#include "rs_client.h"
#include "rs_verdict.h"

#define RS_FETCH_MAX 128
#define RS_FETCH_BYTES ((size_t)256 * 1024)

struct rs_fetch_t {
    rs_msg_t msg; /* first: RS_MSG_FETCH to the hub, RS_MSG_FETCHED back */
    rs_job_t job;
    rs_client_t *client; /* streamer; NULL: it has ended meanwhile */
    rs_inbox_t *streamer;
    rs_topic_t *topic;  /* the hub counts the fetch as a use of it */
    const char *tenant; /* the name of the topic's owner: constant */
    rs_cursor_t own;    /* asked: the reader's position; filled: where it is after the events */
    rs_cursor_t told;   /* where it is before them, if it has to be told of a gap */
    rs_event_t *events[RS_FETCH_MAX];
    int n, next;
    unsigned losses;       /* as the reader's; then as they were when it was judged */
    int scanned;           /* entries that were looked at for that */
    int in_flight;         /* streamer: it is the hub's */
    int failed;            /* Redis did not answer: ask again later */
    rs_verdict_kind_t gap; /* before the events: the reader has to be told; else RESUMED */
    rs_id_t first;
    redisReply *chunk[RS_STREAMS_MAX];
    int answered[RS_STREAMS_MAX];     /* all that there is stands in the chunk, or there is none */
    int asked[RS_STREAMS_MAX];        /* how many entries a chunk has if there may be more */
    rs_known_t known[RS_STREAMS_MAX]; /* of the keys, then: otherwise it has all that was read */
    rs_history_t history[RS_STREAMS_MAX];
};

/* Streamer: for this client from its position on; NULL when memory is short. */
rs_fetch_t *rs_fetch_create(rs_client_t *client);
void rs_fetch_free(rs_fetch_t *fetch);

/* Of a reply that it was filled from, or of all, nothing is needed any more. */
void rs_fetch_drop_chunk(rs_fetch_t *fetch, int k);
void rs_fetch_drop_chunks(rs_fetch_t *fetch);

#endif
