/* SPDX-License-Identifier: Apache-2.0
 *
 * Records in and out. OpenSSL makes a record of what it is given before it knows whether the socket
 * takes it. If it does not, OpenSSL wants to be given the same again, and until then breaks when
 * something has to be answered. So here it always finds room: what the socket does not take is held
 * and sent later, and nothing more is encrypted meanwhile. Of what was encrypted then all but the
 * last byte is said to be taken: the caller is within something unfinished, waits for room, and
 * comes back with that byte, which has gone already.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "rs_tls.h"

#define RECORD ((size_t)16384) /* what one can hold */
/* A record, and answers to a client that asks for them again and again and reads none. */
#define HELD_MAX ((size_t)64 * 1024)

typedef struct {
    SSL *ssl;
    char *held; /* encrypted, and not in the socket; NULL: nothing */
    size_t held_len, held_off;
    int fd;
    unsigned owed : 1;   /* the next byte to be written has been encrypted already */
    unsigned begun : 1;  /* the session is ours alone */
    unsigned broken : 1; /* OpenSSL must not be asked for anything more */
} tls_t;

/* --- below the session --- */

static int would_block(void) { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

/* The bytes sent; -1: the peer is gone. */
static ssize_t send_some(const tls_t *tls, const char *data, size_t len)
{
    ssize_t n = send(tls->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

    return n < 0 && would_block() ? 0 : n;
}

static int hold(tls_t *tls, const char *data, size_t len)
{
    size_t left = tls->held_len - tls->held_off;
    char *more;

    if (left + len > HELD_MAX || !(more = malloc(left + len))) {
        return 0;
    }
    if (tls->held) {
        memcpy(more, tls->held + tls->held_off, left);
    }
    memcpy(more + left, data, len);
    free(tls->held);
    tls->held = more;
    tls->held_len = left + len;
    tls->held_off = 0;
    return 1;
}

/* 1: nothing is held any more. 0: there is no room. */
static int send_held(rs_conn_t *conn)
{
    tls_t *tls = conn->session;

    while (tls->held_off < tls->held_len) {
        ssize_t n = send_some(tls, tls->held + tls->held_off, tls->held_len - tls->held_off);

        if (n <= 0) {
            return (int)n;
        }
        tls->held_off += (size_t)n;
    }
    free(tls->held);
    tls->held = NULL;
    tls->held_len = tls->held_off = 0;
    conn->holds = 0;
    return 1;
}

static int bio_write(BIO *bio, const char *data, int len)
{
    tls_t *tls = BIO_get_data(bio);
    ssize_t n = tls->held ? 0 : send_some(tls, data, (size_t)len);

    BIO_clear_retry_flags(bio);
    if (n < 0 || (n < len && !hold(tls, data + n, (size_t)(len - n)))) {
        return -1;
    }
    return len;
}

static int bio_read(BIO *bio, char *buf, int size)
{
    const tls_t *tls = BIO_get_data(bio);
    ssize_t n = recv(tls->fd, buf, (size_t)size, MSG_DONTWAIT);

    BIO_clear_retry_flags(bio);
    if (n < 0 && would_block()) {
        BIO_set_retry_read(bio);
    }
    return (int)n;
}

static long bio_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
    (void)bio;
    (void)num;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method; /* for the life of the process */

static void create_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "ragline");

    if (m && BIO_meth_set_write(m, bio_write) && BIO_meth_set_read(m, bio_read)
        && BIO_meth_set_ctrl(m, bio_ctrl)) {
        method = m;
    }
}

static BIO *create_bio(tls_t *tls)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    BIO *bio;

    pthread_once(&once, create_method);
    bio = method ? BIO_new(method) : NULL;
    if (bio) {
        BIO_set_data(bio, tls);
        BIO_set_init(bio, 1);
    }
    return bio;
}

/* --- the transport --- */

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

        ERR_clear_error();
        if (SSL_write(tls->ssl, data, (int)len) != (int)len) {
            tls->broken = 1;
            return -1;
        }
        done += len;
        if (tls->held) {
            /* Never nothing where something new began: no frame is a single byte. */
            conn->holds = tls->owed = 1;
            return (ssize_t)done - 1;
        }
    }
    return (ssize_t)done;
}

static ssize_t tls_read(rs_conn_t *conn, char *buf, size_t size)
{
    tls_t *tls = conn->session;
    int n, error;

    ERR_clear_error();
    n = SSL_read(tls->ssl, buf, (int)size);
    conn->holds = tls->held != NULL; /* what was read may have been answered */
    if (n > 0) {
        return n;
    }
    error = SSL_get_error(tls->ssl, n);
    if (error == SSL_ERROR_WANT_READ) {
        return 0;
    }
    tls->broken = error != SSL_ERROR_ZERO_RETURN;
    return -1;
}

static int tls_finish(rs_conn_t *conn)
{
    tls_t *tls = conn->session;

    if (!tls->broken && !(SSL_get_shutdown(tls->ssl) & SSL_SENT_SHUTDOWN)) {
        ERR_clear_error();
        SSL_shutdown(tls->ssl);
    }
    if (send_held(conn) == 0) {
        conn->holds = 1;
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
    "tls", tls_writev, tls_read, tls_finish, tls_close, rs_transport_socket_is_lost,
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
    BIO *bio = create_bio(tls);

    if (!bio) {
        return 0;
    }
    SSL_set_app_data(ssl, NULL);
    SSL_set_info_callback(ssl, no_info);
    SSL_set_msg_callback(ssl, NULL);
    SSL_set_verify(ssl, SSL_VERIFY_NONE, no_certificate);
    SSL_set_options(ssl, SSL_OP_NO_RENEGOTIATION);
    SSL_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_set_quiet_shutdown(ssl, 0);
    SSL_set_shutdown(ssl, 0);
    SSL_set_bio(ssl, bio, bio);
    tls->fd = conn->fd;
    tls->begun = 1;
    return 1;
}
