/* SPDX-License-Identifier: Apache-2.0
 *
 * What a publisher is told: the ids, or which event is why not written, or what is not known. The
 * worker. Nothing of a body, and no more of Redis's errors than their first word, is quoted in an
 * answer or in a log.
 */
#include "../conf/rs_httpd.h"
#include <apr_atomic.h>

#include "../base/rs_buf.h"
#include "rs_error.h"
#include "rs_publish_answer.h"

/* Refusals by Redis are logged once in so many seconds and child. */
#define LOG_EVERY 10

/* Sends what was built and frees it. */
static int send_json(request_rec *r, int status, rs_buf_t *b)
{
    const char *body = rs_buf_ok(b) ? apr_pstrmemdup(r->pool, b->data, b->len) : NULL;

    rs_buf_free(b);
    return body ? rs_http_json(r, status, body) : HTTP_INTERNAL_SERVER_ERROR;
}

static void put_error(rs_buf_t *b, const char **separator, int index, const char *code,
                      const char *message)
{
    rs_buf_printf(b, "%s{\"index\":%d,\"code\":", *separator, index);
    rs_buf_json(b, code, strlen(code));
    rs_buf_puts(b, ",\"message\":");
    rs_buf_json(b, message, strlen(message));
    rs_buf_puts(b, "}");
    *separator = ",";
}

/* Whether each of the bad events has one of the two codes. */
static int all_are(const rs_publish_body_t *body, const char *code, const char *or_code)
{
    int i;

    for (i = 0; i < body->count; i++) {
        const char *found = body->items[i].code;

        if (found && strcmp(found, code) && strcmp(found, or_code)) {
            return 0;
        }
    }
    return 1;
}

int rs_publish_answer_bad(const rs_publish_t *pub, int bad)
{
    int forbidden = all_are(pub->body, "tenant", "stream");
    int too_big = all_are(pub->body, "too_big", "too_big");
    const char *separator = "";
    rs_buf_t b = RS_BUF_INIT;
    int i;

    rs_buf_printf(&b,
                  "{\"error\":\"%s\",\"message\":\"nothing was written, because %d of %d events "
                  "cannot be published\",\"errors\":[",
                  forbidden ? "forbidden"
                  : too_big ? "too_big"
                            : "invalid_events",
                  bad, pub->body->count);
    for (i = 0; i < pub->body->count; i++) {
        const rs_publish_item_t *item = &pub->body->items[i];

        if (item->code) {
            put_error(&b, &separator, i, item->code, item->reason);
        }
    }
    rs_buf_puts(&b, "]}\n");
    return send_json(pub->r,
                     forbidden ? HTTP_FORBIDDEN
                     : too_big ? HTTP_REQUEST_ENTITY_TOO_LARGE
                               : HTTP_BAD_REQUEST,
                     &b);
}

/* The indices of those that had been written before; nothing where there are none. */
static void put_duplicates(rs_buf_t *b, const rs_publish_t *pub)
{
    int i, found = 0;

    for (i = 0; i < pub->body->count; i++) {
        if (pub->writes[i].duplicate) {
            rs_buf_printf(b, "%s%d", found++ ? "," : ",\"duplicates\":[", i);
        }
    }
    if (found) {
        rs_buf_puts(b, "]");
    }
}

static int answer_written(const rs_publish_t *pub)
{
    rs_buf_t b = RS_BUF_INIT;
    int i;

    if (!pub->body->is_array) {
        rs_buf_printf(&b, "{\"id\":\"%s\"%s}\n", pub->writes[0].id,
                      pub->writes[0].duplicate ? ",\"duplicate\":true" : "");
        return send_json(pub->r, HTTP_CREATED, &b);
    }
    rs_buf_puts(&b, "{\"ids\":[");
    for (i = 0; i < pub->body->count; i++) {
        rs_buf_printf(&b, "%s\"%s\"", i ? "," : "", pub->writes[i].id);
    }
    rs_buf_puts(&b, "]");
    put_duplicates(&b, pub);
    rs_buf_puts(&b, "}\n");
    return send_json(pub->r, HTTP_CREATED, &b);
}

#define BAD_NOTE "BADNOTE"

/* Which of them Redis refused. */
static void put_refused(rs_buf_t *b, const rs_publish_t *pub)
{
    const char *separator = "";
    int i;

    for (i = 0; i < pub->body->count; i++) {
        const char *class = pub->writes[i].refused;

        if (class[0]) {
            put_error(b, &separator, i, class,
                      strcmp(class, BAD_NOTE)
                          ? "Redis refused this event"
                          : "what Redis remembers of this event_id is no entry's id");
        }
    }
}

/* Redis executed the transaction and refused some of its commands: it rolls nothing back. */
static int answer_partial(const rs_publish_t *pub)
{
    rs_buf_t b = RS_BUF_INIT;
    int i;

    rs_buf_puts(&b, "{\"error\":\"partly_written\",\"message\":\"Redis wrote the events that have "
                    "an id and refused the others: do not publish the written ones again\","
                    "\"ids\":[");
    for (i = 0; i < pub->body->count; i++) {
        const char *quote = pub->writes[i].id[0] ? "\"" : "";

        rs_buf_printf(&b, "%s%s%s%s", i ? "," : "", quote, *quote ? pub->writes[i].id : "null",
                      quote);
    }
    rs_buf_puts(&b, "]");
    put_duplicates(&b, pub);
    rs_buf_puts(&b, ",\"errors\":[");
    put_refused(&b, pub);
    rs_buf_puts(&b, "]}\n");
    return send_json(pub->r, HTTP_INTERNAL_SERVER_ERROR, &b);
}

