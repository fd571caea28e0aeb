/* SPDX-License-Identifier: Apache-2.0
 *
 * A reader's TLS sessions. Who comes again does so with its own, as a browser does.
 */
#include "conn.h"

static SSL_CTX *tls;

/* A client keeps the last ticket. Over TLS 1.3 it comes after the handshake. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    conn_t *c = SSL_get_app_data(ssl);

    if (!options.again && options.handshakes != HANDSHAKES_RESUMED) {
        return 0;
    }
    SSL_SESSION_free(c->session);
    c->session = session;
    return 1;
}

void tls_open(void)
{
    if (!(tls = SSL_CTX_new(TLS_client_method()))) {
        die("out of memory");
    }
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
#ifdef SSL_OP_IGNORE_UNEXPECTED_EOF
    /* nginx answers no goodbye, and its session is good all the same. */
    SSL_CTX_set_options(tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
#endif
    if (options.again || options.handshakes) {
        SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(tls, on_session);
    }
}

SSL *tls_new(conn_t *c)
{
    SSL *ssl = SSL_new(tls);
    /* OpenSSL takes a session no second time, and not every server gives another one. */
    SSL_SESSION *session = c->session ? SSL_SESSION_dup(c->session) : NULL;

    /* By a name, as browsers do. */
    if (!ssl || !SSL_set_fd(ssl, c->fd) || !SSL_set_app_data(ssl, c)
        || !SSL_set_tlsext_host_name(ssl, "localhost") || (c->session && !session)
        || (session && !SSL_set_session(ssl, session))) {
        die("out of memory");
    }
    SSL_SESSION_free(session);
    return ssl;
}

void tls_free(conn_t *c)
{
    if (c->ssl) {
        SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(c->ssl);
        c->ssl = NULL;
    }
}

bool tls_is_over(const conn_t *c) { return SSL_get_shutdown(c->ssl) & SSL_RECEIVED_SHUTDOWN; }
