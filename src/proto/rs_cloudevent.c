/* SPDX-License-Identifier: Apache-2.0
 *
 * CloudEvents: which attribute means what, and which are good. What becomes of the data is in
 * rs_cloudevent_data.c. A worker thread.
 */
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_name.h"
#include "../base/rs_utf8.h"
#include "rs_cloudevent.h"
#include "rs_cloudevent_data.h"

#define SOURCE_MAX 256
#define ID_MAX 256

const char **rs_cloudevent_attribute(rs_cloudevent_t *event, const char *name, apr_size_t n)
{
    const struct {
        const char *name;
        const char **place;
    } attributes[] = {{"specversion", &event->specversion},
                      {"id", &event->id},
                      {"source", &event->source},
                      {"type", &event->type},
                      {"raglinestream", &event->stream},
                      {"tenantid", &event->tenant},
                      {"userid", &event->user}};
    size_t i;

    for (i = 0; i < RS_ARRAY_LEN(attributes); i++) {
        if (n == strlen(attributes[i].name) && memcmp(name, attributes[i].name, n) == 0) {
            return attributes[i].place;
        }
    }
    return NULL;
}

int rs_cloudevent_name_valid(const char *name, apr_size_t n)
{
    apr_size_t i;

    for (i = 0; i < n; i++) {
        if ((name[i] < 'a' || name[i] > 'z') && (name[i] < '0' || name[i] > '9')) {
            return 0;
        }
    }
    return n > 0;
}

/* A URI reference has none of these, nor spaces: so '|' can end it in an event_id. */
static int is_source(const char *s)
{
    size_t n = s ? strlen(s) : 0, i;

    for (i = 0; i < n; i++) {
        if (s[i] <= ' ' || s[i] > '~' || strchr("\"<>\\^`{|}", s[i])) {
            return 0;
        }
    }
    return n > 0 && n <= SOURCE_MAX;
}

/* SOURCE|ID, where an id, which may be any text, has %XX for what an event_id may not hold. */
static const char *event_id(apr_pool_t *p, const char *source, const char *id)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = apr_palloc(p, strlen(source) + 3 * strlen(id) + 2), *o;

    o = apr_cpystrn(out, source, strlen(source) + 1);
    *o++ = '|';
    for (; *id; id++) {
        if (*id > ' ' && *id <= '~' && *id != '%') {
            *o++ = *id;
            continue;
        }
        *o++ = '%';
        *o++ = hex[((unsigned char)*id) >> 4];
        *o++ = hex[((unsigned char)*id) & 15];
    }
    *o = '\0';
    return out;
}

static const char *checked_name(rs_publish_item_t *item, const char *name, const char *code,
                                const char *reason)
{
    if (!name || rs_name_valid(name, strlen(name))) {
        return name;
    }
    rs_publish_refuse(item, code, reason);
    return NULL;
}

static void take_attributes(rs_publish_item_t *item, apr_pool_t *p, const rs_cloudevent_t *event)
{
    if (!event->specversion || strcmp(event->specversion, "1.0")) {
        rs_publish_refuse(item, "invalid_specversion", "specversion must be the string \"1.0\"");
    }
    if (!event->id || !*event->id || strlen(event->id) > ID_MAX) {
        rs_publish_refuse(item, "invalid_id", "id must be a string of 1 to 256 bytes");
    }
    if (!is_source(event->source)) {
        rs_publish_refuse(item, "invalid_source",
                          "source must be a URI or a part of one, 1 to 256 ASCII characters");
    }
    rs_publish_event_type(item, p, event->type, "type");
    if (event->stream && !*event->stream) {
        rs_publish_refuse(item, "invalid_stream", "raglinestream must be the name of a stream");
    }
    item->stream = event->stream;
    item->tenant = checked_name(item, event->tenant, "invalid_tenant_id",
                                "tenantid must be an integer or a string of 1 to 64 of "
                                "A-Z a-z 0-9 . _ @ -");
    item->user = checked_name(item, event->user, "invalid_user_id",
                              "userid must be an integer or a string of 1 to 64 of "
                              "A-Z a-z 0-9 . _ @ -");
    if (!item->code) {
        item->event_id = event_id(p, event->source, event->id);
    }
}

