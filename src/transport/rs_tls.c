/* SPDX-License-Identifier: Apache-2.0
 *
 * Records in and out. OpenSSL makes a record of what it is given before it knows whether the socket
 * takes it, and wants just that again later. A caller must not be asked to remember it: the
 * transport keeps it and says of it that all but its last byte was taken. So its caller is within
 * something unfinished, waits for room and comes back with that byte, which has gone already.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "rs_tls.h"

#define RECORD ((size_t)16384) /* what one can hold */

typedef struct {
    SSL *ssl;
    char *held; /* taken, and not in the socket; NULL: nothing */
    size_t held_len, held_off;
    unsigned owed : 1;   /* the next byte to be written is in `held`, or was */
    unsigned begun : 1;  /* the session is ours alone */
    unsigned broken : 1; /* OpenSSL must not be asked for anything more */
} tls_t;

/* What became of a call that did not succeed: 0: it is to be made again, -1: the session is over.
 * *crossed: whether it waits for what the other direction usually waits for. */
static int failed(tls_t *tls, int rv, int other, unsigned char *crossed)
{
    int error = SSL_get_error(tls->ssl, rv);

    *crossed = error == other;
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        return 0;
    }
    tls->broken = error != SSL_ERROR_ZERO_RETURN;
    return -1;
}

static int write_some(rs_conn_t *conn, const char *data, size_t len)
{
    tls_t *tls = conn->session;
    int n;

    ERR_clear_error();
    /* An answer to a change of keys may be half written, and OpenSSL wants no fewer bytes than that
     * has left, whatever they are for. */
    n = SSL_in_init(tls->ssl) ? SSL_do_handshake(tls->ssl) : 1;
    if (n == 1) {
        n = SSL_write(tls->ssl, data, (int)len);
    }
    if (n > 0) {
        conn->write_wants_in = 0;
        return n;
    }
    return failed(tls, n, SSL_ERROR_WANT_READ, &conn->write_wants_in);
}

static int hold(tls_t *tls, const char *data, size_t len)
{
    tls->held = malloc(len);
    if (!tls->held) {
        return 0;
    }
    memcpy(tls->held, data, len);
    tls->held_len = len;
    tls->held_off = 0;
    tls->owed = 1;
    return 1;
}

/* 1: nothing is held any more. */
static int send_held(rs_conn_t *conn)
{
    tls_t *tls = conn->session;

    while (tls->held) {
        int n = write_some(conn, tls->held + tls->held_off, tls->held_len - tls->held_off);

        if (n <= 0) {
            return n;
        }
        tls->held_off += (size_t)n;
        if (tls->held_off == tls->held_len) {
            free(tls->held);
            tls->held = NULL;
        }
    }
    return 1;
}

/* At most a record of what begins after `from` bytes. Copied only where it is in pieces. */
static size_t next_record(const struct iovec *iov, int n, size_t from, char *buf,
                          const char **data)
{
    size_t len = 0;

    for (; from >= iov->iov_len; iov++, n--) {
        from -= iov->iov_len;
    }
    if (n == 1 || iov->iov_len - from >= RECORD) {
        *data = (const char *)iov->iov_base + from;
        len = iov->iov_len - from;
        return len < RECORD ? len : RECORD;
    }
    for (; n && len < RECORD; iov++, n--) {
        size_t take = iov->iov_len - from < RECORD - len ? iov->iov_len - from : RECORD - len;

        memcpy(buf + len, (const char *)iov->iov_base + from, take);
        len += take;
        from = 0;
    }
    *data = buf;
    return len;
}

