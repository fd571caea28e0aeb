/* SPDX-License-Identifier: Apache-2.0
 *
 * Entries of the control stream.
 */
#include "../conf/rs_httpd.h"

#include "../proto/rs_own_keys.h"
#include "rs_control_write.h"
#include "rs_error.h"

/* It is trimmed to about so many. */
#define KEEP 10000

void rs_control_field(rs_xadd_t *write, const char *name, const char *value)
{
    if (value) {
        rs_xadd_field_t *field = &write->fields[write->nfields++];

        field->name = name;
        field->value = value;
        field->len = strlen(value);
    }
}

int rs_control_unavailable(request_rec *r, const char *message)
{
    apr_table_setn(r->err_headers_out, "Retry-After", "1");
    return rs_http_error(r, HTTP_SERVICE_UNAVAILABLE, "redis_unavailable", message);
}

int rs_control_refused(request_rec *r, rs_redis_pool_t *pool, const char *key, const char *class,
                       const char *message)
{
    ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "RS0761: %s: %s cannot be written: %s",
                  rs_redis_pool_label(pool), key, *class ? class : "no connection");
    return rs_control_unavailable(r, message);
}

int rs_control_write(request_rec *r, rs_redis_pool_t *pool, rs_redis_conn_t *conn, rs_xadd_t *write,
                     const char *refused)
{
    char class[RS_REDIS_CLASS_LEN];
    rs_publish_outcome_t outcome;

    write->key = RS_OWN_CONTROL;
    write->maxlen = KEEP;
    outcome = rs_redis_publish(conn, write, 1, class);
    if (outcome == RS_PUBLISH_REFUSED && !strcmp(class, "READONLY")) {
        rs_redis_pool_demoted(pool, conn);
    }
    rs_redis_pool_release(pool, conn);
    switch (outcome) {
    case RS_PUBLISH_DONE:
        return OK;
    case RS_PUBLISH_UNKNOWN:
        return rs_control_unavailable(
            r, "the connection to Redis broke: it may have been done, or not");
    default:
        return rs_control_refused(r, pool, RS_OWN_CONTROL, class, refused);
    }
}
