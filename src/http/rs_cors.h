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

/* Whether the request may be that of a page of another site, with what a browser sends by itself: a
 * cookie of any kind, a password, a certificate, its address. A program that shows none of the
 * three headers is believed, a browser is not. */
int rs_cors_is_foreign(request_rec *r);

/* Whether a WebSocket may be the page's that asks for it, if it is a page's at all: what "*"
 * lets in must not come as somebody whom the browser knows. */
int rs_cors_page_allowed(request_rec *r);

/* 403, of a page that may not. */
int rs_cors_refuse(request_rec *r);

/* For the error log: whose page it is, and who this host takes itself for. */
void rs_cors_note_foreign(request_rec *r);

void rs_cors_hooks(apr_pool_t *p);

#endif
