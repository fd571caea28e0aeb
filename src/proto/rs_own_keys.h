/* SPDX-License-Identifier: Apache-2.0
 *
 * The keys in Redis that are this module's own, whatever streams are configured. Here only: a
 * stream whose key could be one of them would show its readers what is not theirs. Pure functions.
 */
#ifndef RS_OWN_KEYS_H
#define RS_OWN_KEYS_H

#define RS_OWN_CONTROL "ragline:control"
#define RS_OWN_EVENT "ragline:event:"
#define RS_OWN_GROUPS "ragline:groups:"
#define RS_OWN_REVOKED "ragline:revoked:until"
#define RS_OWN_GATEWAY "ragline:gateway:"
#define RS_OWN_PRESENCE "ragline:presence:"
#define RS_OWN_PRESENCE_NODES RS_OWN_PRESENCE "nodes"
#define RS_OWN_PRESENCE_NODE RS_OWN_PRESENCE "node:"
#define RS_OWN_PRESENCE_USERS RS_OWN_PRESENCE "users:"
#define RS_OWN_DLQ "ragline:dlq:"

/* All of them, also those that are kept for what is to come; one with a colon at its end stands for
 * every key that begins so. NULL ends the list. */
extern const char *const rs_own_keys[];

/* The one that a stream's key is for some tenant ({tenant} in it), or NULL. */
const char *rs_own_key_met(const char *key);

#endif
