/* SPDX-License-Identifier: Apache-2.0
 *
 * An endpoint as the engine knows it: a snapshot of what its section says, without anything of
 * httpd. Interned by content for the child's life: there are as many as the configuration has
 * different endpoints, however many requests come. Constant; any thread.
 */
#ifndef RS_PROFILE_H
#define RS_PROFILE_H

#include <pthread.h>

#include "../auth/rs_jwt.h"

struct rs_profile_t {
    rs_profile_t *next; /* in the table */
    rs_source_t *source;
    const rs_wire_t *wire;         /* how its clients are spoken to */
    apr_uint64_t streams;          /* a bit for each stream of the source */
    apr_interval_time_t heartbeat; /* 0: none */
    int heartbeat_style;           /* RS_HEARTBEAT_EVENT, ... */
    apr_interval_time_t retry;
    int user_only;
    int start_last; /* without a cursor: the newest so many; 0: only new ones, or: */
    apr_interval_time_t start_since; /* what is at most so old; 0: that does not matter */
    const char *group;               /* of tenants, with {tenant}; NULL: none */
    int shared;                      /* each event goes to one client of the tenant */
    apr_interval_time_t claim_after;
    int max_deliveries;
    int ack; /* so many events wait for the client's own word; 0: what its socket took, it has */
    apr_interval_time_t challenge;   /* so long before `exp` a new token is asked for; 0: not */
    apr_interval_time_t leeway;      /* of tokens: for so long they are good after that */
    apr_interval_time_t reauthorize; /* who was here for so long has to come anew; 0: for ever */
    int replay_limit;          /* entries of the stream that a replay may scan */
    int slow_disconnect;       /* a reader that falls off its topic is ended, not fetched for */
    apr_interval_time_t stall; /* one that takes nothing for so long is ended */
    /* Of a wire that understands its clients: */
    size_t max_heard;         /* a message of theirs */
    apr_interval_time_t ping; /* who is silent for so long is asked for a sign of life; 0: not */
    const rs_jwt_policy_t *tokens; /* what their tokens must be; NULL: they have none */
    const char *name;
    int npatterns; /* 0: every type */
    const char *const *patterns;
};

typedef struct {
    pthread_mutex_t lock;
    rs_profile_t *first; /* lock */
} rs_profiles_t;

void rs_profiles_open(rs_profiles_t *table);
void rs_profiles_close(rs_profiles_t *table);

/* The one profile equal to `wanted`, made if it is new; NULL when memory is short. */
const rs_profile_t *rs_profile_intern(rs_profiles_t *table, const rs_profile_t *wanted);

/* Whether events of this type are for the endpoint. */
int rs_profile_wants(const rs_profile_t *profile, const char *type, size_t len);

#endif
