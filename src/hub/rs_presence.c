/* SPDX-License-Identifier: Apache-2.0
 *
 * What the roll says and Redis does not have yet is told twice a second, all in one command; and
 * every three seconds that this node lives. Where that was not said in time others have taken its
 * users out. Then, and over each new connection, what Redis has of the node is read first: what
 * differs is told, and nothing twice.
 */
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "../log/rs_common.h"
#include "../log/rs_roll.h"
#include "../log/rs_topics.h"
#include "../redis/rs_loader.h"
#include "../redis/rs_presence_script.h"
#include "rs_presence.h"

#define NEVER ((apr_time_t)0x7fffffffffffffffLL)
#define TICK apr_time_from_msec(500)
#define MORE apr_time_from_msec(5)
#define RENEW apr_time_from_sec(3)
#define LEASE apr_time_from_sec(12)
#define LEASE_MS "12000"
/* Where this node's own lease has so much left all could say that they live. */
#define NOT_AWAY_MS 6000
/* After a refusal, and between two lines of the log about one. */
#define AGAIN apr_time_from_sec(5)
#define TELL_AGAIN apr_time_from_sec(60)
/* Users told of in one command: some thousandths of a second of Redis. */
#define BATCH 200
/* Dead nodes that are known of at a time. */
#define DEAD 8
#define SHORT_LEN 24

/* NODE-HASH: what this node says of the Redis that it calls so. Hosts may spell one in two ways,
 * and each knows its own connections only. */
#define NAME_LEN (RS_NODE_LEN + 1 + 8)
#define KEY_LEN (sizeof(RS_OWN_PRESENCE_NODE) + NAME_LEN)

/* Which command is under way. */
typedef enum { NOTHING, RENEWS, READS, TELLS, REAPS } step_t;

typedef struct {
    rs_present_t *of;
    int count;
} told_t;

typedef struct rs_presence_t {
    rs_job_t job; /* first */
    rs_queue_t queue;
    rs_source_t *source;
    const char **args; /* of all streams */
    int nargs;
    char name[NAME_LEN + 1]; /* of this node */
    char key[KEY_LEN];
    char term[SHORT_LEN];
    apr_time_t next; /* turn */

    /* While this process speaks for the node. */
    rs_roll_t *roll; /* NULL: it does not */
    int deposed;     /* it does not any more, but the job is not over */
    step_t step;
    unsigned connects; /* over which connection what follows holds */
    int known;         /* what Redis has */
    char cursor[SHORT_LEN];
    apr_time_t renew;   /* when that is due */
    apr_time_t patient; /* nobody is taken for dead before: they must have time to say that */
    int fresh;          /* the first renewal since then is still to come */
    apr_time_t hold;    /* nothing is asked for before */
    apr_time_t logged;
    told_t told[BATCH];
    int ntold;
    char dead[DEAD][NAME_LEN + 1];
    int ndead;
    char dead_cursor[SHORT_LEN];
} rs_presence_t;

static rs_registry_t *registry_of(const rs_presence_t *p)
{
    return p->source->topics->common->registry;
}

/* --- what is asked --- */

/* All of it is to be read. */
static void forget_known(rs_presence_t *p)
{
    apr_time_t now = rs_clock_now();

    rs_roll_unknown(p->roll);
    p->known = 0;
    strcpy(p->cursor, "0");
    p->patient = now + LEASE;
    p->fresh = 1;
    p->ndead = 0;
}

static void ask_renew(rs_presence_t *p)
{
    const char *argv[] = {"EVAL", rs_presence_renew, "2",     RS_OWN_PRESENCE_NODES,
                          p->key, p->name,           p->term, LEASE_MS};

    p->step = RENEWS;
    rs_loader_ask(p->source->loader, RS_ARRAY_LEN(argv), argv);
}

