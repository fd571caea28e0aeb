/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of servers, resolved off the hub's thread: getaddrinfo() may take half a minute where no
 * name server answers, and nothing else would happen in the hub meanwhile. One helper thread, which
 * is started by the first name; addresses never come here.
 */
#ifndef RS_RESOLVE_H
#define RS_RESOLVE_H

#include <arpa/inet.h>

#include "../base/rs_inbox.h"
#include "rs_redis_url.h"

#define RS_LOOKUP_ADDRESSES 8

typedef struct rs_resolver_t rs_resolver_t;
typedef struct rs_lookup_t rs_lookup_t;

/* One question. A member of what asks; between start and done it is the resolver's. */
struct rs_lookup_t {
    rs_msg_t msg; /* first */
    char host[RS_REDIS_HOST_MAX + 1];
    /* The answer, IPv4 first, as the command connections try them. */
    int n;
    char address[RS_LOOKUP_ADDRESSES][INET6_ADDRSTRLEN];
    const char *problem; /* n is 0: why, constant */
    /* Called by the owner of the inbox when it gets the message. */
    void (*done)(rs_lookup_t *lookup);
};

/* Answers come to `inbox` as messages of this kind. Starts no thread. */
apr_status_t rs_resolver_create(rs_resolver_t **resolver, apr_pool_t *p, rs_inbox_t *inbox,
                                int kind);

/* Whether the host is an address, or there is none: then nothing needs to be resolved. */
int rs_resolve_is_address(const char *host);

/* The owner of the inbox. Returns 0 when there can be no thread; the lookup is not taken then. */
int rs_resolver_ask(rs_resolver_t *resolver, rs_lookup_t *lookup);

/* Ends the thread. APR_TIMEUP: it did not end within `limit`, since the system's resolver does not
 * return, and must not find its memory gone. The owner of the inbox, or who has joined it. */
apr_status_t rs_resolver_stop(rs_resolver_t *resolver, apr_interval_time_t limit);

#endif
