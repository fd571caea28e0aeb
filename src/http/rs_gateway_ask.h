/* SPDX-License-Identifier: Apache-2.0
 *
 * A request as callbacks tell it to the back end. The worker.
 */
#ifndef RS_GATEWAY_ASK_H
#define RS_GATEWAY_ASK_H

#include "../conf/rs_httpd.h"

#include "../base/rs_buf.h"

/* Appends {"url":…,"headers":{…}}. Where the location checks a token itself that one is left out,
 * unless RaglineGatewayForwardToken says otherwise. */
void rs_gateway_ask(rs_buf_t *b, request_rec *r);

/* Whether it is so large that no back end is asked: it would stand in memory, and in Redis, for as
 * long as the stream does. */
int rs_gateway_asks_too_much(request_rec *r);

#endif
