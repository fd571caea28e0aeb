/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS to Redis, where hiredis has it. Any thread. The SSL object is made here rather than by
 * hiredis, whose own never compares the certificate with the host's name. Trust is the system's
 * (SSL_CERT_FILE and SSL_CERT_DIR count).
 */
#include "rs_config.h"

#include <hiredis/hiredis.h>

#include "rs_redis_conn.h"

#ifdef RS_HAVE_HIREDIS_SSL
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>

#include <hiredis/hiredis_ssl.h>
#include <openssl/ssl.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static SSL_CTX *ctx; /* for the life of the process: reading the trusted certificates takes 10 ms */

static void create_ctx(void)
{
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());

    if (c && SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION)
        && SSL_CTX_set_default_verify_paths(c)) {
        SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
        ctx = c;
        return;
    }
    SSL_CTX_free(c);
}

static SSL *create_ssl(const char *host)
{
    unsigned char addr[sizeof(struct in6_addr)];
    int is_addr = inet_pton(AF_INET, host, addr) == 1 || inet_pton(AF_INET6, host, addr) == 1;
    SSL *ssl = ctx ? SSL_new(ctx) : NULL;

    if (ssl
        && (is_addr ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host)
                    : SSL_set1_host(ssl, host) && SSL_set_tlsext_host_name(ssl, host))) {
        return ssl;
    }
    SSL_free(ssl);
    return NULL;
}

int rs_redis_tls_start(redisContext *c, const rs_redis_url_t *url)
{
    SSL *ssl;

    if (!url->tls) {
        return 0;
    }
    pthread_once(&once, create_ctx);
    ssl = create_ssl(url->host);
    if (!ssl) {
        snprintf(c->errstr, sizeof(c->errstr), "TLS cannot be set up");
        return -1;
    }
    if (redisInitiateSSL(c, ssl) != REDIS_OK) {
        SSL_free(ssl);
        return -1;
    }
    return 0;
}

#else

int rs_redis_tls_start(redisContext *c, const rs_redis_url_t *url)
{
    (void)c;
    return url->tls ? -1 : 0; /* rs_redis_url_parse() lets none pass */
}

#endif
