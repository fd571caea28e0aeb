/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is there, as Redis has it, in scripts: what a node says is counted and told in one piece, so
 * that two nodes can never both say that a user came, or that nobody did.
 *
 *     ragline:presence:nodes         a sorted set: NODE, until when it is believed (ms)
 *     ragline:presence:node:NODE     a hash: "TENANT USER ROOM" to how many connections; and
 *                                    `term`, of the process that speaks for the node
 *     ragline:presence:users:TENANT  a sorted set by name: "USER NODE ROOM CONNECTIONS"
 *
 * A ROOM is where users are counted together: the stream that is told of them, or "-". Names have
 * no spaces, and each character in one comes after a space: so a user's own stand together.
 * Functions on commands; any thread.
 */
#ifndef RS_PRESENCE_SCRIPT_H
#define RS_PRESENCE_SCRIPT_H

#include "../proto/rs_own_keys.h"
#include "../base/rs_base.h"

/* Without a stream; as a number, and as a name in Redis. */
#define RS_ROOM_NO_STREAM ((apr_uint64_t)1)
#define RS_ROOM_LEN 17

/* A stream that is told of users, as RaglineStream has it. */
typedef struct {
    const char *key; /* with {tenant} */
    const char *tenant_field, *tenant_literal, *type_field, *data_field;
    apr_int64_t maxlen, maxage, idle; /* milliseconds; 0: none */
} rs_presence_stream_t;

/* What a child has to know to speak for its node. Constant. */
typedef struct rs_presence_conf_t {
    int generation;
    int nstreams;
    const rs_presence_stream_t *streams;
} rs_presence_conf_t;

/* The room of the stream with this key. */
apr_uint64_t rs_presence_room(const char *key);

/* Its name in Redis, and back; 0: it is none. */
const char *rs_presence_room_name(char out[RS_ROOM_LEN], apr_uint64_t room);
apr_uint64_t rs_presence_room_named(const char *name);

/* The streams as arguments: how many, and each of them. In `p`. Returns how many arguments. */
int rs_presence_args(const char ***args, apr_pool_t *p, const rs_presence_conf_t *conf);

/* 2 ragline:presence:nodes ragline:presence:node:NODE  NODE TERM LEASE
 * The node is believed for LEASE milliseconds from now. Answers "ok"; "gone" if it was not any
 * more, and others may have begun to say that its users left; "deposed": another process speaks for
 * it since. Then for how many more milliseconds it was believed anyway, and who is not any more. */
extern const char rs_presence_renew[];

/* 2 the same  NODE TERM ragline:presence:users: STREAMS…  TENANT USER ROOM CONNECTIONS …
 * CONNECTIONS "": it is not there. Answers one of those words, what was refused, and the numbers
 * (from 1) of those that were not done for that. */
extern const char rs_presence_change[];

/* 2 ragline:presence:nodes ragline:presence:node:DEAD  DEAD ragline:presence:users: CURSOR STREAMS…
 * Takes out some of who was at a node that is not believed any more. Answers "ok", the next cursor
 * ("0": that was all), and what was refused. */
extern const char rs_presence_reap[];

/* 2 ragline:presence:nodes ragline:presence:users:TENANT  AFTER LIMIT
 * The tenant's users in their order, from the one after AFTER on ("": the first). Answers the user
 * after whom it goes on ("": there are no more), then each user and its connections. */
extern const char rs_presence_list[];

#endif
