/* SPDX-License-Identifier: Apache-2.0
 *
 * Deliveries of a share on their way into a client's socket: whole frames, one after the other. A
 * client whose socket is full keeps the one that is next, the others go back at once, so that no
 * event waits for a client that does not read while another one has room. The streamer's thread.
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

static void append(rs_member_t *m, rs_delivery_t *d)
{
    d->msg.next = NULL;
    *(m->first ? m->last : &m->first) = &d->msg;
    m->last = &d->msg.next;
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
    rs_msg_t *others = m->first->next;

    m->first->next = NULL;
    m->last = &m->first->next;
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

rs_next_t rs_deliver(rs_streamer_t *s, rs_client_t *client)
{
    rs_member_t *m = client->member;
    rs_delivery_t *d;

    while ((d = (rs_delivery_t *)m->first)) {
        rs_next_t next = d->begun ? RS_NEXT_GO : begin(s, client, d);

        if (next != RS_NEXT_GO) {
            return next;
        }
        d->done = 1;
        m->first = d->msg.next;
        give_back(m, d);
    }
    return client->wants_out || !client->timer.next ? RS_NEXT_WAIT : RS_NEXT_GO;
}

rs_next_t rs_deliver_take(rs_streamer_t *s, rs_delivery_t *d)
{
    rs_client_t *client = d->client;
    rs_member_t *m = client->member;

    if (client->conn.fd < 0 || client->state != RS_BEHIND) {
        give_back(m, d);
        return RS_NEXT_GO;
    }
    if (!m->first) {
        client->last_out = s->now; /* its patience begins */
    }
    append(m, d);
    return client->pinned || client->wants_out ? wait_for_room(m) : rs_deliver(s, client);
}

void rs_deliver_forget(rs_client_t *client)
{
    rs_member_t *m = client->member;
    rs_msg_t *all = m->first;

    m->first = NULL;
    give_back_from(m, all);
}

apr_interval_time_t rs_deliver_patience(const rs_client_t *client)
{
    const rs_profile_t *profile = client->profile;

    return client->member->first && profile->claim_after < profile->stall ? profile->claim_after
                                                                          : profile->stall;
}