/* --- JSON --- */

enum { SPECVERSION, ID, SOURCE, TYPE, STREAM, TENANT, USER, DATATYPE, DATA, DATA_BASE64, MEMBERS };
static const char *const members[MEMBERS] = {
    "specversion", "id",     "source",          "type", "raglinestream",
    "tenantid",    "userid", "datacontenttype", "data", "data_base64"};

static int stranger(rs_json_t name)
{
    return !rs_cloudevent_name_valid(name.s + 1, (apr_size_t)(name.end - name.s) - 2);
}

/* null is as if it were not there. Only tenants and users may be integers. */
static const char *attribute(apr_pool_t *p, rs_json_t value, int may_be_integer)
{
    const char *text;

    if (rs_json_kind(value) == '\0' || rs_json_kind(value) == 'n') {
        return NULL;
    }
    text = may_be_integer ? rs_publish_name(p, value) : rs_json_string(p, value);
    return text ? text : "";
}

void rs_cloudevent_read(rs_publish_item_t *item, apr_pool_t *p, rs_json_t object)
{
    rs_json_t found[MEMBERS];
    rs_cloudevent_t event;
    const char *media;

    memset(found, 0, sizeof(found));
    if (rs_publish_members(item, object, members, found, MEMBERS, stranger)) {
        rs_publish_refuse(item, "unknown_member",
                          "names of attributes have lower-case letters and digits only");
    }
    event.specversion = attribute(p, found[SPECVERSION], 0);
    event.id = attribute(p, found[ID], 0);
    event.source = attribute(p, found[SOURCE], 0);
    event.type = attribute(p, found[TYPE], 0);
    event.stream = attribute(p, found[STREAM], 0);
    event.tenant = attribute(p, found[TENANT], 1);
    event.user = attribute(p, found[USER], 1);
    take_attributes(item, p, &event);
    media = attribute(p, found[DATATYPE], 0);
    rs_cloudevent_data(item, p, media && !*media ? RS_MEDIA_OTHER : rs_media_type(media),
                       found[DATA], found[DATA_BASE64]);
}

/* --- binary mode --- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The HTTP binding, 3.1.3.2: first the quotes go, then %XX, once. */
const char *rs_cloudevent_header(apr_pool_t *p, const char *value)
{
    size_t n = strlen(value);
    int quoted = n >= 2 && value[0] == '"' && value[n - 1] == '"';
    const char *s = value + quoted, *end = value + n - quoted;
    char *out = apr_palloc(p, n + 1), *o = out;

    while (s < end) {
        int high, low;

        if (quoted && *s == '\\' && end - s > 1) {
            s++;
        }
        if (*s == '%' && end - s > 2 && (high = hex_digit(s[1])) >= 0
            && (low = hex_digit(s[2])) >= 0) {
            *o++ = (char)(high * 16 + low);
            s += 3;
        }
        else {
            *o++ = *s++;
        }
    }
    n = (size_t)(o - out);
    *o = '\0';
    return memchr(out, '\0', n) || !rs_utf8_valid(out, n) ? "" : out;
}

rs_publish_body_t *rs_cloudevent_binary(apr_pool_t *p, const rs_cloudevent_t *event, int stranger,
                                        rs_media_t media, const char *data, apr_size_t len)
{
    rs_publish_body_t *b = apr_pcalloc(p, sizeof(*b));
    rs_json_t text = {data, data + len};

    b->items = apr_pcalloc(p, sizeof(*b->items));
    b->count = 1;
    if (stranger) {
        rs_publish_refuse(b->items, "unknown_member",
                          "names of attributes have letters and digits only, behind ce-");
    }
    take_attributes(b->items, p, event);
    rs_cloudevent_bytes(b->items, p, media, text);
    b->bad = b->items[0].code != NULL;
    return b;
}
