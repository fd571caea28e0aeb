/* SPDX-License-Identifier: Apache-2.0
 *
 * Sending to a gate: the worker's side, which waits, and how the streamer answers it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rs_common.h"
#include "rs_gate.h"

static void drop(rs_send_t *send)
{
    if (__atomic_fetch_sub(&send->refs, 1, __ATOMIC_ACQ_REL) == 1) {
        rs_gate_drop(send->gate);
        pthread_mutex_destroy(&send->lock);
        pthread_cond_destroy(&send->answered);
        free(send);
    }
}

static rs_send_t *create(rs_gate_t *gate, const char *frames, size_t len, int close)
{
    rs_send_t *send = calloc(1, sizeof(*send) + len);
    pthread_condattr_t attr;

    if (!send) {
        return NULL;
    }
    send->gate = rs_gate_take(gate);
    send->close = close;
    send->refs = 2;
    pthread_mutex_init(&send->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&send->answered, &attr);
    pthread_condattr_destroy(&attr);
    send->len = len;
    if (len) {
        memcpy(send->frames, frames, len);
    }
    return send;
}

rs_sent_t rs_gate_send(rs_gate_t *gate, const char *frames, size_t len, int close,
                       apr_interval_time_t patience)
{
    rs_send_t *send = create(gate, frames, len, close);
    struct timespec until;
    rs_sent_t sent;
    int late = 0;

    if (!send) {
        return RS_SENT_FULL;
    }
    if (!rs_inbox_post(gate->streamer, &send->msg, RS_MSG_SEND)) {
        send->refs = 1; /* nobody else has it */
        drop(send);
        return RS_SENT_GONE;
    }
    clock_gettime(CLOCK_MONOTONIC, &until);
    patience += until.tv_nsec / 1000;
    until.tv_sec += (time_t)apr_time_sec(patience);
    until.tv_nsec = (long)apr_time_usec(patience) * 1000;
    pthread_mutex_lock(&send->lock);
    while (!send->done && !(late && !send->taken)) {
        /* Once it is being written it is too late to say otherwise. */
        late = late ? pthread_cond_wait(&send->answered, &send->lock), 1
                    : pthread_cond_timedwait(&send->answered, &send->lock, &until) == ETIMEDOUT;
    }
    send->withdrawn = !send->done;
    sent = send->done ? send->sent : RS_SENT_LATE;
    pthread_mutex_unlock(&send->lock);
    drop(send);
    return sent;
}

int rs_send_begin(rs_send_t *send)
{
    int wanted;

    pthread_mutex_lock(&send->lock);
    wanted = send->taken = !send->withdrawn;
    pthread_mutex_unlock(&send->lock);
    if (!wanted) {
        drop(send);
    }
    return wanted;
}

void rs_send_answer(rs_send_t *send, rs_sent_t sent)
{
    pthread_mutex_lock(&send->lock);
    send->sent = sent;
    send->done = 1;
    pthread_cond_signal(&send->answered);
    pthread_mutex_unlock(&send->lock);
    drop(send);
}
