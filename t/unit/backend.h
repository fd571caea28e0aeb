/* SPDX-License-Identifier: Apache-2.0
 *
 * An application's back end for the unit tests: a thread for each connection, and the path of the
 * request says how it behaves. /ok, /status/NNN, /slow, /together, /hang, /garbage, /cut, /part,
 * /endless, /redirect, /turns (garbage to every second request of all).
 */
#ifndef BACKEND_H
#define BACKEND_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>

typedef struct {
    int listener, port;
    SSL_CTX *ctx; /* NULL: plain */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int connections, requests; /* lock */
    int together, most;        /* lock: requests for /together that wait; the most at once */
    int wanted;                /* constant: so many of them are waited for */
    int let_go;                /* lock: those that hang may end */
    char last[16384];          /* lock: the last request whole */
} backend_t;

typedef struct {
    backend_t *backend;
    int fd;
    SSL *ssl;
} backend_conn_t;

static inline int conn_read(backend_conn_t *c, char *buf, int size)
{
    return c->ssl ? SSL_read(c->ssl, buf, size) : (int)recv(c->fd, buf, (size_t)size, 0);
}

static inline int conn_write(backend_conn_t *c, const char *text)
{
    int len = (int)strlen(text);

    return (c->ssl ? SSL_write(c->ssl, text, len)
                   : (int)send(c->fd, text, (size_t)len, MSG_NOSIGNAL))
           == len;
}

/* A request with its body. 0: the client is gone. */
static inline int read_request(backend_conn_t *c, char *buf, int size)
{
    int len = 0, n;

    for (;;) {
        char *end, *length;

        buf[len] = '\0';
        end = strstr(buf, "\r\n\r\n");
        length = strcasestr(buf, "\r\ncontent-length:");
        if (end && (!length || len >= end + 4 - buf + atoi(length + 17))) {
            return 1;
        }
        n = len < size - 1 ? conn_read(c, buf + len, size - 1 - len) : 0;
        if (n <= 0) {
            return 0;
        }
        len += n;
    }
}

static inline void wait_to_be_let_go(backend_t *b)
{
    pthread_mutex_lock(&b->lock);
    while (!b->let_go) {
        pthread_cond_wait(&b->changed, &b->lock);
    }
    pthread_mutex_unlock(&b->lock);
}

/* A moment longer than until so many are there as are wanted: one too many comes, too. */
static inline void wait_for_others(backend_t *b)
{
    pthread_mutex_lock(&b->lock);
    b->together++;
    b->most = b->together > b->most ? b->together : b->most;
    pthread_cond_broadcast(&b->changed);
    while (b->most < b->wanted) {
        pthread_cond_wait(&b->changed, &b->lock);
    }
    pthread_mutex_unlock(&b->lock);
    usleep(50 * 1000);
    pthread_mutex_lock(&b->lock);
    b->together--;
    pthread_mutex_unlock(&b->lock);
}

static inline int is_odd(backend_t *b)
{
    int odd;

    pthread_mutex_lock(&b->lock);
    odd = b->requests % 2;
    pthread_mutex_unlock(&b->lock);
    return odd;
}

/* 0: the connection ends. */
static inline int answer(backend_conn_t *c, const char *path)
{
    char text[128];
    int i;

    if (!strncmp(path, "/status/", 8)) {
        snprintf(text, sizeof(text), "HTTP/1.1 %.3s Of its own\r\nContent-Length: 2\r\n\r\n{}",
                 path + 8);
        return conn_write(c, text);
    }
    if (!strncmp(path, "/hang", 5)) {
        wait_to_be_let_go(c->backend);
        return 0;
    }
    if (!strncmp(path, "/slow", 5)) {
        usleep(200 * 1000);
    }
    if (!strncmp(path, "/together", 9)) {
        wait_for_others(c->backend);
    }
    if (!strncmp(path, "/garbage", 8) || (!strncmp(path, "/turns", 6) && is_odd(c->backend))) {
        conn_write(c, "\x16\x03\x01 this is no HTTP\n\n\xff\xfe");
        return 0;
    }
    if (!strncmp(path, "/cut", 4)) {
        conn_write(c, "HTTP/1.1 200 OK\r\nContent-Le");
        return 0;
    }
    if (!strncmp(path, "/part", 5)) {
        conn_write(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{");
        return 0;
    }
    if (!strncmp(path, "/redirect", 9)) {
        return conn_write(c, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
    }
    if (!strncmp(path, "/endless", 8)) {
        conn_write(c, "HTTP/1.1 200 OK\r\n\r\n");
        for (i = 0; i < 100000 && conn_write(c, "0123456789abcdef0123456789abcdef"); i++) {
        }
        return 0;
    }
    return conn_write(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
}

static inline void *serve_conn(void *data)
{
    backend_conn_t *c = data;
    backend_t *b = c->backend;
    char buf[16384], path[128];
    int more = !c->ssl || SSL_accept(c->ssl) == 1;

    while (more && read_request(c, buf, sizeof(buf))) {
        pthread_mutex_lock(&b->lock);
        b->requests++;
        memcpy(b->last, buf, sizeof(buf));
        pthread_mutex_unlock(&b->lock);
        path[0] = '\0';
        sscanf(buf, "%*s %127s", path);
        more = answer(c, path);
    }
    if (c->ssl) {
        SSL_free(c->ssl);
    }
    close(c->fd);
    free(c);
    return NULL;
}

static inline void *serve(void *data)
{
    backend_t *b = data;
    int fd;

    while ((fd = accept(b->listener, NULL, NULL)) >= 0) {
        backend_conn_t *c = calloc(1, sizeof(*c));
        pthread_t thread;

        c->backend = b;
        c->fd = fd;
        if (b->ctx) {
            c->ssl = SSL_new(b->ctx);
            SSL_set_fd(c->ssl, fd);
        }
        pthread_mutex_lock(&b->lock);
        b->connections++;
        pthread_mutex_unlock(&b->lock);
        pthread_create(&thread, NULL, serve_conn, c);
        pthread_detach(thread);
    }
    return NULL;
}

static inline void backend_start(backend_t *b)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof(addr);
    pthread_t thread;

    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    b->listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(b->listener, (struct sockaddr *)&addr, len) || listen(b->listener, 128)
        || getsockname(b->listener, (struct sockaddr *)&addr, &len)) {
        abort();
    }
    b->port = ntohs(addr.sin_port);
    pthread_create(&thread, NULL, serve, b);
    pthread_detach(thread);
}

/* Those that hang end from now on. */
static inline void backend_let_go(backend_t *b)
{
    pthread_mutex_lock(&b->lock);
    b->let_go = 1;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

/* A certificate for 127.0.0.1 that it signed itself, also as a file. */
static inline void backend_certify(backend_t *b, const char *file)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
    FILE *out = fopen(file, "w");

    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"backend", -1, -1,
                               0);
    X509_set_issuer_name(cert, name);
    X509_add_ext(cert, san, -1);
    X509_set_pubkey(cert, key);
    X509_sign(cert, key, EVP_sha256());
    b->ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(b->ctx, cert);
    SSL_CTX_use_PrivateKey(b->ctx, key);
    if (!out || !PEM_write_X509(out, cert)) {
        abort();
    }
    fclose(out);
    X509_EXTENSION_free(san);
    X509_free(cert);
    EVP_PKEY_free(key);
}

#endif
