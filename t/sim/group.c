/* SPDX-License-Identifier: Apache-2.0
 *
 * What the script of rs_group_script.c does, in C.
 */
#include <stdlib.h>

#include "redis/rs_group_script.h"
#include "sim.h"

static sim_group_t *group_of(sim_key_t *key, const char *name)
{
    int i;

    for (i = 0; i < key->ngroups && strcmp(key->groups[i].name, name) != 0; i++) {
    }
    if (i == (int)RS_ARRAY_LEN(key->groups)) {
        sim_fail("sim", "one group too many: %s", name);
        return &key->groups[0];
    }
    if (i == key->ngroups) {
        memset(&key->groups[i], 0, sizeof(key->groups[i]));
        snprintf(key->groups[i].name, sizeof(key->groups[i].name), "%s", name);
        key->ngroups++;
    }
    return &key->groups[i];
}

static void keep(sim_group_t *g, rs_id_t id, const char *entries)
{
    char text[RS_ID_LEN];

    rs_id_format(text, id);
    text[RS_ID_LEN - 1] = '\0';
    snprintf(g->position, sizeof(g->position), "%.41s %.20s", text, entries);
}

static int position(const sim_group_t *g, rs_id_t *id)
{
    const char *space = strchr(g->position, ' ');

    return space && rs_id_parse(id, g->position, (size_t)(space - g->position));
}

void sim_group_name(char name[SIM_GROUP_LEN], int profile, int tenant)
{
    snprintf(name, SIM_GROUP_LEN, "ragline-p%d-%s", profile, sim_tenant(tenant));
}

int sim_group_position(const sim_key_t *key, int profile, int tenant, rs_id_t *id)
{
    char name[SIM_GROUP_LEN];
    int i;

    sim_group_name(name, profile, tenant);
    for (i = 0; i < key->ngroups && strcmp(key->groups[i].name, name) != 0; i++) {
    }
    return i < key->ngroups && position(&key->groups[i], id);
}

static const char *one(sim_key_t *key, const char *name, const char *to, const char *entries,
                       rs_id_t *at)
{
    sim_group_t *g = group_of(key, name);
    rs_id_t top = key->s.last, id;
    const char *state = "";
    char added[24];

    if (!position(g, at)) {
        *at = g->exists ? g->at : top;
        state = g->exists ? "" : "new";
        snprintf(added, sizeof(added), "%lld", key->s.added);
        keep(g, *at, g->exists ? "" : added);
        if (!g->exists) {
            g->exists = 1;
            g->at = top;
            key->s.exists = 1;
            sim_backlog_anew((int)(key - sim_keys), name);
        }
    }
    if (rs_id_cmp(top, *at) < 0) {
        state = "ahead";
    }
    if (*to == '=') {
        if (strcmp(state, "new") == 0 && rs_id_parse(&id, to + 1, strlen(to + 1))
            && rs_id_cmp(top, id) >= 0) {
            g->at = *at = id;
            keep(g, id, entries);
        }
    }
    else if (*to && rs_id_parse(&id, to, strlen(to))) {
        if (rs_id_cmp(top, id) < 0) {
            *at = id;
            state = "ahead";
        }
        else if (*state || rs_id_cmp(*at, id) < 0) {
            g->at = id;
            g->exists = key->s.exists = 1;
            keep(g, id, entries);
            *at = id;
            state = "";
        }
    }
    return state;
}

redisReply *sim_group_eval(const sim_cmd_t *cmd)
{
    int k = sim_redis_key(cmd->argv[3]), i, n = 0;
    sim_key_t *key = &sim_keys[k < 0 ? 0 : k];
    redisReply *r;

    if (k < 0 || sim_redis_hash(cmd->argv[4]) != k) {
        sim_fail("sim", "a script call for %s %s", cmd->argv[3], cmd->argv[4]);
        return sim_reply_error("ERR");
    }
    if (key->hash_is_string || key->is_string) {
        return sim_reply_error("WRONGTYPE Operation against a key holding the wrong kind of value "
                               "script: x, on @user_script:1.");
    }
    r = sim_reply_array((size_t)((cmd->argc - 5) / 3 * 2));
    for (i = 5; i + 2 < cmd->argc; i += 3) {
        rs_id_t at;
        const char *state = one(key, cmd->argv[i], cmd->argv[i + 1], cmd->argv[i + 2], &at);

        r->element[n++] = sim_reply_id(at);
        r->element[n++] = sim_reply_text(REDIS_REPLY_STRING, state, strlen(state));
    }
    return r;
}
