/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes as Redis might send them, parsed by hiredis as on a connection, and then as entries of a
 * stream, as XINFO STREAM, or as the answers to XADD: the first byte chooses. An entry must be one
 * event of one tenant whatever it holds; a verdict must not contradict itself.
 */
#include <jansson.h>

#include "../../src/base/rs_name.h"
#include "../../src/base/rs_utf8.h"
#include "../../src/base/rs_json.h"
#include "../../src/log/rs_entry.h"
#include "../../src/log/rs_source.h"
#include "../../src/log/rs_tenants.h"
#include "../../src/wire/rs_frames.h"
#include "../../src/log/rs_known.h"
#include "../../src/redis/rs_redis_publish_private.h"
#include "fuzz.h"
#include "resp.h"

#define MAX_MESSAGE 4096

static rs_stream_t streams[] = {
    {.tenant_field = "tenant_id",
     .type_field = "event_type",
     .data_field = "payload",
     .user_field = "user_id"},
    {.tenant_field = "t",
     .tenant_literal = "acme",
     .type_field = "y",
     .data_field = "t",
     .user_field = "tenant_id"},
    {.tenant_field = "a", .type_field = "a", .data_field = "a", .user_field = "a"}};
static rs_source_t source = {.streams = streams, .nstreams = RS_ARRAY_LEN(streams)};
static rs_tenant_t acme = {.source = &source, .name = "acme"};
/* Of everybody, and a tenant's own. */
static const rs_key_t keys[] = {{.source = &source, .stream = 0},
                                {.source = &source, .stream = 1},
                                {.source = &source, .stream = 2},
                                {.source = &source, .stream = 0, .tenant = &acme},
                                {.source = &source, .stream = 2, .tenant = &acme}};

static rs_buf_t scratch = RS_BUF_INIT;
static rs_redis_url_t *url;

void fuzz_setup(apr_pool_t *all) { require(!rs_redis_url_parse(&url, all, "unix:///nowhere")); }

/* --- entries --- */

/* What a browser makes of the payload: each kind of line end is one, no text is U+FFFD. */
static size_t slow_text(char *to, const rs_text_t *data)
{
    const char *at = data->data, *end = at + data->len, *start = to;

    while (at < end) {
        size_t n = *at ? rs_utf8_char(at, (size_t)(end - at)) : 0;

        if (!n) {
            memcpy(to, "\xEF\xBF\xBD", 3);
            to += 3;
            at++;
        }
        else if (*at == '\r') {
            *to++ = '\n';
            at += end - at > 1 && at[1] == '\n' ? 2 : 1;
        }
        else {
            memcpy(to, at, n);
            to += n;
            at += n;
        }
    }
    return (size_t)(to - start);
}

static int same_text(rs_text_t a, rs_text_t b)
{
    return a.len == b.len && !memcmp(a.data, b.data, a.len);
}

/* One line, one JSON object, and its id first. */
static void check_line(rs_text_t line, const rs_cursor_t *cursor)
{
    rs_json_t text = {line.data, line.data + line.len}, value;
    char id[RS_CURSOR_LEN + 16];

    require(line.data && memchr(line.data, '\n', line.len) == line.data + line.len - 1);
    require(rs_json_is_good(&value, text, RS_JSON_DEPTH_ANY) && rs_json_kind(value) == '{');
    memcpy(id, "{\"id\":\"", 7);
    rs_cursor_text(cursor, id + 7);
    require(!memcmp(line.data, id, strlen(id)));
}

/* One event, as a browser would read the frame: its lines are known, and data is the payload's; or
 * a notice, which endpoints choose by the entry's type all the same. */
