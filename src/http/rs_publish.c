/* SPDX-License-Identifier: Apache-2.0
 *
 * Publishing over HTTP. The worker: reads the body, checks every event, and only then writes them,
 * all together. What an event may be is decided in proto/rs_publish_body.c, what may be written
 * where is decided here, how it is written in redis/rs_redis_publish.c, and what the client is
 * told in rs_publish_answer.c.
 */
#include "../conf/rs_httpd.h"
#include "../base/rs_buf.h"
#include "rs_error.h"
#include "rs_identity.h"
#include "rs_publish.h"
#include "rs_publish_answer.h"
#include "rs_request.h"

/* A body may be eight times RaglineMaxMessage: an array of several, or one that is indented. */
#define BODY_TIMES 8
#define BODY_LEAST ((apr_off_t)64 * 1024)
#define BODY_MOST ((apr_off_t)8 * 1024 * 1024)

#define EVENT_ID_FIELD "event_id"

/* --- reading --- */

static apr_off_t body_limit(request_rec *r, const rs_server_conf_t *server)
{
    apr_off_t limit = server->max_message * BODY_TIMES, core = ap_get_limit_req_body(r);

    limit = limit < BODY_LEAST ? BODY_LEAST : limit > BODY_MOST ? BODY_MOST : limit;
    return core > 0 && core < limit ? core : limit;
}

static int too_large(request_rec *r, apr_off_t limit)
{
    return rs_http_error(
        r, HTTP_REQUEST_ENTITY_TOO_LARGE, "body_too_large",
        apr_psprintf(r->pool, "the body is larger than %" APR_OFF_T_FMT " bytes", limit));
}

static int is_json(const char *type)
{
    static const char json[] = "application/json";
    const apr_size_t n = sizeof(json) - 1;

    return type && !ap_cstr_casecmpn(type, json, n)
           && (type[n] == '\0' || type[n] == ';' || type[n] == ' ' || type[n] == '\t');
}

/* What can be refused before a byte of the body is read (and asked for, with Expect). */
static int check_head(request_rec *r, apr_off_t limit)
{
    const char *length = apr_table_get(r->headers_in, "Content-Length");
    apr_off_t n;
    char *end;

    if (r->method_number != M_POST) {
        ap_allow_methods(r, REPLACE_ALLOW, "POST", NULL);
        apr_table_setn(r->err_headers_out, "Allow", "POST");
        return rs_http_error(r, HTTP_METHOD_NOT_ALLOWED, "method_not_allowed", "publish with POST");
    }
    if (!is_json(apr_table_get(r->headers_in, "Content-Type"))) {
        return rs_http_error(r, HTTP_UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type",
                             "publish with Content-Type: application/json");
    }
    if (length && (apr_strtoff(&n, length, &end, 10) != APR_SUCCESS || *end || n < 0)) {
        return rs_http_error(r, HTTP_BAD_REQUEST, "bad_request", "Content-Length is not a number");
    }
    return length && n > limit ? too_large(r, limit) : OK;
}

static int read_failed(request_rec *r, apr_status_t rv)
{
    int status = ap_map_http_request_error(rv, HTTP_BAD_REQUEST);

    ap_log_rerror(APLOG_MARK, APLOG_INFO, rv > 0 ? rv : 0, r,
                  "RS0471: the body of a publish request cannot be read");
    switch (status) {
    case HTTP_REQUEST_ENTITY_TOO_LARGE:
        return rs_http_error(r, status, "body_too_large",
                             "the body is larger than LimitRequestBody allows");
    case HTTP_REQUEST_TIME_OUT:
        return rs_http_error(r, status, "timeout", "the body did not arrive in time");
    case HTTP_BAD_REQUEST:
        return rs_http_error(r, status, "bad_request", "the body did not arrive whole");
    default:
        return status; /* a filter has answered already, or httpd knows better */
    }
}

/* Appends a brigade's data. Sets *eos at the end of the body. */
static apr_status_t take_brigade(rs_buf_t *out, apr_bucket_brigade *bb, int *eos)
{
    apr_bucket *b;

    for (b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b)) {
        const char *data;
        apr_size_t len;
        apr_status_t rv;

        if (APR_BUCKET_IS_EOS(b)) {
            *eos = 1;
            break;
        }
        if (APR_BUCKET_IS_METADATA(b)) {
            continue;
        }
        if ((rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ)) != APR_SUCCESS) {
            return rv;
        }
        rs_buf_add(out, data, len);
    }
    return rs_buf_ok(out) ? APR_SUCCESS : APR_ENOMEM;
}

static int read_body(request_rec *r, rs_buf_t *out, apr_off_t limit)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    apr_status_t rv = APR_SUCCESS;
    int eos = 0;

    /* httpd's own filter answers some bad bodies before it returns: let that be JSON as well. */
    rs_http_error(r, HTTP_BAD_REQUEST, "bad_request", "the body is broken or too large");
    while (!eos) {
        rv = ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ,
                            HUGE_STRING_LEN);
        if (rv == APR_SUCCESS) {
            rv = take_brigade(out, bb, &eos);
        }
        apr_brigade_cleanup(bb);
        if (rv != APR_SUCCESS) {
            return read_failed(r, rv);
        }
        if ((apr_off_t)out->len > limit) {
            return too_large(r, limit);
        }
    }
    rs_request(r)->error_code = NULL;
    return OK;
}

/* --- what may be written --- */

static void refuse(rs_publish_item_t *item, const char *code, const char *reason)
{
    item->code = code;
    item->reason = reason;
}

static int listed(const apr_array_header_t *names, const char *name)
{
    int i;

    for (i = 0; names && i < names->nelts; i++) {
        if (!strcmp(APR_ARRAY_IDX(names, i, const char *), name)) {
            return 1;
        }
    }
    return 0;
}

