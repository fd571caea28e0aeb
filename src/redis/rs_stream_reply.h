/* SPDX-License-Identifier: Apache-2.0
 *
 * An entry of a stream as XREAD, XRANGE and their like reply it, [id, [name, value, …]], and errors
 * in its place.
 */
#ifndef RS_STREAM_REPLY_H
#define RS_STREAM_REPLY_H

#include <string.h>

#include <hiredis/hiredis.h>

#include "../proto/rs_id.h"

/* 0 when that is not one. Its fields are element[1], of any type. */
static inline int rs_stream_entry_id(const redisReply *entry, rs_id_t *id)
{
    return entry->type == REDIS_REPLY_ARRAY && entry->elements == 2
           && entry->element[0]->type == REDIS_REPLY_STRING
           && rs_id_parse(id, entry->element[0]->str, (size_t)entry->element[0]->len);
}

/* Whether it is an error that begins with this word. */
static inline int rs_reply_is_error(const redisReply *reply, const char *word)
{
    return reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, word, strlen(word)) == 0;
}

#endif
