/* SPDX-License-Identifier: Apache-2.0
 *
 * What may stand for a tenant, a user or an event type, and pattern matching on it. Pure functions.
 */
#ifndef RS_NAME_H
#define RS_NAME_H

#include "rs_base.h"

/* 1 to 64 of [A-Za-z0-9._@-]: a tenant or a user. No ':' or '*', '{' or '/', so that a name put
 * into a Redis key or a group's name stays one segment of it. */
int rs_name_valid(const char *s, size_t n);

/* 1 to 128 of printable ASCII without space: what goes onto an `event:` line. */
int rs_event_type_valid(const char *s, size_t n);

/* Either may be NULL, which is the same as NULL only. */
int rs_same_text(const char *a, const char *b);

/* `*` stands for any run of characters; everything else for itself. */
int rs_pattern_match(const char *pattern, const char *s, size_t n);

#endif
