/* SPDX-License-Identifier: Apache-2.0
 *
 * A Redis key that is being read, and how far. A stream that all tenants share has one for as long
 * as the child lives (rs_reader reads it); one with {tenant} in its key has one for each tenant
 * that has topics (rs_watcher reads it). The hub's thread.
 */
#ifndef RS_KEY_H
#define RS_KEY_H

#include "../redis/rs_history.h"
#include "../redis/rs_watcher.h"

typedef struct rs_tenant_t rs_tenant_t;
typedef struct rs_key_t rs_key_t;

struct rs_key_t {
    /* Constant. */
    const char *name;
    rs_source_t *source;
    int stream;          /* of the source */
    rs_tenant_t *tenant; /* whose own it is; NULL: everybody's */

    /* Hub. */
    rs_id_t at;      /* everything up to here was given to the topics */
    int known;       /* whether `at` means anything yet */
    long long added; /* entries ever, up to `at`; -1: not known */
    rs_id_t sure;    /* up to here nothing was removed before it was read */
    int replaced;    /* it was lost or replaced while this child read it */
    int shares;      /* shares that read it, each for itself */
    int is_moved;    /* in the source's list of keys whose `pos` is not yet `at` */
    rs_key_t *next_moved;

    /* Hub, of a tenant's own. */
    rs_watch_t watch;
    rs_key_t *next; /* of the same tenant */
    int topics;     /* that read it */
    int check;      /* where it stands has to be asked before it is read on */
    int asked;      /* and is being asked */
    int behind;     /* it holds more than was read */
    int is_read;    /* in the source's list of keys that were read since they were checked */
    rs_key_t *next_read;
    int left_out; /* not a stream now, or not to be read */
    int unseen;   /* it never was to be read: what it holds is not known */

    rs_id_t pos; /* source->lock: `at`, once streamers can find all of it */
};

/* Where the key stands in Redis: notices that it was lost or replaced, or that entries were trimmed
 * before they were read, and tells its readers. After that it is to be read on from key->at. */
void rs_key_position(rs_key_t *key, const rs_history_t *history);

/* One entry, to the topics of its tenant. */
void rs_key_entry(rs_key_t *key, rs_id_t id, const redisReply *fields);

/* Streamers can find all that was appended to topics: so they may know how far keys were read. */
void rs_key_publish(rs_source_t *source);

/* rs_tenant_key.c: the tenant's own key of this stream, made if it is new, for one more topic; NULL
 * when memory is short. */
rs_key_t *rs_tenant_key_open(rs_tenant_t *tenant, int stream);
void rs_tenant_key_close(rs_key_t *key);

/* Once a second: keys that were read are checked, since entries may have been trimmed unread. */
void rs_tenant_key_sweep(rs_source_t *source);

/* Watching began (again): where each of the tenant's keys stands has to be asked. */
void rs_tenant_key_check_all(rs_tenant_t *tenant);

#endif
