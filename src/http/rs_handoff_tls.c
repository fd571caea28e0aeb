/* SPDX-License-Identifier: Apache-2.0
 *
 * How a TLS session leaves mod_ssl. It tells other modules of each session before the handshake
 * (its hook pre_handshake), and only afterwards registers what frees that at the end of the
 * connection. So a cleanup which is registered in the hook runs when mod_ssl has let go of the
 * session, and another reference keeps it alive. The connection was marked aborted, so nothing was
 * written after the stream's headers; this is looked at each time, by the numbers of bytes that
 * went through mod_ssl's BIOs.
 *
 * The worker, and whichever thread of httpd destroys the connection's pool.
 */
#include "../conf/rs_httpd.h"

#include <apr_optional_hooks.h>
#include <dlfcn.h>
#include <http_main.h>
#include <http_ssl.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>

#include "../transport/rs_tls.h"
#include "rs_child.h"
#include "rs_connection.h"
#include "rs_handoff_tls.h"
#include "rs_websocket.h"

/* mod_ssl_openssl.h, which has this, is not among the headers that Debian installs. */
typedef int ssl_HOOK_pre_handshake_t(conn_rec *c, SSL *ssl, int is_proxy);

/* A client that sends so much behind its request is not waited for. */
#define EARLY_MAX (64 * 1024)

static struct {
    int other_library; /* post_config: mod_ssl has another OpenSSL than we */
    int unexpected;    /* atomic: something in mod_ssl is not as it is known here */
    int unknown;       /* atomic: TLS that is not mod_ssl's was seen, and told of */
} tls;

/* --- what has to be so --- */

/* Where mod_ssl has the function from. */
static void *its_function(const module *mod_ssl, const char *name)
{
    Dl_info info, httpd;
    void *handle, *found;

    if (!dladdr((const void *)mod_ssl, &info)
        || !dladdr((const void *)ap_find_linked_module, &httpd)) {
        return NULL;
    }
    /* NULL: httpd itself, if that has mod_ssl built in. */
    handle = dlopen(info.dli_fbase == httpd.dli_fbase ? NULL : info.dli_fname,
                    RTLD_LAZY | RTLD_NOLOAD);
    if (!handle) {
        return NULL;
    }
    found = dlsym(handle, name);
    dlclose(handle);
    return found;
}

static int post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    const module *mod_ssl = ap_find_linked_module("mod_ssl.c");

    tls.other_library = mod_ssl && its_function(mod_ssl, "SSL_new") != (void *)SSL_new;
    if (tls.other_library && ap_state_query(AP_SQ_MAIN_STATE) != AP_SQ_MS_CREATE_PRE_CONFIG) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "RS0722: mod_ssl uses another OpenSSL library than this module, which was "
                     "built with %s: streams over TLS keep their worker",
                     OPENSSL_VERSION_TEXT);
    }
    return OK;
}

static void complain(const char *what)
{
    if (!__atomic_exchange_n(&tls.unexpected, 1, __ATOMIC_RELAXED)) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, ap_server_conf,
                     "RS0723: %s: from now on streams over TLS keep their worker in this child; "
                     "please report this, with the version of httpd",
                     what);
    }
}

/* mod_ssl's, which has the same name in both directions. */
static ap_filter_t *session_filter(ap_filter_t *f)
{
    while (f && ap_cstr_casecmp(f->frec->name, "ssl/tls filter")) {
        f = f->next;
    }
    return f;
}

/* --- before the handshake, after the connection --- */

/* Nobody else used the session since it was promised to the client. */
static int is_untouched(const rs_connection_t *mine)
{
    return BIO_number_read(SSL_get_rbio(mine->ssl)) == mine->read
           && BIO_number_written(SSL_get_wbio(mine->ssl)) == mine->written;
}

/* The connection's pool goes, and mod_ssl has cleaned up. */
static apr_status_t connection_over(void *data)
{
    rs_connection_t *mine = data;
    int untouched;

    if (!mine->client) {
        return APR_SUCCESS;
    }
    untouched = is_untouched(mine);
    if (!untouched) {
        complain("mod_ssl used a session that a stream had got");
    }
    if (untouched && rs_tls_begin(&mine->client->conn)) {
        rs_engine_submit(mine->engine, mine->client);
    }
    else {
        int seat = mine->client->seat;

        rs_client_destroy(mine->client);
        rs_engine_unreserve(mine->engine, seat);
    }
    mine->client = NULL;
    return APR_SUCCESS;
}

/* At its regular end mod_ssl also lets go of the client's certificate. It does not look at a
 * connection that is aborted, so for a moment it is none: of the session nothing is said then, and
 * nothing else is left to be written. */
static int pre_close_connection(conn_rec *c)
{
    const rs_connection_t *mine = rs_connection_of(c);
    apr_bucket_brigade *bb;
    ap_filter_t *f;

    if (!mine || !mine->client || !SSL_get0_peer_certificate(mine->ssl)) {
        return DECLINED;
    }
    f = session_filter(c->output_filters);
    if (f) {
        bb = apr_brigade_create(c->pool, c->bucket_alloc);
        APR_BRIGADE_INSERT_TAIL(bb, ap_bucket_eoc_create(c->bucket_alloc));
        c->aborted = 0;
        ap_pass_brigade(f, bb);
        c->aborted = 1;
    }
    return DECLINED;
}

