/* SPDX-License-Identifier: Apache-2.0
 *
 * CloudEvents: their JSON format, their attributes as headers, what becomes of the data, media
 * types, and every refusal.
 */
#include <stdlib.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "../../src/proto/rs_cloudevent.h"
#include "../../src/proto/rs_publish_body.h"
#include "tap.h"

static apr_pool_t *p;

/* Parses an exact copy on the heap, so that a sanitizer sees a read behind the end. */
static const char *parse(rs_publish_body_t **b, rs_publish_form_t form, const char *text)
{
    size_t n = strlen(text);
    char *copy = malloc(n ? n : 1);
    const char *err;

    memcpy(copy, text, n);
    err = rs_publish_body_parse(b, p, form, copy, n);
    free(copy);
    return err;
}

#define REQUIRED                                                                                   \
    "\"specversion\":\"1.0\",\"id\":\"A-1\",\"source\":\"/shop\",\"type\":\"t.created\""
#define EVENT(members) "{" REQUIRED members "}"

static rs_publish_item_t *one(const char *text)
{
    static rs_publish_item_t none = {.code = "nothing"};
    rs_publish_body_t *b = NULL;
    const char *err = parse(&b, RS_PUBLISH_CLOUDEVENT, text);

    if (!ok(!err && b && b->count == 1 && !b->is_array, "%.80s", text)) {
        printf("# %s\n", err ? err : "wrong count");
        return &none;
    }
    is_int(b->bad, b->items[0].code != NULL, "  counted");
    return &b->items[0];
}

static void test_mapping(void)
{
    rs_publish_item_t *i =
        one(EVENT(",\"data\":{\"n\" : 1.50},\"raglinestream\":\"orders\",\"tenantid\":\"acme\","
                  "\"userid\":7,\"subject\":\"s\",\"time\":\"2026-11-20T00:00:00Z\","
                  "\"dataschema\":\"u:x\",\"comexampleother\":true,\"datacontenttype\":"
                  "\"application/json; charset=utf-8\""));

    is_str(i->code, NULL, "  good");
    is_str(i->event_type, "t.created", "  type");
    is_str(i->payload, "{\"n\":1.50}", "  data, as it was written");
    is_int((long long)i->payload_len, 10, "  and its length");
    is_str(i->event_id, "/shop|A-1", "  source and id");
    is_str(i->stream, "orders", "  raglinestream");
    is_str(i->tenant, "acme", "  tenantid");
    is_str(i->user, "7", "  userid");

    i = one(EVENT(",\"tenantid\":null,\"userid\":null,\"raglinestream\":null,"
                  "\"datacontenttype\":null,\"data_base64\":null"));
    is_str(i->code, NULL, "  null is as if it were not there");
    ok(!i->stream && !i->tenant && !i->user, "  NULL");
    is_str(i->payload, "null", "  no data is null");
    is_str(one(EVENT(",\"tenantid\":42"))->tenant, "42", "  a tenant may be an integer");
    is_str(one("{\"specversion\":\"1.0\",\"source\":\"a\",\"type\":\"t\",\"id\":\"1 \xc3\xa9%|\"}")
               ->event_id,
           "a|1%20%C3%A9%25|", "  any text may be an id");
}

static void data(const char *members, const char *want)
{
    rs_publish_item_t *i = one(apr_pstrcat(p, "{" REQUIRED ",", members, "}", NULL));

    is_str(i->code, NULL, "  good");
    is_str(i->payload, want, "  payload");
    is_int(i->payload ? (long long)i->payload_len : -1, (long long)strlen(want), "  its length");
}

