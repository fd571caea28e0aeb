/* SPDX-License-Identifier: Apache-2.0
 *
 * The streamer's loop. One turn: take what the poller reports, then the inbox, then deadlines.
 * Nothing in here waits for anything else. What becomes of a client is in rs_life.c.
 */
#include <stdlib.h>

#include "../base/rs_clock.h"
#include "rs_end.h"
#include "rs_gated.h"
#include "rs_life.h"

/* When many are sent away, one comes back every so often; few need not wait for RaglineDrain. */
#define DRAIN_PACE apr_time_from_msec(2)

/* How often it is looked then whether somebody is still to come. */
#define ARRIVAL apr_time_from_msec(50)

#define GATE_OF(m, member) ((rs_gate_t *)((char *)(m)-offsetof(rs_gate_t, member)))
#define CLIENT_OF_TIMER(t) ((rs_client_t *)((char *)(t)-offsetof(rs_client_t, timer)))

static void give_back_released(rs_streamer_t *s)
{
    while (s->released) {
        rs_client_t *client = s->released;

        s->released = (rs_client_t *)client->msg.next;
        rs_common_tell_hub(s->common, &client->msg, RS_MSG_RELEASE);
    }
}

static void on_event(rs_streamer_t *s, const rs_poll_event_t *event)
{
    rs_client_t *client = event->data;

    if (client->conn.fd >= 0 && (event->events & (RS_POLL_IN | RS_POLL_HUP))) {
        rs_life_input(s, client, event->events & RS_POLL_HUP);
    }
    if (client->conn.fd >= 0 && (event->events & RS_POLL_OUT)) {
        rs_life_output(s, client);
    }
}

static void on_dirty(rs_streamer_t *s, rs_follow_t *follow)
{
    apr_uint64_t consumed = ~(apr_uint64_t)0;
    rs_feed_t *feed, *next;
    int more = 0;

    /* Before looking: what is appended from here on posts again. */
    __atomic_store_n(&follow->queued, 0, __ATOMIC_SEQ_CST);
    for (feed = follow->feeds; feed; feed = next) {
        next = feed->next;
        more |= rs_feed_flush(feed, &s->calls, s->now);
    }
    for (feed = follow->feeds; feed; feed = feed->next) {
        consumed = feed->seq < consumed ? feed->seq : consumed;
    }
    __atomic_store_n(&follow->consumed, consumed, __ATOMIC_RELAXED);
    if (more && !__atomic_exchange_n(&follow->queued, 1, __ATOMIC_SEQ_CST)) {
        rs_inbox_post(&s->inbox, &follow->dirty, RS_MSG_DIRTY);
    }
}

static void drain(rs_streamer_t *s)
{
    apr_interval_time_t needed =
        DRAIN_PACE * __atomic_load_n(&s->common->connections, __ATOMIC_RELAXED);
    rs_client_t *all = NULL, *next;
    rs_timer_t *timer;

    s->spread = needed < s->spread ? needed : s->spread;
    s->drain_until = s->now + s->limit;
    /* First out of the wheel, all of them: ending a client puts it back there. */
    while ((timer = rs_wheel_any(&s->wheel))) {
        rs_client_t *client = CLIENT_OF_TIMER(timer);

        client->msg.next = (rs_msg_t *)all;
        all = client;
    }
    for (; all; all = next) {
        next = (rs_client_t *)all->msg.next;
        rs_life_drain(s, all);
    }
}

/* Its back end has been asked, or it has got its identity, or not; the message's reference goes. */
static void on_called(rs_streamer_t *s, rs_gate_t *gate,
                      rs_next_t (*answered)(rs_streamer_t *s, rs_client_t *client))
{
    rs_client_t *client = gate->client;

    if (client) {
        rs_life_go(s, client, answered(s, client));
    }
    if (s->drain_until && gate->client) {
        rs_life_drain(s, client);
    }
    rs_gate_drop(gate);
}

static void on_send(rs_streamer_t *s, rs_send_t *send)
{
    rs_client_t *client = send->gate->client;
    rs_sent_t sent = RS_SENT_GONE;

    if (rs_send_begin(send)) {
        if (client) {
            rs_life_go(s, client, rs_gated_send(client, send, &sent));
        }
        rs_send_answer(send, sent);
    }
}

static void on_message(rs_streamer_t *s, rs_msg_t *msg)
{
    switch (msg->kind) {
    case RS_MSG_ATTACH:
        rs_life_attach(s, (rs_client_t *)msg);
        break;
    case RS_MSG_DIRTY:
        on_dirty(s, (rs_follow_t *)msg);
        break;
    case RS_MSG_FETCHED:
        rs_life_fetched(s, (rs_fetch_t *)msg);
        break;
    case RS_MSG_DELIVER:
        rs_life_deliver(s, (rs_delivery_t *)msg);
        break;
    case RS_MSG_CALLED:
        on_called(s, GATE_OF(msg, called), rs_gated_answered);
        break;
    case RS_MSG_CLAIMED:
        on_called(s, GATE_OF(msg, claim), rs_gated_claimed);
        break;
    case RS_MSG_SEND:
        on_send(s, (rs_send_t *)msg);
        break;
    case RS_MSG_UNFOLLOW:
        rs_common_tell_hub(s->common, msg, RS_MSG_UNFOLLOWED);
        break;
    case RS_MSG_ORDER:
        rs_life_order(s, (rs_order_t *)msg);
        break;
    case RS_MSG_DRAIN:
        drain(s);
        break;
    default:
        break;
    }
}

