/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands of administrators: what is asked for is checked, and written to the control stream,
 * which every child of every node reads, this one too. The worker.
 */
#include "../conf/rs_httpd.h"

#include "../base/rs_buf.h"
#include "../base/rs_clock.h"
#include "../base/rs_name.h"
#include "../log/rs_command.h"
#include "../log/rs_revoked.h"
#include "../proto/rs_media_type.h"
#include "../proto/rs_publish_item.h"
#include "rs_admin_do.h"
#include "rs_admin_revoke.h"
#include "rs_body.h"
#include "rs_control_write.h"
#include "rs_cors.h"
#include "rs_error.h"
#include "rs_identity.h"
#include "rs_request.h"

/* A body without what is sent. */
#define BODY ((apr_off_t)16 * 1024)

typedef struct {
    const char *what, *id, *user, *tenant, *jti, *reason, *type, *payload;
    const char *until;
    apr_int64_t seconds;           /* the same */
    char revoked[RS_REVOKED_NAME]; /* what it is called */
    int from_page;                 /* a form, whose page is shown again */
} order_t;

static int bad(request_rec *r, const char *code, const char *message)
{
    return rs_http_error(r, HTTP_BAD_REQUEST, code, message);
}

/* --- the body --- */

/* Members that are no strings, by their place in the list of names. */
enum { PAYLOAD = 6, UNTIL = 7 };

static int is_send(const order_t *o) { return !strcmp(o->what, RS_COMMAND_SEND); }
static int is_revoke(const order_t *o) { return !strcmp(o->what, RS_COMMAND_REVOKE); }

/* A member of the body. NULL: it is good. */
static const char *take_member(order_t *o, apr_pool_t *p, int which, rs_json_t value)
{
    const char **texts[] = {&o->id, &o->user, &o->tenant, &o->reason, &o->type, &o->jti};
    const char *text;
    apr_size_t len;

    if (which == PAYLOAD ? o->payload != NULL : which == UNTIL && o->until) {
        return "a member is there twice";
    }
    if (which == PAYLOAD) {
        o->payload = rs_json_compact(&len, p, value);
        return NULL;
    }
    if (which == UNTIL) {
        o->until = rs_admin_until(&o->seconds, p, value)
                       ? apr_psprintf(p, "%" APR_INT64_T_FMT, o->seconds)
                       : NULL;
        return o->until ? NULL : "until is unix seconds, or a time as RFC 3339 has it";
    }
    text = which == 1 || which == 2 ? rs_publish_name(p, value) : rs_json_string(p, value);
    if (*texts[which]) {
        return "a member is there twice";
    }
    *texts[which] = text;
    return text ? NULL : "id, user, tenant, jti, reason and event_type are strings";
}

static int parse_json(request_rec *r, order_t *o, const rs_buf_t *b)
{
    static const char *const names[] = {"id",         "user", "tenant",  "reason",
                                        "event_type", "jti",  "payload", "until"};
    rs_json_t text = {b->data, b->data + b->len}, value, inside, name;
    const char *problem = rs_json_check(&value, r->pool, "the body", text, RS_JSON_DEPTH_MAX);

    if (problem || rs_json_kind(value) != '{') {
        return bad(r, "invalid_json", problem ? problem : "the body must be an object");
    }
    inside = rs_json_inside(value);
    while (!problem && rs_json_member(&inside, &name, &value)) {
        int which = rs_json_which(name, names, RS_ARRAY_LEN(names));

        problem = which < 0 ? "there is a member that is not known"
                            : take_member(o, r->pool, which, value);
    }
    return problem ? bad(r, "bad_member", problem) : OK;
}

static int no_json(request_rec *r)
{
    return rs_http_error(r, HTTP_UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type",
                         "send JSON, with Content-Type: application/json");
}

/* Of the page's own button. Some clients call everything a form that they are not told about. */
static int parse_form(request_rec *r, order_t *o, const rs_buf_t *b)
{
    char *arg, *last;

    o->from_page = 1;
    for (arg = apr_strtok(apr_pstrmemdup(r->pool, b->data, b->len), "&", &last); arg;
         arg = apr_strtok(NULL, "&", &last)) {
        if (!strncmp(arg, "id=", 3) && ap_unescape_urlencoded(arg + 3) == OK) {
            o->id = arg + 3;
        }
    }
    return o->id ? OK : no_json(r);
}

