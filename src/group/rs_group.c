/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups are opened and written by one job of the source's loader, many in a round: a script call
 * for up to BATCH groups of a key that all tenants share, one for each key that is a tenant's own.
 * The hub's thread.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_log.h"
#include "../proto/rs_template.h"
#include "../redis/rs_redis_conn.h"
#include "rs_group.h"
#include "../log/rs_profile.h"
#include "../log/rs_source.h"
#include "../log/rs_tenants.h"

#define BATCH 200
#define TELL_AGAIN apr_time_from_sec(60)
#define GIVE_UP 20 /* attempts, a second apart, once the last client has gone */

/* A source's job. */
typedef struct rs_groups_t {
    rs_job_t job; /* first */
    rs_queue_t queue;
    rs_source_t *source;
    rs_group_t *due;
    apr_time_t told; /* when it was logged that Redis refuses */
    /* Of this round: groups of one set of streams. */
    rs_group_t *group[BATCH];
    rs_cursor_t to[BATCH]; /* where they are moved; n = 0: only opened, there if they are new */
    int n;
} rs_groups_t;

/* --- the job --- */

/* One call for n of the round's groups, and one of their streams. */
static void ask(rs_groups_t *all, int first, int n, int k)
{
    const rs_key_t *key = all->group[first]->accepted.topic->key[k];
    char hash[RS_GROUP_HASH_LEN], id[BATCH][RS_ID_LEN + 1], entries[BATCH][24];
    const char *argv[5 + 3 * BATCH] = {"EVAL", rs_group_script, "2", key->name,
                                       rs_group_hash(hash, key->name)};
    int i, argc = 5;

    for (i = 0; i < n; i++) {
        const rs_cursor_t *to = &all->to[first + i];
        int opens = !to->n;

        entries[i][0] = '\0';
        id[i][0] = '=';
        rs_id_format(id[i] + opens, to->pos[k]);
        /* How many entries that are is known only where the hub stands. */
        if (key->now.added >= 0 && rs_id_cmp(to->pos[k], key->now.at) == 0) {
            apr_snprintf(entries[i], sizeof(entries[i]), "%" APR_INT64_T_FMT,
                         (apr_int64_t)key->now.added);
        }
        argv[argc++] = all->group[first + i]->name;
        argv[argc++] = id[i];
        argv[argc++] = entries[i];
    }
    rs_loader_ask(all->source->loader, argc, argv);
}

/* Whether everything that came for the tenant was accepted, of what its keys hold now: who stands
 * at what they held before has to be told. With the topic's lock held. */
static int has_all(const rs_group_t *group)
{
    const rs_topic_t *topic = group->accepted.topic;
    int k;

    for (k = 0; k < topic->nstreams; k++) {
        if (rs_known_is_lost(&topic->key[k]->now, group->accepted.at.pos[k])) {
            return 0;
        }
    }
    return rs_accepted_has_all(&group->accepted);
}

/* Where the group is to be moved: to what was accepted, or, if nothing has come for the tenant
 * since then, to where the hub has read. */
static void set_target(rs_group_t *group, rs_cursor_t *to)
{
    rs_topic_t *topic = group->accepted.topic;
    int k, all;

    pthread_mutex_lock(&topic->lock);
    *to = group->accepted.at;
    to->n = group->accepted.moved && group->opened ? topic->nstreams : 0;
    group->accepted.moved = group->accepted.unknown = 0;
    all = has_all(group);
    pthread_mutex_unlock(&topic->lock);
    for (k = 0; !group->opened && k < topic->nstreams; k++) {
        to->pos[k] = topic->key[k]->now.at; /* where it begins, if it is new */
    }
    for (k = 0; all && k < to->n; k++) {
        if (rs_id_cmp(topic->key[k]->now.at, to->pos[k]) > 0) {
            to->pos[k] = topic->key[k]->now.at;
        }
    }
}

