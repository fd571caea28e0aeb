/* SPDX-License-Identifier: Apache-2.0
 *
 * A publish request under way, and its answers. The worker.
 */
#ifndef RS_PUBLISH_ANSWER_H
#define RS_PUBLISH_ANSWER_H

#include <httpd.h>

#include "../conf/rs_conf.h"
#include "../proto/rs_publish_body.h"
#include "../redis/rs_redis_publish.h"

typedef struct {
    request_rec *r;
    const rs_dir_conf_t *dir;
    rs_server_conf_t *server;
    const char *tenant; /* the caller's; NULL: not asked for yet */
    rs_publish_body_t *body;
    rs_xadd_t *writes; /* one for each item */
} rs_publish_t;

/* Each of these returns what the handler is to return. */

/* `bad` items have a code: says which, and that nothing was written. */
int rs_publish_answer_bad(const rs_publish_t *pub, int bad);

/* `class` is Redis's word for a refusal. */
int rs_publish_answer(const rs_publish_t *pub, rs_publish_outcome_t outcome, const char *class);

/* 503: nothing was written, it may be tried again. */
int rs_publish_unavailable(request_rec *r, const char *message);

#endif
