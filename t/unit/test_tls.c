/* SPDX-License-Identifier: Apache-2.0
 *
 * The TLS transport by itself, over a socket that takes little: what a reader gets is what was
 * said to be taken, in whatever pieces, while it changes keys; and nothing of the session's owner
 * is called.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "tap.h"
#include "transport/rs_tls.h"

static SSL_CTX *server_ctx, *client_ctx;
static int owner_called, removed;

static void info(const SSL *ssl, int where, int ret)
{
    (void)where;
    (void)ret;
    owner_called += SSL_get_app_data(ssl) == NULL; /* as it is once the session was handed over */
}

static void removed_session(SSL_CTX *ctx, SSL_SESSION *session)
{
    (void)ctx;
    (void)session;
    removed++;
}

static void certify(SSL_CTX *ctx)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();

    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_sign(cert, key, EVP_sha256());
    ok(SSL_CTX_use_certificate(ctx, cert) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1,
       "a certificate");
    X509_free(cert);
    EVP_PKEY_free(key);
}

typedef struct {
    rs_conn_t conn;
    SSL *client;
    int fd; /* the client's */
} pair_t;

static void nonblocking(int fd, int buffer)
{
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
}

static int open_pair(pair_t *p, int version, int fragment)
{
    SSL *ssl = SSL_new(server_ctx);
    int fds[2], i, done = 0;

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds)) {
        return 0;
    }
    nonblocking(fds[0], 8192);
    nonblocking(fds[1], 8192);
    SSL_set_app_data(ssl, p);
    SSL_set_fd(ssl, fds[0]);
    SSL_set_accept_state(ssl);
    p->client = SSL_new(client_ctx);
    p->fd = fds[1];
    SSL_set_min_proto_version(p->client, version);
    SSL_set_max_proto_version(p->client, version);
    if (fragment) {
        SSL_set_tlsext_max_fragment_length(p->client, (unsigned char)fragment);
    }
    SSL_set_fd(p->client, fds[1]);
    SSL_set_connect_state(p->client);
    for (i = 0; i < 100 && done != 3; i++) {
        done = (SSL_do_handshake(p->client) == 1) | (SSL_do_handshake(ssl) == 1) << 1;
    }
    memset(&p->conn, 0, sizeof(p->conn));
    p->conn.fd = fds[0];
    done = done == 3 && rs_tls_open(&p->conn, ssl);
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); /* as mod_ssl may do */
    SSL_free(ssl);
    return done && rs_tls_begin(&p->conn);
}

static void close_client(pair_t *p)
{
    SSL_free(p->client);
    close(p->fd);
}

/* --- what is written, as the engine does it: frame by frame, each to its end --- */

#define LIMIT (4 * 1024 * 1024)

static struct {
    unsigned char *sent; /* all frames that were begun */
    size_t len, got, frame, off;
    unsigned char next;
} flow;

static void new_frame(void)
{
    size_t i;

    flow.frame = 2 + (size_t)rand() % (rand() % 4 ? 500 : 40000);
    flow.off = 0;
    for (i = 0; i < flow.frame; i++) {
        flow.sent[flow.len + i] = flow.next++ ^ (unsigned char)(rand() >> 8);
    }
}

/* In up to 64 pieces. -1: broken. */
static int write_on(pair_t *p)
{
    struct iovec iov[64];
    size_t at = flow.off, left;
    ssize_t n;
    int k;

    if (!flow.off) {
        new_frame(); /* nothing was begun: it may be another one by now */
    }
    for (k = 0; k < 63 && at < flow.frame; k++) {
        left = flow.frame - at;
        iov[k].iov_base = flow.sent + flow.len + at;
        iov[k].iov_len = rand() % 3 ? (size_t)rand() % (left + 1) : left;
        at += iov[k].iov_len;
    }
    iov[k].iov_base = flow.sent + flow.len + at;
    iov[k].iov_len = flow.frame - at;
    n = p->conn.transport->writev(&p->conn, iov, k + 1);
    if (n < 0) {
        return -1;
    }
    flow.off += (size_t)n;
    if (flow.off == flow.frame) {
        flow.len += flow.frame;
        flow.off = 0;
    }
    return n > 0;
}

