/* SPDX-License-Identifier: Apache-2.0
 *
 * XADD's arguments and answers, whichever way it is sent. A worker thread.
 */
#include <string.h>

#include <apr_strings.h>
#include <hiredis/hiredis.h>

#include "rs_redis_publish_private.h"

int rs_xadd_args(const rs_xadd_t *item, char trim[RS_XADD_TRIM_LEN], const char **argv,
                 apr_size_t *lens)
{
    int i, n = 0;

    if (item->maxlen > 0 || item->minid > 0) {
        apr_snprintf(trim, RS_XADD_TRIM_LEN, "%" APR_INT64_T_FMT,
                     item->maxlen > 0 ? item->maxlen : item->minid);
        argv[n++] = item->maxlen > 0 ? "MAXLEN" : "MINID";
        argv[n++] = "~";
        argv[n++] = trim;
    }
    argv[n++] = "*";
    for (i = 0; i < n; i++) {
        lens[i] = strlen(argv[i]);
    }
    for (i = 0; i < item->nfields; i++) {
        argv[n] = item->fields[i].name;
        lens[n++] = strlen(item->fields[i].name);
        argv[n] = item->fields[i].value;
        lens[n++] = item->fields[i].len;
    }
    return n;
}

void rs_xadd_error_class(char out[RS_REDIS_CLASS_LEN], const redisReply *reply)
{
    static const char acl[] = "ERR The user executing the script can't ";

    if (reply->len >= sizeof(acl) && strncmp(reply->str, acl, sizeof(acl) - 1) == 0) {
        apr_cpystrn(out, "NOPERM", RS_REDIS_CLASS_LEN);
        return;
    }
    rs_redis_error_class(out, reply);
}

int rs_xadd_take_id(rs_xadd_t *item, const redisReply *reply)
{
    rs_id_t id;

    if (reply->type == REDIS_REPLY_ERROR) {
        rs_xadd_error_class(item->refused, reply);
        return 1;
    }
    if (reply->type != REDIS_REPLY_STRING) {
        return 0;
    }
    item->duplicate = reply->len > 0 && reply->str[0] == RS_XADD_DUPLICATE;
    if (!rs_id_parse(&id, reply->str + item->duplicate, reply->len - (apr_size_t)item->duplicate)) {
        return 0;
    }
    rs_id_format(item->id, id);
    return 1;
}

rs_publish_outcome_t rs_xadd_take_ids(rs_redis_conn_t *conn, rs_xadd_t *items, int n,
                                      const redisReply *reply)
{
    int i, written = 0, held = 0;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != (size_t)n) {
        return rs_xadd_confused(conn);
    }
    for (i = 0; i < n; i++) {
        const redisReply *one = reply->element[i];

        /* Not written, since another one was refused. */
        if (one->type == REDIS_REPLY_STRING && one->len == 0) {
            held++;
            continue;
        }
        if (!rs_xadd_take_id(&items[i], one)) {
            return rs_xadd_confused(conn);
        }
        written += items[i].id[0] != '\0';
    }
    if (held && (written || held == n)) {
        return rs_xadd_confused(conn);
    }
    if (written == n) {
        return RS_PUBLISH_DONE;
    }
    return written ? RS_PUBLISH_PARTIAL : RS_PUBLISH_REFUSED;
}

rs_publish_outcome_t rs_xadd_confused(rs_redis_conn_t *conn)
{
    rs_redis_conn_spoil(conn, "an answer that Redis does not give");
    return RS_PUBLISH_UNKNOWN;
}
