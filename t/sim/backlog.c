/* SPDX-License-Identifier: Apache-2.0
 *
 * Of each group, from where on each entry has to be given to one of its clients.
 */
#include "model.h"

static struct {
    int open;
    int floor[SIM_PROFILE_KEYS];
    apr_time_t told_at;
    apr_time_t left_at;
    apr_time_t began_at[SIM_PROFILE_KEYS]; /* one of it came from 0-0, or nobody knew any more where
                                              it was: what was gone by then is of no stream that it
                                              knows */
} groups[SIM_PROFILES][SIM_TENANTS];

void sim_backlog_reset(void) { memset(groups, 0, sizeof(groups)); }

void sim_backlog_close(const sim_conn_t *c) { groups[c->profile][c->tenant].open = 0; }

/* Nothing tells an engine that something was trimmed before it read it: before Redis 7, or where it
 * looks like a queue that was worked off. Each of them moves the group, for all that come later. */
static int is_untellable(const sim_entry_t *e)
{
    return e->how == SIM_TRIMMED
           && (e->hidden & SIM_HIDDEN_ONCE
               || (sim_conf.redis6 && e->read_by != (1 << sim_conf.engines) - 1));
}

/* It went with its key, which the only engine has had, has looked at since, and can tell by what it
 * counts, unless the group stands where the key began anew. */
static int is_known_gone(const sim_conn_t *c, int k, const sim_entry_t *e, apr_time_t since)
{
    const sim_engine_t *engine = &sim_engines[c->engine];

    return sim_conf.engines == 1 && !sim_conf.redis6
           && rs_id_cmp(c->pos[k], engine->born[e->key]) != 0 && e->how == SIM_KEY_GONE
           && (e->counted_by & 1 << c->engine) && e->removed_at > since
           && engine->counted[e->key].epoch == sim_keys[e->key].epoch
           && !sim_count_hides(engine, e);
}

void sim_backlog_starts(sim_conn_t *c)
{
    int g = c->profile, k, i;

    sim_stats[SIM_S_GROUP_STARTS]++;
    for (k = 0; k < c->nkeys && groups[g][c->tenant].open; k++) {
        const sim_key_t *key = &sim_keys[c->key[k]];
        apr_time_t told_at = groups[g][c->tenant].told_at;
        apr_time_t began_at = groups[g][c->tenant].began_at[k];

        for (i = groups[g][c->tenant].floor[k]; i < c->next[k]; i++) {
            const sim_entry_t *e = &sim_entries[key->all[i]];

            if (e->tenant == c->tenant && !(e->accepted & 1 << g) && !is_untellable(e)
                && ((key->disturbed_at < 0
                     && (e->how == SIM_PRESENT
                         || (e->how == SIM_TRIMMED && e->removed_at > told_at)))
                    || is_known_gone(c, k, e, told_at > began_at ? told_at : began_at))) {
                sim_fail("group", "c%d at e%d: starts at %s, but %s %s (n %d) was given to nobody",
                         c->client, c->engine, sim_id_text(c->pos[k]), key->name,
                         sim_id_text(e->id), key->all[i]);
                return;
            }
        }
    }
}

void sim_backlog_leaves(const sim_conn_t *c)
{
    if (c->connected) {
        groups[c->profile][c->tenant].left_at = sim_now;
    }
}

/* A child knows where a group is for half a minute after its last client. */
static int is_remembered(int g, int tenant)
{
    int i;

    for (i = 0; i < sim_conns_used; i++) {
        const sim_conn_t *c = &sim_conns[i];

        if (c->used && !c->closed && c->connected && c->profile == g && c->tenant == tenant) {
            return 1;
        }
    }
    return groups[g][tenant].left_at >= sim_now - SEC(29);
}

void sim_backlog_anew(int k, const char *name)
{
    char of[SIM_GROUP_LEN];
    int key[SIM_PROFILE_KEYS], g, tenant, i;

    for (g = 0; g < SIM_PROFILES; g++) {
        for (tenant = 0; tenant < SIM_TENANTS; tenant++) {
            sim_group_name(of, g, tenant);
            if (strcmp(of, name) != 0 || is_remembered(g, tenant)) {
                continue;
            }
            for (i = sim_profile_keys(g, tenant, key) - 1; i >= 0; i--) {
                if (key[i] == k) {
                    groups[g][tenant].began_at[i] = sim_now;
                }
            }
        }
    }
}