static void ask_read(rs_presence_t *p)
{
    const char *argv[] = {"HSCAN", p->key, p->cursor, "COUNT", "1000"};

    p->step = READS;
    rs_loader_ask(p->source->loader, RS_ARRAY_LEN(argv), argv);
}

/* 0: there is nothing to tell. */
static int ask_tell(rs_presence_t *p)
{
    const char *argv[8 + 9 * RS_SOURCE_STREAMS_MAX + 1 + 4 * BATCH] = {
        "EVAL", rs_presence_change, "2",     RS_OWN_PRESENCE_NODES,
        p->key, p->name,            p->term, RS_OWN_PRESENCE_USERS};
    char rooms[BATCH][RS_ROOM_LEN], counts[BATCH][SHORT_LEN];
    apr_time_t now = rs_clock_now();
    rs_present_t *at = NULL;
    int argc = 8, count;

    memcpy(&argv[argc], p->args, (size_t)p->nargs * sizeof(*argv));
    argc += p->nargs;
    p->ntold = 0;
    while (p->ntold < BATCH && (at = rs_roll_next(p->roll, at, now, &count)) != NULL) {
        int i = p->ntold++;

        p->told[i] = (told_t){at, count};
        counts[i][0] = '\0';
        if (count != RS_PRESENT_NOT) {
            apr_snprintf(counts[i], SHORT_LEN, "%d", count);
        }
        argv[argc++] = at->tenant;
        argv[argc++] = at->user;
        argv[argc++] = rs_presence_room_name(rooms[i], at->room);
        argv[argc++] = counts[i];
    }
    if (p->ntold) {
        p->step = TELLS;
        rs_loader_ask(p->source->loader, argc, argv);
    }
    return p->ntold;
}

static void ask_reap(rs_presence_t *p)
{
    const char *argv[8 + 9 * RS_SOURCE_STREAMS_MAX + 1] = {
        "EVAL", rs_presence_reap,      "2",           RS_OWN_PRESENCE_NODES, NULL,
        NULL,   RS_OWN_PRESENCE_USERS, p->dead_cursor};
    char key[KEY_LEN];

    apr_snprintf(key, sizeof(key), RS_OWN_PRESENCE_NODE "%s", p->dead[p->ndead - 1]);
    argv[4] = key;
    argv[5] = p->dead[p->ndead - 1];
    memcpy(&argv[8], p->args, (size_t)p->nargs * sizeof(*argv));
    p->step = REAPS;
    rs_loader_ask(p->source->loader, 8 + p->nargs, argv);
}

static void ask(rs_job_t *job)
{
    rs_presence_t *p = (rs_presence_t *)job;
    apr_time_t now = rs_clock_now();

    p->step = NOTHING;
    if (!p->roll || p->deposed || now < p->hold) {
        return;
    }
    if (rs_loader_connects(p->source->loader) != p->connects) {
        p->connects = rs_loader_connects(p->source->loader);
        p->renew = 0;
        forget_known(p);
    }
    if (now >= p->renew) {
        ask_renew(p);
    }
    else if (!p->known) {
        ask_read(p);
    }
    else if (!ask_tell(p) && p->ndead && now >= p->patient) {
        ask_reap(p);
    }
}

/* --- what is answered --- */

static const char *word(const redisReply *reply, size_t i)
{
    return reply->type == REDIS_REPLY_ARRAY && i < reply->elements
                   && reply->element[i]->type == REDIS_REPLY_STRING
               ? reply->element[i]->str
               : "";
}

static void refuse(rs_presence_t *p, const char *why)
{
    apr_time_t now = rs_clock_now();

    if (!p->logged || now >= p->logged + TELL_AGAIN) {
        p->logged = now;
        rs_log(RS_LOG_ERR, 0,
               RSLOGNO(0523) "%s: it cannot be told which users are there (RaglinePresence): %s; a "
                             "Redis user needs +eval, +time, +zadd, +zrem, +zscore, "
                             "+zrangebyscore, +zrangebylex, +hget, +hset, +hdel, +hlen, +hscan, "
                             "+del, the keys ragline:presence:*, and for events +xadd",
               p->source->url->label, why);
    }
}

