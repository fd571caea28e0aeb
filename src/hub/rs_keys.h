/* SPDX-License-Identifier: Apache-2.0
 *
 * What is read of a key: what Redis says of it, and its entries. The hub's thread.
 */
#ifndef RS_KEYS_H
#define RS_KEYS_H

#include "../log/rs_key.h"

/* What Redis says of the key, and the entries that were read just before it said so (an array of
 * them; NULL: none), of which there may be more if `full`. They go to the topics of their tenants;
 * readers are told of what is lost, or was removed before it was read. 0: those are no entries. */
int rs_key_take(rs_key_t *key, const rs_history_t *history, const redisReply *entries, int full,
                int watched);

/* A read found nothing. */
void rs_key_answered(rs_key_t *key);

/* rs_tenant_key.c: the tenant's own key of this stream, made if it is new, for one more topic; NULL
 * when memory is short. */
rs_key_t *rs_tenant_key_open(rs_tenant_t *tenant, int stream);
void rs_tenant_key_close(rs_key_t *key);

/* Once a second: those that may not be read are tried again. */
void rs_tenant_key_sweep(rs_tenant_t *tenant);

/* Watching began (again). */
void rs_tenant_key_unwatched(rs_tenant_t *tenant);

#endif
