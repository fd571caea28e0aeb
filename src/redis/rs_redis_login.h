/* SPDX-License-Identifier: Apache-2.0
 *
 * The login, which the workers' connections and the hub's share, and what Redis says to it.
 */
#ifndef RS_REDIS_LOGIN_H
#define RS_REDIS_LOGIN_H

#include "rs_redis_url.h"

struct redisContext;
struct redisReply;

/* Room for the first word of a Redis error (`WRONGTYPE`), with its NUL. */
#define RS_REDIS_CLASS_LEN 24

/* Appends AUTH, SELECT (unless it is database 0) and CLIENT SETNAME to the output buffer of any
 * context. Returns how many replies will come, or -1 without memory. The last reply is SETNAME's
 * and may be an error: a Redis user need not be allowed CLIENT. */
int rs_redis_login_append(struct redisContext *c, const rs_redis_url_t *url, const char *name);

/* Whether this error of the last reply is about the command CLIENT SETNAME and not about us. */
int rs_redis_setname_may_fail(const struct redisReply *reply);

/* Redis tells a client that it does not take so in answer to whatever comes first. */
int rs_redis_is_full(const struct redisReply *reply);

/* The first word of an error reply if it is a word in capitals, else "ERR". Never more: the rest of
 * the text may quote keys, payloads or users. */
void rs_redis_error_class(char out[RS_REDIS_CLASS_LEN], const struct redisReply *reply);

#endif
