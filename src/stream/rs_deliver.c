/* SPDX-License-Identifier: Apache-2.0
 *
 * Deliveries of a share on their way into a client's socket: whole frames, one after the other. A
 * client whose socket is full keeps the one that is next, the others go back at once, so that no
 * event waits for a client that does not read while another one has room. Where clients acknowledge
 * (RaglineAck), what is written is open until the client says that it has it, or its time is over:
 * then it goes back like one that was cut off. A client that said nothing at all meanwhile gets no
 * more until it does (group/rs_share.c sees to that), and is ended when there is nothing left that
 * it could say something of. The streamer's thread.
 */
#include "../log/rs_profile.h"
#include "../log/rs_delivery.h"
#include "rs_deliver.h"
#include "../wire/rs_frames.h"
#include "rs_output.h"

static void give_back(rs_member_t *m, rs_delivery_t *d)
{
    rs_common_tell_hub(m->common, &d->msg, RS_MSG_DELIVERED);
}

static void append(rs_deliveries_t *list, rs_delivery_t *d)
{
    d->msg.next = NULL;
    *(list->first ? list->last : &list->first) = &d->msg;
    list->last = &d->msg.next;
}

/* The one behind *link. */
static rs_delivery_t *take_out(rs_deliveries_t *list, rs_msg_t **link)
{
    rs_msg_t *msg = *link;

    *link = msg->next;
    if (list->last == &msg->next) {
        list->last = link;
    }
    return (rs_delivery_t *)msg;
}

/* All from this one on; the last goes first, since each is put in front of what waits. */
static void give_back_from(rs_member_t *m, rs_msg_t *msg)
{
    rs_msg_t *reversed = NULL, *next;

    for (; msg; msg = next) {
        next = msg->next;
        msg->next = reversed;
        reversed = msg;
    }
    for (; reversed; reversed = next) {
        next = reversed->next;
        give_back(m, (rs_delivery_t *)reversed);
    }
}

static rs_next_t wait_for_room(rs_member_t *m)
{
    rs_msg_t *others = m->due.first->next;

    m->due.first->next = NULL;
    m->due.last = &m->due.first->next;
    give_back_from(m, others);
    return RS_NEXT_ROOM;
}

/* RS_NEXT_GO: the socket took all of it. */
static rs_next_t begin(const rs_streamer_t *s, rs_client_t *client, rs_delivery_t *d)
{
    rs_text_t frame = rs_frames_get(client->profile->wire, d->event, NULL);
    struct iovec iov = {(char *)frame.data, frame.len};
    ssize_t written = frame.data ? client->conn.transport->writev(&client->conn, &iov, 1) : -1;
    int complete;

    if (written < 0) {
        return RS_NEXT_GONE;
    }
    if (written > 0) {
        d->begun = 1;
        client->last_out = s->now;
    }
    rs_output_pin(client, &d->event, &iov, 1, (size_t)written, &complete);
    return complete ? RS_NEXT_GO : wait_for_room(client->member);
}

/* The link to the one with this id, which the client was sent; NULL: there is none. */
static rs_msg_t **find_open(rs_member_t *m, rs_id_t id)
{
    rs_msg_t **link;

    for (link = &m->open.first; *link; link = &(*link)->next) {
        if (rs_id_cmp(((rs_delivery_t *)*link)->id, id) == 0) {
            return link;
        }
    }
    return NULL;
}

/* The socket took all of it. */
static void finish(const rs_streamer_t *s, rs_client_t *client, rs_delivery_t *d)
{
    client->events++;
    if (client->profile->ack) {
        d->sent = s->now;
        append(&client->member->open, d);
    }
    else {
        d->done = 1;
        give_back(client->member, d);
    }
}

rs_next_t rs_deliver(rs_streamer_t *s, rs_client_t *client)
{
    rs_member_t *m = client->member;
    int nothing_open = !m->open.first;
    rs_delivery_t *d;

    while ((d = (rs_delivery_t *)m->due.first)) {
        rs_next_t next = RS_NEXT_GO;

        if (!d->begun && find_open(m, d->id)) {
            /* Two streams, one id: nobody could say which of them it has. */
            give_back(m, take_out(&m->due, &m->due.first));
            continue;
        }
        if (!d->begun) {
            next = begin(s, client, d);
        }
        if (next != RS_NEXT_GO) {
            return next;
        }
        finish(s, client, take_out(&m->due, &m->due.first));
    }
    return client->wants_out || !client->timer.next || (nothing_open && m->open.first)
               ? RS_NEXT_WAIT
               : RS_NEXT_GO;
}

rs_next_t rs_deliver_take(rs_streamer_t *s, rs_delivery_t *d)
{
    rs_client_t *client = d->client;
    rs_member_t *m = client->member;

    if (client->conn.fd < 0 || client->state != RS_BEHIND) {
        give_back(m, d);
        return RS_NEXT_GO;
    }
    if (!m->due.first) {
        client->last_out = s->now; /* its patience begins */
    }
    append(&m->due, d);
    return client->pinned || client->wants_out ? wait_for_room(m) : rs_deliver(s, client);
}

int rs_deliver_acknowledged(const rs_streamer_t *s, rs_client_t *client, rs_id_t id)
{
    rs_member_t *m = client->member;
    rs_msg_t **link = find_open(m, id);
    rs_delivery_t *d = link ? take_out(&m->open, link) : NULL;

    if (d) {
        d->done = 1;
        m->spoke = s->now;
        give_back(m, d);
    }
    return d != NULL;
}

apr_time_t rs_deliver_due(const rs_client_t *client)
{
    const rs_delivery_t *oldest =
        client->member ? (const rs_delivery_t *)client->member->open.first : NULL;

    return oldest ? oldest->sent + client->profile->claim_after : 0;
}

rs_next_t rs_deliver_expire(const rs_streamer_t *s, rs_client_t *client)
{
    rs_member_t *m = client->member;
    int mute = 0;

    while (rs_deliver_due(client) && s->now >= rs_deliver_due(client)) {
        rs_delivery_t *d = take_out(&m->open, &m->open.first);

        d->passed = m->spoke >= d->sent;
        mute = !d->passed;
        give_back(m, d);
    }
    return mute && !m->open.first && !m->due.first ? RS_NEXT_MUTE : RS_NEXT_GO;
}

void rs_deliver_forget(rs_client_t *client)
{
    rs_member_t *m = client->member;
    rs_msg_t *all = m->due.first;

    while (m->open.first) {
        give_back(m, take_out(&m->open, &m->open.first));
    }
    m->due.first = NULL;
    give_back_from(m, all);
}

apr_interval_time_t rs_deliver_patience(const rs_client_t *client)
{
    const rs_profile_t *profile = client->profile;

    return client->member->due.first && profile->claim_after < profile->stall ? profile->claim_after
                                                                              : profile->stall;
}
