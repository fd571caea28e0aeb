/* SPDX-License-Identifier: Apache-2.0
 *
 * The callbacks' thread: libcurl's multi handle on this house's poller. libcurl says which sockets
 * it watches and when it wants to be called; both become part of the one wait.
 */
#include "rs_config.h"

#include "rs_callbacks.h"

#ifdef RS_HAVE_CURL

#include <apr_strings.h>
#include <apr_thread_proc.h>
#include <stdint.h>

#include "../base/rs_clock.h"
#include "../base/rs_log.h"
#include "rs_callback_post.h"

#define EVENTS 64

/* Connections that are kept for the next callback. */
#define KEPT 100

/* A line that is full is looked through for those who have left so often at most. */
#define SWEEP_EVERY apr_time_from_msec(100)

/* Trouble of one back end. */
#define SAID_EVERY apr_time_from_sec(10)
#define ODD_EVERY apr_time_from_sec(60)

struct rs_callbacks_t {
    rs_callbacks_conf_t conf; /* constant */
    int kind;                 /* of a callback that is posted; any other message ends the thread */
    rs_poll_t *poll;
    rs_inbox_t inbox;
    apr_thread_t *thread;
    rs_msg_t stop_msg;
    apr_interval_time_t stop_limit; /* posted with stop_msg */

    /* The thread's. */
    CURLM *multi;
    rs_post_t *posts;       /* under way */
    rs_backend_t *backends; /* that something was ever sent to, linked by `other` */
    apr_time_t due;         /* when libcurl wants to be called; 0: never */
    apr_time_t over_at;     /* 0: nobody has said stop */
};

int rs_callbacks_are_there(void) { return 1; }

int rs_callbacks_take(const char *url)
{
    CURLU *parsed = curl_url();
    int good = parsed && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK;

    curl_url_cleanup(parsed);
    return good;
}

/* --- what libcurl asks for --- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *baton, void *watched)
{
    rs_callbacks_t *c = baton;
    void *data = (void *)(intptr_t)fd;
    int events = (what & CURL_POLL_IN ? RS_POLL_IN : 0) | (what & CURL_POLL_OUT ? RS_POLL_OUT : 0);

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        rs_poll_del(c->poll, fd);
    }
    else if (watched) {
        rs_poll_mod(c->poll, fd, events, data);
    }
    else if (rs_poll_add(c->poll, fd, events, data) == APR_SUCCESS) {
        curl_multi_assign(c->multi, fd, c);
    }
    return 0;
}

static int on_timer(CURLM *multi, long msec, void *baton)
{
    rs_callbacks_t *c = baton;

    (void)multi;
    c->due = msec < 0 ? 0 : rs_clock_now() + apr_time_from_msec(msec);
    return 0;
}

/* --- one callback after the other --- */

/* Trouble is said when it begins and when it ends; of a back end that answers every other callback
 * not each time. */
static void note(rs_backend_t *b, const rs_callback_t *callback, const char *why)
{
    int bad = callback->outcome == RS_CALLED_LATE || callback->outcome == RS_CALLED_UNREACHABLE;
    apr_time_t now = rs_clock_now();

    if (callback->outcome == RS_CALLED_FULL && !b->full) {
        b->full = 1;
        rs_log(RS_LOG_WARNING, 0,
               RSLOGNO(1101) "%d callbacks wait for %s: more are refused for now", b->waiting,
               b->label);
    }
    if (bad && !b->failing && now >= b->quiet_until) {
        b->failing = 1;
        b->quiet_until = now + SAID_EVERY;
        rs_log(RS_LOG_WARNING, 0, RSLOGNO(1102) "callbacks fail: %s %s: %s", b->label,
               callback->outcome == RS_CALLED_LATE ? "does not answer in time"
                                                   : "cannot be reached, or not be believed",
               why);
    }
    if (callback->outcome == RS_CALLED_ANSWERED && b->failing) {
        b->failing = 0;
        rs_log(RS_LOG_NOTICE, 0, RSLOGNO(1103) "callbacks are answered again: %s", b->label);
    }
}

/* It answers, but not as one that was meant. What connections are refused with is no news. */
static void note_status(rs_backend_t *b, const rs_callback_t *callback)
{
    int status = callback->outcome == RS_CALLED_ANSWERED ? callback->status : 200;
    int at_end = *callback->id != '\0';
    apr_time_t now = rs_clock_now();

    if (status / 100 == 2
        || (!at_end && (status == 400 || status == 401 || status == 403 || status == 429))
        || now < b->odd_until) {
        return;
    }
    b->odd_until = now + ODD_EVERY;
    rs_log(RS_LOG_WARNING, 0, RSLOGNO(1104) "%s answers %d when it is %s", b->label, status,
           !at_end ? "asked who may come. If it always does: is RaglineGatewayCallback its URL?"
           : rs_callback_is_done(callback) ? "told of an end: it is not told again"
                                           : "told of an end: it is told again, later");
}