static void take_renewed(rs_presence_t *p, const redisReply *reply)
{
    apr_time_t now = rs_clock_now();
    size_t i;

    p->renew = now + RENEW;
    if (!strcmp(word(reply, 0), "gone") && p->known) {
        forget_known(p);
    }
    else if (p->fresh && apr_atoi64(word(reply, 1)) >= NOT_AWAY_MS) {
        p->patient = now;
    }
    p->fresh = 0;
    p->ndead = 0;
    strcpy(p->dead_cursor, "0");
    for (i = 2; i < reply->elements && p->ndead < DEAD; i++) {
        if (strlen(word(reply, i)) == NAME_LEN && strcmp(word(reply, i), p->name)) {
            strcpy(p->dead[p->ndead++], word(reply, i));
        }
    }
}

/* "TENANT USER ROOM", which is cut up. */
static void take_user(rs_presence_t *p, char *name, const char *count)
{
    char *user = strchr(name, ' '), *room = user ? strchr(user + 1, ' ') : NULL;

    if (room) {
        *user++ = *room++ = '\0';
        rs_roll_known(p->roll, name, user, rs_presence_room_named(room), atoi(count),
                      rs_clock_now());
    }
}

static void take_read(rs_presence_t *p, const redisReply *reply)
{
    const redisReply *found = reply->elements == 2 ? reply->element[1] : NULL;
    size_t i;

    if (!found || found->type != REDIS_REPLY_ARRAY) {
        refuse(p, "an answer that Redis does not give");
        p->hold = rs_clock_now() + AGAIN;
        return;
    }
    for (i = 0; i + 1 < found->elements; i += 2) {
        if (found->element[i]->type == REDIS_REPLY_STRING) {
            take_user(p, found->element[i]->str, word(found, i + 1));
        }
    }
    apr_cpystrn(p->cursor, word(reply, 0), sizeof(p->cursor));
    p->known = !strcmp(p->cursor, "0");
}

static void take_told(rs_presence_t *p, const redisReply *reply)
{
    char failed[BATCH] = {0};
    size_t k;
    int i;

    if (!strcmp(word(reply, 0), "gone")) {
        p->renew = 0;
        forget_known(p);
        return;
    }
    for (k = 2; k < reply->elements; k++) {
        long long nth = reply->element[k]->integer;

        if (reply->element[k]->type == REDIS_REPLY_INTEGER && nth > 0 && nth <= p->ntold) {
            failed[nth - 1] = 1;
        }
    }
    for (i = 0; i < p->ntold; i++) {
        if (failed[i]) {
            p->told[i].of->not_before = rs_clock_now() + AGAIN;
        }
        else {
            rs_roll_told(p->roll, p->told[i].of, p->told[i].count);
        }
    }
    if (*word(reply, 1)) {
        refuse(p, word(reply, 1));
    }
}

static void take_reaped(rs_presence_t *p, const redisReply *reply)
{
    apr_cpystrn(p->dead_cursor, word(reply, 1), sizeof(p->dead_cursor));
    if (*word(reply, 2)) {
        refuse(p, word(reply, 2));
    }
    if (!strcmp(p->dead_cursor, "0")) {
        p->ndead--;
    }
}

static void reply(rs_job_t *job, int n, redisReply **r, int last)
{
    rs_presence_t *p = (rs_presence_t *)job;
    const redisReply *said = *r;

    (void)n;
    (void)last;
    if (!p->roll || p->deposed) {
        return;
    }
    if (said->type != REDIS_REPLY_ARRAY || !said->elements) {
        refuse(p,
               said->type == REDIS_REPLY_ERROR ? said->str : "an answer that Redis does not give");
        p->hold = rs_clock_now() + AGAIN;
        return;
    }
    if (!strcmp(word(said, 0), "deposed")) {
        p->deposed = 1;
        return;
    }
    switch (p->step) {
    case RENEWS:
        take_renewed(p, said);
        break;
    case READS:
        take_read(p, said);
        break;
    case TELLS:
        take_told(p, said);
        break;
    case REAPS:
        take_reaped(p, said);
        break;
    case NOTHING:
        break;
    }
}