static void check_frame(const rs_event_t *event, const rs_entry_t *e, const char *id)
{
    const rs_text_t type = e->too_big ? (rs_text_t){"reset", 5} : e->type;
    const rs_text_t payload = e->too_big ? (rs_text_t){"{\"reason\":\"too_big\"}", 20} : e->data;
    const char *start = rs_event_bytes(event), *at = start, *end = at + event->len;
    char *data = malloc(event->len), *to = data, *want;

    require(rs_utf8_valid(at, event->len));
    require(!memchr(at, '\r', event->len) && !memchr(at, '\0', event->len));
    require(event->len > 9 && !memcmp(at, "event: ", 7) && !memcmp(at + 7, type.data, type.len));
    require(same_text(rs_event_type(event), e->type));
    require(e->too_big || same_text(rs_event_data(event), e->data));
    at += 7 + type.len;
    require(*at++ == '\n');
    while (at < start + event->place.head) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));

        require(newline && newline - at >= 6 && !memcmp(at, "data: ", 6));
        memcpy(to, at + 6, (size_t)(newline - at) - 5);
        to += newline - at - 5; /* with its end */
        at = newline + 1;
    }
    require(at == start + event->place.head && to > data);
    require(!memcmp(at, "id: ", 4) && !memcmp(at + 4, id, strlen(id)));
    at += 4 + strlen(id);
    require(*at++ == '\n' && at == start + event->place.tail);
    require(*at == '\n' && at + 1 == end);
    want = malloc(3 * payload.len + 1);
    require((size_t)(to - data) == slow_text(want, &payload) + 1);
    require(!memcmp(data, want, (size_t)(to - data) - 1));
    free(want);
    free(data);
}

static void frame(const rs_entry_t *e)
{
    static const rs_cursor_tags_t tags = {{7, 9}, 1};
    rs_cursor_t one = {1, &tags, {{5, 6}}};
    rs_cursor_t two = {2, &tags, {{1732100000000u, 1}, {2, ~(apr_uint64_t)0}}};
    const rs_cursor_t *cursors[] = {&one, &two};
    size_t i;

    for (i = 0; i < RS_ARRAY_LEN(cursors); i++) {
        char text[RS_CURSOR_LEN];
        rs_id_t id = cursors[i]->pos[0];
        rs_cursor_t read = *cursors[i];
        rs_event_t *event = rs_frames_event(&scratch, e, 3, id, cursors[i]);

        require(event && event->stream == 3 && rs_id_cmp(event->id, id) == 0);
        check_frame(event, e, rs_cursor_text(cursors[i], text));
        require(rs_event_cursor(event, &read) && !rs_id_cmp(read.pos[0], id));
        require(same_text(rs_event_user(event), e->user));
        check_line(rs_frames_get(&rs_wire_ndjson, event, &tags), cursors[i]);
        rs_event_drop(event);
    }
}

/* Whether the text is that of the first field of this name, or, when there is none, is `otherwise`.
 * A name that two settings share is the one's that comes first. */
static int is_first(const redisReply *fields, const char *const names[4], int which,
                    const rs_text_t *text, const char *otherwise)
{
    size_t i;
    int k;

    for (i = 0; i < fields->elements; i += 2) {
        const redisReply *name = fields->element[i], *value = fields->element[i + 1];

        for (k = 0; k < 4; k++) {
            if (names[k] && name->len == strlen(names[k])
                && !memcmp(name->str, names[k], name->len)) {
                break;
            }
        }
        if (k == which) {
            return text->len == value->len && !memcmp(text->data, value->str, value->len);
        }
    }
    return !otherwise
           || (text->len == strlen(otherwise) && !memcmp(text->data, otherwise, text->len));
}

/* An entry that leaves its tenant's field out and names it in the payload is for nobody else. */
static void check_payload(const redisReply *fields, const char *field, const rs_entry_t *e)
{
    json_t *payload = json_loadb(e->data.data, e->data.len, JSON_REJECT_DUPLICATES, NULL);
    json_t *tenant = json_object_get(payload, "tenant_id");
    char number[24] = "";
    size_t i;

    for (i = 0; i < fields->elements && tenant && *e->data.data == '{'; i += 2) {
        if (!strcmp(fields->element[i]->str, field)) {
            tenant = NULL;
        }
    }
    if (tenant && *e->data.data == '{') {
        require(json_is_string(tenant) || json_is_integer(tenant));
        apr_snprintf(number, sizeof(number), "%" APR_INT64_T_FMT,
                     (apr_int64_t)json_integer_value(tenant));
        if (json_is_string(tenant)) {
            require(e->tenant.len == json_string_length(tenant));
            require(!memcmp(e->tenant.data, json_string_value(tenant), e->tenant.len));
        }
        else {
            require(e->tenant.len == strlen(number));
            require(!memcmp(e->tenant.data, number, e->tenant.len));
        }
    }
    json_decref(payload);
}

