/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a peer that has gone without a word is told from one that only does not read. In a
 * network of its own, whose loopback is taken away; where that may not be had, or the system does
 * not say what was heard last, nothing is tested.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tap.h"
#include "transport/rs_transport.h"

#ifdef __linux__

#define SILENT 2000 /* ms */
#define PATIENCE 600 /* tenths of a second */

static int own_network(void)
{
    return unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
}

static int loopback(int up)
{
    struct ifreq ifr;
    int fd = socket(AF_INET, SOCK_DGRAM, 0), done;

    memset(&ifr, 0, sizeof(ifr));
    strcpy(ifr.ifr_name, "lo");
    ifr.ifr_flags = (short)(up ? IFF_UP | IFF_RUNNING : 0);
    done = ioctl(fd, SIOCSIFFLAGS, &ifr) == 0;
    close(fd);
    return done;
}

/* ours: as the module has it; the peer's descriptor. */
static int connect_to(rs_conn_t *ours)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    socklen_t len = sizeof(addr);
    int listener = socket(AF_INET, SOCK_STREAM, 0), peer = socket(AF_INET, SOCK_STREAM, 0);
    int small = 4096;

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) || listen(listener, 1)
        || getsockname(listener, (struct sockaddr *)&addr, &len)
        || connect(peer, (struct sockaddr *)&addr, sizeof(addr))) {
        return -1;
    }
    memset(ours, 0, sizeof(*ours));
    ours->transport = &rs_transport_socket;
    ours->fd = accept(listener, NULL, NULL);
    rs_transport_socket_setup(ours->fd, 65536);
    close(listener);
    return peer;
}

static ssize_t write_to(rs_conn_t *conn, size_t len)
{
    static char bytes[4096];
    struct iovec iov = {bytes, len};

    return conn->transport->writev(conn, &iov, 1);
}

static void vanished(void)
{
    rs_conn_t idle, reads, full;
    int i, lost = 0, peers[3] = {connect_to(&idle), connect_to(&reads), connect_to(&full)};

    for (i = 0; i < 3; i++) {
        ok(peers[i] >= 0, "connected");
    }
    while (write_to(&full, 4096) > 0) {
    }
    for (i = 0; i < SILENT / 100 + 10; i++) {
        usleep(100 * 1000);
    }
    ok(!rs_transport_is_silent(&idle, SILENT), "who was sent nothing may be silent");
    ok(!rs_transport_is_silent(&full, SILENT), "who does not read says so, again and again");
    ok(write_to(&reads, 10) == 10 && !rs_transport_is_silent(&reads, SILENT),
       "what is just on its way is not missing");
    usleep(300 * 1000);
    loopback(0);
    write_to(&reads, 10);
    for (i = 0; i < PATIENCE && !(lost = rs_transport_is_silent(&reads, SILENT)); i++) {
        usleep(100 * 1000);
    }
    ok(lost, "without a network it is found out");
    ok(!rs_transport_is_silent(&idle, SILENT), "but only where something was sent");
    ok(!reads.transport->is_lost(&reads), "which is waited for longer than this test");
}

int main(void)
{
    if (own_network() && loopback(1)) {
        vanished();
    }
    else {
        ok(1, "skip: no network of its own");
    }
    return done_testing();
}

#else

int main(void)
{
    ok(1, "skip: not on this system");
    return done_testing();
}

#endif