int rs_publish_unavailable(request_rec *r, const char *message)
{
    apr_table_setn(r->err_headers_out, "Retry-After", "1");
    return rs_http_error(r, HTTP_SERVICE_UNAVAILABLE, "redis_unavailable", message);
}

/* What passes without anybody changing a key, an ACL or a configuration. */
static int is_temporary(const char *class)
{
    static const char *const words[] = {"OOM",  "READONLY", "LOADING",    "MASTERDOWN",
                                        "BUSY", "MISCONF",  "NOREPLICAS", "CLUSTERDOWN"};
    apr_size_t i;

    for (i = 0; i < RS_ARRAY_LEN(words); i++) {
        if (!strcmp(class, words[i])) {
            return 1;
        }
    }
    return 0;
}

static int answer_refused(const rs_publish_t *pub, const char *class)
{
    int status = is_temporary(class) ? HTTP_SERVICE_UNAVAILABLE : HTTP_INTERNAL_SERVER_ERROR;
    rs_buf_t b = RS_BUF_INIT;

    if (status == HTTP_SERVICE_UNAVAILABLE) {
        apr_table_setn(pub->r->err_headers_out, "Retry-After", "1");
    }
    rs_buf_printf(&b,
                  "{\"error\":\"redis_refused\",\"message\":\"Redis refused to write (%s); nothing "
                  "was written\",\"errors\":[",
                  class);
    put_refused(&b, pub);
    rs_buf_puts(&b, "]}\n");
    return send_json(pub->r, status, &b);
}

/* At most one line in LOG_EVERY seconds and child; the rest at debug. Not to be called inside of
 * ap_log_rerror(), a macro that looks at its level twice. */
static int log_level(void)
{
    static apr_uint32_t next; /* atomic */
    apr_uint32_t now = (apr_uint32_t)apr_time_sec(apr_time_now()), due = apr_atomic_read32(&next);

    return now >= due && apr_atomic_cas32(&next, now + LOG_EVERY, due) == due ? APLOG_WARNING
                                                                              : APLOG_DEBUG;
}

/* It was written: that the stream grows is the administrator's matter, not the publisher's. */
static void log_untrimmed(const rs_publish_t *pub, int level, const char *label, const char *class)
{
    ap_log_rerror(APLOG_MARK, level, 0, pub->r,
                  "RS0476: %s wrote %d events, and refused what maxage= and idle= of RaglineStream"
                  " ask for: %s. They need Redis 6.2, and a Redis user +xtrim, +xinfo|groups,"
                  " +pexpire and +persist",
                  label, pub->body->count, class);
}

int rs_publish_answer(const rs_publish_t *pub, rs_publish_outcome_t outcome, const char *class)
{
    const char *label = rs_redis_pool_label(pub->server->pool);
    int level = outcome >= RS_PUBLISH_REFUSED || *class ? log_level() : APLOG_DEBUG;
    request_rec *r = pub->r;

    switch (outcome) {
    case RS_PUBLISH_DONE:
        if (*class) {
            log_untrimmed(pub, level, label, class);
        }
        return answer_written(pub);
    case RS_PUBLISH_NOTHING:
        return rs_publish_unavailable(r, "the connection to Redis broke; nothing was written");
    case RS_PUBLISH_REFUSED:
        if (!strcmp(class, BAD_NOTE)) {
            ap_log_rerror(APLOG_MARK, level, 0, r,
                          "RS0475: %s: a key ragline:event:... holds no entry's id, and nothing was"
                          " written: find out what else writes there, and delete the key of this"
                          " event_id (docs/WIRE.md, Publishing once)",
                          label);
            return answer_refused(pub, class);
        }
        ap_log_rerror(APLOG_MARK, level, 0, r,
                      "RS0472: %s refused to write %d events: %s. Its own log and redis.conf tell"
                      " why",
                      label, pub->body->count, class);
        return answer_refused(pub, class);
    case RS_PUBLISH_PARTIAL:
        ap_log_rerror(APLOG_MARK, level, 0, r,
                      "RS0473: %s refused some of %d events of one request: %s. For WRONGTYPE look"
                      " at the keys of RaglineStream, one of them is no stream",
                      label, pub->body->count, class);
        return answer_partial(pub);
    case RS_PUBLISH_UNKNOWN:
        break;
    }
    ap_log_rerror(APLOG_MARK, level, 0, r,
                  "RS0474: the connection to %s broke before it confirmed %d events", label,
                  pub->body->count);
    return rs_http_error(r, HTTP_SERVICE_UNAVAILABLE, "outcome_unknown",
                         "the connection to Redis broke before it confirmed the events: they may "
                         "have been written or not; those with an event_id can be published again");
}