static void test_data(void)
{
    data("\"data\":19.99", "19.99");
    data("\"data\":null", "null");
    data("\"data\":\"text\"", "\"text\"");
    data("\"data\": [ 1 , {\"data\":2} ]", "[1,{\"data\":2}]");
    data("\"data\":[1],\"datacontenttype\":\"application/vnd.x+json\"", "[1]");
    data("\"data\":[1],\"datacontenttype\":\"text/json\"", "[1]");
    data("\"data\":[1],\"datacontenttype\":\"\\u0061pplication/JSON\"", "[1]");
    data("\"data\":\"a\\nb\",\"datacontenttype\":\"text/plain\"", "\"a\\nb\"");
    data("\"data\":\"<a>\",\"datacontenttype\":\"text/xml; charset=UTF-8\"", "\"<a>\"");
    data("\"data_base64\":\"eyAiYSI6IDF9\"", "{\"a\":1}");
    data("\"data\":[1e400,12345678901234567890,\"\\u0000\",\"\\ud800\"],\"x\":\"\\udc00\"",
         "[1e400,12345678901234567890,\"\\u0000\",\"\\ud800\"]");
    data("\"data_base64\":\"eyJhIjoxLCJhIjoyfQ==\"", "{\"a\":1,\"a\":2}");
    data("\"data_base64\":\"MQ==\"", "1");
    data("\"data_base64\":\"MTI=\"", "12");
    data("\"data_base64\":\"\"", "null");
    data("\"data_base64\":\"YQoi\",\"datacontenttype\":\"text/plain\"", "\"a\\u000a\\\"\"");
    data("\"data_base64\":\"\",\"datacontenttype\":\"text/plain\"", "\"\"");
}

static void code(const char *text, const char *want)
{
    rs_publish_item_t *i = one(text);

    is_str(i->code, want, "  code");
    ok(i->reason && strlen(i->reason) > 20, "  and a reason");
    ok(i->reason && !strstr(i->reason, "s3cret"), "  that quotes nothing");
}

static void test_refused(void)
{
    code("{}", "invalid_specversion");
    code("{\"specversion\":\"0.3\",\"id\":\"1\",\"source\":\"a\",\"type\":\"t\"}",
         "invalid_specversion");
    code("{\"specversion\":1.0,\"id\":\"1\",\"source\":\"a\",\"type\":\"t\"}",
         "invalid_specversion");
    code("{\"specversion\":\"1.0\",\"source\":\"a\",\"type\":\"t\"}", "invalid_id");
    code("{\"specversion\":\"1.0\",\"id\":\"\",\"source\":\"a\",\"type\":\"t\"}", "invalid_id");
    code("{\"specversion\":\"1.0\",\"id\":7,\"source\":\"a\",\"type\":\"t\"}", "invalid_id");
    code("{\"specversion\":\"1.0\",\"id\":\"1\",\"type\":\"t\"}", "invalid_source");
    code("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"\",\"type\":\"t\"}", "invalid_source");
    code("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s3cret|\",\"type\":\"t\"}",
         "invalid_source");
    code("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s3cret x\",\"type\":\"t\"}",
         "invalid_source");
    code("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"\xc3\xa9\",\"type\":\"t\"}",
         "invalid_source");
    code("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"a\"}", "invalid_event_type");
    code("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"a\",\"type\":\"s3cret x\"}",
         "invalid_event_type");
    code("{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"a\",\"type\":\"caught_up\"}",
         "reserved_type");
    code(EVENT(",\"tenant_id\":\"s3cret\""), "unknown_member");
    code(EVENT(",\"id\":\"2\""), "invalid_event");
    code(EVENT(",\"data\":1,\"data\":2"), "invalid_event");
    code(EVENT(",\"TenantId\":\"s3cret\""), "unknown_member");
    code(EVENT(",\"tenant\\u0069d\":\"s3cret\""), "unknown_member");
    code(EVENT(",\"\":1"), "unknown_member");
    code(EVENT(",\"tenantid\":\"s3cret:x\""), "invalid_tenant_id");
    code(EVENT(",\"tenantid\":\"\""), "invalid_tenant_id");
    code(EVENT(",\"tenantid\":[\"s3cret\"]"), "invalid_tenant_id");
    code(EVENT(",\"tenantid\":1.5"), "invalid_tenant_id");
    code(EVENT(",\"userid\":\"*\""), "invalid_user_id");
    code(EVENT(",\"raglinestream\":7"), "invalid_stream");
    code(EVENT(",\"raglinestream\":\"\""), "invalid_stream");
    code(EVENT(",\"data\":1,\"data_base64\":\"MQ==\""), "invalid_data");
    code(EVENT(",\"data_base64\":\"s3cret\""), "invalid_data");
    code(EVENT(",\"data_base64\":\"s3==\""), "invalid_data");
    code(EVENT(",\"data_base64\":\"M===\""), "invalid_data");
    code(EVENT(",\"data_base64\":\"=\""), "invalid_data");
    code(EVENT(",\"data_base64\":\"MQ==MQ==\""), "invalid_data");
    code(EVENT(",\"data_base64\":\"MQ-_\""), "invalid_data");
    code(EVENT(",\"data_base64\":7"), "invalid_data");
    code(EVENT(",\"data_base64\":\"eyJhIjoxLCJhIg==\""), "invalid_data");
    code(EVENT(",\"data_base64\":\"/w==\",\"datacontenttype\":\"text/plain\""), "invalid_data");
    code(EVENT(",\"data_base64\":\"YQBi\",\"datacontenttype\":\"text/plain\""), "invalid_data");
    code(EVENT(",\"data_base64\":\"MQ==\",\"datacontenttype\":\"image/png\""), "unsupported_data");
    code(EVENT(",\"data\":\"s3cret\",\"datacontenttype\":\"application/xml\""), "unsupported_data");
    code(EVENT(",\"data\":\"s3cret\",\"datacontenttype\":7"), "unsupported_data");
    code(EVENT(",\"data\":{},\"datacontenttype\":\"text/plain\""), "invalid_data");
}