static ssize_t tls_writev(rs_conn_t *conn, const struct iovec *iov, int n)
{
    char buf[RECORD];
    tls_t *tls = conn->session;
    size_t total = 0, done;
    int i, rv = send_held(conn);

    for (i = 0; i < n; i++) {
        total += iov[i].iov_len;
    }
    if (rv <= 0 || !total) {
        return rv < 0 ? -1 : 0;
    }
    done = tls->owed;
    tls->owed = 0;
    while (done < total) {
        const char *data;
        size_t len = next_record(iov, n, done, buf, &data);

        rv = write_some(conn, data, len);
        if (rv < 0 || (!rv && !hold(tls, data, len))) {
            return -1;
        }
        if (!rv) {
            /* Never nothing where something new began: no frame is a single byte. */
            done += len - 1;
            break;
        }
        done += (size_t)rv;
    }
    return (ssize_t)done;
}

/* Not while a record is half written: where what comes wants an answer (a change of keys does),
 * OpenSSL would take that for a wrong repetition of the record, and end the session. */
static ssize_t tls_read(rs_conn_t *conn, char *buf, size_t size)
{
    tls_t *tls = conn->session;
    int n = send_held(conn);

    if (n <= 0) {
        conn->read_wants_out = n == 0 && !conn->write_wants_in;
        return n;
    }
    ERR_clear_error();
    n = SSL_read(tls->ssl, buf, (int)size);
    if (n > 0) {
        conn->read_wants_out = 0;
        return n;
    }
    return failed(tls, n, SSL_ERROR_WANT_WRITE, &conn->read_wants_out);
}

static int tls_finish(rs_conn_t *conn)
{
    tls_t *tls = conn->session;
    int rv;

    ERR_clear_error();
    rv = SSL_shutdown(tls->ssl);
    if (rv < 0 && SSL_get_error(tls->ssl, rv) == SSL_ERROR_WANT_WRITE) {
        return 0;
    }
    shutdown(conn->fd, SHUT_WR);
    return 1;
}

static void tls_close(rs_conn_t *conn)
{
    tls_t *tls = conn->session;

    if (tls->begun) {
        if (!tls->broken && !tls->held && SSL_get_shutdown(tls->ssl) == SSL_RECEIVED_SHUTDOWN) {
            ERR_clear_error();
            SSL_shutdown(tls->ssl); /* it has said goodbye, and may wait for ours */
        }
        /* A session that ended otherwise is no reason to let nobody resume it: without this OpenSSL
         * takes it out of the server's cache. */
        SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }
    else {
        SSL_set_quiet_shutdown(tls->ssl, 0);
    }
    SSL_free(tls->ssl);
    free(tls->held);
    free(tls);
    conn->session = NULL;
    close(conn->fd);
}

const rs_transport_t rs_transport_tls = {
    "tls", tls_writev, tls_read, tls_finish, tls_close,
};

int rs_tls_open(rs_conn_t *conn, SSL *ssl)
{
    tls_t *tls = calloc(1, sizeof(*tls));

    if (!tls || !SSL_up_ref(ssl)) {
        free(tls);
        return 0;
    }
    tls->ssl = ssl;
    /* Its owner may say goodbye, and the peer must not hear it. */
    SSL_set_quiet_shutdown(ssl, 1);
    conn->session = tls;
    conn->transport = &rs_transport_tls;
    return 1;
}

static void no_info(const SSL *ssl, int where, int ret)
{
    (void)ssl;
    (void)where;
    (void)ret;
}

static int no_certificate(int ok, X509_STORE_CTX *store)
{
    (void)ok;
    (void)store;
    return 0;
}

/* All that OpenSSL may still call after a handshake is replaced here: those of the owner look for
 * the connection and the request, which are gone. */
int rs_tls_begin(rs_conn_t *conn)
{
    tls_t *tls = conn->session;
    SSL *ssl = tls->ssl;

    SSL_set_app_data(ssl, NULL);
    SSL_set_info_callback(ssl, no_info);
    SSL_set_msg_callback(ssl, NULL);
    SSL_set_verify(ssl, SSL_VERIFY_NONE, no_certificate);
    SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
    SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                          | SSL_MODE_RELEASE_BUFFERS);
    SSL_set_quiet_shutdown(ssl, 0);
    SSL_set_shutdown(ssl, 0);
    tls->begun = 1;
    return SSL_set_fd(ssl, conn->fd);
}