/* Who stands there has had what is before, in the group's name. */
void sim_backlog_raise(const sim_conn_t *c)
{
    int k;

    if (!sim_conf.pgroup[c->profile]) {
        return;
    }
    for (k = 0; k < c->nkeys; k++) {
        int *level = &groups[c->profile][c->tenant].floor[k];

        if (!groups[c->profile][c->tenant].open) {
            /* It begins where the engine has read; what an older id brings is for that client. */
            *level = sim_index_above(c->key[k], sim_engines[c->engine].max_seen[c->key[k]]);
        }
        if (*level < c->next[k]) {
            *level = c->next[k];
        }
    }
    groups[c->profile][c->tenant].open = 1;
}

/* One that comes from further on than its group has not had what is in between. */
void sim_backlog_brings(const sim_conn_t *c)
{
    static const rs_id_t none;
    int k;

    if (c->leads || !groups[c->profile][c->tenant].open) {
        sim_backlog_raise(c);
    }
    for (k = 0; k < c->nkeys; k++) {
        if (rs_id_cmp(c->pos[k], none) == 0) {
            groups[c->profile][c->tenant].began_at[k] = sim_now;
        }
    }
}

/* Told of what is missing: whatever the group has not had up to here is settled. */
void sim_backlog_settles(const sim_conn_t *c)
{
    groups[c->profile][c->tenant].told_at = c->told_at;
    sim_backlog_raise(c);
}

/* An id that is none is as good as none, and stays the reason where older ones were trimmed or went
 * with their key, or its limit leaves them out. */
void sim_backlog_unknown(const sim_conn_t *c)
{
    int k, i, n = 0, gone = 0;

    for (k = 0; k < c->nkeys; k++) {
        const sim_key_t *key = &sim_keys[c->key[k]];

        for (i = groups[c->profile][c->tenant].floor[k]; i < key->nall; i++, n++) {
            const sim_entry_t *e = &sim_entries[key->all[i]];

            gone |= e->how == SIM_TRIMMED || e->how == SIM_KEY_GONE;
        }
    }
    if (gone || n > sim_conf.plimit[c->profile]) {
        sim_backlog_settles(c);
    }
}

/* One that brings no id begins where the group is. */
void sim_backlog_comes(sim_conn_t *c)
{
    rs_id_t at = {0, 0};
    int k;

    c->leads = sim_conf.pgroup[c->profile];
    for (k = 0; c->leads && c->brought == SIM_ID && k < c->nkeys; k++) {
        c->leads = sim_group_position(&sim_keys[c->key[k]], c->profile, c->tenant, &at)
                   && rs_id_cmp(c->hold.pos[k], at) <= 0;
    }
}

/* What was gone before it was read moves nothing. */
static int is_had(const sim_conn_t *c, const sim_entry_t *e)
{
    return e->tenant == c->tenant && (e->how == SIM_PRESENT || e->accepted & 1 << c->profile);
}

/* It takes the group along, also over what it was told to be missing; unless one of the keys is not
 * what a group can be made of, which its engine waits for. */
void sim_backlog_follows(const sim_conn_t *c)
{
    int k, i;

    if (sim_was_string_since(c, c->submit_at)) {
        return;
    }
    for (k = 0; c->leads && k < c->nkeys; k++) {
        const sim_key_t *key = &sim_keys[c->key[k]];
        rs_id_t at = {0, 0};

        for (i = c->next[k] - 1; i >= 0 && !is_had(c, &sim_entries[key->all[i]]); i--) {
        }
        if (i < 0 || key->disturbed_at >= 0
            || !sim_group_position(key, c->profile, c->tenant, &at)) {
            continue;
        }
        if (rs_id_cmp(at, sim_entries[key->all[i]].id) < 0) {
            sim_fail("stuck", "c%d at e%d: has %s of %s, its group is at %s", c->client, c->engine,
                     sim_id_text(sim_entries[key->all[i]].id), key->name, sim_id_text(at));
            return;
        }
    }
}