/* The next one that is due, of this set of streams (0: of any). */
static rs_group_t *take_due(rs_groups_t *all, apr_uint64_t streams)
{
    rs_group_t **link, *group;

    for (link = &all->due; *link && streams && (*link)->accepted.topic->streams != streams;
         link = &(*link)->next_due) {
    }
    group = *link;
    if (group) {
        *link = group->next_due;
        group->due = 0;
    }
    return group;
}

/* One round; those that are due after that are another job. */
static void ask_round(rs_job_t *job)
{
    rs_groups_t *all = (rs_groups_t *)job;
    const rs_topic_t *topic;
    rs_group_t *group;
    int i, k;

    if (job->round) {
        return;
    }
    all->n = 0;
    while (all->n < BATCH
           && (group = take_due(all, all->n ? all->group[0]->accepted.topic->streams : 0))) {
        group->state = RS_GROUP_NEW;
        group->refused = 0;
        set_target(group, &all->to[all->n]);
        all->group[all->n++] = group;
    }
    if (!all->n) {
        return;
    }
    topic = all->group[0]->accepted.topic;
    for (i = 0; rs_topic_is_own(topic) && i < all->n; i++) {
        for (k = 0; k < topic->nstreams; k++) {
            ask(all, i, 1, k);
        }
    }
    for (k = 0; !rs_topic_is_own(topic) && k < topic->nstreams; k++) {
        ask(all, 0, all->n, k);
    }
}

/* was: where it stood when Redis was asked, if it was opened before. */
static void note(rs_group_t *group, int k, rs_id_t was, rs_id_t id, rs_group_state_t state)
{
    rs_topic_t *topic = group->accepted.topic;

    /* Redis has lost it, not we: it goes on from where it was. */
    if (group->opened && state == RS_GROUP_NEW) {
        state = rs_id_cmp(id, was) < 0 ? RS_GROUP_AHEAD : RS_GROUP_OLD;
        id = was;
    }
    group->at.pos[k] = id;
    /* New only if it is that in all of its streams: one of them may have been added. */
    if (state == RS_GROUP_AHEAD || group->state == RS_GROUP_NEW) {
        group->state = state;
    }
    pthread_mutex_lock(&topic->lock);
    if (state == RS_GROUP_AHEAD) {
        /* The stream is not what it was. Who starts here is told so; from then on the group is
         * where the hub reads. */
        if (group->clients) {
            group->accepted.at.pos[k] = topic->key[k]->now.at;
            group->accepted.moved = 1;
        }
        group->accepted.from.n = 0;
    }
    else if (rs_id_cmp(id, group->accepted.at.pos[k]) > 0) {
        group->accepted.at.pos[k] = id; /* another process has moved it */
    }
    rs_accepted_learnt(&group->accepted);
    pthread_mutex_unlock(&topic->lock);
}

/* One tenant's key may be the only one that is not what it should be. */
static void refuse(rs_groups_t *all, const rs_key_t *key, const redisReply *reply)
{
    char word[RS_REDIS_CLASS_LEN] = "";
    apr_time_t now = all->source->topics->now;

    if (reply->type == REDIS_REPLY_ERROR) {
        rs_redis_error_class(word, reply);
    }
    if (!all->told || now >= all->told + TELL_AGAIN) {
        all->told = now;
        rs_log(
            RS_LOG_ERR, 0,
            RSLOGNO(0521) "%s: positions of consumer groups of %s cannot be written (%s): clients "
                          "that start at one are sent away until they can; a Redis user needs "
                          "+eval, +xgroup, +xinfo, +hget, +hset and the keys ragline:groups:*",
            all->source->url->label, key->name, *word ? word : "unexpected answer");
    }
}

static void reply(rs_job_t *job, int n, redisReply **r, int last)
{
    rs_groups_t *all = (rs_groups_t *)job;
    const rs_topic_t *topic = all->group[0]->accepted.topic;
    int own = rs_topic_is_own(topic), k = own ? n % topic->nstreams : n;
    int first = own ? n / topic->nstreams : 0, count = own ? 1 : all->n, i;
    rs_group_state_t state;
    rs_id_t id;

    (void)last;
    for (i = 0; i < count && rs_group_parse(*r, i, &id, &state); i++) {
        note(all->group[first + i], k, all->to[first + i].pos[k], id, state);
    }
    if (i < count) {
        refuse(all, all->group[first]->accepted.topic->key[k], *r);
    }
    for (; i < count; i++) {
        all->group[first + i]->refused = 1;
    }
}

