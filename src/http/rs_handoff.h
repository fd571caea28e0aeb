/* SPDX-License-Identifier: Apache-2.0
 *
 * The hand-off: the connection leaves httpd and becomes the engine's, and the worker is free. This
 * pair of files and rs_pump.c are the only ones that know both worlds. The worker.
 */
#ifndef RS_HANDOFF_H
#define RS_HANDOFF_H

#include "../conf/rs_httpd.h"

#include "../log/rs_client.h"

/* What is certain to keep the stream in its worker before the headers are out; NULL: nothing. */
const char *rs_handoff_never(request_rec *r);

/* What keeps the stream in its worker, once the headers are out: "RaglineHandoff off", "http2",
 * "tls ...", "filter NAME". NULL: nothing, the connection can leave httpd (or c->aborted: the
 * client is gone). */
const char *rs_handoff_obstacle(request_rec *r);

/* After the headers were sent. From here the engine has the connection (or, if it cannot be had,
 * nobody: it is closed). A place was reserved in the engine; it is given back on failure. */
int rs_handoff(request_rec *r, rs_client_params_t *params);

void rs_handoff_hooks(apr_pool_t *p);

#endif
