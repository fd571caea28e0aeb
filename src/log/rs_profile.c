/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of endpoints. Workers intern, everybody reads.
 */
#include <stdlib.h>
#include <string.h>

#include "../base/rs_name.h"
#include "rs_profile.h"

void rs_profiles_open(rs_profiles_t *table)
{
    pthread_mutex_init(&table->lock, NULL);
    table->first = NULL;
}

void rs_profiles_close(rs_profiles_t *table)
{
    rs_profile_t *profile, *next;

    for (profile = table->first; profile; profile = next) {
        next = profile->next;
        free(profile);
    }
    pthread_mutex_destroy(&table->lock);
}

static int same(const rs_profile_t *a, const rs_profile_t *b)
{
    int i;

    if (a->source != b->source || a->wire != b->wire || a->streams != b->streams
        || a->heartbeat != b->heartbeat || a->heartbeat_style != b->heartbeat_style
        || a->retry != b->retry || a->user_only != b->user_only || a->start_last != b->start_last
        || a->start_since != b->start_since || a->replay_limit != b->replay_limit
        || a->npatterns != b->npatterns || a->slow_disconnect != b->slow_disconnect
        || a->stall != b->stall || a->shared != b->shared || a->claim_after != b->claim_after
        || a->max_deliveries != b->max_deliveries || a->ack != b->ack
        || a->challenge != b->challenge || a->leeway != b->leeway
        || a->reauthorize != b->reauthorize || a->max_heard != b->max_heard || a->ping != b->ping
        || !rs_same_text(a->group, b->group) || strcmp(a->name, b->name) != 0
        || !rs_jwt_policy_same(a->tokens, b->tokens)) {
        return 0;
    }
    for (i = 0; i < a->npatterns; i++) {
        if (strcmp(a->patterns[i], b->patterns[i]) != 0) {
            return 0;
        }
    }
    return 1;
}

static char *put(char **to, const char *text)
{
    char *start = *to;
    size_t n = strlen(text) + 1;

    memcpy(start, text, n);
    *to += n;
    return start;
}

static rs_profile_t *copy(const rs_profile_t *from)
{
    size_t tokens = from->tokens ? APR_ALIGN_DEFAULT(rs_jwt_policy_size(from->tokens)) : 0;
    size_t size =
        sizeof(*from) + tokens + (size_t)from->npatterns * sizeof(char *) + strlen(from->name) + 1;
    const char **patterns;
    rs_profile_t *profile;
    char *text;
    int i;

    size += from->group ? strlen(from->group) + 1 : 0;
    for (i = 0; i < from->npatterns; i++) {
        size += strlen(from->patterns[i]) + 1;
    }
    profile = malloc(size);
    if (!profile) {
        return NULL;
    }
    *profile = *from;
    if (tokens) {
        profile->tokens = rs_jwt_policy_put(profile + 1, from->tokens);
    }
    patterns = (const char **)((char *)(profile + 1) + tokens);
    text = (char *)(patterns + from->npatterns);
    profile->patterns = patterns;
    profile->name = put(&text, from->name);
    profile->group = from->group ? put(&text, from->group) : NULL;
    for (i = 0; i < from->npatterns; i++) {
        patterns[i] = put(&text, from->patterns[i]);
    }
    return profile;
}

const rs_profile_t *rs_profile_intern(rs_profiles_t *table, const rs_profile_t *wanted)
{
    rs_profile_t *profile;

    pthread_mutex_lock(&table->lock);
    for (profile = table->first; profile && !same(profile, wanted); profile = profile->next) {
    }
    if (!profile && (profile = copy(wanted))) {
        profile->next = table->first;
        table->first = profile;
    }
    pthread_mutex_unlock(&table->lock);
    return profile;
}

int rs_profile_wants(const rs_profile_t *profile, const char *type, size_t len)
{
    int i;

    if (len == 0) {
        return 1; /* of no entry: a notice that some are missing */
    }
    for (i = 0; i < profile->npatterns; i++) {
        if (rs_pattern_match(profile->patterns[i], type, len)) {
            return 1;
        }
    }
    return profile->npatterns == 0;
}
