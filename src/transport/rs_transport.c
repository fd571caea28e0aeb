/* SPDX-License-Identifier: Apache-2.0
 *
 * Plain sockets.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#ifdef __linux__
#include <linux/sockios.h>
#endif
#include <unistd.h>

#include "rs_transport.h"

/* A peer that vanished without a word while nothing was written to it is noticed after 60 + 5 * 15
 * seconds. Where something was, TCP tries for a quarter of an hour (and keepalive has to wait), so
 * we look whether it acknowledges. TCP_USER_TIMEOUT would also end peers that are alive and only
 * not reading; these acknowledge whatever the kernel asks them, at least each two minutes. */
#define KEEPALIVE_IDLE 60
#define KEEPALIVE_INTERVAL 15
#define KEEPALIVE_COUNT 5
#define SILENT_MAX 125000 /* ms; Linux's TCP_RTO_MAX, and a little */

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

/* Only Linux says when something was heard last. */
int rs_transport_is_silent(const rs_conn_t *conn, unsigned ms)
{
#ifdef __linux__
    struct tcp_info info;
    socklen_t len = sizeof(info);
    int waiting = 0;

    /* This costs less, and mostly everything has been acknowledged. */
    if (ioctl(conn->fd, SIOCOUTQ, &waiting) != 0 || waiting == 0) {
        return 0;
    }
    return getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0
           && len > offsetof(struct tcp_info, tcpi_pmtu) && info.tcpi_unacked > 0
           && info.tcpi_last_ack_recv > ms;
#else
    (void)conn, (void)ms;
    return 0;
#endif
}

int rs_transport_socket_is_lost(const rs_conn_t *conn)
{
    return rs_transport_is_silent(conn, SILENT_MAX);
}

const rs_transport_t rs_transport_socket = {
    "socket",      socket_writev, socket_read,
    socket_finish, socket_close,  rs_transport_socket_is_lost,
};

static void set(int fd, int level, int option, int value)
{
    /* A refused option costs comfort, not correctness. */
    (void)setsockopt(fd, level, option, &value, sizeof(value));
}

void rs_transport_keepalive(int fd)
{
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
#ifdef TCP_KEEPIDLE
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
#endif
}

void rs_transport_socket_setup(int fd, int send_buffer)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags >= 0) {
        (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    }
    set(fd, SOL_SOCKET, SO_SNDBUF, send_buffer);
    rs_transport_keepalive(fd);
#ifdef TCP_NOTSENT_LOWAT
    set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, send_buffer / 2);
#endif
}
