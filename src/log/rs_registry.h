/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is connected to this node: a record of each open connection of every child, in memory that
 * all children share. A child writes in its own place only, everybody reads all of them, and nobody
 * waits for anybody. The place of a child that died counts for nothing, once its parent or anybody
 * else has seen that. A place has room for all that a child may have, so it is never full. A
 * child's own threads have a lock for coming and going, which no event comes by.
 */
#ifndef RS_REGISTRY_H
#define RS_REGISTRY_H

#include <sys/socket.h>
#include <sys/types.h>

#include "../base/rs_base.h"
#include "../proto/rs_connection_id.h"

typedef struct rs_registry_t rs_registry_t;

/* How a connection is spoken to. */
enum { RS_VIA_SSE, RS_VIA_NDJSON, RS_VIA_POLL, RS_VIA_WEBSOCKET, RS_VIA_GATEWAY, RS_VIAS };
extern const char *const rs_via_names[RS_VIAS];

#define RS_REMOTE_LEN 46   /* an address as text */
#define RS_RECORD_TEXT 264 /* three names and the position */
#define RS_NO_SEAT (-1)    /* of a connection that is in no registry */

/* --- the parent --- */

/* Once the configuration is read: for so many children with so many connections each. Made once in
 * `p`, which is the process's, and kept over restarts: children of an older configuration that are
 * still there stay where they are. */
apr_status_t rs_registry_open(rs_registry_t **registry, apr_pool_t *p, int children,
                              int connections);

/* For tests: in httpd it lives as long as the process, longer than the module's code stays in one
 * place, so no pool has a cleanup for it. */
void rs_registry_close(rs_registry_t *registry);

/* A child is gone. */
void rs_registry_gone(rs_registry_t *registry, pid_t pid);

/* --- a child --- */

/* Takes a place: 1. 0: there is none left, what this child has only it knows itself; -1: and there
 * is no memory for that. Before threads. */
int rs_registry_claim(rs_registry_t *registry);

/* Who comes, and how many of that tenant and of that user there may be on this node; 0: any number.
 * The tenants of one `realm` (which Redis they are of) are others than those of another. user "":
 * nobody, of whom there may be any number. */
typedef struct {
    const char *realm, *tenant, *user, *profile;
    const char *jti;   /* of its token; NULL: none */
    apr_uint64_t room; /* where it is counted among the users who are there; 0: it is not, */
    int waits;         /* and not before rs_registry_let_in() */
    int via;
    const struct sockaddr *address; /* NULL: not known */
    unsigned tenant_max, user_max;
} rs_arrival_t;

typedef enum { RS_ENTERED, RS_ENTER_TENANT_FULL, RS_ENTER_USER_FULL, RS_ENTER_FAILED } rs_enter_t;

/* First counted, then looked: two children at once may both refuse, but never both let in. Any
 * thread. */
rs_enter_t rs_registry_enter(rs_registry_t *registry, const rs_arrival_t *who, int *seat);

/* It is there. Whoever owns the connection; RS_NO_SEAT is nobody. */
void rs_registry_let_in(rs_registry_t *registry, int seat);

/* What it has had so far; position NULL: it has none. Whoever owns the connection. */
void rs_registry_note(rs_registry_t *registry, int seat, apr_uint64_t events, const char *position);

/* It is over. Whoever owns the connection; RS_NO_SEAT is nobody. */
void rs_registry_leave(rs_registry_t *registry, int seat);

/* --- a child's own: who serves a connection, and how it is found --- */

/* A connection, until it is over. */
typedef struct {
    int seat;
    apr_uint64_t random;
} rs_ticket_t;

/* From now on this streamer serves it. What it is to be ended with at once (rs_registry_doom()), or
 * NULL. */
const char *rs_registry_serve(rs_registry_t *registry, int seat, rs_client_t *client, int streamer);

/* What this streamer serves by this ticket; NULL: it does not (any more). */
rs_client_t *rs_registry_served(rs_registry_t *registry, const rs_ticket_t *ticket, int streamer);

/* Whoever will serve it is to end it with this code, a constant. Which streamer does already; -1:
 * none. */
int rs_registry_doom(rs_registry_t *registry, const rs_ticket_t *ticket, const char *code);

/* It has another token now. Whoever owns the connection. */
void rs_registry_renew(rs_registry_t *registry, int seat, const char *jti);

/* What it is called. */
const char *rs_registry_id(const rs_registry_t *registry, int seat, char buf[RS_CONNECTION_ID_LEN]);

/* --- a child, for the whole node --- */

/* Whether this process is the one that speaks for its node; it asks again and again, or another one
 * takes its place, as one of a newer generation does. Whoever does has a term that is higher than
 * those before. */
int rs_registry_lead(rs_registry_t *registry, int generation, apr_uint32_t *term);

/* It does not any more. */
void rs_registry_resign(rs_registry_t *registry);

/* --- any process, any thread --- */

typedef struct {
    char id[RS_CONNECTION_ID_LEN];
    char remote[RS_REMOTE_LEN]; /* "": not known */
    char text[RS_RECORD_TEXT];
    const char *tenant, *user, *profile, *position; /* in it; "": none */
    const char *via;
    apr_time_t since;
    apr_uint64_t events;
    pid_t pid;
} rs_record_t;

/* Which records; NULL: any. */
typedef struct {
    const char *realm; /* not NULL */
    const char *tenant, *user, *profile;
    const char *jti; /* of the token */
} rs_whom_t;

const char *rs_registry_node(const rs_registry_t *registry);

/* How many the tenant has, and, user not NULL, how many of these that user has. */
unsigned rs_registry_count(rs_registry_t *registry, const char *realm, const char *tenant,
                           const char *user);

/* The next one from *at (0: from the first) on; 0: there is no more. */
int rs_registry_next(rs_registry_t *registry, apr_uint64_t *at, const rs_whom_t *whom,
                     rs_record_t *record);

/* Where that of an id stands, or stood, for rs_registry_next(): behind it. 0: it is no id of this
 * node. */
apr_uint64_t rs_registry_after(const rs_registry_t *registry, const char *id);

/* What is counted by. */
typedef struct {
    const char *tenant, *user; /* "": none */
    apr_uint64_t user_key;     /* of user and tenant; 0: none */
    int via;
} rs_glance_t;

/* Calls for each of them. */
void rs_registry_each(rs_registry_t *registry, const rs_whom_t *whom,
                      void (*call)(void *baton, const rs_glance_t *one), void *baton);

/* Another number whenever somebody came or went, or a child did. */
apr_uint32_t rs_registry_came(rs_registry_t *registry);

/* The one with this id; 0: there is none (any more). */
int rs_registry_find(rs_registry_t *registry, const char *realm, const char *id,
                     rs_record_t *record);

/* Calls for each of these connections of this child. id: only that one; NULL: any. */
void rs_registry_own(rs_registry_t *registry, const rs_whom_t *whom, const char *id,
                     void (*call)(void *baton, const rs_ticket_t *ticket), void *baton);

#endif
