/* SPDX-License-Identifier: Apache-2.0
 *
 * Which pages of other origins may use an endpoint: CORS headers, preflights, and whether a cookie
 * may be believed. The worker.
 */
#ifndef RS_CORS_H
#define RS_CORS_H

#include "../conf/rs_httpd.h"

/* Adds the headers to the response, errors included; answers a preflight (DONE). Else DECLINED. */
int rs_cors(request_rec *r);

/* Whether the page that sent the request may use the visitor's cookies: its origin is this host or
 * one of RaglineOrigins. Browsers leave Origin out of a same-origin GET, there Sec-Fetch-Site or
 * else Referer tells. A request that shows none of them is not believed. */
int rs_cors_cookie_allowed(request_rec *r);

#endif