static void give_back(rs_callbacks_t *c, rs_callback_t *callback, const char *why)
{
    if (c->conf.stats) {
        RS_STAT_ADD(c->conf.stats->gateway.callbacks[callback->outcome], 1);
    }
    note(callback->backend, callback, why);
    note_status(callback->backend, callback);
    callback->done(callback);
}

static void fail(rs_callbacks_t *c, rs_callback_t *callback, rs_called_t outcome, const char *why)
{
    callback->outcome = outcome;
    give_back(c, callback, why);
}

static void unlink_post(rs_post_t *post)
{
    *post->link = post->next;
    if (post->next) {
        post->next->link = post->link;
    }
}

static void begin(rs_callbacks_t *c, rs_callback_t *callback)
{
    rs_backend_t *b = callback->backend;
    rs_post_t *post = rs_post_create(callback);

    if (!post || curl_multi_add_handle(c->multi, post->easy) != CURLM_OK) {
        if (post) {
            rs_post_destroy(post);
        }
        fail(c, callback, RS_CALLED_UNREACHABLE, "not enough memory");
        return;
    }
    b->active++;
    post->next = c->posts;
    post->link = &c->posts;
    if (post->next) {
        post->next->link = &post->next;
    }
    c->posts = post;
}

static rs_callback_t *take_first(rs_backend_t *b)
{
    rs_callback_t *callback = b->first;

    b->first = (rs_callback_t *)callback->msg.next;
    b->waiting--;
    b->full = 0;
    return callback;
}

static int is_wanted(const rs_callback_t *callback)
{
    return !callback->unwanted || !__atomic_load_n(callback->unwanted, __ATOMIC_ACQUIRE);
}

static void append(rs_backend_t *b, rs_callback_t *callback)
{
    callback->msg.next = NULL;
    if (b->first) {
        b->last->msg.next = &callback->msg;
    }
    else {
        b->first = callback;
    }
    b->last = callback;
    b->waiting++;
}

/* Whose clients have left would only keep others waiting. */
static void drop_unwanted(rs_callbacks_t *c, rs_backend_t *b)
{
    rs_callback_t *callback = b->first, *next;

    b->first = b->last = NULL;
    b->waiting = 0;
    for (; callback; callback = next) {
        next = (rs_callback_t *)callback->msg.next;
        if (is_wanted(callback)) {
            append(b, callback);
        }
        else {
            fail(c, callback, RS_CALLED_STOPPED, "");
        }
    }
}

/* Those that waited too long are given back, and as many as there is room for begin. */
static void begin_waiting(rs_callbacks_t *c, rs_backend_t *b)
{
    apr_time_t now = rs_clock_now();

    while (b->first && now >= b->first->since + b->timeout) {
        fail(c, take_first(b), RS_CALLED_LATE, "others are waited for");
    }
    while (b->first && b->active < c->conf.concurrent) {
        rs_callback_t *callback = take_first(b);

        if (is_wanted(callback)) {
            begin(c, callback);
        }
        else {
            fail(c, callback, RS_CALLED_STOPPED, "");
        }
    }
}

static void wait_in_line(rs_callbacks_t *c, rs_callback_t *callback)
{
    rs_backend_t *b = callback->backend;

    if (!b->known) {
        b->known = 1;
        b->other = c->backends;
        c->backends = b;
    }
    if (!b->first && b->active < c->conf.concurrent) {
        begin(c, callback);
        return;
    }
    if (b->waiting >= c->conf.waiting && rs_clock_now() >= b->swept_at + SWEEP_EVERY) {
        b->swept_at = rs_clock_now();
        drop_unwanted(c, b);
    }
    if (b->waiting >= c->conf.waiting) {
        fail(c, callback, RS_CALLED_FULL, "");
        return;
    }
    append(b, callback);
}

static void harvest(rs_callbacks_t *c)
{
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(c->multi, &left))) {
        CURLcode result = msg->data.result;
        CURL *easy = msg->easy_handle;
        char why[CURL_ERROR_SIZE];
        rs_callback_t *callback;
        rs_post_t *post = NULL;

        if (msg->msg != CURLMSG_DONE) {
            continue;
        }
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&post);
        callback = post->callback;
        rs_post_finish(post, result);
        apr_cpystrn(why, post->problem, sizeof(why));
        curl_multi_remove_handle(c->multi, easy);
        unlink_post(post);
        rs_post_destroy(post);
        callback->backend->active--;
        give_back(c, callback, why);
    }
}

/* --- the loop --- */

static apr_interval_time_t until_next(const rs_callbacks_t *c, apr_time_t now)
{
    apr_time_t next = c->due ? c->due : now + apr_time_from_sec(60);
    const rs_backend_t *b;

    for (b = c->backends; b; b = b->other) {
        if (b->first && b->first->since + b->timeout < next) {
            next = b->first->since + b->timeout;
        }
    }
    next = c->over_at && c->over_at < next ? c->over_at : next;
    return next > now ? next - now : 0;
}

