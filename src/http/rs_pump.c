/* SPDX-License-Identifier: Apache-2.0
 *
 * Copying. The worker, for as long as the stream lives.
 */
#include "../conf/rs_httpd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rs_child.h"
#include "rs_connection.h"
#include "rs_pump.h"
#include "rs_request.h"

/* How often a worker looks whether it is still wanted: a stream of HTTP/2 that the client cancels
 * wakes nobody, and has one of the few workers of its connection. */
#define LOOK_MSEC 250
#define LOOK_HTTP2_MSEC 50

int rs_pump_to_client(request_rec *r, void *baton, const char *data, apr_size_t len)
{
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;
    apr_bucket_brigade *bb = rs_connection_brigade(r->connection);
    apr_status_t rv;

    (void)baton;
    /* The bytes are on the stack: the flush has to be in the same brigade. */
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_transient_create(data, len, alloc));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_flush_create(alloc));
    rv = ap_pass_brigade(r->output_filters, bb);
    apr_brigade_cleanup(bb);
    return rv == APR_SUCCESS;
}

/* What a worker copies: from `fd`, the engine's, as long as `socket`, the client's, is there; and
 * what the client says, where that means something. */
typedef struct {
    int fd, socket;
    rs_pump_sink_t *sink;
    void *baton;
    int listens, ended; /* ended: it says nothing more */
    char said[4096];    /* and was not taken yet */
    apr_size_t said_from, said_to;
} copy_t;

static int copy_once(request_rec *r, const copy_t *c)
{
    char buf[16 * 1024];
    ssize_t n = read(c->fd, buf, sizeof(buf));

    if (n < 0) {
        return errno == EINTR || errno == EAGAIN;
    }
    return n > 0 && c->sink(r, c->baton, buf, (apr_size_t)n);
}

/* Reads what the client has said. -1: it is gone, 0: nothing now. One that says nothing more may
 * have said what is still to be answered, a goodbye above all: of it the engine hears the end. */
static int read_said(request_rec *r, copy_t *c)
{
    apr_ssize_t n = rs_connection_read(r->connection, c->said, sizeof(c->said));

    c->said_from = 0;
    c->said_to = n > 0 ? (apr_size_t)n : 0;
    if (n == RS_CONNECTION_END) {
        shutdown(c->fd, SHUT_WR);
        c->ended = 1;
        n = 0;
    }
    return n > 0 ? 1 : (int)n;
}

/* Until there is nothing more, or the engine takes no more: there may be bytes in httpd's filters
 * of which the socket says nothing. 0: the client is gone. */
static int listen_to(request_rec *r, copy_t *c)
{
    int rv = 1;

    while (rv > 0 && c->listens && !c->ended) {
        rv = c->said_from < c->said_to ? 1 : read_said(r, c);
        if (rv > 0) {
            ssize_t n = send(c->fd, c->said + c->said_from, c->said_to - c->said_from,
                             MSG_DONTWAIT | MSG_NOSIGNAL);

            if (n <= 0) {
                return 1; /* later; or the engine is gone, which is seen elsewhere */
            }
            c->said_from += (apr_size_t)n;
        }
    }
    return rv >= 0;
}

/* On prefork the hook that tells of a stop runs when the request is over, which this one is not
 * before the engine has been told. */
static void drain_if_stopping(void)
{
    int state;

    if (ap_mpm_query(AP_MPMQ_MPM_STATE, &state) == APR_SUCCESS && state == AP_MPMQ_STOPPING
        && !rs_engine_draining(rs_child_engine())) {
        rs_engine_drain(rs_child_engine(), 1);
    }
}

#ifdef POLLRDHUP
#define GONE POLLRDHUP
#else
#define GONE 0
#endif

/* What tells that the client has said something, or is gone. A request of HTTP/2 has a pipe, whose
 * bytes its filters take away as they are read to the end; -1: it tells nothing. */
static int ear_of(conn_rec *conn, const copy_t *c)
{
    apr_pollfd_t pfd = {0};
    apr_os_file_t file;

    if (!conn->master) {
        return c->socket;
    }
    if (!c->listens || ap_get_pollfd_from_conn(conn, &pfd, NULL) != APR_SUCCESS
        || pfd.desc_type != APR_POLL_FILE || apr_os_file_get(&file, pfd.desc.f) != APR_SUCCESS) {
        return -1;
    }
    return file;
}

/* To one who listens the end comes behind what was said, and is no news before or after it. */
static short heard_by(const copy_t *c, int waits)
{
    return (short)(!c->listens ? GONE : waits || c->ended ? 0 : POLLIN);
}

static void copy(request_rec *r, copy_t *c)
{
    int http2 = r->connection->master != NULL;
    struct pollfd fds[2] = {{c->fd, POLLIN, 0}, {ear_of(r->connection, c), GONE, 0}};
    const rs_conn_t client = {.fd = c->socket};

    while (!r->connection->aborted) {
        int n, waits;

        drain_if_stopping();
        if (!listen_to(r, c)) {
            r->connection->aborted = 1;
            return;
        }
        waits = c->said_from < c->said_to;
        fds[0].events = POLLIN | (waits ? POLLOUT : 0);
        fds[1].events = heard_by(c, waits);
        fds[1].fd = http2 && c->ended ? -1 : fds[1].fd;
        n = poll(fds, 2, http2 ? LOOK_HTTP2_MSEC : LOOK_MSEC);
        if (n < 0 && errno != EINTR) {
            return;
        }
        if ((n > 0 && (fds[1].revents & ~POLLIN))
            || (n == 0 && rs_transport_socket_is_lost(&client))) {
            r->connection->aborted = 1;
            return;
        }
        if (n > 0 && (fds[0].revents & ~POLLOUT) && !copy_once(r, c)) {
            return;
        }
    }
}

/* mod_reqtimeout takes what such a client says for the body of its request, which has to be there
 * after some seconds: Debian's httpd says ten. */
static void has_all_the_time(conn_rec *conn)
{
    ap_remove_input_filter_byhandle(conn->input_filters, "reqtimeout");
}

int rs_pump(request_rec *r, rs_client_params_t *params, int socket, rs_pump_sink_t *sink,
            void *baton)
{
    rs_engine_t *engine = rs_child_engine();
    rs_client_t *client = NULL;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0) {
        (void)fcntl(pair[0], F_SETFD, FD_CLOEXEC);
        (void)fcntl(pair[1], F_SETFD, FD_CLOEXEC);
        rs_transport_socket_setup(pair[0], rs_child_send_buffer());
        params->conn.fd = pair[0];
        client = rs_client_create(params);
        if (!client) {
            close(pair[0]);
            close(pair[1]);
        }
    }
    if (!client) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, apr_get_os_error(), r,
                      "RS0731: the stream cannot be started");
        rs_engine_unreserve(engine, params->seat);
        return -1;
    }
    rs_engine_submit(engine, client);
    rs_transport_keepalive(socket);
    if (params->profile->wire->peer) {
        has_all_the_time(r->connection);
    }
    copy(r, &(copy_t){.fd = pair[1],
                      .socket = socket,
                      .sink = sink,
                      .baton = baton,
                      .listens = params->profile->wire->peer != NULL});
    return pair[1];
}
