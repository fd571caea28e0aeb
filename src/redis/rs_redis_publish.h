/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes events to Redis Streams, all of them or none as far as Redis allows that, and says
 * exactly what is known about the outcome. Worker threads; never retries: XADD is not idempotent,
 * and where an event_key makes it so, the publisher knows better whether to go on.
 */
#ifndef RS_REDIS_PUBLISH_H
#define RS_REDIS_PUBLISH_H

#include "../proto/rs_id.h"
#include "rs_redis_conn.h"

#define RS_XADD_FIELDS_MAX 8

typedef struct {
    const char *name;
    const char *value;
    apr_size_t len; /* of the value */
} rs_xadd_field_t;

typedef struct {
    const char *key;
    const char *event_key; /* of rs_event_key(): written once however often; NULL: each time */
    apr_int64_t maxlen;    /* 0: no MAXLEN */
    apr_int64_t minid;     /* milliseconds: what is older may go; 0: no MINID */
    apr_int64_t idle;      /* milliseconds from now to the key's end; 0: it has none */
    rs_xadd_field_t fields[RS_XADD_FIELDS_MAX];
    int nfields;
    /* Results: */
    char id[RS_ID_LEN]; /* empty: not written, or not known */
    int duplicate;      /* it had been written before, as `id`, and was not written now */
    char refused[RS_REDIS_CLASS_LEN]; /* why Redis did not write this one, or empty */
} rs_xadd_t;

typedef enum {
    RS_PUBLISH_DONE = 0, /* every item has its id */
    RS_PUBLISH_NOTHING,  /* the connection failed before anything could be written */
    RS_PUBLISH_REFUSED,  /* Redis said no; nothing was written */
    RS_PUBLISH_PARTIAL,  /* items with an id were written, items with `refused` were not */
    RS_PUBLISH_UNKNOWN   /* the connection broke after the last byte was sent */
} rs_publish_outcome_t;

/* Writes n >= 1 items over an acquired connection. With RS_PUBLISH_REFUSED or _PARTIAL the class of
 * the first error is in `refused`, a word such as OOM, READONLY, NOPERM or WRONGTYPE. Ours is
 * BADNOTE: what stands under an event_key is no id. With RS_PUBLISH_DONE it is empty, or of what
 * could not be done once they were written: trimming, and the time at which the key ends. */
rs_publish_outcome_t rs_redis_publish(rs_redis_conn_t *conn, rs_xadd_t *items, int n,
                                      char refused[RS_REDIS_CLASS_LEN]);

/* The key under which Redis remembers for a day which entry of the stream `key` an event_id of a
 * tenant has become. Different for any two of the three. */
const char *rs_event_key(apr_pool_t *p, const char *key, const char *tenant, const char *event_id);

/* `key` with every `{tenant}` in it replaced, or NULL if it needs a tenant and `tenant` is not a
 * valid one. A tenant has no ':' and no brace, so two tenants never share a key. */
const char *rs_stream_key(apr_pool_t *p, const char *key, const char *tenant);

#endif