static void take_messages(rs_callbacks_t *c)
{
    rs_msg_t *msg, *next;

    for (msg = rs_inbox_drain(&c->inbox); msg; msg = next) {
        next = msg->next;
        if (msg->kind == c->kind) {
            wait_in_line(c, (rs_callback_t *)msg);
        }
        else {
            c->over_at = rs_clock_now() + c->stop_limit;
        }
    }
}

static int over(const rs_callbacks_t *c)
{
    const rs_backend_t *b;

    for (b = c->backends; b && !b->first; b = b->other) {
    }
    return c->over_at && ((!b && !c->posts) || rs_clock_now() >= c->over_at);
}

static void turn(rs_callbacks_t *c)
{
    rs_poll_event_t events[EVENTS];
    rs_backend_t *b;
    int i, n, running;

    n = rs_poll_wait(c->poll, events, EVENTS, until_next(c, rs_clock_now()));
    for (i = 0; i < n; i++) {
        int what = (events[i].events & RS_POLL_IN ? CURL_CSELECT_IN : 0)
                   | (events[i].events & RS_POLL_OUT ? CURL_CSELECT_OUT : 0)
                   | (events[i].events & RS_POLL_HUP ? CURL_CSELECT_IN | CURL_CSELECT_ERR : 0);

        curl_multi_socket_action(c->multi, (curl_socket_t)(intptr_t)events[i].data, what, &running);
    }
    if (c->due && rs_clock_now() >= c->due) {
        c->due = 0;
        curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    take_messages(c);
    harvest(c);
    for (b = c->backends; b; b = b->other) {
        begin_waiting(c, b);
    }
}

/* What is not done by now will not be. */
static void end(rs_callbacks_t *c)
{
    rs_backend_t *b;
    rs_msg_t *msg, *next;

    for (msg = rs_inbox_close(&c->inbox); msg; msg = next) {
        next = msg->next;
        if (msg->kind == c->kind) {
            fail(c, (rs_callback_t *)msg, RS_CALLED_STOPPED, "");
        }
    }
    while (c->posts) {
        rs_post_t *post = c->posts;
        rs_callback_t *callback = post->callback;

        curl_multi_remove_handle(c->multi, post->easy);
        unlink_post(post);
        rs_post_destroy(post);
        fail(c, callback, RS_CALLED_STOPPED, "");
    }
    for (b = c->backends; b; b = b->other) {
        while (b->first) {
            fail(c, take_first(b), RS_CALLED_STOPPED, "");
        }
    }
}

static void *APR_THREAD_FUNC run(apr_thread_t *thread, void *data)
{
    rs_callbacks_t *c = data;

    (void)thread;
    while (!over(c)) {
        turn(c);
    }
    end(c);
    return NULL;
}

apr_status_t rs_callbacks_create(rs_callbacks_t **out, apr_pool_t *p, int kind,
                                 const rs_callbacks_conf_t *conf, rs_inbox_t **inbox)
{
    rs_callbacks_t *c = apr_pcalloc(p, sizeof(*c));
    apr_status_t rv;

    c->conf = *conf;
    c->kind = kind;
    rv = rs_poll_create(&c->poll, p);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        return APR_EGENERAL;
    }
    c->multi = curl_multi_init();
    if (!c->multi) {
        curl_global_cleanup();
        return APR_ENOMEM;
    }
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS,
                      (long)(conf->concurrent < KEPT ? conf->concurrent : KEPT));
    rs_inbox_open(&c->inbox, c->poll);
    *inbox = &c->inbox;
    *out = c;
    return APR_SUCCESS;
}

apr_status_t rs_callbacks_start(rs_callbacks_t *c, apr_pool_t *p)
{
    return apr_thread_create(&c->thread, NULL, run, c, p);
}

void rs_callbacks_stop(rs_callbacks_t *c, apr_interval_time_t limit)
{
    apr_status_t ignored;

    if (c->thread) {
        c->stop_limit = limit;
        rs_inbox_post(&c->inbox, &c->stop_msg, c->kind + 1);
        apr_thread_join(&ignored, c->thread);
    }
    /* Closes idle connections, which tells the poller. */
    curl_multi_cleanup(c->multi);
    curl_global_cleanup();
}

#else

int rs_callbacks_are_there(void) { return 0; }

int rs_callbacks_take(const char *url)
{
    (void)url;
    return 1;
}

apr_status_t rs_callbacks_create(rs_callbacks_t **c, apr_pool_t *p, int kind,
                                 const rs_callbacks_conf_t *conf, rs_inbox_t **inbox)
{
    (void)c, (void)p, (void)kind, (void)conf, (void)inbox;
    return APR_ENOTIMPL;
}

apr_status_t rs_callbacks_start(rs_callbacks_t *c, apr_pool_t *p)
{
    (void)c, (void)p;
    return APR_ENOTIMPL;
}

void rs_callbacks_stop(rs_callbacks_t *c, apr_interval_time_t limit) { (void)c, (void)limit; }

#endif
