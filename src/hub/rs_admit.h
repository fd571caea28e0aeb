/* SPDX-License-Identifier: Apache-2.0
 *
 * A client's way from the worker to its streamer, and its end. The hub's thread.
 */
#ifndef RS_ADMIT_H
#define RS_ADMIT_H

#include "../log/rs_topics.h"

/* Takes a client that a worker has submitted. */
void rs_admit(rs_client_t *client);

/* It is known where a tenant's key stands: clients that waited for that go on. */
void rs_admit_key_known(rs_key_t *key);

/* The source cannot be read now: clients that wait to know where their keys stand are refused. */
void rs_admit_refuse_waiting(rs_source_t *source);

/* As rs_hub_calls_t says. */
void rs_admit_place(rs_client_t *client);
void rs_admit_attach(rs_client_t *client);
int rs_admit_attach_to(rs_client_t *client, int turn);
void rs_admit_refuse(rs_client_t *client);

/* The end of a client that has a topic, or a place in a share. */
void rs_admit_release(rs_client_t *client);

#endif
