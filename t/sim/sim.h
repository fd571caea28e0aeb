/* SPDX-License-Identifier: Apache-2.0
 *
 * A simulated world around a child's engine: its hub and its streamers run one turn at a time, on
 * a clock, against a Redis and clients that are functions. Everything follows from the seed.
 *
 *   seam.c        clock, jitter, poller, allocations: what the engine asks of the system
 *   link.c        src/redis/rs_link.h over connection.c             locks.c  when threads change
 *   connection.c  connections to Redis     command.c   commands         reply.c  replies
 *   redis.c       streams, and what is done to them    group.c  the script of consumer groups
 *   learn.c       what an engine learns from replies   count.c  and what nobody can tell from them
 *   client.c      clients, their sockets, their bytes  endpoint.c  what they read, and ids
 *   model.c       what is right, with cause.c, owed.c, backlog.c, verdict.c and deadline.c
 *   world.c       engines, and whose turn it is        action.c    what happens, as text
 *   generate.c    what happens, by chance              main.c      runs, shrinking, figures
 */
#ifndef SIM_H
#define SIM_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <hiredis/hiredis.h>

#include "connection.h"
#include "engine/rs_engine.h"
#include "log/rs_source.h"
#include "redis.h"
#include "wire/rs_wire.h"

#define SIM_ENGINES 2
#define SIM_STREAMERS 2
#define SIM_PROFILE_KEYS 3
#define SIM_CLIENTS 10
#define SIM_CONNS 48
#define SIM_HELD 12
#define SIM_NEVER ((apr_time_t)0x7fffffffffffffffLL)
#define SIM_WALL ((apr_time_t)1795176800 * (apr_time_t)1000000)
#define SEC(n) ((apr_time_t)(n)*1000000)
#define MSEC(n) ((apr_time_t)(n)*1000)

/* --- configuration of a run: all of it is in a history --- */

typedef struct {
    int engines, streamers, streams, tenants, clients, profiles;
    int cache_kb, max_message, batch, block_ms, drain_ms;
    int lat_us;      /* the most that a command or a reply takes */
    int split;       /* others' writes may come between pipelined commands */
    int empty_wakes; /* as Redis 7.0: entries that are gone again wake a blocked XREAD */
    int partial;     /* one write in so many is taken in part; 0: none */
    int room_kb;     /* of a socket */
    int preempt;     /* in one wake-up of so many the other thread runs at once; 0: none */
    int unlocks;     /* so it does when one lets go of its locks */
    int redis6;      /* no entries-added, no max-deleted-entry-id */
    int pmask[SIM_PROFILES], plast[SIM_PROFILES], pgroup[SIM_PROFILES], plimit[SIM_PROFILES];
    int pslow[SIM_PROFILES], pbeat_ms[SIM_PROFILES], pstall_ms[SIM_PROFILES];
    int cten[SIM_CLIENTS], cprof[SIM_CLIENTS];
} sim_conf_t;

extern sim_conf_t sim_conf;

/* --- chance --- */

typedef struct {
    uint64_t x;
} sim_rng_t;

extern sim_rng_t sim_sched; /* whose turn it is, latencies, how much a socket takes */

static inline uint64_t sim_mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static inline uint32_t sim_rand(sim_rng_t *r, uint32_t n)
{
    r->x ^= r->x << 13;
    r->x ^= r->x >> 7;
    r->x ^= r->x << 17;
    return n ? (uint32_t)(((r->x >> 32) * n) >> 32) : 0;
}

/* --- link.c --- */
int sim_link_ready(const rs_link_t *l);
apr_time_t sim_link_next(const rs_link_t *l);
rs_link_t *sim_link_list(rs_link_t *l);

/* --- seam.c --- */
struct rs_poll_t {
    int woken, got; /* got: the last turn found something */
    apr_time_t deadline;
    rs_link_t *links;
    int conns[SIM_CONNS], nconns;
    struct sim_actor_t *actor;
};

