/* SPDX-License-Identifier: Apache-2.0
 *
 * Plain sockets.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rs_transport.h"

/* A peer that vanished without a word is noticed after 60 + 5 * 15 seconds. TCP_USER_TIMEOUT would
 * be quicker but also ends peers that are alive and only not reading. */
#define KEEPALIVE_IDLE 60
#define KEEPALIVE_INTERVAL 15
#define KEEPALIVE_COUNT 5

static int would_block(void) { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

static ssize_t socket_writev(rs_conn_t *conn, const struct iovec *iov, int n)
{
    struct msghdr msg;
    ssize_t written;

    memset(&msg, 0, sizeof(msg));
    msg.msg_iov = (struct iovec *)iov;
    msg.msg_iovlen = (size_t)n;
    written = sendmsg(conn->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (written < 0) {
        return would_block() ? 0 : -1;
    }
    return written;
}

static ssize_t socket_read(rs_conn_t *conn, char *buf, size_t size)
{
    ssize_t n = recv(conn->fd, buf, size, MSG_DONTWAIT);

    if (n < 0) {
        return would_block() ? 0 : -1;
    }
    return n == 0 ? -1 : n;
}

static int socket_finish(rs_conn_t *conn)
{
    shutdown(conn->fd, SHUT_WR);
    return 1;
}

static void socket_close(rs_conn_t *conn) { close(conn->fd); }

const rs_transport_t rs_transport_socket = {
    "socket", socket_writev, socket_read, socket_finish, socket_close,
};

static void set(int fd, int level, int option, int value)
{
    /* A refused option costs comfort, not correctness. */
    (void)setsockopt(fd, level, option, &value, sizeof(value));
}

void rs_transport_socket_setup(int fd, int send_buffer)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags >= 0) {
        (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    }
    set(fd, SOL_SOCKET, SO_SNDBUF, send_buffer);
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
#ifdef TCP_KEEPIDLE
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
#endif
#ifdef TCP_NOTSENT_LOWAT
    set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, send_buffer / 2);
#endif
}