/* Who was let in before the end was said is told of it, too. */
static int over(const rs_streamer_t *s)
{
    int more = s->clients || __atomic_load_n(&s->common->arriving, __ATOMIC_SEQ_CST) > 0;

    return s->drain_until && (!more || s->now >= s->drain_until);
}

/* Of one that goes to another streamer, or does not come after all, nothing is heard. */
static apr_interval_time_t patience(const rs_streamer_t *s)
{
    apr_interval_time_t due = s->wheel.armed ? s->wheel.next - s->now : apr_time_from_sec(10);

    return s->drain_until && due > ARRIVAL ? ARRIVAL : due;
}

int rs_streamer_turn(rs_streamer_t *s)
{
    rs_poll_event_t events[256];
    rs_timer_t *timer;
    rs_msg_t *msg, *next;
    int i, n;

    n = rs_poll_wait(s->poll, events, 256, patience(s));
    s->now = rs_clock_now();
    for (i = 0; i < n; i++) {
        on_event(s, &events[i]);
    }
    for (msg = rs_inbox_drain(&s->inbox); msg; msg = next) {
        next = msg->next;
        on_message(s, msg);
    }
    while ((timer = rs_wheel_due(&s->wheel, s->now))) {
        rs_life_deadline(s, CLIENT_OF_TIMER(timer));
    }
    give_back_released(s);
    return !over(s);
}

void rs_streamer_end(rs_streamer_t *s)
{
    rs_timer_t *timer;
    rs_msg_t *msg, *next;

    for (msg = rs_inbox_close(&s->inbox); msg; msg = next) {
        next = msg->next;
        if (msg->kind == RS_MSG_ATTACH) {
            rs_common_tell_hub(s->common, msg, RS_MSG_RELEASE);
        }
        else if (msg->kind == RS_MSG_FETCHED) {
            rs_life_fetched(s, (rs_fetch_t *)msg);
        }
        else if (msg->kind == RS_MSG_ORDER) {
            rs_command_drop(((rs_order_t *)msg)->command);
        }
        else if (msg->kind == RS_MSG_DELIVER) {
            rs_common_tell_hub(s->common, msg, RS_MSG_DELIVERED);
        }
        else if (msg->kind == RS_MSG_CALLED) {
            rs_gate_drop(GATE_OF(msg, called));
        }
        else if (msg->kind == RS_MSG_CLAIMED) {
            rs_gate_drop(GATE_OF(msg, claim));
        }
        else if (msg->kind == RS_MSG_SEND) {
            on_send(s, (rs_send_t *)msg);
        }
    }
    while ((timer = rs_wheel_any(&s->wheel))) {
        rs_end_release(s, CLIENT_OF_TIMER(timer));
    }
    give_back_released(s);
    rs_buf_free(&s->buf);
    __atomic_store_n(&s->ended, 1, __ATOMIC_RELEASE);
}

static void *APR_THREAD_FUNC run(apr_thread_t *thread __attribute__((unused)), void *data)
{
    while (rs_streamer_turn(data)) {
    }
    rs_streamer_end(data);
    return NULL;
}

apr_status_t rs_streamer_create(rs_streamer_t **out, apr_pool_t *pchild, rs_common_t *common,
                                int index)
{
    rs_streamer_t *s = apr_pcalloc(pchild, sizeof(*s));
    apr_status_t rv;

    s->common = common;
    s->index = index;
    s->jitter = (apr_uint64_t)rs_clock_now() * 2654435761u + (apr_uint64_t)index + 1;
    rs_life_feed_calls(s);
    rv = rs_poll_create(&s->poll, pchild);
    if (rv != APR_SUCCESS) {
        return rv;
    }
    rs_inbox_open(&s->inbox, s->poll);
    common->streamer[index] = &s->inbox;
    s->now = rs_clock_now();
    rs_wheel_init(&s->wheel, s->now);
    *out = s;
    return APR_SUCCESS;
}

apr_status_t rs_streamer_start(rs_streamer_t *s, apr_pool_t *pchild)
{
    return apr_thread_create(&s->thread, NULL, run, s, pchild);
}

void rs_streamer_drain(rs_streamer_t *s, apr_interval_time_t spread, apr_interval_time_t limit)
{
    s->spread = spread;
    s->limit = limit;
    rs_inbox_post(&s->inbox, &s->drain_msg, RS_MSG_DRAIN);
}

int rs_streamer_ended(rs_streamer_t *s)
{
    return !s->thread || __atomic_load_n(&s->ended, __ATOMIC_ACQUIRE);
}

void rs_streamer_join(rs_streamer_t *s)
{
    apr_status_t ignored;

    if (s->thread) {
        apr_thread_join(&ignored, s->thread);
    }
}