/* What cannot be written stays to be written, but not for ever: a topic is not kept for that. */
static void keep_due(rs_group_t *group, const rs_cursor_t *to, int failed)
{
    if (!failed) {
        group->failures = 0;
        group->opened = 1;
    }
    else if (to->n && (group->clients || ++group->failures < GIVE_UP)) {
        pthread_mutex_lock(&group->accepted.topic->lock);
        group->accepted.moved = 1;
        pthread_mutex_unlock(&group->accepted.topic->lock);
    }
}

static void settle(rs_groups_t *all, rs_group_t *group, const rs_cursor_t *to, int failed)
{
    rs_topic_t *topic = group->accepted.topic;
    const rs_hub_calls_t *calls = all->source->topics->calls;
    rs_client_t *client;

    keep_due(group, to, failed);
    while ((client = group->waiting)) {
        group->waiting = (rs_client_t *)client->msg.next;
        if (!*client->cursor) {
            client->resuming = group->state != RS_GROUP_NEW;
            client->resume->own = group->at;
        }
        if (group->state == RS_GROUP_NEW) {
            client->resume->from = group->at; /* the group begins with this client */
        }
        if (failed) {
            calls->refuse(client);
        }
        else {
            calls->place(client);
        }
    }
    topic->uses--;
}

static void finish(rs_groups_t *all, int failed)
{
    int i, n = all->n;

    all->n = 0;
    for (i = 0; i < n; i++) {
        settle(all, all->group[i], &all->to[i], failed || all->group[i]->refused);
    }
    if (all->due) {
        rs_loader_post(all->source->loader, &all->queue, &all->job);
    }
}

static void over(rs_job_t *job) { finish((rs_groups_t *)job, 0); }

/* Also those whose turn had not come: Redis does not answer. */
static void down(rs_job_t *job)
{
    rs_groups_t *all = (rs_groups_t *)job;
    rs_group_t *group;
    rs_cursor_t none;

    none.n = 0;
    finish(all, 1);
    while ((group = take_due(all, 0))) {
        settle(all, group, &none, 1);
    }
}

static rs_groups_t *groups_of(rs_source_t *source)
{
    rs_groups_t *all = source->groups;

    if (!all && (all = calloc(1, sizeof(*all)))) {
        all->source = source;
        all->job.ask = ask_round;
        all->job.reply = reply;
        all->job.over = over;
        all->job.down = down;
        source->groups = all;
    }
    return all;
}

/* In the source's list it keeps its topic alive. */
static void make_due(rs_group_t *group)
{
    rs_groups_t *all = group->accepted.topic->source->groups;

    if (!group->due) {
        group->due = 1;
        group->next_due = all->due;
        all->due = group;
        group->accepted.topic->uses++;
        rs_loader_post(all->source->loader, &all->queue, &all->job);
    }
}

/* --- what the hub calls --- */

static rs_group_t *create(rs_topic_t *topic, const rs_profile_t *profile)
{
    const char *tenant = topic->owner->name;
    size_t len = rs_template_fill_group(NULL, profile->group, tenant);
    rs_group_t *group = calloc(1, sizeof(*group) + len + 1);

    if (group) {
        group->accepted.topic = topic;
        group->pattern = profile->group;
        rs_template_fill_group((char *)(group + 1), profile->group, tenant);
        group->name = (char *)(group + 1);
        group->at.n = group->accepted.at.n = topic->nstreams;
        group->at.tags = group->accepted.at.tags = &topic->tags;
        group->next = topic->groups;
        topic->groups = group;
    }
    return group;
}

int rs_group_join(rs_client_t *client)
{
    const rs_profile_t *profile = client->profile;
    rs_group_t *group;

    if (!profile->group || profile->shared) {
        return 1;
    }
    if (!groups_of(client->topic->source)) {
        return 0;
    }
    for (group = client->topic->groups; group && strcmp(group->pattern, profile->group) != 0;
         group = group->next) {
    }
    if (!group && !(group = create(client->topic, profile))) {
        return 0;
    }
    client->accepted = &group->accepted;
    group->clients++;
    return 1;
}

