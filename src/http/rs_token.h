/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a request carries its token (RaglineTokenFrom). The worker.
 */
#ifndef RS_TOKEN_H
#define RS_TOKEN_H

#include "../conf/rs_httpd.h"

/* Finds the token, once per request, and takes one in the query out of everything that others
 * could log: r->args, the request line, the URI. The result is in rs_request(r). */
void rs_token_look(request_rec *r);

#endif
