/* SPDX-License-Identifier: Apache-2.0
 *
 * What an administrator wants done with connections, as every hub reads it from Redis; or a new
 * token that was brought for one. The hub makes it, with those of its own connections that are
 * meant; each streamer gets a message that is part of it, and the last one frees it.
 */
#ifndef RS_COMMAND_H
#define RS_COMMAND_H

#include "../base/rs_inbox.h"
#include "rs_common.h"
#include "rs_renewals.h"

/* The fields of an entry of the stream. */
#define RS_COMMAND_DO "do"
#define RS_COMMAND_ID "id"
#define RS_COMMAND_TENANT "tenant"
#define RS_COMMAND_USER "user"
#define RS_COMMAND_REASON "reason"
#define RS_COMMAND_TYPE "event_type"
#define RS_COMMAND_PAYLOAD "payload"
#define RS_COMMAND_JTI "jti"
#define RS_COMMAND_UNTIL "until" /* seconds since 1970 */
#define RS_COMMAND_PLACE "place" /* where the connection is, in hexadecimal digits */

/* What `do` says. */
#define RS_COMMAND_CLOSE "close"
#define RS_COMMAND_SEND "send"
#define RS_COMMAND_REVOKE "revoke"
#define RS_COMMAND_RENEW "renew"

#define RS_COMMAND_REASON_MAX 200

/* One line of text, or none. */
int rs_command_reason_good(const char *s, size_t n);

typedef struct {
    rs_msg_t msg; /* first */
    rs_command_t *command;
} rs_order_t;

struct rs_command_t {
    rs_order_t orders[RS_STREAMERS_MAX];
    int refs; /* atomic: of the creator, and of each order that was posted */
    /* Whose; NULL: any. The texts are the command's. */
    const char *id, *tenant, *user, *jti;
    /* CLOSE: how it ends, and what it is told. */
    const char *code, *reason;
    /* SEND; NULL: it is ended. */
    const char *type, *payload;
    size_t payload_len;
    /* RENEW, of the one with this id. And who waits to hear of it; 0: nobody. */
    int renews;
    rs_renewal_t renewal;
    rs_renewals_t *renewals;
    apr_uint64_t waiting;
    rs_ticket_t *tickets; /* the connections */
    int ntickets, size;
    int broken; /* memory was short */
    char text[];
};

/* With room for so many bytes of text, one reference; NULL: memory is short. */
rs_command_t *rs_command_create(size_t text);
void rs_command_drop(rs_command_t *command);

/* One more connection. */
void rs_command_add(rs_command_t *command, const rs_ticket_t *ticket);

#endif
