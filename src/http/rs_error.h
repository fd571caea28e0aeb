/* SPDX-License-Identifier: Apache-2.0
 *
 * Errors as a client of an API wants them: the honest status and a JSON body
 * {"error":CODE,"message":TEXT}. An ErrorDocument of the administrator wins. The worker.
 */
#ifndef RS_ERROR_H
#define RS_ERROR_H

#include "../conf/rs_httpd.h"

/* Remembers the error and returns the status, for any hook or handler to return. The texts are
 * constants or in the request's pool, and hold nothing of the request. */
int rs_http_error(request_rec *r, int status, const char *code, const char *message);

/* 405: the location knows only this method. */
int rs_http_method_error(request_rec *r, const char *method);

/* A JSON response, done here and now. Returns OK. */
int rs_http_json(request_rec *r, int status, const char *body);

void rs_error_hooks(apr_pool_t *p);

#endif