void rs_group_leave(rs_client_t *client)
{
    static const rs_id_t none;
    rs_group_t *group = rs_group_of(client);
    int k;

    if (group && --group->clients == 0) {
        /* It is written once more: for a tenant that was quiet on a busy stream that is where the
         * hub has read. */
        pthread_mutex_lock(&group->accepted.topic->lock);
        for (k = 0; k < group->accepted.topic->nstreams; k++) {
            group->accepted.moved |= rs_id_cmp(group->accepted.at.pos[k], none) > 0;
        }
        pthread_mutex_unlock(&group->accepted.topic->lock);
    }
}

/* Whether others get what comes. Those that are counted may be stuck, lingering or waiting. */
static int served(rs_group_t *group)
{
    int all = 0;

    if (group->opened && group->clients > 1) {
        pthread_mutex_lock(&group->accepted.topic->lock);
        all = has_all(group);
        pthread_mutex_unlock(&group->accepted.topic->lock);
    }
    return all;
}

int rs_group_start(rs_client_t *client)
{
    rs_group_t *group = rs_group_of(client);

    if (!group || (*client->cursor && group->opened) || (!*client->cursor && served(group))) {
        return 0;
    }
    client->msg.next = (rs_msg_t *)group->waiting;
    group->waiting = client;
    make_due(group);
    return 1;
}

/* Where it came from: without an id from where the group was. */
static void came_from(const rs_client_t *client, const rs_group_t *group, rs_cursor_t *came)
{
    *came = client->resume->own;
    if (*client->cursor) {
        (void)rs_cursor_parse(came, client->cursor, strlen(client->cursor));
    }
    else {
        memcpy(came->pos, group->accepted.at.pos, sizeof(came->pos));
    }
}

void rs_group_set_from(rs_client_t *client)
{
    rs_group_t *group = rs_group_of(client);
    rs_cursor_t *from = &client->resume->from, came;
    rs_topic_t *topic = client->topic;
    int k, all;

    if (!group || from->n) {
        return;
    }
    *from = client->resume->own;
    pthread_mutex_lock(&topic->lock);
    all = has_all(group);
    for (k = 0; all && k < from->n; k++) {
        /* What was not read yet nobody may have had, up to where it came from further on. */
        if (rs_id_cmp(from->pos[k], topic->key[k]->now.at) <= 0) {
            from->pos[k] = group->accepted.at.pos[k];
        }
    }
    came_from(client, group, &came);
    pthread_mutex_unlock(&topic->lock);
    /* What it was told to be missing is missing for all. */
    for (k = 0; k < from->n; k++) {
        rs_id_lower(&from->pos[k], came.pos[k]);
    }
}

void rs_group_sweep(rs_topic_t *topic)
{
    rs_group_t *group;

    for (group = topic->groups; group; group = group->next) {
        int due;

        pthread_mutex_lock(&topic->lock);
        due = group->accepted.moved || group->accepted.unknown;
        pthread_mutex_unlock(&topic->lock);
        if (due) {
            make_due(group);
        }
    }
}

void rs_group_broken(rs_topic_t *topic)
{
    rs_group_t *group;

    pthread_mutex_lock(&topic->lock);
    for (group = topic->groups; group; group = group->next) {
        /* That is of what it was. Who is told takes the group along; where nobody is, the next one
         * has to be. */
        group->accepted.from.n = 0;
    }
    pthread_mutex_unlock(&topic->lock);
}

void rs_group_forget(rs_topic_t *topic)
{
    rs_group_t *group;

    while ((group = topic->groups)) {
        topic->groups = group->next;
        free(group);
    }
}

int rs_group_busy(const rs_source_t *source)
{
    return source->groups && (source->groups->due || source->groups->n);
}

void rs_group_close(rs_source_t *source)
{
    free(source->groups);
    source->groups = NULL;
}
