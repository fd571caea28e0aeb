/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing to the control stream, which every child of every node reads. The worker.
 */
#ifndef RS_CONTROL_WRITE_H
#define RS_CONTROL_WRITE_H

#include "../conf/rs_httpd.h"

#include "../redis/rs_redis_pool.h"
#include "../redis/rs_redis_publish.h"

/* value NULL: there is no such field. */
void rs_control_field(rs_xadd_t *write, const char *name, const char *value);

/* 503, and to try again soon. */
int rs_control_unavailable(request_rec *r, const char *message);

/* Writes these fields, and gives the connection back. OK; or a status, its error noted: `refused`
 * is what is said where Redis did not take them. */
int rs_control_write(request_rec *r, rs_redis_pool_t *pool, rs_redis_conn_t *conn, rs_xadd_t *write,
                     const char *refused);

/* Notes that Redis refused to write `key`, by the class of its error or "", and answers. */
int rs_control_refused(request_rec *r, rs_redis_pool_t *pool, const char *key, const char *class,
                       const char *message);

#endif