static void check_entry(const rs_key_t *key, const redisReply *fields, const rs_entry_t *e)
{
    const rs_stream_t *stream = &streams[key->stream];
    const char *const names[4] = {stream->tenant_literal ? NULL : stream->tenant_field,
                                  stream->type_field, stream->data_field, stream->user_field};
    const char *own = key->tenant ? key->tenant->name : stream->tenant_literal;
    char name[RS_NAME_MAX + 1];
    size_t i;

    for (i = 0; i < fields->elements; i++) {
        require(fields->element[i]->type == REDIS_REPLY_STRING);
    }
    require(rs_name_valid(e->tenant.data, e->tenant.len));
    require(rs_event_type_valid(e->type.data, e->type.len));
    require(e->data.data && e->too_big == (e->data.len > MAX_MESSAGE));
    require(rs_entry_tenant(e, name) == name && strlen(name) == e->tenant.len);
    /* It is nobody's but who is named: by the configuration, else by the first such field. */
    require(is_first(fields, names, 0, &e->tenant, own));
    require(!own || !strcmp(name, own));
    if (!stream->tenant_literal && !e->too_big) {
        check_payload(fields, stream->tenant_field, e);
    }
    require(is_first(fields, names, 1, &e->type, "unknown"));
    require(is_first(fields, names, 2, &e->data, "{}"));
    if (e->user.len == 1 && *e->user.data == '*') {
        require(!is_first(fields, names, 3, &(rs_text_t){"", 0}, "")); /* nobody can be that */
    }
    else {
        require(!e->user.len || rs_name_valid(e->user.data, e->user.len));
        require(is_first(fields, names, 3, &e->user, ""));
    }
    frame(e);
}

static void with_entries(apr_pool_t *p, const redisReply *reply)
{
    rs_entry_t *e = malloc(sizeof(*e));
    size_t i;

    for (i = 0; i < RS_ARRAY_LEN(keys); i++) {
        rs_skip_t reason = RS_SKIP_MAX;

        if (rs_entry_decode(e, &keys[i], reply, MAX_MESSAGE, &reason)) {
            require(reply->type == REDIS_REPLY_ARRAY && reply->elements % 2 == 0);
            check_entry(&keys[i], reply, e);
        }
        else {
            require(reason < RS_SKIP_MAX);
        }
    }
    free(e);
    if (reply->type == REDIS_REPLY_ARRAY) {
        for (i = 0; i < reply->elements; i++) {
            with_entries(p, reply->element[i]);
        }
    }
}

/* --- XINFO STREAM --- */

static rs_verdict_kind_t judge(const rs_history_t *h, rs_id_t id)
{
    static const rs_hand_t nothing;
    rs_known_t known = {0};

    rs_known_look(&known, h, &nothing, 0);
    require(known.sure && rs_id_cmp(known.at, h->newest) == 0);
    require(rs_known_look(&known, h, &nothing, 1) == RS_LOOK_SAME);
    return rs_known_judge(&known, known.at, id, 1, h).kind;
}

static void check_verdicts(const rs_history_t *h, const rs_id_t *ids, size_t n)
{
    const rs_id_t none = {0, 0};
    size_t i, k;

    require(judge(h, h->newest) == RS_VERDICT_RESUMED);
    for (i = 0; i < n; i++) {
        rs_verdict_kind_t kind = judge(h, ids[i]);

        require((kind == RS_VERDICT_LOST) == (rs_id_cmp(ids[i], h->newest) > 0));
        require(kind != RS_VERDICT_ASK);
        /* Who stands later has not missed more. The very beginning is special. */
        for (k = 0; k < n; k++) {
            require(kind != RS_VERDICT_RESUMED || rs_id_cmp(ids[i], none) == 0
                    || rs_id_cmp(ids[k], ids[i]) < 0 || judge(h, ids[k]) != RS_VERDICT_TRIMMED);
        }
    }
}

