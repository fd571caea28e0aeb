/* SPDX-License-Identifier: Apache-2.0
 *
 * New tokens of open streams. The token stays here: what is passed on is whose it is, until when it
 * is good, and its number.
 */
#include "../conf/rs_httpd.h"

#include <apr_hash.h>
#include <http_main.h>
#include <openssl/sha.h>

#include "../log/rs_command.h"
#include "../log/rs_renewals.h"
#include "rs_child.h"
#include "rs_control_write.h"
#include "rs_error.h"
#include "rs_fresh_token.h"
#include "rs_identity.h"
#include "rs_request.h"
#include "rs_revocation_check.h"

#define HEADER "X-Ragline-Connection"

/* For another child, which looks once a second at least. */
#define PATIENCE apr_time_from_sec(5)

int rs_fresh_token_is_brought(request_rec *r)
{
    return r->method_number == M_POST && rs_request_kind(r) == RS_KIND_SSE
           && apr_table_get(r->headers_in, HEADER) != NULL;
}

static const char *words(request_rec *r, const apr_array_header_t *list)
{
    return list ? apr_array_pstrcat(r->pool, list, ' ') : "";
}

/* Nodes have the same hosts by name, not by address. What is read there stands in it, too: a
 * section with a condition may give other streams to who comes with another token. */
apr_uint64_t rs_fresh_token_place(request_rec *r)
{
    const rs_dir_conf_t *conf = rs_request_conf(r);
    apr_size_t path = strlen(r->uri);
    unsigned char digest[SHA256_DIGEST_LENGTH];
    apr_uint64_t place;
    const char *text;

    while (path > 1 && r->uri[path - 1] == '/') {
        path--;
    }
    text = apr_psprintf(r->pool, "%s\n%s\n%.*s\n%s\n%s\n%d",
                        r->server->server_hostname ? r->server->server_hostname : "",
                        conf->profile ? conf->profile : "", (int)path, r->uri,
                        words(r, conf->subscribe), words(r, conf->events), conf->user_only);
    SHA256((const unsigned char *)text, strlen(text), digest);
    memcpy(&place, digest, sizeof(place));
    return place;
}

/* --- whose, and until when --- */

static int not_connected(request_rec *r)
{
    return rs_http_error(r, HTTP_NOT_FOUND, "not_connected",
                         "there is no such connection at this URL");
}

static int not_theirs(request_rec *r)
{
    ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r,
                  "RS0764: refused: a token for somebody else's connection");
    return rs_http_error(r, HTTP_FORBIDDEN, "not_yours",
                         "the connection is another tenant's or another user's");
}

static int no_token(request_rec *r)
{
    apr_table_setn(r->err_headers_out, "WWW-Authenticate", "Bearer");
    return rs_http_error(r, HTTP_UNAUTHORIZED, "no_token", "there is no token in this request");
}

static int unavailable(request_rec *r, const char *message)
{
    apr_table_setn(r->err_headers_out, "Retry-After", "1");
    return rs_http_error(r, HTTP_SERVICE_UNAVAILABLE, "unavailable", message);
}

/* OK, or a status. A longer jti than can be revoked is as good as none. */
static int read_renewal(request_rec *r, rs_renewal_t *renewal)
{
    const char *id = apr_table_get(r->headers_in, HEADER), *jti = rs_revocation_jti(r);
    static const unsigned char any[16];
    rs_connection_id_t parsed;
    rs_identity_t who;
    int status;

    memset(renewal, 0, sizeof(*renewal));
    if (!rs_request(r)->jwt) {
        return no_token(r);
    }
    if ((status = rs_identity(r, &who)) != OK
        || (status = rs_revocation_check(r, who.tenant, who.user)) != OK) {
        return status;
    }
    if (strlen(id) >= sizeof(renewal->id) || !rs_connection_id_parse(&parsed, id, any)) {
        return not_connected(r);
    }
    apr_cpystrn(renewal->id, id, sizeof(renewal->id));
    apr_cpystrn(renewal->tenant, who.tenant, sizeof(renewal->tenant));
    apr_cpystrn(renewal->user, who.user, sizeof(renewal->user));
    apr_cpystrn(renewal->jti, jti && strlen(jti) <= RS_JTI_MAX ? jti : "", sizeof(renewal->jti));
    renewal->place = rs_fresh_token_place(r);
    renewal->exp = who.expires ? who.expires - rs_request_conf(r)->jwt_leeway : 0;
    return OK;
}

/* --- to whom --- */

static int done(request_rec *r, int status)
{
    r->status = status;
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    if (status == HTTP_ACCEPTED) {
        ap_set_content_length(r, 0);
    }
    return OK;
}

