/* SPDX-License-Identifier: Apache-2.0
 *
 * Payloads of CloudEvents. A worker thread.
 */
#include <string.h>

#include <apr_strings.h>

#include "../base/rs_buf.h"
#include "../base/rs_utf8.h"
#include "rs_cloudevent.h"
#include "rs_cloudevent_data.h"

static const char unsupported[] =
    "data must be JSON or text in UTF-8: a stream cannot carry anything else";

int rs_cloudevent_takes(rs_media_t media)
{
    return media == RS_MEDIA_NONE || media == RS_MEDIA_JSON || media == RS_MEDIA_JSON_OTHER
           || media == RS_MEDIA_TEXT;
}

static void no_data(rs_publish_item_t *item)
{
    item->payload = "null";
    item->payload_len = 4;
}

static void json_bytes(rs_publish_item_t *item, apr_pool_t *p, rs_json_t data)
{
    rs_json_t value;
    const char *why = rs_json_check(&value, p, "the data", data, RS_JSON_DEPTH_MAX);

    if (why) {
        rs_publish_refuse(item, "invalid_data", why);
    }
    else {
        item->payload = rs_json_compact(&item->payload_len, p, value);
    }
}

static void text_bytes(rs_publish_item_t *item, apr_pool_t *p, rs_json_t data)
{
    apr_size_t n = (apr_size_t)(data.end - data.s);
    rs_buf_t b = RS_BUF_INIT;

    if (memchr(data.s, '\0', n) || !rs_utf8_valid(data.s, n)) {
        rs_publish_refuse(item, "invalid_data", "the data is not text in UTF-8");
        return;
    }
    rs_buf_json(&b, data.s, n);
    if (rs_buf_ok(&b)) {
        item->payload = apr_pstrmemdup(p, b.data, b.len);
        item->payload_len = b.len;
    }
    else {
        rs_publish_refuse(item, "invalid_data", "there is no memory for the data");
    }
    rs_buf_free(&b);
}

void rs_cloudevent_bytes(rs_publish_item_t *item, apr_pool_t *p, rs_media_t media, rs_json_t data)
{
    if (media == RS_MEDIA_TEXT) {
        text_bytes(item, p, data);
    }
    else if (!rs_cloudevent_takes(media)) {
        rs_publish_refuse(item, "unsupported_data", unsupported);
    }
    else if (data.s == data.end) {
        no_data(item);
    }
    else {
        json_bytes(item, p, data);
    }
}

static int base64_digit(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* RFC 4648, 4: padded, and without anything else in it. 0: it is not that. */
static int base64_decode(rs_json_t *out, apr_pool_t *p, const char *s, apr_size_t n)
{
    apr_size_t pad = n >= 4 ? (s[n - 1] == '=') + (s[n - 1] == '=' && s[n - 2] == '=') : 0, i;
    char *o = apr_palloc(p, n / 4 * 3 + 1);
    unsigned int bits = 0;

    if (n % 4) {
        return 0;
    }
    out->s = o;
    for (i = 0; i < n; i++) {
        int digit = i < n - pad ? base64_digit(s[i]) : 0;

        if (digit < 0) {
            return 0;
        }
        bits = (bits << 6 | (unsigned int)digit) & 0xffffff;
        if (i % 4 == 3) {
            *o++ = (char)(bits >> 16);
            *o++ = (char)(bits >> 8 & 0xff);
            *o++ = (char)(bits & 0xff);
        }
    }
    out->end = o - pad;
    return 1;
}

/* JSON in JSON is what it is; text is a JSON string, which is a payload as it stands. */
static void json_data(rs_publish_item_t *item, apr_pool_t *p, rs_media_t media, rs_json_t data)
{
    if (!rs_cloudevent_takes(media)) {
        rs_publish_refuse(item, "unsupported_data", unsupported);
    }
    else if (media == RS_MEDIA_TEXT && rs_json_kind(data) != '"') {
        rs_publish_refuse(item, "invalid_data",
                          "data must be a string, since datacontenttype says that it is text");
    }
    else {
        item->payload = rs_json_compact(&item->payload_len, p, data);
    }
}

static int is_there(rs_json_t value)
{
    return rs_json_kind(value) != '\0' && rs_json_kind(value) != 'n';
}

void rs_cloudevent_data(rs_publish_item_t *item, apr_pool_t *p, rs_media_t media, rs_json_t data,
                        rs_json_t base64)
{
    const char *text = rs_json_string(p, base64);
    rs_json_t bytes;

    if (is_there(data) && is_there(base64)) {
        rs_publish_refuse(item, "invalid_data", "data and data_base64 exclude each other");
    }
    else if (is_there(data)) {
        json_data(item, p, media, data);
    }
    else if (!is_there(base64)) {
        no_data(item);
    }
    else if (!text || !base64_decode(&bytes, p, text, strlen(text))) {
        rs_publish_refuse(item, "invalid_data",
                          "data_base64 must be a string in base64, with its padding");
    }
    else {
        rs_cloudevent_bytes(item, p, media, bytes);
    }
}
