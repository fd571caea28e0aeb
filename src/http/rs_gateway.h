/* SPDX-License-Identifier: Apache-2.0
 *
 * SetHandler ragline-gateway, ragline-gateway-send and ragline-gateway-health.
 */
#ifndef RS_GATEWAY_HANDLER_H
#define RS_GATEWAY_HANDLER_H

#include "../conf/rs_httpd.h"

int rs_gateway_handler(request_rec *r);
int rs_gateway_send_handler(request_rec *r);
int rs_gateway_health_handler(request_rec *r);

/* An answer in the gateway's own form. Returns OK. */
int rs_gateway_answer(request_rec *r, int status, const char *message, const char *code);

#endif