/* It is this node's. */
static int renew_here(request_rec *r, const rs_renewal_t *renewal)
{
    rs_renewals_t *renewals = rs_child_renewals();
    rs_record_t record;
    apr_uint64_t ticket;

    if (!rs_registry_find(rs_child_registry(), rs_conf_server(r->server)->url->label, renewal->id,
                          &record)) {
        return not_connected(r);
    }
    if (strcmp(record.tenant, renewal->tenant) || strcmp(record.user, renewal->user)) {
        return not_theirs(r);
    }
    ticket = renewals ? rs_renewals_post(renewals, record.pid, renewal) : 0;
    if (!ticket) {
        return unavailable(r, "too many wait for this already");
    }
    rs_hub_wake(rs_child_engine()->hub);
    switch (rs_renewals_wait(renewals, ticket, PATIENCE)) {
    case RS_RENEWED:
        return done(r, HTTP_NO_CONTENT);
    case RS_RENEW_REVOKED:
        return rs_http_error(r, HTTP_UNAUTHORIZED, "revoked", "the token was revoked");
    case RS_RENEW_LATE:
        return unavailable(r, "the process that has the connection does not answer");
    default:
        return not_connected(r);
    }
}

/* So many a second may be told to others for a user, and by each child: they make the stream lose
 * its oldest entries, which somebody may not have read yet. */
#define OFTEN 16
#define USERS 1024

static int is_too_often(const rs_renewal_t *renewal)
{
    static apr_uint32_t counts[USERS]; /* atomics: of a second, and how many in it */
    const char *parts[2] = {renewal->tenant, renewal->user};
    apr_uint32_t second = (apr_uint32_t)apr_time_sec(apr_time_now()) & 0xffffff, hash = 5381, count;
    int i;

    for (i = 0; i < 2; i++) {
        apr_ssize_t len = APR_HASH_KEY_STRING;

        hash = hash * 33 + apr_hashfunc_default(parts[i], &len);
    }
    count = __atomic_load_n(&counts[hash % USERS], __ATOMIC_RELAXED);
    count = count >> 8 == second ? count + 1 : second << 8 | 1;
    if ((count & 0xff) > OFTEN) {
        return 1;
    }
    __atomic_store_n(&counts[hash % USERS], count, __ATOMIC_RELAXED);
    return 0;
}

/* Of another node, which says nothing to who has a wrong one. */
static int tell_others(request_rec *r, const rs_renewal_t *renewal)
{
    rs_redis_pool_t *pool = rs_conf_server(r->server)->pool;
    rs_xadd_t write = {0};
    rs_redis_conn_t *conn;
    int status;

    if (is_too_often(renewal)) {
        apr_table_setn(r->err_headers_out, "Retry-After", "1");
        return rs_http_error(r, HTTP_TOO_MANY_REQUESTS, "too_many",
                             "too many tokens in a second, for connections of other servers");
    }
    rs_control_field(&write, RS_COMMAND_DO, RS_COMMAND_RENEW);
    rs_control_field(&write, RS_COMMAND_ID, renewal->id);
    rs_control_field(&write, RS_COMMAND_TENANT, renewal->tenant);
    rs_control_field(&write, RS_COMMAND_USER, *renewal->user ? renewal->user : NULL);
    rs_control_field(&write, RS_COMMAND_JTI, *renewal->jti ? renewal->jti : NULL);
    rs_control_field(&write, RS_COMMAND_UNTIL,
                     apr_psprintf(r->pool, "%" APR_INT64_T_FMT, apr_time_sec(renewal->exp)));
    rs_control_field(&write, RS_COMMAND_PLACE,
                     apr_psprintf(r->pool, "%" APR_UINT64_T_HEX_FMT, renewal->place));
    if (!pool || rs_redis_pool_acquire(&conn, pool) != APR_SUCCESS) {
        return rs_control_unavailable(r, "Redis cannot be reached; nothing was done");
    }
    status = rs_control_write(r, pool, conn, &write, "Redis did not take it; nothing was done");
    return status == OK ? done(r, HTTP_ACCEPTED) : status;
}

int rs_fresh_token(request_rec *r)
{
    rs_registry_t *registry = rs_child_registry();
    rs_renewal_t renewal;
    int status = ap_discard_request_body(r);

    if (status != OK || (status = read_renewal(r, &renewal)) != OK) {
        return status;
    }
    if (!registry || !rs_child_engine()) {
        return unavailable(r, "this child keeps no list of connections");
    }
    if (!strncmp(renewal.id, rs_registry_node(registry), RS_NODE_LEN)) {
        return renew_here(r, &renewal);
    }
    return rs_conf_obeys(ap_server_conf) ? tell_others(r, &renewal) : not_connected(r);
}