static void test_lengths(void)
{
    char *text;
    int n;

    for (n = 256; n <= 257; n++) {
        text = apr_psprintf(p,
                            "{\"specversion\":\"1.0\",\"id\":\"%0*d\",\"source\":\"a\","
                            "\"type\":\"t\"}",
                            n, 1);
        is_str(one(text)->code, n == 256 ? NULL : "invalid_id", "  id's length");
        text = apr_psprintf(p,
                            "{\"specversion\":\"1.0\",\"id\":\"a\",\"source\":\"%0*d\","
                            "\"type\":\"t\"}",
                            n, 1);
        is_str(one(text)->code, n == 256 ? NULL : "invalid_source", "  source's length");
    }
}

static void test_array(void)
{
    rs_publish_body_t *b = NULL;
    const char *err;

    is_str(parse(&b, RS_PUBLISH_CLOUDEVENTS,
                 " [" EVENT(",\"data\":[1]") " , 7 ,{} , " EVENT(",\"data\":\"]\"") "] "),
           NULL, "an array");
    if (ok(b && b->is_array && b->count == 4 && b->bad == 2, "  is counted")) {
        is_str(b->items[0].payload, "[1]", "  0 is good");
        is_str(b->items[1].code, "invalid_event", "  1 is no object");
        is_str(b->items[2].code, "invalid_specversion", "  2 is empty");
        is_str(b->items[3].payload, "\"]\"", "  3 is good");
    }
    err = parse(&b, RS_PUBLISH_CLOUDEVENT, "[" EVENT("") "]");
    ok(err && !b && strstr(err, "batch"), "an array is no single event");
    err = parse(&b, RS_PUBLISH_CLOUDEVENTS, EVENT(""));
    ok(err && !b && strstr(err, "cloudevents+json"), "a single event is no array");
    err = parse(&b, RS_PUBLISH_CLOUDEVENTS, "[]");
    ok(err && !b && strstr(err, "1 to 1000"), "an empty array");
}