/* Whose event it is. Returns a status when the caller's own tenant is needed and not there. */
static int settle_tenant(rs_publish_t *pub, rs_publish_item_t *item, const rs_stream_conf_t *stream)
{
    const char *literal = stream->tenant_literal;
    rs_identity_t id;
    int status;

    if (pub->dir->publish_any_tenant) {
        if (!item->tenant && !literal) {
            if (!pub->tenant) {
                if ((status = rs_identity(pub->r, &id)) != OK) {
                    return status;
                }
                pub->tenant = id.tenant;
            }
            item->tenant = pub->tenant;
        }
    }
    else {
        if ((item->tenant && strcmp(item->tenant, pub->tenant))
            || (literal && strcmp(literal, pub->tenant))) {
            refuse(item, "tenant", "this location publishes for the caller's own tenant only");
            return OK;
        }
        item->tenant = pub->tenant;
    }
    if (literal) {
        if (item->tenant && strcmp(item->tenant, literal)) {
            refuse(item, "tenant", "this stream belongs to another tenant");
        }
        item->tenant = literal;
    }
    return OK;
}

static void add_field(rs_xadd_t *write, const char *name, const char *value, apr_size_t len)
{
    rs_xadd_field_t *field = &write->fields[write->nfields++];

    field->name = name;
    field->value = value;
    field->len = len;
}

static void prepare(const rs_publish_t *pub, const rs_publish_item_t *item,
                    const rs_stream_conf_t *stream, rs_xadd_t *write)
{
    write->key = rs_stream_key(pub->r->pool, stream->key, item->tenant);
    write->maxlen = stream->maxlen;
    if (!stream->tenant_literal) {
        add_field(write, stream->tenant_field, item->tenant, strlen(item->tenant));
    }
    add_field(write, stream->type_field, item->event_type, strlen(item->event_type));
    add_field(write, stream->data_field, item->payload, item->payload_len);
    if (item->user) {
        add_field(write, stream->user_field, item->user, strlen(item->user));
    }
    if (item->event_id) {
        add_field(write, EVENT_ID_FIELD, item->event_id, strlen(item->event_id));
    }
}

static int check_item(rs_publish_t *pub, rs_publish_item_t *item, rs_xadd_t *write)
{
    const rs_stream_conf_t *stream = NULL;
    int status;

    if (item->code) {
        return OK;
    }
    if (listed(pub->dir->publish, item->stream)) {
        stream = rs_conf_stream(pub->server, item->stream);
    }
    if (!stream) {
        refuse(item, "stream", "this location does not publish to this stream");
        return OK;
    }
    if ((status = settle_tenant(pub, item, stream)) != OK || item->code) {
        return status;
    }
    if (item->payload_len > (apr_size_t)pub->server->max_message) {
        refuse(item, "too_big", "the payload is larger than RaglineMaxMessage");
        return OK;
    }
    prepare(pub, item, stream, write);
    if (!write->key) {
        refuse(item, "tenant", "this tenant has no stream");
    }
    return OK;
}

/* --- the request --- */

static int write_all(rs_publish_t *pub)
{
    char class[RS_REDIS_CLASS_LEN];
    rs_publish_outcome_t outcome;
    rs_redis_conn_t *conn;
    apr_status_t rv;

    rv = rs_redis_pool_acquire(&conn, pub->server->pool);
    if (rv == APR_TIMEUP) {
        return rs_publish_unavailable(pub->r,
                                      "all connections to Redis are in use; nothing was written");
    }
    if (rv != APR_SUCCESS) {
        return rs_publish_unavailable(pub->r, "Redis cannot be reached; nothing was written");
    }
    outcome = rs_redis_publish(conn, pub->writes, pub->body->count, class);
    rs_redis_pool_release(pub->server->pool, conn);
    return rs_publish_answer(pub, outcome, class);
}

static int publish(rs_publish_t *pub)
{
    int i, bad = 0, status;

    pub->writes = apr_pcalloc(pub->r->pool, (apr_size_t)pub->body->count * sizeof(*pub->writes));
    for (i = 0; i < pub->body->count; i++) {
        rs_publish_item_t *item = &pub->body->items[i];

        if ((status = check_item(pub, item, &pub->writes[i])) != OK) {
            return status;
        }
        bad += item->code != NULL;
    }
    return bad ? rs_publish_answer_bad(pub, bad) : write_all(pub);
}

int rs_publish_handler(request_rec *r)
{
    rs_publish_t pub = {r, rs_conf_dir(r), rs_conf_server(r->server), NULL, NULL, NULL};
    apr_off_t limit = body_limit(r, pub.server);
    rs_buf_t body = RS_BUF_INIT;
    const char *problem = NULL;
    rs_identity_t id;
    int status;

    if ((status = check_head(r, limit)) != OK) {
        return status;
    }
    if (!pub.dir->publish_any_tenant) {
        if ((status = rs_identity(r, &id)) != OK) {
            return status;
        }
        pub.tenant = id.tenant;
    }
    if (!pub.server->pool) {
        return rs_publish_unavailable(r, "this server could not set up its connections to Redis");
    }
    status = read_body(r, &body, limit);
    if (status == OK) {
        problem = rs_publish_body_parse(&pub.body, r->pool, body.data ? body.data : "", body.len);
    }
    rs_buf_free(&body); /* before Redis is waited for: what is needed of it has been copied */
    if (status != OK) {
        return status;
    }
    if (problem) {
        return rs_http_error(r, HTTP_BAD_REQUEST, "invalid_json", problem);
    }
    return publish(&pub);
}
