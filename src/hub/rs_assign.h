/* SPDX-License-Identifier: Apache-2.0
 *
 * From a stream entry to events in topics. The hub's thread.
 */
#ifndef RS_ASSIGN_H
#define RS_ASSIGN_H

#include "../log/rs_topic.h"

struct redisReply;

/* One entry of a stream goes to the topics of its tenant. */
void rs_assign_entry(rs_key_t *key, rs_id_t id, const struct redisReply *fields);

/* Up to this id entries of the key were removed before they were read: a notice for those who are
 * below that, and nobody starts below it any more. */
void rs_assign_gap(rs_topic_t *topic, const rs_key_t *key, rs_id_t gap);

#endif