/* 0: something else came than was sent. */
static int read_on(pair_t *p, size_t most)
{
    unsigned char buf[20000];
    size_t size = most < sizeof(buf) ? most : sizeof(buf);
    int n;

    ERR_clear_error();
    n = SSL_read(p->client, buf, (int)size);
    if (n > 0) {
        int same = memcmp(buf, flow.sent + flow.got, (size_t)n) == 0;

        flow.got += (size_t)n;
        return same;
    }
    n = SSL_get_error(p->client, n);
    return n == SSL_ERROR_WANT_READ || n == SSL_ERROR_WANT_WRITE;
}

static void exchange(int version, int fragment, const char *name)
{
    char in[4096];
    int i, good, broken = 0, keys = 0, full = 0;
    pair_t p;

    ok(open_pair(&p, version, fragment), "%s: a session", name);
    memset(&flow, 0, sizeof(flow));
    flow.sent = malloc(LIMIT + 50000);
    for (i = 0, good = 1; good && broken >= 0 && flow.len < LIMIT; i++) {
        switch (rand() % 8) {
        case 0:
        case 1:
        case 2:
            broken = write_on(&p);
            full += broken == 0;
            break;
        case 3:
            good = read_on(&p, 1);
            break;
        case 4:
            broken = p.conn.transport->read(&p.conn, in, sizeof(in)) < 0 ? -1 : 0;
            break;
        case 5:
            if (version == TLS1_3_VERSION && rand() % 20 == 0) {
                keys += SSL_key_update(p.client, rand() % 2 ? SSL_KEY_UPDATE_REQUESTED
                                                            : SSL_KEY_UPDATE_NOT_REQUESTED);
                SSL_do_handshake(p.client);
            }
            break;
        case 6:
            (void)SSL_write(p.client, "early", 5); /* the same again, if there was no room */
            break;
        default:
            good = read_on(&p, (size_t)rand() % 20000 + 1);
        }
    }
    while (good && broken >= 0 && (flow.off || flow.got < flow.len)) {
        broken = flow.off ? write_on(&p) : 0;
        good = read_on(&p, 20000);
        if (p.conn.transport->read(&p.conn, in, sizeof(in)) < 0
            || (!flow.off && p.conn.transport->writev(&p.conn, NULL, 0) < 0)) {
            broken = -1;
        }
    }
    ok(good, "%s: what is read is what was taken", name);
    ok(broken >= 0 && flow.len >= LIMIT && flow.got == flow.len, "%s: all of it", name);
    ok(full > 0, "%s: often there was no room", name);
    ok(version != TLS1_3_VERSION || keys > 10, "%s: while keys changed (%d)", name, keys);
    p.conn.transport->close(&p.conn);
    close_client(&p);
    free(flow.sent);
}

/* --- ends --- */

static int client_sees(pair_t *p)
{
    char buf[20000];
    int n;

    do {
        ERR_clear_error();
        n = SSL_read(p->client, buf, sizeof(buf));
    } while (n > 0);
    return SSL_get_error(p->client, n);
}

/* Each change of keys wants an answer, for which there is no room. */
static void asks_and_asks(void)
{
    static char much[65536];
    struct iovec iov = {much, sizeof(much)};
    char buf[4096];
    ssize_t n = 0;
    int i;
    pair_t p;

    open_pair(&p, TLS1_3_VERSION, 0);
    while (p.conn.transport->writev(&p.conn, &iov, 1) > 0) {
    }
    for (i = 0; i < 20000 && n >= 0; i++) {
        SSL_key_update(p.client, SSL_KEY_UPDATE_REQUESTED);
        SSL_do_handshake(p.client);
        do {
            n = p.conn.transport->read(&p.conn, buf, sizeof(buf));
        } while (n > 0);
    }
    ok(n < 0, "a client that reads nothing and asks again and again is sent away (after %d)", i);
    p.conn.transport->close(&p.conn);
    close_client(&p);
}

