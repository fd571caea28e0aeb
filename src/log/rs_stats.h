/* SPDX-License-Identifier: Apache-2.0
 *
 * Counters of one child. The glue places the struct in memory that all children share; only the
 * child that owns it writes, from several threads, readers of any process add the children up.
 * Plain 64-bit relaxed atomics: a reader may see one counter a moment before another.
 */
#ifndef RS_STATS_H
#define RS_STATS_H

#include "../base/rs_base.h"

#define RS_STATS_STREAMS 64 /* streams of one child over all Redis URLs */
#define RS_STATS_SOURCES 16
#define RS_STATS_LABEL 160
#define RS_STATS_URL 512    /* longer ones, of many sentinels, are cut */
#define RS_STATS_MASTER 264 /* HOST:PORT */
#define RS_STATS_CAUSES 16  /* why streams keep a worker; the last one is for all others */
#define RS_STATS_CAUSE 64

/* Why an entry reached nobody. The names, for people, are in rs_skip_names[]. */
typedef enum {
    RS_SKIP_NO_TENANT,     /* neither the tenant field nor payload.tenant_id */
    RS_SKIP_BAD_TENANT,    /* not 1 to 64 of [A-Za-z0-9._@-] */
    RS_SKIP_OTHER_TENANT,  /* in a tenant's own key, and it names another one */
    RS_SKIP_BAD_TYPE,      /* an event type with a space or control character, or too long */
    RS_SKIP_TOO_BIG,       /* over RaglineMaxMessage */
    RS_SKIP_MALFORMED,     /* not an entry with fields */
    RS_SKIP_NO_SUBSCRIBER, /* nobody of that tenant is connected: nothing is wrong */
    RS_SKIP_MAX
} rs_skip_t;

extern const char *const rs_skip_names[RS_SKIP_MAX];

/* Why a client was told to come again later. The names, for people, are in obs/rs_board.c. */
typedef enum {
    RS_REFUSED_CONNECTIONS, /* RaglineMaxConnections, in each child */
    RS_REFUSED_TENANT,      /* RaglineLimit tenant= */
    RS_REFUSED_USER,        /* RaglineLimit user= */
    RS_REFUSED_PUMPS,       /* RaglineMaxPumps */
    RS_REFUSED_CHILD,       /* this child is full, or its workers are; others have room */
    RS_REFUSED_HTTP2,       /* the connection carries a stream already */
    RS_REFUSED_REDIS,       /* Redis cannot be read */
    RS_REFUSED_UNAVAILABLE, /* this child has no engine */
    RS_REFUSED_DRAINING,
    RS_REFUSED_MAX
} rs_refusal_t;

typedef struct {
    char name[RS_NAME_MAX + 1]; /* as RaglineStream calls it */
    char key[RS_STATS_LABEL];
    apr_uint32_t source;
    apr_uint64_t read;          /* entries */
    apr_uint64_t delivered;     /* an entry sent to N connections counts N */
    apr_uint64_t filtered;      /* likewise, held back by RaglineEvents or RaglineUserOnly */
    apr_uint64_t redelivered;   /* shared delivery: given to one more client */
    apr_uint64_t dead_lettered; /* shared delivery: given up */
    apr_uint64_t skipped[RS_SKIP_MAX];
    apr_uint64_t last_ms; /* the id read last */
    apr_uint64_t last_seq;
} rs_stream_stats_t;

typedef struct {
    char label[RS_STATS_URL]; /* the URL without its password */
    apr_uint32_t up;          /* streams are being read */
    apr_uint32_t caught_up;   /* and the last read found nothing left */
    apr_uint64_t connects;    /* successful ones: above 1 there were interruptions */
    /* With sentinels: the one of the two that is valid, 1 or 2; 0: not connected to a master. The
     * other one is written, then this, so that readers see no half of a name. */
    apr_uint32_t master;
    char masters[2][RS_STATS_MASTER];
} rs_source_stats_t;

/* Streams that keep a worker, by what keeps them there. */
typedef struct {
    char cause[RS_STATS_CAUSE];
    apr_uint64_t open;
    apr_uint64_t total;
} rs_pump_stats_t;

/* What became of a callback. The names, for people, are in obs/rs_board.c. */
typedef enum {
    RS_CALLED_ANSWERED,    /* whatever the status */
    RS_CALLED_LATE,        /* there was no answer in time */
    RS_CALLED_UNREACHABLE, /* nobody there, or nobody who may be believed */
    RS_CALLED_FULL,        /* too many wait already */
    RS_CALLED_STOPPED,     /* the child ended before, or the client left before it was made */
    RS_CALLED_MAX
} rs_called_t;

typedef struct {
    apr_uint64_t opened;
    apr_uint64_t events;    /* that a socket has, or has next */
    apr_uint64_t sends;     /* requests to send that found their connection, */
    apr_uint64_t send_time; /* and how long all of them took: microseconds */
    apr_uint64_t callbacks[RS_CALLED_MAX];
} rs_gateway_stats_t;

typedef struct {
    apr_uint64_t accepted;    /* connections taken over */
    apr_uint64_t connections; /* open now */
    apr_uint64_t fetches;     /* a reader was behind what is kept and got it from Redis */
    apr_uint64_t pumps;       /* streams that keep a worker now */
    apr_uint64_t refused[RS_REFUSED_MAX];
    rs_gateway_stats_t gateway;
    apr_uint64_t stale; /* WebSockets that were ended because they took, or said, nothing */
    apr_uint32_t draining;
    apr_uint32_t npumped;
    apr_uint32_t nsources;
    apr_uint32_t nstreams;
    rs_pump_stats_t pumped[RS_STATS_CAUSES];
    rs_source_stats_t sources[RS_STATS_SOURCES];
    rs_stream_stats_t streams[RS_STATS_STREAMS];
} rs_stats_t;

#define RS_STAT_ADD(field, n) __atomic_fetch_add(&(field), (n), __ATOMIC_RELAXED)
#define RS_STAT_SUB(field, n) __atomic_fetch_sub(&(field), (n), __ATOMIC_RELAXED)
#define RS_STAT_SET(field, n) __atomic_store_n(&(field), (n), __ATOMIC_RELAXED)
#define RS_STAT_GET(field) __atomic_load_n(&(field), __ATOMIC_RELAXED)

#endif
