/* SPDX-License-Identifier: Apache-2.0
 *
 * Publishing over HTTP. The worker: checks every event, and only then writes them, all together.
 * The request is read in rs_publish_read.c, what an event may be is decided in
 * proto/rs_publish_body.c and proto/rs_cloudevent.c, what may be written where is decided here, how
 * it is written in redis/rs_redis_publish.c, and what the client is told in rs_publish_answer.c.
 */
#include "../conf/rs_httpd.h"
#include "rs_error.h"
#include "rs_identity.h"
#include "rs_publish.h"
#include "rs_publish_answer.h"
#include "rs_publish_read.h"
#include "rs_request.h"
#include "rs_revocation_check.h"

#define EVENT_ID_FIELD "event_id"

/* --- what may be written --- */

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
                if ((status = rs_identity_publisher(pub->r, &id)) != OK) {
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
            rs_publish_refuse(item, "tenant",
                              "this location publishes for the caller's own tenant only");
            return OK;
        }
        item->tenant = pub->tenant;
    }
    if (literal) {
        if (item->tenant && strcmp(item->tenant, literal)) {
            rs_publish_refuse(item, "tenant", "this stream belongs to another tenant");
        }
        item->tenant = literal;
    }
    return OK;
}

/* A CloudEvent need not say to which stream it goes where there is only one. */
static void settle_stream(const rs_publish_t *pub, rs_publish_item_t *item)
{
    const apr_array_header_t *names = pub->dir->publish;

    if (item->stream) {
        return;
    }
    if (names && names->nelts == 1) {
        item->stream = APR_ARRAY_IDX(names, 0, const char *);
    }
    else {
        rs_publish_refuse(item, "invalid_stream",
                          "raglinestream must name the stream: this location publishes to several");
    }
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
    if (stream->maxage) {
        write->minid = apr_time_as_msec(apr_time_now() - stream->maxage);
    }
    write->idle = apr_time_as_msec(stream->idle);
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

    if (!item->code) {
        settle_stream(pub, item);
    }
    if (item->code) {
        return OK;
    }
    if (listed(pub->dir->publish, item->stream)) {
        stream = rs_conf_stream(pub->server, item->stream);
    }
    if (!stream) {
        rs_publish_refuse(item, "stream", "this location does not publish to this stream");
        return OK;
    }
    if ((status = settle_tenant(pub, item, stream)) != OK || item->code) {
        return status;
    }
    if (item->payload_len > (apr_size_t)pub->server->max_message) {
        rs_publish_refuse(item, "too_big", "the payload is larger than RaglineMaxMessage");
        return OK;
    }
    prepare(pub, item, stream, write);
    if (!write->key) {
        rs_publish_refuse(item, "tenant", "this tenant has no stream");
    }
    else if (item->event_id) {
        write->event_key = rs_event_key(pub->r->pool, write->key, item->tenant, item->event_id);
    }
    return OK;
}

/* --- the request --- */

/* APR_SUCCESS, or there was no connection. *demoted: nothing was written because the server is not
 * the master any more; another connection leads to the one that is. */
static apr_status_t try_write(rs_publish_t *pub, rs_publish_outcome_t *outcome,
                              char class[RS_REDIS_CLASS_LEN], int *demoted)
{
    rs_redis_pool_t *pool = pub->server->pool;
    rs_redis_conn_t *conn;
    apr_status_t rv = rs_redis_pool_acquire(&conn, pool);

    if (rv != APR_SUCCESS) {
        return rv;
    }
    *outcome = rs_redis_publish(conn, pub->writes, pub->body->count, class);
    *demoted = *outcome == RS_PUBLISH_REFUSED && !strcmp(class, "READONLY");
    if (*demoted) {
        rs_redis_pool_demoted(pool, conn);
    }
    rs_redis_pool_release(pool, conn);
    return APR_SUCCESS;
}

static int write_all(rs_publish_t *pub)
{
    char class[RS_REDIS_CLASS_LEN];
    rs_publish_outcome_t outcome;
    int demoted;
    apr_status_t rv = try_write(pub, &outcome, class, &demoted);

    if (rv == APR_SUCCESS && demoted) {
        rv = try_write(pub, &outcome, class, &demoted);
    }
    if (rv == APR_TIMEUP) {
        return rs_publish_unavailable(pub->r,
                                      "all connections to Redis are in use; nothing was written");
    }
    if (rv != APR_SUCCESS) {
        return rs_publish_unavailable(pub->r, "Redis cannot be reached; nothing was written");
    }
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
    rs_publish_t pub = {r, rs_request_conf(r), rs_conf_server(r->server), NULL, NULL, NULL};
    rs_publish_head_t head;
    rs_identity_t id;
    int status;

    if ((status = rs_publish_check_head(&head, r, pub.server)) != OK) {
        return status;
    }
    if (!pub.dir->publish_any_tenant) {
        if ((status = rs_identity_publisher(r, &id)) != OK) {
            return status;
        }
        pub.tenant = id.tenant;
        if ((status = rs_revocation_check(r, id.tenant, "")) != OK) {
            return status;
        }
    }
    else if ((status = rs_revocation_check_caller(r)) != OK) {
        return status;
    }
    if (!pub.server->pool) {
        return rs_publish_unavailable(r, "this server could not set up its connections to Redis");
    }
    status = rs_publish_read(&pub.body, r, &head);
    return status == OK ? publish(&pub) : status;
}