static int is_form(request_rec *r)
{
    const char *type = apr_table_get(r->headers_in, "Content-Type");
    static const char form[] = "application/x-www-form-urlencoded";

    return type && !ap_cstr_casecmpn(type, form, sizeof(form) - 1);
}

static int read_order(request_rec *r, order_t *o)
{
    int form = is_form(r) && !strcmp(o->what, RS_COMMAND_CLOSE), status;
    rs_buf_t b = RS_BUF_INIT;

    if (!form && rs_media_type(apr_table_get(r->headers_in, "Content-Type")) != RS_MEDIA_JSON) {
        return no_json(r);
    }
    if (rs_body_is_packed(r)) {
        return rs_body_refuse_packed(r);
    }
    status = rs_body_read(r, &b, BODY + (is_send(o) ? rs_conf_server(r->server)->max_message : 0));
    if (status == OK) {
        rs_buf_add(&b, "", 0);
        status = form ? parse_form(r, o, &b) : parse_json(r, o, &b);
    }
    rs_buf_free(&b);
    return status;
}

/* --- what may be done, and to whom --- */

int rs_admin_scope(request_rec *r, const char **tenant)
{
    rs_identity_t id;
    int status;

    *tenant = NULL;
    if (rs_request_conf(r)->admin_all) {
        return OK;
    }
    status = rs_identity_publisher(r, &id);
    *tenant = id.tenant;
    return status;
}

static int is_name(const char *name) { return !name || rs_name_valid(name, strlen(name)); }

static int check_target(request_rec *r, order_t *o)
{
    static const unsigned char any[16];
    rs_connection_id_t id;
    const char *scope;
    int status = rs_admin_scope(r, &scope);

    if (status != OK) {
        return status;
    }
    if (!is_name(o->user) || !is_name(o->tenant)) {
        return bad(r, "bad_name", "tenant and user are 1 to 64 of A-Z a-z 0-9 . _ @ -");
    }
    if (scope && o->tenant && strcmp(o->tenant, scope)) {
        return rs_http_error(r, HTTP_FORBIDDEN, "tenant",
                             "this location is for the caller's own tenant only");
    }
    if (is_revoke(o) ? o->id || (o->jti ? o->user != NULL : !o->user && !o->tenant)
                     : o->jti || (o->id ? o->user || o->tenant : !o->user && !o->tenant)) {
        return bad(r, "bad_target",
                   is_revoke(o) ? "say who is revoked: by jti, by user, or by tenant"
                                : "say whose connections: by id, by user, or by tenant");
    }
    o->tenant = o->tenant ? o->tenant : scope;
    if (!o->id && !o->jti && !o->tenant) {
        return bad(r, "bad_target", "here a user needs a tenant");
    }
    if (o->id && !rs_connection_id_parse(&id, o->id, any)) {
        return bad(r, "bad_id", "that is no id of a connection");
    }
    return OK;
}

static int check_words(request_rec *r, order_t *o)
{
    rs_publish_item_t item = {0};

    if (is_revoke(o) && !rs_revoked_name(o->revoked, o->tenant, o->user, o->jti)) {
        return bad(r, "bad_jti", "jti is 1 to 255 bytes without spaces");
    }
    if (is_revoke(o) ? !o->until : o->until != NULL) {
        return bad(r, "bad_until", "until is for revoke, which needs it");
    }
    if (!is_send(o) && (o->type || o->payload)) {
        return bad(r, "bad_member", "event_type and payload are for send");
    }
    if (o->reason
        && (is_send(o) || is_revoke(o) || !rs_command_reason_good(o->reason, strlen(o->reason)))) {
        return bad(r, "bad_reason", "reason is for close: one line of at most 200 bytes");
    }
    if (!is_send(o)) {
        return OK;
    }
    rs_publish_event_type(&item, r->pool, o->type, "event_type");
    if (item.code) {
        return bad(r, item.code, item.reason);
    }
    if (!o->payload) {
        return bad(r, "invalid_payload", "payload is missing");
    }
    return (apr_off_t)strlen(o->payload) > rs_conf_server(r->server)->max_message
               ? rs_http_error(r, HTTP_REQUEST_ENTITY_TOO_LARGE, "too_big",
                               "the payload is larger than RaglineMaxMessage")
               : OK;
}

static int count_token(rs_registry_t *registry, const char *realm, const order_t *o)
{
    rs_whom_t whom = {.realm = realm, .tenant = o->tenant, .jti = o->jti};
    apr_uint64_t at = 0;
    rs_record_t record;
    int n = 0;

    while (rs_registry_next(registry, &at, &whom, &record)) {
        n++;
    }
    return n;
}

