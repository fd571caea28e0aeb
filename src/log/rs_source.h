/* SPDX-License-Identifier: Apache-2.0
 *
 * One Redis URL of a child and the streams that are read from it. Made while the child starts;
 * the hub owns what changes, and publishes positions for streamers.
 */
#ifndef RS_SOURCE_H
#define RS_SOURCE_H

#include <pthread.h>
#include <apr_hash.h>

#include "../base/rs_ring.h"
#include "../proto/rs_cursor.h"
#include "../redis/rs_redis_url.h"
#include "rs_key.h"
#include "rs_revoked.h"
#include "rs_stats.h"

#define RS_SOURCE_STREAMS_MAX 64 /* a set of streams is a 64-bit mask */

typedef struct {
    const char *name; /* for people */
    const char *key;
    const char *tenant_field;
    const char *tenant_literal; /* set: the field is not read */
    const char *type_field;
    const char *data_field;
    const char *user_field;
    apr_interval_time_t idle; /* its keys end when nobody has written for so long; 0: never */
    int per_tenant;           /* the key holds {tenant}: every tenant has its own */
    int shared;               /* some endpoint may have shared delivery of it */
    rs_stream_stats_t *stats;
    apr_time_t group_told;   /* hub: when a group that cannot be used was logged last */
    int buried_told;         /* hub: an entry that was tried too often was logged */
    apr_uint32_t warned;     /* hub: a bit for each rs_skip_t that was logged */
    int left_out_told;       /* hub: a key that cannot be read was logged */
    apr_time_t trimmed_told; /* hub: likewise of entries that were trimmed unread */
    apr_time_t lost_told;    /* hub: when a key that was lost or replaced was logged last */
} rs_stream_t;

/* Whether administrators are obeyed; and if streams are served before it is known who is not to be
 * let in. */
typedef enum { RS_OBEYS_NOBODY, RS_OBEYS, RS_OBEYS_AND_IS_OPEN } rs_obeys_t;

struct rs_source_t {
    /* Constant once the hub runs. */
    const rs_redis_url_t *url;
    rs_topics_t *topics;
    rs_stream_t *streams; /* by key, so that a cursor means the same on every node */
    int nstreams;
    rs_key_t *keys;            /* of the streams, in the same order; unused where per_tenant */
    int batch;                 /* XREAD COUNT */
    apr_interval_time_t block; /* XREAD BLOCK */
    rs_obeys_t control;        /* whether the control stream is read, too, */
    rs_revoked_t *revoked;     /* and who is not to be let in; NULL: that is not read */
    const struct rs_presence_conf_t *presence_conf; /* NULL: it is not told which users are there */
    rs_source_stats_t *stats;

    /* Hub. */
    apr_hash_t *tenants;        /* name → rs_tenant_t; entries are recycled by the hash */
    struct rs_reader_t *reader; /* of keys that all share; NULL: there are none */
    rs_watcher_t *watcher;      /* of keys of tenants; NULL: there are none */
    struct rs_groups_t *groups; /* positions of consumer groups; NULL: none were needed */
    rs_key_t **read;            /* what the reader's streams are; NULL: the control stream */
    rs_id_t control_at;         /* of that: read up to here, */
    int control_known;          /* once it is known where it stood; */
    rs_id_t control_done;       /* nothing up to here is done (again); */
    int control_revoked;        /* a command that was read revokes; */
    int control_lost;           /* the stream is an older one, or another: some may be missing */
    struct rs_revocation_t *revocation; /* NULL where that is not read */
    struct rs_presence_t *presence;     /* NULL where that is not told */
    rs_key_t *moved;                    /* keys of which streamers do not know all yet */
    int reading, watching;              /* each of the two is up */
    int master;                         /* which of stats->masters was written last: 1, 2; 0 */
    int behind;                         /* some stream holds more than was read */
    struct rs_loader_t *loader;         /* history */
    struct rs_backfill_t *backfills;    /* one for each set of streams that needed it */
    rs_ring_t scars;                    /* of keys that are not read any more: rs_scars.h */
    apr_hash_t *scar_index;             /* the same by key; entries are recycled by the hash */
    rs_ring_t shares;                   /* of tenants and endpoints with shared delivery */
    apr_hash_t *share_index;            /* the same by both; entries are recycled by the hash */
    apr_time_t shares_due;              /* when they are looked at next */
    apr_uint32_t shares_opened;         /* so far */

    int up;        /* atomic: positions are known and streams are being read */
    int caught_up; /* atomic */

    pthread_mutex_t lock; /* also of every key's `shown` */
    pthread_cond_t settling;
    int settled; /* lock: the first attempt to read has succeeded or failed */
};

/* The position in each of the topic's streams; returns how often data of them was lost up to there.
 * Any thread. */
unsigned rs_source_cursor(rs_source_t *source, const rs_topic_t *topic, rs_cursor_t *cursor);

/* The bit of the stream with this key, or 0. */
apr_uint64_t rs_source_stream_bit(const rs_source_t *source, const char *key);

/* Whether the source is being read. Just after the child started that is not known yet: then waits
 * for the first attempt, up to `limit`. Any thread that may wait. */
int rs_source_wait(rs_source_t *source, apr_interval_time_t limit);

/* That limit, of a request: the first words of Redis take no longer. */
#define RS_SOURCE_START apr_time_from_sec(2)

static inline int rs_source_is_up(rs_source_t *source)
{
    return __atomic_load_n(&source->up, __ATOMIC_ACQUIRE);
}

#endif