static rs_publish_item_t *binary(rs_media_t media, const char *body, size_t n)
{
    rs_cloudevent_t event = {"1.0", "1", "/s", "t", NULL, NULL, NULL};
    char *copy = malloc(n ? n : 1);
    rs_publish_body_t *b;

    memcpy(copy, body, n);
    b = rs_cloudevent_binary(p, &event, 0, media, copy, n);
    free(copy);
    ok(b->count == 1 && !b->is_array && b->bad == (b->items[0].code != NULL), "binary: %.40s",
       body);
    return &b->items[0];
}

static void test_binary(void)
{
    rs_cloudevent_t event = {"1.0", "1", "/s", "t", "orders", "acme", "7"};
    rs_publish_item_t *i = rs_cloudevent_binary(p, &event, 0, RS_MEDIA_JSON, "{ }", 3)->items;

    is_str(i->code, NULL, "binary mode");
    is_str(i->event_id, "/s|1", "  source and id");
    is_str(i->stream, "orders", "  raglinestream");
    is_str(i->tenant, "acme", "  tenantid");
    is_str(i->user, "7", "  userid");
    is_str(i->payload, "{}", "  the body");
    is_str(rs_cloudevent_binary(p, &event, 1, RS_MEDIA_JSON, "{}", 2)->items->code,
           "unknown_member", "  a header that no attribute is called");
    event.type = "";
    is_str(rs_cloudevent_binary(p, &event, 0, RS_MEDIA_JSON, "{}", 2)->items->code,
           "invalid_event_type", "  an attribute that is no text");
    is_str(binary(RS_MEDIA_NONE, "", 0)->payload, "null", "  no data");
    is_str(binary(RS_MEDIA_JSON, " \"x\" ", 5)->payload, "\"x\"", "  any JSON value");
    is_str(binary(RS_MEDIA_NONE, "12.50", 5)->payload, "12.50", "  without a type it is JSON");
    is_str(binary(RS_MEDIA_JSON_OTHER, "[1]", 3)->payload, "[1]", "  +json");
    is_str(binary(RS_MEDIA_TEXT, "a \"b\"\n", 6)->payload, "\"a \\\"b\\\"\\u000a\"", "  text");
    is_str(binary(RS_MEDIA_TEXT, "", 0)->payload, "\"\"", "  no text");
    is_str(binary(RS_MEDIA_OTHER, "x", 1)->code, "unsupported_data", "  neither");
    is_str(binary(RS_MEDIA_JSON, "s3cret", 6)->code, "invalid_data", "  no JSON");
    is_str(binary(RS_MEDIA_JSON, "1\0", 2)->code, "invalid_data", "  a NUL behind JSON");
    is_str(binary(RS_MEDIA_JSON, "1 2", 3)->code, "invalid_data", "  two values");
    is_str(binary(RS_MEDIA_JSON, " ", 1)->code, "invalid_data", "  only a space");
    is_str(binary(RS_MEDIA_TEXT, "\xff", 1)->code, "invalid_data", "  not UTF-8");
    is_str(binary(RS_MEDIA_TEXT, "a\0", 2)->code, "invalid_data", "  a NUL in text");
}

static void test_header(void)
{
    is_str(rs_cloudevent_header(p, "a b"), "a b", "a header as it is");
    is_str(rs_cloudevent_header(p, "Euro%20%E2%82%AC"), "Euro \xe2\x82\xac", "percent-encoded");
    is_str(rs_cloudevent_header(p, "%2541"), "%41", "once");
    is_str(rs_cloudevent_header(p, "5%"), "5%", "a percent sign at the end");
    is_str(rs_cloudevent_header(p, "%zz%4"), "%zz%4", "not hexadecimal");
    is_str(rs_cloudevent_header(p, "\"a\\\"b %41\""), "a\"b A", "quoted");
    is_str(rs_cloudevent_header(p, "\""), "\"", "a quote alone");
    is_str(rs_cloudevent_header(p, "\"\\\""), "\\", "a backslash before the last quote");
    is_str(rs_cloudevent_header(p, ""), "", "empty");
    is_str(rs_cloudevent_header(p, "a%00"), "", "a NUL is no text");
    is_str(rs_cloudevent_header(p, "%ff"), "", "nor is what is not UTF-8");
}