static int pre_handshake(conn_rec *c, SSL *ssl, int is_proxy)
{
    rs_connection_t *mine;

    if (is_proxy || c->outgoing || tls.other_library || !rs_child_engine()) {
        return DECLINED;
    }
    if (SSL_get_rbio(ssl) || SSL_get_wbio(ssl)) {
        /* Then it has registered its cleanup, too. */
        complain("mod_ssl had opened a session before it told of it");
        return DECLINED;
    }
    mine = rs_connection(c);
    mine->ssl = ssl;
    apr_pool_cleanup_register(c->pool, mine, connection_over, apr_pool_cleanup_null);
    return DECLINED;
}

/* --- the hand-off --- */

const char *rs_handoff_tls_obstacle(conn_rec *c)
{
    const rs_connection_t *mine = rs_connection_of(c);

    if (tls.other_library) {
        return "tls library";
    }
    if (__atomic_load_n(&tls.unexpected, __ATOMIC_RELAXED)) {
        return "tls mod_ssl";
    }
    if (!mine || !mine->ssl) {
        if (!__atomic_exchange_n(&tls.unknown, 1, __ATOMIC_RELAXED)) {
            ap_log_cerror(APLOG_MARK, APLOG_NOTICE, 0, c,
                          "RS0724: the TLS of this connection is not mod_ssl's: its streams keep "
                          "their worker");
        }
        return "tls module";
    }
    if (SSL_CTX_get_keylog_callback(SSL_get_SSL_CTX(mine->ssl))) {
        return "tls keylog"; /* mod_ssl's needs its connection, whenever the client changes keys */
    }
    if (!session_filter(c->input_filters)) {
        complain("the filter of mod_ssl has another name");
        return "tls mod_ssl";
    }
    return NULL;
}

/* Reads until there is nothing more now. mod_ssl says so, too, of a record that is not the
 * application's (a change of keys): it is believed when the session took nothing of what came,
 * twice in a row, since one that has to answer such a record may take it only when it is read
 * again. 1: there is always more. */
static int read_all(request_rec *r, ap_filter_t *f)
{
    conn_rec *c = r->connection;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, c->bucket_alloc);
    BIO *in = SSL_get_rbio(rs_connection_of(c)->ssl);
    apr_uint64_t end = BIO_number_read(in) + EARLY_MAX;
    apr_status_t rv = APR_SUCCESS;
    int nothing = 0;

    while ((rv == APR_SUCCESS || APR_STATUS_IS_EAGAIN(rv)) && nothing < 2
           && BIO_number_read(in) < end) {
        apr_uint64_t before = BIO_number_read(in);
        apr_off_t len = 0;

        rv = ap_get_brigade(f, bb, AP_MODE_READBYTES, APR_NONBLOCK_READ, AP_IOBUFSIZE);
        if (rv == APR_SUCCESS && apr_brigade_length(bb, 1, &len) == APR_SUCCESS) {
            rv = !len && !APR_BRIGADE_EMPTY(bb) ? APR_EOF : rv;
            rs_websocket_keep(r, bb);
        }
        apr_brigade_cleanup(bb);
        nothing = len || BIO_number_read(in) != before ? 0 : nothing + 1;
    }
    apr_brigade_destroy(bb);
    if (rv != APR_SUCCESS && !APR_STATUS_IS_EAGAIN(rv)) {
        c->aborted = 1;
    }
    return BIO_number_read(in) >= end;
}

const char *rs_handoff_tls_settle(request_rec *r)
{
    conn_rec *c = r->connection;
    BIO *out = SSL_get_wbio(rs_connection_of(c)->ssl);
    apr_uint64_t written = BIO_number_written(out);

    if (read_all(r, session_filter(c->input_filters))) {
        return "tls early bytes";
    }
    /* What the session answers (to a renegotiation) is in httpd's output filters, which will send
     * nothing more once the connection is marked aborted. */
    if (BIO_number_written(out) != written && ap_rflush(r) < 0) {
        c->aborted = 1;
    }
    return NULL;
}

int rs_handoff_tls_open(conn_rec *c, rs_conn_t *conn)
{
    return rs_tls_open(conn, rs_connection_of(c)->ssl);
}

void rs_handoff_tls_take(conn_rec *c, rs_client_t *client)
{
    rs_connection_t *mine = rs_connection_of(c);

    mine->client = client;
    mine->engine = rs_child_engine();
    mine->read = BIO_number_read(SSL_get_rbio(mine->ssl));
    mine->written = BIO_number_written(SSL_get_wbio(mine->ssl));
}

void rs_handoff_tls_hooks(apr_pool_t *p)
{
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_pre_close_connection(pre_close_connection, NULL, NULL, APR_HOOK_LAST);
    APR_OPTIONAL_HOOK(ssl, pre_handshake, pre_handshake, NULL, NULL, APR_HOOK_MIDDLE);
}