extern apr_time_t sim_now;
extern rs_poll_t *sim_new_polls[8];
extern int sim_nnew_polls;
extern long sim_live_allocs, sim_live_bytes;
int sim_poll_ready(const rs_poll_t *poll);
void sim_seam_reset(uint64_t seed);
void *sim_malloc(size_t n); /* not counted */
void *sim_realloc(void *p, size_t n);
void sim_free(void *p);

/* --- client.c --- */
typedef struct {
    char type[24], id[200], comment[16];
    int has_id, has_type, has_data, retry;
    char data[512]; /* its beginning */
    size_t data_len;
    int pad_bad;
} sim_frame_t;

typedef struct {
    char text[RS_CURSOR_LEN];
    int made_up; /* nobody was ever given this */
    rs_id_t pos[SIM_PROFILE_KEYS];
    int next[SIM_PROFILE_KEYS];
    apr_time_t at, told_at, stood_at; /* told_at: of a gap, up to here; negative: never */
    int engine;             /* that gave it, */
    int replaying;          /* before the client had caught up */
    int debt;               /* something is still to be told */
} sim_hold_t;

typedef struct {
    int conn; /* -1: not connected */
    sim_hold_t held[SIM_HELD];
    int nheld;
    int lag; /* does not read */
    int engine;
} sim_client_t;

typedef enum { SIM_NO_ID, SIM_ID, SIM_GARBAGE } sim_brought_t;

typedef struct {
    int used, client, engine, profile, tenant, registered, want_out, closed, peer_closed, finished;
    rs_poll_t *poll;
    void *data; /* the poller's */
    int room;   /* bytes that the socket takes */
    /* Bytes that the client has not read, and the ids in them. */
    size_t written, unread;
    int gone; /* the event that is being looked at was removed meanwhile */
    int debt; /* so what is missing in front of it may be told behind it, next */
    struct {
        size_t end;
        sim_hold_t hold;
    } * queue;
    int nqueue, queue_size;
    /* The parser's. */
    char line[1024];
    size_t line_len;
    sim_frame_t frame;
    /* The model's. */
    int nkeys, key[SIM_PROFILE_KEYS];
    sim_brought_t brought;
    sim_hold_t hold; /* what it brought */
    rs_id_t pos[SIM_PROFILE_KEYS], last_at_submit[SIM_PROFILE_KEYS];
    int next[SIM_PROFILE_KEYS];
    int connected, replay, ended, floating;
    int choosing; /* RaglineStart last=N: what is older may be left out until it is caught up */
    apr_time_t submit_at, out_at, connected_at, caught_up, told_at, reading_since;
    apr_time_t reset_at; /* told of a loss, which `trimmed` is not; negative: never */
    apr_time_t stood_at; /* what was removed by then is none of its business */
    int came_at_birth[SIM_PROFILE_KEYS];
    int leads; /* it stood where its group was, or before */
    rs_id_t last_when_told[SIM_PROFILE_KEYS]; /* of a loss, where its streams ended */
    int resets;          /* since something was removed */
    int wanted_last;
    int behind, ahead; /* of its engine, so many entries when it was connected */
    long above;        /* what its streams held behind its place, when that was counted last */
    int unheard;       /* it had an id then of which its engine had not heard */
    rs_id_t start[SIM_PROFILE_KEYS];
    long events;
} sim_conn_t;

extern sim_client_t sim_clients[SIM_CLIENTS];
extern sim_conn_t sim_conns[SIM_CONNS];
extern int sim_conns_used;
void sim_client_reset(void);
void sim_client_connect(int client, int engine, int how);
void sim_client_leave(int client, int read_part);
void sim_client_lag(int client, int lag);
int sim_conn_ready(const sim_conn_t *c); /* RS_POLL_IN, _OUT, _HUP */
void sim_conn_read_all(sim_conn_t *c);
void sim_conn_lost(sim_conn_t *c); /* its engine is no more */

/* --- endpoint.c --- */
int sim_profile_keys(int profile, int tenant, int key[SIM_PROFILE_KEYS]);
int sim_cursor_parse(int profile, const char *text, rs_id_t *pos);
void sim_cursor_format(char *text, int profile, const rs_id_t *pos);
int sim_index_above(int k, rs_id_t id);

