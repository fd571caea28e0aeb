/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the answer of XINFO STREAM.
 */
#include <string.h>

#include "rs_history.h"

static int parse_id(rs_id_t *id, const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING && rs_id_parse(id, reply->str, (size_t)reply->len);
}

void rs_history_none(rs_history_t *h)
{
    memset(h, 0, sizeof(*h));
    h->empty = h->whole = 1;
}

int rs_history_parse(rs_history_t *h, const redisReply *reply)
{
    long long length = -1;
    int known = 0;
    size_t i;

    memset(h, 0, sizeof(*h));
    h->empty = 1;
    h->added = h->gone = -1;
    if (reply->type == REDIS_REPLY_ERROR) {
        rs_history_none(h);
        return strncmp(reply->str, "ERR no such key", 15) == 0;
    }
    for (i = 0; reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements; i += 2) {
        const redisReply *name = reply->element[i], *value = reply->element[i + 1];

        if (name->type != REDIS_REPLY_STRING) {
            return 0;
        }
        if (strcmp(name->str, "length") == 0 && value->type == REDIS_REPLY_INTEGER) {
            length = value->integer;
        }
        else if (strcmp(name->str, "entries-added") == 0 && value->type == REDIS_REPLY_INTEGER) {
            h->added = value->integer < 0 ? -1 : value->integer;
        }
        else if (strcmp(name->str, "last-generated-id") == 0) {
            known = parse_id(&h->newest, value);
        }
        else if (strcmp(name->str, "max-deleted-entry-id") == 0) {
            (void)parse_id(&h->deleted, value);
        }
        else if (strcmp(name->str, "first-entry") == 0 && value->type == REDIS_REPLY_ARRAY
                 && value->elements > 0 && parse_id(&h->first, value->element[0])) {
            h->empty = 0;
        }
    }
    h->whole = h->added >= 0 && length == h->added;
    h->gone = length >= 0 && h->added >= length ? h->added - length : -1;
    return known && rs_id_cmp(h->first, h->newest) <= 0;
}

rs_id_t rs_history_floor(const rs_history_t *h)
{
    static const rs_id_t beginning = {0, 0};

    if (h->whole) {
        return beginning;
    }
    return h->empty ? h->newest : rs_id_before(h->first);
}
