/* SPDX-License-Identifier: Apache-2.0
 *
 * What the module remembers of a request. The worker's thread; everything is in the request's pool.
 */
#ifndef RS_REQUEST_H
#define RS_REQUEST_H

#include "../conf/rs_httpd.h"

#include "../conf/rs_conf.h"

typedef struct {
    rs_kind_t kind;                  /* of the location; RS_KIND_NONE: none of ours, */
    const ap_conf_vector_t *kind_of; /* by this configuration */
    int claimed;                     /* the URL was mapped to nothing because it is an endpoint's */
    const rs_dir_conf_t *conf;       /* merged, */
    const ap_conf_vector_t *conf_of; /* of this */
    const char *token;               /* taken out of the request, or NULL */
    int token_looked_for;
    int token_from_cookie;
    int accepted;           /* as a WebSocket */
    const char *extensions; /* of one: what was agreed on, or NULL */
    const char *early;      /* of one: what came behind the handshake */
    apr_size_t early_len;
    int handed_over;        /* httpd has to let go of the connection */
    rs_jwt_t *jwt;          /* verified, or NULL */
    int let_in;             /* Require is satisfied */
    const char *error_code; /* set: the response is an error of ours, in JSON */
    const char *error_message;
} rs_request_t;

/* Made at the first call. */
rs_request_t *rs_request(request_rec *r);

/* Which of our endpoints the request is for. A subrequest or an internal redirect is for none. */
rs_kind_t rs_request_kind(request_rec *r);

/* The same before it was claimed: by the sections that apply to the URL, whatever they are now. */
rs_kind_t rs_request_is(request_rec *r);

/* The configuration that applies to it now; never NULL. */
const rs_dir_conf_t *rs_request_conf(request_rec *r);

#endif
