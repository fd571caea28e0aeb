/* SPDX-License-Identifier: Apache-2.0
 *
 * What a stream entry says: its tenant, type, payload and user. The hub's thread.
 */
#ifndef RS_ENTRY_H
#define RS_ENTRY_H

#include "rs_source.h"
#include "rs_event.h"

struct redisReply;

typedef struct {
    rs_text_t tenant, type, data, user; /* within the reply, constants, or: */
    char copy[RS_NAME_MAX + 1];         /* a tenant that stands in the payload */
    int too_big;                        /* its readers are told that they do not get it */
} rs_entry_t;

/* Fills in the entry from the array of names and values; 0 and the reason when it is for nobody. */
int rs_entry_decode(rs_entry_t *entry, const rs_key_t *key, const struct redisReply *fields,
                    size_t max_message, rs_skip_t *reason);

/* The tenant's name with a NUL at its end; returns name. */
const char *rs_entry_tenant(const rs_entry_t *entry, char name[RS_NAME_MAX + 1]);

#endif
