/* SPDX-License-Identifier: Apache-2.0
 *
 * What the simulated Redis holds, with all that it ever held; what is done to it, and its replies.
 */
#ifndef SIM_REDIS_H
#define SIM_REDIS_H

#include <stddef.h>
#include <stdint.h>
#include <apr_time.h>
#include <hiredis/hiredis.h>

#include "proto/rs_id.h"

#define SIM_TENANTS 4
#define SIM_STREAMS 6 /* three that tenants share, a literal tenant's, two with {tenant} */
#define SIM_OWN 4     /* the first of those */
#define SIM_KEYS (SIM_OWN + 2 * SIM_TENANTS)
#define SIM_PROFILES 4
#define SIM_GROUP_LEN 48
#define SIM_ENTRIES (1 << 18)

/* --- what there ever was --- */

#define SIM_HIDDEN_ONCE 0x80 /* of sim_entry_t.hidden: so it was to one, which may be no more */

typedef enum { SIM_PRESENT, SIM_TRIMMED, SIM_XDELETED, SIM_LOST, SIM_KEY_GONE } sim_how_t;

typedef struct {
    rs_id_t id;
    uint8_t key, tenant, how;
    uint8_t read_by, accepted; /* a bit for each engine; for each endpoint whose group had it */
    uint8_t counted_by;        /* a bit for each engine that follows the key, and has given it out */
    uint8_t hidden;            /* a bit for each engine that cannot know that it is missing */
    uint32_t size;             /* of the payload */
    uint32_t epoch, index;     /* of its key */
    uint32_t put_back;         /* in this epoch of its key, having been gone; 0: never */
    uint32_t lost_in;          /* from this one on it is lost, or gone with its key */
    long removed;              /* the how-manieth removal that was */
    apr_time_t added_at, removed_at;
} sim_entry_t;

extern sim_entry_t sim_entries[SIM_ENTRIES];
extern int sim_nentries;

typedef struct {
    int exists;
    rs_id_t last, max_deleted;
    long long added;
    int *uid, start, end, size; /* present: uid[start] to uid[end - 1] */
} sim_stream_t;

typedef struct {
    char name[SIM_GROUP_LEN];
    char position[64]; /* in the hash; "": not there */
    int exists;        /* in the stream */
    rs_id_t at;        /* there */
} sim_group_t;

typedef struct {
    rs_id_t ever; /* the highest id of an entry */
    char name[48], hash[80];
    int is_string, hash_is_string;
    apr_time_t string_until, noperm_until; /* one of them was that, it was not to be read */
    rs_id_t lost_from, lost_to; /* ids in between may be of what was lost */
    rs_id_t barred; /* up to here it held what was not to be read then, or a moment later */
    sim_stream_t s, copy;
    int has_copy;
    uint64_t tracked; /* a bit for each connection that read it since it was changed */
    sim_group_t groups[SIM_PROFILES * SIM_TENANTS];
    int ngroups;
    /* The model's: */
    int *all, nall, all_size; /* every entry, in the order of adding */
    uint32_t epoch;           /* the key was lost or replaced so often */
    apr_time_t disturbed_at, removed_at;
    rs_id_t max_removed;
    int dirty; /* changed since blocked readers were looked at */
} sim_key_t;

extern sim_key_t sim_keys[SIM_KEYS];

/* --- redis.c --- */
void sim_redis_reset(void);
int sim_redis_add(int k, int tenant, int size);
void sim_redis_trim(int k, int keep);
void sim_redis_minid(int k, int nth);
int sim_redis_xdel(int k, int nth); /* negative: from the end */
void sim_redis_del(int k);
void sim_redis_set_string(int k);
void sim_redis_set_hash_string(int k, int on);
void sim_redis_setid(int k, int ahead_ms);
void sim_redis_bar(int k, apr_time_t until); /* NOPERM */
void sim_redis_copy(int k);
void sim_redis_restore(int k);
void sim_redis_snapshot(void);
int sim_redis_failover(void);
void sim_redis_flush(void);
/* Between these nobody sees what is written. */
void sim_redis_multi(int on);
/* What was written is told to those who wait. */
void sim_redis_changed(int k);
int sim_redis_key(const char *name);
int sim_redis_hash(const char *name);
int sim_redis_above(int k, rs_id_t id); /* index in uid[] of the first one above id */

extern struct sim_redis_t {
    apr_time_t paused_until, down_until, error_until;
    char error[96];   /* what it says until then */
    int error_writes; /* only to writes and scripts */
    int hangs;        /* while it is down: connecting does not fail, either */
    int in_multi;
    long commands, removals; /* ever */
} sim_redis;

/* --- reply.c --- */
redisReply *sim_reply(int type);
redisReply *sim_reply_text(int type, const char *text, size_t len);
redisReply *sim_reply_array(size_t n);
redisReply *sim_reply_int(long long n);
redisReply *sim_reply_id(rs_id_t id);
redisReply *sim_reply_error(const char *text);
redisReply *sim_reply_entry(int uid);
redisReply *sim_reply_info(sim_key_t *key);
size_t sim_payload(char *to, int uid); /* to NULL: its length */

/* --- group.c --- */
void sim_group_name(char name[SIM_GROUP_LEN], int profile, int tenant);
int sim_group_position(const sim_key_t *key, int profile, int tenant, rs_id_t *id);

#endif
