/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway's protocol as bytes: the head of a response that httpd does not write, refusals, and
 * what an application asks for when it sends. Pure functions.
 */
#ifndef RS_GATEWAY_H
#define RS_GATEWAY_H

#include "../base/rs_buf.h"
#include "../base/rs_json.h"

/* What its clients and its back end know of the protocol. */
enum {
    RS_DIALECT_CURRENT,
    RS_DIALECT_2026_01, /* a named event is one by that name; no ready; no rejected, but statuses */
    RS_DIALECT_2025_11  /* and the answer to a connect callback may hold an event, and the end */
};

#define RS_GATEWAY_IDENTITY_MAX 128

/* Whether that can be one: 1 to 128 bytes, without colons, as the seed's back ends have it, and
 * without spaces and controls. */
int rs_gateway_identity_good(const char *identity);

/* The standard words for a status; "Unknown" where there are none. */
const char *rs_gateway_phrase(int status);

/* A response without a length (-1), that is a stream, or with a body of JSON that follows. lines:
 * further ones of the head, each with its CRLF. */
void rs_gateway_head(rs_buf_t *b, int status, const char *lines, apr_ssize_t length);

/* {"error":{"message":…,"code":…}} */
void rs_gateway_error(rs_buf_t *b, const char *message, const char *code);

/* Such a response, whole. */
void rs_gateway_refusal(rs_buf_t *b, int status, const char *lines, const char *message,
                        const char *code);

/* The event by which a page learns that its back end does not want it. phrase "": the standard
 * words. */
void rs_gateway_rejected(rs_buf_t *b, int status, const char *phrase);

/* What is to be sent, and to whom. */
typedef struct {
    const char *token;
    const char *identity; /* in place of a token; NULL: none */
    const char *data; /* NULL: no event */
    const char *name; /* NULL: none */
    int close;
} rs_gateway_order_t;

/* NULL, and *order in p; else the code of what is wrong, and *message. */
const char *rs_gateway_order(rs_gateway_order_t *order, const char **message, apr_pool_t *p,
                             const char *body, size_t len);

/* What the answer to a connect callback holds of that, where it may: token NULL. What is no order
 * holds nothing. */
void rs_gateway_answered(rs_gateway_order_t *order, apr_pool_t *p, const char *body, size_t len);

#endif