/* What was under way is asked for again; over another connection all of it is read first. */
static void over(rs_job_t *job) { (void)job; }

/* --- who speaks for the node --- */

static void step_down(rs_presence_t *p)
{
    rs_roll_free(p->roll);
    p->roll = NULL;
    p->deposed = 0;
}

static void step_up(rs_presence_t *p, const char *term)
{
    p->roll = rs_roll_create(registry_of(p), p->source->url->label);
    if (!p->roll) {
        return;
    }
    apr_cpystrn(p->term, term, sizeof(p->term));
    p->connects = rs_loader_connects(p->source->loader);
    p->renew = p->hold = 0;
    forget_known(p);
    rs_log(RS_LOG_INFO, 0, RSLOGNO(0524) "%s: this child tells which users node %s has",
           p->source->url->label, p->name);
}

static void look_who_leads(rs_presence_t *p)
{
    apr_uint32_t term;
    char text[SHORT_LEN] = "";

    if (rs_registry_lead(registry_of(p), p->source->presence_conf->generation, &term)) {
        apr_snprintf(text, sizeof(text), "%u", (unsigned)term);
    }
    if (p->roll && (p->deposed || strcmp(text, p->term))) {
        p->deposed = 1;
        if (p->job.queue) {
            return; /* it is looked for again */
        }
        step_down(p);
    }
    if (!p->roll && *text) {
        step_up(p, text);
    }
}

static int is_due(rs_presence_t *p, apr_time_t now)
{
    int count;

    return now >= p->hold
           && (now >= p->renew || !p->known || p->ndead
               || rs_roll_next(p->roll, NULL, now, &count) != NULL);
}

apr_time_t rs_presence_turn(rs_source_t *source, apr_time_t now)
{
    rs_presence_t *p = source->presence;

    if (!p) {
        return NEVER;
    }
    if (now < p->next) {
        return p->next;
    }
    p->next = now + TICK;
    look_who_leads(p);
    if (p->roll && !p->deposed) {
        int all = rs_roll_call(p->roll, now);

        p->next = all ? p->next : now + MORE;
        /* Not while it runs: who is being told of may not be forgotten. */
        if (all && !p->job.queue && is_due(p, now)) {
            rs_loader_post(source->loader, &p->queue, &p->job);
        }
    }
    return p->next;
}

apr_status_t rs_presence_open(rs_source_t *source, apr_pool_t *pool)
{
    rs_presence_t *p;

    if (!source->presence_conf || !source->topics->common->registry) {
        return APR_SUCCESS;
    }
    p = apr_pcalloc(pool, sizeof(*p));
    p->source = source;
    p->nargs = rs_presence_args(&p->args, pool, source->presence_conf);
    apr_snprintf(p->name, sizeof(p->name), "%s-%08x", rs_registry_node(registry_of(p)),
                 (unsigned)rs_presence_room(source->url->label));
    apr_snprintf(p->key, sizeof(p->key), RS_OWN_PRESENCE_NODE "%s", p->name);
    p->job.tells = 1;
    p->job.ask = ask;
    p->job.reply = reply;
    p->job.over = over;
    p->job.down = over;
    source->presence = p;
    return APR_SUCCESS;
}

void rs_presence_close(rs_source_t *source)
{
    rs_presence_t *p = source->presence;

    if (p) {
        step_down(p);
        rs_registry_resign(registry_of(p));
        source->presence = NULL;
    }
}
