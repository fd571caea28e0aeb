/* SPDX-License-Identifier: Apache-2.0
 *
 * epoll + eventfd on Linux, kqueue elsewhere. The owner's thread, but for rs_poll_wake().
 */
#include "rs_config.h"

#include <errno.h>
#include <stdint.h>
#include <unistd.h>

#include "rs_poll.h"

#define BATCH 256

#ifdef HAVE_EPOLL_CREATE1

#include <sys/epoll.h>
#include <sys/eventfd.h>

struct rs_poll_t {
    int fd;
    int wakefd;
};

static apr_status_t poll_close(void *data)
{
    rs_poll_t *poll = data;

    if (poll->wakefd >= 0) {
        close(poll->wakefd);
    }
    close(poll->fd);
    return APR_SUCCESS;
}

static apr_status_t control(rs_poll_t *poll, int op, int fd, int events, void *data)
{
    struct epoll_event e = {0};

    e.events =
        (events & RS_POLL_IN ? EPOLLIN | EPOLLRDHUP : 0) | (events & RS_POLL_OUT ? EPOLLOUT : 0);
    e.data.ptr = data;
    return epoll_ctl(poll->fd, op, fd, &e) == 0 ? APR_SUCCESS : errno;
}

apr_status_t rs_poll_create(rs_poll_t **out, apr_pool_t *p)
{
    rs_poll_t *poll = apr_palloc(p, sizeof(*poll));

    poll->wakefd = -1;
    poll->fd = epoll_create1(EPOLL_CLOEXEC);
    if (poll->fd < 0) {
        return errno;
    }
    apr_pool_cleanup_register(p, poll, poll_close, apr_pool_cleanup_null);
    poll->wakefd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (poll->wakefd < 0) {
        return errno;
    }
    *out = poll;
    return control(poll, EPOLL_CTL_ADD, poll->wakefd, RS_POLL_IN, poll);
}

apr_status_t rs_poll_add(rs_poll_t *poll, int fd, int events, void *data)
{
    return control(poll, EPOLL_CTL_ADD, fd, events, data);
}

apr_status_t rs_poll_mod(rs_poll_t *poll, int fd, int events, void *data)
{
    return control(poll, EPOLL_CTL_MOD, fd, events, data);
}

void rs_poll_del(rs_poll_t *poll, int fd) { control(poll, EPOLL_CTL_DEL, fd, 0, NULL); }

int rs_poll_wait(rs_poll_t *poll, rs_poll_event_t *events, int max, apr_interval_time_t timeout)
{
    struct epoll_event e[BATCH];
    int i, n, count = 0;

    /* Rounded up: a wait that ends a little early would spin until the deadline. */
    n = epoll_wait(poll->fd, e, max < BATCH ? max : BATCH,
                   timeout < 0 ? -1 : (int)((timeout + 999) / 1000));
    for (i = 0; i < n; i++) {
        uint64_t drained;

        if (e[i].data.ptr == poll) {
            while (read(poll->wakefd, &drained, sizeof(drained)) < 0 && errno == EINTR) {
            }
            continue;
        }
        events[count].data = e[i].data.ptr;
        events[count].events =
            (e[i].events & EPOLLIN ? RS_POLL_IN : 0) | (e[i].events & EPOLLOUT ? RS_POLL_OUT : 0)
            | (e[i].events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP) ? RS_POLL_HUP : 0);
        count++;
    }
    return count;
}

void rs_poll_wake(rs_poll_t *poll)
{
    uint64_t one = 1;

    while (write(poll->wakefd, &one, sizeof(one)) < 0 && errno == EINTR) {
    }
}

#else

#include <sys/types.h>
#include <sys/event.h>
#include <sys/time.h>

struct rs_poll_t {
    int fd;
};

static apr_status_t poll_close(void *data)
{
    close(((rs_poll_t *)data)->fd);
    return APR_SUCCESS;
}

static apr_status_t control(rs_poll_t *poll, int fd, int filter, int on, void *data)
{
    struct kevent e;

    EV_SET(&e, fd, filter, on ? EV_ADD : EV_DELETE, 0, 0, data);
    return kevent(poll->fd, &e, 1, NULL, 0, NULL) == 0 || (!on && errno == ENOENT) ? APR_SUCCESS
                                                                                   : errno;
}

apr_status_t rs_poll_create(rs_poll_t **out, apr_pool_t *p)
{
    rs_poll_t *poll = apr_palloc(p, sizeof(*poll));
    struct kevent e;

    poll->fd = kqueue();
    if (poll->fd < 0) {
        return errno;
    }
    apr_pool_cleanup_register(p, poll, poll_close, apr_pool_cleanup_null);
    EV_SET(&e, 0, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, poll);
    if (kevent(poll->fd, &e, 1, NULL, 0, NULL) < 0) {
        return errno;
    }
    *out = poll;
    return APR_SUCCESS;
}

apr_status_t rs_poll_mod(rs_poll_t *poll, int fd, int events, void *data)
{
    apr_status_t rv = control(poll, fd, EVFILT_READ, events & RS_POLL_IN, data);

    return rv == APR_SUCCESS ? control(poll, fd, EVFILT_WRITE, events & RS_POLL_OUT, data) : rv;
}

apr_status_t rs_poll_add(rs_poll_t *poll, int fd, int events, void *data)
{
    return rs_poll_mod(poll, fd, events, data);
}

void rs_poll_del(rs_poll_t *poll, int fd) { rs_poll_mod(poll, fd, 0, NULL); }

int rs_poll_wait(rs_poll_t *poll, rs_poll_event_t *events, int max, apr_interval_time_t timeout)
{
    struct kevent e[BATCH];
    struct timespec t = {timeout / APR_USEC_PER_SEC, (timeout % APR_USEC_PER_SEC) * 1000};
    int i, count = 0;
    int n = kevent(poll->fd, NULL, 0, e, max < BATCH ? max : BATCH, timeout < 0 ? NULL : &t);

    for (i = 0; i < n; i++) {
        if (e[i].udata == poll) {
            continue;
        }
        events[count].data = e[i].udata;
        events[count].events = (e[i].filter == EVFILT_READ ? RS_POLL_IN : RS_POLL_OUT)
                               | (e[i].flags & (EV_EOF | EV_ERROR) ? RS_POLL_HUP : 0);
        count++;
    }
    return count;
}

void rs_poll_wake(rs_poll_t *poll)
{
    struct kevent e;

    EV_SET(&e, 0, EVFILT_USER, 0, NOTE_TRIGGER, 0, poll);
    kevent(poll->fd, &e, 1, NULL, 0, NULL);
}

#endif