static void check_history(const rs_history_t *h)
{
    const rs_id_t none = {0, 0}, most = {~(apr_uint64_t)0, ~(apr_uint64_t)0};
    const rs_id_t ids[] = {
        none,     rs_id_before(h->first), h->first, rs_id_after(h->first), rs_id_before(h->newest),
        h->newest};

    require(!h->empty || !rs_id_cmp(h->first, none));
    require(!h->whole || h->added >= 0);
    require(h->added >= -1);
    check_verdicts(h, ids, RS_ARRAY_LEN(ids));
    require(!rs_id_cmp(h->newest, most) || judge(h, rs_id_after(h->newest)) == RS_VERDICT_LOST);
    require(judge(h, most) == RS_VERDICT_LOST || !rs_id_cmp(h->newest, most));
}

static void with_history(apr_pool_t *p, const redisReply *reply)
{
    rs_history_t h;

    (void)p;
    if (rs_history_parse(&h, reply)) {
        require(reply->type == REDIS_REPLY_ARRAY || reply->type == REDIS_REPLY_ERROR);
        require(reply->type == REDIS_REPLY_ARRAY || (h.empty && h.whole && !h.added));
        check_history(&h);
    }
}

/* --- answers to XADD: one, and those of EXEC and of the script --- */

static void check_class(const char *word)
{
    size_t n = strlen(word);

    require(n >= 1 && n < RS_REDIS_CLASS_LEN);
    require(n == strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"));
}

static int check_item(const rs_xadd_t *item)
{
    rs_id_t id;

    if (*item->id) {
        require(rs_id_parse(&id, item->id, strlen(item->id)));
        require(!*item->refused);
        return 1;
    }
    if (*item->refused) {
        check_class(item->refused);
    }
    return 0;
}

static void with_answers(apr_pool_t *p, const redisReply *reply)
{
    int n = reply->type == REDIS_REPLY_ARRAY && reply->elements < 64 ? (int)reply->elements : 1;
    rs_xadd_t *items = apr_pcalloc(p, (apr_size_t)(n + 1) * sizeof(*items)), item = {0};
    rs_redis_conn_t *conn = rs_redis_conn_create(url, APR_USEC_PER_SEC);
    int i, written = 0, refused = 0, asked = n ? n : 1;
    char class[RS_REDIS_CLASS_LEN];
    rs_publish_outcome_t outcome = rs_xadd_take_ids(conn, items, asked, reply);

    if (outcome != RS_PUBLISH_UNKNOWN) {
        for (i = 0; i < asked; i++) {
            written += check_item(&items[i]);
            refused += *items[i].refused != '\0';
        }
        /* Some may be neither, but only where nothing was written and it is said why. */
        require(written + refused == asked || (!written && refused));
        require((outcome == RS_PUBLISH_DONE) == (written == asked));
        require((outcome == RS_PUBLISH_REFUSED) == (written == 0));
        require((outcome == RS_PUBLISH_PARTIAL) == (written > 0 && written < asked));
    }
    else {
        require(*rs_redis_conn_why(conn) && !rs_redis_conn_usable(conn));
    }
    rs_redis_error_class(class, reply);
    check_class(class);
    if (rs_xadd_take_id(&item, reply)) {
        require(reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_ERROR);
        require(check_item(&item) == (reply->type == REDIS_REPLY_STRING));
        require(*item.id || *item.refused);
        require(!item.duplicate || reply->str[0] == RS_XADD_DUPLICATE);
    }
    rs_redis_conn_free(conn);
}

void fuzz_one(apr_pool_t *p, const char *data, size_t size)
{
    void (*with)(apr_pool_t *, const redisReply *);
    redisReader *reader;
    void *reply;

    if (size < 2 || size > 60000 || fuzz_resp_too_many(data, size)) {
        return;
    }
    with = data[0] == 'e' ? with_entries : data[0] == 'h' ? with_history : with_answers;
    reader = redisReaderCreate();
    redisReaderFeed(reader, data + 1, size - 1);
    while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply) {
        with(p, reply);
        freeReplyObject(reply);
    }
    redisReaderFree(reader);
    rs_buf_free(&scratch);
    scratch = (rs_buf_t)RS_BUF_INIT;
}