/* --- model.c --- */
void sim_model_reset(void);
void sim_model_submit(sim_conn_t *c);
void sim_model_frame(sim_conn_t *c, sim_frame_t *f);
void sim_model_hold(const sim_conn_t *c, const char *text, sim_hold_t *h);
void sim_model_settled(void); /* the world was quiet and healthy: everybody has everything */
void sim_model_closed(sim_conn_t *c);
/* Redis has made a group that it had not. */
void sim_backlog_anew(int k, const char *name);
void sim_model_tick(void);                /* the clock moves on */
void sim_model_trouble(apr_time_t until); /* Redis is not well */

/* --- verdicts --- */
extern int sim_failed;
extern char sim_fail_class[32], sim_fail_text[1024];
void sim_fail(const char *class, const char *fmt, ...) RS_PRINTF(2, 3);
extern int sim_verbose;
void sim_trace(const char *fmt, ...) RS_PRINTF(1, 2);
#define TRACE(...)                                                                                 \
    do {                                                                                           \
        if (sim_verbose) {                                                                         \
            sim_trace(__VA_ARGS__);                                                                \
        }                                                                                          \
    } while (0)

/* Figures of many runs, added up. */
enum {
    SIM_S_RUNS,
    SIM_S_ACTIONS,
    SIM_S_TURNS,
    SIM_S_COMMANDS,
    SIM_S_ENTRIES,
    SIM_S_CONNECTS,
    SIM_S_REFUSED,
    SIM_S_NEW,
    SIM_S_RESUMED,
    SIM_S_TRIMMED,
    SIM_S_LIMIT,
    SIM_S_REDIS_RESET,
    SIM_S_UNKNOWN,
    SIM_S_MID_TRIMMED,
    SIM_S_MID_REDIS_RESET,
    SIM_S_MID_LIMIT,
    SIM_S_TOO_BIG,
    SIM_S_EVENTS,
    SIM_S_CAUGHT_UP,
    SIM_S_HEARTBEATS,
    SIM_S_DRAINING,
    SIM_S_UNAVAILABLE,
    SIM_S_SLOW,
    SIM_S_CUTS,
    SIM_S_FAILOVERS,
    SIM_S_KILLS,
    SIM_S_DRAINS,
    SIM_S_SETTLES,
    SIM_S_GROUP_STARTS,
    SIM_S_PARTIAL,
    SIM_S_MAX
};
extern long sim_stats[SIM_S_MAX];
extern const char *const sim_stat_names[SIM_S_MAX];
extern int sim_fault; /* a planted one: the tests of the simulation itself */
enum {
    SIM_FAULT_NONE,
    SIM_FAULT_DROP,
    SIM_FAULT_RESUMED,
    SIM_FAULT_TENANT,
    SIM_FAULT_TWICE,
    SIM_FAULT_SILENT,
    SIM_FAULT_LOSE,
    SIM_FAULT_MAX
};

/* --- world.c --- */
typedef struct sim_actor_t {
    int engine, streamer; /* streamer negative: the hub */
    rs_poll_t *poll;
    int running, over;
    apr_time_t same_at;
    long taken; /* its engine's, then */
    int same; /* turns since the clock moved, or a client took something */
} sim_actor_t;

/* --- count.c --- */
#define SIM_BLIND 16

typedef struct {
    int known;
    uint32_t epoch;
    long long added; /* entries that were read, or are gone */
    long long unsure; /* so many of these that are gone it may not have counted yet */
    rs_id_t at, deleted, first, top; /* top: where the newest of its streams ended when it was seen */
    long long gone;
    int trims;         /* it was trimmed since it was seen worked off */
    long long surplus; /* so many more the engine believes to have counted */
    uint32_t seen;     /* what was put back up to this epoch can be known of */
    /* When all was read last: so many had there been, and were gone; and were read since. */
    long long all_added, all_gone, since;
} sim_counted_t;

typedef struct {
    int key;
    uint32_t from, to; /* epochs */
    long removals;     /* up to this one */
} sim_blind_t;

