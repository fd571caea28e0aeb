/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading publish requests. The worker. What an event may be is decided in src/proto.
 */
#include "../conf/rs_httpd.h"
#include "../base/rs_buf.h"
#include "rs_body.h"
#include "rs_error.h"
#include "rs_publish_read.h"
#include "rs_request.h"

/* A body may be eight times RaglineMaxMessage: an array of several, or one that is indented. */
#define BODY_TIMES 8
#define BODY_LEAST ((apr_off_t)64 * 1024)
#define BODY_MOST ((apr_off_t)8 * 1024 * 1024)

static apr_off_t body_limit(request_rec *r, const rs_server_conf_t *server)
{
    apr_off_t limit = server->max_message * BODY_TIMES, core = ap_get_limit_req_body(r);

    limit = limit < BODY_LEAST ? BODY_LEAST : limit > BODY_MOST ? BODY_MOST : limit;
    return core > 0 && core < limit ? core : limit;
}

/* --- the head --- */

static const char prefix[] = "ce-";
#define PREFIX_LEN (sizeof(prefix) - 1)

typedef struct {
    apr_pool_t *p;
    rs_cloudevent_t event;
    int found;    /* one of the attributes that every CloudEvent has */
    int stranger; /* a header that is called as no attribute can be */
} attributes_t;

static int take_header(void *data, const char *name, const char *value)
{
    attributes_t *a = data;
    const char **place;
    char *attribute;

    if (ap_cstr_casecmpn(name, prefix, PREFIX_LEN)) {
        return 1;
    }
    attribute = apr_pstrdup(a->p, name + PREFIX_LEN);
    ap_str_tolower(attribute);
    place = rs_cloudevent_attribute(&a->event, attribute, strlen(attribute));
    if (place) {
        *place = rs_cloudevent_header(a->p, value);
    }
    a->stranger |= !rs_cloudevent_name_valid(attribute, strlen(attribute));
    return 1;
}

static void take_headers(attributes_t *a, request_rec *r)
{
    memset(a, 0, sizeof(*a));
    a->p = r->pool;
    apr_table_do(take_header, a, r->headers_in, NULL);
    a->found = a->event.specversion || a->event.id || a->event.source || a->event.type;
}

static int is_unpacked(request_rec *r)
{
    const ap_filter_t *f;

    for (f = r->input_filters; f; f = f->next) {
        if (!ap_cstr_casecmp(f->frec->name, "DEFLATE")) {
            return 1;
        }
    }
    return 0;
}

static int unsupported(request_rec *r, const char *message)
{
    return rs_http_error(r, HTTP_UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message);
}

/* The HTTP binding, 3: a type of CloudEvents comes before headers of CloudEvents. */
static int choose_form(rs_publish_head_t *head, request_rec *r)
{
    attributes_t attributes;

    head->media = rs_media_type(apr_table_get(r->headers_in, "Content-Type"));
    head->binary = 0;
    if (head->media == RS_MEDIA_CLOUDEVENT || head->media == RS_MEDIA_CLOUDEVENTS) {
        head->form =
            head->media == RS_MEDIA_CLOUDEVENT ? RS_PUBLISH_CLOUDEVENT : RS_PUBLISH_CLOUDEVENTS;
        return OK;
    }
    head->form = RS_PUBLISH_EVENTS;
    take_headers(&attributes, r);
    head->binary = attributes.found;
    if (head->binary) {
        return rs_cloudevent_takes(head->media)
                   ? OK
                   : unsupported(r, "data must be JSON or text in UTF-8: a stream cannot carry "
                                    "anything else");
    }
    return head->media == RS_MEDIA_JSON
               ? OK
               : unsupported(r, "publish with Content-Type: application/json, "
                                "application/cloudevents+json or "
                                "application/cloudevents-batch+json");
}

int rs_publish_check_head(rs_publish_head_t *head, request_rec *r, const rs_server_conf_t *server)
{
    const char *length = apr_table_get(r->headers_in, "Content-Length");
    apr_off_t n;
    char *end;
    int status;

    head->limit = body_limit(r, server);
    if (r->method_number != M_POST) {
        return rs_http_method_error(r, "POST");
    }
    if ((status = choose_form(head, r)) != OK) {
        return status;
    }
    if (rs_body_is_packed(r) && !is_unpacked(r)) {
        return rs_body_refuse_packed(r);
    }
    if (length && (apr_strtoff(&n, length, &end, 10) != APR_SUCCESS || *end || n < 0)) {
        return rs_http_error(r, HTTP_BAD_REQUEST, "bad_request", "Content-Length is not a number");
    }
    return length && n > head->limit ? rs_body_too_large(r, head->limit) : OK;
}

/* --- the body --- */

static const char *parse(rs_publish_body_t **body, request_rec *r, const rs_publish_head_t *head,
                         const rs_buf_t *b)
{
    const char *data = b->data ? b->data : "";
    attributes_t a;

    if (!head->binary) {
        return rs_publish_body_parse(body, r->pool, head->form, data, b->len);
    }
    take_headers(&a, r);
    *body = rs_cloudevent_binary(r->pool, &a.event, a.stranger, head->media, data, b->len);
    return NULL;
}

int rs_publish_read(rs_publish_body_t **body, request_rec *r, const rs_publish_head_t *head)
{
    rs_buf_t b = RS_BUF_INIT;
    const char *problem = NULL;
    int status = rs_body_read(r, &b, head->limit);

    if (status == OK) {
        problem = parse(body, r, head, &b);
    }
    rs_buf_free(&b); /* before Redis is waited for: what is needed of it has been copied */
    if (status != OK) {
        return status;
    }
    return problem ? rs_http_error(r, HTTP_BAD_REQUEST, "invalid_json", problem) : OK;
}
