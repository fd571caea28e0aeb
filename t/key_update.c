/* SPDX-License-Identifier: Apache-2.0
 *
 * A client of TLS 1.3 for 36-tls-keys.t: key_update PORT TIMES both|mine FIRST SECOND. In one piece it
 * sends the bytes of the file FIRST, changes its keys so often (`both`: and asks for the server's), and
 * sends those of SECOND. Then it passes on what comes from either side.
 */
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

static SSL *ssl;
static BIO *in, *out;
static int fd;

static void flush(void)
{
    static char buf[256 * 1024];
    int n = BIO_read(out, buf, sizeof(buf));

    if (n > 0 && send(fd, buf, (size_t)n, MSG_NOSIGNAL) != n) {
        exit(1);
    }
}

/* 0: the other side has closed. */
static int receive(void)
{
    char buf[16384];
    ssize_t n = recv(fd, buf, sizeof(buf), 0);
    int len;

    if (n <= 0) {
        return 0;
    }
    BIO_write(in, buf, (int)n);
    while ((len = SSL_read(ssl, buf, sizeof(buf))) > 0) {
        fwrite(buf, 1, (size_t)len, stdout);
    }
    fflush(stdout);
    return SSL_get_error(ssl, len) == SSL_ERROR_WANT_READ;
}

static void say(const char *name)
{
    char buf[16384];
    FILE *file = fopen(name, "r");
    size_t n = file ? fread(buf, 1, sizeof(buf), file) : 0;

    if (!n || SSL_write(ssl, buf, (int)n) != (int)n) {
        exit(1);
    }
    fclose(file);
}

static void shake_hands(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((in_port_t)port)};
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    ssl = SSL_new(ctx);
    in = BIO_new(BIO_s_mem());
    out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, in, out);
    SSL_set_tlsext_host_name(ssl, "localhost");
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        exit(1);
    }
    SSL_set_connect_state(ssl);
    while (SSL_do_handshake(ssl) != 1) {
        flush();
        receive();
    }
    flush();
}

int main(int argc, char **argv)
{
    struct pollfd fds[2] = {{0, POLLIN, 0}, {0, POLLIN, 0}};
    char buf[16384];
    ssize_t n;
    int times, how;

    if (argc != 6) {
        return 2;
    }
    how = strcmp(argv[3], "both") ? SSL_KEY_UPDATE_NOT_REQUESTED : SSL_KEY_UPDATE_REQUESTED;
    shake_hands(atoi(argv[1]));
    say(argv[4]);
    for (times = atoi(argv[2]); times > 0; times--) {
        SSL_key_update(ssl, how);
        SSL_do_handshake(ssl);
    }
    say(argv[5]);
    flush();
    fds[1].fd = fd;
    while (poll(fds, 2, -1) > 0) {
        if (fds[1].revents && !receive()) {
            printf("[ended]\n");
            return 0;
        }
        if (fds[0].revents) {
            n = read(0, buf, sizeof(buf));
            if (n <= 0) {
                return 0;
            }
            SSL_write(ssl, buf, (int)n);
            flush();
        }
    }
    return 1;
}
