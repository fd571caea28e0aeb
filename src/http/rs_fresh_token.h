/* SPDX-License-Identifier: Apache-2.0
 *
 * A new token for a stream that is open, brought by another request to its own URL. By then httpd
 * has asked everything that it asks of who opens a stream there. The worker.
 */
#ifndef RS_FRESH_TOKEN_H
#define RS_FRESH_TOKEN_H

#include "../conf/rs_httpd.h"

/* Whether the request is that: a POST which names a connection. */
int rs_fresh_token_is_brought(request_rec *r);

/* Returns what the handler returns: 204, it lives on; 202, another node is told; or why not. */
int rs_fresh_token(request_rec *r);

/* To which URL, of which host, the request came, and what is read there: who comes to another one
 * is asked other things. */
apr_uint64_t rs_fresh_token_place(request_rec *r);

#endif
