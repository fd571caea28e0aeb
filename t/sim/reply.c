/* SPDX-License-Identifier: Apache-2.0
 *
 * Replies, as hiredis would have read them: freeReplyObject() frees each part.
 */
#include <stdlib.h>

#include "sim.h"

redisReply *sim_reply(int type)
{
    redisReply *r = calloc(1, sizeof(*r));

    r->type = type;
    return r;
}

redisReply *sim_reply_text(int type, const char *text, size_t len)
{
    redisReply *r = sim_reply(type);

    r->str = malloc(len + 1);
    memcpy(r->str, text, len);
    r->str[len] = '\0';
    r->len = len;
    return r;
}

redisReply *sim_reply_array(size_t n)
{
    redisReply *r = sim_reply(REDIS_REPLY_ARRAY);

    r->elements = n;
    r->element = n ? calloc(n, sizeof(*r->element)) : NULL;
    return r;
}

redisReply *sim_reply_int(long long n)
{
    redisReply *r = sim_reply(REDIS_REPLY_INTEGER);

    r->integer = n;
    return r;
}

redisReply *sim_reply_id(rs_id_t id)
{
    char text[RS_ID_LEN];

    return sim_reply_text(REDIS_REPLY_STRING, text, rs_id_format(text, id));
}

redisReply *sim_reply_error(const char *text)
{
    return sim_reply_text(REDIS_REPLY_ERROR, text, strlen(text));
}

static redisReply *string(const char *text)
{
    return sim_reply_text(REDIS_REPLY_STRING, text, strlen(text));
}

static size_t put_number(char *to, int n)
{
    char digits[12];
    size_t len = 0, i;

    do {
        digits[len++] = (char)('0' + n % 10);
    } while ((n /= 10));
    for (i = 0; i < len; i++) {
        to[i] = digits[len - 1 - i];
    }
    return len;
}

/* {"n":UID,"p":"aaaa…"} of the entry's size. */
size_t sim_payload(char *to, int uid)
{
    char head[40];
    size_t n, size = sim_entries[uid].size;

    memcpy(head, "{\"n\":", 5);
    n = 5 + put_number(head + 5, uid);
    memcpy(head + n, ",\"p\":\"", 6);
    n += 6;
    size = size < n + 2 ? n + 2 : size;
    if (to) {
        memcpy(to, head, n);
        memset(to + n, 'a' + uid % 26, size - n - 2);
        memcpy(to + size - 2, "\"}", 2);
    }
    return size;
}

static redisReply *payload(int uid)
{
    redisReply *r = sim_reply(REDIS_REPLY_STRING);
    size_t len = sim_payload(NULL, uid);

    r->str = malloc(len + 1);
    sim_payload(r->str, uid);
    r->str[len] = '\0';
    r->len = len;
    return r;
}

redisReply *sim_reply_entry(int uid)
{
    const sim_entry_t *e = &sim_entries[uid];
    /* A tenant's own key need not say whose it is. */
    int with_tenant = e->key < SIM_OWN || uid % 2, i = 0;
    redisReply *r = sim_reply_array(2), *f = sim_reply_array(with_tenant ? 6 : 4);

    if (with_tenant) {
        f->element[i++] = string("tenant_id");
        f->element[i++] = string(sim_tenant(e->tenant));
    }
    f->element[i++] = string("event_type");
    f->element[i++] = string("thing");
    f->element[i++] = string("payload");
    f->element[i++] = payload(uid);
    r->element[0] = sim_reply_id(e->id);
    r->element[1] = f;
    return r;
}

redisReply *sim_reply_info(sim_key_t *key)
{
    const sim_stream_t *s = &key->s;
    redisReply *r = sim_reply_array(sim_conf.redis6 ? 14 : 20);
    redisReply **e = r->element;
    rs_id_t none = {0, 0};
    int n = s->end - s->start;

    *e++ = string("length");
    *e++ = sim_reply_int(n);
    *e++ = string("radix-tree-keys");
    *e++ = sim_reply_int(1);
    *e++ = string("radix-tree-nodes");
    *e++ = sim_reply_int(2);
    *e++ = string("last-generated-id");
    *e++ = sim_reply_id(s->last);
    if (!sim_conf.redis6) {
        *e++ = string("max-deleted-entry-id");
        *e++ = sim_reply_id(s->max_deleted);
        *e++ = string("entries-added");
        *e++ = sim_reply_int(s->added);
        *e++ = string("recorded-first-entry-id");
        *e++ = sim_reply_id(n ? sim_entries[s->uid[s->start]].id : none);
    }
    *e++ = string("groups");
    *e++ = sim_reply_int(0);
    *e++ = string("first-entry");
    *e++ = n ? sim_reply_entry(s->uid[s->start]) : sim_reply(REDIS_REPLY_NIL);
    *e++ = string("last-entry");
    *e++ = n ? sim_reply_entry(s->uid[s->end - 1]) : sim_reply(REDIS_REPLY_NIL);
    return r;
}
