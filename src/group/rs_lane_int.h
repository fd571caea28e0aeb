/* SPDX-License-Identifier: Apache-2.0
 *
 * A lane from inside: what it is (rs_lane.c), what it asks Redis (rs_lane_ask.c), and what follows
 * from the answers (rs_lane_reply.c).
 */
#ifndef RS_LANE_INT_H
#define RS_LANE_INT_H

#include "rs_share.h"

/* Of the group. */
enum { RS_LANE_MAKE, RS_LANE_GOOD, RS_LANE_LOST };

/* What a step of a turn is. */
enum {
    RS_STEP_READ_KEY,
    RS_STEP_WHERE,
    RS_STEP_CREATE,
    RS_STEP_ACK,
    RS_STEP_AGAIN,
    RS_STEP_RETURN,
    RS_STEP_BURY,
    RS_STEP_TOUCH,
    RS_STEP_SWEEP,
    RS_STEP_LOOK,
    RS_STEP_CLAIM,
    RS_STEP_READ
};

#define RS_LANE_LOOK_MIN apr_time_from_sec(1)
#define RS_LANE_LOOK_MAX apr_time_from_sec(5)

#define RS_DELIVERY_OF(link_) RS_RING_OF(link_, rs_delivery_t, link)

/* Its turn: all commands of it. */
void rs_lane_ask(rs_lane_t *lane);

/* The answer to its n-th command. 1 with the last: another turn is wanted at once. */
int rs_lane_answer(rs_lane_t *lane, int n, const redisReply *reply, int last);

#endif