static void ends(int version, const char *name)
{
    static char much[65536];
    struct iovec iov = {much, sizeof(much)};
    char buf[64];
    int before;
    pair_t p;

    removed = 0;
    ok(open_pair(&p, version, 0), "%s: a session", name);
    is_int(p.conn.transport->finish(&p.conn), 1, "an end is told");
    is_int(client_sees(&p), SSL_ERROR_ZERO_RETURN, "the client hears of it");
    SSL_shutdown(p.client);
    is_int(p.conn.transport->read(&p.conn, buf, sizeof(buf)), -1, "and says so, too");
    p.conn.transport->close(&p.conn);
    close_client(&p);

    open_pair(&p, version, 0);
    SSL_shutdown(p.client);
    is_int(p.conn.transport->read(&p.conn, buf, sizeof(buf)), -1, "the client ends first");
    p.conn.transport->close(&p.conn);
    is_int(client_sees(&p), SSL_ERROR_ZERO_RETURN, "and hears that this was understood");
    close_client(&p);

    open_pair(&p, version, 0);
    do {
        before = (int)p.conn.transport->writev(&p.conn, &iov, 1);
    } while (before > 0);
    is_int(before, 0, "a client that does not read");
    is_int(p.conn.holds, 1, "there is something that waits for room");
    p.conn.transport->close(&p.conn);
    ok(client_sees(&p) != SSL_ERROR_ZERO_RETURN, "its cut stream is no proper end");
    close_client(&p);

    /* Bytes that are not TLS fill what is left of the socket: there is no room for a goodbye. */
    open_pair(&p, version, 0);
    while (write(p.conn.fd, much, 1) == 1) {
    }
    is_int(p.conn.transport->finish(&p.conn), 0, "no room to tell an end");
    while (read(p.fd, much, sizeof(much)) > 0) {
    }
    is_int(p.conn.transport->finish(&p.conn), 1, "which is told when there is");
    p.conn.transport->close(&p.conn);
    close_client(&p);

    open_pair(&p, version, 0);
    close_client(&p);
    is_int(p.conn.transport->read(&p.conn, buf, sizeof(buf)), -1, "a client that is just gone");
    p.conn.transport->close(&p.conn);

    /* Dropped by its owner before it was handed over. */
    open_pair(&p, version, 0);
    p.conn.transport->close(&p.conn);
    close_client(&p);
    is_int(removed, 0, "none of these sessions was taken out of the cache");
}

int main(int argc, char **argv)
{
    server_ctx = SSL_CTX_new(TLS_server_method());
    client_ctx = SSL_CTX_new(TLS_client_method());
    certify(server_ctx);
    SSL_CTX_set_session_id_context(server_ctx, (const unsigned char *)"t", 1);
    SSL_CTX_set_info_callback(server_ctx, info);
    SSL_CTX_sess_set_remove_cb(server_ctx, removed_session);
    signal(SIGPIPE, SIG_IGN); /* of the client: OpenSSL writes without MSG_NOSIGNAL */
    srand(argc > 1 ? (unsigned)atoi(argv[1]) : 1);
    exchange(TLS1_3_VERSION, 0, "TLS 1.3");
    exchange(TLS1_2_VERSION, 0, "TLS 1.2");
    exchange(TLS1_3_VERSION, TLSEXT_max_fragment_length_512, "TLS 1.3, small records");
    exchange(TLS1_2_VERSION, TLSEXT_max_fragment_length_512, "TLS 1.2, small records");
    ends(TLS1_3_VERSION, "TLS 1.3");
    ends(TLS1_2_VERSION, "TLS 1.2");
    asks_and_asks();
    is_int(owner_called, 0, "nothing of the owner was called");
    SSL_CTX_sess_set_remove_cb(server_ctx, NULL);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    return done_testing();
}