static void test_names(void)
{
    rs_cloudevent_t event = {NULL, NULL, NULL, NULL, NULL, NULL, NULL};

    ok(rs_cloudevent_attribute(&event, "tenantid", 8) == &event.tenant, "tenantid is one of ours");
    ok(rs_cloudevent_attribute(&event, "idx", 2) == &event.id, "names have a length");
    ok(!rs_cloudevent_attribute(&event, "ID", 2) && !rs_cloudevent_attribute(&event, "", 0)
           && !rs_cloudevent_attribute(&event, "subject", 7),
       "others are not");
    ok(rs_cloudevent_name_valid("abc09", 5), "letters and digits");
    ok(!rs_cloudevent_name_valid("a_b", 3) && !rs_cloudevent_name_valid("A", 1)
           && !rs_cloudevent_name_valid("", 0),
       "nothing else");
}

static void test_media(void)
{
    static const struct {
        const char *type;
        rs_media_t want;
    } cases[] = {
        {NULL, RS_MEDIA_NONE},
        {"", RS_MEDIA_NONE},
        {" ", RS_MEDIA_NONE},
        {";charset=utf-8", RS_MEDIA_OTHER},
        {"application/json", RS_MEDIA_JSON},
        {"Application/JSON;charset=utf-8", RS_MEDIA_JSON},
        {"application/json ; x", RS_MEDIA_JSON},
        {"application/jsonx", RS_MEDIA_OTHER},
        {"application/json-patch+json", RS_MEDIA_JSON_OTHER},
        {"text/json", RS_MEDIA_JSON_OTHER},
        {"+json", RS_MEDIA_OTHER},
        {"application/cloudevents+json", RS_MEDIA_CLOUDEVENT},
        {"application/CloudEvents+JSON; charset=UTF-8", RS_MEDIA_CLOUDEVENT},
        {"application/cloudevents-batch+json", RS_MEDIA_CLOUDEVENTS},
        {"application/cloudevents", RS_MEDIA_OTHER},
        {"application/cloudevents+avro", RS_MEDIA_OTHER},
        {"application/cloudeventsx+json", RS_MEDIA_OTHER},
        {"text/plain", RS_MEDIA_TEXT},
        {"text/plain;charset=utf-8", RS_MEDIA_TEXT},
        {"text/plain; format=flowed; Charset=\"UTF-8\"; x=y", RS_MEDIA_TEXT},
        {"text/plain; charset=us-ascii", RS_MEDIA_TEXT},
        {"text/plain; charset=iso-8859-1", RS_MEDIA_OTHER},
        {"text/plain; x=\"charset=y\"; charset=latin1", RS_MEDIA_OTHER},
        {"text/plain; charset", RS_MEDIA_OTHER},
        {"text/plain; charset=\"utf-8", RS_MEDIA_TEXT},
        {"text/plain;;==;\"", RS_MEDIA_TEXT},
        {"application/xml", RS_MEDIA_OTHER},
        {"image/png", RS_MEDIA_OTHER},
        {"json", RS_MEDIA_OTHER},
    };
    size_t i;

    for (i = 0; i < RS_ARRAY_LEN(cases); i++) {
        is_int(rs_media_type(cases[i].type), cases[i].want,
               cases[i].type ? cases[i].type : "no type");
    }
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&p, NULL);
    test_mapping();
    test_data();
    test_refused();
    test_lengths();
    test_array();
    test_binary();
    test_header();
    test_names();
    test_media();
    apr_pool_destroy(p);
    apr_terminate();
    return done_testing();
}