typedef struct {
    int alive, draining, stopping, gone;
    uint32_t incarnation;
    rs_engine_t *engine;
    rs_stats_t *stats;
    rs_source_t *source;
    apr_pool_t *pool;
    sim_actor_t hub, streamers[SIM_STREAMERS];
    rs_msg_t stop;
    rs_id_t max_seen[SIM_KEYS];               /* of each key, in replies */
    rs_id_t followed[SIM_KEYS];               /* the same, in the order in which it was so */
    int saw_loss[SIM_KEYS];                   /* up to which epoch */
    int hand_lo[SIM_KEYS], hand_hi[SIM_KEYS]; /* read, and not yet looked at */
    long hand_removals[SIM_KEYS];
    rs_id_t born[SIM_KEYS];              /* where the key ended when that was seen */
    rs_id_t began[SIM_KEYS]; /* and when it was first seen with an id, and had held nothing so far */
    apr_time_t looked_time[SIM_KEYS][8]; /* at it as it was then, by epoch */
    sim_counted_t counted[SIM_KEYS];
    sim_hand_t hand[SIM_KEYS];
    sim_blind_t blind[SIM_BLIND];
    int nblind;
    uint64_t looked[SIM_KEYS]; /* a bit for each epoch (modulo 64) that it was told of */
    long commands_second;      /* of this second */
    apr_time_t second, started, last_read[SIM_KEYS]; /* somebody was there who reads it */
    long taken; /* bytes, by its clients */
} sim_engine_t;

extern sim_engine_t sim_engines[SIM_ENGINES];
void sim_count_look(sim_engine_t *e, int slot, int k, const sim_look_t *look);
/* Whether this entry was put back, and the engine has not looked since. */
int sim_count_put_back(const sim_engine_t *e, const sim_entry_t *entry);
/* Whether what became of this entry cannot be told by this engine. */
int sim_count_hides(const sim_engine_t *e, const sim_entry_t *entry);
void sim_world_begin(uint64_t seed);
void sim_world_end(void);
void sim_engine_start(int e);
void sim_engine_kill(int e);
void sim_engine_drain(int e);
int sim_world_turns(int max);      /* at this moment; returns how many there were */
void sim_world_wait(apr_time_t t); /* until then */
void sim_world_heal(void);
void sim_world_settle(void);
void sim_world_poke(rs_poll_t *poll); /* its owner was woken */
extern int sim_quiet;                 /* nothing is written, everything is well */
const char *sim_tenant(int t);
const char *sim_stream_key(int s);

/* --- action.c --- */
typedef struct {
    int op;
    int a, b, c, d;
    int turns; /* afterwards, at most */
    uint32_t salt;
} sim_action_t;

enum {
    SIM_ADD,
    SIM_MULTI,
    SIM_TRIM,
    SIM_MINID,
    SIM_XDEL,
    SIM_DEL,
    SIM_SETSTR,
    SIM_SETID,
    SIM_COPY,
    SIM_RESTORE,
    SIM_SNAP,
    SIM_FAIL,
    SIM_FLUSH,
    SIM_HASHSTR,
    SIM_CONNECT,
    SIM_LEAVE,
    SIM_LAG,
    SIM_READ,
    SIM_CUT,
    SIM_AWAY,
    SIM_PAUSE,
    SIM_ERR,
    SIM_NOPERM,
    SIM_KILL,
    SIM_START,
    SIM_DRAIN,
    SIM_WAIT,
    SIM_TURNS,
    SIM_SETTLE,
    SIM_OPS
};
extern const char *const sim_op_names[SIM_OPS];
void sim_action_do(const sim_action_t *a);
void sim_action_print(FILE *f, const sim_action_t *a);
int sim_action_parse(const char *line, sim_action_t *a);
void sim_conf_print(FILE *f, const sim_conf_t *conf);
void sim_conf_default(sim_conf_t *conf);
int sim_conf_parse(const char *line, sim_conf_t *conf);

/* --- generate.c --- */
void sim_generate_conf(sim_rng_t *r, sim_conf_t *conf);
void sim_generate(sim_rng_t *r, sim_action_t *a);
void sim_generate_reset(sim_rng_t *r);

#endif