/* How many of this node it is for. -1: there is no such connection, here where it would be. */
static int count_here(request_rec *r, rs_registry_t *registry, const order_t *o)
{
    const char *realm = rs_conf_server(r->server)->url->label;
    rs_record_t record;

    if (o->jti) {
        return count_token(registry, realm, o);
    }
    if (!o->id) {
        return (int)rs_registry_count(registry, realm, o->tenant, o->user);
    }
    if (strncmp(o->id, rs_registry_node(registry), RS_NODE_LEN)) {
        return 0;
    }
    return rs_registry_find(registry, realm, o->id, &record)
                   && (!o->tenant || !strcmp(o->tenant, record.tenant))
               ? 1
               : -1;
}

/* --- telling everybody --- */

static int write_order(request_rec *r, const order_t *o)
{
    rs_redis_pool_t *pool = rs_conf_server(r->server)->pool;
    rs_xadd_t write = {0};
    rs_redis_conn_t *conn;
    int status;

    rs_control_field(&write, RS_COMMAND_DO, o->what);
    rs_control_field(&write, RS_COMMAND_ID, o->id);
    rs_control_field(&write, RS_COMMAND_TENANT, o->tenant);
    rs_control_field(&write, RS_COMMAND_USER, o->user);
    rs_control_field(&write, RS_COMMAND_JTI, o->jti);
    rs_control_field(&write, RS_COMMAND_UNTIL, o->until);
    rs_control_field(&write, RS_COMMAND_REASON, o->reason);
    rs_control_field(&write, RS_COMMAND_TYPE, o->type);
    rs_control_field(&write, RS_COMMAND_PAYLOAD, o->payload);
    if (!pool || rs_redis_pool_acquire(&conn, pool) != APR_SUCCESS) {
        return rs_control_unavailable(r, "Redis cannot be reached; nothing was done");
    }
    /* First: who comes after the others have heard of it must find it. */
    if (is_revoke(o) && (status = rs_admin_remember(r, pool, conn, o->revoked, o->seconds)) != OK) {
        return status;
    }
    return rs_control_write(r, pool, conn, &write,
                            is_revoke(o)
                                ? "it is remembered, and servers that start later know of it; "
                                  "those that are there were not told: try again"
                                : "Redis did not take it; nothing was done");
}

/* The list that is shown next is to be without it. */
#define SHOWN_AGAIN apr_time_from_sec(1)

static void wait_for_end(request_rec *r, rs_registry_t *registry, const order_t *o)
{
    const char *realm = rs_conf_server(r->server)->url->label;
    apr_time_t until = rs_clock_now() + SHOWN_AGAIN;
    rs_record_t record;

    while (rs_registry_find(registry, realm, o->id, &record) && rs_clock_now() < until) {
        apr_sleep(apr_time_from_msec(10));
    }
}

static int answer(request_rec *r, rs_registry_t *registry, const order_t *o, int here)
{
    if (o->from_page) {
        wait_for_end(r, registry, o);
        apr_table_setn(r->headers_out, "Location", "connections");
        return HTTP_SEE_OTHER;
    }
    return rs_http_json(r, HTTP_OK,
                        apr_psprintf(r->pool, "{\"here\":%d,\"elsewhere\":true}\n", here));
}

int rs_admin_do(request_rec *r, rs_registry_t *registry, const char *what)
{
    order_t o = {.what = what};
    int status, here;

    if (rs_cors_is_foreign(r)) {
        rs_cors_note_foreign(r);
        return rs_http_error(r, HTTP_FORBIDDEN, "origin",
                             "pages of other hosts may not do that, and a browser has to say where "
                             "it comes from");
    }
    if ((status = read_order(r, &o)) != OK || (status = check_target(r, &o)) != OK
        || (status = check_words(r, &o)) != OK) {
        return status;
    }
    here = count_here(r, registry, &o);
    if (here < 0) {
        return rs_http_error(r, HTTP_NOT_FOUND, "not_connected", "there is no such connection");
    }
    status = write_order(r, &o);
    if (status != OK) {
        return status;
    }
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "RS0762: %s: %s%s%s%s%s", what,
                  o.id    ? o.id
                  : o.jti ? "a token"
                          : "tenant ",
                  o.id || o.jti ? "" : o.tenant, o.user ? ", user " : "", o.user ? o.user : "",
                  r->user ? apr_pstrcat(r->pool, ", by ", r->user, NULL) : "");
    return answer(r, registry, &o, here);
}
